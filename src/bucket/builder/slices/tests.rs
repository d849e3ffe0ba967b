//! Slices, by a timer that counts: each look at it finds one tick gone, and a slice of one tick over. What is done between two
//! looks is counted as well, by the thread that does it, so that no loop without a checkpoint goes unseen.

#![allow(clippy::unwrap_used, reason = "a test may unwrap as it likes")]

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::load::Promise;
use crate::refresh::{Slices, Timer, in_slices};
use crate::sync::pace::checkpoint;
use crate::sync::{Arc, Mutex};
use crate::{Bucket, ManualClock};

const PATIENCE: Duration = Duration::from_secs(60);

const TICK: Duration = Duration::from_nanos(1);

/// So much is done between two looks at the most: some things for each of the 128 entries that have one look.
const MOST: usize = 600;

thread_local! {
    /// What this thread has done since its last look: keys hashed, values cloned and dropped.
    static DONE: Cell<usize> = const { Cell::new(0) };
}

fn done() {
    let _ = DONE.try_with(|done| done.set(done.get() + 1));
}

/// A hasher that counts.
#[derive(Clone, Default)]
struct Counting(ahash::RandomState);

impl BuildHasher for Counting {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> ahash::AHasher {
        done();
        self.0.build_hasher()
    }
}

/// A value that counts, and has something to drop.
struct Value(Box<u64>);

impl Value {
    fn of(n: u64) -> Self {
        Self(Box::new(n))
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        done();
        Self(self.0.clone())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        done();
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    time: Duration,
    rests: usize,
    /// What was done on threads in slices, in all.
    done: usize,
    /// And the most between two looks.
    most: usize,
}

#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Seen>>);

impl Counts {
    fn seen(&self) -> Seen {
        *self.0.lock()
    }

    fn slices(&self) -> Slices {
        Slices::by(self.clone(), TICK, TICK)
    }
}

impl Timer for Counts {
    fn now(&self) -> Duration {
        let mut seen = self.0.lock();
        let done = DONE.replace(0);
        seen.done += done;
        seen.most = seen.most.max(done);
        seen.time += TICK;
        seen.time
    }

    fn rest(&self, time: Duration, _: &Promise<()>) {
        let mut seen = self.0.lock();
        seen.rests += 1;
        seen.time += time;
    }
}

/// What `n` writes do to a bucket of a hundred thousand, as they are folded and what they replace is freed.
fn folded<V: crate::Value>(value: fn(u64) -> V, keys: impl Iterator<Item = u64>) -> Seen {
    const COUNT: u64 = 100_000;
    let counts = Counts::default();
    let mut builder = Bucket::<u64, V>::builder("slices")
        .hasher(Counting::default())
        .clock(ManualClock::new().clock())
        .load_all(move || Ok::<_, String>((0..COUNT).map(move |n| (n, value(n)))));
    builder.slices = Some(counts.slices());
    let bucket = builder.build().unwrap();
    bucket.refresh().wait(PATIENCE).unwrap();
    // Whatever a turn does after it has answered is done before the next begins.
    bucket.publish().unwrap();
    bucket.publish().unwrap();
    let built = counts.seen();
    assert!(built.done as u64 >= 2 * COUNT, "{built:?}");
    assert!(built.most <= MOST, "{built:?}");
    assert!(built.rests as u64 >= COUNT / 128, "{built:?}");
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return built;
    }
    let mut len = COUNT;
    for key in keys {
        bucket.set(key, value(key));
        len += u64::from(key >= COUNT);
    }
    bucket.publish().unwrap();
    bucket.publish().unwrap();
    bucket.publish().unwrap();
    assert_eq!(bucket.snapshot().len() as u64, len);
    let seen = counts.seen();
    assert!(seen.most <= MOST, "{seen:?} after {built:?}");
    Seen {
        rests: seen.rests - built.rests,
        done: seen.done - built.done,
        ..seen
    }
}

/// Nothing but keys can be counted where values are plain.
#[test]
fn a_dataset_is_made_and_freed_in_slices() {
    let made = folded(|n| n, std::iter::empty());
    assert!(made.done >= 200_000, "each key is hashed twice: {made:?}");
    let made = folded(Value::of, 0..0);
    assert!(made.done >= 200_000, "{made:?}");
}

/// Blocks are copied, with every eighth value replaced; the old table is dropped.
#[test]
fn a_fold_over_what_is_there_is_in_slices() {
    let folded = folded(Value::of, (0..100_000).step_by(100));
    assert!(
        folded.done >= 200_000,
        "cloned, and the old ones dropped: {folded:?}"
    );
    assert!(folded.rests >= 200_000 / MOST, "{folded:?}");
}

/// The first level stays; only the second is made anew, and only the overlay is dropped.
#[test]
fn a_fold_of_new_keys_is_in_slices() {
    let folded = folded(Value::of, 100_000..104_000);
    assert!((8_000..100_000).contains(&folded.done), "{folded:?}");
    assert!(folded.rests >= 8_000 / MOST, "{folded:?}");
}

/// So many that the table gets another size.
#[test]
fn a_fold_that_grows_the_table_is_in_slices() {
    let folded = folded(Value::of, 100_000..300_000);
    assert!(folded.done >= 600_000, "{folded:?}");
    assert!(folded.rests >= 600_000 / MOST, "{folded:?}");
}

/// Deadlines, weights, stamps and what has expired: all that goes through a table in a fold.
#[test]
fn what_is_kept_beside_a_table_is_made_in_slices() {
    const COUNT: u64 = 100_000;
    let (counts, time) = (Counts::default(), ManualClock::new());
    let mut builder = Bucket::<u64, Value>::builder("beside")
        .hasher(Counting::default())
        .clock(time.clock())
        .ttl(Duration::from_secs(60))
        .max_weight(2 * COUNT)
        .when_full(crate::WhenFull::Evict)
        .evict_by(crate::EvictBy::Frequency)
        .load_all(|| Ok::<_, String>((0..COUNT).map(|n| (n, Value::of(n)))));
    builder.slices = Some(counts.slices());
    let bucket = builder.build().unwrap();
    bucket.refresh().wait(PATIENCE).unwrap();
    bucket.set(COUNT, Value::of(COUNT));
    bucket.publish().unwrap();
    bucket.prune(COUNT as usize / 2).unwrap();
    time.advance(Duration::from_secs(60));
    bucket.publish().unwrap();
    bucket.publish().unwrap();
    let seen = counts.seen();
    assert!(bucket.snapshot().is_empty());
    assert!(seen.done as u64 >= 6 * COUNT, "{seen:?}");
    assert!(seen.most <= MOST, "{seen:?}");
}

/// Not the threads of who calls, and not those of another bucket.
#[test]
fn nobody_else_rests() {
    let counts = Counts::default();
    let build = |slices| {
        let mut builder = Bucket::<u64, Value>::builder("others")
            .hasher(Counting::default())
            .load_all(|| Ok::<_, String>((0..10_000).map(|n| (n, Value::of(n)))));
        builder.slices = slices;
        let bucket = builder.build().unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket
    };
    let with = build(Some(counts.slices()));
    let snapshot = with.snapshot();
    with.shutdown();
    let before = counts.seen();
    assert!(before.rests > 0);
    assert_eq!(snapshot.iter().count(), 10_000);
    // The last that has the table, so it is freed on this thread.
    drop((with, snapshot));
    build(None).shutdown();
    assert_eq!(counts.seen(), before);
}

/// A rest is over where the bucket ends, and there is none after it; the work is done all the same.
#[test]
fn a_shutdown_ends_all_rests() {
    struct Long {
        counts: Counts,
        resting: mpsc::Sender<()>,
        ended: mpsc::Sender<bool>,
    }

    impl Timer for Long {
        fn now(&self) -> Duration {
            self.counts.now()
        }

        /// The first waits for the end; any other is one too many.
        fn rest(&self, time: Duration, over: &Promise<()>) {
            self.resting.send(()).unwrap();
            self.counts.rest(time, over);
            if self.counts.seen().rests > 1 {
                return;
            }
            // Less than a shutdown waits.
            let ended = over.wait(&Clock::system(), Clock::system().now() + PATIENCE / 15);
            self.ended.send(ended.is_some()).unwrap();
        }
    }

    let (resting, rests) = mpsc::channel();
    let (ended, ends) = mpsc::channel();
    let long = Long {
        counts: Counts::default(),
        resting,
        ended,
    };
    let mut builder = Bucket::<u64, Value>::builder("ends");
    builder.slices = Some(Slices::by(long, TICK, TICK));
    let bucket = builder.clock(ManualClock::new().clock()).build().unwrap();
    for n in 0..4_000 {
        bucket.set(n, Value::of(n));
    }
    thread::scope(|scope| {
        let asked = scope.spawn(|| bucket.publish());
        rests.recv_timeout(PATIENCE).unwrap();
        assert!(ends.try_recv().is_err(), "it rests");
        bucket.shutdown();
        assert!(ends.recv_timeout(PATIENCE).unwrap(), "woken by the end");
        assert!(rests.try_recv().is_err(), "it rests no more");
        let epoch = asked.join().unwrap().unwrap();
        assert_eq!((bucket.epoch(), bucket.snapshot().len()), (epoch, 4_000));
    });
}

/// One tick before the work is done nobody rests; then once, and a new slice begins after the rest.
#[test]
fn rests_come_when_the_work_is_done() {
    struct Set(Arc<Mutex<(Duration, usize)>>);

    impl Timer for Set {
        fn now(&self) -> Duration {
            self.0.lock().0
        }

        fn rest(&self, time: Duration, _: &Promise<()>) {
            let mut set = self.0.lock();
            set.0 += time;
            set.1 += 1;
        }
    }

    let set = Arc::new(Mutex::new((PATIENCE, 0)));
    let slices = Slices::by(Set(Arc::clone(&set)), 10 * TICK, 5 * TICK);
    let after = |ticks| {
        set.lock().0 += ticks * TICK;
        checkpoint();
        set.lock().1
    };
    let rests = in_slices(Some(&Arc::new(slices)), || [9, 0, 1, 0, 9, 1].map(after));
    assert_eq!(rests, [0, 0, 1, 1, 1, 2]);
    // What passes between two turns was not worked.
    assert_eq!(after(100), 2, "not in slices");
}

/// Others may wait at that gate.
#[test]
fn nobody_rests_in_a_write() {
    thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

    #[derive(Clone)]
    struct Key(u8);

    impl Hash for Key {
        fn hash<H: Hasher>(&self, hasher: &mut H) {
            self.0.hash(hasher);
        }
    }

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            checkpoint();
            self.0 == other.0
        }
    }

    impl Eq for Key {}

    let bucket = Bucket::<Key, u8>::builder("gate").build().unwrap();
    bucket.set(Key(1), 1);
    bucket.publish().unwrap();
    let counts = Counts::default();
    in_slices(Some(&Arc::new(counts.slices())), || {
        COMPARED.set(0);
        bucket.set(Key(1), 2);
        assert!(COMPARED.get() > 0);
        assert_eq!(counts.seen().rests, 0);
        checkpoint();
        assert_eq!(counts.seen().rests, 1);
    });
}
