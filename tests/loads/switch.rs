//! A bucket that is switched off: nothing is stored, nothing is served, and one load of a key at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, ManualClock, Origin};

use crate::common::{Broken, Door, Notes, PATIENCE, Tally, Task, bounded, settle, together};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

fn noting(
    shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Notes<u64>, Door) {
    let (calls, door) = (Notes::new(), Door::open());
    let (noting, at) = (calls.clone(), door.clone());
    let builder = Numbers::builder("switch").bulk_load(move |keys: &[u64]| {
        keys.iter().for_each(|key| noting.add(*key));
        at.pass();
        Ok::<_, Broken>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
    });
    (shape(builder).build().unwrap(), calls, door)
}

/// Whatever way one looks, nothing is there.
fn is_bare(bucket: &Numbers, keys: &[u64]) {
    let mut reader = bucket.reader();
    for key in keys {
        assert_eq!(bucket.peek(key), None);
        assert_eq!(bucket.with(key, |v| *v), None);
        assert_eq!(reader.get(key), None);
        assert_eq!(bucket.ttl(key), None);
        assert_eq!(bucket.snapshot().get(key), None);
    }
    assert!(bucket.is_empty() && bucket.keys().is_empty());
}

#[test]
fn what_is_made_of_a_value_is_not_stored_either() {
    bounded(|| {
        let bucket = Bucket::<u32, u32>::builder("off").build().unwrap();
        bucket.set(1, 7);
        bucket.set_caching(false).unwrap();
        assert_eq!(bucket.update(&1, |_| Some(8)).unwrap(), Some(8));
        assert_eq!(bucket.take(&1).unwrap(), None);
        assert!(!bucket.persist(&1).unwrap());
        assert!(!bucket.contains(&1));
        bucket.set_caching(true).unwrap();
        assert!(!bucket.contains(&1));
    });
}

#[test]
fn off_every_call_loads_and_nothing_is_kept() {
    bounded(|| {
        let (bucket, calls, _) = noting(|b| b);
        assert!(bucket.is_caching());
        bucket.set_many((0..10).map(|key| (key, 100)));
        let mut reader = bucket.reader();
        assert_eq!(reader.get(&1), Some(&100));
        let old = bucket.snapshot();
        bucket.set_caching(false).unwrap();
        assert!(!bucket.is_caching());
        assert_eq!(reader.get(&1), None, "a handle from before");
        is_bare(&bucket, &[0, 1, 9]);
        assert_eq!(old.len(), 0, "it was taken before the fold");
        for round in 1..4 {
            assert_eq!(bucket.get(&1), Some(1));
            let fetched = bucket.fetch(&2).unwrap();
            assert_eq!(
                (fetched.value(), fetched.origin()),
                (Some(&2), Origin::Ignored)
            );
            assert_eq!(bucket.get_many([&3, &4]), [Some(3), Some(4)]);
            let own = bucket.call().fetch_with(&5, |key| Ok::<_, Broken>(key + 1));
            assert_eq!(own.unwrap().origin(), Origin::Ignored);
            assert!(bucket.request_load([6]).wait(PATIENCE));
            assert_eq!(calls.len(), 5 * round);
            settle(&bucket);
            is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(bucket.stats().ignored, 18);
        assert_eq!((bucket.stats().loaded, bucket.stats().superseded), (0, 0));
    });
}

#[test]
fn off_writes_do_nothing() {
    bounded(|| {
        let (bucket, _, _) = noting(|b| b);
        bucket.set_caching(false).unwrap();
        bucket.set(1, 10);
        bucket.set_with_ttl(2, 20, SECOND);
        bucket.set_many([(3, 30), (4, 40)]);
        bucket.set_many_with_ttl([(5, 50)], SECOND);
        assert_eq!(bucket.set_if_absent(6, 60), Ok(()));
        assert_eq!(bucket.set_if_absent(6, 61), Ok(()), "it still is absent");
        is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        settle(&bucket);
        is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        bucket.invalidate(&1);
        bucket.invalidate_many([&2]);
        assert_eq!(bucket.expire_in(&1, SECOND).ok(), Some(false));
        assert_eq!(bucket.persist(&1).ok(), Some(false));
        bucket.clear().unwrap();
        assert!(!bucket.is_caching(), "a clear does not switch it on");
        is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        settle(&bucket);
        is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        bucket.set_caching(true).unwrap();
        is_bare(&bucket, &[1, 2, 3, 4, 5, 6]);
        bucket.set(1, 10);
        assert_eq!((bucket.get(&1), bucket.len()), (Some(10), 1));
    });
}

#[test]
fn g2_off_there_is_still_one_load_of_a_key_at_a_time() {
    bounded(|| {
        let tally = Tally::new();
        let counting = tally.clone();
        let bucket = Numbers::builder("one")
            .loader_threads(4)
            .load(move |key: &u64| Ok::<_, Broken>(counting.during(key, || *key)))
            .build()
            .unwrap();
        bucket.set_caching(false).unwrap();
        let own = bucket.clone();
        together(4, move |_| {
            for round in 0..300 {
                assert_eq!(own.get(&(round % 3)), Some(round % 3));
            }
        });
        assert_eq!(tally.most_at_once(), 1);
        assert!(tally.keys() == 3 && bucket.is_empty());
    });
}

#[test]
fn off_who_comes_while_a_key_is_loaded_joins() {
    bounded(|| {
        let (bucket, calls, door) = noting(|b| b);
        bucket.set_caching(false).unwrap();
        door.close();
        let first = bucket.request_load([1]);
        door.await_waiting(1);
        for _ in 0..5 {
            let late = bucket.call().timeout(Duration::ZERO).fetch(&1);
            assert!(late.unwrap_err().is_timeout());
        }
        door.release();
        assert!(first.wait(PATIENCE));
        assert_eq!(calls.all(), [1]);
    });
}

#[test]
fn a_load_from_before_a_switch_is_answered_and_not_stored() {
    bounded(|| {
        // What it is when the load begins, and what is done while it runs.
        for (before, switches) in [
            (true, &[false][..]),
            (true, &[false, true]),
            (false, &[true]),
            (false, &[true, false, true]),
        ] {
            let (bucket, calls, door) = noting(|b| b);
            bucket.set_caching(before).unwrap();
            door.close();
            let own = bucket.clone();
            let load = Task::spawn(move || own.get(&1));
            door.await_waiting(1);
            for &on in switches {
                bucket.set_caching(on).unwrap();
            }
            door.release();
            assert_eq!(load.join(), Some(1));
            assert_eq!(bucket.peek(&1), None, "{before}, {switches:?}");
            assert_eq!(bucket.get(&1), Some(1));
            assert_eq!(calls.all(), [1, 1]);
            let cached = bucket.is_caching().then_some(1);
            assert_eq!(bucket.peek(&1), cached);
        }
    });
}

#[test]
fn a_switch_that_changes_nothing_does_nothing() {
    bounded(|| {
        let (bucket, _, _) = noting(|b| b);
        bucket.set(1, 10);
        bucket.set_caching(true).unwrap();
        assert_eq!(bucket.peek(&1), Some(10));
        bucket.set_caching(false).unwrap();
        let epoch = bucket.epoch();
        bucket.set_caching(false).unwrap();
        assert_eq!(bucket.epoch(), epoch);
        bucket.shutdown();
        let closed = bucket.set_caching(true).unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::Closed);
    });
}

#[test]
fn off_nothing_is_refreshed_and_on_the_timer_goes_on() {
    bounded(|| {
        let (time, fetches, door) = (ManualClock::new(), Notes::new(), Door::open());
        let (noting, at) = (fetches.clone(), door.clone());
        let bucket = Numbers::builder("dataset")
            .clock(time.clock())
            .refresh_every(SECOND)
            .refresh_jitter(0.0)
            .load_all(move || {
                noting.add(());
                at.pass();
                Ok::<_, Broken>([(1, 1)])
            })
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.peek(&1), fetches.len()), (Some(1), 1));
        // One that is under way when it is switched off is dropped, and who asked is answered.
        door.close();
        let dropped = bucket.refresh();
        door.await_waiting(1);
        bucket.set_caching(false).unwrap();
        assert_eq!(dropped.wait(PATIENCE).ok(), Some(()));
        door.release();
        bucket.refresh().wait(PATIENCE).unwrap();
        for _ in 0..3 {
            time.advance(SECOND);
            settle(&bucket);
        }
        is_bare(&bucket, &[1]);
        assert_eq!(fetches.len(), 2);
        bucket.set_caching(true).unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.peek(&1), fetches.len()), (Some(1), 3));
        time.advance(SECOND);
        crate::common::eventually("a refresh by the timer", || fetches.len() == 4);
    });
}

#[test]
fn off_absences_are_not_remembered() {
    bounded(|| {
        let asked = Notes::new();
        let noting_exists = asked.clone();
        let (bucket, calls, _) = noting(|b| {
            b.exists_absent_for(SECOND).exists(move |key: &u64| {
                noting_exists.add(*key);
                Ok::<_, Broken>(false)
            })
        });
        let ask = |times: usize| {
            for _ in 0..3 {
                assert_eq!(bucket.get(&1), None);
                assert!(bucket.request_load([1]).wait(PATIENCE));
            }
            assert_eq!(asked.take().len(), times);
        };
        ask(1);
        bucket.set_caching(false).unwrap();
        ask(6);
        bucket.set_caching(true).unwrap();
        ask(1);
        assert_eq!(calls.len(), 0);
    });
}

/// Writers and loaders go on through the switches. When one to off has returned, nothing is there until the next.
#[test]
fn nothing_slips_through_a_switch() {
    bounded(|| {
        let (bucket, _, _) = noting(|b| b.fold_delay(Duration::ZERO));
        let (stop, round) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let crew: Vec<_> = (0..3_u64)
            .map(|member| {
                let (bucket, stop, round) = (bucket.clone(), Arc::clone(&stop), Arc::clone(&round));
                Task::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let key = round.fetch_add(1, Ordering::Relaxed) % 16;
                        match member {
                            0 => bucket.set(key, key),
                            1 => assert_eq!(bucket.get(&key), Some(key)),
                            _ => {
                                let _ = bucket.set_if_absent(key, key);
                                bucket.set_many([(key, key), (key + 1, key + 1)]);
                            }
                        }
                    }
                })
            })
            .collect();
        for _ in 0..200 {
            bucket.set_caching(false).unwrap();
            assert!(bucket.is_empty());
            let mut reader = bucket.reader();
            assert!((0..17).all(|key| reader.get(&key).is_none()));
            assert!((0..17).all(|key| bucket.peek(&key).is_none()));
            bucket.publish().unwrap();
            assert!(bucket.snapshot().is_empty() && bucket.is_empty());
            bucket.set_caching(true).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        crew.into_iter().for_each(Task::join);
    });
}
