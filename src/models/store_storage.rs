//! The storage behind a bucket: what the folder leaves for the thread that writes to it.

use std::collections::BTreeMap;

use super::support::{Data, run_model, spawn, store};
use crate::clock::Clock;
use crate::store::fold::Folder;
use crate::store::{Batch, Dirty, Unsaved};
use crate::sync::Arc;

/// What is kept. Of the model's threads one has it at a time.
#[derive(Default)]
struct Kept {
    rows: BTreeMap<u8, u8>,
    /// Up to which epoch.
    epoch: u64,
}

impl Kept {
    /// As `refresh::saves` writes it.
    fn write(&mut self, data: &Data, batch: &Batch<u8, u8>) {
        let table = &batch.upto.table;
        assert!(batch.upto.epoch >= self.epoch, "an older snapshot");
        if batch.dirty.is_everything() {
            self.rows = table.iter().map(|(key, value)| (*key, *value)).collect();
        }
        for (hash, key) in batch.dirty.keys() {
            match table.find_any(hash, key) {
                Some(value) => drop(self.rows.insert(*key, *value)),
                None => drop(self.rows.remove(key)),
            }
        }
        self.epoch = batch.upto.epoch;
        // A copy of that snapshot, and of no mixture.
        for key in [1, 2] {
            let there = table.find_any(data.hash(key), &key);
            assert_eq!(self.rows.get(&key), there, "of key {key}");
        }
    }
}

/// A store that holds nothing, its folder, and where that leaves what it publishes.
fn saved() -> (Arc<Data>, Folder<u8, u8>, Arc<Unsaved<u8, u8>>) {
    let (data, mut folder) = store([]);
    let unsaved = Arc::new(Unsaved::new());
    folder.save_to(Arc::clone(&unsaved), Dirty::everything());
    (data, folder, unsaved)
}

/// Whatever is folded while it is taken, nothing is lost, and what is kept is always a snapshot.
#[test]
fn storage_against_folds() {
    run_model("storage_against_folds", 15, || {
        let (data, mut folder, unsaved) = saved();
        data.set(1, 10);
        folder.fold(&data.0);
        let saver = {
            let unsaved = Arc::clone(&unsaved);
            spawn(&data, move |data| {
                let mut kept = Kept::default();
                for _ in 0..2 {
                    if let Some(batch) = unsaved.take() {
                        kept.write(data, &batch);
                    }
                }
                kept
            })
        };
        data.set_many([(1, 11), (2, 20)]);
        folder.fold(&data.0);
        data.invalidate(1);
        folder.fold(&data.0);
        let mut kept = saver.join().unwrap();
        if let Some(batch) = unsaved.take() {
            kept.write(&data, &batch);
        }
        assert_eq!(kept.epoch, data.0.view().current.epoch);
        assert_eq!((kept.rows.get(&1), kept.rows.get(&2)), (None, Some(&20)));
    });
}

/// The same while somebody writes: in the end it is what is there.
#[test]
fn storage_against_folds_of_what_others_write() {
    run_model("storage_against_folds_of_what_others_write", 1000, || {
        let (data, mut folder, unsaved) = saved();
        data.set(1, 10);
        let writer = spawn(&data, |data| {
            data.set(1, 11);
            data.set(2, 20);
        });
        let saver = {
            let unsaved = Arc::clone(&unsaved);
            spawn(&data, move |data| {
                let mut kept = Kept::default();
                if let Some(batch) = unsaved.take() {
                    kept.write(data, &batch);
                }
                kept
            })
        };
        folder.fold(&data.0);
        writer.join().unwrap();
        folder.fold(&data.0);
        let mut kept = saver.join().unwrap();
        if let Some(batch) = unsaved.take() {
            kept.write(&data, &batch);
        }
        assert_eq!(
            (kept.rows.get(&1), kept.rows.get(&2)),
            (Some(&11), Some(&20))
        );
    });
}

/// Who has been told of an epoch gets what is of it, though the folder adds to it just then.
#[test]
fn storage_up_to_an_epoch() {
    run_model("storage_up_to_an_epoch", 9, || {
        let (data, mut folder, unsaved) = saved();
        data.set(1, 10);
        let epoch = folder.fold(&data.0);
        let saver = {
            let unsaved = Arc::clone(&unsaved);
            spawn(&data, move |data| {
                let clock = Clock::system();
                let deadline = std::time::Duration::MAX;
                let batch = unsaved.take_up_to(epoch, 0, &clock, deadline);
                let mut kept = Kept::default();
                kept.write(data, &batch.expect("what is published"));
                assert!(kept.rows.contains_key(&1));
                kept
            })
        };
        data.set(2, 20);
        folder.fold(&data.0);
        let mut kept = saver.join().unwrap();
        if let Some(batch) = unsaved.take() {
            kept.write(&data, &batch);
        }
        assert_eq!(
            (kept.rows.get(&1), kept.rows.get(&2)),
            (Some(&10), Some(&20))
        );
    });
}

/// What could not be written is written with what comes after it; and a clear in between is one of these.
#[test]
fn storage_that_fails_against_a_clear() {
    run_model("storage_that_fails_against_a_clear", 15, || {
        let (data, mut folder, unsaved) = saved();
        data.set(1, 10);
        folder.fold(&data.0);
        let saver = {
            let unsaved = Arc::clone(&unsaved);
            spawn(&data, move |_| {
                let failed = unsaved.take();
                match (failed, unsaved.take()) {
                    (Some(failed), Some(newer)) => Some(failed.and(newer)),
                    (failed, newer) => failed.or(newer),
                }
            })
        };
        folder.clear(&data.0);
        data.set(2, 20);
        folder.fold(&data.0);
        let mut pending = saver.join().unwrap();
        if let Some(newer) = unsaved.take() {
            pending = Some(match pending {
                Some(before) => before.and(newer),
                None => newer,
            });
        }
        let mut kept = Kept::default();
        // As it may have been before.
        kept.rows.insert(1, 10);
        kept.write(&data, &pending.expect("what was published"));
        assert_eq!(kept.epoch, data.0.view().current.epoch);
        assert_eq!((kept.rows.get(&1), kept.rows.get(&2)), (None, Some(&20)));
    });
}
