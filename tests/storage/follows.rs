//! That what is kept follows the bucket.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::storage::MemoryStorage;
use larder::{ManualClock, WhenFull};

use crate::common::{Broken, Chance, PATIENCE, Task, bounded, eventually, lock, settle};
use crate::kit::{Call, Noting, Numbers, SECOND, builder, contents, in_time};

#[test]
fn what_changes_is_written_once_and_after_a_while() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let delay = 10 * SECOND;
        let bucket = builder(&storage, &time)
            .storage_delay(delay)
            .build()
            .unwrap();
        for round in 0..3 {
            for value in 0..5 {
                bucket.set(1, 10 * round + value);
                bucket.set(2 + value, round);
                bucket.publish().unwrap();
            }
            bucket.invalidate(&2);
            bucket.publish().unwrap();
            storage.calls.take();
            let start = time.clock().now();
            in_time(&time, delay / 4, "it is written", || {
                storage.calls.len() > 0
            });
            let waited = time.clock().now() - start;
            assert!(waited >= delay, "after {waited:?}");
            let last = Some(10 * round + 4);
            let mut changes = vec![(1, last), (2, None)];
            changes.extend((3..7).map(|key| (key, Some(round))));
            assert_eq!(storage.writes(), [Call::Apply(changes)]);
            eventually("it is counted", || {
                bucket.stats().storage_writes == round + 1
            });
        }
        for _ in 0..100 {
            time.advance(delay);
            std::thread::yield_now();
        }
        settle(&bucket);
        assert_eq!(storage.writes(), [], "nothing has changed");
        // And no read has asked for anything.
        assert_eq!((bucket.get(&77), bucket.peek(&1)), (None, Some(24)));
        assert_eq!(storage.calls.len(), 0);
    });
}

#[test]
fn what_is_asked_for_is_written_at_once_and_of_a_snapshot() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        bucket.set(1, 10);
        let epoch = bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert_eq!((storage.pairs(), bucket.epoch()), (vec![(1, 10)], epoch));
        assert_eq!(
            bucket.write_storage(PATIENCE).unwrap().unwrap(),
            epoch,
            "nothing to do"
        );
        assert_eq!(storage.writes().len(), 1);
        bucket.shutdown();
        assert!(bucket.write_storage(PATIENCE).is_none(), "after the end");
        let plain = Numbers::builder("plain").build().unwrap();
        assert!(plain.write_storage(PATIENCE).is_none());
        assert_eq!(plain.loaded_storage(), None);
    });
}

#[test]
fn what_goes_by_itself_goes_from_the_storage() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time)
            .time_to_idle(100 * SECOND)
            .alive(|_, value| *value != 666)
            .build()
            .unwrap();
        bucket.set_with_ttl(1, 1, 5 * SECOND);
        bucket.set(2, 2);
        bucket.set(3, 3);
        bucket.set(4, 666);
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        // What is dead is not kept.
        assert_eq!(storage.pairs(), [(1, 1), (2, 2), (3, 3)]);
        // However far the time has gone by then, neither of the two is idle.
        in_time(&time, SECOND, "the expired goes", || {
            let _ = (bucket.peek(&2), bucket.peek(&3));
            storage.pairs() == [(2, 2), (3, 3)]
        });
        in_time(&time, SECOND, "the idle goes", || {
            bucket.peek(&2);
            storage.pairs() == [(2, 2)]
        });
    });
}

#[test]
fn g10_what_is_evicted_goes_from_the_storage() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time)
            .max_weight(100)
            .when_full(WhenFull::Evict)
            .build()
            .unwrap();
        for key in 0..300 {
            bucket.set(key, key);
            // Each time, so that what is evicted is no key that has just been written.
            bucket.write_storage(PATIENCE).unwrap().unwrap();
        }
        assert!(bucket.stats().evicted > 0);
        assert_eq!(storage.pairs(), contents(&bucket));
    });
}

#[test]
fn what_replaces_the_bucket_replaces_what_is_kept() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let data = Arc::new(Mutex::new(vec![(1_u64, 100_u64)]));
        let loading = Arc::clone(&data);
        let bucket = builder(&storage, &time)
            .load_all(move || Ok::<_, Broken>(lock(&loading).clone()))
            .build()
            .unwrap();
        let written = || {
            bucket.write_storage(PATIENCE).unwrap().unwrap();
            storage.writes()
        };
        bucket.set_many([(1, 1), (2, 2)]);
        assert_eq!(written(), [Call::Apply(vec![(1, Some(1)), (2, Some(2))])]);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(written(), [Call::Replace(0, vec![(1, 100)])]);
        // What is written after goes with it, if it is written before that is.
        lock(&data).push((3, 300));
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.set(2, 2);
        assert_eq!(
            written(),
            [Call::Replace(0, vec![(1, 100), (2, 2), (3, 300)])]
        );
        bucket.clear().unwrap();
        bucket.set(5, 5);
        assert_eq!(written(), [Call::Replace(0, vec![(5, 5)])]);
        bucket.reset(4).unwrap();
        assert_eq!(written(), [Call::Replace(4, vec![])]);
        bucket.set(6, 6);
        assert_eq!(written(), [Call::Apply(vec![(6, Some(6))])]);
        bucket.set_caching(false).unwrap();
        bucket.set(7, 7);
        assert_eq!(written(), [Call::Replace(4, vec![])]);
        bucket.set_caching(true).unwrap();
        bucket.set(8, 8);
        assert_eq!(written(), [Call::Replace(4, vec![(8, 8)])]);
    });
}

/// A new time is a change as well.
#[test]
fn what_has_another_time_is_written_again() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        bucket.set_with_ttl(1, 1, SECOND);
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert!(bucket.persist(&1).unwrap());
        bucket.shutdown();
        time.advance(Duration::from_secs(3600));
        assert_eq!(builder(&storage, &time).build().unwrap().peek(&1), Some(1));
    });
}

/// Whatever is written meanwhile: of two keys that are always written together, both are kept with one value.
#[test]
fn g5_what_is_kept_is_always_a_cut() {
    bounded(|| {
        let storage = MemoryStorage::new();
        let bucket = Numbers::builder("cuts")
            .storage(storage.clone())
            .storage_delay(Duration::from_micros(50))
            .fold_delay(Duration::ZERO)
            .build()
            .unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (bucket, done) = (bucket.clone(), Arc::clone(&done));
                Task::spawn(move || {
                    let mut round = 0;
                    while !done.load(Ordering::Relaxed) {
                        round += 1;
                        let pairs = [0, 1].map(|key| (10 * writer + key, round));
                        match round % 17 {
                            0 => bucket.invalidate_many(&pairs.map(|(key, _)| key)),
                            _ => bucket.set_many(pairs),
                        }
                        if round % 101 == 0 && writer == 0 {
                            bucket.clear().unwrap();
                        }
                    }
                })
            })
            .collect();
        let looks = AtomicUsize::new(0);
        eventually("a thousand writes of the storage", || {
            let pairs: std::collections::HashMap<_, _> = storage.pairs().into_iter().collect();
            for writer in 0..2 {
                let kept = [0, 1].map(|key| pairs.get(&(10 * writer + key)));
                assert_eq!(kept[0], kept[1]);
            }
            looks.fetch_add(1, Ordering::Relaxed);
            bucket.stats().storage_writes > 200
        });
        assert!(looks.into_inner() > 10);
        done.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(Task::join);
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        let mut kept = storage.pairs();
        kept.sort_unstable();
        assert_eq!(kept, contents(&bucket));
    });
}

/// Whatever is done, what is kept is what is there, and what is loaded at the next start is that.
#[test]
fn whatever_is_done_the_storage_is_a_copy() {
    bounded(|| {
        for seed in 0..20 {
            let (storage, time) = (Noting::new(), ManualClock::new());
            let mut chance = Chance::new(seed);
            let mut bucket = builder(&storage, &time).build().unwrap();
            for _ in 0..400 {
                let key = chance.below(20);
                match chance.below(40) {
                    0..12 => bucket.set(key, chance.below(1000)),
                    12..18 => bucket.set_with_ttl(key, chance.below(1000), SECOND),
                    18..24 => bucket.invalidate(&key),
                    24..26 => bucket.set_many((0..5).map(|at| (key + at, at))),
                    26 => bucket.clear().unwrap(),
                    27 => drop(bucket.reset(bucket.version() + 1).unwrap()),
                    28 => drop(bucket.expire_in(&key, 2 * SECOND).unwrap()),
                    // Milliseconds all of them: what is kept knows no less.
                    29..32 => time.advance(SECOND / 4),
                    32..36 => drop(bucket.publish().unwrap()),
                    36..38 => drop(bucket.update(&key, |value| value.map(|value| value + 1))),
                    38 => {
                        bucket.write_storage(PATIENCE).unwrap().unwrap();
                        // What has expired since the fold is there still, and goes by its time.
                        let kept = storage.pairs();
                        for pair in contents(&bucket) {
                            assert!(kept.contains(&pair), "seed {seed}: {pair:?} of {kept:?}");
                        }
                    }
                    _ => {
                        let before = contents(&bucket);
                        let version = bucket.version();
                        bucket.shutdown();
                        bucket = builder(&storage, &time).build().unwrap();
                        assert_eq!(contents(&bucket), before, "seed {seed}");
                        assert_eq!(bucket.version(), version, "seed {seed}");
                    }
                }
            }
            bucket.write_storage(PATIENCE).unwrap().unwrap();
            assert_eq!(storage.pairs(), contents(&bucket), "seed {seed}");
        }
    });
}
