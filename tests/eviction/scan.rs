//! A hot set, and then everything else, once.

use larder::{Bucket, EvictBy, ManualClock, WhenFull};

use crate::common::bounded;

type Numbers = Bucket<u64, u64>;

const LIMIT: u64 = 1_000;
const HOT: u64 = 500;

/// Reads keys, or writes what is not there, and folds where the bucket is about to. Returns how many were there.
fn use_all(bucket: &Numbers, keys: impl Iterator<Item = u64>) -> u64 {
    let mut hits = 0;
    for key in keys {
        match bucket.peek(&key) {
            Some(_) => hits += 1,
            None => bucket.set(key, key),
        }
        if bucket.weight() > LIMIT - LIMIT / 16 {
            bucket.publish().unwrap();
        }
    }
    bucket.publish().unwrap();
    hits
}

/// A full bucket with a hot set, of which each key was used in many snapshots.
fn heated(policy: EvictBy) -> Numbers {
    let bucket = Numbers::builder("scanned")
        .clock(ManualClock::new().clock())
        .max_weight(LIMIT)
        .when_full(WhenFull::Evict)
        .evict_by(policy)
        .build()
        .unwrap();
    for round in 1..=20 {
        let others = round * 1_000_000..round * 1_000_000 + 40;
        use_all(&bucket, others.chain(0..HOT));
    }
    bucket
}

fn left(bucket: &Numbers, of: std::ops::Range<u64>) -> u64 {
    of.filter(|key| bucket.contains(key)).count() as u64
}

#[test]
fn g10_a_scan_takes_the_hot_set_along_but_where_it_was_counted() {
    bounded(|| {
        let scanned = |policy| {
            let bucket = heated(policy);
            assert!(bucket.stats().evicted > 0, "{policy:?}");
            let before = left(&bucket, 0..HOT);
            assert_eq!(use_all(&bucket, 10_000..10_000 + 3 * LIMIT), 0);
            (before, left(&bucket, 0..HOT))
        };
        assert_eq!(scanned(EvictBy::LastTouch), (HOT, 0));
        assert_eq!(scanned(EvictBy::LastWrite).1, 0);
        let (before, after) = scanned(EvictBy::Frequency);
        assert_eq!(before, HOT);
        assert!(after > HOT * 95 / 100, "{after} of {HOT} are left");
    });
}

/// Once enough else was used it is forgotten, though none of that was used twice.
#[test]
fn g10_what_is_used_no_more_goes_however_often_it_was_used() {
    bounded(|| {
        let bucket = heated(EvictBy::Frequency);
        assert_eq!(use_all(&bucket, 10_000..10_000 + 20 * LIMIT), 0);
        let after = left(&bucket, 0..HOT);
        assert!(after < HOT / 10, "{after} of {HOT} are left");
    });
}

/// What was hot once does not stay for that.
#[test]
fn g10_what_becomes_hot_gets_in_whatever_was_hot_before() {
    bounded(|| {
        for policy in [EvictBy::LastTouch, EvictBy::Frequency] {
            let bucket = heated(policy);
            let next = 10_000..10_000 + LIMIT * 3 / 4;
            let rounds: Vec<_> = (0..20).map(|_| use_all(&bucket, next.clone())).collect();
            assert_eq!(rounds[0], 0, "{policy:?}");
            assert!(rounds[19] > LIMIT * 7 / 10, "{policy:?}: {rounds:?}");
        }
    });
}
