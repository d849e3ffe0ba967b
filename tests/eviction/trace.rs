//! Hit ratios on a trace of a database's accesses to its disks, against an LRU that is exact. What the trace is, and where it
//! is from: `oltp.md`. The whole of it: `benches/hit_ratios.rs`.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use larder::{Bucket, DefaultHashBuilder, EvictBy, ManualClock, WhenFull};

/// The blocks, one after another.
fn accesses() -> Vec<u32> {
    let (mut blocks, mut known) = (Vec::new(), 0);
    let mut number = 0_u32;
    let mut shift = 0;
    for byte in include_bytes!("oltp.trace") {
        number |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            blocks.push(known - number);
            known += u32::from(number == 0);
            (number, shift) = (0, 0);
        }
    }
    blocks
}

/// Hits in a hundred of an LRU.
fn exact_lru(trace: &[u32], capacity: usize) -> f64 {
    let (mut last, mut by_age) = (HashMap::new(), BTreeMap::new());
    let mut hits = 0;
    for (now, &block) in trace.iter().enumerate() {
        match last.insert(block, now) {
            Some(before) => {
                hits += 1;
                by_age.remove(&before);
            }
            None if last.len() > capacity => {
                let (_, oldest) = by_age.pop_first().unwrap();
                last.remove(&oldest);
            }
            None => {}
        }
        by_age.insert(now, block);
    }
    in_a_hundred(hits, trace)
}

fn in_a_hundred(hits: usize, trace: &[u32]) -> f64 {
    100.0 * hits as f64 / trace.len() as f64
}

/// The same of a bucket that loads what it misses.
///
/// It folds when it is about to by itself, and that is waited for: so each time comes the same.
fn bucket(trace: &[u32], capacity: u64, policy: EvictBy) -> f64 {
    let bucket = Bucket::<u32, u32>::builder("replay")
        .hasher(DefaultHashBuilder::with_seeds(1, 2, 3, 4))
        .clock(ManualClock::new().clock())
        .max_weight(capacity)
        .when_full(WhenFull::Evict)
        .evict_by(policy)
        .build()
        .unwrap();
    let mut reader = bucket.reader();
    let mut hits = 0;
    let mut loaded = 0;
    for block in trace {
        if reader.get(block).is_some() {
            hits += 1;
            continue;
        }
        let load = |block: &u32| Ok::<_, Infallible>(*block);
        assert_eq!(bucket.call().get_with(block, load), Some(*block));
        loaded += 1;
        let is_nearly_full = bucket.weight() > capacity - capacity / 16;
        if is_nearly_full || loaded % 4_000 == 0 {
            bucket.publish().unwrap();
        }
        assert!(bucket.weight() <= capacity);
    }
    assert_eq!(bucket.stats().refused, 0, "all that was loaded was stored");
    in_a_hundred(hits, trace)
}

const CAPACITIES: [u64; 2] = [1_000, 4_000];

/// What comes of a policy at each capacity, beside what comes of an LRU.
fn compared(policy: EvictBy) -> Vec<(f64, f64)> {
    let trace = accesses();
    let compare = |capacity: u64| {
        let lru = exact_lru(&trace, capacity as usize);
        (bucket(&trace, capacity, policy), lru)
    };
    let compared: Vec<_> = CAPACITIES.into_iter().map(compare).collect();
    println!("{policy:?}: {compared:.2?}");
    compared
}

#[test]
fn the_trace_is_what_it_says() {
    let trace = accesses();
    let blocks = trace.iter().max().unwrap() + 1;
    assert_eq!((trace.len(), blocks), (100_000, 41_526));
    let lru = exact_lru(&trace, 1_000);
    assert!((lru - 24.22).abs() < 0.01, "{lru}");
}

#[test]
fn g10_the_last_touch_is_nearly_an_lru() {
    for (hits, lru) in compared(EvictBy::LastTouch) {
        assert!(hits > lru - 3.0 && hits < lru, "{hits} of {lru}");
    }
}

#[test]
fn g10_the_last_write_misses_more() {
    for (hits, lru) in compared(EvictBy::LastWrite) {
        assert!(hits > lru - 8.0 && hits < lru - 1.0, "{hits} of {lru}");
    }
}

#[test]
fn g10_frequency_hits_more_than_an_lru() {
    for (hits, lru) in compared(EvictBy::Frequency) {
        assert!(hits > lru + 1.5, "{hits} of {lru}");
    }
}
