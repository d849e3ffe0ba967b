//! G10 by each policy: which entries go first, at the limit and by hand, and what else may be asked of such a bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::{
    Bucket, BuildError, Builder, DefaultHashBuilder, EvictBy, ManualClock, Options, WhenFull,
};

use crate::common::{Chance, PATIENCE, bounded};

type Weights = Bucket<u32, u64>;

const SECOND: Duration = Duration::from_secs(1);

const POLICIES: [EvictBy; 3] = [EvictBy::LastTouch, EvictBy::LastWrite, EvictBy::Frequency];

/// Values are their own weights. With a limit of 16 a fold evicts with more than 15 held, and leaves 14.
fn evicting(policy: EvictBy, limit: u64) -> Builder<u32, u64> {
    Weights::builder("evicting")
        .hasher(DefaultHashBuilder::with_seeds(1, 2, 3, 4))
        .clock(ManualClock::new().clock())
        .max_weight(limit)
        .weigher(|_, weight: &u64| *weight)
        .when_full(WhenFull::Evict)
        .evict_by(policy)
}

/// What is of no weight is not evicted for that of others.
const WEIGHTLESS: u32 = 1_000;

fn next_snapshot(bucket: &Weights) {
    bucket.set(WEIGHTLESS, 0);
    bucket.publish().unwrap();
}

fn cached(bucket: &Weights) -> Vec<u32> {
    let mut keys = bucket.keys();
    keys.retain(|key| *key < WEIGHTLESS);
    keys.sort_unstable();
    keys
}

fn read(bucket: &Weights, keys: &[u32]) {
    for key in keys {
        assert!(bucket.peek(key).is_some(), "{key}");
    }
}

#[test]
fn g10_each_policy_makes_room_in_its_order() {
    bounded(|| {
        let expected = [[9, 11, 77], [12, 13, 77], [3, 5, 77]];
        for (policy, left) in POLICIES.into_iter().zip(expected) {
            let bucket = evicting(policy, 16).build().unwrap();
            for key in 0..14 {
                bucket.set(key, 1);
            }
            bucket.publish().unwrap();
            for keys in [[3, 5], [3, 5], [9, 11]] {
                read(&bucket, &keys);
                next_snapshot(&bucket);
            }
            // Two are left beside it.
            bucket.set(77, 12);
            bucket.publish().unwrap();
            assert_eq!(cached(&bucket), left, "{policy:?}");
            assert_eq!((bucket.weight(), bucket.stats().evicted), (14, 12));
        }
    });
}

/// What there is to be known of a key, by who has seen all that was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// In so many snapshots.
    uses: u32,
    touched: u64,
    written: u64,
}

impl Known {
    /// What goes first has the lowest.
    fn rank(self, policy: EvictBy) -> (u32, u64) {
        match policy {
            EvictBy::LastWrite => (0, self.written),
            EvictBy::Frequency => (self.uses, self.touched),
            _ => (0, self.touched),
        }
    }
}

/// Writes and reads by chance, some keys over and over, and some of them removed.
fn used_by_chance(bucket: &Weights, policy: EvictBy, chance: &mut Chance) -> BTreeMap<u32, Known> {
    let mut known = BTreeMap::<u32, Known>::new();
    let (mut writes, mut seen) = (0, BTreeSet::new());
    for _ in 0..6 {
        // What is written is touched with what was read before the fold that takes it in, or with what is read after.
        let before = bucket.snapshot().epoch();
        let touched = before + u64::from(policy == EvictBy::LastTouch);
        for _ in 0..chance.below(30) {
            let key = chance.below(60) as u32;
            writes += 1;
            bucket.set(key, chance.below(3));
            let entry = known.entry(key).or_default();
            let is_new = entry.written == 0;
            // Once in a snapshot, however often it is written.
            entry.uses += u32::from(is_new);
            (entry.written, entry.touched) = (writes, touched);
        }
        let snapshot = bucket.publish().unwrap();
        for _ in 0..chance.below(40) {
            let key = chance.below(60) as u32;
            if bucket.peek(&key).is_some() {
                let entry = known.get_mut(&key).unwrap();
                entry.uses += u32::from(seen.insert((snapshot, key)));
                entry.touched = snapshot;
            }
        }
    }
    known
}

#[test]
fn g10_what_goes_is_first_by_the_policy() {
    bounded(|| {
        let rounds = if cfg!(miri) { 1 } else { 20 };
        for (policy, seed) in POLICIES
            .into_iter()
            .flat_map(|p| (0..rounds).map(move |s| (p, s)))
        {
            let mut chance = Chance::new(seed);
            let bucket = evicting(policy, 1_000_000).build().unwrap();
            let known = used_by_chance(&bucket, policy, &mut chance);
            let most = chance.below(known.len() as u64 + 5) as usize;
            let expected = known.len().saturating_sub(most);
            let why = format!("{policy:?}, seed {seed}");
            assert_eq!(bucket.prune(most).unwrap(), expected, "{why}");
            let (left, gone): (Vec<_>, Vec<_>) = known
                .into_iter()
                .partition(|(key, _)| bucket.entry(key).is_some());
            assert_eq!(gone.len(), expected, "{why}");
            let rank = |(_, known): &(u32, Known)| known.rank(policy);
            let latest_gone = gone.iter().max_by_key(|one| rank(one));
            let earliest_left = left.iter().min_by_key(|one| rank(one));
            if let (Some(gone), Some(left)) = (latest_gone, earliest_left) {
                assert!(
                    rank(gone) <= rank(left),
                    "{why}: {gone:?}, but not {left:?}"
                );
            }
        }
    });
}

/// What is loaded again and again gets in for good, though it was evicted each time.
#[test]
fn g10_what_was_evicted_is_known_when_it_comes_back() {
    bounded(|| {
        let bucket = evicting(EvictBy::Frequency, 16).build().unwrap();
        bucket.set_many((0..14).map(|key| (key, 1)));
        bucket.publish().unwrap();
        for _ in 0..2 {
            read(&bucket, &(0..14).collect::<Vec<_>>());
            next_snapshot(&bucket);
        }
        let mut was_there = Vec::new();
        for round in 0..6 {
            was_there.push(bucket.contains(&77));
            if !bucket.contains(&77) {
                bucket.set(77, 2);
                bucket.publish().unwrap();
            }
            // Of what comes by once, which pushes out what is used the least.
            bucket.set(100 + round, 2);
            bucket.publish().unwrap();
        }
        // Written three times it is used as often as the others, and later.
        assert_eq!(was_there, [false, false, false, true, true, true]);
    });
}

#[test]
fn g10_the_expired_go_first_by_any_policy() {
    bounded(|| {
        for policy in POLICIES {
            let time = ManualClock::new();
            let bucket = evicting(policy, 16).clock(time.clock()).build().unwrap();
            bucket.set_many((3..15).map(|key| (key, 1)));
            bucket.set_many_with_ttl([(1, 1), (2, 1)], 60 * SECOND);
            bucket.publish().unwrap();
            read(&bucket, &[1, 2]);
            next_snapshot(&bucket);
            time.advance(60 * SECOND);
            bucket.set_many([(77, 1), (78, 1)]);
            bucket.publish().unwrap();
            let held = (bucket.weight(), bucket.stats().evicted);
            assert_eq!(held, (14, 0), "{policy:?}");
        }
    });
}

#[test]
fn g10_where_writes_count_no_read_is_noted() {
    bounded(|| {
        for policy in POLICIES {
            let bucket = evicting(policy, 16).build().unwrap();
            bucket.set_many([(1, 1), (2, 1)]);
            bucket.publish().unwrap();
            next_snapshot(&bucket);
            read(&bucket, &[1]);
            let untouched = [1, 2].map(|key| bucket.entry(&key).unwrap().untouched_snapshots);
            match policy {
                EvictBy::LastWrite => assert_eq!(untouched, [None, None]),
                EvictBy::LastTouch => assert_eq!(untouched, [Some(0), Some(1)]),
                _ => assert_eq!(untouched, [Some(0), Some(2)]),
            }
        }
    });
}

/// With a time to idle reads are noted by the time, whatever chooses who goes for others.
#[test]
fn g10_g11_each_policy_in_a_bucket_in_which_things_become_idle() {
    const IDLE: Duration = Duration::from_secs(1_600);
    bounded(|| {
        let expected = [[8, 9], [10, 11], [1, 3]];
        for (policy, left) in POLICIES.into_iter().zip(expected) {
            let time = ManualClock::new();
            let build = || {
                let builder = evicting(policy, 1_000).time_to_idle(IDLE);
                let bucket = builder.clock(time.clock()).build().unwrap();
                for key in 0..12 {
                    bucket.set(key, 1);
                }
                bucket.publish().unwrap();
                for keys in [[1, 3], [1, 3], [8, 9]] {
                    time.advance(101 * SECOND);
                    read(&bucket, &keys);
                    next_snapshot(&bucket);
                }
                bucket
            };
            let bucket = build();
            bucket.invalidate(&WEIGHTLESS);
            assert_eq!(bucket.prune(2).unwrap(), 10, "{policy:?}");
            assert_eq!(cached(&bucket), left, "{policy:?}");
            // By any policy it is a read that keeps what would be idle.
            let bucket = build();
            time.advance(1_700 * SECOND - 303 * SECOND);
            bucket.publish().unwrap();
            assert_eq!(cached(&bucket), [1, 3, 8, 9], "{policy:?}");
        }
    });
}

#[test]
fn g10_by_the_last_write_in_whatever_way_a_table_was_made() {
    const MOST: Duration = Duration::from_secs(60);
    static FAILS: AtomicBool = AtomicBool::new(false);
    bounded(|| {
        let time = ManualClock::new();
        let bucket = evicting(EvictBy::LastWrite, 1_000)
            .clock(time.clock())
            .load_all(|| match FAILS.load(Ordering::Relaxed) {
                false => Ok((10..20).map(|key| (key, 1))),
                true => Err("down"),
            })
            .max_stale(MOST)
            .build()
            .unwrap();
        let pruned_to = |keys: &[u32]| {
            bucket.prune(keys.len()).unwrap();
            assert_eq!(cached(&bucket), keys);
        };
        // From nothing, and after a clear.
        for _ in 0..2 {
            bucket.set_many([(1, 1), (2, 1)]);
            bucket.publish().unwrap();
            bucket.set(3, 1);
            bucket.set(1, 1);
            pruned_to(&[1, 3]);
            bucket.clear().unwrap();
        }
        // A dataset, and what was written after it.
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.set(13, 2);
        bucket.set(4, 1);
        assert!(
            bucket.expire_in(&17, PATIENCE).unwrap(),
            "which is no write"
        );
        pruned_to(&[4, 13]);
        // What was stale for too long is gone, and the rest is as old as it was.
        FAILS.store(true, Ordering::Relaxed);
        assert!(bucket.refresh().wait(PATIENCE).is_err());
        bucket.set(6, 1);
        bucket.set(5, 1);
        bucket.publish().unwrap();
        bucket.set(7, 1);
        time.advance(MOST);
        bucket.publish().unwrap();
        assert_eq!(cached(&bucket), [5, 6, 7]);
        pruned_to(&[5, 7]);
    });
}

#[test]
fn g10_a_policy_of_nothing_is_refused_by_name() {
    let plain = || Weights::builder("spoilt").evict_by(EvictBy::LastWrite);
    let limited = || plain().max_weight(10);
    let cases = [
        plain(),
        limited(),
        limited().when_full(WhenFull::Refuse),
        Weights::builder("spoilt").configure(|options| {
            *options = Options::default().evict_by(EvictBy::LastTouch);
        }),
    ];
    for builder in cases {
        let error = builder.build().map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, BuildError::Option { option, .. } if *option == "evict_by"),
            "{error}"
        );
    }
    let evicting = limited().when_full(WhenFull::Evict);
    assert!(evicting.build().is_ok());
}
