//! What a store has of a limit, if there is one, and by what it is told what was touched.

use std::hash::BuildHasher;

use super::budget::{Budget, Limits};
use super::evict::Policy;
use super::overlay::Times;
use super::{Content, Store};
use crate::sync::{Arc, order};
use crate::table::Recency;
use crate::{Key, Value};

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// The same with what it weighs, where that matters and is not known.
    #[inline]
    pub(crate) fn weighed(&self, key: &K, content: Content<V>) -> Content<V> {
        match (&self.limits, &content.value) {
            (Some(limits), Some(value)) => {
                let weight = limits.weigh(key, value);
                content.weighing(weight)
            }
            _ => content,
        }
    }

    pub(crate) fn limits(&self) -> Option<&Limits<K, V>> {
        self.limits.as_ref()
    }

    /// Where nobody has been told that the bucket is full since it last was not: the limit. To be asked after
    /// something was refused.
    pub(crate) fn told_full(&self) -> Option<u64> {
        let limits = self.limits.as_ref()?;
        (!limits.told.swap(true, order::CLAIM)).then_some(limits.limit)
    }

    /// Whoever finds the bucket full next is the first one again, if there is room now.
    pub(crate) fn look_for_room(&self) {
        let view = self.view();
        if let (Some(limits), Some(budget)) = (&self.limits, &view.budget)
            && limits.told.load(order::CLAIM)
            && budget.has_room()
        {
            limits.told.store(false, order::CLAIM);
        }
    }

    /// A budget of which nothing is used. Whoever finds it full is the first one.
    pub(super) fn fresh_budget(&self) -> Option<Arc<Budget>> {
        let limits = self.limits.as_ref()?;
        limits.told.store(false, order::CLAIM);
        Some(Arc::new(Budget::new(limits, 0)))
    }

    /// What everything that is cached weighs.
    pub(crate) fn weight(&self) -> u64 {
        self.view()
            .budget
            .as_ref()
            .map_or(0, |budget| budget.used())
    }

    /// By what those are chosen that go to make room, if any do.
    pub(crate) fn policy(&self) -> Option<Policy> {
        self.limits.as_ref()?.evicts
    }

    /// Whether it is known in which snapshot an entry was last touched.
    pub(crate) fn notes_periods(&self) -> bool {
        matches!(self.recency(0), Some(Recency::Period { .. }))
    }

    /// Whether it matters which write an entry is of.
    pub(super) fn numbers_entries(&self) -> bool {
        self.policy() == Some(Policy::LastWrite)
    }

    /// By what the entries of the table of an epoch are stamped.
    pub(super) fn recency(&self, epoch: u64) -> Option<Recency> {
        recency(&self.times, self.limits.as_ref(), epoch)
    }
}

/// As for the store that is to have these.
pub(super) fn recency<K, V>(
    times: &Times,
    limits: Option<&Limits<K, V>>,
    epoch: u64,
) -> Option<Recency> {
    match times.idle {
        Some(idle) => Some(Recency::Time(times.clock.clone(), idle)),
        None => limits?.evicts?.period(epoch),
    }
}
