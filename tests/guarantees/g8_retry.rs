//! G8: a refresh that failed is tried again, when it is said to be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{Bucket, BuildError, Builder, Dataset, ManualClock, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE, Tally, bounded, eventually, lock, settle};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_nanos(1);

/// How a source answers next, in turn; well where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Error,
    Panic,
    /// A dataset that the validator refuses.
    Empty,
}

/// A source of datasets, and the times at which it was asked.
#[derive(Clone)]
struct Source {
    time: ManualClock,
    next: Arc<Mutex<VecDeque<Mood>>>,
    asked: Notes<Duration>,
}

impl Source {
    fn new() -> Self {
        Self {
            time: ManualClock::new(),
            next: Arc::default(),
            asked: Notes::new(),
        }
    }

    fn will(&self, moods: impl IntoIterator<Item = Mood>) {
        lock(&self.next).extend(moods);
    }

    fn answer(&self) -> Result<Vec<(u64, u64)>, Broken> {
        self.asked.add(self.time.clock().now());
        let mood = lock(&self.next).pop_front();
        match mood.unwrap_or(Mood::Well) {
            Mood::Well => Ok(vec![(1, self.asked.len() as u64)]),
            Mood::Error => Err(Broken("source")),
            Mood::Panic => panic!("in load_all"),
            Mood::Empty => Ok(Vec::new()),
        }
    }

    /// A bucket over it, without jitter.
    fn bucket(&self, shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>) -> Numbers {
        let source = self.clone();
        let builder = Numbers::builder("retries")
            .clock(self.time.clock())
            .refresh_jitter(0.0)
            .load_all(move || source.answer())
            .dataset_min_count(1);
        shape(builder).build().unwrap()
    }

    /// Nothing one tick before the wait is over, one refresh when it is.
    #[track_caller]
    fn asked_after(&self, bucket: &Numbers, wait: Duration) {
        let (asked, ended) = (self.asked.len(), ended(bucket));
        self.time.advance(wait - TICK);
        settle(bucket);
        assert_eq!(self.asked.len(), asked, "one tick before {wait:?}");
        self.time.advance(TICK);
        eventually("a try", || self::ended(bucket) == ended + 1);
        settle(bucket);
        assert_eq!(self.asked.len(), asked + 1, "once after {wait:?}");
        let last = self.asked.all().last().copied();
        assert_eq!(last, Some(self.time.clock().now()));
    }

    #[track_caller]
    fn asked_now(&self, bucket: &Numbers, ends_well: bool) {
        let asked = self.asked.len();
        assert_eq!(bucket.refresh().wait(PATIENCE).is_ok(), ends_well);
        settle(bucket);
        assert_eq!(self.asked.len(), asked + 1);
    }
}

fn ended(bucket: &Numbers) -> u64 {
    let stats = bucket.stats();
    stats.refreshes + stats.refreshes_failed
}

const FIRST: Duration = SECOND;
const MOST: Duration = Duration::from_secs(5);
/// What comes after each of so many failures.
const WAITS: [Duration; 5] = [
    SECOND,
    Duration::from_secs(2),
    Duration::from_secs(4),
    MOST,
    MOST,
];

#[test]
fn g8_a_refresh_that_fails_once_runs_again_at_the_next_interval() {
    bounded(|| {
        for fails in [Mood::Error, Mood::Panic, Mood::Empty] {
            let source = Source::new();
            let bucket = source.bucket(|b| b.refresh_every(EVERY));
            source.will([Mood::Well, fails]);
            for _ in 0..4 {
                source.asked_after(&bucket, EVERY);
            }
            let stats = bucket.stats();
            assert_eq!((stats.refreshes, stats.refreshes_failed), (3, 1));
            assert_eq!(bucket.peek(&1), Some(4));
        }
    });
}

#[test]
fn g8_the_first_failure_still_schedules() {
    bounded(|| {
        for retry in [None, Some((FIRST, MOST))] {
            let source = Source::new();
            let bucket = source.bucket(|b| {
                let b = b.refresh_every(EVERY);
                match retry {
                    Some((first, most)) => b.refresh_retry(first, most),
                    None => b,
                }
            });
            source.will([Mood::Error]);
            source.asked_now(&bucket, false);
            assert!(bucket.is_empty());
            source.asked_after(&bucket, retry.map_or(EVERY, |_| FIRST));
            assert_eq!(bucket.peek(&1), Some(2));
            source.asked_after(&bucket, EVERY);
        }
    });
}

#[test]
fn g8_waits_after_failures_double_up_to_the_longest_and_a_success_ends_them() {
    bounded(|| {
        // Shorter than the interval and longer than it.
        for every in [EVERY, SECOND / 2] {
            let source = Source::new();
            let bucket = source.bucket(|b| b.refresh_every(every).refresh_retry(FIRST, MOST));
            source.will([Mood::Well]);
            source.asked_after(&bucket, every);
            for _ in 0..2 {
                source.will([
                    Mood::Error,
                    Mood::Panic,
                    Mood::Empty,
                    Mood::Error,
                    Mood::Error,
                ]);
                source.asked_after(&bucket, every);
                for wait in WAITS {
                    assert!(bucket.peek(&1).is_some(), "what was there is served");
                    source.asked_after(&bucket, wait);
                }
                assert_eq!(bucket.peek(&1), Some(source.asked.len() as u64));
            }
            source.asked_after(&bucket, every);
            source.asked_after(&bucket, every);
        }
    });
}

#[test]
fn g8_who_asks_for_a_refresh_does_not_wait_for_the_next_try() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.bucket(|b| b.refresh_every(EVERY).refresh_retry(FIRST, MOST));
        source.will([Mood::Error; 3]);
        source.asked_now(&bucket, false);
        // Each is one more failure, and the wait counts from the last.
        source.time.advance(FIRST / 2);
        source.asked_now(&bucket, false);
        source.asked_after(&bucket, WAITS[1]);
        // A success ends it, also one that was asked for.
        source.time.advance(WAITS[2] / 2);
        source.asked_now(&bucket, true);
        source.asked_after(&bucket, EVERY);
        source.will([Mood::Error]);
        source.asked_now(&bucket, false);
        source.asked_after(&bucket, FIRST);
    });
}

#[test]
fn g8_without_an_interval_a_refresh_is_tried_again_until_it_succeeds() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.bucket(|b| b.refresh_retry(FIRST, MOST));
        source.time.advance(EVERY);
        settle(&bucket);
        assert_eq!(source.asked.len(), 0, "nobody has asked");
        source.will([Mood::Error; 3]);
        source.asked_now(&bucket, false);
        for wait in &WAITS[..3] {
            source.asked_after(&bucket, *wait);
        }
        let asked = source.asked.len();
        source.time.advance(EVERY);
        settle(&bucket);
        assert_eq!((source.asked.len(), bucket.peek(&1)), (asked, Some(4)));
    });
}

#[test]
fn g8_a_try_never_overlaps_another() {
    bounded(|| {
        let (source, door, tally) = (Source::new(), Door::open(), Tally::new());
        let (at, counting, answering) = (door.clone(), tally.clone(), source.clone());
        let bucket = Numbers::builder("overlaps")
            .clock(source.time.clock())
            .refresh_every(EVERY)
            .refresh_retry(FIRST, MOST)
            .refresh_jitter(0.0)
            .load_all(move || {
                counting.during(&0, || {
                    at.pass();
                    answering.answer()
                })
            })
            .build()
            .unwrap();
        source.will([Mood::Error; 2]);
        source.asked_now(&bucket, false);
        // A try that takes longer than all waits together: the next counts from its end.
        door.close();
        source.time.advance(FIRST);
        door.await_waiting(1);
        for _ in 0..10 {
            source.time.advance(EVERY);
            settle(&bucket);
        }
        let late = bucket.refresh();
        door.release();
        late.wait(PATIENCE).unwrap();
        settle(&bucket);
        // One asked for, the one that was held up, and one for who asked meanwhile.
        assert_eq!((tally.loads(&0), tally.most_at_once()), (3, 1));
        source.asked_after(&bucket, EVERY);
    });
}

#[test]
fn g8_a_refresh_by_key_has_failed_if_all_keys_have() {
    bounded(|| {
        let (source, fails) = (Source::new(), Arc::new(Mutex::new(0..0)));
        let (asking, failing) = (source.clone(), Arc::clone(&fails));
        let bucket = Numbers::builder("keys")
            .clock(source.time.clock())
            .refresh_every(EVERY)
            .refresh_retry(FIRST, MOST)
            .refresh_jitter(0.0)
            .batch_size(2)
            .bulk_load(move |keys: &[u64]| {
                if keys.contains(&0) {
                    asking.asked.add(asking.time.clock().now());
                }
                let fails = lock(&failing).clone();
                let answers = keys.iter().map(move |key| match fails.contains(key) {
                    true => (*key, Outcome::Failed(Broken("one key").into())),
                    false => (*key, Outcome::Value(key + 10)),
                });
                Ok::<_, Broken>(answers.collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        bucket.set_many((0..5).map(|key| (key, key)));
        let refreshed = |failing, wait| {
            *lock(&fails) = failing;
            let (asked, before) = (source.asked.len(), bucket.stats());
            source.time.advance(wait - TICK);
            settle(&bucket);
            assert_eq!(source.asked.len(), asked, "one tick before {wait:?}");
            source.time.advance(TICK);
            eventually("a round", || {
                bucket.stats().refreshes == before.refreshes + 1
            });
            settle(&bucket);
            assert_eq!(source.asked.len(), asked + 1, "once after {wait:?}");
        };
        refreshed(0..5, EVERY);
        refreshed(0..5, FIRST);
        // Four of five, and still the next round comes at the interval.
        refreshed(0..4, WAITS[1]);
        refreshed(0..5, EVERY);
        refreshed(0..0, FIRST);
        refreshed(0..0, EVERY);
        assert_eq!(bucket.stats().refreshes_failed, 4);
        assert!((0..5).all(|key| bucket.peek(&key) == Some(key + 10)));
    });
}

#[test]
fn g8_a_bucket_that_is_off_does_not_try_again() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.bucket(|b| b.refresh_retry(FIRST, MOST));
        source.will([Mood::Error]);
        source.asked_now(&bucket, false);
        bucket.set_caching(false).unwrap();
        source.time.advance(MOST);
        settle(&bucket);
        bucket.set_caching(true).unwrap();
        source.time.advance(EVERY);
        settle(&bucket);
        assert_eq!(source.asked.len(), 1);
        source.will([Mood::Error]);
        source.asked_now(&bucket, false);
        source.asked_after(&bucket, FIRST);
    });
}

#[test]
fn g8_waits_that_make_no_sense_are_refused() {
    let dataset = |_: &Dataset<'_, u64, u64>| Ok::<_, Broken>(());
    let with = |first, most| {
        let builder = Numbers::builder("refused").load_all(|| Ok::<_, Broken>([(1, 1)]));
        builder.validate_dataset(dataset).refresh_retry(first, most)
    };
    let none = Numbers::builder("no loader").refresh_retry(FIRST, MOST);
    for (builder, shown) in [
        (with(Duration::ZERO, MOST), "0ns"),
        (
            with(FIRST, Duration::MAX),
            "18446744073709551615.999999999s",
        ),
        (with(MOST, FIRST), "5s, 1s"),
        (none, "set"),
    ] {
        match builder.build().unwrap_err() {
            BuildError::Option {
                option,
                value,
                range,
            } => {
                assert_eq!((option, value.as_str()), ("refresh_retry", shown));
                assert!(!range.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(with(FIRST, FIRST).build().is_ok());
}
