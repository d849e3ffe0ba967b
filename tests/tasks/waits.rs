//! What a task is told, and when it is woken.

use std::pin::pin;
use std::time::Duration;

use larder::{Bucket, ErrorKind, ManualClock, Origin, Reset, Ttl};

use crate::common::{Door, Notes, Task, block_on, bounded, eventually};
use crate::kit::{ABSENT, ERROR, IGNORE, Job, PANIC, is_at_rest, numbers, source};

#[test]
fn a_hit_is_ready_at_the_first_poll_and_a_miss_wakes_its_task() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = source(&calls, &door);
        let job = Job::new();
        {
            let mut miss = pin!(bucket.fetch_async(&7));
            assert!(job.poll(miss.as_mut()).is_none());
            door.await_waiting(1);
            assert!(job.poll(miss.as_mut()).is_none());
            assert_eq!(job.woken(), 0);
            door.release();
            eventually("the task is woken", || job.woken() == 1);
            let loaded = job.poll(miss.as_mut()).unwrap().unwrap();
            assert_eq!(
                (loaded.value(), loaded.origin()),
                (Some(&70), Origin::Loaded)
            );
        }
        let hit = job.poll(pin!(bucket.fetch_async(&7))).unwrap().unwrap();
        assert_eq!((hit.value(), hit.origin()), (Some(&70), Origin::Hit));
        assert_eq!(job.poll(pin!(bucket.get_async(&7))), Some(Some(70)));
        assert_eq!((job.woken(), job.is_held()), (1, false));
        assert_eq!(calls.all(), [7]);
    });
}

#[test]
fn tasks_and_threads_share_one_flight_and_its_answer_whatever_it_is() {
    for key in [7, ABSENT, ERROR, PANIC, IGNORE] {
        bounded(move || {
            let (calls, door) = (Notes::new(), Door::closed());
            let bucket = source(&calls, &door);
            let jobs: Vec<_> = (0..100).map(|_| Job::new()).collect();
            let mut waits: Vec<_> = jobs
                .iter()
                .map(|_| Box::pin(bucket.fetch_async(&key)))
                .collect();
            for (job, wait) in jobs.iter().zip(&mut waits) {
                assert!(job.poll(wait.as_mut()).is_none());
            }
            door.await_waiting(1);
            let asking = bucket.clone();
            let thread = Task::spawn(move || asking.fetch(&key));
            eventually("the thread has joined", || bucket.stats().joined == 100);
            door.release();
            let told = thread.join();
            for (at, (job, wait)) in jobs.iter().zip(&mut waits).enumerate() {
                eventually("the task is woken", || job.woken() == 1);
                match (job.poll(wait.as_mut()).unwrap(), &told) {
                    (Ok(mine), Ok(its)) => {
                        assert_eq!(mine.value(), its.value());
                        let leads = at == 0 && key != IGNORE;
                        let origin = if leads { Origin::Loaded } else { its.origin() };
                        assert_eq!(mine.origin(), origin);
                    }
                    (Err(mine), Err(its)) => {
                        assert_eq!(
                            (mine.kind(), mine.to_string()),
                            (its.kind(), its.to_string())
                        );
                    }
                    (mine, its) => panic!("{key}: {mine:?} and {its:?}"),
                }
            }
            assert_eq!(calls.all(), [key]);
            eventually("the end", || is_at_rest(&bucket));
        });
    }
}

#[test]
fn a_task_is_told_why_nothing_is_loaded() {
    bounded(|| {
        let none = numbers("no loader").build().unwrap();
        let why = block_on(none.fetch_async(&1)).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::NoLoader);
        assert_eq!(block_on(none.get_async(&1)), None);

        let door = Door::closed();
        let held = door.clone();
        let full = numbers("full")
            .queue_capacity(1)
            .loader_threads(1)
            .load(move |key: &u64| {
                held.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let _ = full.request_load([1]);
        door.await_waiting(1);
        let queued = full.request_load([2]);
        let why = block_on(full.fetch_async(&3)).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::QueueFull);
        door.release();
        assert!(block_on(queued.wait_async()));
        assert_eq!(block_on(full.get_async(&3)), Some(3));
    });
}

#[test]
fn a_shutdown_answers_tasks() {
    bounded(|| {
        let door = Door::closed();
        let bucket = source(&Notes::new(), &door);
        let job = Job::new();
        let (running, queued) = (bucket.clone(), bucket.clone());
        let mut waits = [
            Box::pin(async move { running.fetch_async(&7).await })
                as std::pin::Pin<Box<dyn Future<Output = _>>>,
            Box::pin(async move { queued.fetch_async(&8).await }),
        ];
        for wait in &mut waits {
            assert!(job.poll(wait.as_mut()).is_none());
        }
        door.await_waiting(2);
        let ending = bucket.clone();
        let ending = Task::spawn(move || ending.shutdown());
        eventually("both are woken", || job.woken() == 2);
        for wait in &mut waits {
            let why = job.poll(wait.as_mut()).unwrap().unwrap_err();
            assert_eq!(why.kind(), ErrorKind::Closed);
        }
        let why = block_on(bucket.fetch_async(&9)).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::Closed);
        door.release();
        ending.join();
    });
}

#[test]
fn a_task_joins_a_thread_with_a_loader_of_its_own() {
    bounded(|| {
        let door = Door::closed();
        let bucket = numbers("own").build().unwrap();
        let (asking, held) = (bucket.clone(), door.clone());
        let thread = Task::spawn(move || {
            let own = |key: &u64| {
                held.pass();
                Ok::<_, String>(key + 1)
            };
            asking.call().fetch_with(&7, own)
        });
        door.await_waiting(1);
        let job = Job::new();
        let mut joins = pin!(bucket.fetch_async(&7));
        assert!(job.poll(joins.as_mut()).is_none());
        door.release();
        assert_eq!(thread.join().unwrap().origin(), Origin::Loaded);
        let joined = block_on(joins).unwrap();
        assert_eq!(
            (joined.value(), joined.origin()),
            (Some(&8), Origin::Joined)
        );
    });
}

#[test]
fn what_a_call_says_of_a_load_holds_for_a_task() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = numbers("options")
            .clock(time.clock())
            .load(|key: &u64| Ok::<_, String>(key * 10))
            .build()
            .unwrap();
        let unsaved = block_on(bucket.call().skip_save().fetch_async(&1)).unwrap();
        assert_eq!(
            (unsaved.value(), unsaved.origin()),
            (Some(&10), Origin::Ignored)
        );
        assert_eq!(bucket.peek(&1), None);
        let ttl = Duration::from_secs(5);
        assert_eq!(block_on(bucket.call().ttl(ttl).get_async(&2)), Some(20));
        assert_eq!(bucket.ttl(&2), Some(Ttl::Left(ttl)));
        // No time limit, also not one that has passed.
        let timeless = bucket.call().timeout(Duration::ZERO);
        assert_eq!(block_on(timeless.get_async(&3)), Some(30));
        assert_eq!(
            block_on(timeless.get_many_async([&3, &4])),
            [Some(30), Some(40)]
        );
    });
}

#[test]
fn g9_a_task_that_waits_through_a_reset_is_carried_over() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let (asked, held) = (calls.clone(), door.clone());
        let bucket = numbers("reset")
            .loader_threads(1)
            .load(move |_: &u64| {
                asked.add(0);
                let told = asked.len() as u64;
                held.pass();
                Ok::<_, String>(told)
            })
            .build()
            .unwrap();
        let job = Job::new();
        let mut waits = pin!(bucket.fetch_async(&7));
        assert!(job.poll(waits.as_mut()).is_none());
        door.await_waiting(1);
        assert_eq!(bucket.reset(1).unwrap(), Reset::Done);
        assert!(job.poll(waits.as_mut()).is_none());
        assert_eq!(job.woken(), 0);
        door.release();
        let told = block_on(waits).unwrap();
        assert_eq!((told.value(), calls.len()), (Some(&2), 2));

        // Answered before a reset, and polled after it.
        door.close();
        let late = Job::new();
        let mut waits = pin!(bucket.fetch_async(&8));
        assert!(late.poll(waits.as_mut()).is_none());
        door.release();
        eventually("the task is woken", || late.woken() == 1);
        assert_eq!(bucket.reset(2).unwrap(), Reset::Done);
        assert_eq!(block_on(waits).unwrap().value(), Some(&4));
    });
}

#[test]
fn what_is_awaited_can_be_sent_to_another_thread() {
    fn sent<T>(future: impl Future<Output = T> + Send) -> T {
        block_on(future)
    }
    bounded(|| {
        let words = Bucket::<String, usize>::builder("words")
            .load(|word: &String| Ok::<_, String>(word.len()))
            .build()
            .unwrap();
        assert_eq!(sent(words.get_async("tea")), Some(3));
        assert_eq!(sent(words.fetch_async("coffee")).unwrap().value(), Some(&6));
        assert_eq!(
            sent(words.get_many_async(["tea", "milk"])),
            [Some(3), Some(4)]
        );
        assert_eq!(sent(words.fetch_many_async(["tea"])).len(), 1);
        assert_eq!(sent(words.call().get_async("sugar")), Some(5));
        assert!(sent(words.request_load(["tea".into()]).wait_async()));
        sent(words.refresh().wait_async()).unwrap();
        sent(words.warm_all().wait_async()).unwrap();
    });
}
