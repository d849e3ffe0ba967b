//! Tasks that go away, at each moment of a load, and wait no more.

use std::pin::pin;

use larder::LoadState;

use crate::common::{Door, Notes, block_on, bounded, eventually};
use crate::kit::{Job, Numbers, is_at_rest, source};

#[test]
fn what_is_never_polled_does_nothing() {
    bounded(|| {
        let calls = Notes::new();
        let bucket = source(&calls, &Door::open());
        drop(bucket.fetch_async(&7));
        drop(bucket.get_many_async([&7, &8]));
        assert_eq!(bucket.load_state(&7), LoadState::Unknown);
        assert_eq!(block_on(bucket.get_async(&9)), Some(90));
        assert_eq!(calls.all(), [9]);
    });
}

#[test]
fn a_task_that_goes_away_while_its_key_is_queued_leaves_the_load_to_others() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = source(&calls, &door);
        let busy = bucket.request_load([100, 101]);
        door.await_waiting(2);
        let (goes, stays) = (Job::new(), Job::new());
        let mut leads = Box::pin(bucket.fetch_async(&7));
        let mut joins = pin!(bucket.fetch_async(&7));
        assert!(goes.poll(leads.as_mut()).is_none());
        assert!(stays.poll(joins.as_mut()).is_none());
        assert_eq!(bucket.load_state(&7), LoadState::Requested);
        drop(leads);
        assert!(!goes.is_held());
        door.release();
        eventually("the task is woken", || stays.woken() == 1);
        let told = stays.poll(joins.as_mut()).unwrap().unwrap();
        assert_eq!((told.value(), bucket.peek(&7)), (Some(&70), Some(70)));
        assert_eq!(goes.woken(), 0);
        assert!(block_on(busy.wait_async()));
        eventually("the end", || is_at_rest(&bucket));
    });
}

#[test]
fn a_task_that_goes_away_while_its_key_is_loaded_leaves_nothing_behind() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = source(&calls, &door);
        for key in [7, crate::kit::ERROR] {
            let job = Job::new();
            let mut leads = Box::pin(bucket.fetch_async(&key));
            assert!(job.poll(leads.as_mut()).is_none());
            door.await_waiting(1);
            assert_eq!(bucket.load_state(&key), LoadState::Loading);
            drop(leads);
            // Also a second time, with another task, which joins.
            let mut joins = Box::pin(bucket.fetch_async(&key));
            assert!(job.poll(joins.as_mut()).is_none());
            drop(joins);
            assert!(!job.is_held());
            door.release();
            eventually("the end", || is_at_rest(&bucket));
            assert_eq!((job.woken(), job.is_held()), (0, false));
            door.close();
        }
        door.release();
        assert_eq!(bucket.peek(&7), Some(70), "the load went on");
        assert_eq!(calls.all(), [7, crate::kit::ERROR]);
        // No key is stuck.
        assert!(block_on(bucket.fetch_async(&crate::kit::ERROR)).is_err());
        assert_eq!(calls.len(), 3);
    });
}

#[test]
fn a_task_that_goes_away_after_its_answer_leaves_nothing_behind() {
    bounded(|| {
        let door = Door::closed();
        let bucket = source(&Notes::new(), &door);
        let job = Job::new();
        let mut leads = Box::pin(bucket.fetch_async(&7));
        assert!(job.poll(leads.as_mut()).is_none());
        door.release();
        eventually("the task is woken", || job.woken() == 1);
        drop(leads);
        eventually("its waker is gone", || !job.is_held());
        assert_eq!((job.woken(), bucket.peek(&7)), (1, Some(70)));
    });
}

#[test]
fn of_many_tasks_each_second_goes_away_and_the_others_are_answered() {
    bounded(|| {
        let door = Door::closed();
        let bucket = source(&Notes::new(), &door);
        let jobs: Vec<_> = (0..1000).map(|_| Job::new()).collect();
        let mut waits: Vec<_> = jobs
            .iter()
            .map(|_| Some(Box::pin(bucket.get_async(&7))))
            .collect();
        for (job, wait) in jobs.iter().zip(&mut waits) {
            assert!(job.poll(wait.as_mut().unwrap().as_mut()).is_none());
        }
        for wait in waits.iter_mut().skip(1).step_by(2) {
            *wait = None;
        }
        door.release();
        for (at, (job, wait)) in jobs.iter().zip(&mut waits).enumerate() {
            match wait {
                Some(wait) => {
                    eventually("the task is woken", || job.woken() == 1);
                    assert_eq!(job.poll(wait.as_mut()), Some(Some(70)));
                }
                None => assert_eq!((job.woken(), job.is_held()), (0, false), "{at}"),
            }
        }
    });
}

#[test]
fn many_keys_are_given_up_together() {
    bounded(|| {
        let (door, held) = (Door::closed(), Notes::new());
        let bucket: Numbers = source(&held, &door);
        let job = Job::new();
        {
            let keys: Vec<u64> = (10..20).collect();
            let mut waits = pin!(bucket.get_many_async(&keys));
            assert!(job.poll(waits.as_mut()).is_none());
            door.await_waiting(2);
        }
        assert!(!job.is_held());
        door.release();
        eventually("all are stored", || bucket.len() == 10);
        assert_eq!((job.woken(), held.len()), (0, 10));
    });
}
