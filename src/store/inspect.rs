//! What a store holds besides what reads see: for who looks into it, and for nobody else.

use std::borrow::Borrow;
use std::hash::BuildHasher;

use super::{LastFold, Store, View};
use crate::clock::Deadline;
use crate::{Key, Value};

/// What is held of a key, live or not.
pub(crate) struct Held {
    pub(crate) expires: Deadline,
    /// In a bucket with a limit.
    pub(crate) weight: Option<u64>,
    /// The moment of the last touch, or the number of its period, in a bucket in which that matters.
    pub(crate) touched: Option<u64>,
    pub(crate) is_folded: bool,
    /// It has expired, or was idle for too long, and is still there.
    pub(crate) is_over: bool,
}

impl<K: Eq + Clone, V> View<K, V> {
    /// What is held of a key. `None` where it was removed, or is nowhere. Touches nothing, and asks nobody whether the
    /// value lives.
    pub(crate) fn held_of<Q>(&self, hash: u64, key: &Q) -> Option<Held>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let weight = |weight| self.budget.as_ref().map(|_| weight);
        let table = &self.current.table;
        if let Some(write) = self.overlaid(hash, key) {
            let content = write.content();
            content.value.as_ref()?;
            return Some(Held {
                expires: content.expires,
                weight: weight(content.weight.get()),
                touched: self.times.idle.map(|_| write.last_touched()),
                is_folded: false,
                is_over: write.value(&self.times).is_none(),
            });
        }
        Some(Held {
            expires: table.deadline_of(hash, key)?,
            weight: weight(table.weight(hash, key)),
            touched: table.last_touch_of(hash, key),
            is_folded: true,
            is_over: table.find_any(hash, key).is_none(),
        })
    }

    /// Calls `each` for every key whose value is over, and still there. Ends and touches nothing.
    fn for_each_over(&self, hash_of: impl Fn(&K) -> u64, mut each: impl FnMut(&K)) {
        let table = &self.current.table;
        for key in table.gone_at(table.now()) {
            if self.overlaid(hash_of(key), key).is_none() {
                each(key);
            }
        }
        self.for_each_overlaid(|_, key, write| {
            if write.content().value.is_some() && write.value(&self.times).is_none() {
                each(key);
            }
        });
    }
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// The keys of what is over in a view, and still there.
    pub(crate) fn keys_over(&self, view: &View<K, V>) -> Vec<K> {
        let mut keys = Vec::new();
        view.for_each_over(|key| self.hash(key), |key| keys.push(key.clone()));
        keys
    }

    /// How many there are.
    pub(crate) fn count_over(&self, view: &View<K, V>) -> usize {
        let mut count = 0;
        view.for_each_over(|key| self.hash(key), |_| count += 1);
        count
    }

    /// What the folder has done last.
    pub(crate) fn last_fold(&self) -> Option<LastFold> {
        *self.last_fold.lock()
    }
}
