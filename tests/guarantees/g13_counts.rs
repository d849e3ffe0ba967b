//! G13: nothing is hidden. What is read, joined, loaded and folded is counted, each exactly once.

use std::time::Duration;

use larder::{Bucket, Builder, ManualClock, Outcome, Stats, WhenFull};

use crate::common::{Broken, Door, PATIENCE, Task, bounded, eventually, settle, together};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

fn reads(bucket: &Numbers) -> (u64, u64) {
    let stats = bucket.stats();
    (stats.hits, stats.misses)
}

/// Every kind of bucket whose reads go another way.
const SHAPES: [&str; 5] = ["plain", "expiring", "idle", "evicting", "mortal"];

fn shaped(name: &str) -> Builder<u64, u64> {
    let builder = Numbers::builder(name)
        .clock(ManualClock::new().clock())
        .load(|key: &u64| Ok::<_, String>(key * 10));
    match name {
        "expiring" => builder.ttl(3600 * SECOND),
        "idle" => builder.time_to_idle(3600 * SECOND),
        "evicting" => builder.max_weight(1_000).when_full(WhenFull::Evict),
        "mortal" => builder.alive(|_, value| *value != 666),
        _ => builder,
    }
}

#[test]
fn g13_each_key_of_each_read_counts_once() {
    bounded(|| {
        for name in SHAPES {
            for folded in [false, true] {
                let bucket = shaped(name).count_reads(true).build().unwrap();
                bucket.set_many([(1, 1), (2, 2), (3, 3)]);
                if folded {
                    bucket.publish().unwrap();
                }
                let mut expected = (0, 0);
                let mut counts = |hits: u64, misses: u64, what: &str| {
                    expected = (expected.0 + hits, expected.1 + misses);
                    assert_eq!(reads(&bucket), expected, "{what}, {name}, {folded}");
                };
                counts(0, 0, "writes");
                assert_eq!((bucket.peek(&1), bucket.peek(&9)), (Some(1), None));
                counts(1, 1, "peek");
                assert_eq!(bucket.with(&2, |value| *value), Some(2));
                assert!(bucket.contains(&3) && !bucket.contains(&9));
                counts(2, 1, "with and contains");
                assert_eq!((bucket.get(&1), bucket.get(&8)), (Some(1), Some(80)));
                counts(1, 1, "get");
                assert!(bucket.fetch(&8).is_ok() && bucket.fetch(&7).is_ok());
                counts(1, 1, "fetch");
                let call = || bucket.call().timeout(PATIENCE);
                assert_eq!((call().get(&1), call().get(&6)), (Some(1), Some(60)));
                let own = |_: &u64| Ok::<_, String>(50);
                assert_eq!(
                    (call().get_with(&1, own), call().get_with(&5, own)),
                    (Some(1), Some(50))
                );
                counts(2, 2, "a call");
                let many = bucket.get_many([&1, &2, &10, &10, &11]);
                assert_eq!(many, [Some(1), Some(2), Some(100), Some(100), Some(110)]);
                counts(2, 3, "get_many");
                assert_eq!(bucket.fetch_many([&1, &11, &12]).len(), 3);
                counts(2, 1, "fetch_many");
                assert_eq!(bucket.get_many([&1, &2, &3]).len(), 3);
                counts(3, 0, "get_many of what is there");
                let mut reader = bucket.reader();
                assert_eq!((reader.get(&1).copied(), reader.get(&99)), (Some(1), None));
                assert_eq!(reader.get_many(&[1, 2, 99]), [Some(&1), Some(&2), None]);
                counts(3, 2, "a reader");
                // Nothing of this is a read.
                let _ = (
                    bucket.len(),
                    bucket.keys(),
                    bucket.load_state(&1),
                    bucket.ttl(&1),
                );
                let _ = (bucket.snapshot().get(&1), bucket.load_counts());
                assert!(bucket.request_load([1, 2, 20]).wait(PATIENCE));
                bucket.refresh().wait(PATIENCE).unwrap();
                assert!(bucket.set_if_absent(1, 4).is_err());
                assert!(bucket.update(&1, |value| value.copied()).unwrap().is_some());
                assert!(bucket.take(&1).unwrap().is_some());
                assert!(bucket.expire_in(&2, SECOND).unwrap());
                assert_eq!(bucket.invalidate_if(|key, _| *key == 3).unwrap(), 1);
                bucket.publish().unwrap();
                counts(0, 0, "what is no read");
                assert_eq!(bucket.peek(&3), None);
                counts(0, 1, "what has gone");
                assert_eq!(
                    bucket.stats().hit_rate(),
                    Some(expected.0 as f64 / (expected.0 + expected.1) as f64)
                );
            }
        }
    });
}

#[test]
fn g13_reads_are_not_counted_unless_it_is_asked_for() {
    bounded(|| {
        let bucket = shaped("plain").build().unwrap();
        assert_eq!(
            (bucket.get(&1), bucket.get(&1), bucket.peek(&2)),
            (Some(10), Some(10), None)
        );
        assert_eq!((reads(&bucket), bucket.stats().hit_rate()), ((0, 0), None));
    });
}

#[test]
fn g13_no_read_is_lost_between_threads() {
    bounded(|| {
        const READS: u64 = if cfg!(miri) { 50 } else { 20_000 };
        let bucket = Numbers::builder("threads")
            .count_reads(true)
            .build()
            .unwrap();
        bucket.set_many((0..10).map(|key| (key, key)));
        bucket.publish().unwrap();
        let (shared, folding) = (bucket.clone(), bucket.clone());
        let writer = Task::spawn(move || {
            for round in 0..20 {
                folding.set(round % 10, 7);
                folding.publish().unwrap();
            }
        });
        // More threads than there are places to count in.
        let threads = if cfg!(miri) { 3 } else { 70 };
        together(threads, move |thread| {
            let mut reader = shared.reader();
            for turn in 0..READS / 10 {
                // Every other one is there.
                let key = turn % 20;
                let found = match thread % 2 {
                    0 => shared.peek(&key).is_some(),
                    _ => reader.get(&key).is_some(),
                };
                assert_eq!(found, key < 10);
            }
        });
        writer.join();
        let all = threads as u64 * (READS / 10);
        assert_eq!(reads(&bucket), (all / 2, all / 2));
        assert_eq!(bucket.stats().hit_rate(), Some(0.5));
    });
}

#[test]
fn g13_who_joins_a_load_is_counted() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("joins")
            .count_reads(true)
            .bulk_load(move |keys: &[u64]| {
                at.pass();
                Ok::<_, String>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        let leader = bucket.clone();
        let leader = Task::spawn(move || leader.get(&1));
        door.await_waiting(1);
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let bucket = bucket.clone();
                Task::spawn(move || match caller {
                    0 => bucket.get(&1),
                    1 => bucket.get_many([&1]).pop().flatten(),
                    2 => bucket.fetch_many([&1]).pop().unwrap().unwrap().into_value(),
                    _ => bucket.call().get_with(&1, |_| Ok::<_, String>(2)),
                })
            })
            .collect();
        eventually("four who have joined", || bucket.stats().joined == 4);
        door.release();
        assert_eq!(leader.join(), Some(1));
        assert!(callers.into_iter().all(|caller| caller.join() == Some(1)));
        let stats = bucket.stats();
        assert_eq!((stats.joined, stats.loaded, stats.loader_calls), (4, 1, 1));
        assert_eq!((stats.hits, stats.misses), (0, 5));
    });
}

/// A clock that a loader moves.
fn taking(time: &ManualClock) -> impl Fn(u64) + Clone + Send + Sync + 'static {
    let time = time.clone();
    move |seconds| time.advance(Duration::from_secs(seconds))
}

fn times(stats: &Stats) -> (u64, Duration, Duration) {
    (stats.loader_calls, stats.loader_time, stats.loader_longest)
}

#[test]
fn g13_the_time_inside_of_loaders_is_counted() {
    bounded(|| {
        let time = ManualClock::new();
        let (takes, takes_all) = (taking(&time), taking(&time));
        let single = Numbers::builder("single")
            .clock(time.clock())
            .wait_limit(1_000 * SECOND)
            .load(move |key: &u64| {
                takes(*key);
                match key {
                    3 => Err(Broken("after three seconds")),
                    4 => panic!("after four"),
                    key => Ok(Outcome::Value(*key)),
                }
            })
            .load_all(move || {
                takes_all(20);
                // It takes its time with the pairs as well.
                let takes = takes_all.clone();
                Ok::<_, String>((0..3).map(move |key| {
                    takes(1);
                    (key, key)
                }))
            })
            .build()
            .unwrap();
        assert_eq!(times(&single.stats()), (0, Duration::ZERO, Duration::ZERO));
        for key in [2, 5, 3, 4, 2] {
            let _ = single.get(&key);
        }
        assert_eq!(times(&single.stats()), (4, 14 * SECOND, 5 * SECOND));
        let takes = taking(&time);
        let own = single.call().fetch_with(&9, |_| {
            takes(6);
            Ok::<_, String>(9)
        });
        assert!(own.is_ok());
        assert_eq!(times(&single.stats()), (5, 20 * SECOND, 6 * SECOND));
        single.refresh().wait(1_000 * SECOND).unwrap();
        let stats = single.stats();
        assert_eq!(
            times(&stats),
            (5, 20 * SECOND, 6 * SECOND),
            "no loader of keys"
        );
        let dataset = (
            stats.dataset_calls,
            stats.dataset_time,
            stats.dataset_longest,
        );
        assert_eq!(dataset, (1, 23 * SECOND, 23 * SECOND));

        let takes = taking(&time);
        let batch = Numbers::builder("batch")
            .clock(time.clock())
            .wait_limit(1_000 * SECOND)
            .batch_size(2)
            .loader_threads(1)
            .bulk_load(move |keys: &[u64]| {
                takes(keys.len() as u64);
                Ok::<_, String>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        assert_eq!(batch.get_many([&1, &2, &3]), [Some(1), Some(2), Some(3)]);
        assert_eq!(times(&batch.stats()), (2, 3 * SECOND, 2 * SECOND));
    });
}

#[test]
fn g13_what_folds_do_is_counted() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("folds")
            .clock(time.clock())
            .max_weight(16)
            .when_full(WhenFull::Evict)
            .load(|key: &u64| Ok::<_, String>(*key))
            .build()
            .unwrap();
        let folded = || {
            bucket.publish().unwrap();
            let stats = bucket.stats();
            (stats.written, stats.removed, stats.expired, stats.evicted)
        };
        assert_eq!(folded(), (0, 0, 0, 0));
        bucket.set_many((0..5).map(|key| (key, key)));
        bucket.set(0, 1);
        assert_eq!(bucket.get(&5), Some(5));
        assert_eq!(
            folded(),
            (6, 0, 0, 0),
            "a key that is written twice counts once"
        );
        bucket.invalidate(&5);
        assert!(bucket.take(&4).unwrap().is_some());
        bucket.set_with_ttl(1, 1, SECOND);
        assert_eq!(folded(), (7, 2, 0, 0));
        bucket.set_with_ttl(6, 6, SECOND);
        time.advance(SECOND);
        assert_eq!(
            folded(),
            (8, 2, 2, 0),
            "one in the table, one that was never there"
        );
        assert_eq!(bucket.len(), 3);
        bucket.set_many((10..23).map(|key| (key, key)));
        // Sixteen, of which two go, so that seven eighths are left.
        assert_eq!(folded(), (21, 2, 2, 2));
        assert_eq!(bucket.len(), 14);
        // What is cleared before it is folded was never found by a fold.
        bucket.set(1, 1);
        bucket.clear().unwrap();
        assert_eq!(folded(), (21, 2, 2, 2));
        settle(&bucket);
    });
}

#[test]
fn g13_what_was_written_beside_a_dataset_is_counted_once() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("beside")
            .load_all(move || {
                at.pass();
                Ok::<_, String>([(1, 1), (2, 2)])
            })
            .build()
            .unwrap();
        let ticket = bucket.refresh();
        door.await_waiting(1);
        bucket.set(1, 10);
        bucket.publish().unwrap();
        bucket.set(3, 30);
        bucket.invalidate(&2);
        door.release();
        ticket.wait(PATIENCE).unwrap();
        settle(&bucket);
        let stats = bucket.stats();
        assert_eq!((stats.written, stats.removed, stats.expired), (2, 1, 0));
        assert_eq!((bucket.peek(&1), bucket.len()), (Some(10), 2));
    });
}
