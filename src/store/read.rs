//! Reads without a handle, and what there is as a whole.

use std::borrow::Borrow;
use std::hash::BuildHasher;

use super::{Store, View};
use crate::sync::{Place, Stopped};
use crate::{Key, Value};

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// What to [`peek`](Self::peek) by.
    pub(crate) fn place(&self) -> Place<View<K, V>> {
        self.cell.place()
    }

    /// The value of a key, if it is cached.
    ///
    /// The store is asked for only where the short way finds nothing, so that this need not go through pointers to it.
    #[inline(always)]
    pub(crate) fn peek<'s, Q>(
        place: &Place<View<K, V>>,
        store: impl FnOnce() -> &'s Self,
        hash: u64,
        key: &Q,
    ) -> Option<V>
    where
        Self: 's,
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // One way for all that is no short hit: then what follows a hit is compiled for that alone.
        match place.read(|view| view.unmarked(hash, key).cloned()) {
            Ok(value) => Some(value),
            Err(stopped) => {
                let value = store().peek_on(place, stopped, hash, key)?;
                // Or the compiler makes one of both ways, and has a hit ask as well whether there is a value.
                std::hint::black_box(());
                Some(value)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn peek_on<Q>(
        &self,
        place: &Place<View<K, V>>,
        stopped: Stopped<'_>,
        hash: u64,
        key: &Q,
    ) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.cell
            .read_on(place, stopped, |view| view.value(hash, key))
    }

    /// What `read` makes of the value of a key, if it is cached.
    #[inline(always)]
    pub(crate) fn with<'s, Q, R>(
        place: &Place<View<K, V>>,
        store: impl FnOnce() -> &'s Self,
        hash: u64,
        key: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R>
    where
        Self: 's,
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Both ways want it, and one is gone.
        let read = std::cell::Cell::new(Some(read));
        let once = |value: Option<&V>| value.and_then(|value| Some(read.take()?(value)));
        match place.read(|view| once(view.unmarked(hash, key))) {
            Ok(made) => Some(made),
            Err(stopped) => {
                let cell = &store().cell;
                cell.read_on(place, stopped, |view| once(view.get(hash, key)))
            }
        }
    }

    /// How many keys are cached: the table's, and what the overlays add and take away.
    pub(crate) fn len(&self) -> usize {
        let view = self.view();
        if self.alive.is_some() {
            return self.count_living(&view);
        }
        let table = &view.current.table;
        let mut len = table.len_at(table.now());
        view.for_each_overlaid(|hash, key, write| {
            let in_table = table.find_any(hash, key).is_some();
            match (in_table, write.value(&self.times).is_some()) {
                (false, true) => len += 1,
                (true, false) => len = len.saturating_sub(1),
                _ => {}
            }
        });
        len
    }

    /// The keys that are cached.
    pub(crate) fn keys(&self) -> Vec<K> {
        let view = self.view();
        let table = view.current.table.iter();
        let mut keys: Vec<K> = table
            .filter(|&(key, _)| view.overlaid(self.hash(key), key).is_none())
            .filter(|&(key, value)| self.lives(key, value))
            .map(|(key, _)| key.clone())
            .collect();
        view.for_each_overlaid(|_, key, write| {
            let value = write.value(&self.times);
            if value.is_some_and(|value| self.lives(key, value)) {
                keys.push(key.clone());
            }
        });
        keys
    }
}
