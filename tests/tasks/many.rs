//! Many keys at once, and what was asked for in the background.

use std::pin::pin;

use larder::{ErrorKind, Origin, Reset, Warm};

use crate::common::{Broken, Door, Notes, Task, block_on, bounded, eventually};
use crate::kit::{Job, Numbers, numbers};

/// A source of batches behind a door, which notes them. Key 2 fails.
fn batches(calls: &Notes<Vec<u64>>, door: &Door) -> Numbers {
    let (calls, door) = (calls.clone(), door.clone());
    numbers("batches")
        .loader_threads(1)
        .count_reads(true)
        .bulk_load(move |keys: &[u64]| {
            calls.add(keys.to_vec());
            let told = calls.len() as u64;
            door.pass();
            let one = |key: &u64| match key {
                2 => larder::Outcome::Failed(Box::new(Broken("two"))),
                key => larder::Outcome::Value(100 * key + told),
            };
            Ok::<_, Broken>(keys.iter().map(|key| (*key, one(key))).collect::<Vec<_>>())
        })
        .build()
        .unwrap()
}

#[test]
fn what_is_missed_together_is_one_batch_and_the_answers_are_in_order() {
    bounded(|| {
        let calls = Notes::new();
        let bucket = batches(&calls, &Door::open());
        bucket.set(5, 50);
        let answers = block_on(bucket.fetch_many_async([&1, &5, &2, &3, &1]));
        let told: Vec<_> = answers
            .iter()
            .map(|answer| match answer {
                Ok(fetched) => Ok((fetched.value().copied(), fetched.origin())),
                Err(error) => Err(error.kind()),
            })
            .collect();
        assert_eq!(
            told,
            [
                Ok((Some(101), Origin::Loaded)),
                Ok((Some(50), Origin::Hit)),
                Err(ErrorKind::Load),
                Ok((Some(301), Origin::Loaded)),
                Ok((Some(101), Origin::Joined)),
            ]
        );
        assert_eq!(calls.all(), [vec![1, 2, 3]]);
        assert_eq!(block_on(bucket.get_many_async([&3, &2])), [Some(301), None]);
        assert_eq!(block_on(bucket.get_many_async(&[])), []);
        // Each key of each call, once.
        let stats = bucket.stats();
        assert_eq!((stats.hits, stats.misses), (2, 5));
    });
}

#[test]
fn a_task_for_many_keys_is_woken_and_has_them_all() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = batches(&calls, &door);
        let keys: Vec<u64> = (10..200).collect();
        let job = Job::new();
        let mut waits = pin!(bucket.get_many_async(&keys));
        assert!(job.poll(waits.as_mut()).is_none());
        door.await_waiting(1);
        assert!(job.poll(waits.as_mut()).is_none());
        door.release();
        eventually("the task is woken", || job.woken() > 0);
        let values = block_on(waits);
        assert!(
            values
                .iter()
                .zip(&keys)
                .all(|(value, key)| value.unwrap() / 100 == *key)
        );
        assert_eq!(calls.all().concat(), keys);
    });
}

#[test]
fn g9_many_keys_through_a_reset_are_of_one_version() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::open());
        let bucket = batches(&calls, &door);
        assert_eq!(block_on(bucket.get_async(&1)), Some(101));
        door.close();
        let job = Job::new();
        let mut waits = pin!(bucket.get_many_async([&1, &3]));
        assert!(job.poll(waits.as_mut()).is_none());
        door.await_waiting(1);
        assert_eq!(bucket.reset(1).unwrap(), Reset::Done);
        door.release();
        // Key 1 was a hit of before the reset, and is loaded again.
        let values: Vec<_> = block_on(waits).into_iter().map(Option::unwrap).collect();
        assert!(values[0] > 102 && values[1] > 302, "{values:?}");
    });
}

#[test]
fn what_was_asked_for_in_the_background_can_be_awaited() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = batches(&calls, &door);
        let ticket = bucket.request_load(10..20);
        let job = Job::new();
        {
            let mut waits = pin!(ticket.wait_async());
            assert!(job.poll(waits.as_mut()).is_none());
            door.await_waiting(1);
            assert_eq!((job.poll(waits.as_mut()), ticket.is_done()), (None, false));
            door.release();
            assert!(block_on(waits));
        }
        assert!(ticket.is_done() && !job.is_held());
        assert!(block_on(ticket.wait_async()), "again");

        block_on(bucket.refresh().wait_async()).unwrap();
        assert_eq!(calls.len(), 2);
        let ended = bucket.clone();
        Task::spawn(move || ended.shutdown()).join();
        let why = block_on(bucket.refresh().wait_async()).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::Closed);
    });
}

#[test]
fn the_runs_of_warmers_can_be_awaited() {
    bounded(|| {
        let door = Door::closed();
        let held = door.clone();
        let bucket = numbers("warm")
            .warmer(
                "held",
                Warm::with(move |_| {
                    held.pass();
                    Ok::<_, Broken>([(1, 10)])
                }),
            )
            .warmer(
                "broken",
                Warm::with(|_| Err::<[(u64, u64); 0], _>(Broken("warmer"))),
            )
            .build()
            .unwrap();
        let job = Job::new();
        let ticket = bucket.warm_all();
        let mut waits = pin!(ticket.wait_async());
        assert!(job.poll(waits.as_mut()).is_none());
        door.release();
        // The first in their order that failed.
        let why = block_on(waits).unwrap_err();
        assert_eq!((why.kind(), bucket.peek(&1)), (ErrorKind::Load, Some(10)));
    });
}
