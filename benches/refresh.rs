//! Whole refreshes: the dataset is asked for, a table is built and published.
//!
//! Run with: `cargo bench --bench refresh`. Names are `refresh/<what>/<entries>`; `collect` is
//! the same pairs collected into a map of the standard library with the same hasher.

#![allow(clippy::expect_used, reason = "a bench may fail")]

use std::collections::HashMap;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use larder::DefaultHashBuilder;

mod common;
use common::{PATIENCE, SIZES, filled, key, value};

fn refresh(c: &mut Criterion) {
    let mut group = c.benchmark_group("refresh");
    group.sample_size(20);
    for (name, size) in SIZES {
        group.throughput(Throughput::Elements(size));
        let bucket = filled(size);
        group.bench_function(BenchmarkId::new("whole", name), |b| {
            b.iter(|| {
                let before = bucket.epoch();
                bucket
                    .refresh()
                    .wait(PATIENCE)
                    .expect("the source cannot fail");
                assert!(bucket.epoch() > before, "nothing was published");
                assert_eq!(
                    bucket.peek(&key(size - 1)),
                    Some(value(size - 1)),
                    "wrong answer"
                );
            });
        });
        group.bench_function(BenchmarkId::new("collect", name), |b| {
            b.iter_with_large_drop(|| {
                let pairs = (0..size).map(|i| (key(i), value(i)));
                let map: HashMap<u64, u64, DefaultHashBuilder> = pairs.collect();
                assert_eq!(
                    map.get(&key(size - 1)),
                    Some(&value(size - 1)),
                    "wrong answer"
                );
                map
            });
        });
    }
    group.finish();
}

criterion_group!(benches, refresh);
criterion_main!(benches);
