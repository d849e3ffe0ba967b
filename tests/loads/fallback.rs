//! A loader of the bucket's and one of the call's, each with a state, and what whoever leads a load and whoever joins it is
//! told: for each thing that a loader can say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{
    BoxError, Bucket, ErrorKind, Fetched, KeyEvent, Loader, ManualClock, Origin, Outcome, Ttl,
};

use crate::common::{Door, Task, bounded, eventually};

type Numbers = Bucket<u64, u64>;
type Said = Result<(Option<u64>, Origin), ErrorKind>;

const TTL: Duration = Duration::from_secs(60);

fn said(fetched: Result<Fetched<u64>, larder::Error>) -> Said {
    let said = fetched.map(|fetched| (fetched.value().copied(), fetched.origin()));
    said.map_err(|error| error.kind())
}

/// What a loader says, what its owner and who has joined are told, and what is cached afterwards, for how long.
struct Case {
    name: &'static str,
    outcome: fn() -> Outcome<u64>,
    owner: Said,
    joiner: Said,
    cached: Option<u64>,
    ttl: Option<Ttl>,
}

const CASES: [Case; 6] = [
    Case {
        name: "commit",
        outcome: || Outcome::Value(7),
        owner: Ok((Some(7), Origin::Loaded)),
        joiner: Ok((Some(7), Origin::Joined)),
        cached: Some(7),
        ttl: Some(Ttl::Never),
    },
    Case {
        name: "commit with a time",
        outcome: || Outcome::Expiring(7, TTL),
        owner: Ok((Some(7), Origin::Loaded)),
        joiner: Ok((Some(7), Origin::Joined)),
        cached: Some(7),
        ttl: Some(Ttl::Left(TTL)),
    },
    Case {
        name: "ignore",
        outcome: || Outcome::Ignore(7),
        owner: Ok((Some(7), Origin::Ignored)),
        joiner: Ok((Some(7), Origin::Ignored)),
        cached: None,
        ttl: None,
    },
    Case {
        name: "absent",
        outcome: || Outcome::Absent,
        owner: Ok((None, Origin::Loaded)),
        joiner: Ok((None, Origin::Joined)),
        cached: None,
        ttl: None,
    },
    Case {
        name: "error",
        outcome: || Outcome::Failed("scripted".into()),
        owner: Err(ErrorKind::Load),
        joiner: Err(ErrorKind::Load),
        cached: None,
        ttl: None,
    },
    Case {
        name: "panic",
        outcome: || std::panic::panic_any("scripted"),
        owner: Err(ErrorKind::Panicked),
        joiner: Err(ErrorKind::Panicked),
        cached: None,
        ttl: None,
    },
];

/// By the loader that the bucket has, or that the call brings: the same for both.
#[test]
fn commit_ignore_absent_and_error_to_owner_and_joiner_alike() {
    bounded(|| {
        for case in CASES {
            for own in [false, true] {
                let when = format!("{}, the call's own: {own}", case.name);
                let (time, door) = (ManualClock::new(), Door::closed());
                let (loads, outcome) = (Arc::new(AtomicU64::new(0)), case.outcome);
                let (count, at) = (Arc::clone(&loads), door.clone());
                let load = move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    at.pass();
                    Ok::<_, BoxError>(outcome())
                };
                let default = load.clone();
                let joined = Arc::new(AtomicU64::new(0));
                let joining = Arc::clone(&joined);
                let bucket = Numbers::builder("fallback")
                    .clock(time.clock())
                    .key_events([KeyEvent::Blocked])
                    .key_observer(move |_, _| {
                        joining.fetch_add(1, Ordering::Relaxed);
                    })
                    .load(move |_: &u64| default())
                    .build()
                    .unwrap();
                let leading = bucket.clone();
                let owner = Task::spawn(move || match own {
                    false => said(leading.fetch(&1)),
                    true => said(leading.call().fetch_with(&1, |_| load())),
                });
                door.await_waiting(1);
                // Three that join, each in a way of its own; none of them has a load of its own.
                let (one, two, three) = (bucket.clone(), bucket.clone(), bucket.clone());
                let joiners = [
                    Task::spawn(move || said(one.fetch(&1))),
                    Task::spawn(move || said(two.fetch_many([&1]).remove(0))),
                    Task::spawn(move || {
                        let never = |_: &u64| Ok::<u64, BoxError>(99);
                        said(three.call().fetch_with(&1, never))
                    }),
                ];
                eventually("three that have joined", || {
                    joined.load(Ordering::Relaxed) == 3
                });
                door.release();
                assert_eq!(owner.join(), case.owner, "{when}");
                for joiner in joiners {
                    assert_eq!(joiner.join(), case.joiner, "{when}");
                }
                assert_eq!(bucket.peek(&1), case.cached, "{when}");
                assert_eq!(bucket.ttl(&1), case.ttl, "{when}");
                assert_eq!(loads.load(Ordering::Relaxed), 1, "{when}");
                // Nothing but a value is remembered: the next call asks again.
                let again = said(bucket.fetch(&1));
                let hit = case.cached.map(|value| Ok((Some(value), Origin::Hit)));
                assert_eq!(again, hit.unwrap_or(case.owner), "{when}");
            }
        }
    });
}

/// What Cachex calls a fallback with a state.
struct Numbered {
    base: u64,
    calls: AtomicU64,
}

impl Loader<u64, u64> for Numbered {
    fn load(&self, key: &u64) -> Result<Outcome<u64>, BoxError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Value(self.base * key + call))
    }
}

#[test]
fn a_default_loader_owns_its_state_as_a_type_or_as_a_closure() {
    bounded(|| {
        let typed = Numbers::builder("typed").loader(Numbered {
            base: 100,
            calls: AtomicU64::new(0),
        });
        let (base, calls) = (100, AtomicU64::new(0));
        let closed = Numbers::builder("closed").load(move |key: &u64| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            Ok::<_, BoxError>(base * key + call)
        });
        for builder in [typed, closed] {
            let bucket = builder.build().unwrap();
            assert_eq!(
                [1, 2, 1].map(|key| bucket.get(&key)),
                [Some(100), Some(201), Some(100)]
            );
        }
    });
}

#[test]
fn a_loader_of_the_call_wins_over_the_default_and_has_a_state_of_its_own() {
    bounded(|| {
        let bucket = Numbers::builder("default")
            .load(|key: &u64| Ok::<_, BoxError>(*key))
            .build()
            .unwrap();
        let mut asked = Vec::new();
        let mut own = |key: u64| {
            bucket.call().get_with(&key, |key| {
                asked.push(*key);
                Ok::<_, BoxError>(key + 1000)
            })
        };
        assert_eq!(
            (own(1), own(1), own(2)),
            (Some(1001), Some(1001), Some(1002))
        );
        assert_eq!(asked, [1, 2]);
        assert_eq!((bucket.get(&1), bucket.get(&3)), (Some(1001), Some(3)));
        let failed = bucket.call().get_with(&4, |_| Err::<u64, _>("scripted"));
        let absent = bucket
            .call()
            .get_with(&5, |_| Ok::<Option<u64>, BoxError>(None));
        assert_eq!((failed, absent), (None, None));
    });
}
