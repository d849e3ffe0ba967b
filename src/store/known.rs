//! What a view knows of keys besides their values.

use std::borrow::Borrow;

use super::{View, Write};
use crate::clock::Deadline;

impl<K: Eq + Clone, V> View<K, V> {
    /// When the value of a key expires; `None` if it has none, or none any more.
    pub(crate) fn deadline<Q>(&self, hash: u64, key: &Q) -> Option<Deadline>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.alive.is_some() && !self.is_present(hash, key) {
            return None;
        }
        let expires = match self.overlaid(hash, key) {
            Some(write) => write.value(&self.times).map(|_| write.content().expires),
            None if self.current.table.find_any(hash, key).is_none() => None,
            None => self.current.table.deadline_of(hash, key),
        };
        expires.filter(|expires| !expires.is_over(&self.times.clock))
    }

    /// What the value of a key weighs, in a bucket with a limit.
    pub(crate) fn weight(&self, hash: u64, key: &K) -> u64 {
        match self.overlaid(hash, key) {
            _ if self.budget.is_none() => 0,
            Some(write) => write.content().weight.get(),
            None => self.current.table.weight(hash, key),
        }
    }

    /// The highest number, as far as this view knows, of a change that a load of the key must not
    /// overwrite and that a read which saw it must not go behind.
    pub(crate) fn last_change<Q>(&self, hash: u64, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let written = self.overlaid(hash, key).map_or(0, |write| write.number());
        let folded = self
            .echo
            .as_ref()
            .and_then(|echo| echo.last(hash))
            .unwrap_or(0);
        written.max(folded).max(self.floor)
    }

    /// Calls `each` for the newest write of every key in the overlays. Weakly consistent.
    pub(crate) fn for_each_overlaid(&self, mut each: impl FnMut(u64, &K, &Write<V>)) {
        self.active.for_each(&mut each);
        if let Some(sealed) = &self.sealed {
            sealed.overlay.for_each(|hash, key, write| {
                if self.active.get(hash, key).is_none() {
                    each(hash, key, write);
                }
            });
        }
    }
}
