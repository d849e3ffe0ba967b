//! Bugs around the caller that leads a flight: it is late, gives up, or goes away.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Bucket, ErrorKind, Origin};

use crate::common::{Door, PATIENCE, Task, bounded};

/// A key that stops at a door when it is copied, which is where a caller is between its look and its
/// request.
struct Slow {
    id: u64,
    door: Door,
}

impl Slow {
    fn new(id: u64, door: &Door) -> Self {
        let door = door.clone();
        Self { id, door }
    }
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        self.door.pass();
        Self::new(self.id, &self.door)
    }
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Slow {}

impl Hash for Slow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

fn counting() -> (Bucket<Slow, usize>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let bucket = Bucket::builder("counting")
        .load(move |_: &Slow| Ok::<_, String>(count.fetch_add(1, Ordering::SeqCst)))
        .build()
        .unwrap();
    (bucket, calls)
}

// whitfin/cachex #192, PR #193, #347, #348; moka-rs/moka PR #195: a caller looked, was late to ask, and
// loaded again what had been loaded meanwhile. It looks again: loads = 1, and it says that it was there.
#[test]
fn cachex_192_a_caller_that_looked_before_and_asked_after() {
    bounded(|| {
        let (bucket, calls) = counting();
        let door = Door::closed();
        let (asking, key) = (bucket.clone(), Slow::new(1, &door));
        let late = Task::spawn(move || asking.fetch(&key).unwrap());
        door.await_waiting(1);
        let prompt = bucket.fetch(&Slow::new(1, &Door::open())).unwrap();
        assert_eq!(
            (prompt.value(), prompt.origin()),
            (Some(&0), Origin::Loaded)
        );
        bucket.publish().unwrap();
        door.release();
        let late = late.join();
        assert_eq!((late.value(), late.origin()), (Some(&0), Origin::Hit));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

// khromov/mochi PR #348: a `set` between a caller's miss and its request was lost, since the load had not
// been registered. Its load finds what was set, or, where the load had begun, never overwrites it.
#[test]
fn mochi_348_a_set_between_the_miss_and_the_request() {
    for folded in [false, true] {
        bounded(move || {
            let (bucket, calls) = counting();
            let door = Door::closed();
            let (asking, key) = (bucket.clone(), Slow::new(1, &door));
            let late = Task::spawn(move || asking.get(&key));
            door.await_waiting(1);
            let key = Slow::new(1, &Door::open());
            bucket.set(Slow::new(1, &Door::open()), 100);
            if folded {
                bucket.publish().unwrap();
            }
            door.release();
            assert_eq!(late.join(), Some(100));
            assert_eq!(
                (bucket.peek(&key), calls.load(Ordering::SeqCst)),
                (Some(100), 0)
            );
        });
    }
}

// moka-rs/moka #59, PR #60: the task that led a load was cancelled, and the others waited for ever.
// The load belongs to nobody: its caller may give up, and those who joined have their answer.
#[test]
fn moka_59_the_leader_gives_up() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = Bucket::<u64, u64>::builder("leader")
            .load(move |key: &u64| {
                at.pass();
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        let leader = bucket.call().timeout(Duration::ZERO).fetch(&1).unwrap_err();
        assert!(leader.is_timeout());
        let ticket = bucket.request_load([1]);
        let asking = bucket.clone();
        let joined = Task::spawn(move || asking.fetch(&1).unwrap().into_value());
        door.await_waiting(1);
        door.release();
        assert!(ticket.wait(PATIENCE));
        assert_eq!((joined.join(), bucket.peek(&1)), (Some(1), Some(1)));
    });
}

// golang/go #67087: the leader's goroutine ended in the middle (`Goexit`), and its waiters hung. Here it
// unwinds, in its own iterator and in its own loader; its thread ends; whoever joined is answered.
#[test]
fn go_67087_the_thread_of_the_leader_ends() {
    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("ends")
            .load(|key: &u64| Ok::<_, String>(*key))
            .build()
            .unwrap();
        let door = Door::closed();
        let (asking, at) = (bucket.clone(), door.clone());
        let leader = std::thread::spawn(move || {
            // Keys are looked up some at a time: by the last one the first are in flight.
            let keys: Vec<u64> = (1..=100).collect();
            let keys = keys.iter().inspect(|key| {
                if **key == 100 {
                    at.pass();
                    panic!("the end of this thread");
                }
            });
            asking.fetch_many(keys)
        });
        door.await_waiting(1);
        let ticket = bucket.request_load([1]);
        assert!(!ticket.is_done());
        door.release();
        assert!(leader.join().is_err());
        assert!(ticket.wait(PATIENCE), "whoever joined is answered");
        assert_eq!(bucket.get(&1), Some(1));

        let (asking, at) = (bucket.clone(), Door::closed());
        let inside = at.clone();
        let leader = std::thread::spawn(move || {
            let load = |_: &u64| -> Result<u64, String> {
                inside.pass();
                std::panic::resume_unwind(Box::new("no message"))
            };
            asking.call().fetch_with(&3, load).unwrap_err().kind()
        });
        at.await_waiting(1);
        let ticket = bucket.request_load([3]);
        at.release();
        assert_eq!(leader.join().unwrap(), ErrorKind::Panicked);
        assert!(ticket.wait(PATIENCE));
        assert_eq!(bucket.get(&3), Some(3));
    });
}

// moka-rs/moka #412: writers spun while maintenance waited for a lock that a suspended task held. The
// fold stands still and the overlay is full; twenty thousand writes go through, and no writer waits.
#[test]
fn moka_412_writers_go_on_while_a_fold_stands_still() {
    /// Stops in its copy, on the refresher.
    struct Heavy(u64, Door);
    impl Clone for Heavy {
        fn clone(&self) -> Self {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.ends_with("-refresh")) {
                self.1.pass();
            }
            Self(self.0, self.1.clone())
        }
    }

    bounded(|| {
        let door = Door::closed();
        let bucket = Bucket::<u64, Heavy>::builder("heavy").build().unwrap();
        bucket.set(0, Heavy(0, door.clone()));
        let publishing = bucket.clone();
        let publish = Task::spawn(move || publishing.publish().unwrap());
        door.await_waiting(1);
        let (writing, at) = (bucket.clone(), door.clone());
        crate::common::together(4, move |thread| {
            for round in 0..5_000 {
                let key = 10_000 * thread as u64 + round;
                writing.set(key, Heavy(round, at.clone()));
                if round % 10 == 0 {
                    assert!(writing.set_if_absent(key, Heavy(0, at.clone())).is_err());
                    writing.invalidate(&key);
                }
            }
        });
        assert_eq!(bucket.len(), 4 * 4_500);
        assert!(!publish.ended());
        door.release();
        publish.join();
        bucket.publish().unwrap();
        assert_eq!(bucket.snapshot().len(), 4 * 4_500);
        assert_eq!(bucket.peek(&10_001).map(|heavy| heavy.0), Some(1));
    });
}
