//! Small reads for `scripts/instructions`, which has them counted: what each costs in instructions.
//!
//! Every case is a function of its own, so that the counter finds it, and makes [`READS`] reads. Keys and hashers
//! are the same each time.

#![allow(clippy::expect_used, reason = "a bench may fail")]

use std::collections::HashMap;
use std::hint::black_box;

use ahash::RandomState;
use std::time::Duration;

use larder::{Bucket, EvictBy, Reader, Snapshot, WhenFull};

mod common;
use common::{key, value};

/// In each case. `scripts/instructions` divides by it.
const READS: u64 = 10_000;

const ENTRIES: u64 = 1_000;

type Numbers = Bucket<u64, u64, RandomState>;
type Words = Bucket<String, u64, RandomState>;

/// Keys in an order in which a processor does not find them; the counter is one without caches.
fn keys(from: u64) -> Vec<u64> {
    (0..READS).map(|turn| key(from + turn % ENTRIES)).collect()
}

fn total(keys: &[u64], mut read: impl FnMut(&u64) -> Option<u64>) -> u64 {
    keys.iter()
        .fold(0, |sum, key| sum.wrapping_add(read(key).unwrap_or(1)))
}

macro_rules! cases {
    ($($name:ident($($argument:ident: $kind:ty),*) $body:block)*) => {$(
        #[inline(never)]
        fn $name($($argument: $kind),*) -> u64 {
            // Or cases of the same code would be made one.
            black_box(stringify!($name));
            $body
        }
    )*};
}

cases! {
    case_bare_map(map: &HashMap<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| map.get(key).copied())
    }
    case_reader_hit(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_reader_timed(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_reader_touched(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_reader_by_frequency(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_reader_by_last_write(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_peek_by_last_write(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.peek(key))
    }
    case_reader_counted(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_peek_counted(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.peek(key))
    }
    case_reader_absent(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_reader_beside_writes(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| reader.get(key).copied())
    }
    case_peek_beside_writes(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.peek(key))
    }
    case_reader_many(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        let groups = keys.chunks(50);
        groups.fold(0, |sum, group| {
            let values = reader.get_many(group);
            values.into_iter().flatten().fold(sum, |sum, value| sum.wrapping_add(*value))
        })
    }
    case_reader_many_absent(reader: &mut Reader<u64, u64, RandomState>, keys: &[u64]) {
        let groups = keys.chunks(50);
        groups.fold(0, |sum, group| {
            let values = reader.get_many(group);
            values.into_iter().fold(sum, |sum, value| sum.wrapping_add(*value.unwrap_or(&1)))
        })
    }
    case_peek_hit(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.peek(key))
    }
    case_peek_absent(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.peek(key))
    }
    case_get_hit(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.get(key))
    }
    case_with_hit(bucket: &Numbers, keys: &[u64]) {
        total(keys, |key| bucket.with(key, |value| *value))
    }
    case_get_many(bucket: &Numbers, keys: &[u64]) {
        let groups = keys.chunks(50);
        groups.fold(0, |sum, group| {
            let values = bucket.get_many(group);
            values.into_iter().flatten().fold(sum, u64::wrapping_add)
        })
    }
    case_snapshot_hit(snapshot: &Snapshot<u64, u64, RandomState>, keys: &[u64]) {
        total(keys, |key| snapshot.get(key).copied())
    }
    case_reader_words(reader: &mut Reader<String, u64, RandomState>, words: &[String]) {
        words.iter().fold(0, |sum, word| sum.wrapping_add(*reader.get(word.as_str()).unwrap_or(&1)))
    }
}

fn main() {
    let hasher = || RandomState::with_seeds(1, 2, 3, 4);
    let pairs = || (0..ENTRIES).map(|index| (key(index), value(index)));
    let bucket = Numbers::builder("numbers").hasher(hasher()).build();
    let bucket = bucket.expect("the options are valid");
    bucket.set_many(pairs());
    bucket.publish().expect("the bucket is open");
    let words = Words::builder("words").hasher(hasher()).build();
    let words = words.expect("the options are valid");
    let word = |key: u64| format!("{key:024}");
    words.set_many(pairs().map(|(key, value)| (word(key), value)));
    words.publish().expect("the bucket is open");

    let (there, absent) = (keys(0), keys(ENTRIES));
    let sum = (0..READS).fold(0_u64, |sum, turn| sum.wrapping_add(value(turn % ENTRIES)));
    let mut bare = HashMap::with_hasher(hasher());
    bare.extend(pairs());
    let check = |counted: u64, expected: u64| assert_eq!(black_box(counted), expected);
    check(case_bare_map(&bare, &there), sum);
    let mut reader = bucket.reader();
    check(case_reader_hit(&mut reader, &there), sum);
    check(case_reader_absent(&mut reader, &absent), READS);
    check(case_reader_many(&mut reader, &there), sum);
    check(case_reader_many_absent(&mut reader, &absent), READS);
    // A thread's first makes it known to the bucket.
    assert!(bucket.contains(&there[0]));
    check(case_peek_hit(&bucket, &there), sum);
    check(case_peek_absent(&bucket, &absent), READS);
    check(case_get_hit(&bucket, &there), sum);
    check(case_with_hit(&bucket, &there), sum);
    check(case_get_many(&bucket, &there), sum);
    check(case_snapshot_hit(&bucket.snapshot(), &there), sum);
    let asked: Vec<String> = there.iter().map(|&key| word(key)).collect();
    check(case_reader_words(&mut words.reader(), &asked), sum);
    let timed = Numbers::builder("timed")
        .hasher(hasher())
        .ttl(Duration::from_secs(3600));
    let timed = timed.build().expect("the options are valid");
    timed.set_many(pairs());
    timed.publish().expect("the bucket is open");
    check(case_reader_timed(&mut timed.reader(), &there), sum);
    let evicting = |policy| {
        let evicting = Numbers::builder("evicting")
            .hasher(hasher())
            .max_weight(2 * ENTRIES)
            .when_full(WhenFull::Evict)
            .evict_by(policy);
        let evicting = evicting.build().expect("the options are valid");
        evicting.set_many(pairs());
        evicting.publish().expect("the bucket is open");
        evicting
    };
    let by_touch = evicting(EvictBy::LastTouch);
    check(case_reader_touched(&mut by_touch.reader(), &there), sum);
    let by_frequency = evicting(EvictBy::Frequency);
    check(
        case_reader_by_frequency(&mut by_frequency.reader(), &there),
        sum,
    );
    let by_write = evicting(EvictBy::LastWrite);
    check(
        case_reader_by_last_write(&mut by_write.reader(), &there),
        sum,
    );
    assert!(by_write.contains(&there[0]));
    check(case_peek_by_last_write(&by_write, &there), sum);
    let counted = Numbers::builder("counted").hasher(hasher());
    let counted = counted.count_reads(true).build();
    let counted = counted.expect("the options are valid");
    counted.set_many(pairs());
    counted.publish().expect("the bucket is open");
    check(case_reader_counted(&mut counted.reader(), &there), sum);
    assert!(counted.contains(&there[0]));
    check(case_peek_counted(&counted, &there), sum);
    // Not folded as long as the refresher is gone, so each read finds the table marked.
    bucket.shutdown();
    bucket.set(key(1), value(1));
    check(case_reader_beside_writes(&mut reader, &there), sum);
    check(case_peek_beside_writes(&bucket, &there), sum);
}
