//! G10 together with what else takes values out: death, reset, datasets, `max_stale`. And all of it in one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{
    Bucket, Builder, Derived, ErrorKind, Event, List, Loaded, ManualClock, Origin, Outcome, Reset,
    WhenFull,
};

use crate::common::{Broken, Door, Held, Notes, PATIENCE, Task, bounded, eventually, settle};

type Weights = Bucket<u32, u64>;

const LIMIT: u64 = 100;

/// Values are their own weights. No fold but those that are asked for.
fn limited() -> (Builder<u32, u64>, ManualClock) {
    let time = ManualClock::new();
    let builder = Weights::builder("limited")
        .max_weight(LIMIT)
        .weigher(|_, weight: &u64| *weight)
        .clock(time.clock());
    (builder, time)
}

/// Which value is dead: one at a time, and none to begin with.
struct Death(Arc<AtomicU64>);

impl Death {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    fn takes(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn comes_to(&self, builder: Builder<u32, u64>) -> Builder<u32, u64> {
        let dead = Arc::clone(&self.0);
        builder.alive(move |_, value| *value != dead.load(Ordering::Relaxed))
    }
}

/// A full bucket of 60 and 40, of which 60 has just died.
fn with_a_dead_one(folded: bool) -> Weights {
    let death = Death::new();
    let bucket = death.comes_to(limited().0).build().unwrap();
    bucket.set_many([(1, 60), (2, 40)]);
    if folded {
        bucket.publish().unwrap();
    }
    assert_eq!(bucket.try_set(3, 30), Err(30));
    death.takes(60);
    assert_eq!(bucket.weight(), LIMIT, "nobody has looked yet");
    bucket
}

/// Where it is refused nothing is left behind: no tombstone to fold, and nothing that a load came too late for.
#[test]
fn g10_a_refused_set_if_absent_leaves_nothing_behind_where_values_die() {
    bounded(|| {
        for folded in [false, true] {
            let death = Death::new();
            let door = Door::open();
            let at = door.clone();
            let bucket = death.comes_to(limited().0).load(move |_: &u32| {
                at.pass();
                Ok::<_, Broken>(1)
            });
            let bucket = bucket.build().unwrap();
            bucket.set_many([(1, 60), (2, 50)]);
            if folded {
                bucket.publish().unwrap();
            }
            let epoch = bucket.publish().unwrap();
            door.close();
            let loading = bucket.clone();
            let load = Task::spawn(move || loading.get(&3));
            door.await_waiting(1);
            assert_eq!(bucket.set_if_absent(3, 30), Err(30));
            assert_eq!(bucket.stats().refused, 1);
            assert_eq!(bucket.publish().unwrap(), epoch, "something was written");
            bucket.invalidate(&2);
            door.release();
            assert_eq!(load.join(), Some(1));
            assert_eq!(
                bucket.peek(&3),
                Some(1),
                "the load came too late for something"
            );
        }
    });
}

#[test]
fn g10_liveness_what_is_removed_for_dead_makes_room() {
    bounded(|| {
        for folded in [false, true] {
            let bucket = with_a_dead_one(folded);
            assert!(bucket.notify_dead(&1).unwrap());
            assert_eq!(bucket.weight(), 40);
            assert_eq!(bucket.try_set(3, 30), Ok(()));
            bucket.publish().unwrap();
            assert_eq!((bucket.weight(), bucket.len()), (70, 2));

            // By a read, which has the refresher remove it.
            let bucket = with_a_dead_one(folded);
            assert_eq!(bucket.peek(&1), None);
            eventually("the dead value is removed", || bucket.weight() == 40);
            eventually("it is counted", || bucket.stats().died == 1);
        }
    });
}

#[test]
fn g10_liveness_who_writes_over_the_dead_has_what_they_weighed() {
    bounded(|| {
        type Write = fn(&Weights);
        let writes: [(&str, Write); 5] = [
            ("set", |b| assert_eq!(b.try_set(1, 50), Ok(()))),
            ("set_if_absent", |b| {
                assert_eq!(b.set_if_absent(1, 50), Ok(()));
            }),
            ("update", |b| {
                let changed = b.update(&1, |value| value.map_or(Some(50), |_| None));
                assert_eq!(changed.unwrap(), Some(50));
            }),
            ("a load", |b| {
                let fetched = b.call().fetch_with(&1, |_| Ok::<_, String>(50)).unwrap();
                assert_eq!(fetched.origin(), Origin::Loaded);
            }),
            ("a load of its own weight", |b| {
                let load = |_: &u32| {
                    let (value, ttl, weight) = (7, None, Some(50));
                    Ok::<_, String>(Outcome::Stored { value, ttl, weight })
                };
                let fetched = b.call().fetch_with(&1, load).unwrap();
                assert_eq!(fetched.origin(), Origin::Loaded);
            }),
        ];
        for folded in [false, true] {
            for (name, write) in writes {
                let bucket = with_a_dead_one(folded);
                write(&bucket);
                assert_eq!(bucket.weight(), 90, "{name}, folded: {folded}");
                bucket.publish().unwrap();
                assert_eq!((bucket.weight(), bucket.len()), (90, 2), "{name}");
            }
        }
    });
}

#[test]
fn g10_liveness_set_if_absent_tells_what_is_there_from_what_is_refused() {
    bounded(|| {
        let bucket = with_a_dead_one(true);
        assert_eq!(bucket.set_if_absent(2, 1), Err(40));
        assert_eq!(bucket.stats().refused, 1, "that of the set");
        assert_eq!(bucket.set_if_absent(3, 30), Err(30));
        assert_eq!((bucket.stats().refused, bucket.peek(&3)), (2, None));
        // Also where what it was to take the place of is dead: that is gone then. But who finds it dead has the refresher
        // remove it, which may have made room by then.
        let last = bucket.set_if_absent(1, 200);
        let expected = match last {
            Ok(()) => (2, 240),
            Err(value) => (3, 240 - value),
        };
        assert_eq!((bucket.stats().refused, bucket.weight()), expected);
    });
}

#[test]
fn g10_liveness_a_load_that_brings_the_dead_with_a_weight_has_failed() {
    bounded(|| {
        let (death, events) = (Death::new(), Notes::new());
        death.takes(13);
        let noting = events.clone();
        let bucket = death
            .comes_to(limited().0)
            .load(|&key: &u32| {
                let stored = |value, weight| Outcome::Stored {
                    value,
                    ttl: None,
                    weight: Some(weight),
                };
                Ok::<_, Broken>(match key {
                    1 => Loaded::One(stored(13, 5)),
                    // Of the others one is dead.
                    _ => {
                        let pairs = [(key, 30), (3, 70), (4, 1), (5, 13)];
                        Loaded::with_pairs(
                            77,
                            pairs.map(|(key, value)| (key, stored(value, value))),
                        )
                    }
                })
            })
            .observer(move |event: &Event| {
                if let Event::LoadFailed { error, .. } = event {
                    noting.add(error.kind());
                }
            })
            .build()
            .unwrap();
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::Dead);
        assert_eq!((bucket.weight(), bucket.len()), (0, 0));
        // What is told is not what is stored, and the pairs come first.
        let told = bucket.fetch(&2).unwrap();
        assert_eq!(told.value(), Some(&77));
        let held = [1, 2, 3, 4, 5].map(|key| bucket.peek(&key));
        assert_eq!(held, [None, Some(30), Some(70), Some(1), None]);
        assert_eq!(bucket.weight(), 101);
        eventually("both are told of", || {
            events.all() == [ErrorKind::Dead, ErrorKind::Dead]
        });
    });
}

/// Of a dead value and of live ones a fold evicts by what was read, and to ask whether one lives is no read.
#[test]
fn g10_liveness_who_is_evicted_is_not_who_was_read() {
    bounded(|| {
        let death = Death::new();
        let (builder, _time) = limited();
        let builder = builder.when_full(WhenFull::Evict);
        let bucket = death.comes_to(builder).build().unwrap();
        bucket.set_many((0..6).map(|key| (key, 10 + u64::from(key))));
        bucket.publish().unwrap();
        let mut reader = bucket.reader();
        // The next snapshot, in which nothing was read yet.
        bucket.set(100, 0);
        bucket.publish().unwrap();
        assert_eq!(reader.get_many(&[0, 1]), [Some(&10), Some(&11)]);
        assert_eq!((bucket.peek(&2), bucket.get(&3)), (Some(12), Some(13)));
        assert_eq!(reader.get(&4), Some(&14));
        assert!(!bucket.notify_dead(&5).unwrap());
        assert_eq!(bucket.len(), 7);
        death.takes(13);
        bucket.set(6, 20);
        bucket.publish().unwrap();
        let mut left = bucket.keys();
        left.retain(|&key| key < 100);
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 4, 6], "3 is dead, 5 was not read");
        assert_eq!(bucket.stats().evicted, 1);
    });
}

#[test]
fn g10_g9_a_reset_gives_all_weight_back_and_who_waits_is_stored_in_the_new_version() {
    bounded(|| {
        for folded in [false, true] {
            let (era, door) = (Arc::new(AtomicU64::new(0)), Door::closed());
            let (now, at) = (Arc::clone(&era), door.clone());
            let events = Notes::new();
            let noting = events.clone();
            let bucket = limited()
                .0
                .load(move |_: &u32| {
                    let weight = 30 + now.load(Ordering::SeqCst);
                    at.pass();
                    Ok::<_, Broken>(weight)
                })
                .observer(move |event: &Event| {
                    if let Event::Full { limit } = event {
                        noting.add(*limit);
                    }
                })
                .build()
                .unwrap();
            bucket.set_many([(1, 60), (2, 40)]);
            if folded {
                bucket.publish().unwrap();
            }
            assert_eq!(bucket.try_set(3, 5), Err(5));
            eventually("it is told that it is full", || events.all().len() == 1);
            // It is asked for in a bucket that is full, and stored in one that is empty.
            let waiting = {
                let bucket = bucket.clone();
                Task::spawn(move || bucket.fetch(&7))
            };
            door.await_waiting(1);
            era.store(1, Ordering::SeqCst);
            assert_eq!(bucket.reset(1).unwrap(), Reset::Done);
            assert_eq!((bucket.weight(), bucket.len()), (0, 0));
            door.release();
            let answer = waiting.join().unwrap();
            assert_eq!(
                (answer.value(), answer.origin()),
                (Some(&31), Origin::Loaded)
            );
            assert_eq!((bucket.weight(), bucket.peek(&7)), (31, Some(31)));
            // What was used of the old budget is used no more, and who fills this one is told.
            assert_eq!(bucket.try_set(1, 60), Ok(()));
            assert_eq!(bucket.try_set(2, 40), Ok(()));
            assert_eq!(bucket.weight(), 131);
            assert_eq!(bucket.try_set(3, 5), Err(5));
            eventually("it is told again", || events.all().len() == 2);
        }
    });
}

#[test]
fn g10_a_dataset_that_is_too_heavy_leaves_what_was_derived_from_the_old_one() {
    bounded(|| {
        let said = Notes::new();
        said.add(vec![(3, 30), (1, 10), (2, 20)]);
        let (source, derived) = (said.clone(), Notes::new());
        let (list, deriving) = (Derived::<u32, u64, List<u32>>::list(), derived.clone());
        let sum = Derived::new(move |pairs: &[(&u32, &u64)]| {
            deriving.add(pairs.len());
            pairs.iter().map(|pair| *pair.1).sum::<u64>()
        });
        let bucket = limited()
            .0
            .load_all(move || Ok::<_, Broken>(source.all().pop().unwrap_or_default()))
            .derive(&list)
            .derive(&sum)
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        let shows = |sum_is: u64, pairs: &[(u32, u64)]| {
            let snapshot = bucket.snapshot();
            let listed: Vec<_> = list.pairs(&snapshot).map(|(&k, &v)| (k, v)).collect();
            assert_eq!(listed, pairs);
            assert_eq!(sum.of(&snapshot), Some(&sum_is));
        };
        shows(60, &[(3, 30), (1, 10), (2, 20)]);
        said.add(vec![(4, 60), (1, 41)]);
        let refused = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert_eq!(derived.all(), [3], "nothing is derived of what is refused");
        shows(60, &[(3, 30), (1, 10), (2, 20)]);
        assert_eq!((bucket.weight(), bucket.stats().datasets_refused), (60, 1));
        said.add(vec![(4, 60), (1, 40)]);
        bucket.refresh().wait(PATIENCE).unwrap();
        shows(100, &[(4, 60), (1, 40)]);
        assert_eq!(bucket.weight(), 100);
    });
}

#[test]
fn g10_what_was_evicted_of_a_dataset_is_in_no_list() {
    bounded(|| {
        let list = Derived::<u32, u64, List<u32>>::list();
        let bucket = limited()
            .0
            .when_full(WhenFull::Evict)
            .load_all(|| Ok::<_, Broken>((0..9).map(|key| (key, 10))))
            .derive(&list)
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.set(100, 0);
        bucket.publish().unwrap();
        let read = [8, 6, 4, 2, 0];
        assert!(read.iter().all(|key| bucket.peek(key) == Some(10)));
        bucket.set(50, 20);
        bucket.publish().unwrap();
        let snapshot = bucket.snapshot();
        let listed: Vec<u32> = list.pairs(&snapshot).map(|(&key, _)| key).collect();
        let cached: Vec<u32> = (0..9).filter(|key| snapshot.get(key).is_some()).collect();
        assert_eq!(listed, cached);
        assert!(listed.len() < 9 && read.iter().all(|key| listed.contains(key)));
    });
}

#[test]
fn g10_g8_what_is_taken_out_as_stale_gives_its_weight_back() {
    const MOST: Duration = Duration::from_secs(60);
    for dataset in [false, true] {
        bounded(move || {
            let (builder, time) = limited();
            let builder = builder.max_stale(MOST);
            let bucket = match dataset {
                false => builder.load(|_: &u32| Err::<u64, _>(Broken("the source is down"))),
                true => builder.load_all(|| Err::<Vec<_>, _>(Broken("the source is down"))),
            };
            let bucket = bucket.build().unwrap();
            bucket.set_many([(1, 60), (2, 40)]);
            let _ = bucket.refresh().wait(PATIENCE);
            assert_eq!(bucket.try_set(3, 30), Err(30));
            time.advance(MOST);
            settle(&bucket);
            assert_eq!(
                (bucket.len(), bucket.weight()),
                (0, 0),
                "dataset: {dataset}"
            );
            assert_eq!(bucket.try_set(3, 30), Ok(()));
        });
    }
}

/// Deadlines, stamps, weights and a check in one table: each does what it does alone.
#[test]
fn g10_g11_all_that_a_table_may_have_beside_its_entries() {
    const IDLE: Duration = Duration::from_secs(160);
    bounded(|| {
        let (death, (builder, time)) = (Death::new(), limited());
        let builder = builder.when_full(WhenFull::Evict).time_to_idle(IDLE);
        let bucket = death.comes_to(builder).build().unwrap();
        for key in 1..=6 {
            bucket.set(key, 5 + u64::from(key));
        }
        bucket.set_with_ttl(7, 12, Duration::from_secs(100));
        bucket.publish().unwrap();
        let mut reader = bucket.reader();
        let cached = || {
            let mut keys = bucket.keys();
            keys.sort_unstable();
            keys
        };
        assert_eq!((cached(), bucket.weight()), ((1..=7).collect(), 63));
        time.advance(Duration::from_secs(50));
        death.takes(6);
        let read = |reader: &mut larder::Reader<u32, u64>| {
            let there = (1..=7).filter(|key| reader.get(key).is_some());
            there.collect::<Vec<u32>>()
        };
        assert_eq!((2..=4).filter(|key| reader.get(key).is_some()).count(), 3);
        assert!(bucket.notify_dead(&1).unwrap());
        assert!(!bucket.notify_dead(&6).unwrap());
        bucket.publish().unwrap();
        assert_eq!((cached(), bucket.weight()), ((2..=7).collect(), 57));
        time.advance(Duration::from_secs(50));
        assert_eq!(cached(), [2, 3, 4, 5, 6], "7 has expired");
        bucket.publish().unwrap();
        assert_eq!(bucket.weight(), 45);
        // Nobody has read 5 and 6, of which only it was asked whether they live.
        time.advance(Duration::from_secs(75));
        assert_eq!(read(&mut reader), [2, 3, 4]);
        bucket.publish().unwrap();
        assert_eq!((bucket.weight(), bucket.len()), (7 + 8 + 9, 3));
        // And of these the one goes to make room that was not read since.
        time.advance(Duration::from_secs(20));
        assert!(reader.get(&2).is_some() && reader.get(&4).is_some());
        bucket.set(8, 72);
        bucket.publish().unwrap();
        assert_eq!((cached(), bucket.weight()), (vec![2, 4, 8], 7 + 9 + 72));
        assert_eq!(bucket.stats().evicted, 1);
    });
}

/// What is overwritten while a dataset is published was heavier than what that brings of the same keys: the difference is
/// no room, as it is held for the rest of what comes.
#[test]
fn g10_what_a_dataset_is_about_to_replace_makes_no_room() {
    bounded(|| {
        let (fetching, copying, open) = (Door::open(), Door::open(), Door::open());
        let (at, passed) = (fetching.clone(), open.clone());
        let bucket = Bucket::<u32, Held>::builder("replaced")
            .max_weight(LIMIT)
            .weigher(|_, heavy: &Held| heavy.1)
            .clock(ManualClock::new().clock())
            .load_all(move || {
                at.pass();
                let heavy = |weight| Held(passed.clone(), weight);
                Ok::<_, String>([(1, heavy(1)), (2, heavy(1)), (3, heavy(LIMIT - 4))])
            })
            .build()
            .unwrap();
        let heavy = |weight| Held(open.clone(), weight);
        bucket.set_many([(1, heavy(40)), (2, heavy(40))]);
        bucket.publish().unwrap();
        fetching.close();
        let refresh = bucket.refresh();
        fetching.await_waiting(1);
        // Written meanwhile, and so laid over the dataset: copied in the middle of its publication.
        bucket.set(5, Held(copying.clone(), 1));
        copying.close();
        fetching.release();
        copying.await_waiting(1);
        for key in [1, 2] {
            bucket.set(key, heavy(40));
        }
        copying.release();
        refresh.wait(PATIENCE).unwrap();
        bucket.publish().unwrap();
        // The limit, and no more than what crosses it.
        assert!(bucket.weight() <= LIMIT + 40, "{}", bucket.weight());
        let weights: u64 = bucket.snapshot().iter().map(|(_, heavy)| heavy.1).sum();
        assert_eq!(bucket.weight(), weights);
    });
}
