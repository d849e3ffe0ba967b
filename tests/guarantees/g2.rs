//! G2: at any time at most one load of a key is under way, and none is repeated.

use std::hash::{Hash, Hasher};
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder::{Bucket, ErrorKind, Origin};

use crate::common::{Door, PATIENCE, Tally, Task, bounded, eventually, together};

type Numbers = Bucket<u64, u64>;

#[test]
fn g2_one_flight_per_key_of_a_cold_bucket_under_fire() {
    for batched in [true, false] {
        for round in 0..5 {
            bounded(move || cold_start(batched, round));
        }
    }
}

fn cold_start(batched: bool, round: u64) {
    const KEYS: u64 = 200;
    let tally = Tally::new();
    let counting = tally.clone();
    let builder = Numbers::builder("cold").batch_size(7).loader_threads(3);
    let builder = if batched {
        builder.bulk_load(move |keys: &[u64]| {
            counting.during_all(keys, || {
                Ok::<_, String>(keys.iter().map(|&k| (k, k * 2)).collect::<Vec<_>>())
            })
        })
    } else {
        builder.load(move |key: &u64| counting.during(key, || Ok::<_, String>(key * 2)))
    };
    let bucket = builder.build().unwrap();
    let (firing, calling) = (bucket.clone(), tally.clone());
    together(8, move |thread| {
        let offset = (thread as u64 / 2) * 50 + round;
        for at in 0..KEYS {
            let key = (at + offset) % KEYS;
            let value = match (at + thread as u64) % 4 {
                0 => firing.get(&key),
                1 => firing.fetch(&key).unwrap().into_value(),
                2 => firing.get_many([&key, &((key + 1) % KEYS)])[0],
                _ => {
                    let load = |key: &u64| calling.during(key, || Ok::<_, String>(key * 2));
                    let fetched = firing.call().fetch_with(&key, load);
                    fetched.unwrap().into_value()
                }
            };
            assert_eq!(value, Some(key * 2));
        }
    });
    assert_eq!(tally.most_loads(), 1);
    assert_eq!(tally.keys() as u64, KEYS);
    let stats = bucket.stats();
    assert_eq!((stats.keys_asked, stats.loaded), (KEYS, KEYS));
    assert_eq!((stats.queued, stats.loading), (0, 0));
}

#[test]
fn g2_reloads_and_sweeps_never_load_a_key_twice_at_a_time() {
    bounded(|| {
        const KEYS: u64 = 20;
        let tally = Tally::new();
        let counting = tally.clone();
        let bucket = Numbers::builder("reloads")
            .batch_size(3)
            .loader_threads(3)
            .bulk_load(move |keys: &[u64]| {
                counting.during_all(keys, || {
                    std::thread::yield_now();
                    Ok::<_, String>(keys.iter().map(|&k| (k, k)).collect::<Vec<_>>())
                })
            })
            .build()
            .unwrap();
        let firing = bucket.clone();
        together(6, move |thread| {
            for at in 0..200_u64 {
                match thread {
                    0 => drop(firing.refresh().wait(PATIENCE)),
                    1 | 2 => assert!(firing.request_load(at % KEYS..KEYS).wait(PATIENCE)),
                    _ => assert_eq!(firing.get(&(at % KEYS)), Some(at % KEYS)),
                }
            }
        });
        assert_eq!(tally.most_at_once(), 1);
        assert!(tally.most_loads() > 10, "it was reloaded");
    });
}

#[test]
fn g2_one_flight_of_a_key_that_fails_every_time() {
    bounded(|| {
        let tally = Tally::new();
        let counting = tally.clone();
        let bucket = Numbers::builder("failing")
            .loader_threads(4)
            .load(move |key: &u64| {
                counting.during(key, || {
                    std::thread::yield_now();
                    Err::<u64, _>("no")
                })
            })
            .build()
            .unwrap();
        together(6, move |_| {
            for at in 0..200_u64 {
                let error = bucket.fetch(&(at % 2)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Load);
            }
        });
        assert_eq!(tally.most_at_once(), 1);
    });
}

#[test]
fn g2_the_first_of_several_call_time_loaders_wins() {
    bounded(|| {
        let bucket = Numbers::builder("first").build().unwrap();
        let door = Door::closed();
        let (calling, at) = (bucket.clone(), door.clone());
        let first = Task::spawn(move || {
            let load = |_: &u64| {
                at.pass();
                Ok::<_, String>(1)
            };
            calling.call().fetch_with(&7, load).unwrap()
        });
        door.await_waiting(1);
        // Later ones join: they never call their own, and one that cannot wait is told so.
        let second = bucket.call().timeout(Duration::ZERO).fetch_with(&7, never);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::Timeout);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let calling = bucket.clone();
                Task::spawn(move || calling.call().fetch_with(&7, never).unwrap())
            })
            .collect();
        door.release();
        let first = first.join();
        assert_eq!((first.value(), first.origin()), (Some(&1), Origin::Loaded));
        for joined in waiting {
            let joined = joined.join();
            assert_eq!(joined.value(), Some(&1));
            assert!(matches!(joined.origin(), Origin::Joined | Origin::Hit));
        }
        let after = bucket.call().fetch_with(&7, never).unwrap();
        assert_eq!(after.origin(), Origin::Hit);
    });
}

/// A call-time loader that must not be asked.
fn never(_: &u64) -> Result<u64, String> {
    Ok(u64::MAX)
}

#[test]
fn g2_call_time_loaders_and_the_bucket_s_own_share_a_flight() {
    bounded(|| {
        let (door, calls) = (Door::closed(), Arc::new(AtomicUsize::new(0)));
        let (at, counting) = (door.clone(), Arc::clone(&calls));
        let bucket = Numbers::builder("shared")
            .load(move |_: &u64| {
                counting.fetch_add(1, Ordering::Relaxed);
                at.pass();
                Ok::<_, String>(1)
            })
            .build()
            .unwrap();
        let own = bucket.request_load([7]);
        door.await_waiting(1);
        let call = bucket.call().timeout(Duration::ZERO).fetch_with(&7, never);
        assert_eq!(call.unwrap_err().kind(), ErrorKind::Timeout);
        door.release();
        assert!(own.wait(PATIENCE));
        assert_eq!(bucket.peek(&7), Some(1));

        // The other way round: the call-time load is the flight that the bucket's callers join.
        let (calling, inside) = (bucket.clone(), Door::closed());
        let at = inside.clone();
        let call = Task::spawn(move || {
            let load = |_: &u64| {
                at.pass();
                Ok::<_, String>(2)
            };
            calling.call().fetch_with(&8, load).unwrap().into_value()
        });
        inside.await_waiting(1);
        let get = bucket.call().timeout(Duration::ZERO).fetch(&8);
        assert_eq!(get.unwrap_err().kind(), ErrorKind::Timeout);
        let request = bucket.request_load([8]);
        assert!(!request.is_done());
        inside.release();
        assert!(request.wait(PATIENCE));
        assert_eq!((call.join(), bucket.peek(&8)), (Some(2), Some(2)));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn g2_one_flight_although_the_queue_is_full() {
    bounded(|| {
        let (tally, door) = (Tally::new(), Door::closed());
        let (counting, at) = (tally.clone(), door.clone());
        let bucket = Numbers::builder("full")
            .loader_threads(1)
            .queue_capacity(1)
            .load(move |key: &u64| {
                counting.during(key, || {
                    at.pass();
                    Ok::<_, String>(*key)
                })
            })
            .build()
            .unwrap();
        let running = bucket.request_load([0]);
        door.await_waiting(1);
        let queued = bucket.request_load([1]);
        assert!(queued.rejected().is_empty());
        let at_once = bucket.call();
        let kind = |key: u64| {
            let call = bucket.call().timeout(Duration::ZERO).fetch(&key);
            call.unwrap_err().kind()
        };
        // What is under way or queued can be joined; what is not is refused, and not forgotten.
        assert_eq!((kind(0), kind(1)), (ErrorKind::Timeout, ErrorKind::Timeout));
        assert_eq!(
            (kind(2), kind(2)),
            (ErrorKind::QueueFull, ErrorKind::QueueFull)
        );
        assert_eq!(bucket.request_load([1, 2, 3]).rejected(), [2, 3]);
        let many = at_once.timeout(Duration::ZERO).fetch_many([&0, &2, &1]);
        let kinds: Vec<_> = many.into_iter().map(|r| r.unwrap_err().kind()).collect();
        assert_eq!(
            kinds,
            [ErrorKind::Timeout, ErrorKind::QueueFull, ErrorKind::Timeout]
        );
        // A call-time loader needs no place in the queue, and is a flight like any other.
        let load = |key: &u64| tally.during(key, || Ok::<_, String>(20));
        let fetched = bucket.call().fetch_with(&2, load).unwrap();
        assert_eq!(fetched.origin(), Origin::Loaded);
        door.release();
        assert!(running.wait(PATIENCE) && queued.wait(PATIENCE));
        assert_eq!(bucket.get_many([&0, &1, &2]), [Some(0), Some(1), Some(20)]);
        assert_eq!((tally.most_loads(), tally.keys()), (1, 3));
        assert_eq!(bucket.get(&3), Some(3), "a refused key can be loaded later");
    });
}

#[test]
fn g2_one_flight_per_key_while_the_queue_keeps_filling_up() {
    bounded(|| {
        const KEYS: u64 = 60;
        // No load ends before the queue was full once: however the threads are scheduled, their first keys are more than
        // it and the loader take.
        let (tally, full) = (Tally::new(), Door::closed());
        let (counting, at) = (tally.clone(), full.clone());
        let bucket = Numbers::builder("filling")
            .loader_threads(1)
            .queue_capacity(2)
            .load(move |key: &u64| {
                counting.during(key, || {
                    at.pass();
                    Ok::<_, String>(*key)
                })
            })
            .build()
            .unwrap();
        let refusals = together(6, move |thread| {
            let mut refused = 0;
            for at in 0..KEYS {
                let key = (at + 10 * thread as u64) % KEYS;
                eventually("a place in the queue", || match bucket.fetch(&key) {
                    Ok(fetched) => fetched.into_value() == Some(key),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::QueueFull);
                        refused += 1;
                        full.release();
                        false
                    }
                });
            }
            refused
        });
        assert!(refusals.iter().sum::<u32>() > 0, "it was never full");
        assert_eq!((tally.most_loads(), tally.keys() as u64), (1, KEYS));
    });
}

/// A key that stops at a door when it is copied: between a caller's look and its request.
struct Slow(u64, Door);

impl Clone for Slow {
    fn clone(&self) -> Self {
        self.1.pass();
        Self(self.0, self.1.clone())
    }
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Slow {}

impl Hash for Slow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn g2_a_late_caller_does_not_repeat_a_load() {
    type Call = fn(&Bucket<Slow, u64>, &Slow) -> Option<u64>;
    let calls: [(&str, Call); 4] = [
        ("get", |bucket, key| bucket.get(key)),
        ("get_many", |bucket, key| bucket.get_many([key])[0]),
        ("fetch_with", |bucket, key| {
            let load = |_: &Slow| Ok::<_, String>(99);
            bucket.call().fetch_with(key, load).unwrap().into_value()
        }),
        ("request_load", |bucket, key| {
            let key = Slow(key.0, key.1.clone());
            assert!(bucket.request_load([key]).wait(PATIENCE));
            bucket.peek(&Slow(7, Door::open()))
        }),
    ];
    for (name, late) in calls {
        bounded(move || {
            let loads = Arc::new(AtomicUsize::new(0));
            let counting = Arc::clone(&loads);
            let bucket = Bucket::<Slow, u64>::builder(name)
                .load(move |_: &Slow| {
                    let number = counting.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, String>(number as u64)
                })
                .build()
                .unwrap();
            let door = Door::closed();
            let (calling, key) = (bucket.clone(), Slow(7, door.clone()));
            // It has looked, found nothing, and not asked yet.
            let late = Task::spawn(move || late(&calling, &key));
            door.await_waiting(1);
            assert_eq!(bucket.get(&Slow(7, Door::open())), Some(0));
            door.release();
            assert_eq!(late.join(), Some(0), "{name}");
            assert_eq!(loads.load(Ordering::Relaxed), 1, "{name}");
        });
    }
}

/// A caller is about to queue a flight when a loader takes it over, and the queue is full by then: it is
/// not refused, nor is the key loaded a second time.
#[test]
fn g2_a_flight_that_a_loader_took_over_is_not_refused() {
    const OUTER: u64 = 100;
    bounded(|| {
        let (tally, asking, nested) = (Tally::new(), Door::closed(), Door::closed());
        let handle: Arc<OnceLock<Numbers>> = Arc::default();
        let (counting, at, inner) = (tally.clone(), nested.clone(), Arc::clone(&handle));
        let bucket = Numbers::builder("taken over")
            .loader_threads(1)
            .queue_capacity(1)
            .load(move |key: &u64| {
                counting.during(key, || match *key {
                    OUTER => inner.get().unwrap().get(&1).ok_or("refused"),
                    1 => {
                        at.pass();
                        Ok(1)
                    }
                    other => Ok(other),
                })
            })
            .build()
            .unwrap();
        assert!(handle.set(bucket.clone()).is_ok());
        bucket.set(9, 9);
        let (caller, at) = (bucket.clone(), asking.clone());
        let caller = Task::spawn(move || {
            // Keys are taken in a few at a time, so there are some more before it stops.
            let keys = iter::once(&1).chain(iter::repeat_n(&9, 99)).chain([&2]);
            caller.fetch_many(keys.inspect(|key| {
                if **key == 2 {
                    at.pass();
                }
            }))
        });
        asking.await_waiting(1);
        let outer = bucket.request_load([OUTER]);
        nested.await_waiting(1);
        let queued = bucket.request_load([50]);
        assert!(queued.rejected().is_empty());
        asking.release();
        eventually("the caller has been refused key 2", || {
            bucket.stats().failed == 1
        });
        nested.release();
        let answers = caller.join();
        assert_eq!(answers[0].as_ref().unwrap().value(), Some(&1));
        assert_eq!(
            answers[100].as_ref().unwrap_err().kind(),
            ErrorKind::QueueFull
        );
        assert!(outer.wait(PATIENCE) && queued.wait(PATIENCE));
        assert_eq!(bucket.peek(&OUTER), Some(1));
        assert_eq!(tally.keys(), 3);
        // The loader's thread puts these to use, and is not to keep the bucket.
        bucket.shutdown();
    });
}
