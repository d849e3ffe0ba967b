//! Tags that are invalidated while everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder::{Bucket, Loaded, Outcome};

use crate::common::{Broken, Chance, Task, bounded};

const GROUPS: u64 = 4;
const KEYS: u64 = 24;
const ROUNDS: u64 = 80;

fn tag(group: u64) -> String {
    format!("group:{group}")
}

fn group(key: u64) -> u64 {
    key % GROUPS
}

/// The source: a version for each group, of which every value of the group is made.
#[derive(Clone, Default)]
struct Source(Arc<[AtomicU64; GROUPS as usize]>);

impl Source {
    fn of(&self, group: u64) -> u64 {
        self.0[group as usize].load(Ordering::SeqCst)
    }

    fn raise(&self, group: u64) -> u64 {
        self.0[group as usize].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// As every load finds it: read first, and told some time later.
    fn tagged(&self, key: u64) -> Outcome<u64> {
        let version = self.of(group(key));
        std::thread::yield_now();
        Outcome::from(version).tagged(tag(group(key)))
    }
}

/// Whoever changes the source and then invalidates the tag finds nothing older any more, however one looks: whatever is
/// loaded, joined, reloaded, updated, given another time, folded and refreshed meanwhile.
#[test]
fn nothing_is_read_that_is_older_than_its_tag() {
    bounded(|| {
        let source = Source::default();
        let (one, extra) = (source.clone(), source.clone());
        let bucket = Bucket::<u64, u64>::builder("race")
            .loader_threads(3)
            .load(move |key: &u64| {
                let next = (key + 1) % KEYS;
                let pairs = [(*key, one.tagged(*key)), (next, one.tagged(next))];
                let value = one.of(group(*key)).min(pairs_value(&pairs));
                Ok::<_, Broken>(Loaded::with_pairs(value, pairs))
            })
            .build()
            .unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let busy = |seed: u64, act: fn(&Bucket<u64, u64>, &Source, u64, u64)| {
            let (bucket, source, over) = (bucket.clone(), extra.clone(), Arc::clone(&over));
            Task::spawn(move || {
                let mut chance = Chance::new(seed);
                while !over.load(Ordering::SeqCst) {
                    let (key, what) = (chance.below(KEYS), chance.below(8));
                    act(&bucket, &source, key, what);
                }
            })
        };
        let mut tasks = vec![
            busy(1, |bucket, _, key, what| match what {
                0..4 => drop(bucket.get(&key)),
                4 => drop(bucket.get_many(&[key, (key + 5) % KEYS])),
                5 => drop(bucket.request_load([key])),
                6 => drop(bucket.call().skip_save().get(&key)),
                _ => drop(bucket.refresh()),
            }),
            busy(2, |bucket, _, key, what| match what {
                0..3 => drop(bucket.update(&key, |value| value.copied())),
                3 => drop(bucket.expire_in(&key, std::time::Duration::from_secs(1_000))),
                4 => drop(bucket.persist(&key)),
                5 => drop(bucket.update_many(&[key, (key + 1) % KEYS], |step| {
                    for place in 0..2 {
                        if let Some(&value) = step.get(place) {
                            step.set(place, value);
                        }
                    }
                })),
                _ => drop(bucket.publish()),
            }),
            busy(3, |bucket, source, key, what| {
                let load = |key: &u64| Ok::<_, Broken>(source.tagged(*key));
                match what {
                    0..5 => drop(bucket.call().get_with(&key, load)),
                    5 => bucket.invalidate(&key),
                    _ => drop(bucket.publish()),
                }
            }),
        ];
        for first in [0, 2] {
            let (bucket, source) = (bucket.clone(), source.clone());
            tasks.push(Task::spawn(move || {
                let mut reader = bucket.reader();
                for round in 0..ROUNDS {
                    // Each group is raised by one thread, so its version is known.
                    let group = first + round % 2;
                    let version = source.raise(group);
                    bucket.invalidate_tag(tag(group)).unwrap();
                    for key in (group..KEYS).step_by(GROUPS as usize) {
                        let read = [bucket.peek(&key), reader.get(&key).copied()];
                        for value in read.into_iter().flatten() {
                            assert_eq!(value, version, "read of {key} in {round}");
                        }
                    }
                    let key = group + GROUPS * (round % (KEYS / GROUPS));
                    assert_eq!(bucket.get(&key), Some(version), "loaded in {round}");
                }
            }));
        }
        for task in tasks.drain(3..) {
            task.join();
        }
        over.store(true, Ordering::SeqCst);
    });
}

/// What the pairs say of the first.
fn pairs_value(pairs: &[(u64, Outcome<u64>)]) -> u64 {
    match &pairs[0].1 {
        Outcome::Tagged(value, _) => match **value {
            Outcome::Value(value) => value,
            _ => unreachable!(),
        },
        _ => unreachable!(),
    }
}

/// What is written without a tag is not taken out for one, whatever was there before it and is folded meanwhile.
#[test]
fn nothing_goes_that_was_written_without_the_tag() {
    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("race").build().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let invalidating = (bucket.clone(), Arc::clone(&over));
        let invalidating = Task::spawn(move || {
            let (bucket, over) = invalidating;
            while !over.load(Ordering::SeqCst) {
                bucket.invalidate_tag("all").unwrap();
            }
        });
        let publishing = (bucket.clone(), Arc::clone(&over));
        let publishing = Task::spawn(move || {
            let (bucket, over) = publishing;
            while !over.load(Ordering::SeqCst) {
                bucket.publish().unwrap();
            }
        });
        let writers: Vec<_> = (0..2)
            .map(|first| {
                let bucket = bucket.clone();
                Task::spawn(move || {
                    for round in 0..4 * ROUNDS {
                        let key = first + 2 * (round % 4);
                        bucket.set_with_tags(key, round, "all");
                        if round % 3 == 0 {
                            let _ = bucket.update(&key, |value| value.copied());
                        }
                        bucket.set(key, round);
                        for _ in 0..3 {
                            assert_eq!(bucket.peek(&key), Some(round));
                            std::thread::yield_now();
                        }
                        let updated = bucket.update(&key, |value| value.map(|value| value + 1));
                        assert_eq!(updated.unwrap(), Some(round + 1));
                        assert_eq!(bucket.peek(&key), Some(round + 1));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join();
        }
        over.store(true, Ordering::SeqCst);
        invalidating.join();
        publishing.join();
    });
}
