//! Bugs of stale values: what was replaced comes back, or what was written is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, ManualClock};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, eventually, settle, together};

type Numbers = Bucket<u64, u64>;

/// A bucket whose loader reads its source, and stands at a door before it hands the value over.
fn slow(source: &Arc<AtomicU64>, door: &Door) -> Numbers {
    let (source, door) = (Arc::clone(source), door.clone());
    Numbers::builder("slow")
        .load(move |_: &u64| {
            let read = source.load(Ordering::SeqCst);
            door.pass();
            Ok::<_, String>(read)
        })
        .build()
        .unwrap()
}

// ben-manes/caffeine #193; duomark/epocxy #43: a load began, the key was invalidated, the load ended and
// stored what it had read before. It answers its own callers, and stores nothing.
#[test]
fn caffeine_193_an_invalidation_during_a_load() {
    type Change = fn(&Numbers);
    let changes: [(Change, Option<u64>); 3] = [
        (|bucket| bucket.invalidate(&1), None),
        (|bucket| bucket.set(1, 5), Some(5)),
        (|bucket| bucket.clear().unwrap(), None),
    ];
    for (change, left) in changes {
        bounded(move || {
            let (source, door) = (Arc::new(AtomicU64::new(1)), Door::closed());
            let bucket = slow(&source, &door);
            let asking = bucket.clone();
            let asked_before = Task::spawn(move || asking.get(&1));
            door.await_waiting(1);
            source.store(2, Ordering::SeqCst);
            change(&bucket);
            door.release();
            assert_eq!(asked_before.join(), Some(1));
            assert_eq!(bucket.peek(&1), left);
            settle(&bucket);
            assert_eq!(bucket.peek(&1), left);
            assert_eq!(bucket.get(&1), Some(left.unwrap_or(2)), "whoever asks now");
        });
    }
}

// ben-manes/caffeine #175, #467, #277, #714: a refresh slower than its interval was thrown away each
// time, and callers saw old data for ever. It does not overlap itself, and each result is installed.
#[test]
fn caffeine_175_a_refresh_that_takes_three_intervals() {
    bounded(|| {
        let every = Duration::from_secs(1);
        let (time, door, calls) = (ManualClock::new(), Door::closed(), Notes::new());
        let (at, noting, clock) = (door.clone(), calls.clone(), time.clock());
        let bucket = Numbers::builder("intervals")
            .clock(time.clock())
            .refresh_every(every)
            .refresh_jitter(0.0)
            .load(move |_: &u64| {
                let read = clock.now().as_secs();
                noting.add(read);
                at.pass();
                Ok::<_, String>(read)
            })
            .build()
            .unwrap();
        bucket.set(7, 0);
        let mut expected = Vec::new();
        for round in 1..=4 {
            door.close();
            time.advance(every);
            door.await_waiting(1);
            expected.push(time.clock().now().as_secs());
            for _ in 0..3 {
                time.advance(every);
                settle(&bucket);
            }
            assert_eq!(calls.all(), expected, "one at a time");
            door.release();
            eventually("its end", || bucket.stats().refreshes == round);
            settle(&bucket);
            assert_eq!(bucket.peek(&7), expected.last().copied());
        }
    });
}

// ben-manes/caffeine #1970: a refresh that had finished was discarded and begun again, its token being
// removed before the value was swapped. The value always is the number of loads that have ended.
#[test]
fn caffeine_1970_the_value_is_the_number_of_loads() {
    bounded(|| {
        let loads = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&loads);
        let bucket = Numbers::builder("number")
            .load(move |_: &u64| Ok::<_, String>(1 + counting.fetch_add(1, Ordering::SeqCst)))
            .build()
            .unwrap();
        let asking = bucket.clone();
        together(3, move |thread| {
            let mut last = 0;
            for _ in 0..300 {
                match thread {
                    0 => assert!(asking.request_load([1]).wait(PATIENCE)),
                    1 => asking.refresh().wait(PATIENCE).unwrap(),
                    _ => assert!(asking.publish().is_ok()),
                }
                let value = asking.get(&1).unwrap();
                assert!(value >= last, "{value} after {last}");
                last = value;
            }
        });
        assert_eq!(bucket.peek(&1), Some(loads.load(Ordering::SeqCst)));
        assert_eq!(bucket.stats().superseded, 0, "no load was in vain");
    });
}

// moka-rs/moka PR #574, PR #593: a compute decided on a stale look, and reported what did not happen.
// What `set_if_absent` says is what it did: a chain of them, each undone by its winner, has no gap.
#[test]
fn moka_574_what_is_reported_is_what_happened() {
    bounded(|| {
        let bucket = Numbers::builder("outcome").build().unwrap();
        let (trying, wins) = (bucket.clone(), Arc::new(AtomicU64::new(0)));
        let counting = Arc::clone(&wins);
        together(4, move |thread| {
            for round in 0..1_000 {
                let mine = 10_000 * thread as u64 + round;
                match trying.set_if_absent(1, mine) {
                    // Ours until we take it away: nobody else may have won meanwhile.
                    Ok(()) => {
                        assert_eq!(counting.fetch_add(1, Ordering::SeqCst) % 2, 0);
                        assert_eq!(trying.peek(&1), Some(mine));
                        assert_eq!(trying.set_if_absent(1, 0), Err(mine));
                        if thread == 0 && round % 50 == 0 {
                            trying.publish().unwrap();
                        }
                        assert_eq!(counting.fetch_add(1, Ordering::SeqCst) % 2, 1);
                        trying.invalidate(&1);
                    }
                    Err(there) => assert_ne!(there, mine),
                }
            }
        });
        assert!(wins.load(Ordering::SeqCst) >= 8);
        assert_eq!(bucket.peek(&1), None);
    });
}

// MystenLabs/sui PR #20236: users took it for granted that "insert if absent" and "insert" race well.
// Between any two writes of a key: a `set` is never undone by a `set_if_absent` that saw nothing.
#[test]
fn sui_20236_set_against_set_if_absent() {
    bounded(|| {
        let bucket = Numbers::builder("race").build().unwrap();
        for key in 0..300 {
            let racing = bucket.clone();
            let absent = together(2, move |thread| match thread {
                0 => {
                    racing.set(key, 1);
                    None
                }
                _ => Some(racing.set_if_absent(key, 2)),
            });
            // Before the set, or refused by it.
            assert!(matches!(absent[1], Some(Ok(()) | Err(1))), "{absent:?}");
            assert_eq!(bucket.peek(&key), Some(1));
        }
    });
}

// moka-rs/moka #155: `invalidate_all` compared times of a coarse clock, and what was written in the same
// tick survived, or died. Numbers order events: the clock stands still all the time.
#[test]
fn moka_155_everything_happens_in_one_tick() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("tick")
            .clock(time.clock())
            .load(|key: &u64| Ok::<_, String>(key + 100))
            .build()
            .unwrap();
        for round in 0..50 {
            bucket.set(1, round);
            bucket.clear().unwrap();
            assert_eq!((bucket.peek(&1), bucket.len()), (None, 0));
            assert_eq!(bucket.get(&1), Some(101));
            bucket.invalidate(&1);
            assert_eq!(bucket.peek(&1), None);
            bucket.set(1, round);
            assert_eq!(bucket.peek(&1), Some(round));
            settle(&bucket);
            bucket.clear().unwrap();
            bucket.set(1, round);
            settle(&bucket);
            assert_eq!((bucket.peek(&1), bucket.len()), (Some(round), 1));
        }
        assert_eq!(time.clock().now(), Duration::ZERO);
    });
}

// ben-manes/caffeine #568, #1820: a reader saw nothing for a key that was present all the time, while it
// was overwritten. Never absent, never older: over folds, reloads and refreshes, on each way to read.
#[test]
fn caffeine_568_a_key_that_is_overwritten_is_never_absent() {
    bounded(|| {
        let bucket = Numbers::builder("present")
            .load(|_: &u64| Err::<u64, _>("it must not be asked for a miss"))
            .build()
            .unwrap();
        bucket.set_many([(1, 0), (2, 0)]);
        let stop = Arc::new(AtomicBool::new(false));
        let busy = |work: fn(&Numbers, u64)| {
            let (bucket, stop) = (bucket.clone(), Arc::clone(&stop));
            Task::spawn(move || {
                for round in 1.. {
                    work(&bucket, round);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::yield_now();
                }
            })
        };
        let tasks = [
            busy(|bucket, round| bucket.set(1, round)),
            busy(|bucket, round| bucket.set_many([(2, round), (3, round)])),
            busy(|bucket, _| assert!(bucket.publish().is_ok())),
            busy(|bucket, _| assert!(bucket.request_load([1, 2]).wait(PATIENCE))),
        ];
        let mut reader = bucket.reader();
        let mut last = [0; 2];
        for round in 0_u64.. {
            for (key, last) in (1..).zip(&mut last) {
                let seen = match round % 4 {
                    0 => bucket.peek(&key),
                    1 => reader.get(&key).copied(),
                    2 => bucket.fetch(&key).unwrap().into_value(),
                    _ => bucket.get_many([&key])[0],
                };
                assert!(seen >= Some(*last), "{seen:?} after {last}");
                *last = seen.unwrap();
                assert!(bucket.contains(&key));
            }
            if round > 5_000 && bucket.epoch() > 30 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        tasks.into_iter().for_each(Task::join);
    });
}

// wvwwvwwv/scc 1.x to 3.x: iteration met insertion and clearing, and saw entries twice or not at all.
// A snapshot is iterated while all that happens: each key once, always the same.
#[test]
fn scc_iteration_during_folds_clears_and_growth() {
    bounded(|| {
        let bucket = Numbers::builder("iterated").build().unwrap();
        let changing = bucket.clone();
        together(3, move |thread| {
            for round in 0..150 {
                match thread {
                    0 => {
                        changing.set_many((0..20 + round % 50 * 7).map(|key| (key, round)));
                        changing.publish().unwrap();
                        if round % 10 == 9 {
                            changing.clear().unwrap();
                        }
                    }
                    1 => changing.invalidate(&(round % 20)),
                    _ => {
                        let snapshot = changing.snapshot();
                        let first: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
                        let again: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
                        assert_eq!(first, again);
                        assert_eq!(first.len(), snapshot.len());
                        let mut keys: Vec<_> = first.into_iter().map(|(key, _)| key).collect();
                        keys.sort_unstable();
                        keys.dedup();
                        assert_eq!(keys.len(), snapshot.len(), "each key once");
                    }
                }
            }
        });
    });
}
