//! One call of a storage.

use crate::clock::Deadline;
use crate::contain::contained;
use crate::error::{Error, ErrorKind};
use crate::expiry::Expiry;
use crate::storage::{Change, Entry, Storage};
use crate::store::{Batch, Store};
use crate::{HashBuilder, Key, Value};

/// Makes the storage a copy of the batch's snapshot.
pub(super) fn write<K: Key, V: Value, S: HashBuilder>(
    storage: &mut dyn Storage<K, V>,
    batch: &Batch<K, V>,
    store: &Store<K, V, S>,
) -> Result<(), Error> {
    let table = &batch.upto.table;
    let (clock, now) = (store.clock(), table.now());
    let (written_ms, precise) = (clock.wall_ms(), clock.now());
    let expiry = |deadline: Deadline| {
        let left = deadline.time()?.saturating_sub(precise);
        // Never later than it is: what is left of a millisecond is dropped.
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Some(Expiry {
            expires_ms: written_ms.saturating_add(left),
            written_ms,
        })
    };
    let taken_all = contained(|| {
        if batch.dirty.is_everything() {
            let mut entries = table
                .entries_at(now)
                .filter(|(key, value, _)| store.lives(key, value))
                .map(|(key, value, deadline)| Entry {
                    key,
                    value,
                    expiry: expiry(deadline),
                });
            storage.replace(batch.upto.version, &mut entries)?;
            return Ok(entries.next().is_none());
        }
        let mut changes = batch.dirty.keys().map(|(hash, key)| {
            let value = table.find_at(hash, key, now);
            match value.filter(|value| store.lives(key, value)) {
                None => Change::Remove(key),
                Some(value) => {
                    let expiry = table.deadline_of(hash, key).and_then(expiry);
                    Change::Put(Entry { key, value, expiry })
                }
            }
        });
        storage.apply(&mut changes)?;
        Ok(changes.next().is_none())
    });
    match taken_all.and_then(|taken| taken.map_err(Error::storage))? {
        true => Ok(()),
        false => {
            let message = "the storage has not taken all that it was given";
            Err(Error::new(ErrorKind::Storage, message))
        }
    }
}
