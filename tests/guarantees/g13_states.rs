//! G13: nothing is hidden. How many keys are in which state, and why the last load of a key failed.

use std::error::Error as _;
use std::time::Duration;

use larder::LoadState::{Cached, Failed, Loading, ReloadRequested, Reloading, Requested, Unknown};
use larder::{Bucket, ErrorKind, LoadCounts, LoadState, ManualClock, Outcome, Reset};

use crate::common::{Broken, Door, PATIENCE, Task, bounded, settle, together};

type Numbers = Bucket<u64, u64>;

const STATES: [LoadState; 7] = [
    Unknown,
    Failed,
    Requested,
    Loading,
    Cached,
    ReloadRequested,
    Reloading,
];

/// As [`Bucket::load_counts`] is to have it of these keys, which are all that the bucket has ever heard of.
#[track_caller]
fn counts_are_of_the_states(bucket: &Numbers, keys: std::ops::Range<u64>) -> LoadCounts {
    let keys: Vec<u64> = keys.collect();
    let states = bucket.load_states(&keys);
    let each: Vec<_> = keys.iter().map(|key| bucket.load_state(key)).collect();
    assert_eq!(states, each);
    let counts = bucket.load_counts();
    for state in STATES.into_iter().filter(|&state| state != Unknown) {
        let there = states.iter().filter(|&&there| there == state).count() as u64;
        assert_eq!(counts.of(state), there, "{state:?}");
    }
    assert_eq!(counts.of(Unknown), 0);
    counts
}

#[test]
fn g13_the_keys_in_each_state_are_counted_zeros_included() {
    bounded(|| {
        let door = Door::open();
        let at = door.clone();
        let bucket = Numbers::builder("states")
            .loader_threads(2)
            .load(move |key: &u64| {
                at.pass();
                if *key < 6 { Ok(*key) } else { Err("no") }
            })
            .build()
            .unwrap();
        assert_eq!(
            counts_are_of_the_states(&bucket, 0..9),
            LoadCounts::default()
        );
        bucket.set_many([(2, 2), (4, 4), (5, 5)]);
        assert!(bucket.request_load([6, 7]).wait(PATIENCE));
        door.close();
        let mut tickets = vec![bucket.request_load([1])];
        door.await_waiting(1);
        tickets.push(bucket.request_load([2]));
        door.await_waiting(2);
        tickets.push(bucket.request_load([3, 4]));
        let states = bucket.load_states(&[0, 1, 2, 3, 4, 5, 6]);
        let expected = [
            Unknown,
            Loading,
            Reloading,
            Requested,
            ReloadRequested,
            Cached,
            Failed,
        ];
        assert_eq!(states, expected);
        let counts = counts_are_of_the_states(&bucket, 0..9);
        assert_eq!((counts.failed, counts.cached), (2, 1));
        // One that failed, is wanted again and waits in the queue is in one state only.
        tickets.push(bucket.request_load([6]));
        assert_eq!(bucket.load_state(&6), Requested);
        assert_eq!(counts_are_of_the_states(&bucket, 0..9).failed, 1);
        door.release();
        assert!(tickets.iter().all(|ticket| ticket.wait(PATIENCE)));
        let counts = counts_are_of_the_states(&bucket, 0..9);
        assert_eq!((counts.cached, counts.failed), (5, 2));
    });
}

/// A loader that says of each key what the test wants.
fn scripted(key: &u64) -> Result<Outcome<u64>, Broken> {
    match key % 10 {
        0 => Err(Broken("an error")),
        1 => panic!("a panic"),
        2 => Ok(Outcome::Failed(Broken("of the key").into())),
        3 => Ok(Outcome::Absent),
        4 => Ok(Outcome::Ignore(4)),
        _ => Ok(Outcome::Value(*key)),
    }
}

#[test]
fn g13_why_a_load_failed_can_be_asked_and_the_next_get_loads() {
    bounded(|| {
        let bucket = Numbers::builder("why").load(scripted).build().unwrap();
        for (key, kind, says) in [
            (0, ErrorKind::Load, "an error"),
            (1, ErrorKind::Panicked, "a panic"),
            (2, ErrorKind::Load, "of the key"),
        ] {
            assert!(bucket.last_failure(&key).is_none());
            let told = bucket.fetch(&key).unwrap_err();
            let kept = bucket.last_failure(&key).unwrap();
            assert_eq!((kept.kind(), told.kind()), (kind, kind));
            assert!(kept.to_string().contains(says), "{kept}");
            assert_eq!(bucket.load_state(&key), Failed);
            if let Some(own) = kept.source() {
                let told = told.source().unwrap();
                assert!(std::ptr::addr_eq(own, told), "the loader's own");
            }
            // It is not cached.
            let calls = bucket.stats().loader_calls;
            assert_eq!(bucket.get(&key), None);
            assert_eq!(bucket.stats().loader_calls, calls + 1);
        }
        for key in 3..6 {
            let _ = bucket.get(&key);
            assert!(bucket.last_failure(&key).is_none(), "{key} has not failed");
        }
        // What reached no loader, or was not waited for, has not failed.
        let no_loader = Numbers::builder("none").build().unwrap();
        assert!(no_loader.fetch(&1).is_err());
        assert!(no_loader.last_failure(&1).is_none());
        let own = no_loader.call().fetch_with(&1, |_| Err::<u64, _>("own"));
        assert!(own.is_err());
        assert_eq!(no_loader.last_failure(&1).unwrap().kind(), ErrorKind::Load);
    });
}

#[test]
fn g13_a_failure_ends_with_a_success_a_write_or_a_fresh_start() {
    bounded(|| {
        type End = fn(&Numbers);
        let ends: [(&str, End); 12] = [
            ("set", |b| b.set(0, 1)),
            ("set_many", |b| b.set_many([(0, 1)])),
            ("set_if_absent", |b| b.set_if_absent(0, 1).unwrap()),
            ("update", |b| {
                assert_eq!(b.update(&0, |_| Some(1)).unwrap(), Some(1));
            }),
            ("invalidate", |b| b.invalidate(&0)),
            ("clear", |b| b.clear().unwrap()),
            ("reset", |b| assert_eq!(b.reset(1).unwrap(), Reset::Done)),
            ("switched off", |b| b.set_caching(false).unwrap()),
            ("a value", |b| {
                let loaded = b.call().fetch_with(&0, |_| Ok::<_, String>(5));
                assert!(loaded.is_ok());
            }),
            ("unsaved", |b| {
                let call = b.call().skip_save();
                assert!(call.fetch_with(&0, |_| Ok::<_, String>(5)).is_ok());
            }),
            ("absent", |b| {
                let absent = b.call().fetch_with(&0, |_| Ok::<_, String>(None::<u64>));
                assert!(absent.unwrap().is_absent());
            }),
            ("ignored", |b| {
                let ignore = |_: &u64| Ok::<_, String>(Outcome::Ignore(5));
                assert!(b.call().fetch_with(&0, ignore).is_ok());
            }),
        ];
        for (how, end) in ends {
            for folds in [false, true] {
                let bucket = Numbers::builder("ends").load(scripted).build().unwrap();
                assert!(bucket.fetch_many(&[0, 1]).iter().all(Result::is_err));
                end(&bucket);
                if folds {
                    settle(&bucket);
                }
                assert!(bucket.last_failure(&0).is_none(), "{how}, {folds}");
                assert_ne!(bucket.load_state(&0), Failed, "{how}, {folds}");
                let all = matches!(how, "clear" | "reset" | "switched off");
                assert_eq!(bucket.last_failure(&1).is_none(), all, "{how}, {folds}");
                assert_eq!(bucket.load_counts().failed, u64::from(!all), "{how}");
            }
        }
    });
}

#[test]
fn g13_a_reload_that_failed_says_why_while_the_old_value_is_served() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("reload")
            .clock(time.clock())
            .load(scripted)
            .build()
            .unwrap();
        bucket.set_with_ttl(0, 7, Duration::from_secs(9));
        assert!(bucket.request_load([0]).wait(PATIENCE));
        assert_eq!((bucket.load_state(&0), bucket.peek(&0)), (Cached, Some(7)));
        assert!(bucket.last_failure(&0).is_some());
        assert_eq!(bucket.load_counts().failed, 0);
        // A refresh by key is a reload of each; another time is no write.
        bucket.refresh().wait(PATIENCE).unwrap();
        assert!(bucket.expire_in(&0, Duration::from_secs(5)).unwrap());
        settle(&bucket);
        assert!(bucket.last_failure(&0).is_some());
        time.advance(Duration::from_secs(5));
        settle(&bucket);
        assert_eq!(
            (bucket.load_state(&0), bucket.load_counts().failed),
            (Failed, 1)
        );
        // The dataset of a bucket is newer than what failed before.
        let whole = Numbers::builder("whole")
            .load(scripted)
            .load_all(|| Ok::<_, String>([(9, 9)]))
            .build()
            .unwrap();
        assert!(whole.fetch(&0).is_err());
        whole.refresh().wait(PATIENCE).unwrap();
        assert_eq!(whole.load_state(&0), Unknown);
    });
}

#[test]
fn g13_so_many_failures_are_remembered_and_the_oldest_goes() {
    bounded(|| {
        const MOST: u64 = 1000;
        let bucket = Numbers::builder("many")
            .loader_threads(1)
            .load(|key: &u64| Err::<u64, _>(format!("key {key}")))
            .build()
            .unwrap();
        for key in 0..MOST {
            assert!(bucket.fetch(&key).is_err());
        }
        // The first fails once more, which makes it the newest; the second was written.
        assert!(bucket.fetch(&0).is_err());
        bucket.set(1, 1);
        settle(&bucket);
        assert_eq!(bucket.load_counts().failed, MOST - 1);
        for key in MOST..MOST + 3 {
            assert!(bucket.fetch(&key).is_err());
        }
        let gone: Vec<u64> = (0..MOST + 3)
            .filter(|key| bucket.last_failure(key).is_none())
            .collect();
        assert_eq!(gone, [1, 2, 3]);
        assert_eq!(bucket.load_counts().failed, MOST);
        let said = bucket.last_failure(&0).unwrap();
        assert_eq!(said.to_string(), "the loader failed: key 0");
        // One key that fails again and again takes nobody's place.
        for _ in 0..3 * MOST {
            assert!(bucket.fetch(&0).is_err());
        }
        assert_eq!(bucket.load_counts().failed, MOST);
    });
}

/// Whatever of a key's write, its fold and its failing load comes first: once the write has returned, and the load as
/// well, there is a failure only if the load began after the write.
#[test]
fn g13_no_failure_outlives_a_write_that_came_after_it() {
    bounded(|| {
        let bucket = Numbers::builder("race")
            .load(|_: &u64| Err::<u64, _>("no"))
            .build()
            .unwrap();
        for key in 0..200 {
            let both = bucket.clone();
            together(3, move |thread| match thread {
                0 => drop(both.fetch(&key)),
                1 => both.set(key, key),
                _ => drop(both.publish()),
            });
            if bucket.peek(&key).is_some() {
                assert!(bucket.last_failure(&key).is_none(), "{key} is cached");
            }
        }
        assert_eq!(Task::spawn(move || bucket.len()).join(), 200);
    });
}
