//! Wakers: the last one counts, and one that misbehaves harms nobody. A waker is foreign code: it may panic, or use the
//! bucket, wherever it is cloned, woken or dropped.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::common::{Door, Notes, block_on, bounded, eventually, lock};
use crate::kit::{Job, Numbers, poll, quiet_panic, source};

#[test]
fn the_task_that_polled_last_is_woken_and_alone() {
    bounded(|| {
        let door = Door::closed();
        let bucket = source(&Notes::new(), &door);
        let jobs = [Job::new(), Job::new(), Job::new()];
        let mut waits = pin!(bucket.fetch_async(&7));
        // From one to the next, and back, with polls for no reason in between.
        for at in [0, 0, 1, 1, 0, 2, 2] {
            assert!(jobs[at].poll(waits.as_mut()).is_none());
            for (other, job) in jobs.iter().enumerate() {
                assert_eq!(job.is_held(), other == at);
            }
        }
        door.release();
        eventually("the task is woken", || jobs[2].woken() == 1);
        assert_eq!(jobs.each_ref().map(|job| job.woken()), [0, 0, 1]);
        // Woken, and polled by another.
        let told = jobs[0].poll(waits.as_mut()).unwrap().unwrap();
        assert_eq!(told.value(), Some(&70));
        assert!(jobs.iter().all(|job| !job.is_held()));
    });
}

/// Panics when it is woken; and, if it is to, when it is dropped.
struct Broken {
    in_drop: bool,
    woken: Arc<AtomicUsize>,
}

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        quiet_panic("a waker");
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        if self.in_drop && !std::thread::panicking() {
            quiet_panic("a waker, dropped");
        }
    }
}

#[test]
fn a_waker_that_panics_harms_neither_the_loader_nor_others() {
    for in_drop in [false, true] {
        bounded(move || {
            let door = Door::closed();
            let bucket = source(&Notes::new(), &door);
            let woken = Arc::new(AtomicUsize::new(0));
            let broken = || {
                let woken = Arc::clone(&woken);
                Waker::from(Arc::new(Broken { in_drop, woken }))
            };
            let job = Job::new();
            let mut waits: Vec<_> = (0..5).map(|_| Box::pin(bucket.fetch_async(&7))).collect();
            // Broken ones before, between and after; theirs are the only handles.
            for (at, wait) in waits.iter_mut().enumerate() {
                if at % 2 == 0 {
                    let waker = broken();
                    assert!(poll(wait.as_mut(), &waker).is_none());
                    drop_quietly(waker);
                } else {
                    assert!(job.poll(wait.as_mut()).is_none());
                }
            }
            // One changes its task, and one goes away.
            assert!(job.poll(waits[4].as_mut()).is_none());
            drop(waits.remove(0));
            door.release();
            eventually("the others are woken", || job.woken() == 3);
            eventually("and it as well", || woken.load(Ordering::SeqCst) == 1);
            for wait in &mut waits {
                assert_eq!(job.poll(wait.as_mut()).unwrap().unwrap().value(), Some(&70));
            }
            // The threads live on.
            let keys: Vec<u64> = (10..20).collect();
            let values = block_on(bucket.get_many_async(&keys));
            assert!(
                values
                    .iter()
                    .zip(&keys)
                    .all(|(value, key)| *value == Some(10 * key))
            );
        });
    }
}

fn drop_quietly(waker: Waker) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(waker)));
}

type Waits = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;

/// Uses the bucket wherever it is cloned, woken and dropped, and lets go of others that wait for the same.
struct Nosy {
    bucket: Numbers,
    others: Arc<Mutex<Vec<Waits>>>,
    woken: Arc<AtomicUsize>,
}

impl Nosy {
    fn use_the_bucket(&self) {
        let job = Job::new();
        for key in [7, 8] {
            let bucket = self.bucket.clone();
            let mut waits: Waits = Box::pin(async move { bucket.get_async(&key).await });
            let _ = job.poll(waits.as_mut());
        }
        let other = lock(&self.others).pop();
        drop(other);
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.use_the_bucket();
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.use_the_bucket();
    }
}

#[test]
fn a_waker_may_use_the_bucket_it_waits_for() {
    bounded(|| {
        let door = Door::closed();
        let bucket = source(&Notes::new(), &door);
        let others = Arc::new(Mutex::new(Vec::new()));
        let woken = Arc::new(AtomicUsize::new(0));
        let nosy = || {
            Waker::from(Arc::new(Nosy {
                bucket: bucket.clone(),
                others: Arc::clone(&others),
                woken: Arc::clone(&woken),
            }))
        };
        let waits = || -> Waits {
            let bucket = bucket.clone();
            Box::pin(async move { bucket.get_async(&7).await })
        };
        let job = Job::new();
        for _ in 0..50 {
            let mut other = waits();
            assert!(job.poll(other.as_mut()).is_none());
            lock(&others).push(other);
        }
        // Each a task of its own: dropped where the next takes its place, where the wait is given up, and woken.
        let (mut stays, mut goes) = (waits(), waits());
        for _ in 0..3 {
            assert!(poll(stays.as_mut(), &nosy()).is_none());
            assert!(poll(goes.as_mut(), &nosy()).is_none());
        }
        drop(goes);
        door.release();
        eventually("it is woken", || woken.load(Ordering::SeqCst) == 1);
        assert_eq!(block_on(stays), Some(70));
        assert_eq!(bucket.get(&8), Some(80));
        assert!(lock(&others).len() < 50 - 5);
    });
}
