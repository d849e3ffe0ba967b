//! Bugs of single flight: keys that stay dead, waiters that hang, loads that are repeated.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, Error, ErrorKind, Fetched, Origin};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, together};

type Numbers = Bucket<u64, u64>;

/// A bucket whose loads are numbered from 0, note their key, and pass the door of their number.
fn numbered(doors: &[Door]) -> (Numbers, Notes<u64>) {
    let (calls, doors) = (Notes::new(), doors.to_vec());
    let (noting, count) = (calls.clone(), AtomicU64::new(0));
    let bucket = Numbers::builder("numbered")
        .loader_threads(3)
        .load(move |key: &u64| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            noting.add(*key);
            if let Some(door) = doors.get(number as usize) {
                door.pass();
            }
            Ok::<_, String>(number)
        })
        .build()
        .unwrap();
    (bucket, calls)
}

fn asks(bucket: &Numbers, key: u64) -> Task<Result<Fetched<u64>, Error>> {
    let bucket = bucket.clone();
    Task::spawn(move || bucket.fetch(&key))
}

// golang/go #33519, #41133; mailgun/groupcache #38; moka-rs/moka #43, PR #46; gohugoio/hugo PR #12987;
// cockroachdb #174960: the loader panicked, its waiters hung and the key was dead. seaweedfs PR #9100:
// they got an empty success. All get `Panicked`, no value, and the next call loads.
#[test]
fn go_33519_a_panic_of_the_leader_with_waiters() {
    bounded(|| {
        let (door, count) = (Door::closed(), AtomicU64::new(0));
        let at = door.clone();
        let bucket = Numbers::builder("panics")
            .load(move |_: &u64| {
                at.pass();
                assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "the first time");
                Ok::<_, String>(7)
            })
            .build()
            .unwrap();
        let asking = bucket.clone();
        // Four who share a flight for certain: a leader and three who joined.
        let four = Task::spawn(move || asking.fetch_many([&1; 4]));
        door.await_waiting(1);
        let ticket = bucket.request_load([1]);
        door.release();
        for answer in four.join() {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.to_string().contains("the first time"), "{error}");
        }
        assert!(ticket.wait(PATIENCE));
        assert_eq!(bucket.peek(&1), None);
        assert_eq!(bucket.fetch(&1).unwrap().into_value(), Some(7));
    });
}

// golang/go #33519 as well: the same where the caller's own closure panics, with others who joined it.
#[test]
fn go_33519_a_panic_of_a_call_time_leader_with_waiters() {
    bounded(|| {
        let bucket = Numbers::builder("call").build().unwrap();
        bucket.set(9, 9);
        let (door, joining) = (Door::closed(), Door::closed());
        let (calling, at) = (bucket.clone(), door.clone());
        let leader = Task::spawn(move || {
            let load = |_: &u64| -> Result<u64, String> {
                at.pass();
                panic!("in the closure")
            };
            calling.call().fetch_with(&1, load).unwrap_err().kind()
        });
        door.await_waiting(1);
        let (calling, at) = (bucket.clone(), joining.clone());
        let joined = Task::spawn(move || {
            // It has joined when it asks its iterator for the last: keys are looked up some at a time.
            let keys = iter::once(&1).chain(iter::repeat_n(&9, 99)).chain([&2]);
            let keys = keys.inspect(|key| {
                if **key == 2 {
                    at.pass();
                }
            });
            calling.fetch_many(keys)[0].clone()
        });
        joining.await_waiting(1);
        joining.release();
        door.release();
        assert_eq!(leader.join(), ErrorKind::Panicked);
        assert_eq!(joined.join().unwrap_err().kind(), ErrorKind::Panicked);
        let load = |_: &u64| Ok::<_, String>(7);
        let fetched = bucket.call().fetch_with(&1, load).unwrap();
        assert_eq!(
            (fetched.value(), fetched.origin()),
            (Some(&7), Origin::Loaded)
        );
    });
}

// golang/go #31420; janos/singleflight #14; catatsuy/cache #37: after a forget, the end of the old call
// removed the new one, and a third caller started another. The third joins the second.
#[test]
fn go_31420_an_old_load_ends_after_a_new_one_began() {
    bounded(|| {
        let doors = [Door::closed(), Door::closed()];
        let (bucket, calls) = numbered(&doors);
        let old = asks(&bucket, 1);
        doors[0].await_waiting(1);
        bucket.invalidate(&1);
        let new = asks(&bucket, 1);
        doors[1].await_waiting(1);
        doors[0].release();
        assert_eq!(old.join().unwrap().into_value(), Some(0));
        // The old one is over. Whoever comes now joins the new one, and cannot have an answer yet.
        let third = bucket.call().timeout(Duration::ZERO).fetch(&1);
        assert!(third.unwrap_err().is_timeout());
        let ticket = bucket.request_load([1]);
        assert!(!ticket.is_done());
        doors[1].release();
        assert_eq!(new.join().unwrap().into_value(), Some(1));
        assert!(ticket.wait(PATIENCE));
        assert_eq!((calls.len(), bucket.peek(&1)), (2, Some(1)));
    });
}

// whitfin/cachex PR #295: every waiter was told that it had committed the value. golang/go #55343: "am
// I shared?" was answered wrongly. Of ten callers of a flight one has loaded, nine have joined.
#[test]
fn cachex_295_one_has_loaded_and_nine_have_joined() {
    bounded(|| {
        let (bucket, calls) = numbered(&[]);
        for round in 0..20 {
            let ten = bucket.fetch_many([&round; 10]);
            let origins: Vec<_> = ten
                .iter()
                .map(|one| one.as_ref().unwrap().origin())
                .collect();
            assert_eq!(origins[0], Origin::Loaded);
            assert!(origins[1..].iter().all(|origin| *origin == Origin::Joined));
        }
        // Ten threads: one has loaded; who came too late to join had a hit.
        let asking = bucket.clone();
        for key in 100..150 {
            let asking = asking.clone();
            let origins = together(4, move |_| asking.fetch(&key).unwrap().origin());
            let loaded = origins.iter().filter(|origin| **origin == Origin::Loaded);
            assert_eq!(loaded.count(), 1, "{origins:?}");
        }
        assert_eq!(calls.len(), 70);
    });
}

// golang/go #55343 as well: one who gives up while another joins must not take the answer along.
#[test]
fn go_55343_one_gives_up_while_another_joins() {
    bounded(|| {
        for round in 0..100 {
            let door = Door::closed();
            let (bucket, calls) = numbered(std::slice::from_ref(&door));
            let ticket = bucket.request_load([round]);
            door.await_waiting(1);
            let asking = bucket.clone();
            let answers = Task::spawn(move || {
                together(3, move |thread| match thread {
                    0 => asking.call().timeout(Duration::ZERO).fetch(&round),
                    1 => asking
                        .call()
                        .timeout(Duration::from_micros(50))
                        .fetch(&round),
                    _ => asking.fetch(&round),
                })
            });
            crate::common::eventually("a timeout", || bucket.stats().timeouts > 0);
            door.release();
            let answers = answers.join();
            assert_eq!(answers[2].as_ref().unwrap().value(), Some(&0));
            let given_up = |answer: &Result<Fetched<u64>, Error>| match answer {
                Ok(fetched) => fetched.value() == Some(&0),
                Err(error) => error.is_timeout(),
            };
            assert!(answers.iter().all(given_up));
            assert!(ticket.wait(PATIENCE));
            assert_eq!(calls.len(), 1);
        }
    });
}

// quick-cache PR #40: an insert replaced a placeholder while its guard was inserting; waiters ran into
// unreachable code. Waiters of a load get an answer, whatever is set meanwhile, and the set stands.
#[test]
fn quick_cache_40_a_set_during_a_load_with_waiters() {
    bounded(|| {
        let door = Door::closed();
        let (bucket, _) = numbered(std::slice::from_ref(&door));
        let before: Vec<_> = (0..3).map(|_| asks(&bucket, 1)).collect();
        door.await_waiting(1);
        bucket.set(1, 100);
        let after = asks(&bucket, 1).join().unwrap();
        assert_eq!((after.value(), after.origin()), (Some(&100), Origin::Hit));
        door.release();
        for waiter in before {
            let value = waiter.join().unwrap().into_value();
            assert!(value == Some(0) || value == Some(100), "{value:?}");
        }
        assert_eq!(bucket.peek(&1), Some(100));
    });
}

// quick-cache PR #18, PR #20: inserts over a placeholder went wrong. Set, invalidate and set again while
// one load is under way: each is seen at once, and the load's result never.
#[test]
fn quick_cache_18_set_invalidate_and_set_during_one_load() {
    bounded(|| {
        let doors = [Door::closed(), Door::closed()];
        let (bucket, calls) = numbered(&doors);
        let first = asks(&bucket, 1);
        doors[0].await_waiting(1);
        bucket.set(1, 100);
        assert_eq!(bucket.get(&1), Some(100));
        bucket.invalidate(&1);
        assert_eq!(bucket.peek(&1), None);
        // Who misses it now needs a load that began after the invalidation.
        let second = asks(&bucket, 1);
        doors[1].await_waiting(1);
        bucket.set(1, 200);
        assert_eq!(bucket.get(&1), Some(200));
        doors.iter().for_each(Door::release);
        assert_eq!(first.join().unwrap().into_value(), Some(0));
        assert_eq!(second.join().unwrap().into_value(), Some(1));
        bucket.publish().unwrap();
        assert_eq!((bucket.peek(&1), calls.len()), (Some(200), 2));
    });
}

// quick-cache PR #120: a guard dropped without an insert leaked its slot. Waiters that give up, by the
// hundred thousand, leave nothing: no flight, no place in the queue.
#[test]
fn quick_cache_120_a_hundred_thousand_waits_that_were_given_up() {
    bounded(|| {
        let door = Door::closed();
        let (bucket, calls) = numbered(&[door.clone(), door.clone(), door.clone()]);
        for round in 0..100_000 {
            let call = bucket.call().timeout(Duration::ZERO).fetch(&(round % 5));
            assert!(call.unwrap_err().is_timeout());
        }
        let stats = bucket.stats();
        assert_eq!((stats.queued + stats.loading, stats.timeouts), (5, 100_000));
        let all = bucket.request_load(0..5);
        door.release();
        assert!(all.wait(PATIENCE));
        let stats = bucket.stats();
        assert_eq!((stats.queued, stats.loading, bucket.len()), (0, 0, 5));
        assert_eq!(calls.len(), 5);
    });
}

// authzed/spicedb #2953: waiters without a deadline hung with a leader that hung. They time out, the
// counters say so, and after an invalidation the key can be loaded although the old load still hangs.
#[test]
fn spicedb_2953_a_loader_that_never_returns() {
    bounded(|| {
        let door = Door::closed();
        let (bucket, _) = numbered(std::slice::from_ref(&door));
        let asking = bucket.clone();
        let errors = together(4, move |_| {
            let call = asking.call().timeout(Duration::from_millis(5));
            call.fetch(&1).unwrap_err()
        });
        assert!(errors.iter().all(Error::is_timeout));
        let stats = bucket.stats();
        assert_eq!((stats.timeouts, stats.loading, stats.loaded), (4, 1, 0));
        bucket.invalidate(&1);
        assert_eq!(bucket.get(&1), Some(1), "another load");
        assert_eq!(door.waiting(), 1, "the first still hangs");
        door.release();
        crate::common::eventually("its end", || bucket.stats().superseded == 1);
        assert_eq!(bucket.peek(&1), Some(1));
    });
}

// moka-rs/moka #240 (open); ben-manes/caffeine #712, #729, #160, #1489, #771: a loader that called its
// cache deadlocked. Own key: an error at once. Another: works. A circle over threads: broken.
#[test]
fn caffeine_712_loaders_that_call_their_cache() {
    bounded(|| {
        let own: Arc<std::sync::OnceLock<Numbers>> = Arc::default();
        let (calling, both) = (Arc::clone(&own), Door::closed());
        let at = both.clone();
        let bucket = Numbers::builder("calls")
            .loader_threads(2)
            .bulk_load(move |keys: &[u64]| {
                let bucket = calling.get().unwrap();
                let ask = |key| bucket.fetch(&key).map(|f| f.into_value().unwrap());
                keys.iter()
                    .map(|&key| {
                        let value = match key {
                            // Itself; another; one of its own batch; each other.
                            1 => ask(1),
                            2 => ask(3),
                            10 => ask(11),
                            20 | 21 => {
                                at.pass();
                                ask(41 - key)
                            }
                            _ => Ok(0),
                        };
                        Ok::<_, String>((key, value.unwrap_or(99)))
                    })
                    .collect::<Result<Vec<_>, _>>()
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!((bucket.get(&1), bucket.get(&2)), (Some(99), Some(0)));
        assert_eq!(bucket.get_many([&10, &11]), [Some(99), Some(0)]);
        // One after the other, or they would be one batch.
        let first = bucket.request_load([20]);
        both.await_waiting(1);
        let second = bucket.request_load([21]);
        both.await_waiting(2);
        both.release();
        assert!(first.wait(PATIENCE) && second.wait(PATIENCE));
        assert_eq!(bucket.get_many([&20, &21]), [Some(99), Some(99)]);
        bucket.shutdown();
    });
}
