//! G6: every waiter is answered, once and in bounded time.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, ErrorKind, ManualClock, Origin, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually};

type Numbers = Bucket<u64, u64>;

/// What a loader may say, by key.
const VALUE: u64 = 0;
const ABSENT: u64 = 1;
const ERROR: u64 = 2;
const PANIC: u64 = 3;
const IGNORE: u64 = 4;

/// A loader of that kind, behind a door, that notes what it is asked.
fn source(calls: &Notes<u64>, door: &Door) -> Numbers {
    let (calls, door) = (calls.clone(), door.clone());
    Numbers::builder("answers")
        .loader_threads(2)
        .load(move |key: &u64| {
            calls.add(*key);
            door.pass();
            match *key {
                ABSENT => Ok(Outcome::Absent),
                ERROR => Err(Broken("source")),
                PANIC => panic!("the loader's own"),
                IGNORE => Ok(Outcome::Ignore(40)),
                _ => Ok(Outcome::Value(10)),
            }
        })
        .build()
        .unwrap()
}

#[test]
fn g6_all_waiters_of_a_flight_get_its_answer() {
    for key in [VALUE, ABSENT, ERROR, PANIC, IGNORE] {
        bounded(move || {
            let (calls, door) = (Notes::new(), Door::closed());
            let bucket = source(&calls, &door);
            // Ten in one call share a flight for certain; the threads mostly do.
            let asking = bucket.clone();
            let ten = Task::spawn(move || asking.fetch_many([&key; 10]));
            door.await_waiting(1);
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let asking = bucket.clone();
                    Task::spawn(move || asking.fetch(&key))
                })
                .collect();
            let ticket = bucket.request_load([key]);
            assert!(!ticket.is_done());
            door.release();
            let ten = ten.join();
            assert_eq!(ten.len(), 10);
            let mut origins = Vec::new();
            for answer in ten
                .iter()
                .cloned()
                .chain(threads.into_iter().map(Task::join))
            {
                match (key, answer) {
                    (VALUE, Ok(fetched)) => {
                        assert_eq!(fetched.value(), Some(&10));
                        origins.push(fetched.origin());
                    }
                    (ABSENT, Ok(fetched)) => {
                        assert!(fetched.is_absent());
                        origins.push(fetched.origin());
                    }
                    (IGNORE, Ok(fetched)) => {
                        assert_eq!(fetched.value(), Some(&40));
                        assert_eq!(fetched.origin(), Origin::Ignored);
                    }
                    (ERROR, Err(error)) => {
                        assert_eq!(error.kind(), ErrorKind::Load);
                        let source = error.source().unwrap().downcast_ref();
                        assert_eq!(source, Some(&Broken("source")));
                    }
                    (PANIC, Err(error)) => {
                        assert_eq!(error.kind(), ErrorKind::Panicked);
                        assert!(error.to_string().contains("the loader's own"), "{error}");
                    }
                    (_, other) => panic!("{key}: {other:?}"),
                }
            }
            if key == VALUE || key == ABSENT {
                assert_eq!(origins[0], Origin::Loaded);
                assert!(
                    origins[1..10]
                        .iter()
                        .all(|origin| *origin == Origin::Joined)
                );
            }
            assert!(ticket.wait(PATIENCE));
            eventually("the end", || {
                let stats = bucket.stats();
                (stats.queued, stats.loading) == (0, 0)
            });
            assert_eq!(bucket.peek(&key), (key == VALUE).then_some(10));
        });
    }
}

#[test]
fn g6_failures_and_absences_are_not_cached() {
    bounded(|| {
        let calls = Notes::new();
        let bucket = source(&calls, &Door::open());
        for key in [ABSENT, ERROR, PANIC, IGNORE] {
            for round in 1..=3 {
                let _ = bucket.fetch(&key);
                let asked = calls.all().iter().filter(|&&asked| asked == key).count();
                assert_eq!((asked, bucket.peek(&key)), (round, None));
            }
        }
        let stats = bucket.stats();
        assert_eq!((stats.absent, stats.failed, stats.ignored), (3, 6, 3));
        // None of which harms a key that loads.
        assert_eq!(bucket.get(&VALUE), Some(10));
        assert_eq!(bucket.get(&ERROR), None, "get has no word for why");
    });
}

#[test]
fn g6_a_failed_reload_leaves_the_value() {
    bounded(|| {
        let bucket = source(&Notes::new(), &Door::open());
        bucket.set_many([(VALUE, 1), (ABSENT, 1), (ERROR, 1), (PANIC, 1), (IGNORE, 1)]);
        assert!(bucket.request_load(0..5).wait(PATIENCE));
        let left: Vec<_> = (0..5).map(|key| bucket.peek(&key)).collect();
        assert_eq!(left, [Some(10), None, Some(1), Some(1), Some(1)]);
    });
}

#[test]
fn g6_a_timeout_ends_the_wait_and_not_the_load() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = source(&calls, &door);
        // By a limit of the call, none at all and a real one.
        for limit in [Duration::ZERO, Duration::from_millis(10)] {
            let error = bucket.call().timeout(limit).fetch(&VALUE).unwrap_err();
            assert!(error.is_timeout() && error.kind() == ErrorKind::Timeout);
            assert_eq!(bucket.call().timeout(limit).get(&VALUE), None);
            let many = bucket.call().timeout(limit).fetch_many([&VALUE, &ABSENT]);
            assert!(
                many.into_iter()
                    .all(|answer| answer.unwrap_err().is_timeout())
            );
            assert!(!bucket.request_load([VALUE]).wait(limit));
        }
        assert_eq!(bucket.stats().timeouts, 8);
        let ticket = bucket.request_load([VALUE]);
        door.release();
        assert!(ticket.wait(PATIENCE));
        assert_eq!(bucket.peek(&VALUE), Some(10));
        assert_eq!(calls.all().iter().filter(|&&key| key == VALUE).count(), 1);
    });
}

#[test]
fn g6_the_wait_limit_is_told_by_the_bucket_s_clock() {
    bounded(|| {
        let (time, door) = (ManualClock::new(), Door::closed());
        let at = door.clone();
        let limit = Duration::from_secs(3);
        let bucket = Numbers::builder("limit")
            .wait_limit(limit)
            .clock(time.clock())
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let asking = bucket.clone();
        let waiter = Task::spawn(move || {
            let error = asking.fetch(&1).unwrap_err();
            assert!(error.is_timeout());
            asking.call().timeout(Duration::ZERO).fetch(&1).unwrap_err()
        });
        door.await_waiting(1);
        // The caller may not have looked at the clock yet, so once may not be enough.
        eventually("a timeout", || {
            time.advance(limit);
            waiter.ended()
        });
        door.release();
        assert!(bucket.request_load([1]).wait(PATIENCE));
        assert_eq!(bucket.peek(&1), Some(1));
    });
}

#[test]
fn g6_a_shutdown_answers_everybody_although_the_loader_hangs() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("closing")
            .loader_threads(1)
            .shutdown_limit(Duration::from_millis(20))
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        bucket.set(9, 9);
        // One under way, one queued, one refresh; waited for by calls and tickets.
        let running = bucket.request_load([1]);
        door.await_waiting(1);
        let queued = bucket.request_load([2]);
        let refresh = bucket.refresh();
        let waiters: Vec<_> = [1, 2]
            .map(|key| {
                let asking = bucket.clone();
                Task::spawn(move || asking.fetch(&key))
            })
            .into_iter()
            .collect();
        bucket.shutdown();
        assert!(door.waiting() == 1, "the loader still hangs");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap_err().kind(), ErrorKind::Closed);
        }
        assert!(running.wait(PATIENCE) && queued.wait(PATIENCE));
        assert!(refresh.wait(PATIENCE).unwrap_err().is_closed());

        // And everybody who comes later, at once.
        assert!(bucket.fetch(&1).unwrap_err().is_closed());
        let load = |_: &u64| Ok::<_, String>(1);
        let call = bucket.call().fetch_with(&3, load);
        assert!(call.unwrap_err().is_closed());
        assert!(bucket.refresh().wait(PATIENCE).unwrap_err().is_closed());
        assert!(bucket.publish().unwrap_err().is_closed());
        assert!(bucket.clear().unwrap_err().is_closed());
        assert_eq!(bucket.request_load([4, 5]).rejected(), [4, 5]);
        // What is there can be read, and written.
        assert_eq!(bucket.get(&9), Some(9));
        bucket.set(10, 10);
        assert_eq!(bucket.peek(&10), Some(10));
        bucket.shutdown();
        door.release();
    });
}

#[test]
fn g6_who_asks_for_more_than_finds_room_is_told_at_once() {
    const KEYS: u64 = 200_000;
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("many refused")
            .queue_capacity(100)
            .bulk_load(move |keys: &[u64]| {
                at.pass();
                Ok::<_, String>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        let ticket = bucket.request_load(0..KEYS);
        assert!(ticket.rejected().iter().copied().eq(100..KEYS));
        door.release();
        assert!(ticket.wait(PATIENCE));
    });
}

#[test]
fn g6_a_shutdown_answers_a_publish_that_is_waited_for() {
    bounded(|| {
        struct Slow(Door);
        impl Clone for Slow {
            fn clone(&self) -> Self {
                self.0.pass();
                Self(self.0.clone())
            }
        }
        let door = Door::closed();
        let bucket = Bucket::<u64, Slow>::builder("publishing")
            .shutdown_limit(Duration::from_millis(20))
            .build()
            .unwrap();
        bucket.set(1, Slow(door.clone()));
        let waiting: Vec<_> = [0, 1]
            .map(|_| {
                let bucket = bucket.clone();
                Task::spawn(move || bucket.publish())
            })
            .into_iter()
            .collect();
        door.await_waiting(1);
        bucket.shutdown();
        door.release();
        for publish in waiting {
            let closed = publish.join().map_err(|error| error.kind());
            assert!(
                matches!(closed, Ok(1) | Err(ErrorKind::Closed)),
                "{closed:?}"
            );
        }
    });
}

#[test]
fn g6_a_loader_that_panics_loses_no_thread() {
    bounded(|| {
        let bucket = Numbers::builder("panics")
            .loader_threads(1)
            .bulk_load(|keys: &[u64]| {
                assert!(!keys.contains(&PANIC), "not that one");
                Ok::<_, String>(keys.iter().map(|&k| (k, k)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        for round in 0..50 {
            let error = bucket.fetch(&PANIC).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.to_string().contains("not that one"));
            assert_eq!(bucket.get(&(10 + round)), Some(10 + round));
        }
    });
}

#[test]
fn g6_a_loader_that_hangs_holds_up_its_own_key_only() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("hangs")
            .loader_threads(2)
            .load(move |key: &u64| {
                if *key == 0 {
                    at.pass();
                }
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let hanging = bucket.request_load([0]);
        door.await_waiting(1);
        for key in 1..100 {
            assert_eq!(bucket.get(&key), Some(key));
        }
        let call = bucket.call().timeout(Duration::from_millis(1)).fetch(&0);
        assert!(call.unwrap_err().is_timeout());
        assert_eq!(bucket.stats().loading, 1);
        door.release();
        assert!(hanging.wait(PATIENCE));
        assert_eq!(bucket.peek(&0), Some(0));
    });
}

#[test]
fn g6_who_joined_a_load_that_its_caller_gave_up_is_told_so() {
    bounded(|| {
        let loads = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&loads);
        let bucket = Numbers::builder("given up")
            .load(move |key: &u64| {
                counting.fetch_add(1, Ordering::Relaxed);
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let (leading, joining) = (Door::closed(), Door::closed());
        // It has registered its interest in key 1 and dies before it gets to the queue. Keys are taken in
        // a few at a time, so there are some more in between.
        bucket.set(9, 9);
        let in_front = || std::iter::once(&1).chain(std::iter::repeat_n(&9, 99));
        let (asking, at) = (bucket.clone(), leading.clone());
        let leader = Task::spawn(move || {
            let keys = in_front().chain([&2]).inspect(|key| {
                if **key == 2 {
                    at.pass();
                    panic!("in the caller's iterator");
                }
            });
            let call = || asking.fetch_many(keys);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err()
        });
        leading.await_waiting(1);
        let (asking, at) = (bucket.clone(), joining.clone());
        let joined = Task::spawn(move || {
            let keys = in_front().chain([&3]).inspect(|key| {
                if **key == 3 {
                    at.pass();
                }
            });
            asking.fetch_many(keys)
        });
        joining.await_waiting(1);
        leading.release();
        assert!(leader.join());
        joining.release();
        let answers = joined.join();
        let first = answers[0].as_ref().map_err(|error| error.kind());
        assert_eq!(first.unwrap_err(), ErrorKind::Cancelled);
        assert_eq!(answers[100].as_ref().unwrap().value(), Some(&3));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert_eq!(bucket.get(&1), Some(1), "the key is free again");
    });
}

#[test]
fn g6_without_a_loader_a_miss_is_an_error_at_once() {
    bounded(|| {
        let bucket = Numbers::builder("none").build().unwrap();
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::NoLoader);
        assert_eq!(bucket.get(&1), None);
        let refresh = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(refresh.kind(), ErrorKind::NoLoader);
        bucket.set(1, 1);
        assert_eq!(bucket.fetch(&1).unwrap().origin(), Origin::Hit);
    });
}

#[test]
fn g6_a_request_without_a_loader_is_refused_and_does_not_stay_in_flight() {
    bounded(|| {
        let bucket = Numbers::builder("none").build().unwrap();
        let ticket = bucket.request_load([1, 2]);
        assert_eq!(ticket.rejected(), [1, 2]);
        assert!(ticket.wait(PATIENCE));
        let load = |key: &u64| Ok::<_, String>(key + 1);
        let fetched = bucket.call().fetch_with(&1, load).unwrap();
        assert_eq!(fetched.into_value(), Some(2));
    });
}
