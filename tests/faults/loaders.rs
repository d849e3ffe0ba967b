//! Loaders that fail, stall, panic and lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, ManualClock, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, bounded, eventually};

type Numbers = Bucket<u64, u64>;
type Pairs = Vec<(u64, Outcome<u64>)>;

/// What a batch loader does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Error,
    Panic,
    PanicLate,
    Empty,
    HalfMissing,
    HalfFailed,
    Extras,
    Reversed,
    Twice,
    OnlyOthers,
}

const FAULTS: [Fault; 10] = [
    Fault::Error,
    Fault::Panic,
    Fault::PanicLate,
    Fault::Empty,
    Fault::HalfMissing,
    Fault::HalfFailed,
    Fault::Extras,
    Fault::Reversed,
    Fault::Twice,
    Fault::OnlyOthers,
];

fn right(key: u64) -> u64 {
    key * 10
}

impl Fault {
    fn answer(self, keys: &[u64]) -> Result<Pairs, Broken> {
        let good = || keys.iter().map(|&key| (key, Outcome::Value(right(key))));
        let fails = || Outcome::Failed(Broken("one").into());
        Ok(match self {
            Self::Error => return Err(Broken("all")),
            Self::Panic => panic!("at once"),
            Self::PanicLate => {
                let mut given = 0;
                let late = good().inspect(|_| {
                    given += 1;
                    assert!(given < keys.len(), "at the last one");
                });
                late.collect()
            }
            Self::Empty => Vec::new(),
            Self::HalfMissing => good().filter(|(key, _)| key % 2 == 0).collect(),
            Self::HalfFailed => keys
                .iter()
                .map(|&key| match key % 2 {
                    0 => (key, Outcome::Value(right(key))),
                    _ => (key, fails()),
                })
                .collect(),
            // An extra that is no value has nothing to store.
            Self::Extras => good()
                .chain(
                    keys.iter()
                        .map(|key| (key + 1_000, Outcome::Value(right(*key)))),
                )
                .chain([(2_000, Outcome::Absent), (2_001, fails())])
                .chain([(2_002, Outcome::Ignore(1))])
                .collect(),
            Self::Reversed => good().rev().collect(),
            // Of two answers for one key the last counts.
            Self::Twice => keys
                .iter()
                .flat_map(|&key| {
                    let wrong = [Outcome::Value(1), Outcome::Absent, fails()];
                    wrong.map(|wrong| (key, wrong))
                })
                .chain(good())
                .collect(),
            Self::OnlyOthers => keys
                .iter()
                .map(|key| (key + 1_000, Outcome::Value(right(*key))))
                .collect(),
        })
    }

    /// What becomes of a key that was asked for, whether it was cached before as 7 or not.
    fn leaves(self, key: u64, before: Option<u64>) -> Option<u64> {
        match self {
            Self::Error | Self::Panic | Self::PanicLate => before,
            Self::Empty | Self::OnlyOthers => None,
            Self::HalfMissing => key.is_multiple_of(2).then(|| right(key)),
            Self::HalfFailed if key % 2 == 1 => before,
            Self::HalfFailed | Self::Extras | Self::Reversed | Self::Twice => Some(right(key)),
        }
    }

    fn brings_extras(self) -> bool {
        matches!(self, Self::Extras | Self::OnlyOthers)
    }
}

/// A bucket whose loader makes the fault in call number `at`, and none in any other.
fn faulty(fault: Fault, at: usize) -> (Numbers, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let bucket = Numbers::builder("faulty")
        .loader_threads(1)
        .bulk_load(move |keys: &[u64]| {
            if counting.fetch_add(1, Ordering::SeqCst) == at {
                return fault.answer(keys);
            }
            Fault::Reversed.answer(keys)
        })
        .build()
        .unwrap();
    (bucket, calls)
}

#[test]
fn a_loader_that_goes_wrong_once_harms_that_call_only() {
    bounded(|| {
        for fault in FAULTS {
            for at in 0..3 {
                let (bucket, calls) = faulty(fault, at);
                for call in 0..4 {
                    let keys: Vec<u64> = (0..10).map(|key| 10 * call as u64 + key).collect();
                    let case = format!("{fault:?} in call {at}, at call {call}");
                    let answers = bucket.fetch_many(&keys);
                    assert_eq!(calls.load(Ordering::SeqCst), call + 1, "{case}");
                    for (key, answer) in keys.iter().zip(answers) {
                        let left = match call == at {
                            true => fault.leaves(*key, None),
                            false => Some(right(*key)),
                        };
                        assert_eq!(bucket.peek(key), left, "{case}");
                        let value = answer.ok().and_then(larder::Fetched::into_value);
                        assert_eq!(value, left, "{case}");
                        let extra = call == at && fault.brings_extras();
                        let extra = extra.then_some(right(*key));
                        assert_eq!(bucket.peek(&(key + 1_000)), extra, "{case}");
                    }
                }
                assert!((2_000..2_003).all(|key| bucket.peek(&key).is_none()));
                let stats = bucket.stats();
                assert_eq!((stats.queued, stats.loading), (0, 0), "{fault:?}");
                // Whatever was missed can be had now.
                let all: Vec<u64> = (0..40).collect();
                let values = bucket.get_many(&all);
                assert!(values.iter().zip(&all).all(|(v, k)| *v == Some(right(*k))));
            }
        }
    });
}

#[test]
fn a_reload_that_goes_wrong_keeps_or_takes_away_as_the_loader_said() {
    bounded(|| {
        type Reload = fn(&Numbers);
        let reloads: [Reload; 2] = [
            |bucket| assert!(bucket.request_load(0..10).wait(PATIENCE)),
            |bucket| bucket.refresh().wait(PATIENCE).unwrap(),
        ];
        for fault in FAULTS {
            for reload in reloads {
                let (bucket, _) = faulty(fault, 0);
                bucket.set_many((0..10).map(|key| (key, 7)));
                reload(&bucket);
                for key in 0..10 {
                    assert_eq!(bucket.peek(&key), fault.leaves(key, Some(7)), "{fault:?}");
                }
                let epoch = bucket.publish().unwrap();
                let len = (0..10).filter(|key| fault.leaves(*key, Some(7)).is_some());
                let extras = if fault.brings_extras() { 10 } else { 0 };
                assert_eq!(bucket.snapshot().len(), len.count() + extras, "{fault:?}");
                assert!(bucket.snapshot().epoch() >= epoch);
                reload(&bucket);
                let kept = (0..10).filter(|key| bucket.peek(key).is_some());
                assert!(
                    kept.into_iter()
                        .all(|key| bucket.peek(&key) == Some(right(key)))
                );
            }
        }
    });
}

#[test]
fn an_extra_answers_who_waits_for_it_in_the_queue() {
    bounded(|| {
        let (door, calls) = (Door::closed(), Notes::new());
        let (at, noting) = (door.clone(), calls.clone());
        let bucket = Numbers::builder("extra")
            .batch_size(1)
            .loader_threads(1)
            .bulk_load(move |keys: &[u64]| {
                noting.add(keys[0]);
                at.pass();
                Ok::<_, String>([(keys[0], 1), (keys[0] + 1, 2)])
            })
            .build()
            .unwrap();
        let first = bucket.request_load([1]);
        door.await_waiting(1);
        let second = bucket.request_load([2]);
        door.release();
        assert!(first.wait(PATIENCE) && second.wait(PATIENCE));
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(1), Some(2)));
        assert_eq!(calls.all(), [1], "it was there when its turn came");
    });
}

#[test]
fn an_extra_never_overwrites_what_is_newer() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("newer")
            .bulk_load(move |keys: &[u64]| {
                at.pass();
                Ok::<_, String>([(keys[0], 1), (50, 1), (51, 1), (52, 1)])
            })
            .build()
            .unwrap();
        bucket.set_many([(50, 0), (51, 0), (52, 0)]);
        let ticket = bucket.request_load([1]);
        door.await_waiting(1);
        bucket.set(50, 2);
        bucket.invalidate(&51);
        door.release();
        assert!(ticket.wait(PATIENCE));
        assert_eq!(bucket.get_many([&50, &52]), [Some(2), Some(1)]);
        assert_eq!(bucket.peek(&51), None);
        assert_eq!(bucket.stats().superseded, 2);
    });
}

#[test]
fn an_answer_that_comes_after_hours_is_stored() {
    bounded(|| {
        let (time, door) = (ManualClock::new(), Door::closed());
        let at = door.clone();
        let bucket = Numbers::builder("late")
            .clock(time.clock())
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(right(*key))
            })
            .build()
            .unwrap();
        let ticket = bucket.request_load([1]);
        door.await_waiting(1);
        for _ in 0..5 {
            time.advance(Duration::from_secs(3600));
            let late = bucket.call().timeout(Duration::ZERO).fetch(&1);
            assert!(late.unwrap_err().is_timeout());
        }
        door.release();
        assert!(ticket.wait(PATIENCE));
        assert_eq!(bucket.peek(&1), Some(10));
    });
}

#[test]
fn a_dataset_may_be_empty_or_name_keys_twice() {
    bounded(|| {
        let call = AtomicUsize::new(0);
        let bucket = Numbers::builder("dataset")
            .load_all(move || {
                Ok::<_, String>(match call.fetch_add(1, Ordering::SeqCst) {
                    0 => vec![(1, 1), (2, 2), (1, 3), (2, 2), (1, 4)],
                    1 => vec![],
                    _ => vec![(0, 0); 1_000],
                })
            })
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.len(), bucket.peek(&1)), (2, Some(4)));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert!(bucket.is_empty() && bucket.snapshot().is_empty());
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.len(), bucket.keys()), (1, vec![0]));
    });
}

#[test]
fn a_loader_that_stalls_fills_the_queue_and_nothing_else() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("stalled")
            .loader_threads(2)
            .batch_size(4)
            .queue_capacity(16)
            .bulk_load(move |keys: &[u64]| {
                at.pass();
                Fault::Reversed.answer(keys)
            })
            .build()
            .unwrap();
        let running = [bucket.request_load(0..4), bucket.request_load(4..8)];
        door.await_waiting(2);
        let full = bucket.request_load(8..1_000);
        assert_eq!(full.rejected(), (24..1_000).collect::<Vec<_>>());
        assert_eq!(bucket.stats().queued, 16);
        for key in 2_000..3_000 {
            bucket.set(key, key);
            assert_eq!(bucket.get(&key), Some(key));
        }
        bucket.publish().unwrap();
        door.release();
        assert!(
            running
                .iter()
                .chain([&full])
                .all(|ticket| ticket.wait(PATIENCE))
        );
        eventually("an empty queue", || bucket.stats().queued == 0);
        assert_eq!(bucket.len(), 24 + 1_000);
    });
}
