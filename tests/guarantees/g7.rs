//! G7: no set of loaders waits for itself.
//!
//! The clocks stand still, so no timeout can come to the rescue of a circle.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};

use larder::{Bucket, Builder, Error, ErrorKind, ManualClock};

use crate::common::{Door, Notes, PATIENCE, Task, bounded};

type Numbers = Bucket<u64, u64>;

/// The bucket, for its own loader to call. Leaked with it: the loader keeps the bucket alive.
type Own = Arc<OnceLock<Numbers>>;

fn recursive(
    own: &Own,
    threads: usize,
    load: impl Fn(&Numbers, u64) -> Result<u64, Error> + Send + Sync + 'static,
) -> Numbers {
    let calling = Arc::clone(own);
    let bucket = timeless(threads)
        .load(move |key: &u64| load(calling.get().unwrap(), *key))
        .build()
        .unwrap();
    assert!(own.set(bucket.clone()).is_ok());
    bucket
}

fn timeless(threads: usize) -> Builder<u64, u64> {
    Numbers::builder("recursive")
        .loader_threads(threads)
        .clock(ManualClock::new().clock())
}

/// What is at the bottom of an error: loaders hand on the errors that they get.
fn innermost(error: &Error) -> ErrorKind {
    let mut error = error;
    while let Some(inner) = error.source().and_then(|source| source.downcast_ref()) {
        error = inner;
    }
    error.kind()
}

fn value(bucket: &Numbers, key: u64) -> Result<u64, Error> {
    Ok(bucket.fetch(&key)?.into_value().unwrap())
}

#[test]
fn g7_a_loader_that_asks_for_its_own_key_gets_an_error_at_once() {
    type Ask = fn(&Numbers, u64) -> Result<u64, Error>;
    let ways: [(&str, Ask); 5] = [
        ("fetch", value),
        ("fetch_many", |bucket, key| {
            let answers = bucket.fetch_many([&key, &(key + 100)]);
            assert_eq!(answers[1].as_ref().unwrap().value(), Some(&(key + 100)));
            answers[0]
                .clone()
                .map(|fetched| fetched.into_value().unwrap())
        }),
        ("fetch_with", |bucket, key| {
            let load = |_: &u64| Ok::<_, String>(0);
            let fetched = bucket.call().fetch_with(&key, load)?;
            Ok(fetched.into_value().unwrap())
        }),
        ("over another key", |bucket, key| value(bucket, key + 50)),
        ("ticket", |bucket, key| {
            // A ticket has no word for why; what counts is that it does not wait.
            assert!(!bucket.request_load([key]).wait(PATIENCE));
            value(bucket, key)
        }),
    ];
    for (name, ask) in ways {
        for threads in [1, 2] {
            bounded(move || {
                let own = Own::default();
                let seen = Notes::new();
                let noting = seen.clone();
                let bucket = recursive(&own, threads, move |bucket, key| match key {
                    100.. => Ok(key),
                    50..100 => value(bucket, key - 50),
                    _ => ask(bucket, key).inspect_err(|error| noting.add(innermost(error))),
                });
                let error = bucket.fetch(&7).unwrap_err();
                assert_eq!(innermost(&error), ErrorKind::Recursion, "{name}");
                assert_eq!(seen.all(), [ErrorKind::Recursion], "{name}");
                // Nothing is left behind: the same again, and other keys as ever.
                assert_eq!(
                    innermost(&bucket.fetch(&7).unwrap_err()),
                    ErrorKind::Recursion
                );
                assert_eq!(bucket.get(&123), Some(123), "{name}");
                bucket.set(7, 70);
                assert_eq!(bucket.get(&7), Some(70), "{name}");
                bucket.shutdown();
            });
        }
    }
}

#[test]
fn g7_a_batch_loader_that_asks_for_a_key_of_its_batch_gets_an_error_at_once() {
    bounded(|| {
        let own = Own::default();
        let (calling, seen) = (Arc::clone(&own), Notes::new());
        let noting = seen.clone();
        let bucket = timeless(2)
            .bulk_load(move |keys: &[u64]| {
                if keys.contains(&1) {
                    noting.add(value(calling.get().unwrap(), keys[0]).map_err(|e| e.kind()));
                    // A key of another batch is loaded on this thread.
                    noting.add(value(calling.get().unwrap(), 50).map_err(|e| e.kind()));
                }
                Ok::<_, String>(keys.iter().map(|&k| (k, k)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!(bucket.get_many([&2, &1, &3]), [Some(2), Some(1), Some(3)]);
        assert_eq!(seen.all(), [Err(ErrorKind::Recursion), Ok(50)]);
        bucket.shutdown();
    });
}

#[test]
fn g7_a_call_time_loader_that_asks_for_its_own_key_gets_an_error_at_once() {
    bounded(|| {
        let bucket = timeless(1)
            .load(|key: &u64| Ok::<_, String>(*key))
            .build()
            .unwrap();
        let load = |key: &u64| {
            assert_eq!(value(&bucket, 8).unwrap(), 8, "another key is loaded");
            let again = |_: &u64| Ok::<_, String>(0);
            let error = bucket.call().fetch_with(key, again).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Recursion);
            value(&bucket, *key)
        };
        let error = bucket.call().fetch_with(&7, load).unwrap_err();
        assert_eq!(innermost(&error), ErrorKind::Recursion);
        assert_eq!(bucket.get(&7), Some(7));
    });
}

#[test]
fn g7_a_circle_over_two_loader_threads_is_broken_at_one_place() {
    for round in 0..20 {
        bounded(move || {
            let own = Own::default();
            let (both, seen) = (Door::closed(), Notes::new());
            let (meeting, noting) = (both.clone(), seen.clone());
            // 1 wants 2 and 2 wants 1, each on its own thread, and each has begun.
            let bucket = recursive(&own, 2, move |bucket, key| {
                meeting.pass();
                Ok(match value(bucket, 3 - key) {
                    Ok(value) => value + 1,
                    Err(error) => {
                        noting.add(innermost(&error));
                        10 * key
                    }
                })
            });
            let ticket = bucket.request_load([1, 2]);
            both.await_waiting(2);
            both.release();
            assert!(ticket.wait(PATIENCE), "round {round}");
            assert_eq!(seen.all(), [ErrorKind::Recursion], "the circle has one end");
            let values = bucket.get_many([&1, &2]);
            let one_leads = [Some(10), Some(11)] == values[..];
            assert!(
                one_leads || [Some(21), Some(20)] == values[..],
                "{values:?}"
            );
            bucket.shutdown();
        });
    }
}

#[test]
fn g7_a_circle_over_two_buckets_is_broken() {
    for threads in [1, 2] {
        bounded(move || {
            // Each bucket's loader asks the other one for the same key.
            let own: [Own; 2] = Default::default();
            let buckets = [0, 1].map(|at: usize| {
                let other = Arc::clone(&own[1 - at]);
                recursive(&own[at], threads, move |_, key| {
                    value(other.get().unwrap(), key)
                })
            });
            let asking = buckets.clone();
            let error = asking[0].fetch(&7).unwrap_err();
            assert_eq!(innermost(&error), ErrorKind::Recursion);
            // From both sides at once, where the circle closes over two threads.
            let tasks: Vec<_> = (0..200)
                .map(|at: u64| {
                    let bucket = buckets[at as usize % 2].clone();
                    Task::spawn(move || bucket.fetch(&(at / 2)))
                })
                .collect();
            for task in tasks {
                let error = task.join().unwrap_err();
                assert_eq!(innermost(&error), ErrorKind::Recursion);
            }
            buckets.iter().for_each(Bucket::shutdown);
        });
    }
}

#[test]
fn g7_a_long_circle_over_many_threads_is_broken() {
    bounded(|| {
        const RING: u64 = 6;
        let own = Own::default();
        let (all, seen) = (Door::closed(), Notes::new());
        let (meeting, noting) = (all.clone(), seen.clone());
        let bucket = recursive(&own, RING as usize, move |bucket, key| {
            meeting.pass();
            Ok(match value(bucket, (key + 1) % RING) {
                Ok(value) => value + 1,
                Err(error) => {
                    noting.add(error.kind());
                    100
                }
            })
        });
        let ticket = bucket.request_load(0..RING);
        all.await_waiting(RING as usize);
        all.release();
        assert!(ticket.wait(PATIENCE));
        assert_eq!(seen.all(), [ErrorKind::Recursion], "broken at one place");
        let mut values: Vec<_> = (0..RING).map(|key| bucket.peek(&key).unwrap()).collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(100..100 + RING));
        bucket.shutdown();
    });
}

#[test]
fn g7_all_loader_threads_may_want_another_key_at_the_same_time() {
    bounded(|| {
        const THREADS: u64 = 3;
        let own = Own::default();
        let all = Door::closed();
        let meeting = all.clone();
        let bucket = recursive(&own, THREADS as usize, move |bucket, key| match key {
            0..THREADS => {
                meeting.pass();
                // No loader thread is left. One of its own, and one that all of them want.
                Ok(value(bucket, 10 + key)? + value(bucket, 100)?)
            }
            _ => Ok(key),
        });
        let ticket = bucket.request_load(0..THREADS);
        all.await_waiting(THREADS as usize);
        // Queued by somebody else: taken over by whoever needs it.
        let queued = bucket.request_load([100, 11]);
        all.release();
        assert!(ticket.wait(PATIENCE) && queued.wait(PATIENCE));
        for key in 0..THREADS {
            assert_eq!(bucket.peek(&key), Some(110 + key));
        }
        assert_eq!(bucket.stats().keys_asked, 2 * THREADS + 1, "each key once");
        bucket.shutdown();
    });
}

#[test]
fn g7_loads_nest_and_what_nests_too_deep_is_refused() {
    bounded(|| {
        let own = Own::default();
        let bucket = recursive(&own, 1, |bucket, key| match key {
            0 => Ok(0),
            _ => Ok(value(bucket, key - 1)? + 1),
        });
        assert_eq!(value(&bucket, 20).unwrap(), 20);
        // Far deeper than a stack would bear.
        let error = bucket.fetch(&100_000).unwrap_err();
        assert_eq!(innermost(&error), ErrorKind::Recursion);
        assert_eq!(bucket.peek(&100_000), None);
        assert_idle(&bucket);
        // Step by step it is not deep at all.
        for key in (0..200).step_by(10) {
            assert_eq!(value(&bucket, key).unwrap(), key);
        }
        bucket.shutdown();
    });
}

#[test]
fn g7_a_loader_that_never_comes_to_an_end_does_not_go_on_in_the_background() {
    bounded(|| {
        let own = Own::default();
        let bucket = recursive(&own, 2, |bucket, key| value(bucket, key + 1));
        let error = bucket.fetch(&0).unwrap_err();
        assert_eq!(innermost(&error), ErrorKind::Recursion);
        assert_idle(&bucket);
        let asked = bucket.stats().keys_asked;
        assert!(asked < 100, "{asked} keys asked for one");
        bucket.shutdown();
    });
}

/// No flight is queued or under way when its callers have been answered.
fn assert_idle(bucket: &Numbers) {
    let stats = bucket.stats();
    assert_eq!((stats.queued, stats.loading), (0, 0));
}

#[test]
fn g7_a_dataset_loader_may_read_and_load_from_its_own_bucket() {
    bounded(|| {
        let own = Own::default();
        let calling = Arc::clone(&own);
        let bucket = timeless(1)
            .load(|key: &u64| Ok::<_, String>(key * 10))
            .load_all(move || {
                let bucket = calling.get().unwrap();
                let loaded = value(bucket, 3).map_err(|error| error.to_string())?;
                let there = bucket.peek(&1).unwrap();
                Ok::<_, String>([(1, there + 1), (2, loaded)])
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        bucket.set(1, 1);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.get_many([&1, &2]), [Some(2), Some(30)]);
        bucket.shutdown();
    });
}
