//! G8, `max_stale` further: which failures count, what is under way meanwhile, whole datasets.

use std::hash::{BuildHasher, Hasher};

use larder::{ManualClock, Origin, Outcome};

use crate::common::{Broken, Door, PATIENCE, Task, bounded, eventually, settle};
use crate::g8_stale::{DOWN, HALF, MOST, Source, TICK, by_dataset, limited, pass, refresh};

#[test]
fn g8_each_kind_of_failure_counts_and_nothing_else_does() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = limited(&time)
            .batch_size(1)
            .bulk_load(|keys: &[u64]| match keys[0] {
                0 => Err(Broken("the whole batch")),
                1 => panic!("in the loader"),
                2 => Ok(vec![(2, Outcome::Failed(Broken("one key").into()))]),
                3 => Ok(vec![]),
                4 => Ok(vec![(4, Outcome::Absent)]),
                5 => Ok(vec![(5, Outcome::Ignore(50))]),
                key => Ok(vec![(key, Outcome::Value(10 * key))]),
            })
            .build()
            .unwrap();
        bucket.set_many((0..7).map(|key| (key, key)));
        refresh(&bucket);
        let now = |by| {
            pass(&bucket, &time, by);
            [0, 1, 2, 3, 4, 5, 6].map(|key| bucket.peek(&key))
        };
        let old = [Some(0), Some(1), Some(2)];
        let rest = [None, None, Some(5), Some(60)];
        let whole = |first: [Option<u64>; 3]| [&first[..], &rest[..]].concat();
        assert_eq!(now(MOST - TICK).to_vec(), whole(old));
        assert_eq!(now(TICK).to_vec(), whole([None; 3]));
        assert_eq!(now(2 * MOST).to_vec(), whole([None; 3]));
        assert_eq!(bucket.stats().too_stale, 3);
    });
}

/// A loader that hangs has not failed. When it fails at last, the time begins.
#[test]
fn g8_the_time_begins_when_the_loader_returns() {
    for dataset in [false, true] {
        bounded(move || {
            let (time, source, door) = (ManualClock::new(), Source::new(), Door::closed());
            let bucket = match dataset {
                false => {
                    let (at, source) = (door.clone(), source.clone());
                    // Both keys in one batch: one number.
                    let load = move |keys: &[u64]| {
                        at.pass();
                        let answer = |&key| Ok((key, source.ask(key)?));
                        keys.iter().map(answer).collect::<Result<Vec<_>, Broken>>()
                    };
                    limited(&time).bulk_load(load).build().unwrap()
                }
                true => by_dataset(&time, &source, &door),
            };
            bucket.set_many([(1, 1), (2, 2)]);
            let ticket = bucket.refresh();
            door.await_waiting(1);
            pass(&bucket, &time, 2 * MOST);
            // Written while the source is asked: not concerned, also when it is folded twice meanwhile.
            bucket.set(2, 20);
            settle(&bucket);
            bucket.set(3, 30);
            settle(&bucket);
            door.release();
            let _ = ticket.wait(PATIENCE);
            pass(&bucket, &time, MOST - TICK);
            assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(1), Some(20)));
            pass(&bucket, &time, TICK);
            assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(20)));
            assert_eq!((bucket.peek(&3), bucket.stats().too_stale), (Some(30), 1));
        });
    }
}

/// A reload that is under way at the end of the time: who misses then joins it, and what it brings is
/// stored.
#[test]
fn g8_a_reload_under_way_outlives_the_end_of_the_old_value() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::open());
        let (at, asked) = (door.clone(), source.clone());
        let bucket = limited(&time)
            .load(move |&key: &u64| {
                at.pass();
                asked.ask(key)
            })
            .build()
            .unwrap();
        bucket.set(1, 1);
        refresh(&bucket);
        door.close();
        source.says(100);
        let reload = bucket.request_load([1]);
        door.await_waiting(1);
        pass(&bucket, &time, MOST);
        assert_eq!(bucket.peek(&1), None);
        let asking = bucket.clone();
        let missed = Task::spawn(move || asking.fetch(&1).unwrap());
        door.release();
        let missed = missed.join();
        assert_ne!(missed.origin(), Origin::Loaded, "one load is enough");
        assert_eq!(missed.into_value(), Some(101));
        assert!(reload.wait(PATIENCE));
        settle(&bucket);
        assert_eq!(bucket.peek(&1), Some(101));
        pass(&bucket, &time, 2 * MOST);
        assert_eq!(bucket.peek(&1), Some(101));
    });
}

/// Puts every key on one hash.
#[derive(Clone, Copy)]
struct OneHash;

impl BuildHasher for OneHash {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for OneHash {
    fn finish(&self) -> u64 {
        7
    }
    fn write(&mut self, _: &[u8]) {}
}

/// What is remembered of a write while loads are under way is by hash. It must not keep another key.
#[test]
fn g8_a_write_of_another_key_with_the_same_hash_keeps_nothing() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::closed());
        let (at, asked) = (door.clone(), source.clone());
        let bucket = limited(&time)
            .hasher(OneHash)
            .load(move |&key: &u64| {
                if key == 9 {
                    at.pass();
                }
                asked.ask(key)
            })
            .build()
            .unwrap();
        bucket.set_many([(1, 1), (2, 2), (3, 3)]);
        assert!(bucket.request_load([1, 2]).wait(PATIENCE));
        // A load that is under way makes folds remember.
        let other = bucket.request_load([9]);
        door.await_waiting(1);
        bucket.set(2, 20);
        settle(&bucket);
        bucket.set(3, 30);
        settle(&bucket);
        time.advance(MOST);
        settle(&bucket);
        let now = [1, 2, 3].map(|key| bucket.peek(&key));
        assert_eq!(now, [None, Some(20), Some(30)]);
        door.release();
        assert!(other.wait(PATIENCE));
    });
}

#[test]
fn g8_a_dataset_that_fails_takes_along_what_was_not_written_since() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::open());
        let bucket = by_dataset(&time, &source, &door);
        source.says(100);
        refresh(&bucket);
        assert_eq!((bucket.len(), bucket.peek(&7)), (10, Some(107)));
        source.says(DOWN);
        refresh(&bucket);
        time.advance(HALF);
        // Written, folded and not; loaded; written and gone again.
        bucket.set(1, 1);
        bucket.set(20, 20);
        settle(&bucket);
        bucket.set(2, 2);
        bucket.set(3, 3);
        bucket.invalidate(&3);
        bucket.invalidate(&4);
        source.says(500);
        assert_eq!(bucket.get(&4), Some(504));
        source.says(DOWN);
        time.advance(HALF - TICK);
        settle(&bucket);
        assert_eq!(bucket.len(), 10);
        let mut reader = bucket.reader();
        assert_eq!(reader.get(&7), Some(&107));
        pass(&bucket, &time, TICK);
        let left = [(1, 1), (2, 2), (4, 504), (20, 20)];
        assert!((0..30).all(|key| {
            let expected = left.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
            bucket.peek(&key) == expected && reader.get(&key).copied() == expected
        }));
        assert_eq!((bucket.len(), bucket.snapshot().len()), (4, 4));
        assert_eq!(bucket.stats().too_stale, 6);
        // The source is back: all of it is there, and nothing goes.
        source.says(100);
        refresh(&bucket);
        pass(&bucket, &time, 2 * MOST);
        assert_eq!((bucket.len(), bucket.peek(&7)), (10, Some(107)));
    });
}

/// A dataset that comes ends what a key's failed reload began, but for what is newer than the dataset.
#[test]
fn g8_a_dataset_ends_the_staleness_of_what_it_replaces() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::open());
        let bucket = by_dataset(&time, &source, &door);
        bucket.set_many([(1, 1), (2, 2), (3, 3)]);
        assert!(bucket.request_load([1]).wait(PATIENCE));
        door.close();
        source.says(100);
        let ticket = bucket.refresh();
        door.await_waiting(1);
        // Laid over the dataset, and its reload has failed since it was written; that of 3 has failed
        // before the dataset replaces it.
        bucket.set(2, 20);
        source.says(DOWN);
        assert!(bucket.request_load([2, 3]).wait(PATIENCE));
        source.says(100);
        door.release();
        ticket.wait(PATIENCE).unwrap();
        let now = |by| {
            pass(&bucket, &time, by);
            [1, 2, 3].map(|key| bucket.peek(&key))
        };
        assert_eq!(now(MOST - TICK), [Some(101), Some(20), Some(103)]);
        assert_eq!(now(TICK), [Some(101), None, Some(103)]);
        assert_eq!((bucket.len(), bucket.stats().too_stale), (9, 1));
    });
}

/// What is under way when a failed dataset's values go: a later fetch, and a load of before the failure.
#[test]
fn g8_what_is_under_way_at_the_end_is_not_harmed() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::open());
        let (slow, at) = (Door::closed(), Door::clone(&door));
        let (one, all, slowly) = (source.clone(), source.clone(), slow.clone());
        let bucket = limited(&time)
            .load(move |&key: &u64| {
                let said = one.ask(key);
                slowly.pass();
                said
            })
            .load_all(move || {
                at.pass();
                Ok::<_, Broken>(vec![(1, all.ask(1)?), (2, all.ask(2)?)])
            })
            .build()
            .unwrap();
        bucket.set_many([(1, 1), (2, 2)]);
        // It reads the source before the first failure, and brings its value after the end.
        source.says(100);
        let older = bucket.request_load([30]);
        slow.await_waiting(1);
        source.says(DOWN);
        refresh(&bucket);
        door.close();
        let later = bucket.refresh();
        door.await_waiting(1);
        bucket.set(2, 20);
        bucket.set(3, 30);
        pass(&bucket, &time, MOST);
        assert_eq!(
            [1, 2, 3].map(|key| bucket.peek(&key)),
            [None, Some(20), Some(30)]
        );
        slow.release();
        assert!(older.wait(PATIENCE));
        assert_eq!(bucket.peek(&30), None);
        source.says(200);
        door.release();
        later.wait(PATIENCE).unwrap();
        settle(&bucket);
        let now = [1, 2, 3].map(|key| bucket.peek(&key));
        assert_eq!(now, [Some(201), Some(20), Some(30)]);
        pass(&bucket, &time, 2 * MOST);
        assert_eq!(bucket.len(), 3);
    });
}

/// More keys than go in one turn of the refresher: it goes on by itself.
#[test]
fn g8_many_keys_that_are_due_together_all_go() {
    bounded(|| {
        let (time, source) = (ManualClock::new(), Source::new());
        let bucket = limited(&time)
            .bulk_load(move |keys: &[u64]| {
                let answer = |&key| Ok((key, source.ask(key)?));
                keys.iter().map(answer).collect::<Result<Vec<_>, Broken>>()
            })
            .build()
            .unwrap();
        bucket.set_many((0..25_000).map(|key| (key, key)));
        refresh(&bucket);
        settle(&bucket);
        time.advance(MOST);
        eventually("their end", || bucket.stats().too_stale == 25_000);
        assert!(bucket.is_empty());
    });
}

/// A new time is the same value again, with a number that says less than it might: it is no older for that.
#[test]
fn g8_a_new_time_outlives_the_taking_out_of_what_is_stale() {
    bounded(|| {
        let (time, source, door) = (ManualClock::new(), Source::new(), Door::open());
        let bucket = by_dataset(&time, &source, &door);
        bucket.set_many([(1, 1), (2, 2)]);
        settle(&bucket);
        refresh(&bucket);
        // Written after the failure, and folded: not stale.
        bucket.set_many([(3, 3), (4, 4), (5, 5)]);
        settle(&bucket);
        time.advance(MOST - TICK);
        // Not folded before the others are taken out.
        let epoch = bucket.epoch();
        assert!(bucket.expire_in(&3, 10 * MOST).unwrap());
        assert_eq!(bucket.take(&5).unwrap(), Some(5));
        assert_eq!(bucket.epoch(), epoch);
        time.advance(TICK);
        settle(&bucket);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, None));
        assert_eq!((bucket.peek(&3), bucket.peek(&4)), (Some(3), Some(4)));
        assert_eq!(bucket.peek(&5), None);
        let left = larder::Ttl::Left(10 * MOST - TICK);
        assert_eq!(bucket.ttl(&3), Some(left), "the new time is lost");
        assert_eq!(bucket.stats().too_stale, 2);
    });
}
