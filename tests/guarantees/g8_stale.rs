//! G8: a key whose refresh failed keeps its old value and serves it, up to `max_stale` if that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, Event, ManualClock, Origin};

use crate::common::{Broken, Door, Notes, PATIENCE, bounded, eventually, settle};

pub(crate) type Numbers = Bucket<u64, u64>;

pub(crate) const MOST: Duration = Duration::from_secs(60);
pub(crate) const HALF: Duration = Duration::from_secs(30);
pub(crate) const TICK: Duration = Duration::from_nanos(1);

/// What the loaders add to a key, or that they fail.
#[derive(Clone)]
pub(crate) struct Source(Arc<AtomicU64>);

pub(crate) const DOWN: u64 = u64::MAX;

impl Source {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(DOWN)))
    }

    pub(crate) fn says(&self, number: u64) {
        self.0.store(number, Ordering::SeqCst);
    }

    pub(crate) fn ask(&self, key: u64) -> Result<u64, Broken> {
        match self.0.load(Ordering::SeqCst) {
            DOWN => Err(Broken("the source is down")),
            number => Ok(number + key),
        }
    }
}

pub(crate) fn limited(time: &ManualClock) -> Builder<u64, u64> {
    Numbers::builder("stale")
        .clock(time.clock())
        .max_stale(MOST)
        .wait_limit(PATIENCE)
}

pub(crate) fn by_key(time: &ManualClock, source: &Source) -> Numbers {
    let source = source.clone();
    let bucket = limited(time).load(move |&key: &u64| source.ask(key));
    bucket.build().unwrap()
}

/// A bucket whose dataset is keys 0 to 9.
pub(crate) fn by_dataset(time: &ManualClock, source: &Source, door: &Door) -> Numbers {
    let (one, all, door) = (source.clone(), source.clone(), door.clone());
    let bucket = limited(time).load(move |&key: &u64| one.ask(key));
    bucket
        .load_all(move || {
            door.pass();
            (0..10)
                .map(|key| Ok((key, all.ask(key)?)))
                .collect::<Result<Vec<_>, Broken>>()
        })
        .build()
        .unwrap()
}

pub(crate) fn refresh(bucket: &Numbers) {
    // By key it never fails as a whole.
    let _ = bucket.refresh().wait(PATIENCE);
}

/// Something that asks the source for what is cached.
type Ask = fn(&Numbers);

fn reload(bucket: &Numbers) {
    assert!(bucket.request_load([1, 2, 3]).wait(PATIENCE));
}

pub(crate) fn pass(bucket: &Numbers, time: &ManualClock, by: Duration) {
    time.advance(by);
    settle(bucket);
}

#[test]
fn g8_what_failed_to_refresh_is_served_until_max_stale_and_no_longer() {
    for folded in [false, true] {
        bounded(move || {
            let (time, source, events) = (ManualClock::new(), Source::new(), Notes::new());
            let (asked, noting) = (source.clone(), events.clone());
            let bucket = limited(&time)
                .load(move |&key: &u64| asked.ask(key))
                .observer(move |event: &Event| {
                    if let Event::TooStale { keys } = event {
                        noting.add(*keys);
                    }
                })
                .build()
                .unwrap();
            bucket.set_many((0..5).map(|key| (key, key)));
            if folded {
                settle(&bucket);
            }
            let mut reader = bucket.reader();
            refresh(&bucket);
            pass(&bucket, &time, MOST - TICK);
            for key in 0..5 {
                assert_eq!(
                    (bucket.peek(&key), reader.get(&key)),
                    (Some(key), Some(&key))
                );
                assert_eq!(bucket.fetch(&key).unwrap().origin(), Origin::Hit);
            }
            assert_eq!((bucket.len(), bucket.stats().too_stale), (5, 0));

            pass(&bucket, &time, TICK);
            for key in 0..5 {
                assert_eq!((bucket.peek(&key), reader.get(&key)), (None, None));
                assert_eq!(bucket.fetch(&key).unwrap_err().kind(), ErrorKind::Load);
            }
            assert_eq!((bucket.len(), bucket.snapshot().len()), (0, 0));
            assert_eq!(bucket.stats().too_stale, 5);
            source.says(100);
            assert_eq!(bucket.get(&3), Some(103));
            bucket.shutdown();
            assert_eq!(events.all(), [5]);
        });
    }
}

/// A snapshot that is asked for at the end of the time lacks what goes then, and one of before has it.
#[test]
fn g8_a_snapshot_of_the_end_lacks_what_goes_then() {
    for dataset in [false, true] {
        bounded(move || {
            let (time, source) = (ManualClock::new(), Source::new());
            let bucket = match dataset {
                false => by_key(&time, &source),
                true => by_dataset(&time, &source, &Door::open()),
            };
            bucket.set(1, 1);
            refresh(&bucket);
            bucket.publish().unwrap();
            let before = bucket.snapshot();
            time.advance(MOST);
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().get(&1), None);
            assert_eq!(before.get(&1), Some(&1));
        });
    }
}

#[test]
fn g8_without_max_stale_old_values_are_served_for_ever() {
    bounded(|| {
        let (time, source) = (ManualClock::new(), Source::new());
        let bucket = Numbers::builder("for ever")
            .clock(time.clock())
            .load(move |&key: &u64| source.ask(key))
            .build()
            .unwrap();
        bucket.set(1, 1);
        refresh(&bucket);
        pass(&bucket, &time, Duration::from_secs(100 * 365 * 24 * 3600));
        assert_eq!(bucket.peek(&1), Some(1));
    });
}

#[test]
fn g8_more_failures_do_not_prolong_it() {
    for dataset in [false, true] {
        bounded(move || {
            let (time, source) = (ManualClock::new(), Source::new());
            let bucket = match dataset {
                false => by_key(&time, &source),
                true => by_dataset(&time, &source, &Door::open()),
            };
            bucket.set(1, 1);
            for _ in 0..5 {
                refresh(&bucket);
                assert!(bucket.request_load([1]).wait(PATIENCE));
                pass(&bucket, &time, Duration::from_secs(10));
            }
            refresh(&bucket);
            pass(&bucket, &time, Duration::from_secs(10) - TICK);
            assert_eq!(bucket.peek(&1), Some(1));
            refresh(&bucket);
            pass(&bucket, &time, TICK);
            assert_eq!(bucket.peek(&1), None);
            assert_eq!(bucket.stats().too_stale, 1);
            // What came later failed for a key that has gone by then: nothing is left of it.
            bucket.set(1, 2);
            pass(&bucket, &time, 2 * MOST);
            assert_eq!(bucket.peek(&1), Some(2));
        });
    }
}

/// Something that changes key 1, and the value that it leaves.
type Change = fn(&Numbers, &Source) -> u64;

const CHANGES: [(&str, Change); 8] = [
    ("a refresh", |bucket, source| {
        source.says(100);
        refresh(bucket);
        101
    }),
    ("a reload", |bucket, source| {
        source.says(200);
        assert!(bucket.request_load([1]).wait(PATIENCE));
        201
    }),
    ("a write", |bucket, _| {
        bucket.set(1, 3);
        3
    }),
    ("a group", |bucket, _| {
        bucket.set_many([(1, 4), (2, 4)]);
        4
    }),
    ("an invalidation and a write", |bucket, _| {
        bucket.invalidate(&1);
        assert!(bucket.set_if_absent(1, 5).is_ok());
        5
    }),
    ("an invalidation and a load", |bucket, source| {
        source.says(600);
        bucket.invalidate(&1);
        assert_eq!(bucket.get(&1), Some(601));
        601
    }),
    ("an invalidation and a loader of the call's", |bucket, _| {
        bucket.invalidate(&1);
        let fetched = bucket.call().fetch_with(&1, |_| Ok::<_, Broken>(7));
        assert_eq!(fetched.unwrap().into_value(), Some(7));
        7
    }),
    ("a clear and a write", |bucket, _| {
        bucket.clear().unwrap();
        bucket.set(1, 8);
        8
    }),
];

#[test]
fn g8_whatever_changes_a_key_ends_its_staleness() {
    for dataset in [false, true] {
        for folds in [0, 1, 2] {
            for (what, change) in CHANGES {
                bounded(move || {
                    let (time, source) = (ManualClock::new(), Source::new());
                    let bucket = match dataset {
                        false => by_key(&time, &source),
                        true => by_dataset(&time, &source, &Door::open()),
                    };
                    bucket.set(1, 1);
                    refresh(&bucket);
                    pass(&bucket, &time, HALF);
                    let left = change(&bucket, &source);
                    source.says(DOWN);
                    for fold in 0..folds {
                        bucket.set(50 + fold, 0);
                        settle(&bucket);
                    }
                    pass(&bucket, &time, HALF);
                    let what = format!("{what}, dataset {dataset}, folds {folds}");
                    assert_eq!(bucket.peek(&1), Some(left), "{what}");
                    pass(&bucket, &time, 2 * MOST);
                    assert_eq!(bucket.peek(&1), Some(left), "{what}, long after");
                    // And the next failure counts from its own time.
                    refresh(&bucket);
                    pass(&bucket, &time, MOST - TICK);
                    assert_eq!(bucket.peek(&1), Some(left), "{what}, and a failure");
                    pass(&bucket, &time, TICK);
                    assert_eq!(bucket.peek(&1), None, "{what}, and its end");
                });
            }
        }
    }
}

/// A value that was written between two failures is stale from the second one on, folded or not.
#[test]
fn g8_a_value_is_stale_from_the_first_failure_after_it() {
    for dataset in [false, true] {
        for (folds, fails) in [(false, refresh as Ask), (true, refresh), (false, reload)] {
            bounded(move || {
                let (time, source) = (ManualClock::new(), Source::new());
                let bucket = match dataset {
                    false => by_key(&time, &source),
                    true => by_dataset(&time, &source, &Door::open()),
                };
                let fold = || {
                    if folds {
                        settle(&bucket);
                    }
                };
                bucket.set_many([(1, 1), (2, 2), (3, 3)]);
                fails(&bucket);
                time.advance(HALF);
                bucket.set(2, 20);
                fold();
                fails(&bucket);
                bucket.set(3, 30);
                fold();
                let now = |by| {
                    pass(&bucket, &time, by);
                    [1, 2, 3].map(|key| bucket.peek(&key))
                };
                assert_eq!(now(HALF - TICK), [Some(1), Some(20), Some(30)]);
                assert_eq!(now(TICK), [None, Some(20), Some(30)]);
                assert_eq!(now(HALF - TICK), [None, Some(20), Some(30)]);
                assert_eq!(now(TICK), [None, None, Some(30)]);
                assert_eq!(now(2 * MOST), [None, None, Some(30)]);
                assert_eq!(bucket.stats().too_stale, 2);
            });
        }
    }
}

#[test]
fn g8_what_does_not_change_a_key_leaves_it_stale() {
    bounded(|| {
        let (time, source) = (ManualClock::new(), Source::new());
        let bucket = by_key(&time, &source);
        bucket.set(1, 1);
        refresh(&bucket);
        pass(&bucket, &time, MOST - TICK);
        assert_eq!(bucket.set_if_absent(1, 2), Err(1));
        assert_eq!(bucket.get(&1), Some(1));
        bucket.set(2, 2);
        bucket.invalidate(&3);
        pass(&bucket, &time, TICK);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(2)));
        // A key that was invalidated does not come back, nor is it counted.
        bucket.set(4, 4);
        refresh(&bucket);
        bucket.invalidate(&4);
        pass(&bucket, &time, MOST);
        assert_eq!((bucket.peek(&4), bucket.stats().too_stale), (None, 2));
    });
}

/// No interval, no further refresh, nobody who asks for anything: the refresher wakes by itself.
#[test]
fn g8_what_is_stale_goes_though_no_refresh_follows() {
    for dataset in [false, true] {
        for ask in [refresh as Ask, reload] {
            bounded(move || {
                let (time, source) = (ManualClock::new(), Source::new());
                let bucket = match dataset {
                    false => by_key(&time, &source),
                    true => by_dataset(&time, &source, &Door::open()),
                };
                bucket.set(1, 1);
                // Nothing to fold or to free is left that would wake it.
                settle(&bucket);
                ask(&bucket);
                time.advance(MOST);
                eventually("its end", || bucket.peek(&1).is_none());
                eventually("its count", || bucket.stats().too_stale == 1);
            });
        }
    }
}

#[test]
fn g8_a_shutdown_leaves_what_is_stale_where_it_is() {
    for dataset in [false, true] {
        bounded(move || {
            let (time, source) = (ManualClock::new(), Source::new());
            let bucket = match dataset {
                false => by_key(&time, &source),
                true => by_dataset(&time, &source, &Door::open()),
            };
            bucket.set(1, 1);
            refresh(&bucket);
            assert!(bucket.request_load([1]).wait(PATIENCE));
            bucket.shutdown();
            // Nobody is left to take it out, and it can still be read.
            time.advance(2 * MOST);
            assert_eq!((bucket.peek(&1), bucket.stats().too_stale), (Some(1), 0));
        });
    }
}
