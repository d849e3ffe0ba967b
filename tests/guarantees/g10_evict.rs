//! G10 where others are evicted: by how recently they were touched, and the limit holds all the same.

use std::time::Duration;

use larder::{Bucket, Builder, EvictBy, ManualClock, Origin, WhenFull};

use super::g10::watched;
use crate::common::{Chance, PATIENCE, bounded, eventually, together};

type Weights = Bucket<u32, u64>;

/// Values are their own weights. A fold evicts with more than 15 held, and leaves 14.
const LIMIT: u64 = 16;
const LEFT: u32 = 14;

fn evicting() -> Builder<u32, u64> {
    Weights::builder("evicting")
        .max_weight(LIMIT)
        .weigher(|_, weight: &u64| *weight)
        .when_full(WhenFull::Evict)
        .clock(ManualClock::new().clock())
}

/// A bucket with as many entries of weight 1 as a fold leaves, none of which was touched since the last snapshot.
fn stocked() -> Weights {
    let bucket = evicting().build().unwrap();
    bucket.set_many((0..LEFT).map(|key| (key, 1)));
    bucket.publish().unwrap();
    next_snapshot(&bucket);
    bucket
}

fn next_snapshot(bucket: &Weights) {
    bucket.set(1_000, 0);
    bucket.publish().unwrap();
}

fn cached(bucket: &Weights) -> Vec<u32> {
    let mut keys = bucket.keys();
    keys.retain(|key| *key < 1_000);
    keys.sort_unstable();
    keys
}

#[test]
fn g10_what_is_touched_survives_and_the_untouched_goes() {
    bounded(|| {
        type Read = fn(&Weights, &u32);
        let reads: [(&str, Read); 7] = [
            ("peek", |b, key| assert!(b.peek(key).is_some())),
            ("with", |b, key| assert!(b.with(key, |_| ()).is_some())),
            ("get", |b, key| assert!(b.get(key).is_some())),
            ("fetch", |b, key| assert!(b.fetch(key).is_ok())),
            ("get_many", |b, key| drop(b.get_many([key]))),
            ("reader.get", |b, key| {
                assert!(b.reader().get(key).is_some());
            }),
            ("reader.get_many", |b, key| {
                assert_eq!(b.reader().get_many([key]), [Some(&1)]);
            }),
        ];
        for (name, read) in reads {
            let bucket = stocked();
            read(&bucket, &3);
            // All that was not touched has to go for it.
            bucket.set(77, 13);
            bucket.publish().unwrap();
            assert_eq!(cached(&bucket), [3, 77], "{name}");
            assert_eq!((bucket.weight(), bucket.stats().evicted), (14, 13));
        }
    });
}

#[test]
fn g10_what_only_looks_touches_nothing() {
    bounded(|| {
        let bucket = stocked();
        for key in (0..LEFT).filter(|key| *key != 3) {
            assert_eq!(bucket.peek(&key), Some(1));
        }
        let snapshot = bucket.snapshot();
        assert_eq!(snapshot.get(&3), Some(&1));
        assert_eq!(snapshot.iter().count(), 15);
        let looks = (
            bucket.load_state(&3),
            bucket.ttl(&3),
            bucket.len(),
            bucket.keys(),
        );
        drop(looks);
        bucket.set_many([(77, 1), (78, 1)]);
        bucket.publish().unwrap();
        assert_eq!(bucket.peek(&3), None);
        assert_eq!((bucket.weight(), bucket.stats().evicted), (14, 2));
    });
}

#[test]
fn g10_the_longest_untouched_goes_first() {
    bounded(|| {
        let bucket = stocked();
        for last in [[9, 4, 11], [0, 1, 2], [5, 7, 13]] {
            for key in last {
                assert_eq!(bucket.peek(&key), Some(1));
            }
            next_snapshot(&bucket);
        }
        // Five were not touched at all; of the next three one stays.
        bucket.set(77, 7);
        bucket.publish().unwrap();
        let mut left = cached(&bucket);
        left.retain(|key| ![4, 9, 11].contains(key));
        assert_eq!(left, [0, 1, 2, 5, 7, 13, 77]);
        assert_eq!((bucket.weight(), bucket.stats().evicted), (14, 7));
    });
}

#[test]
fn g10_the_expired_go_before_anybody_is_evicted() {
    bounded(|| {
        let time = ManualClock::new();
        let ttl = Duration::from_secs(60);
        let bucket = evicting().clock(time.clock()).build().unwrap();
        bucket.set_many_with_ttl([(1, 1), (2, 1)], ttl);
        bucket.set_many((3..LEFT + 1).map(|key| (key, 1)));
        bucket.publish().unwrap();
        time.advance(ttl);
        bucket.set_many([(77, 1), (78, 1)]);
        bucket.publish().unwrap();
        assert_eq!((bucket.weight(), bucket.stats().evicted), (14, 0));
    });
}

#[test]
fn g10_a_full_bucket_refuses_until_a_fold_has_made_room() {
    bounded(|| {
        let bucket = evicting()
            .max_weight(1)
            .load(|key: &u32| Ok::<_, String>(u64::from(*key) / u64::from(*key)))
            .build()
            .unwrap();
        assert_eq!(bucket.try_set(1, 1), Ok(()));
        bucket.publish().unwrap();
        // It asks for room in the moment in which there is none, and the fold comes by itself.
        eventually("room", || bucket.try_set(2, 1).is_ok());
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(1)));
        eventually("room for what is loaded", || {
            let fetched = bucket.fetch(&3).unwrap();
            assert_eq!(fetched.value(), Some(&1));
            matches!(fetched.origin(), Origin::Loaded | Origin::Hit)
        });
        assert!(bucket.stats().refused >= 2);
        assert!(bucket.weight() <= 1);
    });
}

#[test]
fn g10_many_threads_never_exceed_where_others_are_evicted() {
    const LIMIT: u64 = 500;
    const HEAVIEST: u64 = 20;
    for policy in [EvictBy::LastTouch, EvictBy::LastWrite, EvictBy::Frequency] {
        bounded(move || crowded(policy));
    }

    fn crowded(policy: EvictBy) {
        let bucket = Weights::builder("crowded")
            .max_weight(LIMIT)
            .weigher(|_, weight: &u64| *weight)
            .when_full(WhenFull::Evict)
            .evict_by(policy)
            .load(|key: &u32| Ok::<_, String>(u64::from(*key) % HEAVIEST + 1))
            .build()
            .unwrap();
        let most_held = watched(&bucket);
        let crowd = bucket.clone();
        together(4, move |thread| {
            let mut chance = Chance::new(thread as u64 + 1);
            for _ in 0..2_000 {
                let key = chance.below(500) as u32;
                let weight = chance.below(HEAVIEST) + 1;
                match chance.below(8) {
                    0 | 1 => crowd.set(key, weight),
                    2 => crowd.invalidate(&key),
                    3 => drop(crowd.expire_in(&key, PATIENCE)),
                    _ => assert!(crowd.get(&key).is_some()),
                }
            }
        });
        let most = most_held();
        assert!(most < LIMIT + HEAVIEST, "{most} were held");
        assert!(bucket.stats().evicted > 100, "{:?}", bucket.stats());
        bucket.publish().unwrap();
        let held: u64 = bucket.snapshot().iter().map(|(_, weight)| weight).sum();
        assert_eq!(bucket.weight(), held, "exact again after a fold");
        assert!(held <= LIMIT - LIMIT / 16, "{held} are left");
    }
}
