//! All that is in a table, one after another.

use super::{At, Table};
use crate::clock::Tick;
use crate::sync::pace;
use crate::table::level::Level;

impl<K, V> Table<K, V> {
    /// Iterates over all entries, with their places.
    pub(super) fn places(&self) -> impl Iterator<Item = (At, (&K, &V))> {
        let of = |level: &'_ Level<K, V>| 0..level.shape().slots();
        let first = self.first.entries().within(of(&self.first));
        let second = self.second.entries().within(of(&self.second));
        let last = self.last.entries().enumerate();
        let all = first
            .map(|(slot, entry)| (At::First(slot), entry))
            .chain(second.map(|(slot, entry)| (At::Second(slot), entry)))
            .chain(last.map(|(index, entry)| (At::Last(index), entry)));
        pace::each(all)
    }

    /// Iterates over all entries, also marked ones, in table order, but for those that have expired by then.
    pub(crate) fn iter_at(&self, now: Tick) -> impl Iterator<Item = (&K, &V)> {
        self.places()
            .filter(move |&(at, _)| !self.is_gone(at, now))
            .map(|(_, (key, value))| (key, value))
    }

    /// The same by now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.iter_at(self.now())
    }

    /// The keys of what has expired by then, or was not touched for too long. Ends nothing.
    pub(crate) fn gone_at(&self, now: Tick) -> impl Iterator<Item = &K> {
        let none = !self.earliest().is_past(now) && self.idle_clock().is_none();
        let places = (!none).then(|| self.places()).into_iter().flatten();
        places
            .filter(move |&(at, _)| self.is_gone(at, now))
            .map(|(_, (key, _))| key)
    }

    /// Returns the number of entries, also marked and expired ones.
    pub(crate) fn len(&self) -> usize {
        self.first.entries().len() + self.second.entries().len() + self.last.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
