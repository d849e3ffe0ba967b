//! G10 by hand: a bucket is brought down to so many keys, and what was touched last stays.

use std::collections::BTreeMap;
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, ManualClock, WhenFull};

use crate::common::{Chance, Task, bounded, settle, together};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

fn evicting(time: &ManualClock) -> Builder<u64, u64> {
    Numbers::builder("pruned")
        .clock(time.clock())
        .max_weight(1_000_000)
        .when_full(WhenFull::Evict)
}

fn keys(bucket: &Numbers) -> Vec<u64> {
    let mut keys = bucket.keys();
    keys.sort_unstable();
    keys
}

#[test]
fn g10_a_bucket_is_pruned_to_what_was_touched_last() {
    bounded(|| {
        let bucket = evicting(&ManualClock::new()).build().unwrap();
        bucket.set_many((0..100).map(|key| (key, key)));
        assert_eq!(bucket.prune(100).unwrap(), 0, "there is room for all");
        assert_eq!(bucket.len(), 100);
        // The next snapshot; what is read in it was touched later.
        bucket.set(100, 100);
        bucket.publish().unwrap();
        assert_eq!((bucket.peek(&7), bucket.peek(&70)), (Some(7), Some(70)));
        // Not folded yet, and newer than all.
        bucket.set(101, 101);
        assert_eq!(bucket.prune(4).unwrap(), 98);
        assert_eq!(keys(&bucket), [7, 70, 100, 101]);
        assert_eq!((bucket.len(), bucket.stats().evicted), (4, 98));
        assert_eq!(bucket.weight(), 4);
        assert_eq!(bucket.prune(0).unwrap(), 4);
        assert!(bucket.is_empty());
        assert_eq!(bucket.prune(0).unwrap(), 0);
        // It was no limit.
        bucket.set_many((0..10).map(|key| (key, key)));
        bucket.publish().unwrap();
        assert_eq!(bucket.len(), 10);
    });
}

#[test]
fn g10_what_has_expired_is_pruned_first_and_does_not_count() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = evicting(&time).build().unwrap();
        bucket.set_many((0..10).map(|key| (key, key)));
        bucket.set_many_with_ttl((10..40).map(|key| (key, key)), SECOND);
        bucket.publish().unwrap();
        bucket.set_with_ttl(40, 40, SECOND);
        time.advance(SECOND);
        assert_eq!(bucket.prune(10).unwrap(), 0);
        assert_eq!(keys(&bucket), (0..10).collect::<Vec<_>>());
        let stats = bucket.stats();
        assert_eq!((stats.expired, stats.evicted), (31, 0));
        assert_eq!(bucket.inspect().expired, 0, "they are gone from the memory");
        assert_eq!(bucket.prune(9).unwrap(), 1);
    });
}

#[test]
fn g10_by_the_time_where_things_become_idle() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("idle")
            .clock(time.clock())
            .time_to_idle(1_600 * SECOND)
            .build()
            .unwrap();
        for key in 0..10 {
            bucket.set(key, key);
            bucket.publish().unwrap();
            time.advance(101 * SECOND);
        }
        assert_eq!((bucket.peek(&1), bucket.peek(&3)), (Some(1), Some(3)));
        assert_eq!(bucket.prune(4).unwrap(), 6);
        assert_eq!(keys(&bucket), [1, 3, 8, 9]);
    });
}

#[test]
fn g10_where_nothing_is_noted_pruning_is_refused() {
    bounded(|| {
        let plain = Numbers::builder("plain").build().unwrap();
        plain.set_many((0..10).map(|key| (key, key)));
        let error = plain.prune(5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("time_to_idle"), "{error}");
        let refusing = Numbers::builder("refusing").max_weight(9).build().unwrap();
        assert_eq!(refusing.prune(5).unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(plain.len(), 10);
        let closed = evicting(&ManualClock::new()).build().unwrap();
        closed.shutdown();
        assert!(closed.prune(5).unwrap_err().is_closed());
    });
}

/// Entries of any weight, also of none, in snapshots in which some were read: so many are left, and none was touched
/// before one that went.
#[test]
fn g10_what_is_left_was_touched_no_earlier_than_what_went() {
    bounded(|| {
        let rounds = if cfg!(miri) { 2 } else { 60 };
        for seed in 0..rounds {
            let mut chance = Chance::new(seed);
            let builder = evicting(&ManualClock::new());
            let bucket = builder.weigher(|_, value| value % 3).build().unwrap();
            let mut touched = BTreeMap::new();
            for _ in 0..5 {
                let written: Vec<u64> = (0..chance.below(200)).map(|_| chance.below(300)).collect();
                for key in &written {
                    bucket.set(*key, chance.below(100));
                }
                // By the fold that takes it in.
                let snapshot = bucket.publish().unwrap();
                touched.extend(written.into_iter().map(|key| (key, snapshot)));
                for _ in 0..chance.below(50) {
                    let key = chance.below(300);
                    if bucket.peek(&key).is_some() {
                        touched.insert(key, snapshot);
                    }
                }
            }
            let most = chance.below(touched.len() as u64 + 5) as usize;
            let expected = touched.len().saturating_sub(most);
            assert_eq!(bucket.prune(most).unwrap(), expected, "seed {seed}");
            assert_eq!(bucket.len(), touched.len() - expected, "seed {seed}");
            let (left, gone): (Vec<_>, Vec<_>) = touched
                .iter()
                .partition(|(key, _)| bucket.entry(*key).is_some());
            let latest_gone = gone.iter().map(|(_, when)| **when).max();
            let earliest_left = left.iter().map(|(_, when)| **when).min();
            if let (Some(gone), Some(left)) = (latest_gone, earliest_left) {
                assert!(gone <= left, "seed {seed}: {gone} went and {left} is left");
            }
        }
    });
}

#[test]
fn g10_who_prunes_at_once_is_told_of_his_own() {
    bounded(|| {
        let bucket = evicting(&ManualClock::new()).build().unwrap();
        bucket.set_many((0..100).map(|key| (key, key)));
        let (shared, writing) = (bucket.clone(), bucket.clone());
        let writer = Task::spawn(move || {
            for key in 1_000..1_200 {
                writing.set(key, key);
            }
        });
        let evicted = together(4, move |thread| shared.prune(80 - 20 * thread).unwrap());
        writer.join();
        settle(&bucket);
        let all: usize = evicted.iter().sum();
        assert_eq!(all as u64, bucket.stats().evicted);
        assert_eq!(bucket.len() + all, 300);
    });
}
