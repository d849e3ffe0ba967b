//! Observers that panic, block, and call the bucket.

use std::sync::{Arc, OnceLock};

use larder::{Bucket, Event, KeyEvent};

use crate::common::{Door, Notes, PATIENCE, bounded, eventually};

type Numbers = Bucket<u64, u64>;

fn failing(observer: impl Fn(&Event) + Send + Sync + 'static) -> Numbers {
    Numbers::builder("observed")
        .load(|key: &u64| match key % 2 {
            0 => Ok(*key),
            _ => Err("odd"),
        })
        .observer(observer)
        .build()
        .unwrap()
}

#[test]
fn an_observer_that_panics_is_told_of_the_next_event_all_the_same() {
    bounded(|| {
        let told = Notes::new();
        let noting = told.clone();
        let bucket = failing(move |_: &Event| {
            noting.add(());
            panic!("each time");
        });
        for key in 0..100 {
            assert_eq!(bucket.get(&key).is_some(), key % 2 == 0);
        }
        bucket.shutdown();
        assert_eq!(told.len(), 50);
        assert_eq!(bucket.stats().events_dropped, 0);
    });
}

#[test]
fn an_observer_that_blocks_holds_up_nobody() {
    bounded(|| {
        let (door, told) = (Door::closed(), Notes::new());
        let (at, noting) = (door.clone(), told.clone());
        let bucket = failing(move |_: &Event| {
            at.pass();
            noting.add(());
        });
        let mut reader = bucket.reader();
        for key in 0..6_000 {
            assert_eq!(bucket.fetch(&key).is_ok(), key % 2 == 0);
            bucket.set(key + 10_000, key);
            assert_eq!(reader.get(&(key + 10_000)), Some(&key));
        }
        bucket.publish().unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.clear().unwrap();
        assert_eq!((door.waiting(), told.len()), (1, 0));
        let dropped = bucket.stats().events_dropped as usize;
        door.release();
        bucket.shutdown();
        assert!(told.len() > 1_000 && dropped > 0, "{} told", told.len());
    });
}

#[test]
fn an_observer_may_call_the_bucket() {
    bounded(|| {
        let (own, told) = (Arc::new(OnceLock::<Numbers>::new()), Notes::new());
        let (calling, noting) = (Arc::clone(&own), told.clone());
        let bucket = failing(move |event: &Event| {
            let bucket = calling.get().unwrap();
            if let Event::LoadFailed { .. } = event {
                bucket.set(1_000, 1);
                bucket.publish().unwrap();
                noting.add((
                    bucket.get(&2),
                    bucket.peek(&1_000),
                    bucket.stats().failed > 0,
                ));
            }
        });
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!(bucket.get(&1), None);
        eventually("the observer's note", || told.len() == 1);
        assert_eq!(told.all(), [(Some(2), Some(1), true)]);
        bucket.shutdown();
    });
}

fn failing_by_key(observer: impl Fn(KeyEvent, &u64) + Send + Sync + 'static) -> Numbers {
    Numbers::builder("observed")
        .load(|key: &u64| match key % 2 {
            0 => Ok(*key),
            _ => Err("odd"),
        })
        .key_events([KeyEvent::Missed, KeyEvent::Failed])
        .key_observer(observer)
        .build()
        .unwrap()
}

#[test]
fn an_observer_of_keys_that_panics_is_told_of_the_next_event_all_the_same() {
    bounded(|| {
        let told = Notes::new();
        let noting = told.clone();
        let bucket = failing_by_key(move |event, key| {
            noting.add((event, *key));
            panic!("each time");
        });
        for key in 0..100 {
            assert_eq!(bucket.get(&key).is_some(), key % 2 == 0);
        }
        bucket.shutdown();
        let missed = (0..100).map(|key| (KeyEvent::Missed, key));
        let failed = |&(event, key): &(KeyEvent, u64)| event == KeyEvent::Failed && key % 2 == 1;
        let all = told.all();
        let of_all = all.iter().filter(|(event, _)| *event == KeyEvent::Missed);
        assert!(of_all.copied().eq(missed));
        assert_eq!(all.iter().filter(|told| failed(told)).count(), 50);
        assert_eq!(all.len(), 150);
        assert_eq!(bucket.stats().events_dropped, 0);
    });
}

/// Nor does it take the places of the failures that the other observer is told of.
#[test]
fn an_observer_of_keys_that_blocks_holds_up_nobody_and_no_other_observer() {
    bounded(|| {
        let (door, keys, events) = (Door::closed(), Notes::new(), Notes::new());
        let (at, noting_keys, noting) = (door.clone(), keys.clone(), events.clone());
        let bucket = Numbers::builder("observed")
            .load(|key: &u64| (*key != 5_000).then_some(*key).ok_or("not that one"))
            .key_events(KeyEvent::ALL.iter().copied())
            .key_observer(move |event, key| {
                at.pass();
                noting_keys.add((event, *key));
            })
            .observer(move |_: &Event| noting.add(()))
            .build()
            .unwrap();
        for key in 0..6_000 {
            assert_eq!(bucket.get(&key).is_some(), key != 5_000);
        }
        bucket.publish().unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!((door.waiting(), keys.len()), (1, 0));
        eventually("the other observer", || events.len() == 1);
        let dropped = bucket.stats().events_dropped as usize;
        door.release();
        bucket.shutdown();
        // A miss for each key, and the failure.
        assert_eq!(keys.len() + dropped, 6_001);
        assert!(dropped > 4_000, "{dropped} are dropped");
    });
}

#[test]
fn an_observer_of_keys_may_call_the_bucket() {
    bounded(|| {
        let (own, told) = (Arc::new(OnceLock::<Numbers>::new()), Notes::new());
        let (calling, noting) = (Arc::clone(&own), told.clone());
        let bucket = failing_by_key(move |event, key| {
            if event == KeyEvent::Failed {
                let bucket = calling.get().unwrap();
                bucket.set(*key, 7);
                bucket.publish().unwrap();
                noting.add((bucket.get(key), bucket.get(&2)));
            }
        });
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!(bucket.get(&1), None);
        eventually("the observer's note", || told.len() == 1);
        assert_eq!(told.all(), [(Some(7), Some(2))]);
        bucket.shutdown();
    });
}

/// A key whose copy for the observer panics, and one that panics where it is dropped.
#[test]
fn keys_that_panic_on_their_way_to_an_observer_harm_nobody() {
    #[derive(PartialEq, Eq, Hash)]
    struct Touchy(u64);

    thread_local! {
        static CLONES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    impl Clone for Touchy {
        fn clone(&self) -> Self {
            // The second on the thread that misses: the first is the flight's.
            let clones = CLONES.get() + 1;
            CLONES.set(clones);
            let misses = std::thread::current().name() == Some("task");
            assert!(self.0 != 1 || !misses || clones != 2, "a clone");
            Self(self.0)
        }
    }

    impl Drop for Touchy {
        fn drop(&mut self) {
            let observes = std::thread::current().name() == Some("larder-touchy-observe-keys");
            assert!(self.0 != 2 || !observes, "a drop");
        }
    }

    bounded(|| {
        let told = Notes::new();
        let noting = told.clone();
        let bucket = Bucket::<Touchy, u64>::builder("touchy")
            .load(|key: &Touchy| Ok::<_, String>(key.0))
            .key_events([KeyEvent::Missed])
            .key_observer(move |_, key: &Touchy| noting.add(key.0))
            .build()
            .unwrap();
        for key in 1..=3 {
            CLONES.set(0);
            assert_eq!(bucket.get(&Touchy(key)), Some(key));
        }
        bucket.shutdown();
        assert_eq!(told.all(), [2, 3]);
    });
}
