//! Reloads that are told of what is cached, and the filter that sees what they bring.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{BoxError, Bucket, BulkLoader, ErrorKind, Event, Loader, ManualClock, Outcome, Ttl};

use crate::common::{PATIENCE, bounded};

type Numbers = Bucket<u32, u32>;

const TTL: Duration = Duration::from_secs(60);

/// What it was asked, in order: the key, and the value that it was told of.
type Asked = Arc<Mutex<Vec<(u32, Option<u32>)>>>;

/// The source has version 2 of each key; of odd ones version 1 as well, which is as good. Of 100 it has nothing any
/// more, and of 200 an error.
struct Source(Asked);

impl Source {
    fn says(key: u32, current: Option<u32>) -> Outcome<u32> {
        match (key, current) {
            (100, Some(_)) => Outcome::Absent,
            (200, Some(_)) => Outcome::Failed("scripted".into()),
            (_, Some(_)) if key % 2 == 1 => Outcome::Unchanged,
            (_, Some(current)) => Outcome::Value(current + 1),
            (_, None) => Outcome::Value(1),
        }
    }

    fn ask(&self, key: u32, current: Option<u32>) -> Outcome<u32> {
        self.0.lock().unwrap().push((key, current));
        Self::says(key, current)
    }
}

impl Loader<u32, u32> for Source {
    fn load(&self, key: &u32) -> Result<Outcome<u32>, BoxError> {
        Ok(self.ask(*key, None))
    }

    fn refresh(&self, key: &u32, current: &u32) -> Result<Outcome<u32>, BoxError> {
        Ok(self.ask(*key, Some(*current)))
    }
}

impl BulkLoader<u32, u32> for Source {
    fn bulk_load(&self, keys: &[u32]) -> Result<Vec<(u32, Outcome<u32>)>, BoxError> {
        Ok(keys.iter().map(|&key| (key, self.ask(key, None))).collect())
    }

    fn refreshes(&self) -> bool {
        true
    }

    fn bulk_refresh(&self, entries: &[(u32, u32)]) -> Result<Vec<(u32, Outcome<u32>)>, BoxError> {
        let says = |&(key, value): &(u32, u32)| (key, self.ask(key, Some(value)));
        Ok(entries.iter().map(says).collect())
    }
}

fn both(test: impl Fn(Numbers, ManualClock, Asked) + Copy + Send + 'static) {
    for bulk in [false, true] {
        bounded(move || {
            let (time, asked) = (ManualClock::new(), Asked::default());
            let builder = Numbers::builder("reloads").clock(time.clock()).ttl(TTL);
            let source = Source(Arc::clone(&asked));
            let builder = match bulk {
                false => builder.loader(source),
                true => builder.bulk_loader(source),
            };
            test(builder.build().unwrap(), time, asked);
        });
    }
}

fn asked(asked: &Asked) -> Vec<(u32, Option<u32>)> {
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    asked.sort_unstable();
    asked
}

#[test]
fn a_reload_is_told_of_what_is_cached_and_a_miss_is_not() {
    both(|bucket, _, log| {
        assert_eq!(bucket.get_many(&[1, 2, 100, 200]), [Some(1); 4]);
        assert_eq!(
            asked(&log),
            [(1, None), (2, None), (100, None), (200, None)]
        );
        assert!(bucket.request_load([1, 2, 3, 100, 200]).wait(PATIENCE));
        assert_eq!(
            asked(&log),
            [
                (1, Some(1)),
                (2, Some(1)),
                (3, None),
                (100, Some(1)),
                (200, Some(1))
            ]
        );
        let values = [1, 2, 3, 100, 200].map(|key| bucket.peek(&key));
        assert_eq!(values, [Some(1), Some(2), Some(1), None, Some(1)]);
        // A whole refresh goes the same way.
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(
            asked(&log),
            [(1, Some(1)), (2, Some(2)), (3, Some(1)), (200, Some(1))]
        );
        assert_eq!(bucket.peek(&2), Some(3));
    });
}

#[test]
fn what_has_not_changed_lives_as_long_again() {
    both(|bucket, time, _| {
        assert_eq!(bucket.get_many(&[1, 3]), [Some(1); 2]);
        time.advance(TTL / 2);
        assert!(bucket.request_load([1]).wait(PATIENCE));
        assert_eq!(bucket.ttl(&1), Some(Ttl::Left(TTL)));
        time.advance(TTL / 2);
        assert_eq!((bucket.peek(&1), bucket.peek(&3)), (Some(1), None));
    });
}

#[test]
fn nothing_changed_of_what_is_not_there_is_an_error() {
    bounded(|| {
        let bucket = Numbers::builder("nothing")
            .load(|_: &u32| Ok::<_, BoxError>(Outcome::<u32>::Unchanged))
            .build()
            .unwrap();
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::Load);
    });
}

/// What the source has confirmed was something else.
#[test]
fn what_is_changed_while_it_is_confirmed_stands() {
    type Change = fn(&Numbers);
    let changes: [(Change, Option<u32>); 3] = [
        (|bucket| bucket.clear().unwrap(), None),
        (|bucket| bucket.invalidate(&1), None),
        (|bucket| bucket.set_with_ttl(1, 8, TTL), Some(8)),
    ];
    for (change, left) in changes {
        bounded(move || {
            let time = ManualClock::new();
            let (inside, entered) = std::sync::mpsc::channel();
            let (leave, door) = std::sync::mpsc::channel::<()>();
            let gates = Mutex::new((inside, door));
            let bucket = Numbers::builder("confirmed late")
                .clock(time.clock())
                .ttl(2 * TTL)
                .load(move |_: &u32| {
                    let gates = gates.lock().unwrap();
                    gates.0.send(()).unwrap();
                    gates.1.recv().unwrap();
                    Ok::<_, BoxError>(Outcome::<u32>::Unchanged)
                })
                .build()
                .unwrap();
            bucket.set(1, 7);
            let ticket = bucket.request_load([1]);
            entered.recv_timeout(PATIENCE).unwrap();
            change(&bucket);
            leave.send(()).unwrap();
            assert!(ticket.wait(PATIENCE));
            assert_eq!(bucket.peek(&1), left);
            assert_eq!(bucket.ttl(&1), left.map(|_| Ttl::Left(TTL)), "its own time");
        });
    }
}

/// A reload that failed begins the time of a stale value; one that finds it good ends it.
#[test]
fn what_is_confirmed_is_not_stale() {
    bounded(|| {
        let says = Arc::new(Mutex::new(Vec::<fn() -> Outcome<u32>>::new()));
        let script = Arc::clone(&says);
        let time = ManualClock::new();
        let bucket = Numbers::builder("confirmed")
            .clock(time.clock())
            .max_stale(TTL)
            .load(move |_: &u32| Ok::<_, BoxError>((script.lock().unwrap().pop().unwrap())()))
            .build()
            .unwrap();
        bucket.set(1, 7);
        *says.lock().unwrap() = vec![|| Outcome::Unchanged, || Outcome::Failed("down".into())];
        assert!(bucket.request_load([1]).wait(PATIENCE));
        time.advance(TTL / 2);
        assert!(bucket.request_load([1]).wait(PATIENCE));
        time.advance(TTL);
        bucket.publish().unwrap();
        assert_eq!(bucket.peek(&1), Some(7));
    });
}

#[test]
fn a_failed_refresh_leaves_the_misses_of_its_batch_alone() {
    struct Half;
    impl BulkLoader<u32, u32> for Half {
        fn bulk_load(&self, keys: &[u32]) -> Result<Vec<(u32, Outcome<u32>)>, BoxError> {
            Ok(keys.iter().map(|&key| (key, Outcome::Value(key))).collect())
        }
        fn refreshes(&self) -> bool {
            true
        }
        fn bulk_refresh(
            &self,
            entries: &[(u32, u32)],
        ) -> Result<Vec<(u32, Outcome<u32>)>, BoxError> {
            match entries[0].0 {
                1 => Err("scripted".into()),
                _ => std::panic::panic_any("scripted"),
            }
        }
    }
    bounded(|| {
        for cached in [1, 2] {
            let bucket = Numbers::builder("half").bulk_loader(Half).build().unwrap();
            bucket.set(cached, 70);
            assert!(bucket.request_load([cached, 5]).wait(PATIENCE));
            assert_eq!((bucket.peek(&cached), bucket.peek(&5)), (Some(70), Some(5)));
            assert_eq!(bucket.stats().failed, 1);
        }
    });
}

#[test]
fn the_filter_has_the_last_word_on_reloads_and_on_nothing_else() {
    bounded(|| {
        let bucket = Numbers::builder("filtered")
            .load(|key: &u32| match key {
                9 => Ok::<_, BoxError>(Outcome::Failed("scripted".into())),
                _ => Ok(Outcome::Value(key + 1)),
            })
            .refresh_filter(|key, outcome| match (key, outcome) {
                (1, Outcome::Value(_)) => Outcome::Unchanged,
                (2, Outcome::Value(value)) => Outcome::Value(10 * value),
                (3, _) => Outcome::Absent,
                (4, _) => std::panic::panic_any("scripted"),
                (9, Outcome::Failed(_)) => Outcome::Value(99),
                (_, outcome) => outcome,
            })
            .build()
            .unwrap();
        // Misses pass it by.
        assert_eq!(bucket.get_many(&[1, 2, 3, 4, 5]), [2, 3, 4, 5, 6].map(Some));
        bucket.set_many((1..=5).map(|key| (key, 0)));
        bucket.set(9, 0);
        assert!(bucket.request_load([1, 2, 3, 4, 5, 9]).wait(PATIENCE));
        let values = [1, 2, 3, 4, 5, 9].map(|key| bucket.peek(&key));
        assert_eq!(
            values,
            [Some(0), Some(30), None, Some(0), Some(6), Some(99)]
        );
    });
}

/// Told to the observer like any other failure.
#[test]
fn a_filter_that_panics_is_a_failed_reload() {
    bounded(|| {
        let (send, events) = std::sync::mpsc::channel();
        let bucket = Numbers::builder("panics")
            .load(|key: &u32| Ok::<_, BoxError>(*key))
            .refresh_filter(|_, _| std::panic::panic_any("scripted"))
            .observer(move |event| drop(send.send(event.clone())))
            .build()
            .unwrap();
        bucket.set(1, 7);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.peek(&1), Some(7));
        assert_eq!(bucket.stats().failed, 1);
        let event = events.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(event, Event::LoadFailed { keys: 1, .. }),
            "{event:?}"
        );
        let event = events.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(event, Event::RefreshFailed { keys: 1, .. }),
            "{event:?}"
        );
    });
}
