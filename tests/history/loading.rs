//! The threads of a run in which misses are loaded, and the source that they are loaded from.

use crate::{
    calls::{Store, invalidate, peek, publish, reader_get, set, set_if_absent},
    chance::Chance,
    crew::{Crew, PATIENCE, Run},
    id::Id,
    record::{Answer, Key, Kind, Load, Log, Span},
};
use larder::{Bucket, Error, Fetched, Origin, Outcome};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Keys that are loaded when somebody waits for them.
pub(crate) const AWAITED: usize = 12;

/// These, and as many that are also reloaded, and loaded by the way with others.
pub(crate) const KEYS: usize = 2 * AWAITED;

/// Whether somebody may have a key loaded without waiting for it.
pub(crate) fn is_reloaded(key: Key) -> bool {
    usize::from(key) >= AWAITED
}

/// A slow source: it takes its time, and never gives the same value twice.
struct Source {
    /// For the clock, and for what was loaded.
    log: Mutex<Log>,
    clock: Log,
    next_value: AtomicU64,
}

impl Source {
    fn new(origin: Instant) -> Self {
        let log = || Log::new(origin, 1_000, 0);
        Self {
            log: Mutex::new(log()),
            clock: log(),
            next_value: AtomicU64::new(1_000 << 40),
        }
    }

    fn load(&self, keys: &[Id]) -> Vec<(Id, Outcome<u64>)> {
        let mut chance = Chance::new(self.next_value.fetch_add(1, Ordering::Relaxed));
        let mut loads = Vec::new();
        let (answers, span) = self.clock.timed(|| {
            dawdle(&mut chance);
            let answers = self.answers(keys, &mut chance, &mut loads);
            dawdle(&mut chance);
            answers
        });
        let loads = loads.into_iter().map(|load| Load { span, ..load });
        self.log
            .lock()
            .expect("nothing panics with it")
            .loads
            .extend(loads);
        answers
    }

    fn answers(
        &self,
        keys: &[Id],
        chance: &mut Chance,
        loads: &mut Vec<Load>,
    ) -> Vec<(Id, Outcome<u64>)> {
        let mut answers = Vec::with_capacity(keys.len() + 1);
        let mut answer = |key: Id, outcome: fn(u64) -> Outcome<u64>| {
            let value = self.next_value.fetch_add(1, Ordering::Relaxed);
            let outcome = outcome(value);
            let value = if matches!(outcome, Outcome::Absent) {
                0
            } else {
                value
            };
            let ignored = matches!(outcome, Outcome::Ignore(_));
            // The span is known at the end.
            let span = Span { start: 0, end: 0 };
            loads.push(Load {
                key: key.0,
                value,
                ignored,
                span,
            });
            answers.push((key, outcome));
        };
        for &key in keys {
            match chance.below(100) {
                0..8 => answer(key, Outcome::Ignore),
                8..20 => answer(key, |_| Outcome::Absent),
                _ => answer(key, Outcome::Value),
            }
        }
        let extra = Id((AWAITED as u64 + chance.below(AWAITED as u64)) as Key);
        if chance.below(4) == 0 && !keys.contains(&extra) {
            answer(extra, Outcome::Value);
        }
        answers
    }
}

/// Takes a little while, every second time with the core given up.
fn dawdle(chance: &mut Chance) {
    if chance.below(2) == 0 {
        thread::yield_now();
    }
    for _ in 0..chance.below(500) {
        std::hint::spin_loop();
    }
}

/// Writers, readers that load and readers that do not, a thread that asks for reloads, and one that
/// publishes without rest.
pub(crate) fn run(calls: usize) -> Run {
    let origin = Instant::now();
    let source = Arc::new(Source::new(origin));
    let asked = Arc::clone(&source);
    let bucket: Store = Bucket::builder("loads")
        .wait_limit(PATIENCE)
        .bulk_load(move |keys: &[Id]| Ok::<_, io::Error>(asked.load(keys)))
        .batch_size(4)
        .loader_threads(2)
        .build()
        .expect("the options are fine");
    let mut crew = Crew::new(origin);
    let calls = calls.div_ceil(6);
    for seed in 0..2 {
        let handle = bucket.clone();
        crew.bound(2 * calls, move |log| write(&handle, log, seed, calls));
        let handle = bucket.clone();
        crew.bound(2 * calls, move |log| load(&handle, log, 10 + seed, calls));
        let handle = bucket.clone();
        crew.bound(2 * calls, move |log| look(&handle, log, 20 + seed, calls));
    }
    let handle = bucket.clone();
    let mut chance = Chance::new(30);
    crew.endless(move |log| {
        let key = Id((AWAITED as u64 + chance.below(AWAITED as u64)) as Key);
        let ticket = handle.request_load([key]);
        if !ticket.rejected().is_empty() {
            log.complaints.push(format!("no room for {key:?}"));
        }
        thread::yield_now();
    });
    let handle = bucket.clone();
    crew.endless(move |log| {
        let before = handle.epoch();
        publish(&handle, log);
        if handle.epoch() == before {
            thread::yield_now();
        }
    });
    let mut run = crew.join();

    // At rest, and with no loader left to write down what it gave, everybody sees the same.
    bucket.shutdown();
    let mut last = Log::new(origin, run.logs.len() as u64, KEYS);
    for key in 0..KEYS as Key {
        peek(&bucket, &mut last, key);
    }
    run.logs.push(last);
    run.logs.push(std::mem::replace(
        &mut *source.log.lock().expect("nothing panics with it"),
        Log::new(origin, 0, 0),
    ));
    run
}

fn write(bucket: &Store, log: &mut Log, seed: u64, calls: usize) {
    let mut chance = Chance::new(seed);
    for _ in 0..calls {
        chance.maybe_yield();
        let key = chance.key(KEYS);
        match chance.below(100) {
            0..45 => invalidate(bucket, log, key),
            45..68 => set(bucket, log, key),
            68..82 => set_if_absent(bucket, log, key),
            _ => peek(bucket, log, key),
        }
    }
}

fn look(bucket: &Store, log: &mut Log, seed: u64, calls: usize) {
    let mut chance = Chance::new(seed);
    let mut reader = bucket.reader();
    for _ in 0..calls {
        chance.maybe_yield();
        let key = chance.key(KEYS);
        if chance.below(2) == 0 {
            peek(bucket, log, key);
        } else {
            reader_get(&mut reader, log, key);
        }
    }
}

fn load(bucket: &Store, log: &mut Log, seed: u64, calls: usize) {
    let mut chance = Chance::new(seed);
    for _ in 0..calls {
        chance.maybe_yield();
        let key = chance.key(KEYS);
        let id = Id(key);
        match chance.below(100) {
            0..30 => {
                let (value, span) = log.timed(|| bucket.get(&id));
                log.answers.push(Answer {
                    key,
                    value: value.unwrap_or(0),
                    span,
                });
            }
            30..70 => {
                let (fetched, span) = log.timed(|| bucket.fetch(&id));
                note(log, key, fetched, span);
            }
            70..80 => fetch_with(bucket, log, key),
            80..90 => {
                let keys = chance.some_keys(KEYS);
                let ids: Vec<Id> = keys.iter().copied().map(Id).collect();
                let (fetched, span) = log.timed(|| bucket.fetch_many(&ids));
                for (&key, fetched) in keys.iter().zip(fetched) {
                    note(log, key, fetched, span);
                }
            }
            _ => invalidate(bucket, log, key),
        }
    }
}

/// A load by a loader of the call's own, which runs here if nobody else is loading the key.
fn fetch_with(bucket: &Store, log: &mut Log, key: Key) {
    let value = log.fresh();
    let mut loaded = None;
    let (fetched, span) = log.timed(|| {
        bucket.call().fetch_with(&Id(key), |_: &Id| {
            let ((), span) = log.timed(thread::yield_now);
            loaded = Some(Load {
                key,
                value,
                ignored: false,
                span,
            });
            Ok::<_, io::Error>(value)
        })
    });
    log.loads.extend(loaded);
    note(log, key, fetched, span);
}

/// Writes down what a call was answered, as far as it says what it saw.
fn note(log: &mut Log, key: Key, fetched: Result<Fetched<u64>, Error>, span: Span) {
    match fetched {
        Ok(fetched) => match (fetched.origin(), fetched.value()) {
            (Origin::Hit, Some(&value)) => log.push(Kind::Read, key, value, span),
            (Origin::Loaded | Origin::Joined, value) => {
                let value = value.copied().unwrap_or(0);
                log.answers.push(Answer { key, value, span });
            }
            (Origin::Ignored, Some(&value)) => log.answers.push(Answer { key, value, span }),
            _ => log.complaints.push(format!("{fetched:?} makes no sense")),
        },
        Err(error) => log.complaints.push(format!("key {key}: {error}")),
    }
}
