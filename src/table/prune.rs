//! What goes where only so many entries are to be left.

use super::Table;
use crate::clock::Tick;

impl<K, V> Table<K, V> {
    /// So many keys, of those that were not touched for the longest time; fewer if there are not as many. Nothing that has
    /// been superseded, or is gone by `now`, is among them.
    pub(crate) fn longest_untouched(&self, keys: usize, now: Tick) -> Vec<&K> {
        self.untouched(keys as u64, now, &|at| {
            let is_current = |(_, _, is_marked): (&K, &V, bool)| !is_marked;
            u64::from(self.marked_entry(at).is_some_and(is_current))
        })
    }
}
