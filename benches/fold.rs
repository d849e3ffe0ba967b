//! Folds: `publish()` by the size of the bucket and the number of writes that it folds.
//!
//! Run with: `cargo bench --bench fold`. Names are `fold/<entries>/<kind>/<writes>`. The writes
//! come before the clock starts.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench may fail, and looks at the clock"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

mod common;
use common::{filled, key, value};

fn fold(c: &mut Criterion) {
    for (name, size) in [("n64e3", 64_000_u64), ("n1e6", 1_000_000)] {
        let mut group = c.benchmark_group(format!("fold/{name}"));
        group.sample_size(20);
        for writes in [1, size / 1_000, size / 100, size / 10] {
            group.throughput(Throughput::Elements(writes));
            group.bench_function(BenchmarkId::new("overwrite", writes), |b| {
                b.iter_custom(|times| overwrites(size, writes, times));
            });
            group.bench_function(BenchmarkId::new("new", writes), |b| {
                b.iter_custom(|times| insertions(size, writes, times));
            });
        }
        group.finish();
    }
}

/// Folds writes to keys that the snapshot holds.
fn overwrites(size: u64, writes: u64, times: u64) -> Duration {
    let bucket = filled(size);
    let mut spent = Duration::ZERO;
    for turn in 0..times {
        let indices = || (0..writes).map(|write| (turn * writes + write) % size);
        indices().for_each(|index| bucket.set(key(index), turn));
        let start = Instant::now();
        bucket.publish().expect("the bucket is open");
        spent += start.elapsed();
        let snapshot = bucket.snapshot();
        assert!(
            indices().all(|index| snapshot.get(&key(index)) == Some(&turn)),
            "wrong answer"
        );
        assert_eq!(snapshot.len() as u64, size);
    }
    spent
}

/// Folds writes of new keys; the fold after that takes them out again, beside the clock.
fn insertions(size: u64, writes: u64, times: u64) -> Duration {
    let bucket = filled(size);
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        let added = || size..size + writes;
        added().for_each(|index| bucket.set(key(index), value(index)));
        let start = Instant::now();
        bucket.publish().expect("the bucket is open");
        spent += start.elapsed();
        let snapshot = bucket.snapshot();
        let is_there = |index| snapshot.get(&key(index)) == Some(&value(index));
        assert!(added().all(is_there), "wrong answer");
        assert_eq!(snapshot.len() as u64, size + writes);
        let keys: Vec<u64> = added().map(key).collect();
        bucket.invalidate_many(&keys);
        bucket.publish().expect("the bucket is open");
        assert_eq!(bucket.len() as u64, size);
    }
    spent
}

criterion_group!(benches, fold);
criterion_main!(benches);
