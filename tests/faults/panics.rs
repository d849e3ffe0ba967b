//! Code of the user that panics, at each single place where the bucket calls it.
//!
//! A fuse counts the calls of one operation of keys or values, and the n-th one panics. The same
//! little program is run for each n: whatever it interrupts, everybody is answered, and the bucket
//! works as before.

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use larder::{Bucket, ErrorKind};

use crate::common::{Census, Citizen, PATIENCE, Task, bounded, eventually};

/// Which operation panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    HashKey,
    EqKey,
    CloneKey,
    DropKey,
    CloneValue,
    DropValue,
}

/// Burns down with each call of one operation, and goes off once.
pub(crate) struct Fuse {
    pub(crate) which: Which,
    pub(crate) left: AtomicI64,
}

impl Fuse {
    fn burn(&self, which: Which) {
        // A second panic while the first unwinds would end the process, whoever is at fault.
        if which == self.which
            && !std::thread::panicking()
            && self.left.fetch_sub(1, Ordering::SeqCst) == 0
        {
            panic!("{which:?}");
        }
    }

    pub(crate) fn has_gone_off(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn put_out(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

pub(crate) struct Touchy {
    pub(crate) id: u64,
    pub(crate) fuse: Arc<Fuse>,
}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fuse.burn(Which::HashKey);
        self.id.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.fuse.burn(Which::EqKey);
        self.id == other.id
    }
}

impl Eq for Touchy {}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        self.fuse.burn(Which::CloneKey);
        Self {
            id: self.id,
            fuse: Arc::clone(&self.fuse),
        }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        self.fuse.burn(Which::DropKey);
    }
}

struct Frail {
    citizen: Citizen,
    fuse: Arc<Fuse>,
}

impl Clone for Frail {
    fn clone(&self) -> Self {
        self.fuse.burn(Which::CloneValue);
        Self {
            citizen: self.citizen.clone(),
            fuse: Arc::clone(&self.fuse),
        }
    }
}

impl Drop for Frail {
    fn drop(&mut self) {
        self.fuse.burn(Which::DropValue);
    }
}

type Fragile = Bucket<Touchy, Frail>;

struct Scene {
    fuse: Arc<Fuse>,
    census: Census,
    bucket: Fragile,
}

impl Scene {
    fn new(which: Which, calls: i64) -> Self {
        let fuse = Arc::new(Fuse {
            which,
            left: AtomicI64::new(calls),
        });
        let census = Census::new();
        let (loading, counting) = (Arc::clone(&fuse), census.clone());
        let bucket = Fragile::builder("fragile")
            .batch_size(3)
            .loader_threads(1)
            .bulk_load(move |keys: &[Touchy]| {
                let pairs = keys.iter().map(|key| {
                    let citizen = counting.citizen(key.id);
                    let fuse = Arc::clone(&loading);
                    (key.clone(), Frail { citizen, fuse })
                });
                Ok::<_, String>(pairs.collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        Self {
            fuse,
            census,
            bucket,
        }
    }

    fn key(&self, id: u64) -> Touchy {
        Touchy {
            id,
            fuse: Arc::clone(&self.fuse),
        }
    }

    fn value(&self, number: u64) -> Frail {
        Frail {
            citizen: self.census.citizen(number),
            fuse: Arc::clone(&self.fuse),
        }
    }

    /// The program. Each step on its own, so that a panic of the caller's own ends that step only.
    fn run(&self) {
        let bucket = &self.bucket;
        let step = |step: &dyn Fn()| drop(catch_unwind(AssertUnwindSafe(step)));
        let answered = |error: Option<larder::Error>| {
            // A wait that nobody answered would end in a timeout.
            let kind = error.map(|error| error.kind());
            self.check(
                kind != Some(ErrorKind::Timeout),
                "somebody was not answered",
            );
        };
        step(&|| bucket.set(self.key(1), self.value(1)));
        step(&|| bucket.set_many((2..6).map(|id| (self.key(id), self.value(id)))));
        step(&|| answered(bucket.publish().err()));
        step(&|| bucket.set(self.key(1), self.value(11)));
        step(&|| self.update_two());
        self.forget_two();
        step(&|| drop(bucket.set_if_absent(self.key(2), self.value(0))));
        step(&|| drop(bucket.set_if_absent(self.key(6), self.value(6))));
        step(&|| drop(bucket.peek(&self.key(1))));
        step(&|| drop(bucket.reader().get(&self.key(1)).cloned()));
        step(&|| answered(bucket.fetch(&self.key(20)).err()));
        step(&|| {
            let keys = [20, 21, 22, 23, 24].map(|id| self.key(id));
            bucket
                .fetch_many(&keys)
                .into_iter()
                .for_each(|one| answered(one.err()));
        });
        step(&|| {
            let load = |key: &Touchy| Ok::<_, String>(self.value(key.id));
            answered(bucket.call().fetch_with(&self.key(25), load).err());
        });
        step(&|| bucket.invalidate(&self.key(2)));
        step(&|| {
            let ticket = bucket.request_load([1, 3, 26].map(|id| self.key(id)));
            self.check(ticket.wait(PATIENCE), "a request was not answered");
        });
        step(&|| answered(bucket.publish().err()));
        step(&|| {
            let snapshot = bucket.snapshot();
            assert!(snapshot.iter().all(|(key, _)| key.id < 100));
            drop(snapshot.get(&self.key(3)).cloned());
        });
        step(&|| drop((bucket.len(), bucket.keys())));
        step(&|| answered(bucket.refresh().wait(PATIENCE).err()));
        step(&|| bucket.invalidate_many(&[3, 4].map(|id| self.key(id))));
        step(&|| answered(bucket.clear().err()));
        step(&|| bucket.set(self.key(1), self.value(1)));
        step(&|| answered(bucket.publish().err()));
    }

    /// Several keys in one step: all of it, if anything, wherever it is interrupted. At the latest with the next fold.
    fn update_two(&self) {
        let bucket = &self.bucket;
        let number = |id| bucket.peek(&self.key(id)).map(|value| value.citizen.number);
        let before = (number(4), number(5));
        let keys = [1, 4, 5].map(|id| self.key(id));
        let stepping = || {
            bucket.update_many(&keys, |step| {
                step.set(1, self.value(40));
                step.remove(2);
            })
        };
        let stepped = catch_unwind(AssertUnwindSafe(stepping));
        if !self.fuse.has_gone_off() {
            return;
        }
        let kind = stepped.map(|stepped| stepped.map_err(|error| error.kind()));
        let told = matches!(kind, Err(_) | Ok(Ok(()) | Err(ErrorKind::Panicked)));
        self.check(told, "a step was not answered");
        self.check(bucket.publish().is_ok(), "a fold is stuck");
        let after = (number(4), number(5));
        self.check(
            after == before || after == (Some(40), None),
            "a part of a step is there",
        );
    }

    /// What is under a tag goes, wherever it is interrupted; at the latest when it is asked for again.
    fn forget_two(&self) {
        let bucket = &self.bucket;
        let step = |step: &dyn Fn()| drop(catch_unwind(AssertUnwindSafe(step)));
        step(&|| bucket.set_with_tags(self.key(7), self.value(7), "two"));
        step(&|| drop(bucket.publish()));
        step(&|| drop(bucket.update(&self.key(7), |value| value.cloned())));
        step(&|| bucket.set_with_tags(self.key(8), self.value(8), "two"));
        let kind = bucket.invalidate_tag("two").map_err(|error| error.kind());
        let told = matches!(kind, Ok(_) | Err(ErrorKind::Panicked));
        self.check(told, "who has invalidated a tag was not answered");
        if kind.is_err() {
            self.check(bucket.invalidate_tag("two").is_ok(), "a tag is stuck");
        }
        if self.fuse.has_gone_off() {
            let is_there = |id| bucket.contains(&self.key(id));
            self.check(!is_there(7) && !is_there(8), "a tag was lost");
        }
    }

    /// Where the fuse has been put out, everything works.
    fn works(&self) {
        let bucket = &self.bucket;
        let number = |id| bucket.peek(&self.key(id)).map(|value| value.citizen.number);
        bucket.clear().unwrap();
        bucket.set(self.key(1), self.value(100));
        bucket.publish().unwrap();
        bucket.set(self.key(1), self.value(101));
        assert_eq!((number(1), number(2)), (Some(101), None));
        for id in 20..30 {
            let loaded = bucket.fetch(&self.key(id)).unwrap();
            assert_eq!(loaded.value().unwrap().citizen.number, id);
        }
        assert!(bucket.request_load([self.key(1)]).wait(PATIENCE));
        assert_eq!(number(1), Some(1), "reloaded");
        bucket.invalidate(&self.key(1));
        bucket.publish().unwrap();
        assert_eq!((number(1), bucket.len()), (None, 10));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.stats().queued, 0);
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        if !holds {
            // Not an ordinary panic, which a step would swallow.
            eprintln!("{what}: {:?}", self.fuse.which);
            std::process::abort();
        }
    }
}

/// Runs the program with each length of the fuse until it does not go off any more.
fn at_every_place(which: Which, may_leak: bool) {
    let mut places = 0;
    for calls in 0.. {
        let gone_off = Task::spawn(move || {
            let scene = Scene::new(which, calls);
            scene.run();
            let gone_off = scene.fuse.has_gone_off();
            scene.fuse.put_out();
            scene.works();
            let Scene { census, bucket, .. } = scene;
            drop(bucket);
            let alive = census.alive();
            assert!(
                alive == 0 || (may_leak && alive > 0),
                "{alive} left, {which:?} {calls}"
            );
            gone_off
        });
        if !gone_off.join() {
            break;
        }
        places += 1;
    }
    assert!(places >= 20, "{which:?} was called at {places} places");
}

#[test]
fn a_hash_that_panics_anywhere_harms_its_own_call_only() {
    at_every_place(Which::HashKey, false);
}

#[test]
fn an_eq_that_panics_anywhere_harms_its_own_call_only() {
    at_every_place(Which::EqKey, false);
}

#[test]
fn a_clone_of_a_key_that_panics_anywhere_harms_its_own_call_only() {
    at_every_place(Which::CloneKey, false);
}

#[test]
fn a_clone_of_a_value_that_panics_anywhere_harms_its_own_call_only() {
    at_every_place(Which::CloneValue, false);
}

#[test]
fn a_drop_of_a_key_that_panics_anywhere_harms_its_own_call_only() {
    // A map that unwinds in the middle of its own drop may leave entries behind.
    at_every_place(Which::DropKey, true);
}

#[test]
fn a_drop_of_a_value_that_panics_anywhere_harms_its_own_call_only() {
    at_every_place(Which::DropValue, false);
}

#[test]
fn a_fold_that_panics_is_reported_and_tried_again_and_loses_nothing() {
    bounded(|| {
        let fuse = Arc::new(Fuse {
            which: Which::CloneValue,
            left: AtomicI64::new(i64::MAX),
        });
        let events = crate::common::Notes::new();
        let noting = events.clone();
        let bucket = Bucket::<u64, Frail>::builder("fold")
            .clock(larder::ManualClock::new().clock())
            .observer(move |event: &larder::Event| noting.add(format!("{event:?}")))
            .build()
            .unwrap();
        let census = Census::new();
        let value = |number| Frail {
            citizen: census.citizen(number),
            fuse: Arc::clone(&fuse),
        };
        bucket.set_many((0..50).map(|key| (key, value(key))));
        bucket.publish().unwrap();
        bucket.set(1, value(1_001));
        bucket.invalidate(&2);
        let epoch = bucket.epoch();
        for calls in [0, 1, 20, 48] {
            fuse.left.store(calls, Ordering::SeqCst);
            let error = bucket.publish().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.to_string().contains("CloneValue"), "{error}");
            fuse.put_out();
            assert_eq!((bucket.epoch(), bucket.len()), (epoch, 49));
            assert_eq!(bucket.peek(&1).map(|v| v.citizen.number), Some(1_001));
            bucket.set(100 + calls as u64, value(0));
            bucket.invalidate(&(100 + calls as u64));
        }
        assert_eq!(bucket.stats().folds_failed, 4);
        // Into the overlay after the one that is half folded: a snapshot of now has both.
        bucket.set(3, value(1_003));
        assert!(bucket.publish().unwrap() > epoch);
        let snapshot = bucket.snapshot();
        assert_eq!(snapshot.get(&1).map(|v| v.citizen.number), Some(1_001));
        assert_eq!(snapshot.get(&3).map(|v| v.citizen.number), Some(1_003));
        assert_eq!((snapshot.len(), snapshot.get(&2).is_none()), (49, true));
        drop(snapshot);
        bucket.shutdown();
        assert_eq!(events.len(), 4);
        assert!(
            events
                .all()
                .iter()
                .all(|event| event.contains("FoldFailed"))
        );
        drop(bucket);
        assert_eq!(census.alive(), 0);
    });
}

/// A value that panics in its drop, once the fuse is lit.
#[derive(Clone)]
struct Charge(Arc<AtomicBool>, u64);

impl Drop for Charge {
    fn drop(&mut self) {
        if self.1 == 1 && self.0.load(Ordering::SeqCst) {
            panic!("planned");
        }
    }
}

/// Flights end in batches, where the in-flight table lets go of them. Wherever in a batch of loads that is,
/// the others are answered.
#[test]
fn a_drop_of_a_value_that_panics_leaves_nobody_of_its_batch_behind() {
    for before in 0..70 {
        let lit = Arc::new(AtomicBool::new(false));
        let charge = Arc::clone(&lit);
        let bucket = Bucket::<u64, Charge>::builder("charges")
            .loader_threads(1)
            .bulk_load(move |keys: &[u64]| {
                let value = |&key| (key, Charge(Arc::clone(&charge), key));
                Ok::<_, String>(keys.iter().map(value).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        assert!(bucket.request_load(100..100 + before).wait(PATIENCE));
        lit.store(true, Ordering::SeqCst);
        drop(bucket.request_load([1, 2, 3, 4]));
        for key in 2..5 {
            assert!(
                bucket.fetch(&key).is_ok(),
                "key {key} after {before} others"
            );
        }
        lit.store(false, Ordering::SeqCst);
    }
}

/// It unwinds out of the middle of a read, which is over then: the next one is as fast and as fresh, and what it had
/// read is let go of.
#[test]
fn who_panics_while_reading_without_a_clone_leaves_nothing_behind() {
    bounded(|| {
        let census = Census::new();
        let bucket = Bucket::<u64, Citizen>::builder("with").build().unwrap();
        bucket.set(1, census.citizen(1));
        bucket.publish().unwrap();
        let reading = || bucket.with(&1, |_| panic!("planned"));
        assert!(catch_unwind(AssertUnwindSafe(reading)).is_err());
        assert_eq!(bucket.with(&1, |citizen| citizen.number), Some(1));
        bucket.invalidate(&1);
        bucket.publish().unwrap();
        assert_eq!(bucket.with(&1, |citizen| citizen.number), None);
        eventually("nobody is left", || census.alive() == 0);
    });
}
