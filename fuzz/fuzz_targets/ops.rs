//! Operations on a bucket against a plain model, from bytes.
//!
//! Under `cargo +nightly fuzz run ops` libFuzzer finds the bytes. Built plainly, this is a program that
//! replays the corpus and a fixed number of made inputs: `cargo run --bin ops`.

#![cfg_attr(fuzzing, no_main)]

#[path = "../../tests/model/machine.rs"]
#[allow(
    dead_code,
    reason = "shared with the state machine test, which uses all of it"
)]
mod machine;

use std::time::Duration;

use machine::{KEYS, Machine, Mood, Op, Said, Shape};

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
    let ttl = match bytes.next() % 4 {
        0 => Some(Duration::from_millis(700)),
        _ => None,
    };
    let mut ops = Vec::new();
    while !bytes.0.is_empty() && ops.len() < 200 {
        ops.push(bytes.op());
    }
    let hasher = larder::DefaultHashBuilder::with_seed(1);
    Machine::new(shape, hasher, 2, ttl).run(&ops);
    ops.len()
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

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

    fn op(&mut self) -> Op {
        match self.next() % 22 {
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
            _ => Op::Mood(match self.next() % 4 {
                0 => Mood::Fails,
                1 => Mood::Panics,
                _ => Mood::Well,
            }),
        }
    }
}

/// Replays the corpus, then inputs made from a fixed seed.
#[cfg(not(fuzzing))]
fn main() {
    const MADE: u64 = 400;

    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // The scripted loaders panic as part of the game.
        if info.payload().downcast_ref::<&str>() != Some(&"scripted") {
            usual(info);
        }
    }));
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/ops");
    let mut inputs: Vec<Vec<u8>> = std::fs::read_dir(corpus)
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .collect();
    let kept = inputs.len();
    assert!(kept > 0, "no corpus in {corpus}");
    inputs.extend((1..=MADE).map(made));
    let ops: usize = inputs.iter().map(|input| fuzz_one(input)).sum();
    assert!(
        ops > 10_000,
        "{ops} operations are too few to mean anything"
    );
    println!("{kept} inputs of the corpus and {MADE} made ones replayed: {ops} operations");
}

/// Bytes from a seed: splitmix64 (Steele, Lea and Flood 2014).
#[cfg(not(fuzzing))]
fn made(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    };
    (0..64).flat_map(|_| next().to_le_bytes()).collect()
}
