//! The immutable hash table of a snapshot: built once, read by many, never changed but for marks.
//!
//! A table is a few *levels*. The first holds nearly all entries, dense, and one header word for each
//! *shelf*. The low bits of a key's hash choose its shelf. Two more bits of the hash choose its place
//! among the up to four keys there; the header knows the position of those bits, which was found, when
//! the shelf was filled, to give every key a place of its own. So a lookup loads a header, computes one
//! index, and compares one key. No fingerprint is compared, and nothing is searched.
//!
//! What finds no place, one key in two hundred to one in eighty, is in the next level, which knows keys by a mixed
//! hash, and at last in a sorted list, so that no hasher, not even a constant one, breaks anything but
//! its own speed.
//!
//! A *mark* says that an entry is superseded by something newer outside of the table. It makes the short
//! way of a lookup miss, so that a hit pays nothing for it.

mod build;
mod draft;
mod header;
mod level;
mod list;
mod patch;
mod rest;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;

use std::borrow::Borrow;

use crate::contain::drop_contained;
use crate::table::header::{Narrow, Wide, mix};
use crate::table::level::{Found, Level};
use crate::table::rest::Rest;

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
    /// Nearly all entries of a small table, by the user's own hashes.
    small: Level<K, V, Wide>,
    /// The same of a large one.
    large: Level<K, V, Narrow>,
    /// All others, by mixed hashes.
    rest: Rest<K, V>,
}

impl<K, V> Table<K, V> {
    /// A table without entries. Does not allocate.
    pub(crate) fn empty() -> Self {
        Table {
            small: Level::empty(),
            large: Level::empty(),
            rest: Rest::empty(),
        }
    }

    /// Builds a table from pairs; of the pairs of one key, the last one wins.
    ///
    /// # Panics
    ///
    /// When there are more than `2^32 - 1` keys.
    pub(crate) fn from_pairs<I, H>(pairs: I, hash_of: H) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        H: Fn(&K) -> u64,
        K: Eq,
    {
        build::from_pairs(pairs.into_iter(), &hash_of)
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
        patch::patched(self, changes, &hash_of)
    }

    /// The short way of a lookup: returns the value of nearly every key that is here and not marked. What
    /// it does not find is to be looked for with [`find`](Self::find).
    #[inline(always)]
    pub(crate) fn hit<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.small.home(hash) {
            Some(home) => self.small.hit(home, hash, key),
            None => self.large.hit(self.large.home(hash)?, hash, key),
        }
    }

    /// Returns the value of a key that is here and not marked.
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.small.find(hash, key).or(|| self.large.find(hash, key)) {
            Found::Here(value) => Some(value),
            Found::Nowhere => None,
            Found::Further => self.rest.find(mix(hash), key),
        }
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
        let large = || self.large.find_any(hash, key);
        match self.small.find_any(hash, key).or(large) {
            Found::Here(found) => Some(found),
            Found::Nowhere => None,
            Found::Further => {
                let (index, value) = self.rest.find_any(mix(hash), key)?;
                Some((self.first_len() + index, value))
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
        let large = || self.large.mark(hash, key);
        match self.small.mark(hash, key).or(large) {
            Found::Here(()) => true,
            Found::Nowhere => false,
            Found::Further => self.rest.mark(mix(hash), key),
        }
    }

    /// Iterates over all entries, also marked ones, in table order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let first = self.small.entries.iter().chain(&self.large.entries);
        first
            .chain(self.rest.parts().flatten())
            .map(|(key, value)| (key, value))
    }

    /// Returns the number of entries, also marked ones.
    pub(crate) fn len(&self) -> usize {
        self.first_len() + self.rest.len()
    }

    fn first_len(&self) -> usize {
        self.small.entries.len() + self.large.entries.len()
    }

    /// Returns the number of shelves of the first level.
    fn shelves(&self) -> usize {
        let first = self.small.headers.len() + self.large.headers.len();
        if first > 0 {
            first
        } else {
            self.rest.level.headers.len()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves all entries out.
    fn into_entries(mut self) -> impl Iterator<Item = (K, V)> {
        let first = self.small.take_entries().into_iter();
        let large = self.large.take_entries().into_iter();
        first.chain(large).chain(self.rest.into_entries())
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
