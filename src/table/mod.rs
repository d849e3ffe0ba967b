//! The immutable hash table of a snapshot: built once, read by many, never changed but for marks.
//!
//! A small table has a [`direct`] part, in which each key has one place. A larger one has *levels*.
//! Level 0 holds nearly all entries, dense and in order of the mixed hash, and one header word for each
//! *shelf*, a run of up to four entries whose hashes fall together. A lookup loads one header, compares
//! four fingerprints at once, and reads the entry. What does not fit on a shelf is in the next level,
//! and at last in a sorted list, so that no hasher, not even a constant one, breaks anything but its own
//! speed.
//!
//! A *mark* says that an entry is superseded by something newer outside of the table. It makes the short
//! way of a lookup miss the entry, so that a hit pays nothing for it.

mod build;
mod direct;
mod header;
mod level;
mod list;
mod patch;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;

use std::borrow::Borrow;

use crate::contain::drop_contained;
use crate::table::direct::{Direct, Found};
use crate::table::header::mix;
use crate::table::level::Level;

/// One key's part in [`Table::patched`]: its new value, or that it goes.
#[derive(Clone, Debug)]
pub(crate) struct Change<K, V> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    /// `None` removes the key.
    pub(crate) value: Option<V>,
}

/// An immutable hash table with dense entries.
///
/// Hashes are the caller's: every method wants the hash of the key it is given, always from the
/// same hasher. Dropping a table survives panics of the keys' and values' own `Drop`.
pub(crate) struct Table<K, V> {
    /// Nearly all entries of a small table, none of a large one.
    direct: Direct<K, V>,
    /// All others.
    root: Level<K, V>,
}

impl<K, V> Table<K, V> {
    /// A table without entries. Does not allocate.
    pub(crate) fn empty() -> Self {
        Table {
            direct: Direct::empty(),
            root: Level::empty(),
        }
    }

    /// Builds a table from pairs; of the pairs of one key, the last one wins.
    ///
    /// # Panics
    ///
    /// When there are more than `2^31 - 1` pairs.
    pub(crate) fn from_pairs<I, H>(pairs: I, hash_of: H) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        H: Fn(&K) -> u64,
        K: Eq,
    {
        build::from_pairs(pairs.into_iter(), hash_of)
    }

    /// Returns a table with the changes applied and no marks; this one stays as it is.
    ///
    /// The keys of the changes are distinct. Copies this table shelf by shelf, without hashing
    /// its keys, as long as the number of shelves suits the new number of entries.
    pub(crate) fn patched<H>(&self, changes: Vec<Change<K, V>>, hash_of: H) -> Self
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        patch::patched(self, changes, hash_of)
    }

    /// Returns the value of a key that is here and not marked.
    #[inline(always)]
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.direct.find(hash, key) {
            Some(Found::Here(value)) => Some(value),
            Some(Found::Nowhere) => None,
            Some(Found::Further) => self.find_further(hash, key),
            None => self.root.find(mix(hash), key),
        }
    }

    /// Finds what found no place in the direct part: one key in two hundred.
    #[cold]
    #[inline(never)]
    fn find_further<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.root.find(mix(hash), key)
    }

    /// Returns the value of a key that is here, marked or not.
    pub(crate) fn find_any<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.locate(hash, key).map(|(_, value)| value)
    }

    /// Returns a key's value, marked or not, and its place in the order of [`iter`](Self::iter).
    fn locate<Q>(&self, hash: u64, key: &Q) -> Option<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.direct.find_any(hash, key) {
            Found::Here(found) => Some(found),
            Found::Nowhere => None,
            Found::Further => {
                let (index, value) = self.root.find_any(mix(hash), key)?;
                Some((self.direct.entries().len() + index, value))
            }
        }
    }

    /// Marks a key's entry; returns whether the key is here.
    ///
    /// Any number of threads may mark and find at the same time. A mark is never taken back.
    pub(crate) fn mark<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.direct.mark(hash, key) {
            Found::Here(()) => true,
            Found::Nowhere => false,
            Found::Further => self.root.mark(mix(hash), key),
        }
    }

    /// Iterates over all entries, also marked ones, in table order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.direct.entries().iter().chain(self.root.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// Returns the number of entries, also marked ones.
    pub(crate) fn len(&self) -> usize {
        self.direct.entries().len() + self.root.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves all entries out.
    fn into_entries(mut self) -> impl Iterator<Item = (K, V)> {
        let direct = self.direct.take_entries().into_iter();
        direct.chain(self.root.into_entries())
    }

    /// Drops all entries here and now; a panic in one's `Drop` does not stop the others.
    pub(crate) fn dispose(self) {
        drop(self);
    }
}

/// Drops entries one by one, so that a panicking `Drop` neither stops the others nor, when a
/// second one panics, aborts the process.
fn discard<K, V>(entries: impl IntoIterator<Item = (K, V)>) {
    for (key, value) in entries {
        drop_contained(key);
        drop_contained(value);
    }
}
