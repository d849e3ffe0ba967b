//! Bytes as a dump: whatever they are, they are read or refused, and what is read is read again as it is
//! written.
//!
//! Under `cargo +nightly fuzz run dump` libFuzzer finds the bytes. Built plainly, this is a program that
//! replays the corpus and a fixed number of made inputs: `cargo run --bin dump`.

#![cfg_attr(fuzzing, no_main)]

// The crate's own sources, since what is tried here is no part of its face.
#[path = "../../src/contain.rs"]
#[allow(dead_code, reason = "the crate uses all of it")]
mod contain;
#[path = "../../src/dump/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the crate uses all of it")]
mod dump;
#[path = "../../src/error.rs"]
#[allow(dead_code, reason = "the crate uses all of it")]
mod error;
#[path = "../../src/expiry.rs"]
#[allow(dead_code, reason = "the crate uses all of it")]
mod expiry;
#[path = "../../src/dump/forge.rs"]
mod forge;
#[cfg(not(fuzzing))]
#[path = "../common/replay.rs"]
#[allow(dead_code, reason = "the other targets use all of it")]
mod replay;

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use dump::Facts;
use dump::format::Identity;
use dump::read::read;
use dump::write::{Style, Writer};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz_one(bytes);
});

const WHOSE: Identity<'static> = Identity {
    bucket: "fuzz",
    schema: 1,
};

const CREATED: u64 = 1_000;

/// What the first byte says: which types, whether the rest is a dump or what one is made of, and whether the
/// sums are made right. Whether a dump was read.
fn fuzz_one(bytes: &[u8]) -> bool {
    let Some((&first, rest)) = bytes.split_first() else {
        return false;
    };
    let mut dump = match first & 1 {
        0 => rest.to_vec(),
        _ => changed(rest),
    };
    if first & 2 != 0 {
        forge::reseal(&mut dump);
    }
    match first >> 2 & 3 {
        0 => try_as::<u32, String>(&dump),
        1 => try_as::<String, Vec<Option<u16>>>(&dump),
        2 => try_as::<(bool, char), Vec<u8>>(&dump),
        _ => try_as::<(), Result<f32, Box<[i64]>>>(&dump),
    }
}

/// Reads; and what was read is written, and read again.
fn try_as<K, V>(bytes: &[u8]) -> bool
where
    K: Serialize + DeserializeOwned + Debug,
    V: Serialize + DeserializeOwned + Debug,
{
    // Zero: whatever the clock of the dump was, nobody has more time than he had then.
    let Some((entries, facts)) = entries_of::<K, V>(bytes) else {
        return false;
    };
    assert!(entries.len() as u64 <= facts.entries);
    assert!(entries.len() <= bytes.len() * 256);
    for packed in [false, true] {
        let again = written(&entries, facts, packed);
        let (same, _) = entries_of::<K, V>(&again).expect("what was written is read");
        // By what they print: a NaN is not equal to itself.
        assert_eq!(format!("{same:?}"), format!("{entries:?}"));
    }
    true
}

type Entries<K, V> = Vec<(K, V, Option<Duration>)>;

fn entries_of<K: DeserializeOwned, V: DeserializeOwned>(
    bytes: &[u8],
) -> Option<(Entries<K, V>, Facts)> {
    let mut entries = Vec::new();
    let sink = &mut |key, value, left| entries.push((key, value, left));
    let found = read(bytes, bytes.len() as u64, WHOSE, 0, sink).ok()?;
    assert_eq!(found.entries, entries.len() as u64);
    Some((entries, found.facts))
}

fn written<K, V>(entries: &Entries<K, V>, facts: Facts, packed: bool) -> Vec<u8>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    let style = Style {
        block: 50,
        packed,
        ..Style::default()
    };
    let facts = Facts {
        entries: entries.len() as u64,
        ..facts
    };
    let mut writer = Writer::begin(Vec::new(), style, WHOSE, facts).expect("a short name");
    for (key, value, left) in entries {
        // What is left was counted from the time of the dump, so the sum is the deadline that was read.
        let deadline = left.map(|left| facts.created_ms + left.as_millis() as u64);
        writer.entry(key, value, deadline).expect("was read");
    }
    writer.end().expect("memory").0
}

/// A dump as it may be written, and then changed: each three bytes say how.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let (many, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let entries: Entries<u32, String> = (0..u32::from(many % 32))
        .map(|n| {
            let left = (n % 3 == 0).then(|| Duration::from_millis(u64::from(n) + 1));
            (n * 77, "word ".repeat(n as usize % 5), left)
        })
        .collect();
    let facts = Facts {
        created_ms: CREATED,
        version: 0,
        entries: 0,
    };
    let mut dump = written(&entries, facts, many & 128 != 0);
    for change in bytes.chunks_exact(3) {
        let at = (usize::from(change[0] & 0x1F) << 8 | usize::from(change[1])) % dump.len();
        match change[0] >> 5 {
            0..4 => dump[at] = change[2],
            4 => dump[at] ^= 1 << (change[2] % 8),
            5 => dump.insert(at, change[2]),
            6 => {
                let until = dump.len().min(at + usize::from(change[2]));
                let part = dump[at..until].to_vec();
                dump.splice(until..until, part);
            }
            _ => {
                let until = dump.len().min(at + usize::from(change[2]));
                dump.drain(at..until);
                if dump.is_empty() {
                    break;
                }
            }
        }
    }
    dump
}

/// Replays the corpus, then inputs made from a fixed seed.
#[cfg(not(fuzzing))]
fn main() {
    const MADE: u64 = 20_000;

    let kept = corpus();
    assert!(!kept.is_empty(), "no corpus");
    let read = kept.iter().filter(|input| fuzz_one(input)).count();
    assert!(
        read > 4,
        "{read} of the corpus are too few to mean anything"
    );
    let more = (1..=MADE).filter(|&seed| fuzz_one(&made(seed))).count();
    assert!(more > 500, "{more} dumps are too few to mean anything");
    println!(
        "{} inputs of the corpus and {MADE} made ones replayed: {read} and {more} were dumps",
        kept.len()
    );
}

#[cfg(not(fuzzing))]
fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/dump");
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .collect()
}

/// Bytes from a seed: a few changes each, most of them with the sums made right.
#[cfg(not(fuzzing))]
fn made(seed: u64) -> Vec<u8> {
    let mut next = replay::numbers(seed);
    let mut bytes: Vec<u8> = (0..2).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(2 + 3 * (seed as usize % 4));
    bytes[0] |= if seed & 7 == 0 { 1 } else { 3 };
    if seed & 8 == 0 {
        // The types that were written.
        bytes[0] &= !12;
    }
    bytes
}
