//! Bringing the number of keys down, now.

use std::hash::BuildHasher;

use super::Store;
use super::fold::Folder;
use super::tally::LastFold;
use crate::{Key, Value};

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Whether it is known what is to go first.
    pub(crate) fn knows_what_goes(&self) -> bool {
        self.policy().is_some() || self.times.idle.is_some()
    }
}

impl<K: Key, V: Value> Folder<K, V> {
    /// Evicts what is to go first, until `most` keys are left. What has expired goes before that, and does not count.
    /// Returns how many were evicted so, and the epoch.
    ///
    /// What is written meanwhile may be too much again. May panic as [`fold`](Self::fold) does; then nothing is evicted.
    pub(crate) fn prune<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        most: usize,
    ) -> (usize, u64) {
        let begun = LastFold::begin(store, &self.tally);
        let mut epoch = self.fold(store);
        let keys = {
            let table = &store.view().current.table;
            table.len_at(table.now()).saturating_sub(most)
        };
        let before = self.tally.evicted;
        if keys > 0 {
            self.prunes = keys;
            epoch = self.fold_once(store);
        }
        begun.end(store, &self.tally, epoch);
        (self.tally.evicted - before, epoch)
    }
}
