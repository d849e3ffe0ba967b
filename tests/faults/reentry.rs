//! Loaders that call the bucket they load for.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use larder::{Bucket, ErrorKind};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, lock};

type Numbers = Bucket<u64, u64>;

/// A bucket whose loader, for key 1, first does something to the bucket.
fn meddling(threads: usize, meddle: fn(&Numbers)) -> Numbers {
    let own: Arc<OnceLock<Numbers>> = Arc::default();
    let calling = Arc::clone(&own);
    let bucket = Numbers::builder("meddling")
        .loader_threads(threads)
        .load(move |key: &u64| {
            if *key == 1 {
                meddle(calling.get().unwrap());
            }
            Ok::<_, String>(key * 10)
        })
        .build()
        .unwrap();
    assert!(own.set(bucket.clone()).is_ok());
    bucket
}

/// What the loader does, and what of the loaded key is to be seen afterwards.
type Meddling = (&'static str, fn(&Numbers), Option<u64>);

const MEDDLINGS: [Meddling; 18] = [
    ("peek", |b| assert_eq!(b.peek(&1), None), Some(10)),
    ("get another", |b| assert_eq!(b.get(&2), Some(20)), Some(10)),
    (
        "get many others",
        |b| {
            let keys: Vec<u64> = (2..50).collect();
            assert!(b.get_many(&keys).iter().all(Option::is_some));
        },
        Some(10),
    ),
    (
        "fetch_with another",
        |b| {
            let load = |_: &u64| Ok::<_, String>(3);
            b.call().fetch_with(&3, load).unwrap();
        },
        Some(10),
    ),
    (
        "request others",
        |b| assert!(b.request_load(2..50).wait(PATIENCE)),
        Some(10),
    ),
    // A change that it makes itself is newer than what it returns.
    ("set its own", |b| b.set(1, 11), Some(11)),
    (
        "set_if_absent its own",
        |b| b.set_if_absent(1, 11).unwrap(),
        Some(11),
    ),
    (
        "update_many its own",
        |b| b.update_many([&1, &2], |step| step.set(0, 11)).unwrap(),
        Some(11),
    ),
    ("invalidate its own", |b| b.invalidate(&1), None),
    ("clear", |b| b.clear().unwrap(), None),
    (
        "invalidate its own by a tag",
        |b| {
            b.set_with_tags(1, 11, "own");
            assert_eq!(b.invalidate_tag("own").unwrap(), 1);
        },
        None,
    ),
    ("set another", |b| b.set_many([(2, 2), (3, 3)]), Some(10)),
    ("publish", |b| assert!(b.publish().is_ok()), Some(10)),
    (
        "set its own and publish",
        |b| {
            b.set(1, 11);
            b.publish().unwrap();
        },
        Some(11),
    ),
    (
        "read a snapshot",
        |b| assert_eq!(b.snapshot().get(&1), None),
        Some(10),
    ),
    (
        "look around",
        |b| {
            assert_eq!(b.load_state(&1), larder::LoadState::Loading);
            assert_eq!(b.stats().loading, 1);
            assert!(b.keys().is_empty() && b.is_empty());
        },
        Some(10),
    ),
    ("refresh", |b| drop(b.refresh()), Some(10)),
    ("drop handles", |b| drop((b.clone(), b.reader())), Some(10)),
];

#[test]
fn a_loader_may_do_anything_to_its_bucket() {
    for (name, meddle, left) in MEDDLINGS {
        for threads in [1, 2] {
            bounded(move || {
                let bucket = meddling(threads, meddle);
                let fetched = bucket.fetch(&1).map(larder::Fetched::into_value);
                assert!(matches!(fetched, Ok(Some(10))), "{name}: {fetched:?}");
                assert_eq!(bucket.peek(&1), left, "{name}");
                assert_eq!(bucket.get(&7), Some(70), "{name}");
                bucket.publish().unwrap();
                assert_eq!(bucket.peek(&1), left, "{name}");
                bucket.shutdown();
            });
        }
    }
}

#[test]
fn a_loader_that_shuts_its_bucket_down_is_not_waited_for() {
    bounded(|| {
        let bucket = meddling(2, |bucket| {
            bucket.shutdown();
            // Its own flight has been answered; what it returns now comes too late.
            assert_eq!(bucket.fetch(&2).unwrap_err().kind(), ErrorKind::Closed);
        });
        bucket.set(5, 5);
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(bucket.peek(&5), Some(5));
        bucket.shutdown();
    });
}

#[test]
fn a_loader_that_waits_for_a_refresh_gets_a_timeout() {
    bounded(|| {
        // The only loader thread would have to do it.
        let bucket = meddling(1, |bucket| {
            let refresh = bucket.refresh().wait(Duration::from_millis(20));
            assert!(refresh.unwrap_err().is_timeout());
        });
        bucket.set(5, 5);
        assert_eq!(bucket.get(&1), Some(10));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.peek(&5), Some(50));
        bucket.shutdown();
    });
}

#[test]
fn a_dataset_loader_may_write_to_its_bucket() {
    bounded(|| {
        let own: Arc<OnceLock<Numbers>> = Arc::default();
        let calling = Arc::clone(&own);
        let bucket = Numbers::builder("dataset")
            .load_all(move || {
                let bucket = calling.get().unwrap();
                // All of it is newer than the dataset, which is read as of before.
                bucket.set_many([(1, 11), (9, 99)]);
                bucket.invalidate(&2);
                bucket.publish().unwrap();
                bucket.set(8, 88);
                Ok::<_, String>((0..5).map(|key| (key, key)))
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        bucket.refresh().wait(PATIENCE).unwrap();
        let values: Vec<_> = (0..10).map(|key| bucket.peek(&key)).collect();
        let mut expected: Vec<_> = (0..10).map(|key| (key < 5).then_some(key)).collect();
        (expected[1], expected[2], expected[8], expected[9]) = (Some(11), None, Some(88), Some(99));
        assert_eq!(values, expected);
        bucket.shutdown();
    });
}

#[test]
fn the_last_handle_may_be_dropped_inside_of_a_loader() {
    bounded(|| {
        let slot: Arc<Mutex<Option<Numbers>>> = Arc::default();
        let (taking, done) = (Arc::clone(&slot), Notes::new());
        let (noting, door) = (done.clone(), Door::closed());
        let at = door.clone();
        let bucket = Numbers::builder("suicide")
            .load(move |key: &u64| {
                at.pass();
                let last = lock(&taking).take();
                drop(last);
                noting.add(*key);
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let ticket = bucket.request_load([1]);
        door.await_waiting(1);
        *lock(&slot) = Some(bucket);
        door.release();
        assert!(ticket.wait(PATIENCE), "answered, as in any shutdown");
        crate::common::eventually("the loader's own end", || done.len() == 1);
    });
}

#[test]
fn the_iterators_and_keys_of_a_caller_may_call_the_bucket() {
    bounded(|| {
        let bucket = Numbers::builder("iterators")
            .load(|key: &u64| Ok::<_, String>(key * 10))
            .build()
            .unwrap();
        let inner = bucket.clone();
        let touch = move |key: u64| {
            inner.set(100 + key, key);
            inner.publish().unwrap();
            assert_eq!(inner.get(&(200 + key)), Some(2_000 + 10 * key));
            key
        };
        bucket.set_many((0..5).map(&touch).map(|key| (key, key)));
        let keys: Vec<u64> = (0..10).collect();
        let values = bucket.get_many(keys.iter().inspect(|key| assert_eq!(touch(**key), **key)));
        let expected = |key: &u64| Some(if *key < 5 { *key } else { 10 * key });
        assert!(values.iter().zip(&keys).all(|(v, k)| *v == expected(k)));
        bucket.invalidate_many(keys.iter().inspect(|key| assert_eq!(touch(**key), **key)));
        assert!(keys.iter().all(|key| bucket.peek(key).is_none()));
        assert!(bucket.request_load((0..10).map(&touch)).wait(PATIENCE));
        assert!(keys.iter().all(|key| bucket.peek(key) == Some(10 * key)));
    });
}

/// It runs in the middle of a read, of a value that is replaced meanwhile.
#[test]
fn who_reads_without_a_clone_may_do_anything_to_the_bucket() {
    bounded(|| {
        let bucket = Bucket::<u64, String>::builder("with").build().unwrap();
        bucket.set(1, "one".into());
        bucket.publish().unwrap();
        let read = bucket.with(&1, |one| {
            bucket.set(1, "uno".into());
            bucket.publish().unwrap();
            assert_eq!(bucket.peek(&1).as_deref(), Some("uno"));
            let inner = bucket.with(&1, |uno| {
                bucket.with(&1, |same| (uno.clone(), same.clone()))
            });
            assert_eq!(inner.flatten(), Some(("uno".into(), "uno".into())));
            bucket.clear().unwrap();
            assert_eq!(bucket.with(&1, String::len), None);
            one.clone()
        });
        assert_eq!(read.as_deref(), Some("one"));
        assert_eq!(bucket.peek(&1), None);
    });
}

#[test]
fn a_call_time_loader_may_do_anything_to_its_bucket() {
    for (name, meddle, left) in MEDDLINGS {
        if name == "look around" {
            continue;
        }
        bounded(move || {
            let bucket = Numbers::builder("call")
                .load(|key: &u64| Ok::<_, String>(key * 10))
                .build()
                .unwrap();
            let asking = bucket.clone();
            let call = Task::spawn(move || {
                let load = |key: &u64| {
                    meddle(&asking);
                    Ok::<_, String>(key * 10)
                };
                asking.call().fetch_with(&1, load).unwrap().into_value()
            });
            assert_eq!(call.join(), Some(10), "{name}");
            assert_eq!(bucket.peek(&1), left, "{name}");
        });
    }
}
