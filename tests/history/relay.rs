//! Epochs along happens-before, without any clock: threads tell each other what they have seen.

use crate::{calls::Store, chance::Chance, crew::PATIENCE, id::Id};
use larder::Bucket;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// What a run has seen.
pub(crate) struct Relayed {
    pub(crate) looks: usize,
    pub(crate) epochs: u64,
}

/// Threads that look at the epoch in every way there is, and tell each other, while others write and
/// publish. None may be shown one that is lower than one it has been told of.
///
/// # Panics
///
/// If an epoch goes back, or if two snapshots of one epoch differ.
pub(crate) fn run(looks: usize) -> Relayed {
    let bucket: Store = Bucket::builder("epochs")
        .wait_limit(PATIENCE)
        .build()
        .expect("the defaults are fine");
    let told = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let lookers: Vec<_> = (0..4)
        .map(|seed| {
            let (bucket, told) = (bucket.clone(), Arc::clone(&told));
            thread::spawn(move || look(&bucket, &told, seed, looks / 4))
        })
        .collect();
    let busy: Vec<_> = (0..2)
        .map(|publishes| {
            let (bucket, told, done) = (bucket.clone(), Arc::clone(&told), Arc::clone(&done));
            thread::spawn(move || {
                for value in 1.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    bucket.set(Id((value % 8) as u16), value);
                    if publishes == 1 {
                        let before = told.load(Ordering::Acquire);
                        let epoch = bucket.publish().expect("nothing stops the refresher");
                        assert!(epoch >= before, "published {epoch} after {before}");
                        told.fetch_max(epoch, Ordering::Release);
                    }
                    thread::yield_now();
                }
            })
        })
        .collect();
    // Stopped before anything is said of the first panic.
    let ended: Vec<_> = lookers.into_iter().map(thread::JoinHandle::join).collect();
    done.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().expect("epochs go on");
    }
    let looks = ended
        .into_iter()
        .map(|looks| looks.expect("epochs go on"))
        .sum();
    Relayed {
        looks,
        epochs: bucket.epoch(),
    }
}

fn look(bucket: &Store, told: &AtomicU64, seed: u64, looks: usize) -> usize {
    let mut chance = Chance::new(seed);
    let mut reader = bucket.reader();
    // All of a snapshot's values; there are eight keys.
    let contents = |epoch: u64| {
        let snapshot = bucket.snapshot();
        (snapshot.epoch() == epoch)
            .then(|| (0..8).map(|key| snapshot.get(&Id(key)).copied()).collect())
    };
    let mut own: (u64, Option<Vec<Option<u64>>>) = (0, None);
    for _ in 0..looks {
        chance.maybe_yield();
        let before = told.load(Ordering::Acquire);
        let epoch = match chance.below(3) {
            0 => bucket.epoch(),
            1 => reader.epoch(),
            _ => bucket.snapshot().epoch(),
        };
        assert!(epoch >= before, "shown epoch {epoch} after {before}");
        if epoch == own.0 {
            let now = contents(epoch);
            if let (Some(then), Some(now)) = (&own.1, &now) {
                assert_eq!(then, now, "epoch {epoch} has changed");
            }
            own.1 = own.1.or(now);
        } else {
            own = (epoch, contents(epoch));
        }
        told.fetch_max(epoch, Ordering::Release);
    }
    looks
}
