//! What is said of tags in one overlay, beside its writes, which know nothing of them.

use std::collections::BTreeMap;

use crate::sync::{Arc, Hashed, Mutex, order, plain};
use crate::tags::Tags;

/// Which tags the write of a key with this number has.
pub(super) struct Record<K> {
    pub(super) key: Hashed<K>,
    pub(super) number: u64,
    pub(super) said: Said,
}

pub(super) enum Said {
    /// These.
    Of(Tags),
    /// Those of what it was made from.
    As(Made),
}

/// What a value was made from.
#[derive(Clone, Copy)]
pub(in crate::store) enum Made {
    /// A write with this number.
    From(u64),
    /// What was below the overlay while the table of this epoch was the current one.
    Below(u64),
}

/// Complete once the overlay is sealed. Until then it says of a write, if not before the write is found, by when its
/// gate is left.
pub(crate) struct TagLog<K> {
    /// Something is said here.
    any: plain::Flag,
    /// By hash, in the order of their coming. Nothing of the user's is called under this lock.
    records: Mutex<BTreeMap<u64, Vec<Arc<Record<K>>>>>,
}

impl<K> TagLog<K> {
    pub(crate) fn new() -> Self {
        Self {
            any: plain::Flag::new(false),
            records: Mutex::new(BTreeMap::new()),
        }
    }

    /// Exact for who has waited for the writers.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(order::COUNT)
    }

    pub(super) fn say(&self, key: Hashed<K>, number: u64, said: Said) {
        let hash = key.hash;
        let record = Arc::new(Record { key, number, said });
        let mut records = self.records.lock();
        records.entry(hash).or_default().push(record);
        self.any.store(true, order::COUNT);
    }

    /// What is said of keys with a hash.
    pub(super) fn of(&self, hash: u64) -> Vec<Arc<Record<K>>> {
        if self.is_empty() {
            return Vec::new();
        }
        self.records.lock().get(&hash).cloned().unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Record<K>>> {
        if self.is_empty() {
            return Vec::new();
        }
        let records = self.records.lock();
        records.values().flatten().map(Arc::clone).collect()
    }
}
