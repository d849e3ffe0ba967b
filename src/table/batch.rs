//! What is to be placed next.

use std::ops::Range;

use crate::sync::pace;
use crate::table::Item;
use crate::table::entries::Draft;

/// Pairs on their way into the next blocks of a level, in order of arrival, and apart from them their hashes: those are
/// gone through several times, and the pairs once. Used again for the blocks after these.
pub(super) struct Batch<K, V> {
    pub(super) hashes: Vec<u64>,
    pub(super) pairs: Vec<(K, V)>,
}

impl<K, V> Batch<K, V> {
    pub(super) fn new() -> Self {
        Self {
            hashes: Vec::new(),
            pairs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, item: Item<K, V>) {
        self.hashes.push(item.hash);
        self.pairs.push(item.into_pair());
    }

    /// What was stowed in these slots of a level.
    pub(super) fn take(
        &mut self,
        draft: &mut Draft<K, V>,
        slots: Range<usize>,
        hash_of: &impl Fn(&K) -> u64,
    ) where
        K: Clone,
        V: Clone,
    {
        let first = self.pairs.len();
        draft.take(slots, &mut self.pairs);
        for pairs in self.pairs[first..].chunks(pace::EVERY) {
            pace::checkpoint();
            self.hashes
                .extend(pairs.iter().map(|(key, _)| hash_of(key)));
        }
    }
}
