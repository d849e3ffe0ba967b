//! G4: no write is lost, and no load that began before a change brings back what was there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use larder::{Bucket, ManualClock};

use crate::common::{Chance, Door, PATIENCE, Task, bounded, settle, together};

type Numbers = Bucket<u64, u64>;

/// The key that all of it is about.
const KEY: u64 = 7;

/// What the load would store.
const LOADED: u64 = 100;

/// A key that a batch is asked for when [`KEY`] comes along as an extra.
const BAIT: u64 = 8;

/// Something that a caller does to the key while a load of it is under way.
struct Change {
    name: &'static str,
    make: fn(&Numbers),
    leaves: Option<u64>,
    /// Changes nothing if the key is there.
    needs_absence: bool,
}

const fn change(name: &'static str, make: fn(&Numbers), leaves: Option<u64>) -> Change {
    Change {
        name,
        make,
        leaves,
        needs_absence: false,
    }
}

const CHANGES: [Change; 15] = [
    change("set", |b| b.set(KEY, 1), Some(1)),
    change("set_many", |b| b.set_many([(6, 6), (KEY, 1)]), Some(1)),
    change(
        "update_many",
        |b| b.update_many([&6, &KEY], |step| step.set(1, 1)).unwrap(),
        Some(1),
    ),
    change("invalidate", |b| b.invalidate(&KEY), None),
    change("invalidate_many", |b| b.invalidate_many([&6, &KEY]), None),
    change("clear", |b| b.clear().unwrap(), None),
    change(
        "set and fold",
        |b| {
            b.set(KEY, 1);
            settle(b);
        },
        Some(1),
    ),
    change(
        "invalidate and fold",
        |b| {
            b.invalidate(&KEY);
            settle(b);
        },
        None,
    ),
    change(
        "clear and fold",
        |b| {
            b.clear().unwrap();
            b.set(6, 6);
            settle(b);
        },
        None,
    ),
    change(
        "set and invalidate",
        |b| {
            b.set(KEY, 1);
            b.invalidate(&KEY);
        },
        None,
    ),
    change(
        "invalidate and set",
        |b| {
            b.invalidate(&KEY);
            b.set(KEY, 1);
        },
        Some(1),
    ),
    change(
        "set, fold, invalidate, fold",
        |b| {
            b.set(KEY, 1);
            settle(b);
            b.invalidate(&KEY);
            settle(b);
        },
        None,
    ),
    change(
        "set and two folds of others",
        |b| {
            b.set(KEY, 1);
            for other in 0..3 {
                settle(b);
                b.set(other, other);
            }
        },
        Some(1),
    ),
    Change {
        needs_absence: true,
        ..change(
            "set_if_absent",
            |b| b.set_if_absent(KEY, 1).unwrap(),
            Some(1),
        )
    },
    Change {
        needs_absence: true,
        ..change(
            "set_if_absent and fold",
            |b| {
                b.set_if_absent(KEY, 1).unwrap();
                settle(b);
            },
            Some(1),
        )
    },
];

/// How a load of the key comes about. `begin` returns at once, and its result waits for the end.
struct Load {
    name: &'static str,
    /// The key is cached when the load begins.
    cached: bool,
    begin: fn(&Numbers, &Door) -> Task<()>,
}

const LOADS: [Load; 6] = [
    Load {
        name: "a miss",
        cached: false,
        begin: |bucket, _| {
            let bucket = bucket.clone();
            // Whoever asked before the change may be told what was true then.
            Task::spawn(move || assert_eq!(bucket.get(&KEY), Some(LOADED)))
        },
    },
    Load {
        name: "a miss in a batch",
        cached: false,
        begin: |bucket, _| {
            let bucket = bucket.clone();
            Task::spawn(move || assert_eq!(bucket.get_many([&3, &KEY])[1], Some(LOADED)))
        },
    },
    Load {
        name: "a requested reload",
        cached: true,
        begin: |bucket, _| {
            let ticket = bucket.request_load([KEY]);
            Task::spawn(move || assert!(ticket.wait(PATIENCE)))
        },
    },
    Load {
        name: "a refresh",
        cached: true,
        begin: |bucket, _| {
            let ticket = bucket.refresh();
            Task::spawn(move || ticket.wait(PATIENCE).unwrap())
        },
    },
    Load {
        name: "a call-time load",
        cached: false,
        begin: |bucket, door| {
            let (bucket, door) = (bucket.clone(), door.clone());
            Task::spawn(move || {
                let load = |_: &u64| {
                    door.pass();
                    Ok::<_, String>(LOADED)
                };
                let fetched = bucket.call().fetch_with(&KEY, load).unwrap();
                assert_eq!(fetched.into_value(), Some(LOADED));
            })
        },
    },
    Load {
        name: "an extra of a batch",
        cached: false,
        begin: |bucket, _| {
            let bucket = bucket.clone();
            Task::spawn(move || assert_eq!(bucket.get(&BAIT), Some(LOADED)))
        },
    },
];

/// Answers with [`LOADED`] for every key, behind a door, and brings [`KEY`] with [`BAIT`].
fn slow_source(door: &Door) -> Numbers {
    let door = door.clone();
    Numbers::builder("changes")
        .clock(ManualClock::new().clock())
        .bulk_load(move |keys: &[u64]| {
            door.pass();
            let extra = keys.contains(&BAIT).then_some(KEY);
            let keys: Vec<u64> = keys.iter().copied().chain(extra).collect();
            Ok::<_, String>(keys.into_iter().map(|key| (key, LOADED)))
        })
        .build()
        .unwrap()
}

fn assert_holds(bucket: &Numbers, expected: Option<u64>, case: &str) {
    let mut reader = bucket.reader();
    assert_eq!(bucket.peek(&KEY), expected, "{case}");
    assert_eq!(reader.get(&KEY).copied(), expected, "{case}");
    assert_eq!(bucket.contains(&KEY), expected.is_some(), "{case}");
    let epoch = bucket.publish().unwrap();
    let snapshot = bucket.snapshot();
    assert_eq!(snapshot.get(&KEY).copied(), expected, "{case}");
    assert!(snapshot.epoch() >= epoch);
    assert_eq!(bucket.peek(&KEY), expected, "{case}, folded");
    assert_eq!(reader.get(&KEY).copied(), expected, "{case}, folded");
}

#[test]
fn g4_a_load_that_began_before_a_change_never_overwrites_it() {
    bounded(|| {
        for load in LOADS {
            for change in CHANGES {
                if change.needs_absence && load.cached {
                    continue;
                }
                let case = format!("{} during {}", change.name, load.name);
                let door = Door::closed();
                let bucket = slow_source(&door);
                if load.cached {
                    bucket.set(KEY, 0);
                }
                bucket.set(5, 5);
                bucket.publish().unwrap();
                let under_way = (load.begin)(&bucket, &door);
                door.await_waiting(1);
                (change.make)(&bucket);
                assert_eq!(bucket.peek(&KEY), change.leaves, "{case}, before its end");
                door.release();
                under_way.join();
                assert_holds(&bucket, change.leaves, &case);
                assert!(bucket.stats().superseded > 0, "{case}: counted");
            }
        }
    });
}

#[test]
fn g4_a_load_that_began_after_the_change_is_stored() {
    bounded(|| {
        for load in LOADS {
            for change in CHANGES {
                if change.leaves.is_some() != load.cached || change.needs_absence {
                    continue;
                }
                let case = format!("{} before {}", change.name, load.name);
                let door = Door::closed();
                let bucket = slow_source(&door);
                bucket.set(KEY, 0);
                (change.make)(&bucket);
                let under_way = (load.begin)(&bucket, &door);
                door.await_waiting(1);
                door.release();
                under_way.join();
                assert_holds(&bucket, Some(LOADED), &case);
                assert_eq!(bucket.stats().superseded, 0, "{case}");
            }
        }
    });
}

#[test]
fn g4_a_get_after_an_invalidate_is_not_answered_by_an_older_load() {
    for folds in [0, 1, 2] {
        bounded(move || {
            let (loads, doors) = (
                Arc::new(AtomicU64::new(0)),
                [Door::closed(), Door::closed()],
            );
            let (counting, at) = (Arc::clone(&loads), doors.clone());
            let bucket = Numbers::builder("older")
                .loader_threads(2)
                .load(move |_: &u64| {
                    let number = counting.fetch_add(1, Ordering::Relaxed);
                    if let Some(door) = at.get(number as usize) {
                        door.pass();
                    }
                    Ok::<_, String>(number)
                })
                .build()
                .unwrap();
            let asking = bucket.clone();
            let before = Task::spawn(move || asking.get(&KEY));
            doors[0].await_waiting(1);
            bucket.invalidate(&KEY);
            for other in 0..folds {
                bucket.publish().unwrap();
                bucket.set(other, other);
            }
            let asking = bucket.clone();
            let after = Task::spawn(move || asking.get(&KEY));
            doors[1].await_waiting(1);
            // The newer one first; then the older one comes in and must leave everything alone.
            doors[1].release();
            assert_eq!(after.join(), Some(1));
            doors[0].release();
            assert_eq!(before.join(), Some(0));
            assert_holds(&bucket, Some(1), "an older load ends last");
        });
    }
}

#[test]
fn g4_own_writes_are_read_back_whatever_is_folded() {
    bounded(|| {
        let bucket = Numbers::builder("own").build().unwrap();
        let (folding, stop) = (bucket.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let folder = Task::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                folding.publish().unwrap();
            }
        });
        let writing = bucket.clone();
        together(4, move |thread| {
            let mut chance = Chance::new(thread as u64);
            let mut reader = writing.reader();
            for round in 0.. {
                if round > 5_000 && writing.epoch() > 50 {
                    break;
                }
                let key = 10 * thread as u64 + chance.below(10);
                let expected = match chance.below(4) {
                    0 => {
                        writing.invalidate(&key);
                        None
                    }
                    1 => {
                        let there = writing.peek(&key);
                        let absent = writing.set_if_absent(key, round);
                        assert_eq!(absent.err(), there);
                        there.or(Some(round))
                    }
                    2 => {
                        writing.set_many([(key, round), (1_000 + key, round)]);
                        Some(round)
                    }
                    _ => {
                        writing.set(key, round);
                        Some(round)
                    }
                };
                assert_eq!(writing.peek(&key), expected);
                assert_eq!(reader.get(&key).copied(), expected);
                assert_eq!(writing.contains(&key), expected.is_some());
            }
        });
        stop.store(true, Ordering::Relaxed);
        folder.join();
    });
}

#[test]
fn g4_a_write_that_has_returned_is_seen_by_whoever_hears_of_it() {
    bounded(|| {
        let bucket = Numbers::builder("told").build().unwrap();
        let (told, hears) = mpsc::sync_channel::<(u64, u64)>(0);
        let writing = bucket.clone();
        let writer = Task::spawn(move || {
            for number in 1..5_000 {
                let key = number % 3;
                writing.set(key, number);
                told.send((key, number)).unwrap();
                if number % 7 == 0 {
                    writing.publish().unwrap();
                }
            }
        });
        let mut reader = bucket.reader();
        for (key, number) in hears {
            assert!(bucket.peek(&key) >= Some(number));
            assert!(reader.get(&key) >= Some(&number));
        }
        writer.join();
    });
}

#[test]
fn g4_of_several_that_set_if_absent_one_wins_and_all_know_which() {
    bounded(|| {
        const KEYS: u64 = 300;
        let bucket = Numbers::builder("winner").build().unwrap();
        let trying = bucket.clone();
        let outcomes = together(6, move |thread| {
            (0..KEYS)
                .map(|key| {
                    if thread == 0 && key % 10 == 0 {
                        trying.publish().unwrap();
                    }
                    trying.set_if_absent(key, thread as u64)
                })
                .collect::<Vec<_>>()
        });
        for key in 0..KEYS {
            let of_key = || outcomes.iter().map(|outcome| outcome[key as usize]);
            let winner = of_key().position(|outcome| outcome.is_ok()).unwrap() as u64;
            assert_eq!(of_key().filter(Result::is_ok).count(), 1);
            assert!(of_key().all(|outcome| outcome.is_ok() || outcome == Err(winner)));
            assert_eq!(bucket.peek(&key), Some(winner));
        }
    });
}

#[test]
fn g4_a_set_is_never_lost_to_a_set_if_absent() {
    bounded(|| {
        const KEYS: u64 = 2_000;
        let bucket = Numbers::builder("set").build().unwrap();
        let racing = bucket.clone();
        together(3, move |thread| {
            for key in 0..KEYS {
                match thread {
                    0 => racing.set(key, 1),
                    1 => drop(racing.set_if_absent(key, 2)),
                    _ => drop(racing.publish()),
                }
            }
        });
        // Whichever came first, the set has the last word.
        assert!((0..KEYS).all(|key| bucket.peek(&key) == Some(1)));
    });
}

/// Sums from many threads, beside folds, writes of other keys, and times that are changed.
#[test]
fn g4_no_update_is_lost() {
    const THREADS: u64 = 4;
    const TURNS: u64 = 3_000;
    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("sums").build().unwrap();
        let started = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (bucket, started) = (&bucket, &started);
                scope.spawn(move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    while started.load(Ordering::SeqCst) < THREADS {
                        std::hint::spin_loop();
                    }
                    for turn in 0..TURNS {
                        let sum = bucket.update(&0, |sum| Some(sum.copied().unwrap_or(0) + 1));
                        assert!(sum.unwrap().is_some());
                        match turn % 8 {
                            0 => drop(bucket.publish()),
                            1 => drop(bucket.persist(&0)),
                            2 => bucket.set(1 + thread, turn),
                            _ => {}
                        }
                    }
                });
            }
        });
        assert_eq!(bucket.peek(&0), Some(THREADS * TURNS));
        assert_eq!(bucket.take(&0).unwrap(), Some(THREADS * TURNS));
        assert_eq!(bucket.take(&0).unwrap(), None);
    });
}
