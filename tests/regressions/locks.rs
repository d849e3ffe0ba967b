//! Bugs of locks that users hold without knowing, and of users' code that holds up everybody.

use larder::{Bucket, Event};

use crate::common::{Door, PATIENCE, Task, bounded, together};

type Numbers = Bucket<u64, u64>;

// xacrimon/dashmap #74, #195, #233, #369: a reference that was held, and then a write, deadlocked, also
// over two shards. Nothing that a reader holds is a lock: a hundred of them, on two threads, both orders.
#[test]
fn dashmap_74_writes_with_references_held() {
    bounded(|| {
        let bucket = Numbers::builder("held").build().unwrap();
        bucket.set_many((0..100).map(|key| (key, key)));
        bucket.publish().unwrap();
        let (holding, both) = (bucket.clone(), std::sync::Barrier::new(2));
        together(2, move |thread| {
            let mut readers: Vec<_> = (0..100).map(|_| holding.reader()).collect();
            let snapshots: Vec<_> = (0..100).map(|_| holding.snapshot()).collect();
            let references: Vec<_> = (0..).zip(&mut readers).map(|(k, r)| r.get(&k)).collect();
            let shot: Vec<_> = (0..).zip(&snapshots).map(|(k, s)| s.get(&k)).collect();
            both.wait();
            for round in 0..100 {
                let key = if thread == 0 { round } else { 99 - round };
                holding.set(key, 1_000);
                holding.set_many([(key, 1_000), (99 - key, 1_000)]);
                holding.invalidate(&key);
                assert!(
                    holding
                        .set_if_absent(200 + 2 * key + thread as u64, 0)
                        .is_ok()
                );
                if round % 25 == 0 {
                    holding.publish().unwrap();
                }
            }
            // What is held is what it was.
            assert!((0..).zip(&shot).all(|(key, value)| *value == Some(&key)));
            assert!(
                (0..)
                    .zip(&references)
                    .all(|(key, value)| *value == Some(&key))
            );
            both.wait();
            holding.clear().unwrap();
        });
        assert!(bucket.is_empty());
    });
}

// xacrimon/dashmap #233 as well: an iterator that was held, and a write inside of its loop.
#[test]
fn dashmap_233_writes_inside_of_an_iteration() {
    bounded(|| {
        let bucket = Numbers::builder("iterating").build().unwrap();
        bucket.set_many((0..500).map(|key| (key, key)));
        bucket.publish().unwrap();
        let mut seen = 0;
        for (key, value) in &bucket.snapshot() {
            assert_eq!(key, value);
            bucket.set(*key, value + 1);
            bucket.invalidate(&(key + 250));
            if key % 100 == 0 {
                bucket.publish().unwrap();
            }
            seen += 1;
        }
        assert_eq!(seen, 500);
        assert!((0..250).all(|key| bucket.peek(&key) == Some(key + 1)));
    });
}

// ben-manes/caffeine #203, #527, #768: maintenance ran in a caller, under a lock, and whatever the user's
// code did there stalled everybody. An observer stands still: reads, writes, loads and folds go on.
#[test]
fn caffeine_203_an_observer_that_stands_still() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("observed")
            .load(|key: &u64| match key {
                0 => Err("reported"),
                _ => Ok(*key),
            })
            .observer(move |_: &Event| at.pass())
            .build()
            .unwrap();
        assert!(bucket.fetch(&0).is_err());
        door.await_waiting(1);
        let using = bucket.clone();
        together(3, move |thread| {
            let mut reader = using.reader();
            for round in 1..300 {
                let key = 1_000 * (1 + thread as u64) + round;
                assert_eq!(using.get(&key), Some(key));
                using.set(key, round);
                assert_eq!(reader.get(&key), Some(&round));
                assert!(using.fetch(&0).is_err());
                if round % 50 == 0 {
                    using.publish().unwrap();
                    assert!(using.request_load([key]).wait(PATIENCE));
                }
            }
        });
        assert_eq!(door.waiting(), 1);
        door.release();
    });
}

// ben-manes/caffeine #203 as well: the drop of a value stands still, on whatever thread frees it. Reads
// and writes go on; only what that thread had to do waits.
#[test]
fn caffeine_203_a_drop_that_stands_still() {
    /// Stops when it is dropped by the refresher, which frees tables.
    #[derive(Clone)]
    struct Sticky(u64, Door);
    impl Drop for Sticky {
        fn drop(&mut self) {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.ends_with("-refresh")) {
                self.1.pass();
            }
        }
    }

    bounded(|| {
        let door = Door::open();
        let bucket = Bucket::<u64, Sticky>::builder("sticky").build().unwrap();
        bucket.set_many((0..10).map(|key| (key, Sticky(key, door.clone()))));
        bucket.publish().unwrap();
        door.close();
        bucket.set(1, Sticky(100, door.clone()));
        let clearing = bucket.clone();
        let clear = Task::spawn(move || clearing.clear());
        door.await_waiting(1);
        let mut reader = bucket.reader();
        for round in 0..1_000 {
            bucket.set(round, Sticky(round, door.clone()));
            assert_eq!(reader.get(&round).map(|sticky| sticky.0), Some(round));
            assert_eq!(bucket.get(&round).map(|sticky| sticky.0), Some(round));
        }
        assert_eq!(door.waiting(), 1);
        door.release();
        clear.join().unwrap();
        bucket.set(5_000, Sticky(0, door.clone()));
        bucket.publish().unwrap();
        assert!(bucket.snapshot().get(&5_000).is_some());
    });
}
