//! Datasets that are looked at before they are published, and refused.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{Bucket, BuildError, Builder, Dataset, ErrorKind, Event, ManualClock};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually, lock, settle};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

/// A source whose dataset has so many keys as it is told.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<u64>>);

impl Source {
    fn has(&self, keys: u64) {
        *lock(&self.0) = keys;
    }

    fn bucket(&self, shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>) -> Numbers {
        let source = self.clone();
        let builder = Numbers::builder("dataset").load_all(move || {
            let keys = *lock(&source.0);
            // Each key twice: it counts once.
            Ok::<_, Broken>((0..keys).chain(0..keys).map(move |key| (key, keys)))
        });
        shape(builder).build().unwrap()
    }
}

/// Refreshes, and says how that ended and how many keys there are now.
fn refreshed(bucket: &Numbers) -> (Option<ErrorKind>, usize) {
    let ended = bucket.refresh().wait(PATIENCE);
    (ended.err().map(|error| error.kind()), bucket.len())
}

const REFUSED: Option<ErrorKind> = Some(ErrorKind::Refused);

#[test]
fn a_dataset_with_too_few_keys_is_refused_also_the_first() {
    bounded(|| {
        let source = Source::default();
        let bucket = source.bucket(|b| b.dataset_min_count(10));
        for (has, ends) in [
            (9, (REFUSED, 0)),
            (10, (None, 10)),
            (0, (REFUSED, 10)),
            (9, (REFUSED, 10)),
            (30, (None, 30)),
        ] {
            source.has(has);
            assert_eq!(refreshed(&bucket), ends, "{has}");
            let value = (ends.1 > 0).then_some(ends.1 as u64);
            assert_eq!(bucket.peek(&0), value, "all of one dataset");
        }
        let stats = bucket.stats();
        assert_eq!(stats.datasets_refused, 3);
        assert_eq!((stats.refreshes, stats.refreshes_failed), (2, 3));
    });
}

#[test]
fn a_dataset_that_changes_too_much_is_refused_but_for_the_first() {
    bounded(|| {
        let source = Source::default();
        let bucket = source.bucket(|b| b.dataset_max_change(0.25));
        // What was there before the first dataset is nothing to compare it with.
        bucket.set(0, 0);
        source.has(1_000);
        assert_eq!(refreshed(&bucket), (None, 1_000));
        for (has, ends) in [
            (1_251, (REFUSED, 1_000)),
            (749, (REFUSED, 1_000)),
            (0, (REFUSED, 1_000)),
            (1_250, (None, 1_250)),
            (938, (None, 938)),
            (703, (REFUSED, 938)),
            (704, (None, 704)),
        ] {
            source.has(has);
            assert_eq!(refreshed(&bucket), ends, "{has}");
        }
        // What is written counts as what is there.
        bucket.set_many((10_000..10_296).map(|key| (key, 0)));
        source.has(749);
        assert_eq!(refreshed(&bucket), (REFUSED, 1_000));
        source.has(750);
        assert_eq!(refreshed(&bucket), (None, 750));
        // The way out where the source is right.
        source.has(5);
        assert_eq!(refreshed(&bucket).0, REFUSED);
        bucket.clear().unwrap();
        assert_eq!(refreshed(&bucket), (None, 5));
    });
}

#[test]
fn a_change_of_nothing_at_all_can_be_asked_for() {
    bounded(|| {
        let source = Source::default();
        let bucket = source.bucket(|b| b.dataset_max_change(0.0));
        for (has, ends) in [
            (7, (None, 7)),
            (7, (None, 7)),
            (8, (REFUSED, 7)),
            (6, (REFUSED, 7)),
        ] {
            source.has(has);
            assert_eq!(refreshed(&bucket), ends);
        }
    });
}

#[test]
fn validators_see_the_new_dataset_and_how_many_there_were() {
    bounded(|| {
        let (source, seen) = (Source::default(), Notes::new());
        let noting = seen.clone();
        let bucket = source.bucket(|b| {
            b.dataset_min_count(2)
                .validate_dataset(move |dataset: &Dataset<'_, u64, u64>| {
                    let sum: u64 = dataset.iter().map(|(key, value)| key + value).sum();
                    assert_eq!(dataset.iter().count(), dataset.len());
                    assert!(!dataset.is_empty());
                    noting.add((dataset.len(), dataset.previous(), sum));
                    Ok::<_, Broken>(())
                })
                .validate_dataset(|dataset: &Dataset<'_, u64, u64>| match dataset.len() {
                    4 => Err(Broken("four of them")),
                    _ => Ok(()),
                })
        });
        for (has, ends) in [
            (3, (None, 3)),
            (1, (REFUSED, 3)),
            (4, (REFUSED, 3)),
            (5, (None, 5)),
        ] {
            source.has(has);
            assert_eq!(refreshed(&bucket), ends);
        }
        let sum = |keys: u64| (0..keys).sum::<u64>() + keys * keys;
        // One that has too few is not shown.
        assert_eq!(
            seen.all(),
            [
                (3, None, sum(3)),
                (4, Some(3), sum(4)),
                (5, Some(3), sum(5))
            ]
        );
    });
}

#[test]
fn g13_a_refusal_says_why_to_who_waits_and_to_the_observer() {
    bounded(|| {
        let (source, told) = (Source::default(), Notes::new());
        let telling = told.clone();
        let bucket = source.bucket(|b| {
            b.validate_dataset(|_: &Dataset<'_, u64, u64>| Err(Broken("no good")))
                .observer(move |event: &Event| {
                    if let Event::RefreshFailed { error, keys } = event {
                        let error = error.as_ref().unwrap();
                        telling.add((error.kind(), error.to_string(), *keys));
                    }
                })
        });
        let refused = bucket.refresh().wait(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let source = refused.source().unwrap().downcast_ref::<Broken>();
        assert_eq!(source, Some(&Broken("no good")));
        eventually("a report", || told.len() == 1);
        let text = "the dataset was refused: broken: no good".to_owned();
        assert_eq!(told.all(), [(ErrorKind::Refused, text, 0)]);

        let source = Source::default();
        let bucket = source.bucket(|b| b.dataset_min_count(3));
        let few = bucket.refresh().wait(PATIENCE).unwrap_err().to_string();
        assert!(few.contains("0 keys") && few.contains('3'), "{few}");
        let bucket = source.bucket(|b| b.dataset_max_change(0.5));
        source.has(2);
        bucket.refresh().wait(PATIENCE).unwrap();
        source.has(9);
        let much = bucket.refresh().wait(PATIENCE).unwrap_err().to_string();
        assert!(
            much.contains("9 keys after 2") && much.contains("0.5"),
            "{much}"
        );
    });
}

#[test]
fn g8_a_refused_dataset_leaves_the_old_one_and_is_tried_again_at_the_next_interval() {
    bounded(|| {
        let (source, time, tried) = (Source::default(), ManualClock::new(), Notes::new());
        let noting = tried.clone();
        let clock = time.clock();
        let bucket = source.bucket(|b| {
            b.clock(clock)
                .refresh_every(SECOND)
                .refresh_jitter(0.0)
                .validate_dataset(move |dataset: &Dataset<'_, u64, u64>| {
                    noting.add(dataset.len());
                    if dataset.len() < 5 {
                        Err(Broken("few"))
                    } else {
                        Ok(())
                    }
                })
        });
        source.has(5);
        assert_eq!(refreshed(&bucket), (None, 5));
        bucket.set(100, 100);
        source.has(4);
        for round in 2..5 {
            time.advance(SECOND);
            eventually("a try", || bucket.stats().datasets_refused == round - 1);
            settle(&bucket);
            assert_eq!(tried.len() as u64, round, "one for an interval");
            assert_eq!((bucket.len(), bucket.peek(&0)), (6, Some(5)));
            assert_eq!(bucket.peek(&100), Some(100));
        }
        source.has(6);
        time.advance(SECOND);
        eventually("the new one", || bucket.peek(&0) == Some(6));
        assert_eq!(tried.all(), [5, 4, 4, 4, 6]);
    });
}

#[test]
fn what_a_refused_dataset_leaves_is_stale() {
    bounded(|| {
        let (source, time) = (Source::default(), ManualClock::new());
        let clock = time.clock();
        let bucket = source.bucket(|b| b.clock(clock).max_stale(SECOND).dataset_min_count(2));
        source.has(2);
        assert_eq!(refreshed(&bucket), (None, 2));
        source.has(1);
        assert_eq!(refreshed(&bucket), (REFUSED, 2));
        time.advance(SECOND);
        settle(&bucket);
        assert!(bucket.is_empty());
    });
}

#[test]
fn a_validator_that_panics_is_contained() {
    bounded(|| {
        let source = Source::default();
        let bucket = source.bucket(|b| {
            b.validate_dataset(|dataset: &Dataset<'_, u64, u64>| {
                assert_ne!(dataset.len(), 3, "three");
                Ok::<_, Broken>(())
            })
        });
        for (has, ends) in [
            (2, (None, 2)),
            (3, (Some(ErrorKind::Panicked), 2)),
            (4, (None, 4)),
        ] {
            source.has(has);
            assert_eq!(refreshed(&bucket), ends);
        }
        assert_eq!(bucket.stats().datasets_refused, 0);
    });
}

#[test]
fn nobody_waits_for_a_validator_that_takes_its_time_and_it_may_call_the_bucket() {
    bounded(|| {
        let (source, door) = (Source::default(), Door::closed());
        let (at, slot) = (
            door.clone(),
            Arc::new(std::sync::OnceLock::<Numbers>::new()),
        );
        let inside = Arc::clone(&slot);
        let bucket = source.bucket(|b| {
            b.load(|key: &u64| Ok::<_, Broken>(key + 1))
                .validate_dataset(move |_: &Dataset<'_, u64, u64>| {
                    at.pass();
                    match inside.get().unwrap().get(&500) {
                        Some(501) => Ok(()),
                        _ => Err(Broken("no bucket")),
                    }
                })
        });
        assert!(slot.set(bucket.clone()).is_ok());
        source.has(3);
        let own = bucket.clone();
        let refresh = Task::spawn(move || refreshed(&own).0);
        door.await_waiting(1);
        bucket.set(600, 1);
        assert_eq!((bucket.get(&700), bucket.peek(&600)), (Some(701), Some(1)));
        bucket.publish().unwrap();
        assert_eq!(bucket.snapshot().len(), 2);
        door.release();
        assert_eq!(refresh.join(), None);
        assert_eq!(bucket.peek(&600), Some(1), "written meanwhile");
        // A bucket in its own validator never ends by itself.
        bucket.shutdown();
    });
}

#[test]
fn impossible_values_and_options_without_a_dataset_are_refused() {
    type Spoil = fn(Builder<u64, u64>) -> Builder<u64, u64>;
    let cases: [(&str, &str, bool, Spoil); 8] = [
        ("dataset_min_count", "0", true, |b| b.dataset_min_count(0)),
        ("dataset_max_change", "-0.5", true, |b| {
            b.dataset_max_change(-0.5)
        }),
        ("dataset_max_change", "NaN", true, |b| {
            b.dataset_max_change(f64::NAN)
        }),
        ("dataset_max_change", "inf", true, |b| {
            b.dataset_max_change(f64::INFINITY)
        }),
        ("dataset_min_count", "set", false, |b| {
            b.dataset_min_count(1)
        }),
        ("dataset_max_change", "set", false, |b| {
            b.dataset_max_change(0.5)
        }),
        ("validate_dataset", "set", false, |b| {
            b.validate_dataset(|_: &Dataset<'_, u64, u64>| Ok::<_, Broken>(()))
        }),
        ("refresh_every", "set", false, |b| b.refresh_every(SECOND)),
    ];
    for (wrong, shown, dataset, spoil) in cases {
        let builder = Numbers::builder("options");
        let builder = match dataset {
            true => builder.load_all(|| Ok::<_, Broken>([(1, 1)])),
            false => builder,
        };
        match spoil(builder).build().unwrap_err() {
            BuildError::Option {
                option,
                value,
                range,
            } => {
                assert_eq!((option, value.as_str()), (wrong, shown));
                assert!(!range.is_empty());
            }
            other => panic!("{wrong}: {other:?}"),
        }
    }
    let edge = Numbers::builder("edge")
        .load_all(|| Ok::<_, Broken>([(1, 1)]))
        .dataset_min_count(usize::MAX)
        .dataset_max_change(f64::MAX);
    assert!(edge.build().is_ok());
}
