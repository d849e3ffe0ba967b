//! Hit ratios on a trace of accesses, of a bucket by each policy and of an LRU that is exact. The operand is a file with the
//! number of a block at the start of each line, as the traces of the paper on ARC have it. Prints a table; without an operand
//! nothing.

#![allow(clippy::expect_used, reason = "a bench may fail")]

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use ahash::RandomState;
use larder::{Bucket, EvictBy, ManualClock, WhenFull};

const CAPACITIES: [usize; 7] = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000];

/// How a cache is replayed: the number of its hits on a trace, with room for so many blocks.
type Replay = fn(&[u64], usize) -> usize;

fn main() -> ExitCode {
    // Cargo adds options of its own.
    let Some(path) = std::env::args().skip(1).find(|one| !one.starts_with("--")) else {
        eprintln!("nothing is measured without the file of a trace");
        return ExitCode::SUCCESS;
    };
    let trace = match std::fs::read_to_string(&path) {
        Ok(text) => text
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect::<Vec<u64>>(),
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let caches: [(&str, Replay); 4] = [
        ("LRU, exact", exact_lru),
        ("last touch", |trace, room| {
            larder(trace, room, EvictBy::LastTouch)
        }),
        ("last write", |trace, room| {
            larder(trace, room, EvictBy::LastWrite)
        }),
        ("frequency", |trace, room| {
            larder(trace, room, EvictBy::Frequency)
        }),
    ];
    let names: Vec<_> = caches.iter().map(|(name, _)| *name).collect();
    println!("| blocks | {} |", names.join(" | "));
    println!("|---:|{}", "---:|".repeat(names.len()));
    for capacity in CAPACITIES {
        let ratio = |hits: usize| 100.0 * hits as f64 / trace.len() as f64;
        let ratios = caches.map(|(_, replay)| format!("{:.2}", ratio(replay(&trace, capacity))));
        println!("| {capacity} | {} |", ratios.join(" | "));
    }
    ExitCode::SUCCESS
}

fn exact_lru(trace: &[u64], room: usize) -> usize {
    let mut last: HashMap<u64, usize> = HashMap::new();
    let (mut by_age, mut hits) = (BTreeMap::new(), 0);
    for (now, &block) in trace.iter().enumerate() {
        match last.insert(block, now) {
            Some(before) => {
                hits += 1;
                by_age.remove(&before);
            }
            None if last.len() > room => {
                if let Some((_, oldest)) = by_age.pop_first() {
                    last.remove(&oldest);
                }
            }
            None => {}
        }
        by_age.insert(now, block);
    }
    hits
}

/// Folds when the bucket is about to by itself, and waits for that, so that each run comes to the same.
fn larder(trace: &[u64], room: usize, policy: EvictBy) -> usize {
    let limit = room as u64;
    let bucket = Bucket::<u64, u64>::builder("replay")
        .hasher(RandomState::with_seeds(1, 2, 3, 4))
        .clock(ManualClock::new().clock())
        .fold_delay(Duration::from_secs(3600))
        .max_weight(limit)
        .when_full(WhenFull::Evict)
        .evict_by(policy)
        .build()
        .expect("the options are valid");
    let mut reader = bucket.reader();
    let (mut hits, mut written) = (0, 0);
    for &block in trace {
        if reader.get(&block).is_some() {
            hits += 1;
            continue;
        }
        bucket.set(block, block);
        written += 1;
        if bucket.weight() > limit - limit / 16 || written % 4_000 == 0 {
            bucket.publish().expect("the bucket is open");
        }
    }
    assert_eq!(bucket.stats().refused, 0);
    hits
}
