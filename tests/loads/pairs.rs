//! A load of one key that brings pairs: exactly these are stored.

use std::time::Duration;

use larder::{BoxError, Bucket, Builder, ErrorKind, Loaded, Loader, ManualClock, Origin, Outcome};
use larder::{Fetched, Ttl};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded};

type Numbers = Bucket<u64, u64>;

const TTL: Duration = Duration::from_secs(60);

type Page = Loaded<u64, u64>;

/// A bucket whose single loader says `page` of each key, stands at a door, and is counted.
fn paged(
    page: fn(u64) -> Page,
    shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Notes<u64>, Door) {
    let (calls, door) = (Notes::new(), Door::open());
    let (noting, at) = (calls.clone(), door.clone());
    let builder = Numbers::builder("pages").load(move |key: &u64| {
        noting.add(*key);
        at.pass();
        Ok::<_, Broken>(page(*key))
    });
    (shape(builder).build().unwrap(), calls, door)
}

/// The key's square, and the next two keys with theirs.
fn next_two(key: u64) -> Page {
    Loaded::with_pairs(key * key, (key + 1..=key + 2).map(|key| (key, key * key)))
}

/// Three keys with the asked one among them.
fn all_three(key: u64) -> Page {
    Loaded::with_pairs(key * key, (key..=key + 2).map(|key| (key, key * key)))
}

fn said(fetched: Result<Fetched<u64>, larder::Error>) -> Result<(Option<u64>, Origin), ErrorKind> {
    let said = fetched.map(|fetched| (fetched.value().copied(), fetched.origin()));
    said.map_err(|error| error.kind())
}

/// A call with a loader of its own brings them as well.
type Ask = fn(&Numbers, u64, fn(u64) -> Page) -> Result<Fetched<u64>, larder::Error>;

const WAYS: [(&str, Ask); 3] = [
    ("fetch", |bucket, key, _| bucket.fetch(&key)),
    ("fetch_many", |bucket, key, _| {
        bucket.fetch_many([&key]).remove(0)
    }),
    ("fetch_with", |bucket, key, page| {
        bucket
            .call()
            .fetch_with(&key, |key| Ok::<_, Broken>(page(*key)))
    }),
];

#[test]
fn exactly_the_pairs_are_stored_and_the_value_is_answered() {
    bounded(|| {
        for (name, ask) in WAYS {
            let (bucket, calls, _) = paged(next_two, |b| b);
            for round in 1..3 {
                let fetched = said(ask(&bucket, 5, next_two));
                assert_eq!(fetched, Ok((Some(25), Origin::Ignored)), "{name}");
                assert_eq!(bucket.peek(&5), None, "{name}: it is not among them");
                assert_eq!(bucket.get_many([&6, &7]), [Some(36), Some(49)], "{name}");
                assert_eq!((bucket.len(), bucket.stats().ignored), (2, round), "{name}");
            }
            assert_eq!(calls.len(), if name == "fetch_with" { 0 } else { 2 });
        }
    });
}

#[test]
fn the_asked_key_is_stored_if_it_is_among_them() {
    bounded(|| {
        for (name, ask) in WAYS {
            let (bucket, ..) = paged(all_three, |b| b);
            let fetched = said(ask(&bucket, 5, all_three));
            assert_eq!(fetched, Ok((Some(25), Origin::Loaded)), "{name}");
            let fetched = said(ask(&bucket, 5, all_three));
            assert_eq!(fetched, Ok((Some(25), Origin::Hit)), "{name}");
            assert_eq!(bucket.get_many([&6, &7]), [Some(36), Some(49)], "{name}");
        }
    });
}

/// What is said of the asked key in the pairs is what becomes of it; the value is what is answered.
#[test]
fn what_the_pairs_say_of_the_asked_key_is_stored_and_the_value_answered() {
    type Case = (
        fn(u64) -> Page,
        Result<(Option<u64>, Origin), ErrorKind>,
        Option<u64>,
    );
    bounded(|| {
        let cases: [Case; 5] = [
            (
                |key| Loaded::with_pairs(1, [(key, 2), (key, 3), (9, 9)]),
                Ok((Some(1), Origin::Loaded)),
                Some(3),
            ),
            (
                |key| Loaded::with_pairs(1, [(key, Outcome::Ignore(2))]),
                Ok((Some(1), Origin::Ignored)),
                Some(7),
            ),
            (
                |key| Loaded::with_pairs(1, [(key, Outcome::Absent)]),
                Ok((Some(1), Origin::Ignored)),
                None,
            ),
            (
                |key| Loaded::with_pairs(1, [(key, Outcome::Failed("scripted".into()))]),
                Err(ErrorKind::Load),
                Some(7),
            ),
            (
                |_| Loaded::with_pairs(1, [(9, Outcome::Absent), (8, Outcome::Ignore(8))]),
                Ok((Some(1), Origin::Ignored)),
                Some(7),
            ),
        ];
        for (at, (page, expected, after)) in cases.into_iter().enumerate() {
            for (name, ask) in WAYS {
                let (bucket, ..) = paged(page, |b| b);
                assert_eq!(said(ask(&bucket, 5, page)), expected, "case {at}, {name}");
                assert_eq!(bucket.peek(&8), None, "case {at}, {name}");
            }
            // To a reload.
            let (bucket, calls, _) = paged(page, |b| b);
            bucket.set_many([(5, 7), (9, 7)]);
            assert!(bucket.refresh_keys([5]).wait(PATIENCE));
            assert_eq!((bucket.peek(&5), calls.len()), (after, 1), "case {at}");
            // Nothing is said of another key by its absence, as with a batch.
            let nine = if at == 0 { 9 } else { 7 };
            assert_eq!(bucket.peek(&9), Some(nine), "case {at}");
        }
    });
}

#[test]
fn g4_pairs_do_not_overwrite_what_was_changed_since_the_load_began() {
    type Change = fn(&Numbers);
    bounded(|| {
        let changes: [(&str, Change, Option<u64>); 4] = [
            ("set", |b| b.set(6, 1), Some(1)),
            ("invalidate", |b| b.invalidate(&6), None),
            ("clear", |b| b.clear().unwrap(), None),
            (
                "set and fold",
                |b| {
                    b.set(6, 1);
                    b.publish().unwrap();
                },
                Some(1),
            ),
        ];
        for (name, change, left) in changes {
            let (bucket, _, door) = paged(all_three, |b| b);
            bucket.set(6, 7);
            door.close();
            let leader = bucket.clone();
            let leader = Task::spawn(move || leader.get(&5));
            door.await_waiting(1);
            change(&bucket);
            door.release();
            assert_eq!(leader.join(), Some(25), "{name}");
            assert_eq!(bucket.peek(&6), left, "{name}");
        }
    });
}

#[test]
fn who_joins_gets_the_value_and_skip_save_leaves_out_the_key_only() {
    bounded(|| {
        for (page, origin) in [
            (next_two as fn(u64) -> Page, Origin::Ignored),
            (all_three, Origin::Joined),
        ] {
            let (bucket, calls, door) = paged(page, |b| b);
            door.close();
            let leader = bucket.clone();
            let leader = Task::spawn(move || leader.get(&5));
            door.await_waiting(1);
            let joining = bucket.request_load([5]);
            let joiner = bucket.clone();
            let joiner = Task::spawn(move || said(joiner.fetch(&5)));
            door.release();
            assert_eq!(leader.join(), Some(25));
            // It may have come after the end of the load, where that was stored.
            let joined = joiner.join().unwrap();
            assert_eq!(joined.0, Some(25));
            assert!([origin, Origin::Hit, Origin::Ignored].contains(&joined.1));
            assert!(joining.wait(PATIENCE) && !calls.all().is_empty());
        }
        let (bucket, ..) = paged(all_three, |b| b);
        let fetched = said(bucket.call().skip_save().fetch(&5));
        assert_eq!(fetched, Ok((Some(25), Origin::Ignored)));
        assert_eq!((bucket.peek(&5), bucket.peek(&6)), (None, Some(36)));
    });
}

#[test]
fn pairs_live_as_long_as_is_said_of_them() {
    bounded(|| {
        let time = ManualClock::new();
        let page = |key: u64| {
            let others = [(key, Outcome::Value(1)), (9, Outcome::Expiring(9, 2 * TTL))];
            Loaded::with_pairs(1, others)
        };
        let (bucket, ..) = paged(page, |b| b.clock(time.clock()).ttl(TTL));
        assert_eq!(bucket.get(&5), Some(1));
        assert_eq!(bucket.ttl(&5), Some(Ttl::Left(TTL)));
        assert_eq!(bucket.ttl(&9), Some(Ttl::Left(2 * TTL)));
    });
}

/// A loader that is a type: it brings pairs for misses, and is told of what is cached for reloads.
struct Typed(Notes<Option<u64>>);

impl Loader<u64, u64> for Typed {
    fn load(&self, key: &u64) -> Result<Outcome<u64>, BoxError> {
        self.load_pairs(key, None).map(Loaded::into_outcome)
    }

    fn load_pairs(&self, key: &u64, current: Option<&u64>) -> Result<Page, BoxError> {
        self.0.add(current.copied());
        match current {
            Some(_) => Ok(Loaded::One(Outcome::Unchanged)),
            None => Ok(all_three(*key)),
        }
    }
}

#[test]
fn a_loader_that_is_a_type_brings_pairs_as_a_closure_does() {
    bounded(|| {
        let notes = Notes::new();
        let bucket = Numbers::builder("typed").loader(Typed(notes.clone()));
        let bucket = bucket.build().unwrap();
        assert_eq!(bucket.get(&5), Some(25));
        assert_eq!((bucket.peek(&6), bucket.peek(&7)), (Some(36), Some(49)));
        bucket.refresh().wait(PATIENCE).unwrap();
        let mut told = notes.all();
        told[1..].sort_unstable();
        assert_eq!(told, [None, Some(25), Some(36), Some(49)]);
        let outcome = Typed(Notes::new()).load(&3).unwrap();
        assert!(matches!(outcome, Outcome::Ignore(9)));
    });
}

#[test]
fn pairs_of_dead_values_are_not_stored_and_a_dead_answer_has_failed() {
    bounded(|| {
        let page = |key: u64| match key {
            1 => Loaded::with_pairs(1, [(1, 1), (2, 0)]),
            2 => Loaded::with_pairs(0, [(1, 1), (2, 2)]),
            _ => Loaded::with_pairs(0, [(1, 1)]),
        };
        let (bucket, ..) = paged(page, |b| b.alive(|_, value| *value > 0));
        assert_eq!(said(bucket.fetch(&2)), Err(ErrorKind::Dead));
        assert_eq!(bucket.peek(&1), Some(1), "that one lives");
        assert_eq!(said(bucket.fetch(&3)), Err(ErrorKind::Dead));
        bucket.clear().unwrap();
        assert_eq!(bucket.get(&1), Some(1));
        bucket.publish().unwrap();
        assert_eq!(bucket.snapshot().get(&2), None, "not even in there");
    });
}

#[test]
fn the_filter_of_reloads_has_the_last_word_on_the_asked_key() {
    bounded(|| {
        for page in [next_two, all_three] {
            let (bucket, ..) = paged(page, |b| b.refresh_filter(|_, _| Outcome::Value(99)));
            bucket.set(5, 7);
            assert!(bucket.refresh_keys([5]).wait(PATIENCE));
            assert_eq!(bucket.peek(&5), Some(99));
            assert_eq!(bucket.peek(&6), Some(36), "of which it is not asked");
        }
    });
}
