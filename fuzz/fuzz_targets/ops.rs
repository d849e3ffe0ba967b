//! Operations on a bucket against a plain model, from bytes.
//!
//! Under `cargo +nightly fuzz run ops` libFuzzer finds the bytes. Built plainly, this is a program that
//! replays the corpus and a fixed number of made inputs: `cargo run --bin ops`.

#![cfg_attr(fuzzing, no_main)]

#[path = "../common/bytes.rs"]
mod bytes;
#[path = "../../tests/model/machine.rs"]
#[allow(
    dead_code,
    reason = "shared with the state machine test, which uses all of it"
)]
mod machine;
#[cfg(not(fuzzing))]
#[path = "../common/replay.rs"]
mod replay;

use bytes::Bytes;
use std::time::Duration;

use machine::{Change, KEYS, Machine, Mood, Op, Said, Shape, Traits};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz_one(bytes);
});

/// Reads operations off the bytes, to their end, and runs them.
fn fuzz_one(bytes: &[u8]) -> usize {
    let mut bytes = Bytes(bytes);
    let shape = match bytes.next() % 3 {
        0 => Shape::Single,
        1 => Shape::Bulk,
        _ => Shape::Dataset,
    };
    let second = bytes.next();
    let ttl = match second % 4 {
        0 => Some(Duration::from_millis(700)),
        _ => None,
    };
    let traits = Traits {
        mortal: second & 4 != 0,
        asks: second & 8 != 0,
        counts: second & 16 != 0,
        // Seldom, as it rests in real time.
        sliced: second >> 5 == 7,
    };
    let mut ops = Vec::new();
    while !bytes.0.is_empty() && ops.len() < 200 {
        ops.push(bytes.op());
    }
    let hasher = larder::DefaultHashBuilder::with_seed(1);
    Machine::with(shape, hasher, 2, ttl, traits).run(&ops);
    ops.len()
}

impl Bytes<'_> {
    fn key(&mut self) -> u8 {
        self.next() % KEYS
    }

    fn keys(&mut self) -> Vec<u8> {
        (0..self.next() % 8).map(|_| self.key()).collect()
    }

    fn value(&mut self) -> u32 {
        u32::from(self.next()) << 8 | u32::from(self.next())
    }

    /// Milliseconds, few enough that the clock gets there.
    fn ttl(&mut self) -> u16 {
        u16::from(self.next()) * 6
    }

    fn said(&mut self) -> Said {
        match self.next() % 8 {
            0..4 => Said::Value(self.value()),
            4 => Said::Ignore(self.value()),
            5 => Said::Absent,
            6 => Said::Expiring(self.value(), self.ttl()),
            _ => Said::Error,
        }
    }

    fn change(&mut self) -> Change {
        match self.next() % 4 {
            0 => Change::Keep,
            1 => Change::Remove,
            2 => Change::SetWithTtl(self.value(), self.ttl()),
            _ => Change::Set(self.value()),
        }
    }

    fn op(&mut self) -> Op {
        match self.next() % 36 {
            0 => Op::Set(self.key(), self.value()),
            1 => Op::SetIfAbsent(self.key(), self.value()),
            2 => {
                let count = self.next() % 6;
                Op::SetMany((0..count).map(|_| (self.key(), self.value())).collect())
            }
            3 => Op::Invalidate(self.key()),
            4 => Op::InvalidateMany(self.keys()),
            5 => Op::Clear,
            6 => Op::Publish,
            7 => Op::Fetch(self.key()),
            8 => Op::FetchMany(self.keys()),
            9 => Op::FetchWith(self.key(), self.said()),
            10 => Op::RequestLoad(self.keys()),
            11 => Op::Refresh,
            12 => Op::Keep,
            13 => Op::Forget,
            14 => Op::Advance(u16::from(self.next())),
            15 => Op::Source(self.key(), self.said()),
            16 => Op::SetWithTtl(self.key(), self.value(), self.ttl()),
            17 => {
                let count = self.next() % 6;
                let pairs = (0..count).map(|_| (self.key(), self.value())).collect();
                Op::SetManyWithTtl(pairs, self.ttl())
            }
            18 => Op::ExpireIn(self.key(), self.ttl()),
            19 => Op::Persist(self.key()),
            20 => Op::Touch(self.key()),
            21 => Op::Update(self.key(), self.value(), self.next().is_multiple_of(2)),
            22 => Op::Take(self.key()),
            23 => Op::InvalidateIf(self.next() % 4),
            24 => Op::Die(self.key()),
            25 => Op::DieAndTell(self.key()),
            26 => Op::Caching(!self.next().is_multiple_of(4)),
            27 => Op::Exists(self.key(), self.next().is_multiple_of(2)),
            28 => Op::Mood(match self.next() % 4 {
                0 => Mood::Fails,
                1 => Mood::Panics,
                _ => Mood::Well,
            }),
            29 => Op::Reset(self.next()),
            30 => Op::FetchThroughReset(self.key(), self.said()),
            31 => {
                let count = self.next() % 6;
                Op::Step((0..count).map(|_| (self.key(), self.change())).collect())
            }
            32 => Op::ExpireAt(self.key(), self.ttl()),
            33 => Op::SetWithTags(self.key(), self.value(), self.next() % 4),
            34 => Op::InvalidateTag(self.next() % 2),
            _ => {
                let (brings, sets) = (self.next() % 6, self.next() % 2);
                let mut pairs = |count| (0..count).map(|_| (self.key(), self.value())).collect();
                Op::Warm(pairs(brings), pairs(sets))
            }
        }
    }
}

#[cfg(not(fuzzing))]
fn main() {
    replay::replay("ops", 10_000, fuzz_one);
}
