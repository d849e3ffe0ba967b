//! G9: a reset empties the bucket, and who asked before it and is answered after it is answered by a load that began
//! after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, Fetched, LoadState, ManualClock, Origin, Outcome, Reset};

use crate::common::{Broken, Door, Notes, PATIENCE, Tally, Task, bounded, eventually, settle};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

/// A source that changes as a whole: what it says of a key ends with the era in which it was asked.
#[derive(Clone)]
struct Source {
    era: Arc<AtomicU64>,
    door: Door,
    calls: Notes<Vec<u64>>,
    tally: Tally<u64>,
}

impl Source {
    fn new() -> Self {
        Self {
            era: Arc::default(),
            door: Door::open(),
            calls: Notes::new(),
            tally: Tally::new(),
        }
    }

    /// What it says to who asks now, and stands at the door before telling.
    fn ask(&self, keys: &[u64]) -> Vec<(u64, u64)> {
        self.tally.during_all(keys, || {
            self.calls.add(keys.to_vec());
            let era = self.era.load(Ordering::SeqCst);
            self.door.pass();
            keys.iter().map(|&key| (key, key * 100 + era)).collect()
        })
    }

    fn one(&self, key: u64) -> u64 {
        self.ask(&[key])[0].1
    }

    /// The next era begins.
    fn moves_on(&self) -> u64 {
        self.era.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn batches(&self, shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>) -> Numbers {
        let source = self.clone();
        let builder = Numbers::builder("reset")
            .bulk_load(move |keys: &[u64]| Ok::<_, Broken>(source.ask(keys)));
        shape(builder).build().unwrap()
    }

    /// No two loads of a key ever ran at a time.
    fn at_rest(&self, bucket: &Numbers) {
        assert_eq!(self.tally.most_at_once(), 1, "two loads of a key at once");
        let stats = bucket.stats();
        assert_eq!((stats.queued, stats.loading), (0, 0));
    }
}

/// The source changes, and the bucket is told.
fn reset(bucket: &Numbers, source: &Source) -> u64 {
    let era = source.moves_on();
    assert_eq!(bucket.reset(era).unwrap(), Reset::Done);
    assert_eq!(bucket.version(), era);
    era
}

fn value(fetched: Result<Fetched<u64>, larder::Error>) -> Option<u64> {
    fetched.unwrap().into_value()
}

#[test]
fn g9_only_a_higher_version_resets() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.batches(|b| b.version(5));
        assert_eq!((bucket.version(), bucket.snapshot().version()), (5, 5));
        assert_eq!(bucket.get(&1), Some(100));
        let epoch = bucket.publish().unwrap();
        assert_eq!(bucket.reset(5).unwrap(), Reset::Current);
        assert_eq!(bucket.reset(4).unwrap(), Reset::Older);
        assert_eq!(bucket.reset(0).unwrap(), Reset::Older);
        assert_eq!((bucket.epoch(), bucket.peek(&1)), (epoch, Some(100)));
        let before = bucket.snapshot();
        let mut reader = bucket.reader();
        assert_eq!(reader.get(&1), Some(&100));
        bucket.set(2, 7);
        assert_eq!(bucket.reset(9).unwrap(), Reset::Done);
        assert_eq!((bucket.version(), bucket.len()), (9, 0));
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, None));
        assert_eq!(reader.get(&1), None);
        // A snapshot is of its version for good, and so are all that follow the reset.
        assert_eq!((before.version(), before.get(&1)), (5, Some(&100)));
        assert_eq!(
            (bucket.snapshot().version(), bucket.snapshot().len()),
            (9, 0)
        );
        bucket.set(3, 7);
        bucket.publish().unwrap();
        assert_eq!(
            (bucket.snapshot().version(), bucket.snapshot().len()),
            (9, 1)
        );
        assert_eq!(bucket.reset(u64::MAX).unwrap(), Reset::Done);
        assert_eq!(bucket.reset(u64::MAX).unwrap(), Reset::Current);
        assert_eq!(bucket.stats().resets, 2);
    });
}

#[test]
fn g9_a_clear_and_a_switch_keep_the_version() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.batches(|b| b);
        bucket.reset(3).unwrap();
        bucket.clear().unwrap();
        bucket.set_caching(false).unwrap();
        assert_eq!(bucket.version(), 3);
        assert_eq!(bucket.reset(4).unwrap(), Reset::Done);
        assert!(!bucket.is_caching());
        // What is not stored is of a version all the same.
        source.door.close();
        let asking = bucket.clone();
        let load = Task::spawn(move || asking.fetch(&1));
        source.door.await_waiting(1);
        let era = {
            source.era.store(4, Ordering::SeqCst);
            reset(&bucket, &source)
        };
        source.door.release();
        let fetched = load.join().unwrap();
        assert_eq!(
            (fetched.value(), fetched.origin()),
            (Some(&(100 + era)), Origin::Ignored)
        );
        bucket.set_caching(true).unwrap();
        assert_eq!((bucket.version(), bucket.len()), (era, 0));
        source.at_rest(&bucket);
    });
}

/// Whatever one asks by: who asked before the reset is answered with what was computed after it, by one more load, which
/// begins when the first has ended.
#[test]
fn g9_whoever_waits_is_carried_over() {
    type Ask = fn(&Numbers, &Source) -> Option<u64>;
    let asks: [(&str, bool, Ask); 9] = [
        ("get", true, |b, _| b.get(&1)),
        ("fetch", true, |b, _| value(b.fetch(&1))),
        ("get_many", true, |b, _| b.get_many([&1])[0]),
        ("fetch_many", true, |b, _| {
            value(b.fetch_many([&1]).remove(0))
        }),
        ("skip_save", false, |b, _| b.call().skip_save().get(&1)),
        ("ttl", true, |b, _| b.call().ttl(SECOND).get(&1)),
        ("a ticket", true, |b, _| {
            assert!(b.request_load([1]).wait(PATIENCE));
            b.peek(&1)
        }),
        ("a reload", true, |b, source| {
            // Cached, so that it is a reload, and not by the source.
            b.set(1, 7);
            source.door.close();
            assert!(b.refresh_keys([1]).wait(PATIENCE));
            b.peek(&1)
        }),
        ("a loader of the call's own", true, |b, source| {
            let mut calls = 0;
            let load = |key: &u64| {
                calls += 1;
                Ok::<_, Broken>(source.one(*key))
            };
            let answer = value(b.call().fetch_with(&1, load));
            assert_eq!(calls, 2);
            answer
        }),
    ];
    for (name, stored, ask) in asks {
        bounded(move || {
            let source = Source::new();
            let bucket = source.batches(|b| b);
            source.door.close();
            let (asking, at) = (bucket.clone(), source.clone());
            let asked = Task::spawn(move || ask(&asking, &at));
            source.door.await_waiting(1);
            let joins = bucket.clone();
            let misses = stored && bucket.peek(&1).is_none();
            let joined = misses.then(|| Task::spawn(move || joins.get(&1)));
            let era = reset(&bucket, &source);
            assert_eq!(bucket.load_state(&1), LoadState::Loading, "{name}");
            assert_eq!(bucket.peek(&1), None, "{name}");
            // Who comes after the reset joins as well: there is one load of a key.
            let comes = bucket.clone();
            let late = stored.then(|| Task::spawn(move || comes.get(&1)));
            source.door.close_after(1);
            source.door.release();
            assert_eq!(asked.join(), Some(100 + era), "{name}");
            for other in joined.into_iter().chain(late) {
                assert_eq!(other.join(), Some(100 + era), "{name}");
            }
            assert_eq!(source.calls.all(), [[1], [1]], "{name}");
            assert_eq!(bucket.peek(&1), stored.then_some(100 + era), "{name}");
            assert_eq!(bucket.stats().run_again, 1, "{name}");
            source.at_rest(&bucket);
        });
    }
}

#[test]
fn g9_a_batch_under_way_is_run_again_and_what_is_queued_once() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.batches(|b| b.loader_threads(1));
        source.door.close();
        let asking = bucket.clone();
        let under_way = Task::spawn(move || asking.get_many([&1, &2, &3]));
        source.door.await_waiting(1);
        let ticket = bucket.request_load([4, 5]);
        let era = reset(&bucket, &source);
        assert!(!ticket.is_done());
        source.door.release();
        let all = |keys: &[u64]| -> Vec<_> { keys.iter().map(|k| Some(k * 100 + era)).collect() };
        assert_eq!(under_way.join(), all(&[1, 2, 3]));
        assert!(ticket.wait(PATIENCE));
        let cached: Vec<_> = (1..=5).map(|key| bucket.peek(&key)).collect();
        assert_eq!(cached, all(&[1, 2, 3, 4, 5]));
        assert_eq!(
            source.calls.all(),
            [vec![1, 2, 3], vec![1, 2, 3], vec![4, 5]]
        );
        assert_eq!(bucket.stats().run_again, 3);
        source.at_rest(&bucket);
    });
}

/// What a load has said before the reset is nobody's, whatever it was.
#[test]
fn g9_nothing_that_an_older_load_says_is_told() {
    for first in 0..5_u64 {
        bounded(move || {
            let (source, said) = (Source::new(), Arc::new(AtomicU64::new(0)));
            let at = source.clone();
            let bucket = Numbers::builder("says")
                .load(move |key: &u64| {
                    let value = at.one(*key);
                    if said.fetch_add(1, Ordering::SeqCst) > 0 {
                        return Ok(Outcome::Value(value));
                    }
                    match first {
                        0 => Ok(Outcome::Absent),
                        1 => Ok(Outcome::Ignore(value)),
                        2 => Ok(Outcome::Failed("of the key".into())),
                        3 => Err(Broken("as a whole")),
                        _ => panic!("the loader's own"),
                    }
                })
                .build()
                .unwrap();
            source.door.close();
            let asking = bucket.clone();
            let asked = Task::spawn(move || asking.fetch(&1));
            source.door.await_waiting(1);
            let era = reset(&bucket, &source);
            source.door.release();
            let fetched = asked.join().unwrap();
            let answered = (fetched.value(), fetched.origin());
            assert_eq!(answered, (Some(&(100 + era)), Origin::Loaded), "{first}");
            assert_eq!(bucket.stats().failed, 0);
            source.at_rest(&bucket);
        });
    }
}

/// G6 for the second run: what goes wrong there reaches everybody.
#[test]
fn g9_a_second_run_that_fails_answers() {
    for panics in [false, true] {
        bounded(move || {
            let source = Source::new();
            let at = source.clone();
            let bucket = Numbers::builder("fails")
                .load(move |key: &u64| {
                    let value = at.one(*key);
                    match (at.calls.len(), panics) {
                        (2, true) => panic!("the loader's own"),
                        (2, false) => Err(Broken("second")),
                        _ => Ok(value),
                    }
                })
                .build()
                .unwrap();
            source.door.close();
            let (asking, joining) = (bucket.clone(), bucket.clone());
            let asked = Task::spawn(move || asking.fetch(&1));
            source.door.await_waiting(1);
            let joined = Task::spawn(move || joining.fetch_many([&1, &1]));
            let era = reset(&bucket, &source);
            source.door.release();
            let expected = if panics {
                ErrorKind::Panicked
            } else {
                ErrorKind::Load
            };
            assert_eq!(asked.join().unwrap_err().kind(), expected);
            for answer in joined.join() {
                // It may have come after the end, and then it has its own.
                match answer {
                    Err(error) => assert_eq!(error.kind(), expected),
                    Ok(fetched) => assert_eq!(fetched.into_value(), Some(100 + era)),
                }
            }
            assert_eq!(bucket.get(&1), Some(100 + era));
            source.at_rest(&bucket);
        });
    }
}

#[test]
fn g9_nested_loads_are_run_again() {
    bounded(|| {
        let source = Source::new();
        let (at, own) = (
            source.clone(),
            Arc::new(std::sync::OnceLock::<Numbers>::new()),
        );
        let inner = Arc::clone(&own);
        let bucket = Numbers::builder("nested")
            .loader_threads(1)
            .load(move |key: &u64| {
                let below = match (*key, inner.get()) {
                    (0, _) | (_, None) => 0,
                    (key, Some(bucket)) => bucket.fetch(&(key - 1))?.into_value().unwrap_or(0),
                };
                at.tally.during(key, || ());
                let value = if *key == 0 { at.one(0) } else { key * 100 };
                Ok::<_, larder::Error>(value + below)
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        source.door.close();
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.fetch(&2));
        source.door.await_waiting(1);
        let era = reset(&bucket, &source);
        source.door.release();
        assert_eq!(value(asked.join()), Some(300 + era));
        let cached: Vec<_> = (0..=2).map(|key| bucket.peek(&key)).collect();
        assert_eq!(cached, [Some(era), Some(100 + era), Some(300 + era)]);
        // The innermost was run again at once, and those around it in their turn.
        assert_eq!((source.calls.len(), bucket.stats().run_again), (2, 3));
        source.at_rest(&bucket);
    });
}

#[test]
fn g9_what_came_along_is_dropped_with_its_load() {
    bounded(|| {
        let source = Source::new();
        let at = source.clone();
        let bucket = Numbers::builder("extra")
            .bulk_load(move |keys: &[u64]| {
                let mut answers = at.ask(keys);
                // Another one each time.
                answers.push((10 + at.calls.len() as u64, 7));
                Ok::<_, Broken>(answers)
            })
            .build()
            .unwrap();
        source.door.close();
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.get(&1));
        source.door.await_waiting(1);
        let era = reset(&bucket, &source);
        source.door.release();
        assert_eq!(asked.join(), Some(100 + era));
        assert_eq!((bucket.peek(&11), bucket.peek(&12)), (None, Some(7)));
    });
}

/// What a call for many keys has found is of before as well, if it waits for the others until after the reset.
#[test]
fn g9_hits_of_a_call_that_waits_are_asked_for_again() {
    type Ask = fn(&Numbers) -> Vec<Option<u64>>;
    let asks: [Ask; 2] = [
        |bucket| bucket.get_many([&1, &2, &3]),
        |bucket| {
            bucket
                .fetch_many([&1, &2, &3])
                .into_iter()
                .map(value)
                .collect()
        },
    ];
    for ask in asks {
        bounded(move || {
            let source = Source::new();
            let bucket = source.batches(|b| b);
            assert_eq!((bucket.get(&1), bucket.get(&3)), (Some(100), Some(300)));
            source.calls.take();
            source.door.close();
            let asking = bucket.clone();
            let asked = Task::spawn(move || ask(&asking));
            source.door.await_waiting(1);
            let era = reset(&bucket, &source);
            source.door.release();
            assert_eq!(asked.join(), [100, 200, 300].map(|value| Some(value + era)));
            assert_eq!(source.calls.all(), [vec![2], vec![2], vec![1, 3]]);
            source.at_rest(&bucket);
        });
    }
}

/// A value that can be held up where it is cloned.
struct Held(u64, Door);

impl Clone for Held {
    fn clone(&self) -> Self {
        self.1.pass();
        Self(self.0, self.1.clone())
    }
}

/// Held up in the middle of taking an answer: by the time that it has it, it is too old.
#[test]
fn g9_an_answer_that_is_taken_too_late_is_asked_for_again() {
    bounded(|| {
        let (source, clones) = (Source::new(), Door::open());
        let (at, through) = (source.clone(), clones.clone());
        let bucket = Bucket::<u64, Held>::builder("held")
            .load(move |key: &u64| Ok::<_, Broken>(Held(at.one(*key), through.clone())))
            .build()
            .unwrap();
        source.door.close();
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.get(&1).map(|held| held.0));
        source.door.await_waiting(1);
        // Stored by one clone; the second is the caller's.
        clones.close_after(1);
        source.door.release();
        clones.await_waiting(1);
        assert_eq!(bucket.load_state(&1), LoadState::Cached);
        source.moves_on();
        bucket.reset(1).unwrap();
        clones.release();
        assert_eq!(asked.join(), Some(101));
        assert_eq!(source.calls.len(), 2);
    });
}

/// A load that is about to begin finds its key cached, and the reset comes before it has said so.
#[test]
fn g9_a_hit_that_is_found_too_early_is_no_answer() {
    bounded(|| {
        let (source, clones) = (Source::new(), Door::open());
        let (at, through) = (source.clone(), clones.clone());
        let bucket = Bucket::<u64, Held>::builder("held")
            .loader_threads(1)
            .load(move |key: &u64| Ok::<_, Broken>(Held(at.one(*key), through.clone())))
            .build()
            .unwrap();
        source.door.close();
        let busy = bucket.request_load([9]);
        source.door.await_waiting(1);
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.get(&1).map(|held| held.0));
        eventually("queued", || bucket.stats().queued == 1);
        bucket.set(1, Held(7, clones.clone()));
        // One clone stores what is loaded of the other key.
        clones.close_after(1);
        source.door.release();
        clones.await_waiting(1);
        assert!(busy.wait(PATIENCE));
        source.moves_on();
        bucket.reset(1).unwrap();
        clones.release();
        assert_eq!(asked.join(), Some(101));
        assert_eq!(source.calls.all(), [[9], [1]]);
    });
}

#[test]
fn g9_a_refresh_by_key_goes_on_with_what_is_new() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.batches(|b| b.batch_size(2).loader_threads(1));
        for key in 1..=6 {
            bucket.set(key, 7);
        }
        source.door.close();
        let refresh = bucket.refresh();
        source.door.await_waiting(1);
        let era = reset(&bucket, &source);
        source.door.release();
        refresh.wait(PATIENCE).unwrap();
        // The piece that was under way is run again; what the others were to reload is gone.
        let calls = source.calls.all();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], calls[1]);
        let mut cached = bucket.keys();
        cached.sort_unstable();
        let mut reloaded = calls[0].clone();
        reloaded.sort_unstable();
        assert_eq!(cached, reloaded);
        assert!(
            cached
                .iter()
                .all(|key| bucket.peek(key) == Some(key * 100 + era))
        );
        source.at_rest(&bucket);
    });
}

#[test]
fn g9_a_dataset_is_fetched_again() {
    bounded(|| {
        let source = Source::new();
        let at = source.clone();
        let bucket = Numbers::builder("dataset")
            .dataset_max_change(0.1)
            .load_all(move || Ok::<_, Broken>(at.ask(&[1, 2])))
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.set_many((10..30).map(|key| (key, 7)));
        source.door.close();
        let refresh = bucket.refresh();
        source.door.await_waiting(1);
        let era = reset(&bucket, &source);
        source.door.release();
        // Also though it has far fewer keys than there were: those are gone.
        refresh.wait(PATIENCE).unwrap();
        assert_eq!(
            (bucket.peek(&1), bucket.peek(&2)),
            (Some(100 + era), Some(200 + era))
        );
        assert_eq!((bucket.len(), source.calls.len()), (2, 3));
        assert_eq!(bucket.snapshot().version(), era);
    });
}

/// However often it is reset: a waiter's time is its time, and the load ends when the resets do.
#[test]
fn g9_a_waiter_runs_out_of_time_though_resets_keep_coming() {
    bounded(|| {
        let (time, runs) = (ManualClock::new(), Arc::new(AtomicU64::new(0)));
        let own = Arc::new(std::sync::OnceLock::<Numbers>::new());
        let (clock, inner, counted) = (time.clone(), Arc::clone(&own), Arc::clone(&runs));
        let leaves = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&leaves);
        // Each of the first fifteen runs takes a second, and is overtaken by a reset.
        let overtaken = move |key: &u64| {
            let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
            let Some(bucket) = inner.get() else {
                return Ok(0);
            };
            // Its time counts from when it waits, and an answer that comes before it has noticed would be taken.
            match (key, run) {
                (1, 1) => eventually("the waiter is there", || bucket.stats().joined == 1),
                (1, 12) => eventually("the waiter has left", || left.load(Ordering::SeqCst)),
                _ => {}
            }
            clock.advance(SECOND);
            if run <= 15 {
                bucket.reset(bucket.version() + 1).unwrap();
            }
            Ok::<_, Broken>(key * 100 + run)
        };
        let load = overtaken.clone();
        let bucket = Numbers::builder("restless")
            .clock(time.clock())
            .wait_limit(10 * SECOND)
            .loader_threads(1)
            .load(load)
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        let ticket = bucket.request_load([1]);
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::Timeout);
        leaves.store(true, Ordering::SeqCst);
        assert!(ticket.wait(Duration::MAX));
        assert_eq!(
            (bucket.peek(&1), runs.load(Ordering::SeqCst)),
            (Some(116), 16)
        );
        // A loader of the call's own is not run again when the call's time is up, and whoever has joined is free to.
        runs.store(0, Ordering::SeqCst);
        let late = bucket.call().fetch_with(&2, overtaken).unwrap_err();
        assert_eq!(
            (late.kind(), runs.load(Ordering::SeqCst)),
            (ErrorKind::Timeout, 10)
        );
        assert_eq!(bucket.load_state(&2), LoadState::Unknown);
        assert_eq!(bucket.version(), 25);
    });
}

#[test]
fn g9_a_shutdown_between_the_runs_answers() {
    // In the first run, after the reset; and in the second.
    for runs in [0, 1] {
        bounded(move || {
            let source = Source::new();
            let bucket = source.batches(|b| b.shutdown_limit(Duration::ZERO));
            source.door.close();
            let (asking, at) = (bucket.clone(), source.clone());
            let asked = Task::spawn(move || asking.fetch(&1));
            source.door.await_waiting(1);
            let own = bucket.clone();
            let leads = Task::spawn(move || {
                own.call()
                    .fetch_with(&2, |key| Ok::<_, Broken>(at.one(*key)))
            });
            source.door.await_waiting(2);
            let ticket = bucket.request_load([1]);
            reset(&bucket, &source);
            if runs > 0 {
                source.door.release();
                source.door.await_passed(2);
                source.door.close();
                // Through for good, or held at the door again: closed with an answer either way.
            }
            bucket.shutdown();
            let kind = asked.join().map_err(|error| error.kind());
            if runs == 0 {
                assert_eq!(kind.unwrap_err(), ErrorKind::Closed);
            }
            assert!(ticket.wait(PATIENCE));
            source.door.release();
            let kind = leads.join().map_err(|error| error.kind());
            if runs == 0 {
                assert_eq!(kind.unwrap_err(), ErrorKind::Closed);
            }
            assert_eq!(bucket.reset(9).unwrap_err().kind(), ErrorKind::Closed);
        });
    }
}

#[test]
fn g9_what_was_remembered_of_a_key_says_nothing_any_more() {
    bounded(|| {
        let (source, there) = (Source::new(), Arc::new(AtomicU64::new(0)));
        let (asked, seen) = (Notes::new(), Arc::clone(&there));
        let noting = asked.clone();
        let bucket = source.batches(|b| {
            b.exists_absent_for(SECOND).exists(move |key: &u64| {
                noting.add(*key);
                Ok::<_, Broken>(seen.load(Ordering::SeqCst) > 0)
            })
        });
        assert_eq!((bucket.get(&1), bucket.get(&1)), (None, None));
        assert_eq!(asked.take().len(), 1);
        there.store(1, Ordering::SeqCst);
        let era = reset(&bucket, &source);
        assert_eq!(bucket.get(&1), Some(100 + era));
        assert_eq!(asked.len(), 1);
        source.at_rest(&bucket);
    });
}

/// Also one that was asked before the reset and answers after it.
#[test]
fn g9_an_absence_that_comes_late_is_asked_for_again() {
    bounded(|| {
        let (source, there) = (Source::new(), Arc::new(AtomicU64::new(0)));
        let (at, hook) = (Arc::clone(&there), Door::closed());
        let door = hook.clone();
        let bucket = source.batches(|b| {
            b.exists_absent_for(SECOND).exists(move |_: &u64| {
                let there = at.load(Ordering::SeqCst) > 0;
                door.pass();
                Ok::<_, Broken>(there)
            })
        });
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.get(&1));
        hook.await_waiting(1);
        there.store(1, Ordering::SeqCst);
        let era = reset(&bucket, &source);
        hook.release();
        assert_eq!(asked.join(), Some(100 + era));
        bucket.invalidate(&1);
        assert_eq!(bucket.get(&1), Some(100 + era));
    });
}

/// What had failed to refresh before is gone, and no limit of before takes out what is new.
#[test]
fn g9_what_was_stale_is_forgotten() {
    bounded(|| {
        let (time, broken) = (ManualClock::new(), Arc::new(AtomicU64::new(1)));
        let fails = Arc::clone(&broken);
        let bucket = Numbers::builder("stale")
            .clock(time.clock())
            .max_stale(SECOND)
            .load(move |key: &u64| match fails.load(Ordering::SeqCst) {
                0 => Ok(*key),
                _ => Err(Broken("down")),
            })
            .build()
            .unwrap();
        bucket.set_many([(1, 7), (2, 7)]);
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.reset(1).unwrap();
        broken.store(0, Ordering::SeqCst);
        bucket.set(1, 8);
        assert_eq!(bucket.get(&2), Some(2));
        time.advance(2 * SECOND);
        settle(&bucket);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(8), Some(2)));
        assert_eq!(bucket.stats().too_stale, 0);
    });
}

/// A key that is written after the reset has that, whatever the second run brings; and who asks after an invalidation
/// does not wait for a load that knows nothing of it.
#[test]
fn g9_a_second_run_overwrites_nothing() {
    bounded(|| {
        let source = Source::new();
        let bucket = source.batches(|b| b);
        source.door.close();
        let asking = bucket.clone();
        let asked = Task::spawn(move || asking.get(&1));
        source.door.await_waiting(1);
        reset(&bucket, &source);
        bucket.set(1, 7);
        source.door.release();
        // Found when the second run was about to begin.
        assert_eq!((asked.join(), bucket.peek(&1)), (Some(7), Some(7)));
        assert_eq!(source.calls.len(), 1);
        source.at_rest(&bucket);
    });
}

/// Number 4 of what is easily left out: whoever waits is answered, whatever happens to the key meanwhile.
#[test]
fn g9_waiters_are_answered_through_expiry_removal_and_resets() {
    bounded(|| {
        let (source, time) = (Source::new(), ManualClock::new());
        let bucket = source.batches(|b| b.clock(time.clock()).ttl(SECOND).loader_threads(1));
        for round in 0..20_u64 {
            source.door.close();
            let asking = bucket.clone();
            let asked = Task::spawn(move || asking.fetch_many([&1, &2, &3]));
            source.door.await_waiting(1);
            let ticket = bucket.request_load([1, 4]);
            let era = match round % 4 {
                0 => reset(&bucket, &source),
                1 => {
                    bucket.invalidate(&1);
                    reset(&bucket, &source)
                }
                2 => {
                    let era = reset(&bucket, &source);
                    bucket.clear().unwrap();
                    reset(&bucket, &source).max(era)
                }
                _ => {
                    time.advance(2 * SECOND);
                    bucket.publish().unwrap();
                    reset(&bucket, &source)
                }
            };
            source.door.release();
            let values: Vec<_> = asked.join().into_iter().map(value).collect();
            assert_eq!(
                values,
                [1, 2, 3].map(|key| Some(key * 100 + era)),
                "{round}"
            );
            assert!(ticket.wait(PATIENCE));
            assert_eq!(bucket.peek(&4), Some(400 + era), "{round}");
            bucket.clear().unwrap();
        }
    });
}

/// Readers, loaders and resets at once. A reader that has seen a version finds no value of an older one.
#[test]
fn g9_nobody_finds_what_is_older_than_what_they_know() {
    bounded(|| {
        let source = Source::new();
        let at = source.clone();
        let bucket = Bucket::<u64, u64>::builder("busy")
            .fold_delay(Duration::ZERO)
            .load(move |_: &u64| Ok::<_, Broken>(at.era.load(Ordering::SeqCst)))
            .build()
            .unwrap();
        let ended = Arc::new(AtomicU64::new(0));
        let crew: Vec<_> = (0..3_u64)
            .map(|member| {
                let (bucket, ended) = (bucket.clone(), Arc::clone(&ended));
                Task::spawn(move || {
                    let mut reader = bucket.reader();
                    let mut turn = member;
                    while ended.load(Ordering::SeqCst) == 0 {
                        turn += 1;
                        let key = turn % 5;
                        let known = bucket.version();
                        let found = match turn % 4 {
                            0 => bucket.get(&key),
                            1 => bucket.get_many([&key, &(key + 1)])[1],
                            2 => reader.get(&key).copied(),
                            _ => {
                                let ticket = bucket.request_load([key]);
                                assert!(ticket.wait(PATIENCE));
                                bucket.peek(&key)
                            }
                        };
                        assert!(
                            found.is_none_or(|found| found >= known),
                            "{found:?} < {known}"
                        );
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            reset(&bucket, &source);
        }
        ended.store(1, Ordering::SeqCst);
        crew.into_iter().for_each(Task::join);
    });
}
