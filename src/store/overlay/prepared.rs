//! Writes that are in an overlay before anybody finds them.

use super::{Overlay, Write};

impl<K: Eq, V> Overlay<K, V> {
    /// Takes a write that nobody finds before it is linked. Returns its index, which others have to be given by way of an
    /// Acquire.
    pub(in super::super) fn prepare(&self, hash: u64, key: K, write: Write<V>) -> usize {
        self.begin();
        self.writes.prepare(hash, key, write)
    }

    /// What was prepared, linked or not.
    pub(in super::super) fn prepared(&self, index: usize) -> (&K, &Write<V>) {
        self.writes.prepared(index)
    }

    /// Has what was prepared found in the place of what is there, if `allow` says so of that. Anybody may do so, and
    /// more than one: `allow` must not say so of the very write, nor of what has replaced it.
    pub(in super::super) fn link_if(
        &self,
        index: usize,
        allow: impl FnMut(Option<&Write<V>>) -> bool,
    ) {
        self.writes.link_if(index, allow);
    }
}
