//! What goes wrong in one cache after the other, whatever the cache is built of: 1, a load that goes wrong leaves its key
//! stuck; 2, a late caller loads once more; 3, a failed refresh makes an error of what could be read; 4, something ends
//! under a load and its waiters; 7, a fetch inside of a step, or of a load of its own key, never ends; 9, a periodic job
//! fails once and for all, or overlaps itself.
//!
//! Number 2 is `cachex_192_a_caller_that_looked_before_and_asked_after`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder::{Bucket, ErrorKind, ManualClock, Outcome};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, eventually, settle};

type Numbers = Bucket<u64, u64>;

const EVERY: Duration = Duration::from_secs(10);

/// How a loader goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Error,
    Panic,
    ErrorOfTheKey,
}

const WRONG: [Wrong; 3] = [Wrong::Error, Wrong::Panic, Wrong::ErrorOfTheKey];

impl Wrong {
    fn answer(self, key: u64) -> Result<Vec<(u64, Outcome<u64>)>, &'static str> {
        match self {
            Self::Error => Err("scripted"),
            Self::Panic => std::panic::panic_any("scripted"),
            Self::ErrorOfTheKey => Ok(vec![(key, Outcome::Failed("scripted".into()))]),
        }
    }
}

/// A bucket of which the loader goes wrong as long as it is told to.
fn faulty(wrong: Wrong) -> (Numbers, Arc<AtomicBool>, Door) {
    let (broken, door) = (Arc::new(AtomicBool::new(true)), Door::open());
    let (asked, at) = (Arc::clone(&broken), door.clone());
    let bucket = Numbers::builder("faulty")
        .loader_threads(1)
        .bulk_load(move |keys: &[u64]| {
            at.pass();
            match asked.load(Ordering::Relaxed) {
                true => wrong.answer(keys[0]),
                false => Ok(keys.iter().map(|&key| (key, Outcome::Value(key))).collect()),
            }
        })
        .build()
        .unwrap();
    (bucket, broken, door)
}

#[test]
fn s8_1_a_load_that_goes_wrong_or_is_given_up_leaves_no_key_stuck() {
    bounded(|| {
        for wrong in WRONG {
            let (bucket, broken, door) = faulty(wrong);
            assert!(bucket.fetch(&1).is_err(), "{wrong:?}");
            let own = bucket.call().fetch_with(&1, |_| match wrong {
                Wrong::Panic => std::panic::panic_any("scripted"),
                _ => Err::<u64, _>("scripted"),
            });
            assert!(own.is_err(), "{wrong:?}");
            // Somebody who does not wait, and a ticket that is dropped.
            door.close();
            let given_up = bucket.call().timeout(Duration::ZERO).fetch(&2);
            assert!(given_up.unwrap_err().is_timeout(), "{wrong:?}");
            drop(bucket.request_load([2, 3]));
            door.await_waiting(1);
            broken.store(false, Ordering::Relaxed);
            door.release();
            for key in 1..=3 {
                eventually("the end of its load", || bucket.get(&key) == Some(key));
            }
            settle(&bucket);
            assert_eq!((bucket.stats().loading, bucket.stats().queued), (0, 0));
        }
    });
}

#[test]
fn s8_3_a_failed_refresh_never_turns_a_readable_value_into_an_error() {
    bounded(|| {
        for wrong in WRONG {
            let (bucket, broken, _) = faulty(wrong);
            bucket.set(1, 7);
            for folded in [false, true] {
                if folded {
                    bucket.publish().unwrap();
                }
                let when = format!("{wrong:?}, folded: {folded}");
                assert!(bucket.refresh_keys([1]).wait(PATIENCE), "{when}");
                bucket.refresh().wait(PATIENCE).unwrap();
                assert_eq!(bucket.fetch(&1).unwrap().value(), Some(&7), "{when}");
                assert_eq!(
                    (bucket.peek(&1), bucket.get(&1)),
                    (Some(7), Some(7)),
                    "{when}"
                );
                assert_eq!(bucket.reader().get(&1), Some(&7), "{when}");
            }
            broken.store(false, Ordering::Relaxed);
            bucket.refresh().wait(PATIENCE).unwrap();
            assert_eq!(bucket.peek(&1), Some(1), "and the next one works");
        }
    });
}

#[test]
fn s8_7_a_fetch_inside_of_a_step_and_of_a_load_of_its_own_key_ends() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Numbers>::new());
        let (asking, hooked) = (Arc::clone(&own), Arc::clone(&own));
        let kinds = Notes::new();
        let noting = kinds.clone();
        let fetch = move |own: &OnceLock<Numbers>, key: &u64| {
            let inner = own.get().unwrap().fetch(key);
            noting.add(inner.map(|_| ()).map_err(|error| error.kind()));
        };
        let in_hook = fetch.clone();
        let bucket = Numbers::builder("own")
            .exists(move |key: &u64| {
                if *key == 8 {
                    in_hook(&hooked, key);
                }
                Ok::<_, String>(true)
            })
            .load(move |key: &u64| {
                if *key == 9 {
                    fetch(&asking, key);
                }
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        // Inside a step that reads and writes one key: of that key, cached or not, and of another.
        for key in [1, 2] {
            let updated = bucket.update(&1, |_| bucket.get(&key).map(|value| value + 10));
            assert_eq!(updated.unwrap(), bucket.peek(&1));
        }
        let seen = bucket.with(&1, |_| bucket.get(&3));
        assert_eq!(seen, Some(Some(3)));
        let gone = bucket.invalidate_if(|key, _| bucket.get(&(key + 100)) == Some(3));
        assert_eq!(gone.unwrap(), 0);
        // Inside the load of the key itself: by the loader, by the hook, and by a loader of the call's.
        assert_eq!((bucket.get(&9), bucket.get(&8)), (Some(9), Some(8)));
        let nested = bucket
            .call()
            .fetch_with(&7, |key| bucket.fetch(key).map(|_| 0_u64));
        assert!(nested.is_err());
        assert_eq!(kinds.all(), [Err(ErrorKind::Recursion); 2]);
        assert_eq!(bucket.get(&7), Some(7), "it is not stuck");
        bucket.shutdown();
    });
}

#[test]
fn s8_9_a_periodic_refresh_that_fails_once_runs_again_and_never_overlaps_itself() {
    bounded(|| {
        for wrong in [Wrong::Error, Wrong::Panic] {
            let (time, door) = (ManualClock::new(), Door::open());
            let (runs, at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let most = Notes::new();
            let (counting, inside, noting) =
                (Arc::clone(&runs), Arc::clone(&at_once), most.clone());
            let at = door.clone();
            let bucket = Numbers::builder("periodic")
                .clock(time.clock())
                .refresh_every(EVERY)
                .refresh_jitter(0.0)
                .load_all(move || {
                    noting.add(inside.fetch_add(1, Ordering::SeqCst));
                    at.pass();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    match counting.fetch_add(1, Ordering::SeqCst) {
                        0 => wrong.answer(0).map(|_| Vec::new()),
                        run => Ok(vec![(1, run as u64)]),
                    }
                })
                .build()
                .unwrap();
            let ended = || bucket.stats().refreshes + bucket.stats().refreshes_failed;
            for run in 0..4 {
                if run == 2 {
                    // One that is still under way when the next one would be due.
                    door.close();
                    time.advance(EVERY);
                    door.await_waiting(1);
                    time.advance(3 * EVERY);
                    settle(&bucket);
                    door.release();
                } else {
                    time.advance(EVERY);
                }
                eventually("the end of a refresh", || ended() == run + 1);
                let expected = (run > 0).then_some(run);
                assert_eq!(bucket.peek(&1), expected, "{wrong:?}");
            }
            assert_eq!(bucket.stats().refreshes_failed, 1);
            assert_eq!(most.all(), [0; 4], "never two at a time");
        }
    });
}

/// The one who waits for a value that dies on its way is told so, and the next one is served (number 4 for death).
#[test]
fn s8_4_a_value_that_dies_while_it_is_loaded_leaves_nobody_waiting() {
    bounded(|| {
        let (lives, door) = (Arc::new(AtomicBool::new(true)), Door::closed());
        let (asked, at) = (Arc::clone(&lives), door.clone());
        let bucket = Numbers::builder("dying")
            .alive(move |_, _| asked.load(Ordering::Relaxed))
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let bucket = bucket.clone();
                Task::spawn(move || bucket.fetch(&1).map_err(|error| error.kind()))
            })
            .collect();
        door.await_waiting(1);
        lives.store(false, Ordering::Relaxed);
        door.release();
        for task in waiting {
            assert_eq!(task.join().map(|_| ()), Err(ErrorKind::Dead));
        }
        lives.store(true, Ordering::Relaxed);
        assert_eq!(bucket.get(&1), Some(1));
    });
}
