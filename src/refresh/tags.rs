//! Forgetting what is cached under tags, when asked.

use super::control::Untag;
use super::worker::Refresher;
use crate::stats::Counters;
use crate::tags::Tags;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    /// All that is asked for in one turn at once. Each is told how many keys had a value under its tags.
    pub(super) fn untag(&mut self, untag: Untag) {
        if untag.asked.is_empty() {
            return;
        }
        let all: Tags = untag.tags.iter().flatten().collect();
        let mut gone = vec![0; untag.tags.len()];
        let before = self.store.view().current.epoch;
        let untagged = self.contained(|this| {
            this.folder.invalidate_tags(&this.store, &all, |tagged| {
                for (gone, tags) in gone.iter_mut().zip(&untag.tags) {
                    *gone += u64::from(tags.meet(tagged));
                }
            });
        });
        // What was sealed when a fold failed was folded first.
        let epoch = self.store.view().current.epoch;
        Counters::add(&self.stats.publications, (epoch - before) as usize);
        self.count_folded();
        for (gone, reply) in gone.into_iter().zip(untag.asked) {
            let untagged = untagged.clone();
            reply.answer(untagged.map(|()| gone));
        }
    }
}
