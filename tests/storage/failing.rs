//! A storage that fails, panics or hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use larder::storage::{Change, Entry, Expiry, MemoryStorage, Storage};
use larder::{BoxError, Bucket, ErrorKind, Event, ManualClock};

use crate::common::{Notes, PATIENCE, Task, bounded, eventually};
use crate::kit::{Call, Mood, Noting, Numbers, SECOND, builder, contents, in_time};

/// Long enough to see that somebody has not waited for it, and no test waits for it in vain but those of the limit.
const LIMIT: Duration = Duration::from_millis(300);

#[test]
fn what_fails_is_reported_and_tried_again_with_what_has_changed_by_then() {
    bounded(|| {
        for (mood, kind) in [
            (Mood::Fails, ErrorKind::Storage),
            (Mood::FailsHalfway, ErrorKind::Storage),
            (Mood::LeavesHalf, ErrorKind::Storage),
            (Mood::Panics, ErrorKind::Panicked),
        ] {
            let (storage, time, events) = (Noting::new(), ManualClock::new(), Notes::new());
            let telling = events.clone();
            let bucket = builder(&storage, &time)
                .observer(move |event| telling.add(event.clone()))
                .build()
                .unwrap();
            storage.is(mood);
            bucket.set_many([(1, 1), (2, 2), (3, 3)]);
            let error = bucket.write_storage(PATIENCE).unwrap().unwrap_err();
            assert_eq!(error.kind(), kind, "{mood:?}: {error}");
            if mood == Mood::Fails {
                assert!(std::error::Error::source(&error).is_some());
            }
            assert_eq!(bucket.stats().storage_failed, 1);
            eventually("it is reported", || events.len() == 1);
            let told = events.take();
            assert!(
                matches!(&told[..], [Event::StorageFailed { error }] if error.kind() == kind),
                "{told:?}"
            );
            // The bucket goes on, and what is overwritten meanwhile is not written twice.
            bucket.set(1, 11);
            bucket.invalidate(&2);
            bucket.set(4, 4);
            assert_eq!(contents(&bucket), [(1, 11), (3, 3), (4, 4)]);
            storage.is(Mood::Well);
            storage.calls.take();
            in_time(&time, SECOND / 4, "it is tried again", || {
                storage.calls.len() > 0
            });
            let all = vec![(1, Some(11)), (2, None), (3, Some(3)), (4, Some(4))];
            assert_eq!(storage.writes(), [Call::Apply(all)], "{mood:?}");
            eventually("it is counted", || bucket.stats().storage_writes == 1);
            assert_eq!(storage.pairs(), contents(&bucket));
        }
    });
}

#[test]
fn a_replacement_that_fails_is_tried_again_as_one() {
    bounded(|| {
        let storage = Noting::holding(&[(1, 1, None), (2, 2, None)]);
        let time = ManualClock::new();
        let bucket = builder(&storage, &time).build().unwrap();
        storage.is(Mood::Panics);
        bucket.clear().unwrap();
        assert!(bucket.write_storage(PATIENCE).unwrap().is_err());
        bucket.set(3, 3);
        bucket.publish().unwrap();
        storage.is(Mood::Well);
        storage.calls.take();
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert_eq!(storage.writes(), [Call::Replace(0, vec![(3, 3)])]);
    });
}

#[test]
fn waits_after_failures_double_up_to_a_minute_and_begin_anew_after_a_success() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        let step = SECOND / 8;
        for _ in 0..2 {
            storage.is(Mood::Fails);
            bucket.set(1, 1);
            let failed = bucket.stats().storage_failed;
            bucket.write_storage(PATIENCE).unwrap().unwrap_err();
            for (nth, wait) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
                let start = time.clock().now();
                let nth = nth as u64 + 1;
                in_time(&time, step, "the next try", || {
                    bucket.stats().storage_failed > failed + nth
                });
                let waited = time.clock().now() - start;
                // A thread may come late to a clock that is moved from outside, and never early.
                assert!(waited >= wait * SECOND, "try {nth} after {waited:?}");
            }
            storage.is(Mood::Well);
            bucket.write_storage(PATIENCE).unwrap().unwrap();
        }
    });
}

#[test]
fn a_storage_that_hangs_holds_up_nobody() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time)
            .load(|key: &u64| Ok::<_, String>(key * 2))
            .build()
            .unwrap();
        storage.door.close();
        bucket.set(1, 1);
        // Asked for, and not waited for.
        assert!(bucket.write_storage(Duration::ZERO).is_none());
        storage.door.await_waiting(1);
        // Writers, readers, loads, folds and all that publishes go on meanwhile.
        for round in 2..50 {
            bucket.set(round, round);
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().get(&round), Some(&round));
            assert_eq!(bucket.peek(&round), Some(round));
        }
        assert_eq!(bucket.get(&1000), Some(2000));
        bucket.set(1, 11);
        bucket.publish().unwrap();
        assert_eq!(
            storage.calls.len(),
            2,
            "one load, one write that is under way"
        );
        assert_eq!(storage.pairs(), []);
        storage.door.release();
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert_eq!(storage.pairs(), contents(&bucket));
        // The first, and one for all that came meanwhile.
        assert_eq!(storage.writes().len(), 2);
    });
}

#[test]
fn a_storage_that_hangs_does_not_hold_up_the_end_beyond_its_limit() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time)
            .shutdown_limit(LIMIT)
            .build()
            .unwrap();
        storage.door.close();
        bucket.set(1, 1);
        assert!(bucket.write_storage(Duration::ZERO).is_none());
        storage.door.await_waiting(1);
        bucket.set(2, 2);
        bucket.publish().unwrap();
        let waiting = {
            let bucket = bucket.clone();
            Task::spawn(move || bucket.write_storage(PATIENCE))
        };
        let start = Instant::now();
        bucket.shutdown();
        assert!(start.elapsed() >= LIMIT && start.elapsed() < PATIENCE / 2);
        // What is cached can be read, and the rest is over.
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(1), Some(2)));
        assert!(bucket.publish().unwrap_err().is_closed());
        // When it comes back after all, it is given what was folded, and whoever waits is answered.
        storage.door.release();
        eventually("the rest", || storage.pairs() == [(1, 1), (2, 2)]);
        time.advance(PATIENCE);
        waiting.join();
    });
}

#[test]
fn at_the_end_it_is_tried_once() {
    bounded(|| {
        let (storage, time, events) = (Noting::new(), ManualClock::new(), Notes::new());
        let telling = events.clone();
        let bucket = builder(&storage, &time)
            .observer(move |event| telling.add(event.clone()))
            .build()
            .unwrap();
        bucket.set(1, 1);
        storage.is(Mood::Fails);
        bucket.shutdown();
        assert_eq!(storage.writes(), [Call::Apply(vec![(1, Some(1))])]);
        assert_eq!(events.len(), 1, "told before the observer ends");
        assert_eq!(bucket.stats().storage_failed, 1);
    });
}

/// So many that change and are not there any more cost no memory for each.
#[test]
fn more_keys_than_there_are_become_all() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        storage.is(Mood::Fails);
        for round in 0..20_u64 {
            let keys: Vec<_> = (0..500).map(|key| 1000 * round + key).collect();
            bucket.set_many(keys.iter().map(|&key| (key, key)));
            bucket.publish().unwrap();
            bucket.invalidate_many(&keys);
            bucket.publish().unwrap();
            // Taken, one after the other, by a thread that cannot get rid of them; or left where the fold leaves them.
            if round % 3 == 0 {
                bucket.write_storage(PATIENCE).unwrap().unwrap_err();
            }
        }
        bucket.set(7, 7);
        storage.is(Mood::Well);
        storage.calls.take();
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert_eq!(storage.writes(), [Call::Replace(0, vec![(7, 7)])]);
    });
}

/// A fold that panics on the way is tried again, and nothing of it is left out.
#[test]
fn a_clone_that_panics_in_a_fold_loses_nothing() {
    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(PartialEq, Eq, Hash, Debug)]
    struct Shaky(u64);
    impl Clone for Shaky {
        fn clone(&self) -> Self {
            assert!(!PANICS.load(Ordering::Relaxed), "a shaky key");
            Self(self.0)
        }
    }
    bounded(|| {
        let (storage, time) = (MemoryStorage::new(), ManualClock::new());
        let bucket = Bucket::<Shaky, u64>::builder("shaky")
            .clock(time.clock())
            .storage(storage.clone())
            .build()
            .unwrap();
        bucket.set(Shaky(1), 1);
        PANICS.store(true, Ordering::Relaxed);
        let error = bucket.write_storage(PATIENCE).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        bucket.set(Shaky(2), 2);
        PANICS.store(false, Ordering::Relaxed);
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        assert_eq!(
            (storage.get(&Shaky(1)), storage.get(&Shaky(2))),
            (Some(1), Some(2))
        );
    });
}

/// A storage that uses the bucket, and says when it goes.
struct Nosy {
    bucket: Arc<OnceLock<Numbers>>,
    inner: MemoryStorage<u64, u64>,
    gone: Arc<AtomicBool>,
}

impl Storage<u64, u64> for Nosy {
    fn load(&mut self, each: &mut dyn FnMut(u64, u64, Option<Expiry>)) -> Result<u64, BoxError> {
        self.inner.load(each)
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        let bucket = self.bucket.get().ok_or("no bucket")?;
        if bucket.peek(&2).is_none() {
            bucket.set(2, 2);
            bucket.publish()?;
        }
        self.inner.apply(changes)
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        self.inner.replace(version, entries)
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        std::panic::panic_any("dropped");
    }
}

#[test]
fn a_storage_may_use_the_bucket_and_is_gone_when_that_is_shut_down() {
    bounded(|| {
        let (inner, gone) = (MemoryStorage::new(), Arc::new(AtomicBool::new(false)));
        let cell = Arc::new(OnceLock::new());
        let nosy = Nosy {
            bucket: Arc::clone(&cell),
            inner: inner.clone(),
            gone: Arc::clone(&gone),
        };
        let bucket = Numbers::builder("nosy").storage(nosy).build().unwrap();
        assert!(cell.set(bucket.clone()).is_ok());
        bucket.set(1, 1);
        bucket.write_storage(PATIENCE).unwrap().unwrap();
        bucket.shutdown();
        assert!(gone.load(Ordering::Acquire));
        assert_eq!(inner.len(), 2);
    });
}

#[test]
fn a_bucket_that_is_not_built_drops_its_storage() {
    bounded(|| {
        let gone = Arc::new(AtomicBool::new(false));
        struct Quiet(Arc<AtomicBool>, MemoryStorage<u64, u64>);
        impl Drop for Quiet {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        impl Storage<u64, u64> for Quiet {
            fn load(
                &mut self,
                each: &mut dyn FnMut(u64, u64, Option<Expiry>),
            ) -> Result<u64, BoxError> {
                self.1.load(each)
            }

            fn apply(
                &mut self,
                changes: &mut dyn Iterator<Item = Change<'_, u64, u64>>,
            ) -> Result<(), BoxError> {
                self.1.apply(changes)
            }

            fn replace(
                &mut self,
                version: u64,
                entries: &mut dyn Iterator<Item = Entry<'_, u64, u64>>,
            ) -> Result<(), BoxError> {
                self.1.replace(version, entries)
            }
        }
        let quiet = Quiet(Arc::clone(&gone), MemoryStorage::new());
        let built = Numbers::builder("refused")
            .storage(quiet)
            .batch_size(0)
            .build();
        assert!(built.is_err());
        assert!(gone.load(Ordering::Acquire));
    });
}
