//! Storages that are async code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use larder::storage::{Change, Entry, Expiry, MemoryStorage, Storage, conformance};
use larder::tokio::{AsyncStorage, storage};
use larder::{BoxError, ErrorKind, Event};
use tokio::runtime::{Builder, Runtime};

use crate::common::{Broken, Notes, PATIENCE, bounded, eventually, lock};
use crate::kit::{Numbers, numbers, quiet_panic};
use crate::tokio_loaders::runtime;

/// Waits for its runtime at each step, and does what it is asked in memory. Keeps what happens to it.
#[derive(Clone)]
struct Remote {
    kept: MemoryStorage<u64, u64>,
    calls: Notes<&'static str>,
    fails: Arc<Mutex<Option<&'static str>>>,
}

impl Remote {
    fn new() -> Self {
        Self {
            kept: MemoryStorage::new(),
            calls: Notes::new(),
            fails: Arc::default(),
        }
    }

    async fn step(&self, call: &'static str) -> Result<(), BoxError> {
        self.calls.add(call);
        let moved = tokio::spawn(async {
            tokio::task::yield_now().await;
        });
        moved.await?;
        match *lock(&self.fails) {
            Some("panics") => quiet_panic("an async storage"),
            Some("hangs") => {}
            Some(why) => return Err(Broken(why).into()),
            None => return Ok(()),
        }
        std::future::pending().await
    }
}

impl AsyncStorage<u64, u64> for Remote {
    async fn load(
        &mut self,
        each: &mut dyn FnMut(u64, u64, Option<Expiry>),
    ) -> Result<u64, BoxError> {
        self.step("load").await?;
        let mut rows = BTreeMap::new();
        let version = self.kept.load(&mut |key, value, expiry| {
            rows.insert(key, (value, expiry));
        })?;
        for (key, (value, expiry)) in rows {
            each(key, value, expiry);
        }
        Ok(version)
    }

    async fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        self.step("apply").await?;
        self.kept.apply(changes)
    }

    async fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        self.step("replace").await?;
        self.kept.replace(version, entries)
    }
}

fn bucket(runtime: &Runtime, remote: &Remote, events: &Notes<Event>) -> Numbers {
    let noting = events.clone();
    numbers("stored")
        .storage_delay(std::time::Duration::from_millis(1))
        .storage(storage(runtime.handle().clone(), remote.clone()))
        .observer(move |event: &Event| noting.add(event.clone()))
        .build()
        .unwrap()
}

/// The checks of storages.
fn check(runtime: &Runtime, remote: &Remote) {
    let open = || storage(runtime.handle().clone(), remote.clone());
    conformance::check(open, u64::from, u64::from);
    assert!(remote.calls.len() > 30);
}

#[test]
fn an_async_storage_passes_the_checks() {
    bounded(|| check(&runtime(2), &Remote::new()));
}

#[test]
fn an_async_storage_passes_the_checks_where_it_must_not_block() {
    // In the context of a runtime the work is given to another thread.
    bounded(|| {
        let runtime = runtime(2);
        runtime.block_on(async { check(&runtime, &Remote::new()) });
    });
}

#[test]
fn a_bucket_begins_with_what_an_async_storage_keeps_wherever_it_is_built() {
    bounded(|| {
        let (runtime, remote, events) = (runtime(2), Remote::new(), Notes::new());
        let first = bucket(&runtime, &remote, &events);
        first.set_many((0..100).map(|key| (key, key * 10)));
        first.shutdown();
        assert_eq!(remote.kept.len(), 100);
        let again = bucket(&runtime, &remote, &events);
        assert_eq!((again.len(), again.peek(&9)), (100, Some(90)));
        again.shutdown();
        let inside = runtime.block_on(async { bucket(&runtime, &remote, &events) });
        assert_eq!((inside.len(), inside.peek(&9)), (100, Some(90)));
        inside.shutdown();
        let failed = |event: &Event| matches!(event, Event::StorageFailed { .. });
        assert!(!events.all().iter().any(failed));
    });
}

#[test]
fn an_async_storage_that_fails_or_panics_is_reported_and_tried_again() {
    for how in ["an error", "panics"] {
        bounded(move || {
            let (runtime, remote, events) = (runtime(1), Remote::new(), Notes::new());
            let bucket = bucket(&runtime, &remote, &events);
            *lock(&remote.fails) = Some(how);
            bucket.set(1, 10);
            let failed = bucket.write_storage(PATIENCE).unwrap().unwrap_err();
            assert!(
                failed.to_string().contains(if how == "panics" {
                    "an async storage"
                } else {
                    how
                }),
                "{failed}"
            );
            *lock(&remote.fails) = None;
            bucket.write_storage(PATIENCE).unwrap().unwrap();
            assert_eq!(remote.kept.get(&1), Some(10));
        });
    }
}

#[test]
fn a_storage_whose_runtime_is_shut_down_fails_and_ends() {
    bounded(|| {
        let (runtime, remote, events) = (runtime(1), Remote::new(), Notes::new());
        let bucket = bucket(&runtime, &remote, &events);
        *lock(&remote.fails) = Some("hangs");
        bucket.set(1, 10);
        bucket.publish().unwrap();
        let calls = remote.calls.clone();
        eventually("it is at it", || calls.all().contains(&"apply"));
        runtime.shutdown_background();
        let failed = bucket.write_storage(PATIENCE).unwrap().unwrap_err();
        // Its own, if its runtime was just about to end.
        assert_eq!(failed.kind(), ErrorKind::Storage);
        // The thread is free, and ends with the bucket.
        bucket.shutdown();
        assert_eq!(remote.kept.len(), 0);
    });
}

#[test]
fn what_could_not_be_read_on_the_only_thread_of_its_runtime_is_not_overwritten() {
    bounded(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (remote, events) = (Remote::new(), Notes::new());
        let mut kept = remote.kept.clone();
        let entry = Entry {
            key: &7,
            value: &70,
            expiry: None,
        };
        kept.replace(0, &mut std::iter::once(entry)).unwrap();
        let bucket = runtime.block_on(async { bucket(&runtime, &remote, &events) });
        assert_eq!(bucket.peek(&7), None);
        bucket.set(1, 10);
        let failed = bucket.write_storage(PATIENCE).unwrap().unwrap_err();
        assert!(failed.to_string().contains("only thread"), "{failed}");
        bucket.shutdown();
        assert_eq!((remote.kept.len(), remote.kept.get(&7)), (1, Some(70)));
        assert_eq!(remote.calls.all(), <[&str; 0]>::default());
    });
}
