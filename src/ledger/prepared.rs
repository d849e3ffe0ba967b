//! Items that are appended first and found later.

use super::{Entry, Ledger};
use crate::sync::Hashed;

impl<K: Eq, T> Ledger<K, T> {
    /// Appends an item that nobody finds before it is linked. Returns its index, which others have to be given by way of
    /// an Acquire.
    pub(crate) fn prepare(&self, hash: u64, key: K, item: T) -> usize {
        let key = Hashed::new(hash, key);
        self.entries.append(Entry { key, item }).0
    }

    /// What was prepared, linked or not.
    pub(crate) fn prepared(&self, index: usize) -> (&K, &T) {
        let entry = self.entries.get(index);
        (entry.key.key(), &entry.item)
    }

    /// Puts what was prepared, as [`put_if`](Self::put_if) puts what it is given. Anybody may do so, and more than one:
    /// `allow` must not say so of the very item, nor of what has replaced it.
    pub(crate) fn link_if(&self, index: usize, mut allow: impl FnMut(Option<&T>) -> bool) -> bool {
        let entry = self.entries.get(index);
        let place = self.place(entry.key.hash, entry.key.key());
        if !allow(place.item()) {
            return false;
        }
        self.link(place, index, entry, |there, _| allow(there))
            .is_ok()
    }
}
