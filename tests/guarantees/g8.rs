//! G8: a refresh keeps what it has, never overlaps itself, and nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, ErrorKind, Event, ManualClock, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, Tally, Task, bounded, eventually, settle};

type Numbers = Bucket<u64, u64>;

const EVERY: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const INSTANT: Duration = Duration::from_millis(1);

/// A bucket that refreshes by itself, and the times at which it asked for the dataset.
fn timed(time: &ManualClock, jitter: f64, door: &Door) -> (Numbers, Notes<Duration>) {
    let (notes, clock, door) = (Notes::new(), time.clock(), door.clone());
    let noting = notes.clone();
    let bucket = Numbers::builder("timed")
        .clock(time.clock())
        .refresh_every(EVERY)
        .refresh_jitter(jitter)
        .load_all(move || {
            noting.add(clock.now());
            door.pass();
            Ok::<_, String>([(1, 1)])
        })
        .build()
        .unwrap();
    (bucket, notes)
}

/// Moves the time on and says whether a refresh came of it. Asks for one more to find out: one that
/// has begun by itself comes before it.
fn refreshes_within(
    bucket: &Numbers,
    time: &ManualClock,
    notes: &Notes<Duration>,
    by: Duration,
) -> bool {
    let before = notes.len();
    time.advance(by);
    settle(bucket);
    bucket.refresh().wait(PATIENCE).unwrap();
    settle(bucket);
    notes.len() - before == 2
}

#[test]
fn g8_the_interval_runs_from_the_end_of_the_last_refresh() {
    bounded(|| {
        let (time, door) = (ManualClock::new(), Door::open());
        let (bucket, notes) = timed(&time, 0.0, &door);
        // The first one counts from the start, and one that was asked for begins the interval anew.
        assert!(!refreshes_within(&bucket, &time, &notes, EVERY - INSTANT));
        assert!(!refreshes_within(&bucket, &time, &notes, EVERY - INSTANT));
        assert!(refreshes_within(&bucket, &time, &notes, EVERY));

        // One that takes three intervals: nothing else begins, and the next counts from its end.
        door.close();
        notes.take();
        let begun = time.clock().now() + EVERY;
        time.advance(EVERY);
        door.await_waiting(1);
        for _ in 0..3 {
            time.advance(EVERY);
            settle(&bucket);
        }
        assert_eq!(notes.take(), [begun]);
        let done = bucket.stats().refreshes;
        door.release();
        eventually("its end", || bucket.stats().refreshes == done + 1);
        settle(&bucket);
        assert!(!refreshes_within(&bucket, &time, &notes, EVERY - INSTANT));
        assert!(refreshes_within(&bucket, &time, &notes, EVERY));
    });
}

#[test]
fn g8_jitter_only_delays_and_differs_from_time_to_time() {
    bounded(|| {
        let (time, door) = (ManualClock::new(), Door::open());
        let (bucket, notes) = timed(&time, 1.0, &door);
        let (mut sooner, mut later) = (0, 0);
        for _ in 0..40 {
            assert!(!refreshes_within(&bucket, &time, &notes, EVERY - INSTANT));
            assert!(refreshes_within(&bucket, &time, &notes, 2 * EVERY));
            match refreshes_within(&bucket, &time, &notes, EVERY * 3 / 2) {
                true => sooner += 1,
                false => later += 1,
            }
        }
        assert!(sooner > 3 && later > 3, "{sooner} sooner, {later} later");
    });
}

#[test]
fn g8_a_refresh_never_overlaps_itself() {
    bounded(|| {
        let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (run, high) = (Arc::clone(&running), Arc::clone(&most));
        let bucket = Numbers::builder("overlap")
            .load_all(move || {
                high.fetch_max(1 + run.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                std::thread::yield_now();
                run.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, String>([(1, 1)])
            })
            .build()
            .unwrap();
        let asking = bucket.clone();
        crate::common::together(4, move |_| {
            for _ in 0..50 {
                asking.refresh().wait(PATIENCE).unwrap();
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        // Those who ask together share one; nobody is served by one that began before.
        assert!((50..=200).contains(&bucket.stats().refreshes));
    });
}

#[test]
fn g8_who_asks_during_a_refresh_gets_the_next_one() {
    bounded(|| {
        let (source, door) = (Arc::new(AtomicU64::new(1)), Door::closed());
        let (reading, at) = (Arc::clone(&source), door.clone());
        let bucket = Numbers::builder("next")
            .load_all(move || {
                let read = reading.load(Ordering::SeqCst);
                at.pass();
                Ok::<_, String>([(1, read)])
            })
            .build()
            .unwrap();
        let first = bucket.refresh();
        door.await_waiting(1);
        source.store(2, Ordering::SeqCst);
        let second = bucket.refresh();
        door.release();
        first.wait(PATIENCE).unwrap();
        second.wait(PATIENCE).unwrap();
        assert_eq!((bucket.peek(&1), bucket.stats().refreshes), (Some(2), 2));
        assert!(second.result().is_some_and(|result| result.is_ok()));
    });
}

#[test]
fn g8_failures_and_panics_leave_what_is_there_and_the_next_refresh_works() {
    enum Fault {
        Error,
        Panic,
        LatePanic,
    }
    for fault in [Fault::Error, Fault::Panic, Fault::LatePanic] {
        bounded(move || {
            let (round, events) = (Arc::new(AtomicU64::new(0)), Notes::new());
            let (counting, noting) = (Arc::clone(&round), events.clone());
            let bucket = Numbers::builder("faults")
                .load_all(move || {
                    let round = counting.fetch_add(1, Ordering::SeqCst);
                    match (round % 2, &fault) {
                        (1, Fault::Error) => return Err(Broken("dataset")),
                        (1, Fault::Panic) => panic!("in load_all"),
                        _ => {}
                    }
                    let late = round % 2 == 1;
                    Ok((0..10).map(move |key| {
                        assert!(!late || key < 5, "in its iterator");
                        (key, round)
                    }))
                })
                .observer(move |event: &Event| noting.add(format!("{event:?}")))
                .build()
                .unwrap();
            for expected in [0, 2, 4] {
                bucket.refresh().wait(PATIENCE).unwrap();
                let error = bucket.refresh().wait(PATIENCE).unwrap_err();
                assert!(matches!(
                    error.kind(),
                    ErrorKind::Load | ErrorKind::Panicked
                ));
                assert_eq!(bucket.len(), 10);
                assert!((0..10).all(|key| bucket.peek(&key) == Some(expected)));
            }
            let stats = bucket.stats();
            assert_eq!((stats.refreshes, stats.refreshes_failed), (3, 3));
            bucket.shutdown();
            let told = events.all();
            assert_eq!(told.len(), 3);
            assert!(told.iter().all(|event| event.contains("RefreshFailed")));
        });
    }
}

#[test]
fn g8_a_refresh_by_key_takes_what_it_gets_and_keeps_the_rest() {
    bounded(|| {
        let events = Notes::new();
        let noting = events.clone();
        let bucket = Numbers::builder("keys")
            .batch_size(2)
            .bulk_load(|keys: &[u64]| {
                if keys.iter().any(|&key| key >= 100) {
                    return Err(Broken("the whole batch"));
                }
                Ok(keys
                    .iter()
                    .filter(|&&key| key != 2)
                    .map(|&key| match key {
                        0 => (key, Outcome::Absent),
                        1 => (key, Outcome::Failed(Broken("one key").into())),
                        3 => (key, Outcome::Ignore(0)),
                        _ => (key, Outcome::Value(10 * key)),
                    })
                    .collect::<Vec<_>>())
            })
            .observer(move |event: &Event| {
                if let Event::RefreshFailed { error, keys } = event {
                    noting.add((error.is_none(), *keys));
                }
            })
            .build()
            .unwrap();
        // Absent by word or by silence goes; failed or ignored stays; the rest is new.
        bucket.set_many((0..6).map(|key| (key, 1)));
        bucket.refresh().wait(PATIENCE).unwrap();
        let now: Vec<_> = (0..6).map(|key| bucket.peek(&key)).collect();
        assert_eq!(now, [None, Some(1), None, Some(1), Some(40), Some(50)]);
        assert_eq!(bucket.len(), 4);
        // A batch that fails as a whole keeps its keys, and stops no other.
        bucket.clear().unwrap();
        bucket.set_many((4..24).chain([100]).map(|key| (key, 1)));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.len(), bucket.peek(&100)), (21, Some(1)));
        let fresh = (4..24).filter(|key| bucket.peek(key) == Some(10 * key));
        assert!(fresh.count() >= 19);
        bucket.shutdown();
        let told = events.all();
        assert_eq!((told.len(), told[0]), (2, (true, 1)));
        assert!(told[1].0 && (1..=2).contains(&told[1].1));
    });
}

#[test]
fn g8_nobody_waits_for_a_refresh_and_misses_go_ahead_of_it() {
    bounded(|| {
        let (door, tally, calls) = (Door::open(), Tally::new(), Notes::new());
        let (at, counting, noting) = (door.clone(), tally.clone(), calls.clone());
        let bucket = Numbers::builder("sweep")
            .batch_size(10)
            .loader_threads(3)
            .bulk_load(move |keys: &[u64]| {
                noting.add(keys[0]);
                // One name for all sweepers: how many are there at a time?
                let sweeping = keys[0] < 1_000;
                if sweeping {
                    counting.during(&0, || at.pass());
                }
                Ok::<_, String>(keys.iter().map(|&key| (key, key + 1)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        bucket.set_many((0..100).map(|key| (key, 0)));
        bucket.publish().unwrap();
        let mut reader = bucket.reader();
        door.close();
        let refresh = bucket.refresh();
        door.await_waiting(2);
        // As many threads as may sweep stand still; reads, misses, writes and folds go on.
        for round in 0..20 {
            let key = 1_000 + round;
            assert_eq!(bucket.get(&key), Some(key + 1));
            assert_eq!(reader.get(&round), Some(&0));
            assert_eq!(bucket.get(&round), Some(0));
            bucket.set(2_000 + round, 0);
            bucket.publish().unwrap();
        }
        assert_eq!(
            (tally.most_at_once(), refresh.result().is_none()),
            (2, true)
        );
        door.release();
        refresh.wait(PATIENCE).unwrap();
        assert_eq!(tally.most_at_once(), 2);
        assert!((0..100).all(|key| bucket.peek(&key) == Some(key + 1)));
    });
}

#[test]
fn g8_a_miss_waits_for_one_batch_of_a_sweep_at_most() {
    bounded(|| {
        let (door, calls) = (Door::open(), Notes::new());
        let (at, noting) = (door.clone(), calls.clone());
        let bucket = Numbers::builder("one")
            .batch_size(10)
            .loader_threads(1)
            .bulk_load(move |keys: &[u64]| {
                noting.add(keys[0] >= 1_000);
                at.pass();
                Ok::<_, String>(keys.iter().map(|&key| (key, key)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        bucket.set_many((0..100).map(|key| (key, 0)));
        door.close();
        let refresh = bucket.refresh();
        door.await_waiting(1);
        let miss = bucket.request_load([1_000]);
        door.release();
        assert!(miss.wait(PATIENCE));
        refresh.wait(PATIENCE).unwrap();
        assert_eq!(calls.all()[..3], [false, true, false]);
        assert_eq!(calls.len(), 11);
    });
}

#[test]
fn g8_a_dataset_replaces_exactly_and_keeps_what_was_written_meanwhile() {
    for folds in [false, true] {
        bounded(move || {
            let door = Door::open();
            let at = door.clone();
            let bucket = Numbers::builder("exact")
                .clock(ManualClock::new().clock())
                .load(|key: &u64| Ok::<_, String>(key + 5_000))
                .load_all(move || {
                    at.pass();
                    // Of two pairs with one key the last counts.
                    let twice = [(50, 0), (50, 50)];
                    Ok::<_, String>((0..20_u64).map(|key| (key, key)).chain(twice))
                })
                .build()
                .unwrap();
            bucket.set_many((15..40).map(|key| (key, 999)));
            bucket.refresh().wait(PATIENCE).unwrap();
            let expected = |key: &u64| (*key < 20 || *key == 50).then_some(*key);
            assert!((0..60).all(|key| bucket.peek(&key) == expected(&key)));
            assert_eq!(bucket.len(), 21);

            door.close();
            let refresh = bucket.refresh();
            door.await_waiting(1);
            let fold = || {
                if folds {
                    settle(&bucket);
                }
            };
            bucket.set(1, 1001);
            bucket.set(30, 1030);
            fold();
            bucket.invalidate(&2);
            bucket.set(3, 0);
            fold();
            bucket.set_many([(3, 1003), (31, 1031)]);
            bucket.invalidate(&31);
            assert_eq!(bucket.get(&32), Some(5_032));
            assert!(bucket.set_if_absent(33, 1033).is_ok());
            let before = bucket.epoch();
            door.release();
            refresh.wait(PATIENCE).unwrap();
            assert!(bucket.epoch() > before);
            let newer = |key: u64| match key {
                1 | 3 | 30 | 33 => Some(1_000 + key),
                2 | 31 => None,
                32 => Some(5_032),
                _ => expected(&key),
            };
            for _ in 0..2 {
                assert!((0..60).all(|key| bucket.peek(&key) == newer(key)));
                assert_eq!(bucket.len(), 23);
                settle(&bucket);
                assert_eq!(bucket.snapshot().len(), 23);
            }
        });
    }
}

#[test]
fn g8_what_was_loaded_from_before_a_dataset_does_not_overwrite_it() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("newer")
            .load(move |_: &u64| {
                at.pass();
                Ok::<_, String>(1)
            })
            .load_all(|| Ok::<_, String>([(7, 2)]))
            .build()
            .unwrap();
        let asking = bucket.clone();
        let older = Task::spawn(move || asking.get(&7));
        door.await_waiting(1);
        bucket.refresh().wait(PATIENCE).unwrap();
        door.release();
        assert_eq!(older.join(), Some(1));
        assert_eq!(bucket.peek(&7), Some(2));
        settle(&bucket);
        assert_eq!(bucket.peek(&7), Some(2));
    });
}

#[test]
fn g8_a_clear_during_a_refresh_is_not_undone_by_it() {
    bounded(|| {
        let (source, door) = (Arc::new(AtomicU64::new(1)), Door::closed());
        let (reading, at) = (Arc::clone(&source), door.clone());
        let bucket = Numbers::builder("cleared")
            .load_all(move || {
                let read = reading.load(Ordering::SeqCst);
                at.pass();
                Ok::<_, String>([(read, read)])
            })
            .build()
            .unwrap();
        let refresh = bucket.refresh();
        door.await_waiting(1);
        bucket.clear().unwrap();
        source.store(2, Ordering::SeqCst);
        door.release();
        refresh.wait(PATIENCE).unwrap();
        // What was read before the clear is dropped, and read again for who asked.
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(2)));
    });
}

#[test]
fn g8_a_timed_refresh_by_key_goes_on_for_ever() {
    bounded(|| {
        let (time, calls) = (ManualClock::new(), Arc::new(AtomicU64::new(0)));
        let counting = Arc::clone(&calls);
        let bucket = Numbers::builder("ever")
            .clock(time.clock())
            .refresh_every(EVERY)
            .refresh_jitter(0.0)
            .load(
                move |_: &u64| match counting.fetch_add(1, Ordering::SeqCst) % 3 {
                    0 => Err(Broken("now and then")),
                    1 => panic!("now and then"),
                    call => Ok(call),
                },
            )
            .build()
            .unwrap();
        // An empty bucket has nothing to ask for, and goes on all the same.
        for round in 1..=3 {
            time.advance(EVERY);
            eventually("a round", || bucket.stats().refreshes == round);
            settle(&bucket);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 0);
        bucket.set(1, 99);
        for round in 1..=9 {
            time.advance(EVERY);
            eventually("a round", || bucket.stats().refreshes == 3 + round);
            settle(&bucket);
            assert_eq!(calls.load(Ordering::SeqCst), round);
            let expected = if round < 3 { 99 } else { 2 };
            assert_eq!(bucket.peek(&1), Some(expected));
            time.advance(SECOND);
        }
        assert_eq!(bucket.stats().refreshes_failed, 6);
    });
}
