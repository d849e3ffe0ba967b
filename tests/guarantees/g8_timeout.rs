//! G8: a refresh by key does not wait for a key that hangs, and what that brings in the end is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, Event, KeyEvent, LoadState, ManualClock, RefreshTicket};

use crate::common::{Broken, Door, Notes, PATIENCE, Tally, Task, bounded, eventually, settle};

type Numbers = Bucket<u64, u64>;

const LIMIT: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1);

/// A source in which some keys hang at a door, and what each of its values is.
#[derive(Clone)]
struct Source {
    time: ManualClock,
    door: Door,
    hangs: fn(u64) -> bool,
    version: Arc<AtomicU64>,
    tally: Tally<u64>,
}

impl Source {
    fn new(hangs: fn(u64) -> bool) -> Self {
        Self {
            time: ManualClock::new(),
            door: Door::closed(),
            hangs,
            version: Arc::default(),
            tally: Tally::new(),
        }
    }

    /// Of keys that were asked for together.
    fn read(&self, keys: &[u64]) -> Vec<(u64, u64)> {
        let version = self.version.load(Ordering::SeqCst);
        self.tally.during_all(keys, || {
            if keys.iter().any(|&key| (self.hangs)(key)) {
                self.door.pass();
            }
        });
        keys.iter().map(|&key| (key, 100 * version + key)).collect()
    }

    fn builder(&self) -> Builder<u64, u64> {
        Numbers::builder("late")
            .clock(self.time.clock())
            .refresh_jitter(0.0)
            .refresh_timeout(LIMIT)
            .shutdown_limit(Duration::ZERO)
    }

    /// A bucket that loads single keys, with these cached.
    fn bucket(
        &self,
        keys: &[u64],
        shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
    ) -> Numbers {
        let source = self.clone();
        let load = move |key: &u64| Ok::<_, Broken>(source.read(&[*key])[0].1);
        let bucket = shape(self.builder().load(load)).build().unwrap();
        bucket.set_many(keys.iter().map(|&key| (key, key)));
        self.version.store(1, Ordering::SeqCst);
        bucket
    }

    /// Asks for a refresh, and waits until so many loads hang.
    fn refresh(&self, bucket: &Numbers, hanging: usize) -> RefreshTicket {
        let ticket = bucket.refresh();
        self.door.await_waiting(hanging);
        ticket
    }

    /// Waits until all keys that do not hang are reloaded, and so would not be late as well if the time were moved.
    fn await_others(&self, bucket: &Numbers, hanging: u64) {
        let version = self.version.load(Ordering::SeqCst);
        let is_new = |key: &u64| bucket.peek(key) == Some(100 * version + key);
        eventually("the others", || {
            let mut others = KEYS.iter().filter(|key| !(self.hangs)(**key));
            others.all(is_new) && bucket.stats().loading == hanging
        });
    }

    fn advance(&self, bucket: &Numbers, by: Duration) {
        self.time.advance(by);
        settle(bucket);
    }
}

const KEYS: [u64; 5] = [1, 2, 3, 4, 5];

#[test]
fn g8_a_key_that_hangs_fails_alone_and_its_late_value_is_stored() {
    bounded(|| {
        let source = Source::new(|key| key == 1);
        let (told, told_keys) = (Notes::new(), Notes::new());
        let (telling, telling_keys) = (told.clone(), told_keys.clone());
        let bucket = source.bucket(&KEYS, |builder| {
            builder
                .observer(move |event| match event {
                    Event::LoadFailed { keys, error } => telling.add((*keys, Some(error.kind()))),
                    Event::RefreshFailed { keys, error } => {
                        telling.add((*keys, error.as_ref().map(larder::Error::kind)));
                    }
                    _ => {}
                })
                .key_observer(move |event, key| telling_keys.add((event, *key)))
        });
        let ticket = source.refresh(&bucket, 1);
        source.advance(&bucket, LIMIT - TICK);
        assert!(ticket.result().is_none(), "one tick too early");
        assert_eq!(bucket.stats().reloads_timed_out, 0);

        source.time.advance(TICK);
        ticket.wait(PATIENCE).unwrap();
        let values = KEYS.map(|key| bucket.peek(&key).unwrap());
        assert_eq!(values, [1, 102, 103, 104, 105]);
        let stats = bucket.stats();
        let counts = (
            stats.reloads_timed_out,
            stats.refreshes,
            stats.refreshes_failed,
        );
        assert_eq!(counts, (1, 1, 1));
        eventually("the reports", || told.len() == 2 && told_keys.len() == 1);
        assert_eq!(told.take(), [(1, Some(ErrorKind::Timeout)), (1, None)]);
        assert_eq!(told_keys.take(), [(KeyEvent::TimedOut, 1)]);

        // Its flight is under way, and who joins it is not answered by the end of the refresh, but by its own limit.
        assert_eq!(bucket.load_state(&1), LoadState::Reloading);
        let joined = bucket.refresh_keys([1]);
        assert!(!joined.wait(Duration::ZERO));
        assert_eq!(source.tally.loads(&1), 1);
        source.door.release();
        assert!(joined.wait(PATIENCE));
        assert_eq!(bucket.peek(&1), Some(101));
        assert_eq!((bucket.stats().failed, told.len()), (0, 0));
    });
}

#[test]
fn g8_what_comes_one_tick_before_the_limit_has_not_failed() {
    bounded(|| {
        let source = Source::new(|key| key == 1);
        let bucket = source.bucket(&KEYS, |builder| builder);
        let ticket = source.refresh(&bucket, 1);
        source.advance(&bucket, LIMIT - TICK);
        source.door.release();
        ticket.wait(PATIENCE).unwrap();
        assert_eq!(
            KEYS.map(|key| bucket.peek(&key)),
            KEYS.map(|key| Some(100 + key))
        );
        let stats = bucket.stats();
        assert_eq!((stats.reloads_timed_out, stats.refreshes_failed), (0, 0));
    });
}

#[test]
fn g8_a_batch_is_waited_for_as_one() {
    bounded(|| {
        let source = Source::new(|key| key == 1);
        let reading = source.clone();
        let bucket = source
            .builder()
            .batch_size(2)
            .bulk_load(move |keys: &[u64]| Ok::<_, Broken>(reading.read(keys)))
            .build()
            .unwrap();
        bucket.set_many(KEYS.map(|key| (key, key)));
        source.version.store(1, Ordering::SeqCst);
        let ticket = source.refresh(&bucket, 1);
        source.time.advance(LIMIT);
        ticket.wait(PATIENCE).unwrap();
        // The key that hangs and, if it has one, the other of its batch.
        let late = KEYS
            .into_iter()
            .filter(|key| bucket.peek(key) == Some(*key));
        let late: Vec<_> = late.collect();
        assert!(late.contains(&1) && late.len() <= 2, "{late:?}");
        assert_eq!(bucket.stats().reloads_timed_out, late.len() as u64);
        source.door.release();
        eventually("what is late", || {
            KEYS.iter().all(|key| bucket.peek(key) == Some(100 + key))
        });
    });
}

#[test]
fn g8_refreshes_go_on_and_pass_over_what_hangs() {
    bounded(|| {
        let source = Source::new(|key| key == 1);
        let bucket = source.bucket(&KEYS, |builder| {
            builder.refresh_every(EVERY).loader_threads(3)
        });
        source.time.advance(EVERY);
        source.door.await_waiting(1);
        source.await_others(&bucket, 1);
        source.time.advance(LIMIT);
        eventually("the end of the first", || bucket.stats().refreshes == 1);
        for round in 2..=4 {
            source.version.store(round, Ordering::SeqCst);
            // From the end of the last, and one tick before it nothing.
            source.advance(&bucket, EVERY - TICK);
            assert_eq!(bucket.stats().refreshes, round - 1, "one tick too early");
            source.time.advance(TICK);
            eventually("the next", || bucket.stats().refreshes == round);
            let values = KEYS.map(|key| bucket.peek(&key).unwrap());
            assert_eq!(
                values,
                [1, 2, 3, 4, 5].map(|key| if key == 1 { 1 } else { 100 * round + key })
            );
        }
        // One load of it, all the time.
        assert_eq!(
            (source.tally.loads(&1), source.tally.most_at_once()),
            (1, 1)
        );
        assert_eq!(bucket.stats().reloads_timed_out, 1);
        source.door.release();
        eventually("what is late", || bucket.peek(&1) == Some(101));
        // And the next refresh has it again.
        source.time.advance(EVERY);
        eventually("a whole refresh", || bucket.peek(&1) == Some(401));
        assert_eq!(bucket.stats().refreshes_failed, 1);
    });
}

#[test]
fn g8_where_every_thread_hangs_the_refresh_ends_all_the_same() {
    bounded(|| {
        for threads in [1, 2] {
            let source = Source::new(|_| true);
            let bucket = source.bucket(&KEYS, |builder| builder.loader_threads(threads));
            let ticket = source.refresh(&bucket, 1);
            for hanging in 1..=threads {
                source.door.await_waiting(hanging);
                source.advance(&bucket, LIMIT);
                assert_eq!(bucket.stats().reloads_timed_out, hanging as u64);
                assert!(ticket.result().is_none());
            }
            // Nobody is left to take what is left, for as long again.
            source.advance(&bucket, LIMIT - TICK);
            assert!(ticket.result().is_none(), "one tick too early");
            source.time.advance(TICK);
            ticket.wait(PATIENCE).unwrap();
            let stats = bucket.stats();
            assert_eq!((stats.reloads_timed_out, stats.refreshes_failed), (5, 1));
            // The threads come back, and the next refresh is whole.
            source.door.release();
            bucket.refresh().wait(PATIENCE).unwrap();
            eventually("all of them", || {
                KEYS.iter().all(|key| bucket.peek(key) == Some(100 + key))
            });
            assert_eq!(bucket.stats().refreshes_failed, 1);
        }
    });
}

#[test]
fn g8_what_hangs_is_stale_from_then_on_and_not_when_it_has_come() {
    bounded(|| {
        let stale = 20 * SECOND;
        let source = Source::new(|key| key <= 2);
        let bucket = source.bucket(&KEYS, |builder| builder.max_stale(stale).loader_threads(4));
        let ticket = source.refresh(&bucket, 2);
        source.await_others(&bucket, 2);
        source.time.advance(LIMIT);
        ticket.wait(PATIENCE).unwrap();
        assert_eq!(bucket.stats().reloads_timed_out, 2);
        // One of the two is written meanwhile, and so it is not stale any more.
        bucket.set(2, 22);
        source.advance(&bucket, stale - TICK);
        assert_eq!(bucket.peek(&1), Some(1));
        source.advance(&bucket, TICK);
        assert_eq!(
            KEYS.map(|key| bucket.peek(&key)),
            [None, Some(22), Some(103), Some(104), Some(105)]
        );
        assert_eq!(bucket.stats().too_stale, 1);
        // Late is late: what was gone comes back with what the source has, and what was written stands.
        source.door.release();
        eventually("what is late", || bucket.peek(&1) == Some(101));
        eventually("the end of the other", || bucket.stats().loading == 0);
        assert_eq!(bucket.peek(&2), Some(22));
        source.advance(&bucket, 3 * stale);
        assert_eq!((bucket.peek(&1), bucket.len()), (Some(101), 5));

        // What comes before its time is over is not stale any more, folded or not.
        for folded in [true, false] {
            source.door.close();
            let ticket = source.refresh(&bucket, 2);
            source.time.advance(LIMIT);
            ticket.wait(PATIENCE).unwrap();
            source.advance(&bucket, stale - SECOND);
            source.door.release();
            eventually("what is late", || bucket.stats().loading == 0);
            if folded {
                settle(&bucket);
            }
            source.advance(&bucket, stale);
            assert_eq!((bucket.len(), bucket.stats().too_stale), (5, 1));
        }
    });
}

#[test]
fn g8_the_end_comes_in_the_middle_of_what_hangs() {
    bounded(|| {
        let source = Source::new(|key| key == 1);
        let bucket = source.bucket(&[1], |builder| builder);
        let ticket = source.refresh(&bucket, 1);
        source.time.advance(LIMIT);
        ticket.wait(PATIENCE).unwrap();
        // A refresh that finds nothing that it may reload is over at once.
        bucket.refresh().wait(PATIENCE).unwrap();
        let joined = bucket.refresh_keys([1]);
        let waiting = Task::spawn(move || joined.wait(PATIENCE));
        bucket.shutdown();
        assert!(waiting.join());
        source.door.release();
    });
}

#[test]
fn g8_a_limit_where_no_key_is_reloaded_is_refused() {
    let without = Numbers::builder("none").refresh_timeout(LIMIT).build();
    let dataset = Numbers::builder("dataset")
        .load(|key: &u64| Ok::<_, Broken>(*key))
        .load_all(|| Ok::<_, Broken>([(1, 1)]))
        .refresh_timeout(LIMIT)
        .build();
    for built in [without, dataset] {
        assert_eq!(
            built.map(|_| ()).unwrap_err().to_string(),
            "option `refresh_timeout` is set, must be left out in a bucket that is not refreshed by key"
        );
    }
}
