//! G10: the limit holds, and a bucket that is full refuses what is new.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use larder::{
    Bucket, BuildError, Builder, ErrorKind, Event, ManualClock, Origin, Outcome, WhenFull,
};

use crate::common::{Chance, Door, PATIENCE, Tally, Task, bounded, together};

type Weights = Bucket<u32, u64>;

/// Values are their own weights. No fold but those that are asked for.
fn limited(limit: u64) -> Builder<u32, u64> {
    Weights::builder("limited")
        .max_weight(limit)
        .weigher(|_, weight: &u64| *weight)
        .clock(ManualClock::new().clock())
}

#[test]
fn g10_what_is_weighed_is_what_is_cached() {
    bounded(|| {
        for folded in [false, true] {
            let (bucket, fold) = (limited(1_000).build().unwrap(), |bucket: &Weights| {
                if folded {
                    bucket.publish().unwrap();
                }
            });
            let weighs = |weight: u64, when: &str| {
                assert_eq!(bucket.weight(), weight, "{when}, folded: {folded}");
                fold(&bucket);
                assert_eq!(bucket.weight(), weight, "{when}, folded: {folded}");
                assert_eq!(bucket.stats().weight, weight);
            };
            bucket.set(1, 10);
            weighs(10, "set");
            bucket.set(1, 30);
            weighs(30, "overwritten");
            bucket.set_many([(2, 5), (3, 7), (2, 6)]);
            weighs(43, "set_many, a key twice");
            assert_eq!(bucket.set_if_absent(4, 9), Ok(()));
            assert_eq!(bucket.set_if_absent(4, 99), Err(9));
            weighs(52, "set_if_absent");
            bucket
                .update(&4, |value| value.map(|value| value + 1))
                .unwrap();
            weighs(53, "update");
            assert_eq!(bucket.take(&4).unwrap(), Some(10));
            weighs(43, "take");
            bucket.set_with_weight(5, 1, 100).unwrap();
            weighs(143, "set_with_weight");
            assert!(bucket.expire_in(&5, Duration::from_secs(60)).unwrap());
            weighs(143, "the same with another time");
            bucket.set_with_ttl(5, 20, Duration::from_secs(60));
            weighs(63, "set_with_ttl");
            bucket.invalidate(&1);
            weighs(33, "invalidate");
            bucket.invalidate_many(&[2, 3, 77]);
            weighs(20, "invalidate_many");
            bucket.set(6, 0);
            weighs(20, "of no weight");
            assert_eq!(bucket.invalidate_if(|_, _| true).unwrap(), 2);
            weighs(0, "invalidate_if");
            bucket.set(7, 70);
            bucket.clear().unwrap();
            weighs(0, "clear");
            bucket.set(7, 70);
            bucket.set_caching(false).unwrap();
            bucket.set(8, 80);
            weighs(0, "switched off");
        }
    });
}

#[test]
fn g10_the_entry_that_crosses_is_kept_and_none_after_it() {
    bounded(|| {
        for folded in [false, true] {
            let bucket = limited(100).build().unwrap();
            bucket.set(1, 99);
            if folded {
                bucket.publish().unwrap();
            }
            assert_eq!(bucket.try_set(2, 50), Ok(()), "it crosses");
            assert_eq!(bucket.weight(), 149);
            assert_eq!(bucket.try_set(3, 1), Err(1), "it is full");
            bucket.set(3, 1);
            assert_eq!(bucket.set_if_absent(4, 1), Err(1));
            assert_eq!(bucket.set_if_absent(2, 1), Err(50));
            assert_eq!(bucket.update(&5, |_| Some(1)).unwrap(), None);
            bucket.set_many([(6, 1)]);
            let cached = [3, 4, 5, 6].map(|key| bucket.peek(&key));
            assert_eq!((cached, bucket.weight()), ([None; 4], 149));
            assert_eq!(bucket.stats().refused, 5);
            // No heavier than what is there, and then heavier: what was there must not be read any more.
            assert_eq!(bucket.try_set(1, 99), Ok(()));
            assert_eq!((bucket.peek(&1), bucket.weight()), (Some(99), 149));
            assert_eq!(bucket.try_set(1, 120), Err(120));
            assert_eq!((bucket.peek(&1), bucket.weight()), (None, 50));
            // There is room again.
            assert_eq!(bucket.try_set(3, 1), Ok(()));
            bucket.publish().unwrap();
            assert_eq!((bucket.weight(), bucket.snapshot().len()), (51, 2));
        }
    });
}

#[test]
fn g10_a_count_is_a_weight_of_one_each() {
    bounded(|| {
        let bucket = Bucket::<u32, String>::builder("counted")
            .max_weight(3)
            .build()
            .unwrap();
        for key in 0..10 {
            bucket.set(key, "some".into());
        }
        assert_eq!((bucket.len(), bucket.weight()), (3, 3));
        assert_eq!(bucket.stats().refused, 7);
    });
}

#[test]
fn g10_a_group_is_stored_whole_or_not_at_all() {
    bounded(|| {
        let bucket = limited(100).build().unwrap();
        bucket.set_many([(1, 40), (2, 40)]);
        // Without the last there is room for them: that one crosses.
        bucket.set_many([(3, 10), (4, 30)]);
        assert_eq!(bucket.weight(), 120);
        bucket.invalidate_many(&[3, 4]);
        bucket.set_many([(3, 20), (4, 1), (1, 40)]);
        assert_eq!(bucket.weight(), 101, "what it replaces is counted");
        bucket.set_many([(1, 40), (2, 39)]);
        assert_eq!(bucket.weight(), 100, "no heavier than what was there");
        bucket.set_many([(5, 1), (1, 40)]);
        assert_eq!([5, 1].map(|key| bucket.peek(&key)), [None, None], "heavier");
        assert_eq!((bucket.weight(), bucket.stats().refused), (60, 2));
        assert_eq!(bucket.publish().unwrap(), bucket.epoch());
        assert_eq!(bucket.weight(), 60);
    });
}

#[test]
fn g10_a_load_of_a_full_bucket_is_answered_and_not_stored() {
    bounded(|| {
        let bucket = limited(100)
            .bulk_load(|keys: &[u32]| {
                let mut answers: Vec<_> =
                    keys.iter().map(|&key| (key, Outcome::from(10))).collect();
                let weight = Some(1);
                answers.push((
                    99,
                    Outcome::Stored {
                        value: 500,
                        ttl: None,
                        weight,
                    },
                ));
                Ok::<_, String>(answers)
            })
            .build()
            .unwrap();
        bucket.set(1, 95);
        assert_eq!(bucket.fetch(&2).unwrap().origin(), Origin::Loaded);
        assert_eq!(
            bucket.weight(),
            106,
            "the extra, whose weight was said, came first"
        );
        assert_eq!(bucket.peek(&99), Some(500));
        let fetched = bucket.fetch(&3).unwrap();
        assert_eq!(
            (fetched.value(), fetched.origin()),
            (Some(&10), Origin::Ignored)
        );
        assert_eq!(bucket.get(&4), Some(10));
        assert_eq!((bucket.peek(&3), bucket.peek(&4)), (None, None));
        assert_eq!((bucket.weight(), bucket.stats().refused), (106, 2));
        // What is cached is reloaded as ever, if it is no heavier.
        assert!(bucket.request_load([2]).wait(PATIENCE));
        assert_eq!((bucket.peek(&2), bucket.weight()), (Some(10), 106));
        bucket.invalidate(&1);
        assert_eq!(bucket.fetch(&3).unwrap().origin(), Origin::Loaded);
        assert_eq!(bucket.weight(), 21);
    });
}

#[test]
fn g10_a_reload_that_is_too_heavy_takes_the_old_value_along() {
    bounded(|| {
        let weight = Arc::new(AtomicU64::new(10));
        let now = Arc::clone(&weight);
        let bucket = limited(100)
            .load(move |_: &u32| Ok::<_, String>(now.load(Ordering::Relaxed)))
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), Some(10));
        bucket.set(2, 90);
        weight.store(11, Ordering::Relaxed);
        assert!(bucket.refresh_keys([1]).wait(PATIENCE));
        assert_eq!((bucket.peek(&1), bucket.weight()), (None, 90));
    });
}

#[test]
fn g10_a_herd_on_a_full_bucket_makes_one_load_at_a_time() {
    bounded(|| {
        for batched in [false, true] {
            let (tally, door) = (Tally::new(), Door::closed());
            let (counting, passing) = (tally.clone(), door.clone());
            let builder = limited(1).loader_threads(2);
            let builder = if batched {
                builder.bulk_load(move |keys: &[u32]| {
                    counting.during_all(keys, || {
                        passing.pass();
                        Ok::<_, String>(keys.iter().map(|&key| (key, 7)).collect::<Vec<_>>())
                    })
                })
            } else {
                builder.load(move |key: &u32| {
                    counting.during(key, || {
                        passing.pass();
                        Ok::<_, String>(7)
                    })
                })
            };
            let bucket = builder.build().unwrap();
            bucket.set(0, 1);
            let herd = bucket.clone();
            let herd = Task::spawn(move || {
                together(8, move |_| {
                    for _ in 0..20 {
                        let fetched = herd.fetch(&1).unwrap();
                        assert_eq!(fetched.value(), Some(&7));
                        assert_eq!(fetched.origin(), Origin::Ignored);
                    }
                });
            });
            door.release();
            herd.join();
            assert_eq!(tally.most_at_once(), 1, "batched: {batched}");
            assert_eq!((bucket.peek(&1), bucket.weight()), (None, 1));
        }
    });
}

/// Looks at the weight of a bucket all the time. What is returned ends that, and says what was the most.
pub(crate) fn watched(bucket: &Weights) -> impl FnOnce() -> u64 + use<> {
    let (over, end) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let watch = {
        let (bucket, over, end) = (bucket.clone(), Arc::clone(&over), Arc::clone(&end));
        Task::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                over.fetch_max(bucket.weight(), Ordering::Relaxed);
            }
        })
    };
    move || {
        end.store(true, Ordering::Relaxed);
        watch.join();
        over.load(Ordering::Relaxed)
    }
}

/// Looked at all the time, with writers, loaders and folds in each other's way: never more than the limit and the
/// heaviest entry, and exact at the end.
#[test]
fn g10_many_threads_never_exceed() {
    const LIMIT: u64 = 500;
    const HEAVIEST: u64 = 20;
    const KEYS: u64 = 64;
    bounded(|| {
        let bucket = Weights::builder("crowded")
            .max_weight(LIMIT)
            .weigher(|_, weight: &u64| *weight)
            .fold_delay(Duration::ZERO)
            .load(|key: &u32| Ok::<_, String>(u64::from(*key) % HEAVIEST + 1))
            .build()
            .unwrap();
        let most_held = watched(&bucket);
        let crowd = bucket.clone();
        together(4, move |thread| {
            let mut chance = Chance::new(thread as u64 + 1);
            for _ in 0..4_000 {
                let key = chance.below(KEYS) as u32;
                let weight = chance.below(HEAVIEST) + 1;
                match chance.below(16) {
                    0..6 => crowd.set(key, weight),
                    6 => drop(crowd.set_if_absent(key, weight)),
                    7 => drop(crowd.update(&key, |_| Some(weight))),
                    8 => crowd.set_many([(key, weight), (key ^ 1, weight)]),
                    9 => crowd.invalidate(&key),
                    10 => drop(crowd.expire_in(&key, PATIENCE)),
                    11 => drop(crowd.publish()),
                    12 => drop(crowd.update_many([&key, &(key ^ 1)], |step| {
                        step.set(0, weight);
                        step.set(1, HEAVIEST + 1 - weight);
                    })),
                    _ => assert!(crowd.get(&key).is_some()),
                }
            }
        });
        let most = most_held();
        // A group crosses with its last entry.
        assert!(most < LIMIT + HEAVIEST, "{most} were held");
        assert!(most >= LIMIT, "it was never full, and nothing was tried");
        bucket.publish().unwrap();
        let held: u64 = bucket.snapshot().iter().map(|(_, weight)| weight).sum();
        assert_eq!(bucket.weight(), held, "exact again after a fold");
        bucket.invalidate_many(&bucket.keys());
        assert_eq!(bucket.weight(), 0);
    });
}

#[test]
fn g10_what_has_expired_makes_room() {
    bounded(|| {
        let time = ManualClock::new();
        let ttl = Duration::from_secs(60);
        let bucket = limited(100).clock(time.clock()).ttl(ttl).build().unwrap();
        bucket.set_many([(1, 50), (2, 50)]);
        bucket.publish().unwrap();
        assert_eq!(bucket.try_set(3, 10), Err(10));
        time.advance(ttl);
        bucket.publish().unwrap();
        assert_eq!(bucket.weight(), 0);
        bucket.set(1, 50);
        time.advance(ttl);
        assert_eq!(bucket.set_if_absent(1, 60), Ok(()), "over what has expired");
        assert_eq!(bucket.weight(), 60);
        bucket.publish().unwrap();
        assert_eq!(bucket.weight(), 60);
    });
}

#[test]
fn g10_a_dataset_weighs_what_it_holds_or_is_refused() {
    bounded(|| {
        let dataset = Arc::new(std::sync::Mutex::new(vec![(1, 30), (2, 30)]));
        let source = Arc::clone(&dataset);
        let bucket = limited(100)
            .load_all(move || Ok::<_, String>(source.lock().unwrap().clone()))
            .build()
            .unwrap();
        bucket.set_many([(1, 80), (7, 20)]);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((bucket.weight(), bucket.len()), (60, 2));
        *dataset.lock().unwrap() = vec![(1, 60), (2, 41)];
        let error = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert_eq!((bucket.weight(), bucket.peek(&1)), (60, Some(30)));
        assert_eq!(bucket.stats().datasets_refused, 1);
        *dataset.lock().unwrap() = vec![(1, 60), (2, 40)];
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.weight(), 100);
        assert_eq!(bucket.try_set(3, 1), Err(1));
    });
}

/// What is written while a dataset is fetched is newer than it, and both together may be too much.
#[test]
fn g10_a_dataset_and_what_was_written_meanwhile_fit_together() {
    bounded(|| {
        let door = Door::closed();
        let passing = door.clone();
        let bucket = limited(100)
            .load_all(move || {
                passing.pass();
                Ok::<_, String>((0..9).map(|key| (key, 10)))
            })
            .build()
            .unwrap();
        let refresh = bucket.refresh();
        door.await_waiting(1);
        for key in 20..24 {
            assert_eq!(bucket.try_set(key, 10), Ok(()));
        }
        door.release();
        refresh.wait(PATIENCE).unwrap();
        assert_eq!((bucket.weight(), bucket.len()), (100, 10));
        assert_eq!(bucket.stats().evicted, 3);
        assert_eq!(bucket.try_set(30, 1), Err(1));
    });
}

#[test]
fn g10_what_a_bucket_begins_with_fits() {
    bounded(|| {
        let seed = |_| Ok::<_, String>((0..50).map(|key| (key, 10)).collect::<Vec<(u32, u64)>>());
        let bucket = limited(95).init(move || seed(())).build().unwrap();
        assert_eq!((bucket.weight(), bucket.len()), (100, 10));
        assert_eq!(bucket.stats().evicted, 40);
        assert_eq!(bucket.try_set(99, 1), Err(1));
    });
}

#[test]
fn g10_a_weigher_that_panics_is_contained_and_stores_nothing() {
    bounded(|| {
        let (send, events) = mpsc::channel();
        let bucket = Weights::builder("panics")
            .max_weight(100)
            .weigher(|_, weight: &u64| match weight {
                13 => std::panic::resume_unwind(Box::new("thirteen")),
                weight => *weight,
            })
            .load(|_: &u32| Ok::<_, String>(13))
            .load_all(|| Ok::<_, String>([(1, 13)]))
            .observer(move |event| drop(send.send(event.clone())))
            .build()
            .unwrap();
        bucket.set(1, 10);
        assert_eq!(bucket.try_set(1, 13), Err(13));
        assert_eq!(bucket.set_if_absent(2, 13), Err(13));
        bucket.set_many([(3, 1), (4, 13)]);
        let fetched = bucket.fetch(&5).unwrap();
        assert_eq!(
            (fetched.value(), fetched.origin()),
            (Some(&13), Origin::Ignored)
        );
        assert!(bucket.is_empty());
        assert_eq!((bucket.weight(), bucket.stats().refused), (0, 5));
        let error = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(bucket.try_set(1, 12), Ok(()));
        drop(bucket);
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::Full { limit: 100 }))
        );
    });
}

#[test]
fn g10_who_watches_is_told_once_until_there_is_room_again() {
    bounded(|| {
        let (send, events) = mpsc::channel();
        let bucket = limited(1)
            .observer(move |event| drop(send.send(event.clone())))
            .build()
            .unwrap();
        for _ in 0..2 {
            for key in 0..5 {
                bucket.set(key, 1);
            }
            let told = events.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(told, Event::Full { limit: 1 }), "{told:?}");
            bucket.invalidate(&0);
            // A turn of the refresher sees it.
            bucket.publish().unwrap();
            bucket.publish().unwrap();
        }
        assert_eq!(bucket.stats().refused, 8);
        drop(bucket);
        assert!(events.try_recv().is_err(), "twice, and no more");
    });
}

#[test]
fn g10_options_that_make_no_sense_are_refused_by_name() {
    type Spoil = fn(Builder<u32, u64>) -> Builder<u32, u64>;
    let cases: [(&str, Spoil); 4] = [
        ("max_weight", |b| b.max_weight(0)),
        ("max_weight", |b| b.max_weight(u64::MAX)),
        ("weigher", |b| b.weigher(|_, _| 1)),
        ("when_full", |b| b.when_full(WhenFull::Refuse)),
    ];
    for (name, spoil) in cases {
        let error = spoil(Weights::builder("spoilt"))
            .build()
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(&error, BuildError::Option { option, .. } if *option == name),
            "{name}: {error}"
        );
    }
}
