//! Keys that carry their hash, so that no map of ours calls the user's `Hash` a second time.

use std::hash::{Hash, Hasher};
use std::mem::needs_drop;

use crate::contain::drop_contained;

/// A key and its hash.
pub(crate) struct Hashed<K> {
    pub(crate) hash: u64,
    /// Always there, until it is dropped.
    key: Option<K>,
}

impl<K> Hashed<K> {
    pub(crate) fn new(hash: u64, key: K) -> Self {
        let key = Some(key);
        Self { hash, key }
    }

    pub(crate) fn key(&self) -> &K {
        match &self.key {
            Some(key) => key,
            None => unreachable!("only its drop takes the key out"),
        }
    }
}

impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Eq> PartialEq for Hashed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.key == other.key
    }
}

impl<K: Eq> Eq for Hashed<K> {}

impl<K> Drop for Hashed<K> {
    fn drop(&mut self) {
        // Maps drop keys where they like: several in a row, on any thread, and while they unwind. A
        // key that panics in its own drop must not unwind from there.
        if needs_drop::<K>()
            && let Some(key) = self.key.take()
        {
            drop_contained(key);
        }
    }
}
