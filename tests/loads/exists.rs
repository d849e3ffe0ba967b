//! `exists`: how often it is asked, what is remembered of its answers, and what ends that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, BuildError, Builder, ErrorKind, Event, ManualClock, Origin, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually};

type Numbers = Bucket<u64, u64>;

const TIME: Duration = Duration::from_secs(60);

/// What its hook and its loader were called with.
#[derive(Clone)]
struct Asked {
    exists: Notes<u64>,
    loaded: Notes<Vec<u64>>,
    door: Door,
}

impl Asked {
    fn new() -> Self {
        Self {
            exists: Notes::new(),
            loaded: Notes::new(),
            door: Door::open(),
        }
    }
}

/// A bucket whose source has the even keys, and whose hook stands at a door before it says so.
fn evens(shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>) -> (Numbers, Asked) {
    let asked = Asked::new();
    let (at_exists, at_load) = (asked.clone(), asked.clone());
    let builder = Numbers::builder("evens")
        .loader_threads(1)
        .exists(move |key: &u64| {
            at_exists.exists.add(*key);
            at_exists.door.pass();
            Ok::<_, Broken>(key.is_multiple_of(2))
        })
        .bulk_load(move |keys: &[u64]| {
            at_load.loaded.add(keys.to_vec());
            Ok::<_, Broken>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
        });
    (shape(builder).build().unwrap(), asked)
}

/// The same with a clock, and absences that are remembered for [`TIME`].
fn remembering(
    shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Asked, ManualClock) {
    let time = ManualClock::new();
    let clock = time.clock();
    let (bucket, asked) = evens(|b| shape(b.clock(clock).exists_absent_for(TIME)));
    (bucket, asked, time)
}

#[test]
fn what_does_not_exist_is_not_loaded_whatever_the_call() {
    bounded(|| {
        let (bucket, asked) = evens(|b| b);
        assert_eq!(bucket.get(&1), None);
        let absent = bucket.fetch(&3).unwrap();
        assert!(absent.is_absent());
        assert_eq!(absent.origin(), Origin::Loaded);
        assert_eq!(asked.loaded.len(), 0);
        assert_eq!(
            bucket.get_many([&5, &6, &7, &8]),
            [None, Some(6), None, Some(8)]
        );
        assert_eq!(asked.loaded.take(), [[6, 8]]);
        let ticket = bucket.request_load([9, 10]);
        assert!(ticket.wait(PATIENCE) && ticket.rejected().is_empty());
        assert_eq!(asked.loaded.take(), [[10]]);
        assert_eq!(asked.exists.all(), [1, 3, 5, 6, 7, 8, 9, 10]);
        let stats = bucket.stats();
        assert_eq!((stats.exists_asked, stats.exists_remembered), (8, 0));
        assert_eq!((stats.absent, stats.loaded, stats.keys_asked), (5, 3, 3));
        assert_eq!((stats.queued, stats.loading), (0, 0));
    });
}

#[test]
fn hits_reloads_and_loaders_of_a_call_ask_nothing() {
    bounded(|| {
        let (bucket, asked) = evens(|b| b);
        bucket.set_many([(1, 10), (2, 20)]);
        assert_eq!(bucket.get(&1), Some(10));
        assert_eq!(bucket.get_many([&1, &2]), [Some(10), Some(20)]);
        assert!(bucket.request_load([1, 2]).wait(PATIENCE));
        bucket.refresh().wait(PATIENCE).unwrap();
        let own = |key: &u64| Ok::<_, Broken>(key + 1);
        assert_eq!(bucket.call().fetch_with(&3, own).unwrap().value(), Some(&4));
        assert_eq!(asked.exists.len(), 0);
        assert_eq!(asked.loaded.len(), 2);
    });
}

#[test]
fn many_callers_of_one_absent_key_cost_one_question() {
    bounded(|| {
        let (bucket, asked) = evens(|b| b);
        asked.door.close();
        let first = {
            let bucket = bucket.clone();
            Task::spawn(move || bucket.fetch(&1).unwrap().origin())
        };
        asked.door.await_waiting(1);
        for _ in 0..8 {
            let joins = bucket.call().timeout(Duration::ZERO);
            assert!(joins.fetch(&1).unwrap_err().is_timeout());
        }
        let joined = bucket.request_load([1]);
        asked.door.release();
        assert_eq!(first.join(), Origin::Loaded);
        assert!(joined.wait(PATIENCE));
        assert_eq!(asked.exists.all(), [1]);
        assert_eq!(bucket.stats().absent, 1);
    });
}

#[test]
fn absences_are_forgotten_unless_told_otherwise_and_presences_are_not() {
    bounded(|| {
        let (bucket, asked) = evens(|b| b);
        for _ in 0..3 {
            assert_eq!(bucket.get(&1), None);
            assert_eq!(bucket.get(&2), Some(2));
            bucket.invalidate(&2);
        }
        assert_eq!(asked.exists.all(), [1, 2, 1, 1]);
        assert_eq!(asked.loaded.len(), 3);
        assert_eq!(bucket.stats().exists_remembered, 2);
    });
}

#[test]
fn an_absence_is_remembered_for_its_time_and_not_a_tick_longer() {
    bounded(|| {
        let (bucket, asked, time) = remembering(|b| b);
        assert_eq!(bucket.get(&1), None);
        time.advance(TIME - Duration::from_nanos(1));
        let known = bucket.fetch(&1).unwrap();
        assert!(known.is_absent());
        assert_eq!(known.origin(), Origin::Hit);
        assert_eq!(bucket.get_many([&1, &1]), [None, None]);
        assert!(bucket.request_load([1]).is_done());
        assert_eq!(
            (asked.exists.len(), bucket.stats().exists_remembered),
            (1, 4)
        );
        time.advance(Duration::from_nanos(1));
        assert_eq!(bucket.get(&1), None);
        assert_eq!(
            (asked.exists.len(), bucket.stats().exists_remembered),
            (2, 4)
        );
        assert_eq!(asked.loaded.len(), 0);
    });
}

#[test]
fn g4_whatever_is_written_of_a_key_ends_the_memory_of_its_absence() {
    bounded(|| {
        type Write = fn(&Numbers);
        let writes: [(&str, Write); 9] = [
            ("set", |b| b.set(1, 5)),
            ("set_with_ttl", |b| b.set_with_ttl(1, 5, TIME)),
            ("set_if_absent", |b| b.set_if_absent(1, 5).unwrap()),
            ("set_many", |b| b.set_many([(1, 5), (3, 5)])),
            ("set_many_with_ttl", |b| b.set_many_with_ttl([(1, 5)], TIME)),
            ("set by update", |b| {
                assert_eq!(b.update(&1, |_| Some(5)).unwrap(), Some(5));
            }),
            ("invalidate", |b| b.invalidate(&1)),
            ("invalidate_many", |b| b.invalidate_many([&1])),
            ("fetch_with", |b| {
                // What is remembered is the hook's, not the caller's.
                let own = |_: &u64| Ok::<_, Broken>(5);
                assert_eq!(b.call().fetch_with(&1, own).unwrap().value(), Some(&5));
            }),
        ];
        for (name, write) in writes {
            for folded in [false, true] {
                let (bucket, asked, time) = remembering(|b| b.ttl(TIME / 4));
                assert_eq!(bucket.get(&1), None);
                assert_eq!(bucket.get(&7), None);
                write(&bucket);
                if name.starts_with("set") || name == "fetch_with" {
                    assert_eq!(bucket.get(&1), Some(5), "{name}");
                }
                if name != "fetch_with" {
                    bucket.invalidate(&1);
                } else {
                    // No invalidation: the load itself has ended it.
                    time.advance(TIME / 4);
                }
                if folded {
                    bucket.publish().unwrap();
                }
                assert_eq!(bucket.get(&1), None, "{name}");
                assert_eq!(asked.exists.all(), [1, 7, 1], "{name}, {folded}");
                assert_eq!(bucket.get(&7), None, "{name}");
                assert_eq!(asked.exists.len(), 3, "{name}: that of another key stays");
            }
        }
    });
}

#[test]
fn g4_a_write_alone_ends_it_also_if_the_value_just_expires() {
    bounded(|| {
        let (bucket, asked, time) = remembering(|b| b);
        assert_eq!(bucket.get(&1), None);
        bucket.set_with_ttl(1, 5, Duration::from_secs(1));
        time.advance(Duration::from_secs(1));
        assert_eq!(bucket.get(&1), None);
        assert_eq!(asked.exists.all(), [1, 1]);
    });
}

#[test]
fn g4_an_update_and_its_end_end_it() {
    bounded(|| {
        let (bucket, asked, _time) = remembering(|b| b);
        assert_eq!(bucket.get(&1), None);
        assert_eq!(bucket.update(&1, |_| Some(5)).unwrap(), Some(5));
        assert_eq!(bucket.take(&1).unwrap(), Some(5));
        assert_eq!(bucket.get(&1), None);
        assert_eq!(asked.exists.all(), [1, 1]);
    });
}

#[test]
fn g4_an_answer_that_was_asked_for_before_a_write_is_not_remembered_after_it() {
    bounded(|| {
        let (bucket, asked, _time) = remembering(|b| b);
        asked.door.close();
        let before = bucket.request_load([1]);
        asked.door.await_waiting(1);
        // The source gets the key, so to say, and the bucket is told.
        bucket.invalidate(&1);
        asked.door.release();
        assert!(before.wait(PATIENCE));
        assert_eq!(bucket.get(&1), None);
        assert_eq!(asked.exists.all(), [1, 1], "asked again after the write");
        assert_eq!(bucket.get(&1), None);
        assert_eq!(asked.exists.len(), 2, "and that answer is remembered");
    });
}

#[test]
fn g4_a_flight_from_before_a_write_does_not_answer_who_comes_after_it() {
    bounded(|| {
        let (bucket, asked, _time) = remembering(|b| b.loader_threads(2));
        asked.door.close();
        let before = bucket.request_load([1]);
        asked.door.await_waiting(1);
        bucket.set(1, 5);
        bucket.invalidate(&1);
        let after = {
            let bucket = bucket.clone();
            Task::spawn(move || bucket.fetch(&1).unwrap().origin())
        };
        asked.door.await_waiting(2);
        asked.door.release();
        assert_eq!(after.join(), Origin::Loaded);
        assert!(before.wait(PATIENCE));
        assert_eq!(asked.exists.all(), [1, 1]);
    });
}

#[test]
fn an_extra_ends_it_as_well() {
    bounded(|| {
        let asked = Notes::new();
        let noting = asked.clone();
        let bucket = Numbers::builder("extra")
            .exists(move |key: &u64| {
                noting.add(*key);
                Ok::<_, Broken>(*key != 1)
            })
            .exists_absent_for(TIME)
            .clock(ManualClock::new().clock())
            .bulk_load(|keys: &[u64]| {
                let pairs = keys.iter().map(|&key| (key, Outcome::Value(key)));
                let extra = [(1, Outcome::Expiring(9, Duration::ZERO))];
                Ok::<_, Broken>(pairs.chain(extra).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), None);
        assert_eq!(bucket.get(&2), Some(2));
        assert_eq!(bucket.get(&1), None);
        assert_eq!(asked.all(), [1, 2, 1]);
    });
}

#[test]
fn a_clear_and_a_dataset_end_it_for_all() {
    bounded(|| {
        let (bucket, asked, _time) = remembering(|b| b.load_all(|| Ok::<_, Broken>([(100, 100)])));
        let keys = [1, 3, 5];
        let ask = || assert_eq!(bucket.get_many(&keys), [None; 3]);
        ask();
        ask();
        assert_eq!(asked.exists.len(), 3);
        bucket.clear().unwrap();
        ask();
        ask();
        assert_eq!(asked.exists.len(), 6);
        bucket.refresh().wait(PATIENCE).unwrap();
        ask();
        assert_eq!(asked.exists.len(), 9);
    });
}

#[test]
fn the_memory_is_bounded_and_the_oldest_goes() {
    bounded(|| {
        let (bucket, asked, _time) = remembering(|b| b.exists_capacity(10));
        // 20 odd keys and as many even ones: each kind has a memory of its own.
        for key in 0..40 {
            bucket.get(&key);
            bucket.invalidate(&(key & !1));
        }
        assert_eq!(asked.exists.take().len(), 40);
        let odd = |keys: std::ops::Range<u64>| keys.map(|key| 2 * key + 1);
        for key in odd(10..20) {
            assert_eq!(bucket.get(&key), None);
        }
        assert_eq!(asked.exists.len(), 0, "the last ten are remembered");
        for key in odd(0..10) {
            assert_eq!(bucket.get(&key), None);
        }
        assert_eq!(asked.exists.take().len(), 10, "and no others");
        for key in 10..20 {
            assert_eq!(bucket.get(&(2 * key)), Some(2 * key));
        }
        assert_eq!(asked.exists.len(), 0, "of those that are there too");
        assert_eq!(bucket.get(&0), Some(0));
        assert_eq!(asked.exists.take(), [0]);
    });
}

#[test]
fn a_loader_that_finds_a_key_gone_has_the_hook_asked_again() {
    bounded(|| {
        let gone = Arc::new(AtomicBool::new(false));
        let (asked, is_gone) = (Notes::new(), Arc::clone(&gone));
        let noting = asked.clone();
        let bucket = Numbers::builder("gone")
            .exists(move |key: &u64| {
                noting.add(*key);
                Ok::<_, Broken>(true)
            })
            .load(move |key: &u64| {
                Ok::<_, Broken>((!is_gone.load(Ordering::SeqCst)).then_some(*key))
            })
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), Some(1));
        gone.store(true, Ordering::SeqCst);
        bucket.invalidate(&1);
        assert_eq!((bucket.get(&1), asked.len()), (None, 1));
        assert_eq!((bucket.get(&1), asked.len()), (None, 2));
    });
}

#[test]
fn a_hook_that_fails_or_panics_lets_the_loads_go_on() {
    bounded(|| {
        for panics in [false, true] {
            let (calls, told) = (Arc::new(AtomicUsize::new(0)), Notes::new());
            let (counting, telling) = (Arc::clone(&calls), told.clone());
            let bucket = Numbers::builder("broken")
                .loader_threads(1)
                .exists_absent_for(TIME)
                .observer(move |event: &Event| {
                    if let Event::ExistsFailed { error } = event {
                        telling.add((error.kind(), error.to_string()));
                    }
                })
                .exists(move |_: &u64| {
                    counting.fetch_add(1, Ordering::SeqCst);
                    assert!(!panics, "no table");
                    Err(Broken("no table"))
                })
                .bulk_load(|keys: &[u64]| {
                    Ok::<_, Broken>(keys.iter().map(|&k| (k, k)).collect::<Vec<_>>())
                })
                .build()
                .unwrap();
            assert_eq!(bucket.get_many([&1, &2, &3]), [Some(1), Some(2), Some(3)]);
            assert_eq!(calls.load(Ordering::SeqCst), 1, "once for the batch");
            assert_eq!(bucket.get(&4), Some(4));
            assert_eq!(calls.load(Ordering::SeqCst), 2, "the next batch asks again");
            let stats = bucket.stats();
            assert_eq!(
                (stats.exists_failed, stats.exists_asked, stats.failed),
                (2, 2, 0)
            );
            eventually("two reports", || told.len() == 2);
            let (kind, text) = told.all().remove(0);
            let expected = if panics {
                ErrorKind::Panicked
            } else {
                ErrorKind::Load
            };
            assert_eq!(kind, expected);
            assert!(text.contains("no table"), "{text}");
        }
    });
}

#[test]
fn callers_wait_no_longer_than_their_limit_for_a_hook_that_hangs() {
    bounded(|| {
        let (bucket, asked) = evens(|b| b);
        asked.door.close();
        let limit = Duration::from_millis(1);
        let late = bucket.call().timeout(limit).fetch(&2);
        assert!(late.unwrap_err().is_timeout());
        let ticket = bucket.request_load([4]);
        assert!(!ticket.is_done());
        asked.door.release();
        assert_eq!(bucket.get(&2), Some(2));
        assert!(ticket.wait(PATIENCE));
    });
}

#[test]
fn g7_a_hook_that_asks_for_its_own_key_is_refused_and_others_are_answered() {
    bounded(|| {
        let (slot, kinds) = (
            Arc::new(std::sync::OnceLock::<Numbers>::new()),
            Notes::new(),
        );
        let (inside, noting) = (Arc::clone(&slot), kinds.clone());
        let bucket = Numbers::builder("recursion")
            .loader_threads(1)
            .exists(move |key: &u64| {
                let bucket = inside.get().unwrap();
                match key {
                    1 => {
                        noting.add(bucket.fetch(&1).map_err(|error| error.kind()).err());
                        Ok::<_, Broken>(true)
                    }
                    // Another key, in the same bucket: loaded on this thread.
                    2 => Ok(bucket.get(&4) == Some(4)),
                    _ => Ok(true),
                }
            })
            .load(|key: &u64| Ok::<_, Broken>(*key))
            .build()
            .unwrap();
        assert!(slot.set(bucket.clone()).is_ok());
        assert_eq!(bucket.get(&1), Some(1));
        assert_eq!(kinds.all(), [Some(ErrorKind::Recursion)]);
        assert_eq!(bucket.get(&2), Some(2));
        // A bucket in its own loader never ends by itself.
        bucket.shutdown();
    });
}

#[test]
fn options_without_what_they_are_for_are_refused() {
    type Spoil = fn(Builder<u64, u64>) -> Builder<u64, u64>;
    let load = |b: Builder<u64, u64>| b.load(|key: &u64| Ok::<_, Broken>(*key));
    let cases: [(&str, &str, bool, Spoil); 5] = [
        ("exists", "set", false, |b| {
            b.exists(|_| Ok::<_, Broken>(true))
        }),
        ("exists_absent_for", "set", true, |b| {
            b.exists_absent_for(TIME)
        }),
        ("exists_capacity", "set", true, |b| b.exists_capacity(5)),
        ("exists_capacity", "0", true, |b| {
            b.exists(|_| Ok::<_, Broken>(true)).exists_capacity(0)
        }),
        ("exists_absent_for", "0ns", true, |b| {
            b.exists(|_| Ok::<_, Broken>(true))
                .exists_absent_for(Duration::ZERO)
        }),
    ];
    for (wrong, shown, loads, spoil) in cases {
        let builder = spoil(Numbers::builder("options"));
        let builder = if loads { load(builder) } else { builder };
        match builder.build().unwrap_err() {
            BuildError::Option { option, value, .. } => {
                assert_eq!((option, value.as_str()), (wrong, shown));
            }
            other => panic!("{wrong}: {other:?}"),
        }
    }
}
