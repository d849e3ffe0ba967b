//! A map that knows keys by their hash, and calls no `Hash` of the user's.

use std::collections::BTreeMap;

use crate::sync::Hashed;

/// A hash, and a number that tells the keys of one hash apart.
pub(super) type Place = (u64, u64);

/// For the folder's own notes. Keys of one hash are as slow as a list, and no slower.
pub(super) struct ByHash<K, T> {
    entries: BTreeMap<Place, (Hashed<K>, T)>,
    next: u64,
}

impl<K: Eq, T> ByHash<K, T> {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn find(&self, hash: u64, key: &K) -> Option<Place> {
        self.entries
            .range((hash, 0)..=(hash, u64::MAX))
            .find(|(_, (known, _))| known.key() == key)
            .map(|(&place, _)| place)
    }

    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&T> {
        self.at(self.find(hash, key)?)
    }

    pub(super) fn key_at(&self, place: Place) -> Option<&K> {
        self.entries.get(&place).map(|(key, _)| key.key())
    }

    pub(super) fn at(&self, place: Place) -> Option<&T> {
        self.entries.get(&place).map(|(_, item)| item)
    }

    /// Adds a key that is not here.
    pub(super) fn add(&mut self, key: Hashed<K>, item: T) -> Place {
        let place = (key.hash, self.next);
        self.next += 1;
        self.entries.insert(place, (key, item));
        place
    }

    pub(super) fn set(&mut self, place: Place, item: T) {
        if let Some((_, there)) = self.entries.get_mut(&place) {
            *there = item;
        }
    }

    pub(super) fn take(&mut self, place: Place) -> Option<(Hashed<K>, T)> {
        self.entries.remove(&place)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn into_keys(self) -> impl Iterator<Item = Hashed<K>> {
        self.entries.into_values().map(|(key, _)| key)
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &K)> {
        self.entries
            .iter()
            .map(|(&place, (key, _))| (place, key.key()))
    }
}
