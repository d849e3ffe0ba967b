//! Misses through the loader, which answers at once: what is measured is ours.
//!
//! Run with: `cargo bench --bench miss`. Names are `miss/<call>/<keys in the call>`.

#![allow(clippy::expect_used, reason = "a bench may fail")]

use std::convert::Infallible;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use larder::Bucket;

mod common;
use common::key;

fn bucket() -> Bucket<u64, u64> {
    Bucket::builder("bench")
        .batch_size(1_000)
        .queue_capacity(100_000)
        .bulk_load(|keys: &[u64]| {
            Ok::<_, Infallible>(keys.iter().map(|&key| (key, !key)).collect::<Vec<_>>())
        })
        .build()
        .expect("the options are valid")
}

fn one_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss/fetch_many");
    for count in [1_u64, 10, 100, 1_000, 10_000] {
        let bucket = bucket();
        let mut next = 0;
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            // Each call gets keys that were never asked for.
            let fresh = || {
                next += count;
                (next - count..next).map(key).collect::<Vec<u64>>()
            };
            let fetch = |keys: Vec<u64>| {
                let results = bucket.fetch_many(&keys);
                for (key, result) in keys.iter().zip(results) {
                    let fetched = result.expect("the loader cannot fail");
                    assert_eq!(fetched.into_value(), Some(!key), "wrong answer");
                }
            };
            b.iter_batched(fresh, fetch, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn one_key(c: &mut Criterion) {
    let bucket = bucket();
    let mut next = 0;
    c.bench_function("miss/get", |b| {
        b.iter(|| {
            next += 1;
            assert_eq!(bucket.get(&key(next)), Some(!key(next)), "wrong answer");
        });
    });
}

criterion_group!(benches, one_key, one_call);
criterion_main!(benches);
