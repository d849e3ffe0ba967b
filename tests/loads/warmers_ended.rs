//! Warmers that fail, hang, or are asked for what is not there; and the bucket that a warmer uses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{Bucket, BuildError, Builder, ErrorKind, Event, ManualClock, Warm};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually, lock};

type Numbers = Bucket<u64, u64>;
type Pairs = Vec<(u64, u64)>;

const SECOND: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Error,
    Panic,
}

/// How a warmer will end its next runs, and when it was run.
#[derive(Clone, Default)]
struct Moods(Arc<Mutex<VecDeque<Mood>>>);

impl Moods {
    fn will(&self, moods: impl IntoIterator<Item = Mood>) {
        lock(&self.0).extend(moods);
    }

    fn warm(&self, notes: &Notes<Duration>, time: &ManualClock) -> Warm<u64, u64> {
        let (moods, notes, clock) = (self.clone(), notes.clone(), time.clock());
        Warm::with(move |_| {
            notes.add(clock.now());
            let mood = lock(&moods.0).pop_front();
            match mood.unwrap_or(Mood::Well) {
                Mood::Well => Ok(vec![(1, notes.len() as u64)]),
                Mood::Error => Err(Broken("source")),
                Mood::Panic => panic!("in a warmer"),
            }
        })
    }
}

fn builder(time: &ManualClock) -> Builder<u64, u64> {
    Numbers::builder("moods")
        .clock(time.clock())
        .refresh_jitter(0.0)
}

/// In Cachex a warmer that raises after its first run never runs again, and cannot be asked to.
#[test]
fn a_warmer_that_fails_later_keeps_its_timer_and_can_be_asked() {
    bounded(|| {
        for mood in [Mood::Error, Mood::Panic] {
            let (time, moods, notes) = (ManualClock::new(), Moods::default(), Notes::new());
            let told = Notes::new();
            let telling = told.clone();
            let bucket = builder(&time)
                .observer(move |event| {
                    if let Event::WarmerFailed { warmer, error } = event {
                        telling.add((warmer.to_string(), error.kind()));
                    }
                })
                .warmer("moody", moods.warm(&notes, &time).every(EVERY).required())
                .build()
                .unwrap();
            moods.will([mood; 3]);
            for failed in 1..=3 {
                time.advance(EVERY);
                eventually("a run that fails", || {
                    bucket.stats().warmers_failed == failed
                });
                assert_eq!(bucket.peek(&1), Some(1), "what is there stays");
            }
            let kind = match mood {
                Mood::Panic => ErrorKind::Panicked,
                Mood::Well | Mood::Error => ErrorKind::Load,
            };
            eventually("three events", || told.len() == 3);
            assert_eq!(told.take(), vec![("moody".to_owned(), kind); 3]);

            // It runs again by itself, and so it does when it is asked to after a failure.
            time.advance(EVERY);
            eventually("a run that ends well", || bucket.peek(&1) == Some(5));
            moods.will([mood]);
            let failed = bucket.warm(["moody"]).unwrap().wait(PATIENCE);
            assert_eq!(failed.unwrap_err().kind(), kind);
            bucket.warm(["moody"]).unwrap().wait(PATIENCE).unwrap();
            assert_eq!(bucket.peek(&1), Some(7));
            eventually("its end", || bucket.stats().warmer_runs == 3);
        }
    });
}

#[test]
fn failures_are_tried_again_with_waits_that_double() {
    bounded(|| {
        let (time, moods, notes) = (ManualClock::new(), Moods::default(), Notes::new());
        let warm = moods.warm(&notes, &time).every(EVERY).required();
        let bucket = builder(&time)
            .warmer("moody", warm.retry(SECOND, 3 * SECOND))
            .build()
            .unwrap();
        notes.take();
        moods.will([Mood::Error; 4]);
        let runs = |bucket: &Numbers| bucket.stats().warmer_runs + bucket.stats().warmers_failed;
        for wait in [60, 1, 2, 3, 3, 60] {
            let before = runs(&bucket);
            time.advance(wait * SECOND);
            eventually("the run", || runs(&bucket) == before + 1);
        }
        let times: Vec<_> = notes.take();
        assert_eq!(times, [60, 61, 63, 66, 69, 129].map(|at| at * SECOND));
    });
}

#[test]
fn a_name_that_is_not_there_is_an_error_and_nothing_is_run() {
    bounded(|| {
        let (time, notes) = (ManualClock::new(), Notes::new());
        let warm = Moods::default().warm(&notes, &time).required();
        let bucket = builder(&time).warmer("there", warm).build().unwrap();
        let error = bucket.warm(["there", "not there"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoWarmer);
        assert_eq!(error.to_string(), "the bucket has no warmer `not there`");
        assert_eq!(notes.len(), 1);
        assert!(bucket.warm([]).unwrap().is_done());
        // A bucket without any has nothing to do.
        let none = Numbers::builder("none").build().unwrap();
        none.warm_all().wait(PATIENCE).unwrap();
        assert!(none.warm(["there"]).is_err());
    });
}

/// In Cachex 3 a warmer that touches its own cache at the start is told that there is none.
#[test]
fn a_warmer_uses_its_own_bucket_also_before_that_is_built() {
    bounded(|| {
        let own = Arc::new(Mutex::new(None::<Numbers>));
        let later = Arc::clone(&own);
        let warm = Warm::with(move |bucket| {
            let name = std::thread::current().name().map(str::to_owned);
            assert_eq!(name.as_deref(), Some("larder-own-warm-sums"));
            assert_eq!((bucket.name(), bucket.is_closed()), ("sums", false));
            // A hit, misses that are loaded, and a write that stands.
            let sum: u64 = (1..=3).filter_map(|key| bucket.get(&key)).sum();
            bucket.set(50, 5);
            if let Some(bucket) = lock(&later).take() {
                bucket.publish().unwrap();
                let waits = bucket.warm(["sums"]).unwrap().wait(PATIENCE);
                assert_eq!(waits.unwrap_err().kind(), ErrorKind::Recursion);
            }
            let keys = bucket.keys().len() as u64;
            Ok::<_, Broken>([
                (100, sum),
                (101, keys),
                (50, 6),
                (1, bucket.peek(&1).unwrap()),
            ])
        });
        let bucket = Numbers::builder("own")
            .init(|| Ok::<_, Broken>(vec![(1, 10)]))
            .load(|key: &u64| Ok::<_, Broken>(key * 100))
            .warmer("sums", warm.required())
            .build()
            .unwrap();
        assert_eq!(
            bucket.get_many([&100, &101, &50]),
            [Some(510), Some(4), Some(5)]
        );
        *lock(&own) = Some(bucket.clone());
        bucket.invalidate(&100);
        bucket.warm(["sums"]).unwrap().wait(PATIENCE).unwrap();
        assert_eq!(bucket.peek(&100), Some(510));
        // The run that it has asked for itself follows that one.
        eventually("the third run", || bucket.stats().warmer_runs == 3);
    });
}

#[test]
fn a_warmer_that_hangs_holds_up_neither_who_waits_nor_the_end() {
    bounded(|| {
        let (door, closed) = (Door::closed(), Notes::new());
        let (at, noting) = (door.clone(), closed.clone());
        let warm = Warm::with(move |bucket| {
            noting.add(bucket.is_closed());
            at.pass();
            noting.add(bucket.is_closed());
            Ok::<_, Broken>([(1, 1)])
        });
        let bucket = Numbers::builder("hangs")
            .shutdown_limit(Duration::from_millis(20))
            .warmer("hangs", warm)
            .build()
            .unwrap();
        door.await_waiting(1);
        let first = bucket.warm(["hangs"]).unwrap();
        let waiting = {
            let bucket = bucket.clone();
            Task::spawn(move || bucket.warm_all().wait(PATIENCE))
        };
        // The stores are served meanwhile.
        bucket.set(2, 2);
        bucket.publish().unwrap();
        bucket.shutdown();
        assert_eq!(first.wait(PATIENCE).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(waiting.join().unwrap_err().kind(), ErrorKind::Closed);
        let after = bucket.warm_all().wait(PATIENCE);
        assert_eq!(after.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!((door.waiting(), closed.all()), (1, vec![false]));
        door.release();
        // It is told, so that a long run may end early.
        eventually("its end", || closed.all() == [false, true]);
    });
}

#[test]
fn who_waits_for_the_run_that_hangs_is_answered_at_the_end() {
    bounded(|| {
        let door = Door::open();
        let at = door.clone();
        let warm = Warm::with(move |_| {
            at.pass();
            Ok::<_, Broken>([(1, 1)])
        });
        let bucket = Numbers::builder("hangs")
            .shutdown_limit(Duration::ZERO)
            .warmer("hangs", warm.required())
            .build()
            .unwrap();
        door.close();
        let ticket = bucket.warm_all();
        // Its run is the one under way.
        door.await_waiting(1);
        bucket.shutdown();
        assert_eq!(ticket.wait(PATIENCE).unwrap_err().kind(), ErrorKind::Closed);
        door.release();
    });
}

#[test]
fn warmers_that_make_no_sense_are_refused_by_name_value_and_range() {
    let warm = || Warm::<u64, u64>::with(|_| Ok::<_, Broken>(Pairs::new()));
    type Spoil = fn(Builder<u64, u64>, Warm<u64, u64>) -> Builder<u64, u64>;
    let cases: [(Spoil, &str); 7] = [
        (
            |builder, warm| builder.warmer("", warm),
            "option `warmer` is ``, must be named by at least one character",
        ),
        (
            |builder, warm| {
                let other = Warm::with(|_| Ok::<_, Broken>(Pairs::new()));
                builder.warmer("a", warm).warmer("a", other)
            },
            "option `warmer` is `a`, twice, must be given once for each name",
        ),
        (
            |builder, warm| builder.warmer("a", warm.every(Duration::ZERO)),
            "option `warmer` is `a`, with 0ns, must be given times of more than zero, at most 100 years",
        ),
        (
            |builder, warm| builder.warmer("a", warm.retry(SECOND, Duration::MAX)),
            "option `warmer` is `a`, with 18446744073709551615.999999999s, must be given times of more than zero, \
             at most 100 years",
        ),
        (
            |builder, warm| builder.warmer("a", warm.retry(2 * SECOND, SECOND)),
            "option `warmer` is `a`, with 2s, 1s, must be given a first wait, and a longest that is no less",
        ),
        (
            |builder, warm| builder.warmer("a", warm).warm_limit(SECOND),
            "option `warm_limit` is set, must be left out in a bucket without a required warmer",
        ),
        (
            |builder, warm| {
                builder
                    .warmer("a", warm.required())
                    .warm_limit(Duration::ZERO)
            },
            "option `warm_limit` is 0ns, must be more than zero, at most 100 years",
        ),
    ];
    for (spoil, expected) in cases {
        let built = spoil(Numbers::builder("spoilt"), warm()).build();
        match built.map(|_| ()) {
            Err(error @ BuildError::Option { .. }) => assert_eq!(error.to_string(), expected),
            other => panic!("{other:?}"),
        }
    }
}
