//! G11: no read returns an expired value, and one rule says when a value has expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, Builder, Clock, LoadState, ManualClock, Origin, Outcome, Ttl};

use crate::common::{PATIENCE, bounded, eventually};

type Words = Bucket<u32, u32>;

const TTL: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_nanos(1);

fn build(shape: impl FnOnce(Builder<u32, u32>) -> Builder<u32, u32>) -> (Words, ManualClock) {
    let time = ManualClock::new();
    let builder = Words::builder("expiry").clock(time.clock());
    (shape(builder).build().unwrap(), time)
}

/// Every read that there is, of a key that has value 7 or none.
fn sees(bucket: &Words, key: u32, is_there: bool, when: &str) {
    let value = is_there.then_some(7);
    assert_eq!(bucket.peek(&key), value, "peek {when}");
    assert_eq!(bucket.with(&key, |v| *v), value, "with {when}");
    assert_eq!(bucket.contains(&key), is_there, "contains {when}");
    let mut reader = bucket.reader();
    assert_eq!(reader.get(&key).copied(), value, "reader {when}");
    let many = reader.get_many(&[key]);
    assert_eq!(many, [value.as_ref()], "reader.get_many {when}");
    assert_eq!(bucket.get_many([&key]), [value], "get_many {when}");
    assert_eq!(bucket.keys(), Vec::from_iter(value.map(|_| key)), "{when}");
    assert_eq!(bucket.len(), usize::from(is_there), "len {when}");
    assert_eq!(bucket.ttl(&key).is_some(), is_there, "ttl {when}");
    let state = match is_there {
        true => LoadState::Cached,
        false => LoadState::Unknown,
    };
    assert_eq!(bucket.load_state(&key), state, "{when}");
}

#[test]
fn g11_the_boundary_is_one_for_all_reads_in_overlay_and_snapshot() {
    bounded(|| {
        type Write = fn(&Words);
        let writes: [(&str, Write); 5] = [
            ("set", |b| b.set(1, 7)),
            ("set_with_ttl", |b| b.set_with_ttl(1, 7, TTL)),
            ("set_many", |b| b.set_many([(1, 7)])),
            ("set_many_with_ttl", |b| {
                b.set_many_with_ttl([(1, 7)], TTL);
            }),
            ("set_if_absent", |b| b.set_if_absent(1, 7).unwrap()),
        ];
        for (name, write) in writes {
            for folded in [false, true] {
                let when = format!("by {name}, folded: {folded}");
                let (bucket, time) = build(|b| b.ttl(TTL));
                write(&bucket);
                if folded {
                    bucket.publish().unwrap();
                }
                sees(&bucket, 1, true, &when);
                time.advance(TTL - TICK);
                sees(&bucket, 1, true, &when);
                assert_eq!(bucket.ttl(&1), Some(Ttl::Left(TICK)), "{when}");
                assert_eq!(bucket.set_if_absent(1, 8), Err(7), "{when}");
                time.advance(TICK);
                sees(&bucket, 1, false, &when);
                assert_eq!(
                    bucket.expire_in(&1, TTL).ok(),
                    Some(false),
                    "no revival {when}"
                );
                assert_eq!(bucket.persist(&1).ok(), Some(false), "no revival {when}");
                time.advance(TTL);
                sees(&bucket, 1, false, &when);
                assert_eq!(bucket.set_if_absent(1, 7), Ok(()), "{when}");
                sees(&bucket, 1, true, &when);
            }
        }
    });
}

#[test]
fn g11_a_snapshot_is_of_its_moment() {
    bounded(|| {
        let (bucket, time) = build(|b| b);
        bucket.set_with_ttl(1, 7, TTL);
        bucket.set(2, 8);
        bucket.publish().unwrap();
        let before = bucket.snapshot();
        time.advance(TTL);
        let after = bucket.snapshot();
        let content = |snapshot: &larder::Snapshot<u32, u32>| {
            let mut pairs: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
            pairs.sort_unstable();
            assert_eq!(snapshot.len(), pairs.len());
            assert_eq!(snapshot.iter().len(), pairs.len());
            (pairs, snapshot.get(&1).copied())
        };
        assert_eq!(content(&before), (vec![(1, 7), (2, 8)], Some(7)));
        assert_eq!(content(&after), (vec![(2, 8)], None));
    });
}

#[test]
fn g11_a_loader_says_how_long_and_what_has_expired_is_loaded_again() {
    bounded(|| {
        let loads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&loads);
        let (bucket, time) = build(|b| {
            b.ttl(TTL).bulk_load(move |keys: &[u32]| {
                count.fetch_add(1, Ordering::Relaxed);
                let mut answers: Vec<_> = keys
                    .iter()
                    .map(|&key| match key {
                        0 => (key, Outcome::Value(7)),
                        _ => (key, Outcome::Expiring(7, 2 * TTL)),
                    })
                    .collect();
                // Nobody asked for these.
                answers.push((100, Outcome::Value(9)));
                answers.push((101, Outcome::Expiring(9, 2 * TTL)));
                Ok::<_, String>(answers)
            })
        });
        let now = |key| {
            bucket
                .fetch(&key)
                .map(|f| (f.value().copied(), f.origin()))
                .ok()
        };
        assert_eq!(now(0), Some((Some(7), Origin::Loaded)));
        assert_eq!(now(1), Some((Some(7), Origin::Loaded)));
        time.advance(TTL - TICK);
        assert_eq!(now(0), Some((Some(7), Origin::Hit)));
        assert_eq!((bucket.peek(&100), bucket.peek(&101)), (Some(9), Some(9)));
        time.advance(TICK);
        assert_eq!((bucket.peek(&100), bucket.peek(&101)), (None, Some(9)));
        assert_eq!(now(1), Some((Some(7), Origin::Hit)));
        assert_eq!(now(0), Some((Some(7), Origin::Loaded)), "it had expired");
        time.advance(TTL);
        assert_eq!(now(1), Some((Some(7), Origin::Loaded)), "it had expired");
        assert_eq!(loads.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn g11_a_dataset_expires_and_what_was_written_meanwhile_by_its_own_time() {
    bounded(|| {
        let (bucket, time) = build(|b| b.ttl(TTL).load_all(|| Ok::<_, String>([(1, 7), (2, 7)])));
        bucket.refresh().wait(PATIENCE).unwrap();
        time.advance(TTL / 2);
        bucket.set_with_ttl(2, 7, TTL);
        bucket.publish().unwrap();
        time.advance(TTL / 2);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(7)));
        bucket.publish().unwrap();
        assert_eq!(bucket.snapshot().len(), 1);
        time.advance(TTL / 2);
        assert_eq!(bucket.len(), 0);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.len(), 2, "a refresh brings them back");
    });
}

#[test]
fn g11_times_are_changed_without_the_value() {
    bounded(|| {
        for folded in [false, true] {
            let (bucket, time) = build(|b| b.ttl(TTL));
            bucket.set_many([(1, 7), (2, 7), (3, 7), (4, 7)]);
            if folded {
                bucket.publish().unwrap();
            }
            time.advance(TTL / 2);
            assert_eq!(bucket.expire_in(&1, 3 * TTL).ok(), Some(true));
            assert_eq!(bucket.persist(&2).ok(), Some(true));
            assert_eq!(bucket.touch(&3).ok(), Some(true));
            assert_eq!(bucket.touch(&9).ok(), Some(false));
            if folded {
                bucket.publish().unwrap();
            }
            assert_eq!(bucket.ttl(&1), Some(Ttl::Left(3 * TTL)));
            assert_eq!(bucket.ttl(&2), Some(Ttl::Never));
            assert_eq!(bucket.ttl(&3), Some(Ttl::Left(TTL)));
            assert_eq!(bucket.ttl(&4), Some(Ttl::Left(TTL / 2)));
            time.advance(TTL / 2);
            let there = [1, 2, 3, 4].map(|key| bucket.contains(&key));
            assert_eq!(there, [true, true, true, false]);
            time.advance(10 * TTL);
            let there = [1, 2, 3, 4].map(|key| bucket.contains(&key));
            assert_eq!(there, [false, true, false, false]);
            bucket.set_with_ttl(2, 8, Duration::ZERO);
            assert_eq!(bucket.peek(&2), None, "no time at all");
            bucket.set_with_ttl(2, 8, Duration::MAX);
            time.advance(Duration::from_secs(100 * 365 * 24 * 3600));
            assert_eq!(bucket.peek(&2), Some(8));
        }
    });
}

#[test]
fn g11_a_value_expires_at_a_time_of_day() {
    bounded(|| {
        for folded in [false, true] {
            let (bucket, time) = build(|b| b.ttl(TTL));
            bucket.set_many([(1, 7), (2, 7), (3, 7), (4, 7)]);
            if folded {
                bucket.publish().unwrap();
            }
            let now = time.time_of_day();
            assert_eq!(bucket.expire_at(&1, now + 3 * TTL).ok(), Some(true));
            assert_eq!(bucket.expire_at(&2, now - TTL).ok(), Some(true));
            assert_eq!(bucket.expire_at(&3, now).ok(), Some(true));
            assert_eq!(bucket.expire_at(&9, now + TTL).ok(), Some(false));
            assert_eq!(
                bucket.expire_at(&2, now + TTL).ok(),
                Some(false),
                "it is over"
            );
            let there = [1, 2, 3, 4].map(|key| bucket.contains(&key));
            assert_eq!(there, [true, false, false, true], "folded: {folded}");
            assert_eq!(bucket.ttl(&1), Some(Ttl::Left(3 * TTL)));
            // The time of day goes with the clock.
            time.advance(2 * TTL);
            assert_eq!(time.time_of_day(), now + 2 * TTL);
            assert_eq!(bucket.expire_at(&1, now + 3 * TTL).ok(), Some(true));
            time.advance(TTL - TICK);
            assert!(bucket.contains(&1));
            time.advance(TICK);
            assert!(!bucket.contains(&1));
        }
    });
}

/// By the system's clocks, of which the one that reads go by is late: what was to expire in the past is gone all the same.
#[test]
fn g11_what_was_to_expire_in_the_past_is_gone_at_once() {
    bounded(|| {
        let bucket = Words::builder("past").build().unwrap();
        for key in 0..200 {
            bucket.set(key, 7);
            assert!(bucket.expire_at(&key, std::time::UNIX_EPOCH).unwrap());
            assert_eq!(bucket.peek(&key), None);
            let far = std::time::SystemTime::now() + TTL;
            bucket.set(key, 7);
            assert!(bucket.expire_at(&key, far).unwrap());
            assert!(
                matches!(bucket.ttl(&key), Some(Ttl::Left(left)) if left <= TTL && left > TTL / 2)
            );
        }
    });
}

#[test]
fn g11_a_snapshot_is_queried_by_key_value_and_time_left() {
    bounded(|| {
        let (bucket, time) = build(|b| b);
        bucket.set_many((0..10).map(|key| (key, key * key)));
        bucket.set_many_with_ttl((10..20).map(|key| (key, key * key)), 2 * TTL);
        bucket.set_many_with_ttl((20..30).map(|key| (key, key * key)), TTL);
        bucket.publish().unwrap();
        let sorted = |keys: Vec<u32>| {
            let mut keys = keys;
            keys.sort_unstable();
            keys
        };
        time.advance(TTL / 2);
        let early = bucket.snapshot();
        time.advance(TTL / 2);
        let late = bucket.snapshot();
        let by_value = late.iter().filter(|(_, value)| **value > 150);
        let by_value = by_value.map(|(key, _)| *key).collect();
        assert_eq!(sorted(by_value), (13..20).collect::<Vec<_>>());
        // What is left was left when it was taken, however late it is asked for.
        let expiring = |snapshot: &larder::Snapshot<u32, u32>, left: Duration| {
            let all = snapshot.iter_with_ttl();
            let soon = all.filter(|(.., ttl)| *ttl <= Ttl::Left(left));
            sorted(soon.map(|(key, ..)| *key).collect())
        };
        assert_eq!(expiring(&early, TTL / 2), (20..30).collect::<Vec<_>>());
        assert_eq!(expiring(&early, 2 * TTL), (10..30).collect::<Vec<_>>());
        assert_eq!(expiring(&late, TTL - TICK), []);
        assert_eq!(expiring(&late, TTL), (10..20).collect::<Vec<_>>());
        let kept = late.iter_with_ttl().filter(|(.., ttl)| *ttl == Ttl::Never);
        assert_eq!(
            sorted(kept.map(|(key, ..)| *key).collect()),
            (0..10).collect::<Vec<_>>()
        );
        assert!(
            late.iter()
                .eq(late.iter_with_ttl().map(|(key, value, _)| (key, value)))
        );
    });
}

/// Nobody asks for them, and no write makes a fold due.
#[test]
fn g11_what_has_expired_leaves_the_memory_by_itself() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Bucket::<u32, Arc<u32>>::builder("swept")
            .clock(time.clock())
            .build()
            .unwrap();
        let values: Vec<_> = (0..100).map(Arc::new).collect();
        for value in &values {
            let ttl = TTL * (1 + **value % 2);
            bucket.set_with_ttl(**value, Arc::clone(value), ttl);
        }
        bucket.publish().unwrap();
        let held = || {
            let held = values.iter().filter(|value| Arc::strong_count(value) > 1);
            held.map(|value| **value % 2).collect::<Vec<_>>()
        };
        assert_eq!(held().len(), 100);
        time.advance(TTL);
        // The refresher wakes for it, after a delay that only the clock ends.
        eventually("the first half goes", || {
            time.advance(Duration::from_millis(10));
            held() == [1; 50]
        });
        assert_eq!(bucket.snapshot().len(), 50);
        time.advance(TTL);
        eventually("the rest goes", || {
            time.advance(Duration::from_millis(10));
            held().is_empty()
        });
        assert_eq!(bucket.stats().publications, 3);
    });
}

/// With the system's clock, of which reads see the last tick.
#[test]
fn g11_by_the_systems_clock() {
    bounded(|| {
        let clock = Clock::system();
        let bucket = Words::builder("real").clock(clock.clone()).build().unwrap();
        let ttl = Duration::from_millis(30);
        for folded in [false, true] {
            let before = clock.now();
            bucket.set_with_ttl(1, 7, ttl);
            let after = clock.now();
            if folded {
                bucket.publish().unwrap();
            }
            let mut seen = 0;
            loop {
                let start = clock.now();
                let value = bucket.peek(&1);
                let end = clock.now();
                match value {
                    Some(_) => assert!(start < after + ttl + Duration::from_millis(20), "too late"),
                    None => {
                        assert!(end >= before + ttl, "too early");
                        break;
                    }
                }
                seen += 1;
            }
            assert!(seen > 0, "it was never there");
        }
    });
}
