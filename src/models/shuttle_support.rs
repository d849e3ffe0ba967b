//! How schedules are run, and what the tests of schedules share.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::error::Error;
use crate::fetched::{Fetched, Origin};
use crate::sync::Arc;

/// How many points, at the most, an ordering bug that is looked for depends on, less one.
const DEPTH: usize = 3;

/// Runs `test` under so many schedules drawn at random, and as many by priorities that change at random
/// (PCT), prints how many there were, and fails if there were fewer than asked for.
///
/// `LARDER_SCHEDULES` is how many, 300 if not given; `LARDER_SEED` is what they are drawn from, the
/// same each time if not given.
pub(super) fn run_schedules(name: &str, test: fn()) {
    let number = |variable, default| match std::env::var(variable) {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => default,
    };
    let schedules = number("LARDER_SCHEDULES", 300);
    let seed = number("LARDER_SEED", 1);
    let count = usize::try_from(schedules).expect("a count");
    let random = RandomScheduler::new_from_seed(seed, count);
    run_with(name, "random", random, test, count);
    let pct = PctScheduler::new_from_seed(seed, DEPTH, count);
    run_with(name, "pct", pct, test, count);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a run, not of a test"
)]
fn run_with<S: Scheduler + 'static>(name: &str, kind: &str, by: S, test: fn(), floor: usize) {
    let mut config = Config::new();
    // The default is small for a panic's message.
    config.stack_size = 0x4_0000;
    let start = Instant::now();
    let schedules = Runner::new(by, config).run(test);
    let took = start.elapsed();
    println!("schedules {name}, {kind}: {schedules} in {took:.2?}");
    assert!(
        schedules >= floor,
        "{name}: {schedules} schedules, expected {floor}"
    );
}

/// A number below `end`, drawn with the schedule.
pub(super) fn draw(end: u8) -> u8 {
    thread_rng().gen_range(0..end)
}

/// How many keys the source has.
pub(super) const KEYS: u8 = 4;

/// The answers that there are, and an error of which `expected` says whether it may be.
pub(super) fn answered(
    keys: &[u8],
    answers: Vec<Result<Fetched<u64>, Error>>,
    expected: fn(&Error),
) -> Vec<(u8, Fetched<u64>)> {
    let answers = keys.iter().zip(answers);
    answers
        .filter_map(|(key, answer)| match answer {
            Ok(fetched) => Some((*key, fetched)),
            Err(error) => {
                expected(&error);
                None
            }
        })
        .collect()
}

/// What the source holds: a version of each key, which only rises. A value tells both.
#[derive(Clone, Default)]
pub(super) struct Truth(Arc<[AtomicU64; KEYS as usize]>);

impl Truth {
    pub(super) fn value(&self, key: u8) -> u64 {
        u64::from(key) * 1_000_000 + self.0[usize::from(key)].load(SeqCst)
    }

    /// Changes the key at the source. Of each key there is one writer.
    pub(super) fn change(&self, key: u8) -> u64 {
        self.0[usize::from(key)].fetch_add(1, SeqCst);
        self.value(key)
    }
}

/// What one thread has seen of each key in the bucket, or wrote itself. What it sees next is never older.
#[derive(Default)]
pub(super) struct Seen([u64; KEYS as usize]);

impl Seen {
    /// A value of the bucket's, or one that was written.
    pub(super) fn see(&mut self, key: u8, value: u64) {
        self.check(key, value);
        self.0[usize::from(key)] = value;
    }

    /// The answers of one fetch, which are in no order among themselves. If a write came between a
    /// load's begin and its look at the source, its value may be newer than the bucket's, and is not
    /// stored: so it sets no mark for what follows.
    pub(super) fn fetched(&mut self, answers: &[(u8, Fetched<u64>)]) {
        let value = |answer: &Fetched<u64>| *answer.value().expect("the source has every key");
        for (key, answer) in answers {
            self.check(*key, value(answer));
        }
        for (key, answer) in answers {
            if answer.origin() == Origin::Hit {
                let last = &mut self.0[usize::from(*key)];
                *last = value(answer).max(*last);
            }
        }
    }

    fn check(&self, key: u8, value: u64) {
        assert_eq!(value / 1_000_000, u64::from(key), "a value of another key");
        let last = self.of(key);
        assert!(value >= last, "key {key} went back from {last} to {value}");
    }

    pub(super) fn of(&self, key: u8) -> u64 {
        self.0[usize::from(key)]
    }
}
