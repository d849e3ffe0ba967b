//! The last level: entries sorted by full hash, for keys that no shelf could part.

use std::borrow::Borrow;
use std::mem;

use crate::sync::{atomic::AtomicU64, order};
use crate::table::build::Item;
use crate::table::discard;

/// Entries in order of their mixed hash. Lookups take `O(log n)`, and then as many comparisons
/// as keys have the very same hash.
pub(super) struct List<K, V> {
    hashes: Box<[u64]>,
    entries: Box<[(K, V)]>,
    /// One bit for each entry.
    marks: Box<[AtomicU64]>,
}

impl<K, V> List<K, V> {
    /// Builds a list from items in order of arrival; of the items of one key the last one wins.
    pub(super) fn build(mut items: Vec<Item<K, V>>) -> Self
    where
        K: Eq,
    {
        items.sort_by_key(|item| item.hash);
        let mut hashes: Vec<u64> = Vec::with_capacity(items.len());
        let mut entries: Vec<(K, V)> = Vec::with_capacity(items.len());
        let mut run = 0;
        for Item { hash, key, value } in items {
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
        let marks = (0..entries.len().div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        List {
            hashes: hashes.into(),
            entries: entries.into(),
            marks,
        }
    }

    /// Returns the index of a key, marked or not.
    fn position<Q>(&self, mixed: u64, key: &Q) -> Option<usize>
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

    pub(super) fn find<Q>(&self, mixed: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let index = self.position(mixed, key)?;
        let marks = self.marks[index / 64].load(order::MARK_LOOK);
        if marks & 1 << (index % 64) != 0 {
            return None;
        }
        Some(&self.entries[index].1)
    }

    pub(super) fn find_any<Q>(&self, mixed: u64, key: &Q) -> Option<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.position(mixed, key)
            .map(|index| (index, &self.entries[index].1))
    }

    pub(super) fn mark<Q>(&self, mixed: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(index) = self.position(mixed, key) else {
            return false;
        };
        let word = &self.marks[index / 64];
        let mut marks = word.load(order::MARK_LOOK);
        while let Err(now) = word.compare_exchange(
            marks,
            marks | 1 << (index % 64),
            order::MARK,
            order::MARK_LOOK,
        ) {
            marks = now;
        }
        true
    }

    pub(super) fn entries(&self) -> &[(K, V)] {
        &self.entries
    }

    pub(super) fn take_entries(&mut self) -> Box<[(K, V)]> {
        mem::take(&mut self.entries)
    }

    /// Iterates over all entries with their mixed hashes.
    pub(super) fn items(&self) -> impl Iterator<Item = (u64, &(K, V))> {
        self.hashes.iter().copied().zip(&self.entries)
    }
}

impl<K, V> Drop for List<K, V> {
    fn drop(&mut self) {
        if mem::needs_drop::<(K, V)>() {
            discard(mem::take(&mut self.entries).into_vec());
        }
    }
}
