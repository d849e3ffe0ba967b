//! Observers that panic, block, and call the bucket.

use std::sync::{Arc, OnceLock};

use larder::{Bucket, Event};

use crate::common::{Door, Notes, PATIENCE, bounded};

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
        crate::common::eventually("the observer's note", || told.len() == 1);
        assert_eq!(told.all(), [(Some(2), Some(1), true)]);
        bucket.shutdown();
    });
}
