//! G11 where values go that are not read: one boundary, whatever reads, and no revival.

use std::time::Duration;

use larder::{Bucket, Builder, LoadState, ManualClock, Origin};

use crate::common::{PATIENCE, bounded, eventually, settle};

type Words = Bucket<u32, u32>;

const IDLE: Duration = Duration::from_secs(160);
/// A sixteenth of it.
const STEP: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_nanos(1);

fn build(shape: impl FnOnce(Builder<u32, u32>) -> Builder<u32, u32>) -> (Words, ManualClock) {
    let time = ManualClock::new();
    let builder = Words::builder("idle")
        .clock(time.clock())
        .time_to_idle(IDLE);
    // Folds are those that are asked for.
    let builder = builder.fold_delay(Duration::from_secs(1_000_000));
    (shape(builder).build().unwrap(), time)
}

/// By what touches nothing.
fn seems(bucket: &Words, key: u32, is_there: bool, when: &str) {
    assert_eq!(bucket.len(), usize::from(is_there), "len {when}");
    assert_eq!(
        bucket.keys(),
        Vec::from_iter(is_there.then_some(key)),
        "{when}"
    );
    assert_eq!(bucket.ttl(&key).is_some(), is_there, "ttl {when}");
    let state = match is_there {
        true => LoadState::Cached,
        false => LoadState::Unknown,
    };
    assert_eq!(bucket.load_state(&key), state, "{when}");
}

#[test]
fn g11_idle_has_one_boundary_in_overlay_and_snapshot() {
    bounded(|| {
        type Write = fn(&Words);
        let writes: [(&str, Write); 5] = [
            ("set", |b| b.set(1, 7)),
            ("set_many", |b| b.set_many([(1, 7)])),
            ("set_if_absent", |b| b.set_if_absent(1, 7).unwrap()),
            ("update", |b| assert!(b.update(&1, |_| Some(7)).is_ok())),
            ("a load", |b| {
                assert_eq!(
                    b.call()
                        .fetch_with(&1, |_| Ok::<_, String>(7))
                        .unwrap()
                        .value(),
                    Some(&7)
                );
            }),
        ];
        for (name, write) in writes {
            for folded in [false, true] {
                let when = format!("by {name}, folded: {folded}");
                let (bucket, time) = build(|b| b);
                write(&bucket);
                if folded {
                    bucket.publish().unwrap();
                }
                time.advance(IDLE + STEP - TICK);
                seems(&bucket, 1, true, &when);
                time.advance(TICK);
                seems(&bucket, 1, false, &when);
                assert_eq!(bucket.peek(&1), None, "{when}");
                assert_eq!(bucket.reader().get(&1), None, "{when}");
                assert_eq!(bucket.get_many([&1]), [None], "{when}");
                assert_eq!(bucket.snapshot().get(&1), None, "{when}");
                assert!(!bucket.expire_in(&1, IDLE).unwrap(), "no revival {when}");
                assert_eq!(bucket.take(&1).unwrap(), None, "no revival {when}");
                assert_eq!(bucket.set_if_absent(1, 8), Ok(()), "{when}");
                assert_eq!(bucket.peek(&1), Some(8), "{when}");
            }
        }
    });
}

#[test]
fn g11_every_read_keeps_a_value_and_no_look_does() {
    bounded(|| {
        type Read = fn(&Words);
        let reads: [(&str, bool, Read); 12] = [
            ("peek", true, |b| assert!(b.peek(&1).is_some())),
            ("with", true, |b| assert!(b.with(&1, |_| ()).is_some())),
            ("contains", true, |b| assert!(b.contains(&1))),
            ("get", true, |b| assert!(b.get(&1).is_some())),
            ("get_many", true, |b| {
                assert_eq!(b.get_many([&1]), [Some(7)]);
            }),
            ("reader.get", true, |b| {
                assert!(b.reader().get(&1).is_some());
            }),
            ("reader.get_many", true, |b| {
                assert_eq!(b.reader().get_many([&1]), [Some(&7)]);
            }),
            ("expire_in", true, |b| {
                assert!(b.expire_in(&1, 9 * IDLE).unwrap());
            }),
            ("snapshot", false, |b| {
                assert_eq!(b.snapshot().get(&1).is_none(), b.epoch() == 0);
            }),
            ("len", false, |b| assert_eq!(b.len(), 1)),
            ("load_state", false, |b| {
                assert_eq!(b.load_state(&1), LoadState::Cached);
            }),
            ("publish", false, |b| {
                b.set(2, 2);
                b.invalidate(&2);
                b.publish().unwrap();
            }),
        ];
        for (name, keeps, read) in reads {
            for folded in [false, true] {
                let (bucket, time) = build(|b| b);
                bucket.set(1, 7);
                if folded {
                    bucket.publish().unwrap();
                }
                for _ in 0..3 {
                    time.advance(IDLE);
                    if keeps || bucket.len() == 1 {
                        read(&bucket);
                    }
                }
                let left = bucket.peek(&1);
                assert_eq!(left.is_some(), keeps, "{name}, folded: {folded}");
            }
        }
    });
}

#[test]
fn g11_touches_are_carried_from_snapshot_to_snapshot() {
    bounded(|| {
        let (bucket, time) = build(|b| b);
        bucket.set_many((0..1_000).map(|key| (key, 7)));
        bucket.publish().unwrap();
        time.advance(IDLE);
        for key in (0..1_000).step_by(2) {
            assert_eq!(bucket.peek(&key), Some(7));
        }
        bucket.set(5_000, 7);
        bucket.publish().unwrap();
        time.advance(STEP);
        assert_eq!(
            bucket.len(),
            501,
            "those that were touched, and the new one"
        );
        bucket.set(5_001, 7);
        bucket.publish().unwrap();
        time.advance(IDLE - TICK);
        assert_eq!(bucket.len(), 502);
        time.advance(TICK);
        assert_eq!(bucket.len(), 1);
    });
}

#[test]
fn g11_of_two_times_the_earlier_counts() {
    bounded(|| {
        let (bucket, time) = build(|b| b.ttl(2 * IDLE));
        bucket.set_many([(1, 7), (2, 7)]);
        bucket.publish().unwrap();
        time.advance(IDLE);
        assert_eq!(bucket.peek(&1), Some(7));
        time.advance(STEP);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(7), None), "idle");
        time.advance(IDLE - STEP - TICK);
        assert_eq!(bucket.peek(&1), Some(7));
        time.advance(TICK);
        assert_eq!(bucket.peek(&1), None, "expired, though it was just read");
    });
}

#[test]
fn g11_what_is_idle_leaves_the_memory_by_itself() {
    bounded(|| {
        let (bucket, time) = build(|b| b.max_weight(100).fold_delay(Duration::ZERO));
        bucket.set_many([(1, 7), (2, 7)]);
        bucket.publish().unwrap();
        time.advance(IDLE);
        assert_eq!(bucket.peek(&1), Some(7));
        assert_eq!(bucket.weight(), 2);
        // A coarse clock may be late, and is waited for.
        time.advance(STEP + Duration::from_secs(1));
        eventually("what is idle is gone", || bucket.weight() == 1);
        // A fold that has cost time, by the same clock, is not followed by another so soon.
        settle(&bucket);
        time.advance(IDLE);
        eventually("and the other", || bucket.weight() == 0);
    });
}

#[test]
fn g11_what_was_idle_is_loaded_again() {
    bounded(|| {
        let (bucket, time) = build(|b| b.load(|key: &u32| Ok::<_, String>(key + 1)));
        assert_eq!(bucket.fetch(&1).unwrap().origin(), Origin::Loaded);
        bucket.publish().unwrap();
        assert_eq!(bucket.fetch(&1).unwrap().origin(), Origin::Hit);
        time.advance(IDLE + STEP);
        assert_eq!(bucket.fetch(&1).unwrap().origin(), Origin::Loaded);
        // A reload is a write.
        time.advance(IDLE);
        assert!(bucket.refresh_keys([1]).wait(PATIENCE));
        time.advance(IDLE);
        assert_eq!(bucket.fetch(&1).unwrap().origin(), Origin::Hit);
    });
}

#[test]
fn g11_a_snapshot_keeps_what_was_not_idle_when_it_was_taken() {
    bounded(|| {
        let (bucket, time) = build(|b| b);
        bucket.set(1, 7);
        bucket.publish().unwrap();
        let before = bucket.snapshot();
        time.advance(IDLE + STEP);
        assert_eq!(bucket.peek(&1), None);
        let after = bucket.snapshot();
        assert_eq!((before.get(&1), before.len()), (Some(&7), 1));
        assert_eq!((after.get(&1), after.len()), (None, 0));
    });
}
