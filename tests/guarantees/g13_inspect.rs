//! G13: nothing is hidden. What a bucket holds, in entries and bytes, and what its last fold has done.

use std::time::Duration;

use larder::{Bucket, ManualClock, Ttl, WhenFull};

use crate::common::{Door, Task, bounded, settle};

type Numbers = Bucket<u64, u64>;

const SECOND: Duration = Duration::from_secs(1);

fn of_a_clock(time: &ManualClock) -> larder::Builder<u64, u64> {
    // No fold comes by itself, as the time stands still.
    Numbers::builder("inspected").clock(time.clock())
}

#[test]
fn g13_entries_and_bytes_are_shown_and_fall_when_things_go() {
    bounded(|| {
        let bucket = of_a_clock(&ManualClock::new()).build().unwrap();
        let empty = bucket.inspect();
        assert_eq!((empty.table_entries, empty.overlay_keys), (0, 0));
        assert_eq!((empty.overlay_writes, empty.expired), (0, 0));
        assert_eq!((empty.epoch, empty.last_fold), (0, None));
        const COUNT: u64 = 3_000;
        bucket.set_many((0..COUNT).map(|key| (key, key)));
        bucket.set(0, 1);
        bucket.invalidate(&COUNT);
        let written = bucket.inspect();
        assert_eq!(written.overlay_keys as u64, COUNT + 1);
        assert_eq!(written.overlay_writes as u64, COUNT + 2);
        // A key, a value, a number, a deadline, a weight and a stamp are the least that a write has.
        assert!(written.overlay_bytes as u64 > COUNT * 48, "{written:?}");
        assert!(written.overlay_bytes > empty.overlay_bytes);
        let epoch = bucket.publish().unwrap();
        let folded = bucket.inspect();
        assert_eq!((folded.table_entries as u64, folded.epoch), (COUNT, epoch));
        assert_eq!((folded.overlay_keys, folded.overlay_writes), (0, 0));
        let bytes = folded.table_bytes as u64;
        // Sixteen bytes each, with gaps, in whole blocks; for four slots a pilot and a word of filter.
        assert!((COUNT * 16..COUNT * 25).contains(&bytes), "{bytes}");
        assert!(folded.overlay_bytes < written.overlay_bytes);
        bucket.invalidate_many(&(10..COUNT).collect::<Vec<_>>());
        assert_eq!(
            bucket.inspect().table_entries as u64,
            COUNT,
            "superseded, and still there"
        );
        bucket.publish().unwrap();
        let left = bucket.inspect();
        assert_eq!(left.table_entries, 10);
        assert!(left.table_bytes < folded.table_bytes / 10);
    });
}

#[test]
fn g13_what_is_beside_the_slots_counts_as_well() {
    bounded(|| {
        let bytes = |shape: fn(larder::Builder<u64, u64>) -> larder::Builder<u64, u64>| {
            let bucket = shape(of_a_clock(&ManualClock::new())).build().unwrap();
            bucket.set_many((0..1_000).map(|key| (key, key)));
            bucket.publish().unwrap();
            bucket.inspect().table_bytes
        };
        let plain = bytes(|b| b);
        let beside = 1_000 * 8;
        assert!(bytes(|b| b.ttl(SECOND)) >= plain + beside, "deadlines");
        assert!(bytes(|b| b.max_weight(5_000)) >= plain + beside, "weights");
        assert!(
            bytes(|b| b.time_to_idle(SECOND)) >= plain + beside,
            "stamps"
        );
        let evicting = bytes(|b| b.max_weight(5_000).when_full(WhenFull::Evict));
        assert!(evicting >= plain + 2 * beside, "weights and stamps");
    });
}

#[test]
fn g13_what_has_expired_and_is_still_there_is_shown() {
    bounded(|| {
        for idle in [false, true] {
            let time = ManualClock::new();
            let builder = of_a_clock(&time);
            let bucket = match idle {
                true => builder.time_to_idle(160 * SECOND).build().unwrap(),
                false => builder.build().unwrap(),
            };
            // After this nothing is folded, so what expires stays.
            bucket.set_many_with_ttl([(1, 1), (2, 2)], 200 * SECOND);
            bucket.set_many([(3, 3), (4, 4)]);
            bucket.publish().unwrap();
            bucket.shutdown();
            bucket.set_with_ttl(5, 5, SECOND);
            bucket.set(1, 10);
            assert_eq!(
                (bucket.inspect().expired, bucket.expired_keys()),
                (0, vec![])
            );
            time.advance(SECOND);
            assert_eq!(
                (bucket.inspect().expired, bucket.expired_keys()),
                (1, vec![5])
            );
            time.advance(199 * SECOND);
            let mut expired = bucket.expired_keys();
            expired.sort_unstable();
            let expected: &[u64] = match idle {
                // Nobody has touched them, nor the one that was written anew.
                true => &[1, 2, 3, 4, 5],
                false => &[2, 5],
            };
            assert_eq!(expired, expected);
            assert_eq!(bucket.inspect().expired, expected.len());
            let entry = bucket.entry(&2).unwrap();
            assert_eq!(
                (entry.is_expired, entry.ttl),
                (true, Ttl::Left(Duration::ZERO))
            );
            assert_eq!(bucket.len() + expected.len(), 5);
        }
    });
}

#[test]
fn g13_an_entry_is_shown_with_its_time_and_weight_and_is_not_touched() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = of_a_clock(&time)
            .max_weight(1_000)
            .weigher(|_, value| *value)
            .when_full(WhenFull::Evict)
            .count_reads(true)
            .build()
            .unwrap();
        bucket.set_with_ttl(1, 30, 60 * SECOND);
        bucket.set(2, 5);
        let entry = bucket.entry(&1).unwrap();
        assert_eq!((entry.weight, entry.is_folded), (Some(30), false));
        assert_eq!(entry.untouched_snapshots, Some(0));
        bucket.publish().unwrap();
        time.advance(20 * SECOND);
        for round in 0..3 {
            let entry = bucket.entry(&1).unwrap();
            assert_eq!((entry.weight, entry.is_folded), (Some(30), true));
            assert_eq!(entry.ttl, Ttl::Left(40 * SECOND));
            assert_eq!(
                (entry.untouched_snapshots, entry.untouched),
                (Some(round), None)
            );
            assert!(!entry.is_expired);
            bucket.set(9, round);
            bucket.publish().unwrap();
        }
        assert_eq!(bucket.peek(&1), Some(30));
        assert_eq!(bucket.entry(&1).unwrap().untouched_snapshots, Some(0));
        assert_eq!(bucket.entry(&2).unwrap().untouched_snapshots, Some(3));
        assert_eq!(bucket.entry(&2).unwrap().ttl, Ttl::Never);
        bucket.invalidate(&2);
        assert_eq!((bucket.entry(&2), bucket.entry(&3)), (None, None));
        let stats = bucket.stats();
        assert_eq!((stats.hits, stats.misses), (1, 0), "an entry is no read");

        let idle = of_a_clock(&time)
            .time_to_idle(160 * SECOND)
            .build()
            .unwrap();
        idle.set(1, 1);
        for folded in [false, true] {
            time.advance(30 * SECOND);
            let entry = idle.entry(&1).unwrap();
            assert_eq!(entry.is_folded, folded);
            assert_eq!(entry.untouched, Some(30 * SECOND));
            assert_eq!((entry.weight, entry.untouched_snapshots), (None, None));
            assert_eq!(idle.peek(&1), Some(1));
            assert_eq!(idle.entry(&1).unwrap().untouched, Some(Duration::ZERO));
            idle.publish().unwrap();
        }
    });
}

#[test]
fn g13_the_last_fold_is_shown_with_what_it_did() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = of_a_clock(&time)
            .max_weight(16)
            .when_full(WhenFull::Evict)
            .build()
            .unwrap();
        bucket.set_many((0..4).map(|key| (key, key)));
        bucket.set_with_ttl(4, 4, SECOND);
        bucket.invalidate(&0);
        bucket.publish().unwrap();
        let fold = bucket.inspect().last_fold.unwrap();
        assert_eq!((fold.written, fold.removed), (4, 1));
        assert_eq!((fold.expired, fold.evicted), (0, 0));
        assert_eq!((fold.ago, fold.took), (Duration::ZERO, Duration::ZERO));
        time.advance(SECOND);
        bucket.set_many((10..22).map(|key| (key, key)));
        bucket.publish().unwrap();
        let fold = bucket.inspect().last_fold.unwrap();
        assert_eq!((fold.written, fold.expired), (12, 1));
        time.advance(3 * SECOND);
        // Nothing to fold is no fold.
        settle(&bucket);
        let again = bucket.inspect().last_fold.unwrap();
        assert_eq!(again.ago, 3 * SECOND);
        assert_eq!(again.written, 12);
    });
}

/// A value whose clone waits, which the fold that copies it does.
struct Slow(u64, Door, ManualClock);

impl Clone for Slow {
    fn clone(&self) -> Self {
        self.1.pass();
        self.2.advance(SECOND);
        Self(self.0, self.1.clone(), self.2.clone())
    }
}

#[test]
fn g13_a_fold_that_is_under_way_shows_and_keeps_no_look_waiting() {
    bounded(|| {
        let (door, time) = (Door::open(), ManualClock::new());
        let bucket = Bucket::<u64, Slow>::builder("slow")
            .clock(time.clock())
            .wait_limit(100 * SECOND)
            .build()
            .unwrap();
        bucket.set(1, Slow(1, door.clone(), time.clone()));
        assert!(!bucket.inspect().is_folding);
        door.close();
        let folding = bucket.clone();
        let folding = Task::spawn(move || folding.publish().unwrap());
        door.await_waiting(1);
        let inspection = bucket.inspect();
        assert!(inspection.is_folding);
        assert_eq!((inspection.table_entries, inspection.overlay_keys), (0, 1));
        assert!(bucket.entry(&1).is_some_and(|entry| !entry.is_folded));
        door.release();
        folding.join();
        let inspection = bucket.inspect();
        assert!(!inspection.is_folding);
        let took = inspection.last_fold.unwrap().took;
        assert!(took >= SECOND, "{took:?}");
    });
}
