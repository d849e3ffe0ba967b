//! What a table knows of its entries beside their keys and values: one thing for each place.

use super::{At, Table};
use crate::sync::pace;

/// One thing for each place of a table.
pub(super) struct Beside<T> {
    first: Box<[T]>,
    second: Box<[T]>,
    last: Box<[T]>,
}

impl<T> Beside<T> {
    pub(super) fn new<K, V>(table: &Table<K, V>, each: impl Fn() -> T) -> Self {
        let of = |places| pace::filled(places, &each);
        Self {
            first: of(table.first.shape().slots()),
            second: of(table.second.shape().slots()),
            last: of(table.last.len()),
        }
    }

    #[inline]
    pub(super) fn at(&self, at: At) -> Option<&T> {
        match at {
            At::First(slot) => self.first.get(slot),
            At::Second(slot) => self.second.get(slot),
            At::Last(index) => self.last.get(index),
        }
    }

    /// Bytes of what it has allocated.
    pub(super) fn bytes(&self) -> usize {
        let places = [&self.first, &self.second, &self.last];
        places.map(|places| size_of_val(&**places)).iter().sum()
    }

    pub(super) fn set(&mut self, at: At, thing: T) {
        let there = match at {
            At::First(slot) => self.first.get_mut(slot),
            At::Second(slot) => self.second.get_mut(slot),
            At::Last(index) => self.last.get_mut(index),
        };
        if let Some(there) = there {
            *there = thing;
        }
    }
}

impl<K: Eq, V> Table<K, V> {
    /// What `changed` says of the keys that it names; of others what `before` says of their places in `old`, or else
    /// `each`.
    ///
    /// Where it says so of a key more than once, the last counts. What it names and is not here is passed over.
    pub(super) fn beside_as<'a, T, H>(
        &self,
        each: impl Fn() -> T,
        (old, before): (&Self, Option<impl Fn(At) -> Option<T>>),
        changed: impl Iterator<Item = (u64, &'a K, T)>,
        hash_of: H,
    ) -> Beside<T>
    where
        K: 'a,
        H: Fn(&K) -> u64,
    {
        let mut beside = Beside::new(self, each);
        if let Some(before) = before {
            for (at, (key, _)) in self.places() {
                let there = old.place_there(at, key, &hash_of);
                if let Some(thing) = there.and_then(&before) {
                    beside.set(at, thing);
                }
            }
        }
        for (hash, key, thing) in pace::each(changed) {
            if let Some(at) = self.place_of(hash, key) {
                beside.set(at, thing);
            }
        }
        beside
    }
}
