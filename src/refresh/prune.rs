//! Bringing the number of keys down, when asked.

use super::control::Prune;
use super::worker::Refresher;
use crate::stats::Counters;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    /// One after another, as each is told how many went for it.
    pub(super) fn prune(&mut self, prune: Prune) {
        for (most, reply) in prune.to.into_iter().zip(prune.asked) {
            let before = self.store.view().current.epoch;
            let pruned = self.contained(|this| this.folder.prune(&this.store, most));
            if let Ok((_, epoch)) = &pruned {
                self.dirty_since = None;
                Counters::add(&self.stats.publications, (epoch - before) as usize);
            }
            self.count_folded();
            reply.answer(pruned.map(|(evicted, _)| evicted as u64));
        }
    }
}
