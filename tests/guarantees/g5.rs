//! G5: a snapshot never changes, and is a cut; epochs only grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder::{Bucket, DefaultHashBuilder, ManualClock, Snapshot};

use crate::common::{Door, PATIENCE, Task, bounded, eventually, together};

type Numbers = Bucket<u64, u64>;
type Shot = Snapshot<u64, u64, DefaultHashBuilder>;

fn content(snapshot: &Shot) -> Vec<(u64, u64)> {
    snapshot.iter().map(|(&k, &v)| (k, v)).collect()
}

#[test]
fn g5_a_snapshot_never_changes() {
    bounded(|| {
        let bucket = Numbers::builder("still")
            .load_all(|| Ok::<_, String>((0..50_u64).map(|key| (key, 7))))
            .build()
            .unwrap();
        bucket.set_many((0..500).map(|key| (key, key)));
        bucket.publish().unwrap();
        let snapshot = bucket.snapshot();
        let before = content(&snapshot);
        let (epoch, time) = (snapshot.epoch(), snapshot.published_at());
        assert_eq!((before.len(), snapshot.len()), (500, 500));
        assert_eq!(snapshot.iter().len(), 500);

        type Step = fn(&Numbers);
        let steps: [Step; 7] = [
            |b| b.set(1, 1000),
            |b| b.invalidate(&2),
            |b| b.set_many((0..9_000).map(|key| (key, 9))),
            |b| assert!(b.publish().is_ok()),
            |b| b.refresh().wait(PATIENCE).unwrap(),
            |b| b.clear().unwrap(),
            |b| b.shutdown(),
        ];
        let check = |when: usize| {
            assert_eq!(content(&snapshot), before, "after step {when}");
            assert_eq!((snapshot.epoch(), snapshot.published_at()), (epoch, time));
            for (key, value) in &before {
                assert_eq!(snapshot.get(key), Some(value), "after step {when}");
            }
            assert_eq!(snapshot.get(&600), None);
        };
        for (step, change) in steps.iter().enumerate() {
            change(&bucket);
            check(step);
        }
        drop(bucket);
        check(usize::MAX);
        assert_eq!(content(&snapshot.clone()), before);
    });
}

#[test]
fn g5_a_snapshot_lacks_what_was_not_folded_and_a_publish_folds_all() {
    bounded(|| {
        let bucket = Numbers::builder("folds")
            .clock(ManualClock::new().clock())
            .build()
            .unwrap();
        let empty = bucket.snapshot();
        assert!(empty.is_empty());
        bucket.set(1, 1);
        assert_eq!(bucket.snapshot().get(&1), None);
        assert_eq!(bucket.peek(&1), Some(1));
        let epoch = bucket.publish().unwrap();
        assert!(epoch > empty.epoch());
        let first = bucket.snapshot();
        assert_eq!((first.get(&1), first.epoch()), (Some(&1), epoch));
        // Nothing new: nothing to publish.
        assert_eq!(bucket.publish().unwrap(), epoch);
        assert_eq!(bucket.snapshot().epoch(), epoch);
        bucket.invalidate(&1);
        assert_eq!(bucket.publish().unwrap(), epoch + 1);
        assert_eq!(bucket.snapshot().get(&1), None);
        bucket.set(2, 2);
        bucket.clear().unwrap();
        assert!(bucket.epoch() > epoch + 1);
        assert!(bucket.snapshot().is_empty());
        assert_eq!(bucket.peek(&2), None);
    });
}

/// Publishes without pause until told to stop.
fn without_pause(bucket: &Numbers, stop: &Arc<AtomicBool>) -> Task<u64> {
    let (bucket, stop) = (bucket.clone(), Arc::clone(stop));
    Task::spawn(move || {
        let mut publications = 0;
        while !stop.load(Ordering::Relaxed) {
            bucket.publish().unwrap();
            publications += 1;
        }
        publications
    })
}

/// Takes snapshots until it has seen so many different ones.
fn look_at(bucket: &Numbers, snapshots: usize, mut check: impl FnMut(&Shot)) {
    let mut last = u64::MAX;
    let mut seen = 0;
    while seen < snapshots {
        let snapshot = bucket.snapshot();
        if snapshot.epoch() != last {
            last = snapshot.epoch();
            seen += 1;
            check(&snapshot);
        } else {
            std::thread::yield_now();
        }
    }
}

#[test]
fn g5_with_a_write_a_snapshot_has_every_write_that_came_before_it() {
    bounded(|| {
        let bucket = Numbers::builder("cut").build().unwrap();
        bucket.set_many((0..4).map(|key| (key, 0)));
        bucket.publish().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let folder = without_pause(&bucket, &stop);
        // Each round writes the keys in turn; key 3 is written by another thread that was told.
        let (told, hears) = std::sync::mpsc::sync_channel(0);
        let (writing, stopped) = (bucket.clone(), Arc::clone(&stop));
        let writer = Task::spawn(move || {
            for round in 1.. {
                for key in 0..3 {
                    writing.set(key, round);
                }
                if stopped.load(Ordering::Relaxed) || told.send(round).is_err() {
                    return;
                }
            }
        });
        let following = bucket.clone();
        let follower = Task::spawn(move || {
            for round in hears {
                following.set(3, round);
            }
        });
        look_at(&bucket, 300, |snapshot| {
            let at = |key| *snapshot.get(&key).unwrap();
            let rounds: Vec<u64> = (0..4).map(at).collect();
            assert!(rounds.is_sorted_by(|a, b| a >= b), "{rounds:?}");
            assert!(rounds[0] <= rounds[2] + 1, "{rounds:?}");
        });
        stop.store(true, Ordering::Relaxed);
        writer.join();
        follower.join();
        folder.join();
    });
}

#[test]
fn g5_a_group_is_in_a_snapshot_whole_or_not_at_all() {
    bounded(|| {
        const GROUP: u64 = 20;
        let bucket = Numbers::builder("groups").build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let folder = without_pause(&bucket, &stop);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (bucket, stop) = (bucket.clone(), Arc::clone(&stop));
                let keys: Vec<u64> = (writer * GROUP..(writer + 1) * GROUP).collect();
                Task::spawn(move || {
                    for round in 1.. {
                        bucket.set_many(keys.iter().map(|&key| (key, round)));
                        if round % 3 == 0 {
                            bucket.invalidate_many(&keys);
                        }
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        let (mut whole, mut gone) = (0, 0);
        eventually("whole groups and none", || {
            look_at(&bucket, 20, |snapshot| {
                for first in [0, GROUP] {
                    let rounds: Vec<_> = (first..first + GROUP)
                        .map(|key| snapshot.get(&key))
                        .collect();
                    assert!(rounds.iter().all(|round| *round == rounds[0]), "{rounds:?}");
                    match rounds[0] {
                        Some(_) => whole += 1,
                        None => gone += 1,
                    }
                }
            });
            whole > 100 && gone > 10
        });
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(Task::join);
        folder.join();
    });
}

#[test]
fn g5_epochs_only_grow() {
    bounded(|| {
        let bucket = Numbers::builder("epochs").build().unwrap();
        // The highest epoch that anybody has told of.
        let told = Arc::new(AtomicU64::new(0));
        let (looking, telling) = (bucket.clone(), Arc::clone(&told));
        together(4, move |thread| {
            let mut reader = looking.reader();
            let mut last = 0;
            for round in 0..800 {
                let known = telling.load(Ordering::Acquire);
                let epoch = match (thread, round % 4) {
                    (0 | 1, 0) => {
                        looking.set(thread as u64, round);
                        let epoch = looking.publish().unwrap();
                        assert!(looking.epoch() >= epoch);
                        epoch
                    }
                    (_, 1) => looking.snapshot().epoch(),
                    (_, 2) => reader.epoch(),
                    _ => looking.epoch(),
                };
                assert!(epoch >= last && epoch >= known, "{epoch}, {last}, {known}");
                last = epoch;
                telling.fetch_max(epoch, Ordering::AcqRel);
            }
        });
        assert!(told.load(Ordering::Acquire) > 200);
    });
}

#[test]
fn g5_snapshots_of_one_epoch_are_the_same() {
    bounded(|| {
        let bucket = Numbers::builder("same").build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let folder = without_pause(&bucket, &stop);
        let (writing, stopped) = (bucket.clone(), Arc::clone(&stop));
        let writer = Task::spawn(move || {
            for round in 0.. {
                writing.set(round % 30, round);
                std::thread::yield_now();
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let taking = bucket.clone();
        let shots = together(3, move |_| {
            let mut shots = Vec::new();
            look_at(&taking, 100, |shot| {
                shots.push((shot.epoch(), content(shot)));
            });
            shots
        });
        stop.store(true, Ordering::Relaxed);
        writer.join();
        folder.join();
        let mut by_epoch = std::collections::HashMap::new();
        let mut shared = 0;
        for (epoch, content) in shots.into_iter().flatten() {
            if let Some(other) = by_epoch.get(&epoch) {
                assert_eq!(other, &content, "epoch {epoch}");
                shared += 1;
            } else {
                by_epoch.insert(epoch, content);
            }
        }
        assert!(shared > 0, "no epoch was seen twice");
    });
}

#[test]
fn g5_a_publish_contains_what_was_written_while_the_last_one_was_under_way() {
    bounded(|| {
        /// Its copy stops at a door, on the refresher.
        struct Slow(u64, Door);
        impl Clone for Slow {
            fn clone(&self) -> Self {
                let thread = std::thread::current();
                if thread.name().is_some_and(|name| name.ends_with("-refresh")) {
                    self.1.pass();
                }
                Self(self.0, self.1.clone())
            }
        }
        let door = Door::open();
        let bucket = Bucket::<u64, Slow>::builder("next")
            .clock(ManualClock::new().clock())
            .build()
            .unwrap();
        bucket.set(1, Slow(1, door.clone()));
        door.close();
        let publishing = bucket.clone();
        let first = Task::spawn(move || publishing.publish().unwrap());
        door.await_waiting(1);
        bucket.set(2, Slow(2, door.clone()));
        let publishing = bucket.clone();
        let second = Task::spawn(move || {
            let epoch = publishing.publish().unwrap();
            let snapshot = publishing.snapshot();
            (epoch, snapshot.epoch(), snapshot.get(&2).map(|v| v.0))
        });
        door.release();
        let first = first.join();
        let (second, current, value) = second.join();
        assert!(first < second && second <= current);
        assert_eq!(value, Some(2));
    });
}
