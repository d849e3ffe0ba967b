//! Bugs in what the bucket stands on: the published pointer, and who frees what it pointed to.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arc_swap::ArcSwap;
use larder::{Bucket, ErrorKind};

use crate::common::{Census, Citizen, Task, bounded, eventually, together};

/// A value that knows whether it has been freed or overwritten: what it says twice must agree.
#[derive(Clone)]
struct Sealed {
    number: u64,
    check: Box<u64>,
}

impl Sealed {
    fn new(number: u64) -> Self {
        Self {
            number,
            check: Box::new(!number),
        }
    }

    fn read(&self) -> u64 {
        assert_eq!(self.number, !*self.check, "torn or freed");
        self.number
    }
}

type Bound = Bucket<u64, Sealed>;

// vorner/arc-swap #198, #200: with all eight fast slots taken, two loads raced with two stores and the
// second saw a freed value; its regression test never ran, for want of a `#[test]`. Here it runs.
#[test]
fn arc_swap_198_two_loads_race_two_stores_with_eight_guards_held() {
    for _ in 0..2_000 {
        let cell = ArcSwap::from_pointee(0_usize);
        let guards: Vec<_> = (0..8).map(|_| cell.load()).collect();
        let start = std::sync::Barrier::new(3);
        let store = |number: usize| {
            start.wait();
            cell.store(Arc::new(number));
        };
        thread::scope(|scope| {
            scope.spawn(|| store(1));
            scope.spawn(|| store(2));
            start.wait();
            let (first, second) = (cell.load(), cell.load());
            if **first != **second && **first != 0 {
                assert_eq!(**second, **cell.load(), "it went back");
            }
        });
        assert!(guards.iter().all(|guard| ***guard == 0));
    }
}

// vorner/arc-swap #76, #80, #156, #164, #204: orderings that were too weak freed what was being read,
// in the slow path most of all. Our own load path, with 0, 1, 8 and 9 loads of the thread under way.
#[test]
fn arc_swap_156_reads_see_whole_values_however_many_loads_are_under_way() {
    /// Reads inside of the iterator of a read, so many deep: each level holds a view.
    fn nested(bucket: &Bound, deep: usize) {
        let key = iter::once_with(|| {
            if deep > 0 {
                nested(bucket, deep - 1);
            }
            &1
        });
        assert!(bucket.peek(&1).unwrap().read() < u64::MAX);
        assert!(bucket.get_many(key)[0].as_ref().unwrap().read() < u64::MAX);
    }

    bounded(|| {
        let bucket = Bound::builder("guards").build().unwrap();
        bucket.set(1, Sealed::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (storing, stopped) = (bucket.clone(), Arc::clone(&stop));
        let writer = Task::spawn(move || {
            for number in 1.. {
                storing.set(1, Sealed::new(number));
                storing.publish().unwrap();
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let reading = bucket.clone();
        together(2, move |_| {
            for round in 0.. {
                nested(&reading, [0, 1, 8, 9][round % 4]);
                if round > 400 && reading.epoch() > 50 {
                    break;
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        writer.join();
    });
}

// vorner/arc-swap #210 (open): on arm64, under memory pressure, a guard saw a block that was freed and
// used again, and versions went backwards. Epochs never go back, and a held snapshot adds up for ever.
#[test]
fn arc_swap_210_held_snapshots_add_up_while_memory_is_used_again() {
    bounded(|| {
        const KEYS: u64 = 64;
        let bucket = Bound::builder("churn").build().unwrap();
        bucket.set_many((0..KEYS).map(|key| (key, Sealed::new(0))));
        bucket.publish().unwrap();
        let churning = bucket.clone();
        // More threads than cores: one writer, readers that keep snapshots, and churn of the same sizes.
        together(5, move |thread| {
            let (mut last, mut held) = (0, Vec::new());
            for round in 1.. {
                match thread {
                    0 => {
                        churning.set_many((0..KEYS).map(|key| (key, Sealed::new(round))));
                        churning.publish().unwrap();
                    }
                    1 | 2 => drop((0..KEYS).map(Sealed::new).collect::<Vec<_>>()),
                    _ => {
                        let snapshot = churning.snapshot();
                        assert!(snapshot.epoch() >= last, "the epoch went back");
                        last = snapshot.epoch();
                        held.push(snapshot);
                        if held.len() > 20 {
                            held.remove(round as usize % 20);
                        }
                    }
                }
                for snapshot in &held {
                    let first = snapshot.get(&0).unwrap().read();
                    assert!(snapshot.iter().all(|(_, value)| value.read() == first));
                }
                if round > 100 && churning.epoch() > 60 {
                    break;
                }
            }
        });
    });
}

// vorner/arc-swap #208: what it swaps out must not panic when it is dropped, said the documentation,
// late. A value whose `Drop` panics whenever a table is freed costs no thread and no other value.
#[test]
fn arc_swap_208_values_that_panic_when_a_table_is_freed() {
    struct Bomb(Citizen);
    impl Clone for Bomb {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(thread::panicking(), "each time");
        }
    }

    bounded(|| {
        let census = Census::new();
        let bucket = Bucket::<u64, Bomb>::builder("bombs").build().unwrap();
        for round in 0..10 {
            bucket.set_many((0..50).map(|key| (key, Bomb(census.citizen(round)))));
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().len(), 50);
        }
        bucket.clear().unwrap();
        eventually("all of them gone", || {
            // Nothing to fold, but the refresher looks at what was retired.
            bucket.publish().unwrap();
            census.alive() == 0
        });
        bucket.set(1, Bomb(census.citizen(1)));
        bucket.publish().unwrap();
        assert_eq!(bucket.len(), 1);
        // Nor does the end of the bucket, on this thread.
        drop(bucket);
        assert_eq!(census.alive(), 0);
    });
}

// vorner/arc-swap 0.3.11: guards that were forgotten overflowed a counter, which was undefined.
// Forgotten readers and snapshots cost their memory, and break nothing.
#[test]
fn arc_swap_0_3_11_readers_and_snapshots_may_be_forgotten() {
    bounded(|| {
        let bucket = Bound::builder("forgotten").build().unwrap();
        for round in 0..2_000 {
            bucket.set(1, Sealed::new(round));
            if round % 20 == 0 {
                bucket.publish().unwrap();
            }
            let mut reader = bucket.reader();
            assert_eq!(reader.get(&1).unwrap().read(), round);
            std::mem::forget((reader, bucket.snapshot()));
        }
        assert_eq!(bucket.peek(&1).unwrap().read(), 1_999);
        bucket.clear().unwrap();
        bucket.shutdown();
    });
}

// crossbeam-rs/crossbeam-epoch by way of moka-rs/moka #177 and PR #384: garbage of a thread's own list
// was never freed when the cache went. All is dropped when the bucket is, on whatever thread.
#[test]
fn moka_177_values_are_freed_with_the_bucket_on_a_thread_that_never_used_it() {
    bounded(|| {
        let census = Census::new();
        let bucket = Bucket::<u64, Citizen>::builder("garbage").build().unwrap();
        let (writing, counting) = (bucket.clone(), census.clone());
        together(4, move |thread| {
            for round in 0..500 {
                writing.set(round % 7, counting.citizen(thread as u64));
                drop(writing.peek(&(round % 7)));
                if round % 100 == 0 {
                    writing.publish().unwrap();
                }
            }
        });
        Task::spawn(move || drop(bucket)).join();
        assert_eq!(census.alive(), 0);
    });
}

// ibraheemdev/seize PR #29, PR #27: a reclaimer that touched its own collector was unsound, and leaked.
// A value whose `Drop` reads, writes, and drops a reader of its bucket, all while it is reclaimed.
#[test]
fn seize_29_a_drop_that_uses_the_bucket_while_it_is_reclaimed() {
    struct Curious {
        citizen: Citizen,
        /// None in what a drop writes itself, so that there is an end of it.
        bucket: Option<std::sync::Weak<std::sync::OnceLock<Bucket<u64, Curious>>>>,
    }
    impl Clone for Curious {
        fn clone(&self) -> Self {
            Self {
                citizen: self.citizen.clone(),
                bucket: self.bucket.clone(),
            }
        }
    }
    impl Drop for Curious {
        fn drop(&mut self) {
            let own = self.bucket.take().and_then(|bucket| bucket.upgrade());
            if let Some(bucket) = own.as_ref().and_then(|own| own.get()) {
                let mut reader = bucket.reader();
                let seen = reader.get(&0).map(|value| value.citizen.number);
                assert_eq!(seen, bucket.peek(&0).map(|value| value.citizen.number));
                let quiet = Self {
                    citizen: self.citizen.clone(),
                    bucket: None,
                };
                bucket.set(1_000 + self.citizen.number % 10, quiet);
            }
        }
    }

    bounded(|| {
        let census = Census::new();
        let own = Arc::new(std::sync::OnceLock::new());
        let bucket = Bucket::<u64, Curious>::builder("curious").build().unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        for round in 0..3_000 {
            let value = Curious {
                citizen: census.citizen(round),
                bucket: Some(Arc::downgrade(&own)),
            };
            bucket.set(1 + round % 5, value);
            if round % 500 == 0 {
                bucket.publish().unwrap();
            }
        }
        assert!(bucket.peek(&1_003).is_some(), "they were at it");
        drop(own);
        let last = bucket.clone();
        drop(bucket);
        drop(last);
        // The refresher may be inside such a drop, and hold the last handle. The watchdog sees it if it never
        // lets go.
        while census.alive() > 0 {
            thread::yield_now();
        }
    });
}

// ibraheemdev/papaya PR #16, PR #92: wake-ups lost while a map was being resized. Eight writers grow a
// small bucket, from nothing, again and again; the watchdog would see one that sleeps for ever.
#[test]
fn papaya_92_eight_writers_grow_a_small_bucket() {
    bounded(|| {
        for round in 0..6 {
            let bucket = Bucket::<u64, u64>::builder("growing").build().unwrap();
            let writing = bucket.clone();
            together(8, move |thread| {
                for key in 0..1_000 {
                    let key = 10_000 * thread as u64 + key;
                    match round % 3 {
                        0 => writing.set(key, key),
                        1 => assert_eq!(writing.set_if_absent(key, key), Ok(())),
                        _ => writing.set_many([(key, key), (key + 5_000, key)]),
                    }
                    assert_eq!(writing.peek(&key), Some(key));
                }
            });
            let expected = if round % 3 == 2 { 16_000 } else { 8_000 };
            assert_eq!(bucket.len(), expected);
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().len(), expected);
        }
    });
}

// ibraheemdev/papaya: closures given to `compute` and `update` run more than once. What a caller gives
// us runs once, or not at all.
#[test]
fn papaya_compute_closures_of_callers_run_at_most_once() {
    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("once").build().unwrap();
        let calls = crate::common::Tally::new();
        let (asking, counting) = (bucket.clone(), calls.clone());
        together(6, move |_| {
            for key in 0..300_u64 {
                let load = |key: &u64| counting.during(key, || Ok::<_, String>(*key));
                assert_eq!(
                    asking.call().fetch_with(&key, load).unwrap().value(),
                    Some(&key)
                );
            }
        });
        assert_eq!((calls.most_loads(), calls.keys()), (1, 300));
        let failing = |_: &u64| Err::<u64, _>("no");
        let error = bucket.call().fetch_with(&999, failing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Load);
    });
}
