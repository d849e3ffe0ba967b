//! What loads bring under tags.

use std::collections::BTreeMap;

use super::Loads;
use super::batch::Answers;
use super::flight::Flight;
use crate::loader::Outcome;
use crate::store::TagFloors;
use crate::sync::{Arc, fault};
use crate::tags::Tags;
use crate::{HashBuilder, Key, Value};

impl<K, V> Flight<K, V> {
    /// What it has loaded has these tags. To be called before it is answered.
    pub(super) fn set_tags(&self, tags: Option<&Tags>) {
        if let Some(tags) = tags {
            *self.tags.lock() = Some(tags.clone());
        }
    }

    /// Whether what this has been answered with has a tag that was invalidated after its load began, and before somebody
    /// asked, who has seen these floors then.
    ///
    /// While the load is under way every view has the floors that are above it. So who has asked after the invalidation
    /// has seen that.
    pub(super) fn is_overtaken(&self, floors: Option<&Arc<TagFloors>>) -> bool {
        floors.is_some_and(|floors| {
            if fault::planted("joins_overtaken") {
                return false;
            }
            let tags = self.tags.lock();
            tags.as_ref()
                .is_some_and(|tags| self.number() < floors.of(tags))
        })
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Of several pairs of one key only the last, where any has tags: the store tells the writes of a key by the number of
    /// their load.
    pub(super) fn last_of_each(&self, pairs: Answers<K, V>) -> Answers<K, V> {
        if !pairs
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Tagged(..)))
        {
            return pairs;
        }
        let mut places: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut last: Answers<K, V> = Vec::with_capacity(pairs.len());
        for (key, outcome) in pairs.into_iter().rev() {
            if !outcome.stores() {
                continue;
            }
            let there = places.entry(self.store.hash(&key)).or_default();
            if there.iter().all(|&at| last[at].0 != key) {
                there.push(last.len());
                last.push((key, outcome));
            }
        }
        last.reverse();
        last
    }
}
