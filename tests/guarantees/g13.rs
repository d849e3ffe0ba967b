//! G13: nothing is hidden. Threads have names, errors types, and what nobody is told is counted.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, BuildError, Error, ErrorKind, Event, KeyEvent, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded};

type Numbers = Bucket<u64, u64>;

/// The names of this process's threads, as the system knows them: cut to 15 bytes.
#[cfg(target_os = "linux")]
fn names(prefix: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<String> = tasks
        // A thread may end while we look.
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(target_os = "linux")]
#[test]
fn g13_every_thread_has_a_name_and_none_is_left_behind() {
    use crate::common::eventually;

    bounded(|| {
        let bucket = Numbers::builder("t")
            .loader_threads(2)
            .load(|key: &u64| Ok::<_, String>(*key))
            .load_all(|| Ok::<_, String>([(1, 1)]))
            .observer(|_: &Event| {})
            .build()
            .unwrap();
        let expected = [
            "larder-t-datase",
            "larder-t-load-0",
            "larder-t-load-1",
            "larder-t-observ",
            "larder-t-refres",
        ];
        // A thread takes its name when it first runs.
        eventually("five named threads", || names("larder-t-") == expected);
        assert_eq!(bucket.get(&1), Some(1));
        let other = bucket.clone();
        drop(bucket);
        assert_eq!(names("larder-t-"), expected, "a handle is left");
        drop(other);
        assert!(names("larder-t-").is_empty());
    });
}

#[test]
fn g13_user_code_sees_whose_thread_it_is_on() {
    bounded(|| {
        let seen = Notes::new();
        let (loading, fetching, told) = (seen.clone(), seen.clone(), seen.clone());
        let me = || {
            let thread = std::thread::current();
            thread.name().unwrap_or("nameless").to_owned()
        };
        let bucket = Numbers::builder("prices\0and more")
            .loader_threads(1)
            .load(move |_: &u64| {
                loading.add(me());
                Err::<u64, _>("no")
            })
            .load_all(move || {
                fetching.add(me());
                Ok::<_, String>([(1, 1)])
            })
            .observer(move |_: &Event| told.add(me()))
            .build()
            .unwrap();
        assert_eq!(bucket.name(), "prices\0and more");
        bucket.refresh().wait(PATIENCE).unwrap();
        assert!(bucket.fetch(&2).is_err());
        bucket.shutdown();
        let role = |role| format!("larder-prices?and more-{role}");
        assert_eq!(
            seen.all(),
            [role("dataset"), role("load-0"), role("observe")]
        );
    });
}

#[test]
fn g13_an_error_carries_the_loader_s_own_and_is_shared_by_all() {
    bounded(|| {
        let bucket = Numbers::builder("errors")
            .load(|key: &u64| match key {
                0 => Err(Broken("whole")),
                _ => Ok(Outcome::<u64>::Failed(Broken("one key").into())),
            })
            .load_all(|| Err::<[(u64, u64); 0], _>(Broken("dataset")))
            .build()
            .unwrap();
        let own = |error: &Error| {
            assert_eq!(error.kind(), ErrorKind::Load);
            let own = error.source().unwrap().downcast_ref::<Broken>().unwrap();
            assert!(error.to_string().contains(&own.to_string()), "{error}");
            assert!(format!("{error:?}").contains(own.0));
            std::ptr::from_ref(own) as usize
        };
        let answers = bucket.fetch_many([&0, &0, &1, &1]);
        let sources: Vec<_> = answers
            .iter()
            .map(|a| own(a.as_ref().unwrap_err()))
            .collect();
        assert_eq!((sources[0], sources[2]), (sources[1], sources[3]), "shared");
        assert_ne!(sources[0], sources[2]);
        let error = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(own(&error), own(&error.clone()));

        fn error_of_a_library<E: std::error::Error + Clone + Send + Sync + 'static>() {}
        error_of_a_library::<Error>();
    });
}

#[test]
fn g13_kinds_tell_failures_apart_and_only_loaders_have_sources() {
    bounded(|| {
        let none = Numbers::builder("none").build().unwrap();
        let error = none.fetch(&1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoLoader);
        assert!(error.source().is_none() && !error.is_timeout() && !error.is_closed());
        none.shutdown();
        let closed = none.publish().unwrap_err();
        assert!(closed.is_closed() && closed.source().is_none());
        assert!(!closed.to_string().is_empty());

        let refused = Numbers::builder("zero").batch_size(0).build().unwrap_err();
        assert!(matches!(
            &refused,
            BuildError::Option {
                option: "batch_size",
                ..
            }
        ));
        assert!(refused.source().is_none());
    });
}

#[test]
fn g13_what_fails_is_counted_and_reported() {
    bounded(|| {
        let told = Notes::new();
        let noting = told.clone();
        let bucket = Numbers::builder("told")
            .loader_threads(1)
            .bulk_load(|keys: &[u64]| match keys[0] {
                0 => Err(Broken("a batch")),
                10 => panic!("a panic"),
                _ => Ok(keys
                    .iter()
                    .map(|&key| match key % 3 {
                        0 => (key, Outcome::Value(key)),
                        1 => (key, Outcome::Failed(Broken("a key").into())),
                        _ => (key, Outcome::Absent),
                    })
                    .collect::<Vec<_>>()),
            })
            .load_all(|| Err::<[(u64, u64); 0], _>(Broken("a dataset")))
            .observer(move |event: &Event| {
                noting.add(match event {
                    Event::LoadFailed { keys, error } => ("load", *keys, error.kind()),
                    Event::RefreshFailed { keys, error } => {
                        ("refresh", *keys, error.as_ref().unwrap().kind())
                    }
                    other => panic!("{other:?}"),
                });
            })
            .build()
            .unwrap();
        bucket.fetch_many([&0, &1, &2]);
        bucket.fetch_many([&10, &11]);
        bucket.fetch_many([&20, &21, &22]);
        assert!(bucket.refresh().wait(PATIENCE).is_err());
        let stats = bucket.stats();
        assert_eq!(stats.failed, 3 + 2 + 1);
        assert_eq!((stats.loaded, stats.absent), (1, 1));
        assert_eq!((stats.loader_calls, stats.keys_asked), (3, 8));
        assert_eq!((stats.refreshes, stats.refreshes_failed), (0, 1));
        bucket.shutdown();
        assert_eq!(
            told.all(),
            [
                ("load", 3, ErrorKind::Load),
                ("load", 2, ErrorKind::Panicked),
                ("load", 1, ErrorKind::Load),
                ("refresh", 0, ErrorKind::Load),
            ]
        );
        assert_eq!(bucket.stats().events_dropped, 0);
    });
}

#[test]
fn g13_a_call_time_load_that_fails_is_counted_and_reported() {
    bounded(|| {
        let told = Notes::new();
        let noting = told.clone();
        let bucket = Numbers::builder("call")
            .observer(move |event: &Event| noting.add(format!("{event:?}")))
            .build()
            .unwrap();
        let failing = |_: &u64| Err::<u64, _>(Broken("call"));
        assert!(bucket.call().fetch_with(&1, failing).is_err());
        let panicking = |_: &u64| -> Result<u64, Broken> { panic!("call") };
        assert!(bucket.call().fetch_with(&1, panicking).is_err());
        assert_eq!(bucket.stats().failed, 2);
        bucket.shutdown();
        assert_eq!(told.len(), 2, "{:?}", told.all());
    });
}

#[test]
fn g13_an_event_that_no_observer_was_told_of_is_counted() {
    bounded(|| {
        let (door, told) = (Door::closed(), Arc::new(AtomicU64::new(0)));
        let (at, counting) = (door.clone(), Arc::clone(&told));
        let bucket = Numbers::builder("dropped")
            .load(|_: &u64| Err::<u64, _>("no"))
            .observer(move |_: &Event| {
                at.pass();
                counting.fetch_add(1, Ordering::SeqCst);
            })
            .build()
            .unwrap();
        const FAILURES: u64 = 3_000;
        for key in 0..FAILURES {
            assert!(bucket.fetch(&key).is_err());
        }
        let dropped = bucket.stats().events_dropped;
        assert!((1..FAILURES).contains(&dropped), "{dropped}");
        door.release();
        bucket.shutdown();
        assert_eq!(told.load(Ordering::SeqCst) + dropped, FAILURES);
        assert_eq!(bucket.stats().failed, FAILURES);
    });
}

#[test]
fn g13_a_state_is_shown_for_each_key() {
    use larder::LoadState::{Cached, Loading, ReloadRequested, Reloading, Requested, Unknown};

    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Numbers::builder("state")
            .loader_threads(2)
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        bucket.set_many([(2, 2), (4, 4), (5, 5)]);
        let first = bucket.request_load([1]);
        door.await_waiting(1);
        let second = bucket.request_load([2]);
        door.await_waiting(2);
        let rest = bucket.request_load([3, 4]);
        let states: Vec<_> = (0..6).map(|key| bucket.load_state(&key)).collect();
        assert_eq!(
            states,
            [
                Unknown,
                Loading,
                Reloading,
                Requested,
                ReloadRequested,
                Cached
            ]
        );
        let stats = bucket.stats();
        assert_eq!((stats.queued, stats.loading), (2, 2));
        door.release();
        assert!(
            [first, second, rest]
                .iter()
                .all(|ticket| ticket.wait(PATIENCE))
        );
        assert!((1..6).all(|key| bucket.load_state(&key) == Cached));
        assert_eq!(bucket.stats().queued, 0);
    });
}

#[test]
fn g13_tables_that_somebody_still_holds_are_counted() {
    bounded(|| {
        let bucket = Numbers::builder("held").build().unwrap();
        let held: Vec<_> = (0..3)
            .map(|round| {
                bucket.set(round, round);
                bucket.publish().unwrap();
                bucket.snapshot()
            })
            .collect();
        // Three are held; one of them is the current one.
        let counted = |expected| {
            crate::common::eventually("the count", || {
                bucket.publish().unwrap();
                bucket.stats().tables_retired == expected
            });
        };
        counted(2);
        let taken = Task::spawn(move || drop(held));
        taken.join();
        counted(0);
    });
}

type Told = Notes<(KeyEvent, u64)>;

/// A bucket that notes what happens to its keys. Key 0 is absent, odd keys fail; what is held up stands at the door.
fn telling(kinds: Option<&[KeyEvent]>, shape: fn(Watched) -> Watched) -> (Numbers, Told, Door) {
    let (told, door) = (Notes::new(), Door::open());
    let (noting, at) = (told.clone(), door.clone());
    let builder = Numbers::builder("told")
        .loader_threads(1)
        .load(move |key: &u64| {
            at.pass();
            match key {
                0 => Ok(None),
                key if key % 2 == 1 => Err("odd"),
                key => Ok(Some(*key)),
            }
        })
        .key_observer(move |event, key| noting.add((event, *key)));
    let builder = match kinds {
        Some(kinds) => builder.key_events(kinds.iter().copied()),
        None => builder,
    };
    (shape(builder).build().unwrap(), told, door)
}

type Watched = larder::Builder<u64, u64>;

#[test]
fn g13_what_happens_to_a_key_is_told_with_the_key() {
    use KeyEvent::{Absent, Blocked, Disappeared, Failed, Missed, TimedOut};

    bounded(|| {
        let (bucket, told, door) = telling(Some(KeyEvent::ALL), |b| b);
        assert_eq!((bucket.get(&2), bucket.get(&2)), (Some(2), Some(2)));
        assert_eq!((bucket.peek(&8), bucket.get(&0)), (None, None));
        assert!(bucket.fetch(&3).is_err());
        assert_eq!(bucket.get_many([&2, &4]), [Some(2), Some(4)]);
        let own = bucket.call().fetch_with(&5, |key| Ok::<_, String>(*key));
        assert!(own.is_ok());
        // Who comes to a load that is under way.
        door.close();
        let leader = bucket.clone();
        let leader = Task::spawn(move || leader.get(&6));
        door.await_waiting(1);
        let late = bucket.call().timeout(Duration::ZERO).fetch(&6);
        assert!(late.unwrap_err().is_timeout());
        door.release();
        assert_eq!(leader.join(), Some(6));
        // A reload that is asked for is no miss; it fails, or finds the key gone, or does not.
        bucket.set_many([(0, 7), (1, 7)]);
        assert!(bucket.request_load([0, 1, 2]).wait(PATIENCE));
        bucket.shutdown();
        let expected = [
            (Missed, 2),
            (Missed, 0),
            (Absent, 0),
            (Missed, 3),
            (Failed, 3),
            (Missed, 4),
            (Missed, 5),
            (Missed, 6),
            (Blocked, 6),
            (TimedOut, 6),
            (Disappeared, 0),
            (Failed, 1),
        ];
        assert_eq!(told.all(), expected);
        assert_eq!(bucket.stats().events_dropped, 0);
    });
}

#[test]
fn g13_a_value_that_died_is_told_with_its_key() {
    bounded(|| {
        let odd_live = |b: Watched| b.alive(|_, value| value % 2 == 1);
        let (bucket, told, _) = telling(Some(&[KeyEvent::Disappeared]), odd_live);
        bucket.set_many([(1, 1), (2, 2), (3, 4)]);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(1), None));
        crate::common::eventually("the removal", || bucket.stats().died == 1);
        assert!(bucket.notify_dead(&3).unwrap());
        bucket.shutdown();
        let expected = [(KeyEvent::Disappeared, 2), (KeyEvent::Disappeared, 3)];
        assert_eq!(told.all(), expected);
    });
}

#[test]
fn g13_of_keys_failures_are_told_unless_something_else_is_said() {
    bounded(|| {
        for (kinds, expected) in [
            (None, vec![(KeyEvent::Failed, 1)]),
            (Some(KeyEvent::FAILURES), vec![(KeyEvent::Failed, 1)]),
            (Some(&[KeyEvent::Absent][..]), vec![(KeyEvent::Absent, 0)]),
        ] {
            let (bucket, told, _) = telling(kinds, |b| b);
            for key in 0..3 {
                assert_eq!(bucket.get(&key), (key == 2).then_some(2));
            }
            bucket.shutdown();
            assert_eq!(told.all(), expected, "{kinds:?}");
        }
    });
}

#[test]
fn g13_what_is_remembered_to_be_absent_is_told_and_the_end_is_no_failure() {
    bounded(|| {
        let remembering = |b: Watched| {
            b.exists(|key: &u64| Ok::<_, String>(*key != 9))
                .exists_absent_for(PATIENCE)
        };
        let kinds = [KeyEvent::Missed, KeyEvent::Absent, KeyEvent::Failed];
        let (bucket, told, door) = telling(Some(&kinds), remembering);
        assert_eq!((bucket.get(&9), bucket.get(&9)), (None, None));
        door.close();
        let waiter = bucket.clone();
        let waiter = Task::spawn(move || waiter.fetch(&2).map_err(|error| error.kind()));
        door.await_waiting(1);
        let closing = bucket.clone();
        let closing = Task::spawn(move || closing.shutdown());
        assert_eq!(waiter.join().map(|_| ()), Err(ErrorKind::Closed));
        door.release();
        closing.join();
        let expected = [
            (KeyEvent::Missed, 9),
            (KeyEvent::Absent, 9),
            (KeyEvent::Absent, 9),
            (KeyEvent::Missed, 2),
        ];
        assert_eq!(told.all(), expected);
    });
}
