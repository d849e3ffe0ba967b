//! Items that are appended first and found later.

use super::{Entry, Ledger};
use crate::sync::{Hashed, fault, order, plain};

/// An entry that is appended and found by nobody, which counts as left behind unless it is linked.
pub(super) struct Loose<'a>(pub(super) &'a plain::Word);

impl Drop for Loose<'_> {
    fn drop(&mut self) {
        if !fault::planted("replaced_uncounted") {
            self.0.fetch_add(1, order::COUNT);
        }
    }
}

impl<K: Eq, T> Ledger<K, T> {
    /// Puts `item` over whatever is there, of which and of it `over` is told.
    ///
    /// As [`put_if`](Self::put_if), but first the item is appended, where nobody finds it, and then `meanwhile` called with
    /// its key: that is work to be done while the processor fetches what was [asked for](Self::fetch_ahead).
    pub(crate) fn put_over(
        &self,
        hash: u64,
        key: K,
        item: T,
        meanwhile: impl FnOnce(&K),
        mut over: impl FnMut(&T, &T),
    ) {
        let key = Hashed::new(hash, key);
        let (index, entry) = self.entries.append(Entry { key, item });
        let loose = Loose(&self.behind);
        meanwhile(entry.key.key());
        let place = self.place(hash, entry.key.key());
        let mut allow = |there: Option<&T>, item: &T| {
            if let Some(there) = there {
                over(there, item);
            }
            true
        };
        allow(place.item(), &entry.item);
        let put = self.link(place, index, entry, loose, allow);
        debug_assert!(put.is_ok(), "put whatever is there");
    }

    /// Appends an item that nobody finds before it is linked. Returns its index, which others have to be given by way of
    /// an Acquire.
    pub(crate) fn prepare(&self, hash: u64, key: K, item: T) -> usize {
        let key = Hashed::new(hash, key);
        let (index, _) = self.entries.append(Entry { key, item });
        drop(Loose(&self.behind));
        index
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
        // As it is linked once at the most: what it has counted is given back first.
        self.behind.fetch_sub(1, order::COUNT);
        let loose = Loose(&self.behind);
        self.link(place, index, entry, loose, |there, _| allow(there))
            .is_ok()
    }
}
