//! G1: a hit from the snapshot waits for nobody, wherever another thread has been stopped.

use std::hash::{Hash, Hasher};
use std::thread;

use larder::{Bucket, ManualClock, Reader};

use crate::common::{Door, Task, bounded, eventually};

/// A key whose comparison with its equal stops at a door, on threads of one name.
#[derive(Clone)]
struct Stop {
    id: u64,
    door: Door,
    thread: &'static str,
}

impl Hash for Stop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        if self.id == STOPPED && other.id == STOPPED && on(self.thread) {
            self.door.pass();
        }
        self.id == other.id
    }
}

impl Eq for Stop {}

/// The one key that stops.
const STOPPED: u64 = 5;

/// A value whose copy stops at a door, on the bucket's refresher.
struct Valve {
    number: u64,
    door: Door,
}

impl Clone for Valve {
    fn clone(&self) -> Self {
        if on("-refresh") {
            self.door.pass();
        }
        Self {
            number: self.number,
            door: self.door.clone(),
        }
    }
}

fn on(suffix: &str) -> bool {
    thread::current()
        .name()
        .is_some_and(|name| name.ends_with(suffix))
}

const KEYS: u64 = 100;

#[test]
fn g1_a_hit_completes_while_a_publish_is_stopped_in_the_middle() {
    // At the first copy of a fold the writes are gathered, later the table is built.
    for copies in [0, 1, 2, 50, 99] {
        bounded(move || reads_while_a_fold_stands_still(copies));
    }
}

fn reads_while_a_fold_stands_still(copies: usize) {
    let door = Door::open();
    let value = {
        let door = door.clone();
        move |number| Valve {
            number,
            door: door.clone(),
        }
    };
    let loaded = value.clone();
    let bucket = Bucket::<u64, Valve>::builder("stopped")
        .clock(ManualClock::new().clock())
        .load(move |key: &u64| Ok::<_, String>(loaded(*key)))
        .build()
        .unwrap();
    bucket.set_many((0..KEYS).map(|key| (key, value(key))));
    let epoch = bucket.publish().unwrap();
    let mut reader = bucket.reader();
    let snapshot = bucket.snapshot();
    bucket.set(1, value(1001));

    door.close_after(copies);
    let publisher = bucket.clone();
    let publish = Task::spawn(move || publisher.publish().unwrap());
    door.await_waiting(1);

    for key in 0..KEYS {
        let expected = if key == 1 { 1001 } else { key };
        assert_eq!(reader.get(&key).map(|v| v.number), Some(expected));
        assert_eq!(bucket.peek(&key).map(|v| v.number), Some(expected));
        assert_eq!(bucket.get(&key).map(|v| v.number), Some(expected));
        assert_eq!(snapshot.get(&key).map(|v| v.number), Some(key));
        assert_eq!(bucket.snapshot().get(&key).map(|v| v.number), Some(key));
        assert!(bucket.contains(&key));
    }
    let many = bucket.get_many(&(0..KEYS).collect::<Vec<_>>());
    assert!(many.iter().all(Option::is_some));
    assert_eq!(bucket.len(), KEYS as usize);
    assert_eq!(bucket.keys().len(), KEYS as usize);
    assert_eq!(bucket.epoch(), epoch);

    // Nor does a stopped fold hold up a write or a load.
    bucket.set(2, value(1002));
    bucket.set_many([(3, value(1003)), (KEYS, value(KEYS))]);
    bucket.invalidate(&4);
    assert!(bucket.set_if_absent(4, value(1004)).is_ok());
    assert!(bucket.set_if_absent(6, value(0)).is_err());
    assert_eq!(bucket.get(&777).map(|v| v.number), Some(777));
    for (key, expected) in [(2, 1002), (3, 1003), (4, 1004), (6, 6), (KEYS, KEYS)] {
        assert_eq!(reader.get(&key).map(|v| v.number), Some(expected));
    }
    assert!(!publish.ended());
    door.release();
    assert_eq!(publish.join(), epoch + 1);
    assert_eq!(bucket.snapshot().get(&1).map(|v| v.number), Some(1001));
    assert_eq!(reader.get(&2).map(|v| v.number), Some(1002));
    assert_eq!(snapshot.get(&1).map(|v| v.number), Some(1));
}

#[test]
fn g1_a_hit_completes_while_the_next_snapshot_is_being_marked() {
    bounded(|| {
        let (copy, mark) = (Door::open(), Door::closed());
        let value = {
            let door = copy.clone();
            move |number| Valve {
                number,
                door: door.clone(),
            }
        };
        let key = {
            let door = mark.clone();
            move |id| Stop {
                id,
                door: door.clone(),
                thread: "-refresh",
            }
        };
        let bucket = Bucket::<Stop, Valve>::builder("marked")
            .clock(ManualClock::new().clock())
            .build()
            .unwrap();
        bucket.set_many((0..KEYS).map(|id| (key(id), value(id))));
        let epoch = bucket.publish().unwrap();
        let mut reader = bucket.reader();
        // While the next table is built, a key of it is overwritten: it will have to be marked there.
        bucket.set(key(1), value(1001));
        copy.close_after(0);
        let publisher = bucket.clone();
        let publish = Task::spawn(move || publisher.publish().unwrap());
        copy.await_waiting(1);
        bucket.set(key(STOPPED), value(1005));
        copy.release();
        // Announced, and not yet published.
        mark.await_waiting(1);
        for id in 0..KEYS {
            let expected = if id == 1 || id == STOPPED {
                1000 + id
            } else {
                id
            };
            assert_eq!(reader.get(&key(id)).map(|v| v.number), Some(expected));
            assert_eq!(bucket.peek(&key(id)).map(|v| v.number), Some(expected));
        }
        bucket.set(key(7), value(1007));
        bucket.invalidate(&key(8));
        assert_eq!(reader.get(&key(7)).map(|v| v.number), Some(1007));
        assert!(reader.get(&key(8)).is_none());
        assert_eq!(bucket.epoch(), epoch);
        assert!(!publish.ended());
        mark.release();
        assert_eq!(publish.join(), epoch + 1);
        for (id, expected) in [(1, 1001), (STOPPED, 1005), (7, 1007), (9, 9)] {
            assert_eq!(reader.get(&key(id)).map(|v| v.number), Some(expected));
        }
        assert!(reader.get(&key(8)).is_none());
    });
}

#[test]
fn g1_a_hit_completes_while_a_writer_is_stopped_in_the_middle_of_a_write() {
    bounded(|| {
        let door = Door::closed();
        let (bucket, mut reader) = stopping(&door, "writer");
        let key = move |id| Stop {
            id,
            door: door.clone(),
            thread: "writer",
        };
        let (writing, stopped) = (bucket.clone(), key(STOPPED));
        let door = stopped.door.clone();
        let write = Task::named("writer", move || writing.set(stopped, 1005));
        door.await_waiting(1);
        // The fold, for which there is something to do, has to wait for that writer; nobody else has.
        bucket.set(key(7), 7);
        let folding = bucket.clone();
        let publish = Task::spawn(move || folding.publish().unwrap());
        for round in 0..3 {
            for id in 0..KEYS {
                let expected = if id == 1 && round > 0 { 1001 } else { id };
                assert_eq!(reader.get(&key(id)), Some(&expected));
                assert_eq!(bucket.peek(&key(id)), Some(expected));
            }
            bucket.set(key(1), 1001);
            bucket.set_many([(key(KEYS), KEYS), (key(KEYS + 1), 0)]);
            bucket.invalidate(&key(KEYS + 1));
        }
        assert!(!write.ended());
        assert!(!publish.ended());
        door.release();
        write.join();
        publish.join();
        assert_eq!(reader.get(&key(STOPPED)), Some(&1005));
    });
}

#[test]
fn g1_a_reader_that_is_stopped_holds_up_nobody() {
    bounded(|| {
        let door = Door::closed();
        let (bucket, _) = stopping(&door, "stopped reader");
        let key = {
            let door = door.clone();
            move |id| Stop {
                id,
                door: door.clone(),
                thread: "stopped reader",
            }
        };
        // One inside a read through a handle, one inside a read without.
        let (mut reader, peeking, stopped) = (bucket.reader(), bucket.clone(), key(STOPPED));
        let same = stopped.clone();
        let read = Task::named("stopped reader", move || reader.get(&same).copied());
        let peek = Task::named("stopped reader", move || peeking.peek(&stopped));
        door.await_waiting(2);
        for round in 1..=3 {
            bucket.set(key(STOPPED), 1000 + round);
            bucket.set(key(1), 1000 + round);
            let epoch = bucket.publish().unwrap();
            assert_eq!(bucket.epoch(), epoch);
            assert_eq!(bucket.peek(&key(1)), Some(1000 + round));
            bucket.clear().unwrap();
            assert_eq!(bucket.len(), 0);
        }
        door.release();
        // They began when the key had its first value, or saw a later state.
        for seen in [read.join(), peek.join()] {
            assert!(seen.is_none() || seen == Some(STOPPED) || seen > Some(1000));
        }
    });
}

fn stopping(door: &Door, thread: &'static str) -> (Bucket<Stop, u64>, Reads) {
    let bucket = Bucket::<Stop, u64>::builder("stop")
        .clock(ManualClock::new().clock())
        .build()
        .unwrap();
    bucket.set_many((0..KEYS).map(|id| {
        let door = door.clone();
        (Stop { id, door, thread }, id)
    }));
    bucket.publish().unwrap();
    let reader = bucket.reader();
    (bucket, reader)
}

type Reads = Reader<Stop, u64, larder::DefaultHashBuilder>;

/// What a lock, a pause or a channel would show: the kernel counts each time a thread gives up the
/// processor of its own accord.
#[cfg(target_os = "linux")]
#[test]
fn g1_hits_never_sleep_while_the_bucket_is_published_without_pause() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn slept() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("awake").build().unwrap();
        bucket.set_many((0..2 * KEYS).map(|key| (key, key)));
        let first = bucket.publish().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (writing, stopping) = (bucket.clone(), Arc::clone(&stop));
        let publisher = Task::spawn(move || {
            let mut round = 0;
            while !stopping.load(Ordering::Relaxed) {
                round += 1;
                writing.set(KEYS + round % KEYS, round);
                writing.publish().unwrap();
            }
        });
        let mut reader = bucket.reader();
        eventually("publications", || bucket.epoch() > first + 10);
        let before = slept();
        let from = bucket.epoch();
        let mut reads = 0_u64;
        while reads < 100_000 || bucket.epoch() < from + 50 {
            let key = reads % KEYS;
            assert_eq!(reader.get(&key), Some(&key));
            assert_eq!(bucket.peek(&key), Some(key));
            reads += 1;
        }
        let after = slept();
        stop.store(true, Ordering::Relaxed);
        publisher.join();
        assert_eq!(after, before, "in {reads} reads");
    });
}
