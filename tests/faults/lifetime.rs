//! The end of a bucket: bounded, complete, and on whatever thread it comes.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, ErrorKind, Event};

use crate::common::{Census, Citizen, Door, PATIENCE, Task, bounded, eventually, settle, together};

type People = Bucket<u64, Citizen>;
type Numbers = Bucket<u64, u64>;

fn peopled(census: &Census) -> People {
    let (single, whole) = (census.clone(), census.clone());
    let bucket = People::builder("people")
        .load(move |key: &u64| Ok::<_, String>(single.citizen(*key)))
        .load_all(move || {
            let census = whole.clone();
            Ok::<_, String>((0..500).map(move |key| (key, census.citizen(key))))
        })
        // What is folded, and when, is for the tests to say.
        .fold_delay(Duration::from_secs(3_600))
        .build()
        .unwrap();
    bucket.set_many((0..1_000).map(|key| (key, census.citizen(key))));
    bucket.publish().unwrap();
    for key in 0..300 {
        bucket.set(key, census.citizen(key));
        bucket.set(key, census.citizen(key));
        bucket.invalidate(&(key + 500));
        assert!(bucket.get(&(key + 2_000)).is_some());
    }
    assert!(bucket.request_load(0..100).wait(PATIENCE));
    bucket
}

#[test]
fn every_value_is_dropped_once_when_a_thread_drops_the_bucket_that_never_used_it() {
    bounded(|| {
        type Before = fn(&People);
        let befores: [(&str, Before); 5] = [
            ("as it is", |_| ()),
            ("folded", |bucket| assert!(bucket.publish().is_ok())),
            ("refreshed", |b| b.refresh().wait(PATIENCE).unwrap()),
            ("shut down", |bucket| bucket.shutdown()),
            ("in the middle of it all", |bucket| {
                drop((bucket.refresh(), bucket.request_load(5_000..6_000)));
            }),
        ];
        for (name, before) in befores {
            let census = Census::new();
            let bucket = peopled(&census);
            before(&bucket);
            assert!(census.alive() >= 500);
            Task::spawn(move || drop(bucket)).join();
            assert_eq!(census.alive(), 0, "{name}");
        }
    });
}

#[test]
fn snapshots_and_readers_keep_what_they_need_and_no_longer() {
    bounded(|| {
        let census = Census::new();
        let bucket = peopled(&census);
        let (snapshot, mut reader) = (bucket.snapshot(), bucket.reader());
        bucket.publish().unwrap();
        let later = bucket.snapshot();
        drop(bucket);
        assert_eq!(snapshot.iter().count(), snapshot.len());
        assert_eq!(reader.get(&1).map(|citizen| citizen.number), Some(1));
        assert!(reader.get(&501).is_none());
        assert!(later.get(&501).is_none() && snapshot.get(&501).is_some());
        drop(snapshot);
        assert!(census.alive() > 0);
        Task::spawn(move || drop((reader, later))).join();
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn tickets_and_answers_may_outlive_the_bucket() {
    bounded(|| {
        let census = Census::new();
        let bucket = peopled(&census);
        let (ticket, refresh) = (bucket.request_load([7_000]), bucket.refresh());
        assert!(ticket.wait(PATIENCE));
        let fetched = bucket.fetch(&7_001).unwrap();
        drop(bucket);
        assert!(ticket.wait(PATIENCE) && ticket.is_done());
        assert!(
            refresh
                .wait(PATIENCE)
                .err()
                .is_none_or(|error| error.is_closed())
        );
        assert_eq!(fetched.value().map(|citizen| citizen.number), Some(7_001));
        drop((ticket, refresh, fetched));
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn the_end_is_bounded_although_user_code_hangs() {
    /// Hangs in its copy, on the refresher.
    struct Slow(Door);
    impl Clone for Slow {
        fn clone(&self) -> Self {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.ends_with("-refresh")) {
                self.0.pass();
            }
            Self(self.0.clone())
        }
    }
    type Hang = fn(&Bucket<u64, Slow>);
    let hangs: [(&str, Hang); 4] = [
        ("loader", |bucket| drop(bucket.request_load([1]))),
        ("dataset", |bucket| drop(bucket.refresh())),
        ("observer", |bucket| {
            drop(bucket.call().fetch_with(&2, |_| Err::<Slow, _>("no")));
        }),
        ("fold", |bucket| {
            bucket.set(1, Slow(Door::open()));
            drop(bucket.call().timeout(Duration::ZERO));
        }),
    ];
    for (name, hang) in hangs {
        for by_drop in [true, false] {
            bounded(move || {
                let door = Door::closed();
                let (loader, dataset, observer) = (door.clone(), door.clone(), door.clone());
                let bucket = Bucket::<u64, Slow>::builder(name)
                    .fold_delay(Duration::ZERO)
                    .shutdown_limit(Duration::from_millis(30))
                    .load(move |_: &u64| {
                        loader.pass();
                        Err::<Slow, _>("late")
                    })
                    .load_all(move || {
                        dataset.pass();
                        Ok::<_, String>([])
                    })
                    .observer(move |_: &Event| observer.pass())
                    .build()
                    .unwrap();
                hang(&bucket);
                if name == "fold" {
                    bucket.set(1, Slow(door.clone()));
                }
                door.await_waiting(1);
                if by_drop {
                    drop(bucket);
                } else {
                    bucket.shutdown();
                    bucket.shutdown();
                    assert!(bucket.publish().unwrap_err().is_closed());
                }
                assert_eq!(door.waiting(), 1, "{name}: it still hangs there");
                door.release();
            });
        }
    }
}

#[test]
fn what_a_hanging_loader_brings_after_the_end_is_dropped_as_well() {
    bounded(|| {
        let (census, door) = (Census::new(), Door::closed());
        let (counting, at) = (census.clone(), door.clone());
        let bucket = People::builder("late")
            .shutdown_limit(Duration::ZERO)
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(counting.citizen(*key))
            })
            .build()
            .unwrap();
        bucket.set(9, census.citizen(9));
        let ticket = bucket.request_load([1]);
        door.await_waiting(1);
        drop(bucket);
        assert!(ticket.wait(PATIENCE));
        drop(ticket);
        door.release();
        door.await_passed(1);
        eventually("the last value's end", || census.alive() == 0);
    });
}

#[test]
fn any_number_of_threads_may_shut_it_down_together() {
    bounded(|| {
        for _ in 0..20 {
            let bucket = Numbers::builder("together")
                .load(|key: &u64| Ok::<_, String>(*key))
                .build()
                .unwrap();
            let closing = bucket.clone();
            let kinds = together(4, move |thread| {
                let answers = (0..20).map(|key| {
                    if key == 10 && thread < 2 {
                        closing.shutdown();
                    }
                    closing
                        .fetch(&(100 * thread as u64 + key))
                        .map_err(|e| e.kind())
                });
                answers.filter_map(Result::err).collect::<Vec<_>>()
            });
            assert!(kinds[0].len() >= 10, "closed is closed");
            assert!(
                kinds
                    .into_iter()
                    .flatten()
                    .all(|kind| kind == ErrorKind::Closed)
            );
        }
    });
}

static SHARED: LazyLock<Numbers> = LazyLock::new(|| {
    Numbers::builder("static")
        .load(|key: &u64| Ok::<_, String>(key + 1))
        .build()
        .unwrap()
});

#[test]
fn a_bucket_may_be_a_static() {
    bounded(|| {
        together(4, |_| {
            for key in 0..100 {
                assert_eq!(SHARED.get(&key), Some(key + 1));
            }
        });
        assert_eq!(SHARED.stats().loaded, 100);
        // And be used from a loader of another one.
        let other = Numbers::builder("other")
            .load(|key: &u64| Ok::<_, String>(SHARED.get(key)))
            .build()
            .unwrap();
        assert_eq!(other.get(&500), Some(501));
    });
}

#[test]
fn many_buckets_live_side_by_side() {
    bounded(|| {
        const BUCKETS: u64 = 60;
        let census = Census::new();
        let mut buckets: Vec<People> = Vec::new();
        for at in 0..BUCKETS {
            // Each loads from the one before it, so that a miss goes through all of them.
            let before = buckets.last().filter(|_| at % 20 != 0).cloned();
            let counting = census.clone();
            let bucket = People::builder(format!("b{at}"))
                .loader_threads(1)
                .load(move |key: &u64| match &before {
                    Some(before) => before.fetch(key).map(larder::Fetched::into_value),
                    None => Ok(Some(counting.citizen(*key))),
                })
                .build()
                .unwrap();
            buckets.push(bucket);
        }
        let asking = buckets.clone();
        together(4, move |thread| {
            for key in 0..50 {
                let bucket = &asking[(key as usize * 7 + thread) % BUCKETS as usize];
                let fetched = bucket.fetch(&key).unwrap();
                assert_eq!(fetched.value().map(|citizen| citizen.number), Some(key));
            }
        });
        // The oldest first: it lives on in the loader of the next.
        together(2, {
            let buckets = std::sync::Mutex::new(buckets);
            move |_| {
                while let Some(bucket) = crate::common::lock(&buckets).pop() {
                    drop(bucket);
                }
            }
        });
        assert_eq!(census.alive(), 0);
    });
}

/// What a thread keeps after a read without a handle is taken from it, though it does nothing more.
#[test]
fn a_thread_that_reads_no_more_keeps_no_table() {
    bounded(|| {
        const CITIZENS: u64 = 100;
        let census = Census::new();
        let bucket = People::builder("idle").build().unwrap();
        let all =
            |census: &Census| -> Vec<_> { (0..CITIZENS).map(|n| (n, census.citizen(n))).collect() };
        let door = Door::closed();
        let mut idle = Vec::new();
        for round in 1..=5 {
            bucket.set_many(all(&census));
            bucket.publish().unwrap();
            // Each of them keeps another table.
            let (reading, at) = (bucket.clone(), door.clone());
            idle.push(Task::spawn(move || {
                assert!(reading.peek(&7).is_some());
                at.pass();
            }));
            door.await_waiting(round);
        }
        bucket.set_many(all(&census));
        bucket.publish().unwrap();
        eventually("one table alone", || census.alive() == CITIZENS as i64);
        door.release();
        idle.into_iter().for_each(Task::join);
    });
}

/// What is written during a fetch is laid over its dataset, so it is kept until then: the last write of each
/// key, not all of them.
#[test]
fn what_is_overwritten_during_a_fetch_is_not_kept_until_its_end() {
    const KEYS: u64 = 10;
    const ROUNDS: u64 = 60;
    bounded(|| {
        let (census, door) = (Census::new(), Door::closed());
        let (fetched, at) = (census.clone(), door.clone());
        let bucket = People::builder("long fetch")
            .load_all(move || {
                at.pass();
                let census = fetched.clone();
                Ok::<_, String>((0..2 * KEYS).map(move |key| (key, census.citizen(key))))
            })
            .build()
            .unwrap();
        let refresh = bucket.refresh();
        door.await_waiting(1);
        for round in 1..=ROUNDS {
            for write in 0..1_000 {
                bucket.set(write % KEYS, census.citizen(round * 1_000 + write));
            }
            bucket.publish().unwrap();
        }
        // Two of its turns, so that it has let go of what it will.
        settle(&bucket);
        assert!(census.alive() < 15_000, "{} of 60,000", census.alive());
        door.release();
        refresh.wait(PATIENCE).unwrap();
        for key in 0..2 * KEYS {
            let last = if key < KEYS {
                ROUNDS * 1_000 + 990 + key
            } else {
                key
            };
            assert_eq!(bucket.peek(&key).map(|citizen| citizen.number), Some(last));
        }
    });
}

#[test]
fn an_observer_may_hold_and_drop_the_last_handle() {
    bounded(|| {
        let slot = std::sync::Arc::new(std::sync::Mutex::new(None::<Numbers>));
        let (taking, dropped) = (slot.clone(), std::sync::Arc::new(AtomicUsize::new(0)));
        let counting = dropped.clone();
        let bucket = Numbers::builder("observer")
            .observer(move |_: &Event| {
                let last = crate::common::lock(&taking).take();
                counting.fetch_add(usize::from(last.is_some()), Ordering::SeqCst);
                drop(last);
            })
            .build()
            .unwrap();
        let load = |_: &u64| Err::<u64, _>("no");
        *crate::common::lock(&slot) = Some(bucket.clone());
        assert!(bucket.call().fetch_with(&1, load).is_err());
        drop(bucket);
        eventually("its end", || dropped.load(Ordering::SeqCst) == 1);
    });
}
