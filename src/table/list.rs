//! The last resort: entries sorted by full hash, for keys that no level could part.

use std::borrow::Borrow;
use std::mem;

use crate::sync::pace;
use crate::table::level::Marks;
use crate::table::{Item, discard};

/// Entries in order of their mixed hash. Lookups take `O(log n)`, and then as many comparisons
/// as keys have the very same hash.
pub(super) struct List<K, V> {
    hashes: Box<[u64]>,
    entries: Box<[(K, V)]>,
    pub(super) marks: Marks,
}

impl<K, V> List<K, V> {
    pub(super) fn empty() -> Self {
        List {
            hashes: Box::default(),
            entries: Box::default(),
            marks: Marks::none(0),
        }
    }

    /// Builds a list from items in order of arrival; of the items of one key the last one wins.
    pub(super) fn build(mut items: Vec<Item<K, V>>) -> Self
    where
        K: Eq,
    {
        items.sort_by_key(|item| item.hash);
        let mut hashes: Vec<u64> = Vec::with_capacity(items.len());
        let mut entries: Vec<(K, V)> = Vec::with_capacity(items.len());
        let mut run = 0;
        for Item { hash, key, value } in pace::each(items) {
            if hashes.last() != Some(&hash) {
                run = hashes.len();
            }
            match entries[run..].iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => discard([mem::replace(entry, (key, value))]),
                None => {
                    hashes.push(hash);
                    entries.push((key, value));
                }
            }
        }
        List {
            marks: Marks::none(entries.len()),
            hashes: hashes.into(),
            entries: entries.into(),
        }
    }

    /// The index of a key that is here, marked or not.
    pub(super) fn position<Q>(&self, mixed: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let first = self.hashes.partition_point(|&hash| hash < mixed);
        self.hashes[first..]
            .iter()
            .zip(&self.entries[first..])
            .take_while(|&(&hash, _)| hash == mixed)
            .position(|(_, (known, _))| known.borrow() == key)
            .map(|offset| first + offset)
    }

    pub(super) fn get(&self, index: usize) -> Option<(&K, &V)> {
        self.entries.get(index).map(|(key, value)| (key, value))
    }

    /// Iterates over all entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Bytes of what it has allocated.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.hashes) + size_of_val(&*self.entries) + self.marks.bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        mem::take(&mut self.entries).into_iter()
    }

    /// Iterates over all entries with their mixed hashes.
    pub(super) fn items(&self) -> impl Iterator<Item = (u64, (&K, &V))> {
        self.hashes.iter().copied().zip(self.entries())
    }
}

impl<K, V> Drop for List<K, V> {
    fn drop(&mut self) {
        discard(self.take());
    }
}
