//! G4 and G5 of a bucket so large that new keys are put beside the others, and brought home once nobody writes.

use std::time::Duration;

use larder::{Bucket, ManualClock};

use crate::common::{bounded, eventually, settle};

type Numbers = Bucket<u64, u64>;

/// More than a table has that is copied for each new key.
const HELD: u64 = 70_000;
const NEW: u64 = 2_000;
const SECOND: Duration = Duration::from_secs(1);

/// A bucket in which keys from `HELD` on are beside the others.
fn with_some_beside(time: &ManualClock) -> Numbers {
    let builder = Numbers::builder("beside").clock(time.clock());
    let bucket = builder.fold_delay(SECOND).build().unwrap();
    bucket.set_many((0..HELD).map(|key| (key, key)));
    bucket.publish().unwrap();
    bucket.set_many((HELD..HELD + NEW).map(|key| (key, key)));
    bucket.publish().unwrap();
    bucket
}

fn check(bucket: &Numbers, expected: impl Fn(u64) -> Option<u64>) {
    let snapshot = bucket.snapshot();
    let mut reader = bucket.reader();
    let keys: Vec<u64> = (0..HELD + 2 * NEW).collect();
    let together = bucket.get_many(&keys);
    for (key, together) in keys.iter().zip(together) {
        let expected = expected(*key);
        assert_eq!(bucket.peek(key), expected, "peek {key}");
        assert_eq!(reader.get(key).copied(), expected, "reader {key}");
        assert_eq!(snapshot.get(key).copied(), expected, "snapshot {key}");
        assert_eq!(together, expected, "together {key}");
    }
    let entries = snapshot.iter().inspect(|(key, value)| {
        assert_eq!(expected(**key), Some(**value), "in the iterator");
    });
    assert_eq!(entries.count(), snapshot.len());
}

#[test]
fn g5_what_is_beside_is_read_written_and_removed_like_the_rest() {
    bounded(|| {
        let bucket = with_some_beside(&ManualClock::new());
        check(&bucket, |key| (key < HELD + NEW).then_some(key));
        let before = bucket.snapshot();
        for key in [0, HELD] {
            bucket.set(key, 1_000_000);
            bucket.invalidate(&(key + 1));
            let more = bucket.update(&(key + 2), |value| value.map(|value| value + 1));
            assert_eq!(more.unwrap(), Some(key + 3));
        }
        let expected = |key| match key {
            0 | HELD => Some(1_000_000),
            1 => None,
            2 => Some(3),
            key if key == HELD + 1 => None,
            key if key == HELD + 2 => Some(key + 1),
            key => (key < HELD + NEW).then_some(key),
        };
        for key in 0..HELD + 2 * NEW {
            assert_eq!(bucket.peek(&key), expected(key));
        }
        bucket.publish().unwrap();
        check(&bucket, expected);
        assert_eq!((before.get(&1), before.get(&HELD)), (Some(&1), Some(&HELD)));
    });
}

#[test]
fn g5_what_is_beside_comes_home_once_and_says_the_same() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = with_some_beside(&time);
        let beside = bucket.epoch();
        settle(&bucket);
        assert_eq!(bucket.epoch(), beside, "not before the delay");
        time.advance(SECOND);
        eventually("what is beside is brought home", || bucket.epoch() > beside);
        check(&bucket, |key| (key < HELD + NEW).then_some(key));
        for _ in 0..5 {
            time.advance(1000 * SECOND);
            settle(&bucket);
        }
        assert_eq!(bucket.epoch(), beside + 1, "and nothing is left to do");
    });
}
