//! A run without loads: who takes part, and what they do.

use crate::{
    calls::{
        Store, get_many, invalidate, invalidate_many, peek, publish, reader_get, see_epoch, set,
        set_if_absent, set_many,
    },
    chance::Chance,
    crew::{Crew, PATIENCE, Run},
    record::{EpochSeen, Key, Log},
    taker::Taker,
};
use larder::Bucket;
use std::{thread, time::Instant};

/// Keys that one writer alone writes, all together: there every torn group is certain.
const OWN_KEYS: usize = 3;

/// Who takes part, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Keys that everybody reads and writes.
    pub(crate) keys: usize,
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    /// Calls of all writers and readers together.
    pub(crate) calls: usize,
    /// Of a hundred calls of a writer, so many write a group.
    pub(crate) groups: u64,
}

impl Plan {
    pub(crate) fn all_keys(&self) -> usize {
        self.keys + self.writers * OWN_KEYS
    }

    fn own_keys(&self, writer: usize) -> Vec<Key> {
        let first = self.keys + writer * OWN_KEYS;
        (first..first + OWN_KEYS).map(|key| key as Key).collect()
    }
}

/// Writers, readers, a thread that publishes without rest, and one that takes snapshots.
pub(crate) fn run(plan: Plan) -> Run {
    let bucket: Store = Bucket::builder("history")
        .wait_limit(PATIENCE)
        .build()
        .expect("the defaults are fine");
    let mut crew = Crew::new(Instant::now());
    let calls = plan.calls.div_ceil(plan.writers + plan.readers);
    for writer in 0..plan.writers {
        let bucket = bucket.clone();
        crew.bound(2 * calls, move |log| {
            write(&bucket, log, plan, writer, calls);
        });
    }
    for reader in 0..plan.readers {
        let bucket = bucket.clone();
        crew.bound(2 * calls, move |log| {
            read(&bucket, log, plan, reader, calls);
        });
    }
    // One thread folds without rest and looks at what comes of it, another one only looks.
    let mut publisher = Taker::new(&bucket, plan.all_keys());
    let mut taker = publisher.clone();
    crew.endless(move |log| {
        let before = publisher.bucket.epoch();
        publish(&publisher.bucket, log);
        publisher.turn(log);
        if publisher.bucket.epoch() == before {
            // Nothing was written: the writers need the core more than we do.
            thread::yield_now();
        }
    });
    crew.endless(move |log| {
        taker.turn(log);
        thread::yield_now();
    });
    let mut run = crew.join();

    // And at rest, everybody sees the same.
    let mut last = Log::new(run.logs[0].origin(), run.logs.len() as u64, plan.all_keys());
    publish(&bucket, &mut last);
    Taker::new(&bucket, plan.all_keys()).turn(&mut last);
    for key in 0..plan.all_keys() as Key {
        peek(&bucket, &mut last, key);
    }
    run.logs.push(last);
    run
}

fn write(bucket: &Store, log: &mut Log, plan: Plan, writer: usize, calls: usize) {
    let mut chance = Chance::new(writer as u64);
    let own = plan.own_keys(writer);
    for _ in 0..calls {
        chance.maybe_yield();
        let key = chance.key(plan.keys);
        if chance.below(100) < plan.groups {
            if chance.below(2) == 0 {
                set_many(bucket, log, &own);
            } else {
                let keys = chance.some_keys(plan.keys);
                set_many(bucket, log, &keys);
            }
            continue;
        }
        match chance.below(100) {
            0..42 => set(bucket, log, key),
            42..60 => invalidate(bucket, log, key),
            60..82 => set_if_absent(bucket, log, key),
            82..85 => {
                let keys = chance.some_keys(plan.keys);
                invalidate_many(bucket, log, &keys);
            }
            85..87 => see_epoch(bucket, log),
            _ => peek(bucket, log, key),
        }
    }
}

fn read(bucket: &Store, log: &mut Log, plan: Plan, reader: usize, calls: usize) {
    let mut chance = Chance::new(1_000 + reader as u64);
    let mut handle = bucket.reader();
    for _ in 0..calls {
        chance.maybe_yield();
        let key = chance.key(plan.all_keys());
        match chance.below(100) {
            0..45 => peek(bucket, log, key),
            45..88 => reader_get(&mut handle, log, key),
            88..95 => {
                let keys = chance.some_keys(plan.all_keys());
                get_many(bucket, log, &keys);
            }
            95..97 => {
                let (epoch, span) = log.timed(|| handle.epoch());
                log.epochs.push(EpochSeen { epoch, span });
            }
            97..99 => see_epoch(bucket, log),
            _ => handle = bucket.reader(),
        }
    }
}
