//! What a call says of a load: that it is not to be stored, and for how long it is.

use std::time::Duration;

use larder::{Bucket, Builder, Call, DefaultHashBuilder, ManualClock, Origin, Outcome, Ttl};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded};

type Numbers = Bucket<u64, u64>;
type Plain<'a> = Call<'a, u64, u64, DefaultHashBuilder>;

type Way = fn(Plain<'_>) -> Option<Origin>;

const TTL: Duration = Duration::from_secs(60);

/// A bucket that writes down what it loads, and stands at a door before it does.
fn noting(
    shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Notes<u64>, Door) {
    let (calls, door) = (Notes::new(), Door::open());
    let (noting, at) = (calls.clone(), door.clone());
    let builder = Numbers::builder("options").bulk_load(move |keys: &[u64]| {
        keys.iter().for_each(|key| noting.add(*key));
        at.pass();
        let answer = |&key: &u64| match key {
            0 => (key, Outcome::Absent),
            100.. => (key, Outcome::Expiring(key, 2 * TTL)),
            _ => (key, Outcome::Value(key)),
        };
        Ok::<_, Broken>(keys.iter().map(answer).collect::<Vec<_>>())
    });
    (shape(builder).build().unwrap(), calls, door)
}

/// Every way of a call to miss key 5, and where it says the answer is from, if it does.
const WAYS: [(&str, Way); 5] = [
    ("get", |call| {
        assert_eq!(call.get(&5), Some(5));
        None
    }),
    ("fetch", |call| {
        let fetched = call.fetch(&5).unwrap();
        assert_eq!(fetched.value(), Some(&5));
        Some(fetched.origin())
    }),
    ("get_many", |call| {
        assert_eq!(call.get_many([&5, &6]), [Some(5), Some(6)]);
        None
    }),
    ("fetch_many", |call| {
        let mut fetched = call.fetch_many([&5, &6]);
        let first = fetched.remove(0).unwrap();
        assert_eq!(first.value(), Some(&5));
        Some(first.origin())
    }),
    ("fetch_with", |call| {
        let fetched = call.fetch_with(&5, |key| Ok::<_, Broken>(*key)).unwrap();
        assert_eq!(fetched.value(), Some(&5));
        Some(fetched.origin())
    }),
];

#[test]
fn what_a_call_does_not_save_is_answered_and_not_stored() {
    bounded(|| {
        for (name, way) in WAYS {
            let (bucket, calls, _) = noting(|b| b);
            for _ in 0..2 {
                let origin = way(bucket.call().skip_save());
                assert!(origin.is_none_or(|o| o == Origin::Ignored), "{name}");
                assert_eq!((bucket.peek(&5), bucket.len()), (None, 0), "{name}");
            }
            let stats = bucket.stats();
            assert_eq!(stats.ignored, stats.keys_asked, "{name}");
            assert_eq!(stats.loaded, 0, "{name}");
            // The next call that says nothing stores it, and then it is a hit for all.
            assert_eq!(bucket.fetch(&5).unwrap().origin(), Origin::Loaded, "{name}");
            let loads = calls.len();
            let origin = way(bucket.call().skip_save());
            assert!(origin.is_none_or(|o| o == Origin::Hit), "{name}");
            assert!(calls.all()[loads..].iter().all(|key| *key == 6), "{name}");
        }
    });
}

#[test]
fn a_call_says_how_long_what_it_loads_lives() {
    bounded(|| {
        for (name, way) in WAYS {
            for ttl in [None, Some(3 * TTL)] {
                let time = ManualClock::new();
                let clock = time.clock();
                let (bucket, _, _) = noting(|b| match ttl {
                    Some(ttl) => b.clock(clock).ttl(ttl),
                    None => b.clock(clock),
                });
                way(bucket.call().ttl(TTL));
                assert_eq!(bucket.ttl(&5), Some(Ttl::Left(TTL)), "{name}");
                // A hit changes nothing.
                way(bucket.call().ttl(2 * TTL));
                assert_eq!(bucket.ttl(&5), Some(Ttl::Left(TTL)), "{name}");
                time.advance(TTL);
                assert_eq!(bucket.peek(&5), None, "{name}");
                way(bucket.call());
                let usual = ttl.map_or(Ttl::Never, Ttl::Left);
                assert_eq!(bucket.ttl(&5), Some(usual), "{name}");
            }
        }
    });
}

#[test]
fn what_the_loader_says_wins_over_the_call() {
    bounded(|| {
        let (bucket, _, _) = noting(|b| b.clock(ManualClock::new().clock()));
        assert_eq!(bucket.call().ttl(TTL).get(&100), Some(100));
        assert_eq!(bucket.ttl(&100), Some(Ttl::Left(2 * TTL)));
        // How long it would live does not matter where it is not to be stored.
        let fetched = bucket.call().skip_save().fetch(&101).unwrap();
        assert_eq!(fetched.origin(), Origin::Ignored);
        assert_eq!(bucket.peek(&101), None);
        let absent = bucket.call().skip_save().ttl(TTL).fetch(&0).unwrap();
        assert!(absent.is_absent());
    });
}

/// A caller that leads a load of key 5 and stands in its loader, with what it will have got.
fn leads(
    bucket: &Numbers,
    door: &Door,
    shape: fn(Plain<'_>) -> Plain<'_>,
) -> Task<(Option<u64>, Origin)> {
    door.close();
    let own = bucket.clone();
    let task = Task::spawn(move || {
        let fetched = shape(own.call()).fetch(&5).unwrap();
        (fetched.value().copied(), fetched.origin())
    });
    door.await_waiting(1);
    task
}

#[test]
fn who_joins_a_load_that_is_not_saved_gets_its_answer() {
    bounded(|| {
        let (bucket, calls, door) = noting(|b| b);
        let leader = leads(&bucket, &door, |call| call.skip_save());
        let joins = bucket.call().skip_save().timeout(Duration::ZERO);
        assert!(joins.fetch(&5).unwrap_err().is_timeout());
        door.release();
        assert_eq!(leader.join(), (Some(5), Origin::Ignored));
        assert_eq!((bucket.peek(&5), calls.all()), (None, vec![5]));
    });
}

#[test]
fn it_is_saved_if_anybody_who_waits_wants_that() {
    bounded(|| {
        type Join = fn(&Numbers);
        let joins: [(&str, Join); 4] = [
            ("fetch", |b| {
                let late = b.call().timeout(Duration::ZERO).fetch(&5);
                assert!(late.unwrap_err().is_timeout());
            }),
            ("fetch_many", |b| {
                let late = b.call().timeout(Duration::ZERO).fetch_many([&5]);
                assert!(late[0].as_ref().unwrap_err().is_timeout());
            }),
            ("fetch_with", |b| {
                let call = b.call().timeout(Duration::ZERO);
                let late = call.fetch_with(&5, |_| Ok::<u64, Broken>(7));
                assert!(late.unwrap_err().is_timeout());
            }),
            ("request_load", |b| assert!(!b.request_load([5]).is_done())),
        ];
        for (name, join) in joins {
            let (bucket, calls, door) = noting(|b| b.clock(ManualClock::new().clock()));
            let leader = leads(&bucket, &door, |call| call.skip_save().ttl(TTL));
            join(&bucket);
            door.release();
            assert_eq!(leader.join(), (Some(5), Origin::Loaded), "{name}");
            assert_eq!((bucket.peek(&5), calls.len()), (Some(5), 1), "{name}");
            // For as long as the leader said.
            assert_eq!(bucket.ttl(&5), Some(Ttl::Left(TTL)), "{name}");
        }
    });
}

#[test]
fn who_joins_takes_the_time_as_it_is() {
    bounded(|| {
        let (bucket, calls, door) = noting(|b| b.clock(ManualClock::new().clock()));
        let leader = leads(&bucket, &door, |call| call.ttl(TTL));
        let joins = bucket.call().ttl(3 * TTL).skip_save();
        let late = joins.timeout(Duration::ZERO).fetch(&5);
        assert!(late.unwrap_err().is_timeout());
        door.release();
        assert_eq!(leader.join(), (Some(5), Origin::Loaded));
        assert_eq!(bucket.ttl(&5), Some(Ttl::Left(TTL)));
        assert_eq!(calls.len(), 1);
    });
}

#[test]
fn a_loader_of_the_call_is_not_saved_either_and_is_joined() {
    bounded(|| {
        let (bucket, calls, _) = noting(|b| b);
        let door = Door::closed();
        let (own, at) = (bucket.clone(), door.clone());
        let leader = Task::spawn(move || {
            let load = move |key: &u64| {
                at.pass();
                Ok::<_, Broken>(key + 1)
            };
            let fetched = own.call().skip_save().fetch_with(&5, load).unwrap();
            (fetched.value().copied(), fetched.origin())
        });
        door.await_waiting(1);
        let joins = bucket.call().skip_save().timeout(Duration::ZERO);
        assert!(joins.fetch(&5).unwrap_err().is_timeout());
        door.release();
        assert_eq!(leader.join(), (Some(6), Origin::Ignored));
        assert_eq!((bucket.peek(&5), calls.len()), (None, 0));
    });
}

/// Somebody who wants the value stored may come at any moment. Whenever that is: if its own call has returned,
/// the value is there.
#[test]
fn whoever_wants_it_saved_finds_it_saved_whenever_they_come() {
    bounded(|| {
        let (bucket, _, _) = noting(|b| b.loader_threads(2));
        for round in 1..2_000 {
            bucket.invalidate(&5);
            let own = bucket.clone();
            let other = Task::spawn(move || own.call().skip_save().get(&5));
            if round % 3 == 0 {
                std::thread::yield_now();
            }
            let fetched = bucket.fetch(&5).unwrap();
            assert_eq!(fetched.value(), Some(&5));
            assert_eq!(bucket.peek(&5), Some(5), "{round}: {:?}", fetched.origin());
            assert_eq!(other.join(), Some(5));
        }
        assert!(bucket.request_load([6]).wait(PATIENCE));
    });
}
