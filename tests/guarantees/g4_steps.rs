//! G4 and G5 of several keys changed in one step: nothing is lost, nothing comes between, and no snapshot has a part of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use larder::{Bucket, ErrorKind, ManualClock, Ttl};

use crate::common::{Chance, Door, Held, Notes, Task, bounded, eventually, together};

type Numbers = Bucket<u64, u64>;

const ACCOUNTS: u64 = 6;
const EACH: u64 = 1_000;

fn accounts() -> Numbers {
    let bucket = Numbers::builder("accounts").build().unwrap();
    bucket.set_many((0..ACCOUNTS).map(|account| (account, EACH)));
    bucket
}

/// Moves an amount if it is there. Returns whether it was.
fn transfer(bucket: &Numbers, from: u64, to: u64, amount: u64) -> bool {
    let moved = bucket.update_many([&from, &to], |step| {
        let (there, other) = (*step.get(0).unwrap(), *step.get(1).unwrap());
        if there < amount {
            return false;
        }
        step.set(0, there - amount);
        step.set(1, other + amount);
        true
    });
    moved.unwrap()
}

fn sum<'a>(values: impl Iterator<Item = &'a u64>) -> u64 {
    values.sum()
}

#[test]
fn g4_what_is_moved_in_steps_is_neither_lost_nor_made() {
    bounded(|| {
        let bucket = accounts();
        let (moving, over) = (bucket.clone(), Arc::new(AtomicBool::new(false)));
        let looking = {
            let (bucket, over) = (bucket.clone(), Arc::clone(&over));
            Task::spawn(move || {
                let keys: Vec<u64> = (0..ACCOUNTS).collect();
                let mut looks = 0;
                while !over.load(Ordering::Relaxed) {
                    // G5: in each snapshot, and at each moment that a step is shown.
                    bucket.publish().unwrap();
                    let snapshot = bucket.snapshot();
                    assert_eq!(
                        sum(snapshot.iter().map(|(_, value)| value)),
                        ACCOUNTS * EACH
                    );
                    let seen = bucket.update_many(&keys, |step| {
                        sum((0..step.len()).map(|place| step.get(place).unwrap()))
                    });
                    assert_eq!(seen.unwrap(), ACCOUNTS * EACH);
                    looks += 1;
                }
                looks
            })
        };
        let moved = together(4, move |thread| {
            let mut chance = Chance::new(thread as u64);
            let mut moved = 0;
            for _ in 0..300 {
                let (from, to) = (chance.below(ACCOUNTS), chance.below(ACCOUNTS - 1));
                let to = (from + 1 + to) % ACCOUNTS;
                moved += u32::from(transfer(&moving, from, to, chance.below(2 * EACH)));
            }
            moved
        });
        over.store(true, Ordering::Relaxed);
        assert!(looking.join() > 0);
        assert!(moved.iter().sum::<u32>() > 100, "{moved:?}");
        let left: Vec<u64> = (0..ACCOUNTS).filter_map(|key| bucket.peek(&key)).collect();
        assert_eq!(sum(left.iter()), ACCOUNTS * EACH);
    });
}

/// Steps among updates and writes of single keys, each of which counts.
#[test]
fn g4_steps_and_updates_of_single_keys_lose_nothing() {
    bounded(|| {
        let bucket = accounts();
        let working = bucket.clone();
        let turns = 250;
        together(4, move |thread| {
            for turn in 0..turns {
                match thread {
                    0 => drop(working.update(&0, |value| value.map(|value| value + 1))),
                    1 if turn % 50 == 0 => drop(working.publish().unwrap()),
                    _ => drop(transfer(&working, 0, 1, 1)),
                }
            }
        });
        let both = bucket.update_many([&0, &1], |step| step.get(0).unwrap() + step.get(1).unwrap());
        assert_eq!(both.unwrap(), 2 * EACH + turns);
    });
}

#[test]
fn g4_a_step_says_of_each_key_what_becomes_of_it() {
    bounded(|| {
        for folded in [false, true] {
            let time = ManualClock::new();
            let bucket = Numbers::builder("said")
                .ttl(Duration::from_secs(100))
                .clock(time.clock())
                .build()
                .unwrap();
            bucket.set_many_with_ttl((0..5).map(|key| (key, key)), Duration::from_secs(30));
            if folded {
                bucket.publish().unwrap();
            }
            time.advance(Duration::from_secs(10));
            // Key 1 has two places, and 9 no value.
            let said = bucket.update_many([&0, &1, &2, &3, &1, &9], |step| {
                let found: Vec<_> = (0..step.len())
                    .map(|place| step.get(place).copied())
                    .collect();
                step.remove(0);
                step.set(1, 10);
                step.set_with_ttl(2, 20, Duration::from_secs(1_000));
                assert_eq!(
                    (step.get(0), step.get(1), step.get(4)),
                    (None, Some(&10), Some(&10))
                );
                step.set(4, 11);
                step.set(5, 90);
                (step.is_empty(), found)
            });
            let found = [Some(0), Some(1), Some(2), Some(3), Some(1), None];
            assert_eq!(said.unwrap(), (false, found.to_vec()));
            let left = |seconds| Some(Ttl::Left(Duration::from_secs(seconds)));
            let expected = [
                (0, None, None),
                (1, Some(11), left(20)),
                (2, Some(20), left(1_000)),
                (3, Some(3), left(20)),
                (4, Some(4), left(20)),
                (9, Some(90), left(100)),
            ];
            for _ in 0..2 {
                for (key, value, ttl) in expected {
                    assert_eq!((bucket.peek(&key), bucket.ttl(&key)), (value, ttl), "{key}");
                }
                bucket.publish().unwrap();
            }
            let nothing = bucket.update_many([], |step| (step.len(), step.is_empty()));
            assert_eq!(nothing.unwrap(), (0, true));
        }
    });
}

/// A write of a key that is only looked at, by `change` itself: it is asked again, and made of what is there.
#[test]
fn g4_a_step_is_asked_again_if_a_key_was_changed_meanwhile() {
    bounded(|| {
        type Change = fn(&Numbers);
        let changes: [(Change, Option<u64>); 5] = [
            (|b| b.set(1, 7), Some(7)),
            (|b| b.invalidate(&1), None),
            (|b| b.clear().unwrap(), None),
            (|b| assert_eq!(b.get(&2), Some(20)), Some(1)),
            (
                |b| assert!(b.request_load([1]).wait(Duration::from_secs(20))),
                Some(10),
            ),
        ];
        for (at, (change, seen)) in changes.into_iter().enumerate() {
            let bucket = Numbers::builder("again")
                .load(|key: &u64| Ok::<_, String>(key * 10))
                .build()
                .unwrap();
            bucket.set(1, 1);
            let mut asked = 0;
            let found = bucket.update_many([&1, &2], |step| {
                asked += 1;
                if asked == 1 {
                    change(&bucket);
                }
                let found = step.get(0).copied();
                step.set(1, found.unwrap_or(0) + 1);
                found
            });
            assert_eq!((found.unwrap(), asked), (seen, 2), "change {at}");
            assert_eq!(bucket.peek(&2), Some(seen.unwrap_or(0) + 1), "change {at}");
        }
    });
}

/// Number 7 of what is easily left out, with several keys: nobody holds anything that a fetch could wait for.
#[test]
fn g4_a_step_may_fetch_its_keys_and_be_made_by_their_loader() {
    bounded(|| {
        let own = Arc::new(std::sync::OnceLock::<Numbers>::new());
        let calling = Arc::clone(&own);
        let bucket = Numbers::builder("fetching")
            .load(move |key: &u64| {
                if *key == 5 {
                    let bucket = calling.get().unwrap();
                    bucket
                        .update_many([&5, &6], |step| {
                            step.set(0, 50);
                            step.set(1, 60);
                        })
                        .unwrap();
                }
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        let sum = bucket.update_many([&1, &2], |step| {
            let sum = bucket.get(&1).unwrap() + bucket.get(&2).unwrap();
            step.set(0, sum);
            sum
        });
        assert_eq!((sum.unwrap(), bucket.peek(&1)), (3, Some(3)));
        // What the loader has written itself is newer than what it brings.
        assert_eq!(bucket.get(&5), Some(5));
        assert_eq!((bucket.peek(&5), bucket.peek(&6)), (Some(50), Some(60)));
    });
}

#[test]
fn g4_a_step_that_panics_changes_nothing() {
    bounded(|| {
        let bucket = accounts();
        let stepping = bucket.clone();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            stepping.update_many([&0, &1], |step| {
                step.set(0, 5);
                assert!(step.is_empty(), "on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!((bucket.peek(&0), bucket.peek(&1)), (Some(EACH), Some(EACH)));
        assert!(transfer(&bucket, 0, 1, 1));
    });
}

/// Unlike a write that is refused, which removes what was there.
#[test]
fn g10_a_step_for_which_there_is_no_room_leaves_everything_as_it_was() {
    bounded(|| {
        for folded in [false, true] {
            let bucket = Numbers::builder("full")
                .max_weight(100)
                .weigher(|_, weight: &u64| *weight)
                .clock(ManualClock::new().clock())
                .build()
                .unwrap();
            bucket.set_many([(1, 60), (2, 40)]);
            if folded {
                bucket.publish().unwrap();
            }
            let write = |one, two| {
                bucket.update_many([&1, &2], |step| {
                    step.set(0, one);
                    step.set(1, two);
                })
            };
            assert_eq!(write(61, 40).unwrap_err().kind(), ErrorKind::Full);
            assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(60), Some(40)));
            assert_eq!((bucket.weight(), bucket.stats().refused), (100, 2));
            // No heavier than what is there, in all.
            write(10, 90).unwrap();
            assert_eq!(
                (bucket.peek(&1), bucket.peek(&2), bucket.weight()),
                (Some(10), Some(90), 100)
            );
            write(5, 5).unwrap();
            assert_eq!(bucket.weight(), 10);
            // What crosses the limit may, as the last.
            write(90, 50).unwrap();
            assert_eq!(bucket.weight(), 140);
            bucket.publish().unwrap();
            assert_eq!((bucket.weight(), bucket.snapshot().len()), (140, 2));
        }
    });
}

#[test]
fn g4_a_bucket_that_is_off_stores_no_step_and_one_that_is_shut_down_makes_none() {
    bounded(|| {
        let bucket = accounts();
        bucket.set_caching(false).unwrap();
        let found = bucket.update_many([&0, &1], |step| {
            step.set(0, 5);
            step.get(1).copied()
        });
        assert_eq!((found.unwrap(), bucket.peek(&0)), (None, None));
        bucket.set_caching(true).unwrap();
        bucket.set(0, 7);
        bucket.shutdown();
        let closed = bucket.update_many([&0, &1], |step| step.set(0, 5));
        assert!(closed.unwrap_err().is_closed());
        assert_eq!(bucket.peek(&0), Some(7));
        let read = bucket.update_many([&0, &1], |step| step.get(0).copied());
        assert_eq!(
            read.unwrap(),
            Some(7),
            "what writes nothing waits for nobody"
        );
    });
}

/// Of values that die, a dead one is none, and is written over.
#[test]
fn liveness_a_step_finds_no_dead_value() {
    bounded(|| {
        let living = Arc::new(AtomicU32::new(1));
        let alive = Arc::clone(&living);
        let bucket = Numbers::builder("mortal")
            .alive(move |_, value| *value < 100 || alive.load(Ordering::Relaxed) == 1)
            .build()
            .unwrap();
        bucket.set_many([(1, 100), (2, 20)]);
        living.store(0, Ordering::Relaxed);
        let found = bucket.update_many([&1, &2], |step| {
            let found = (step.get(0).copied(), step.get(1).copied());
            step.set(0, 10);
            step.remove(1);
            found
        });
        assert_eq!(found.unwrap(), (None, Some(20)));
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(10), None));
    });
}

/// The refresher is held up for longer than anybody waits: nothing is changed, then or later.
#[test]
fn g6_a_step_that_is_late_is_no_step() {
    bounded(|| {
        let (door, time) = (Door::open(), ManualClock::new());
        let bucket = Bucket::<u64, Held>::builder("late")
            .clock(time.clock())
            .build()
            .unwrap();
        bucket.set(3, Held(door.clone(), 3));
        door.close();
        let folding = bucket.clone();
        let folded = Task::spawn(move || folding.publish().is_err());
        door.await_waiting(1);
        // Written since that fold began, so it is no other write afterwards.
        bucket.set_many([1, 2].map(|key| (key, Held(Door::open(), key))));
        let (stepping, said, other) = (bucket.clone(), Notes::new(), Door::open());
        let noting = said.clone();
        let late = Task::spawn(move || {
            let stepped = stepping.update_many([&1, &2], |step| {
                step.set(0, Held(other.clone(), 10));
                step.set(1, Held(other.clone(), 20));
            });
            noting.add(stepped.map_err(|error| error.kind()));
        });
        eventually("out of time", || {
            time.advance(Duration::from_secs(60));
            said.len() == 1
        });
        late.join();
        assert_eq!(said.all(), [Err(ErrorKind::Timeout)]);
        door.release();
        folded.join();
        // It is asked for nothing before it has come to what it was asked for then.
        bucket.publish().unwrap();
        let left = [1, 2].map(|key| bucket.with(&key, |held| held.1));
        assert_eq!(left, [Some(1), Some(2)]);
    });
}

/// What it says is never made of what is there. It ends all the same.
#[test]
fn g6_a_step_that_changes_its_own_keys_each_time_is_out_of_time() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("itself")
            .wait_limit(Duration::from_secs(10))
            .clock(time.clock())
            .build()
            .unwrap();
        let mut asked = 0;
        let stepped = bucket.update_many([&1, &2], |step| {
            asked += 1;
            bucket.set(1, asked);
            time.advance(Duration::from_secs(1));
            step.set(1, asked);
        });
        assert!(stepped.unwrap_err().is_timeout());
        assert_eq!((asked, bucket.peek(&2)), (10, None));
    });
}
