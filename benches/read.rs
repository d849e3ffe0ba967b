//! Hits: independent reads, chains of reads, and many keys in one call.
//!
//! Run with: `cargo bench --bench read`. Names are `read/<how>/<what>/<entries>`; a reported
//! time is that of a batch of reads, the throughput that of one.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

mod common;
use common::{Questions, SIZES, filled};

const COUNT: u64 = 1 << 16;

fn independent(c: &mut Criterion) {
    let mut group = c.benchmark_group("read/throughput");
    group.throughput(Throughput::Elements(COUNT));
    for (name, size) in SIZES {
        let bucket = filled(size);
        let questions = Questions::about(size, COUNT);
        group.bench_function(BenchmarkId::new("reader", name), |b| {
            let mut reader = bucket.reader();
            b.iter(|| questions.ask(|key| reader.get(key).copied()));
        });
        group.bench_function(BenchmarkId::new("peek", name), |b| {
            b.iter(|| questions.ask(|key| bucket.peek(key)));
        });
        group.bench_function(BenchmarkId::new("get", name), |b| {
            b.iter(|| questions.ask(|key| bucket.get(key)));
        });
        group.bench_function(BenchmarkId::new("snapshot", name), |b| {
            let snapshot = bucket.snapshot();
            b.iter(|| questions.ask(|key| snapshot.get(key).copied()));
        });
        group.bench_function(BenchmarkId::new("get_many_64", name), |b| {
            b.iter(|| {
                let groups = questions.keys.chunks(64);
                let values = groups.flat_map(|keys| bucket.get_many(keys));
                let sum = values
                    .map(|value| value.unwrap_or(1))
                    .fold(0, u64::wrapping_add);
                assert_eq!(sum, questions.sum, "wrong answers");
            });
        });
    }
    group.finish();
}

fn chained(c: &mut Criterion) {
    let mut group = c.benchmark_group("read/latency");
    group.throughput(Throughput::Elements(COUNT));
    for (name, size) in SIZES {
        let bucket = filled(size);
        let questions = Questions::about(size, COUNT);
        group.bench_function(BenchmarkId::new("reader", name), |b| {
            let mut reader = bucket.reader();
            b.iter(|| questions.ask_chained(|key| reader.get(key).copied()));
        });
        group.bench_function(BenchmarkId::new("peek", name), |b| {
            b.iter(|| questions.ask_chained(|key| bucket.peek(key)));
        });
    }
    group.finish();
}

criterion_group!(benches, independent, chained);
criterion_main!(benches);
