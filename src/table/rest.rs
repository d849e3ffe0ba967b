//! What a table has behind its first level: levels of mixed hashes, and at last a list.

use std::borrow::Borrow;
use std::mem;

use crate::table::header::{Narrow, remix};
use crate::table::level::{Found, Level};
use crate::table::list::List;

/// A level, and those after it.
pub(super) struct Rest<K, V> {
    pub(super) level: Level<K, V, Narrow>,
    pub(super) next: Next<K, V>,
}

/// What comes after a level: what found no place in it.
pub(super) enum Next<K, V> {
    Nothing,
    Level(Box<Rest<K, V>>),
    List(Box<List<K, V>>),
}

impl<K, V> Rest<K, V> {
    pub(super) fn empty() -> Self {
        Rest {
            level: Level::empty(),
            next: Next::Nothing,
        }
    }

    /// Finds a key that is not marked.
    pub(super) fn find<Q>(&self, mixed: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.level.find(mixed, key) {
            Found::Here(value) => return Some(value),
            Found::Nowhere => return None,
            Found::Further => {}
        }
        match &self.next {
            Next::Nothing => None,
            Next::Level(rest) => rest.find(remix(mixed), key),
            Next::List(list) => list.find(remix(mixed), key),
        }
    }

    /// Returns a key's value, marked or not, and its place in the order of `iter`.
    pub(super) fn find_any<Q>(&self, mixed: u64, key: &Q) -> Option<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.level.find_any(mixed, key) {
            Found::Here(found) => Some(found),
            Found::Nowhere => None,
            Found::Further => {
                let (index, value) = match &self.next {
                    Next::Nothing => None,
                    Next::Level(rest) => rest.find_any(remix(mixed), key),
                    Next::List(list) => list.find_any(remix(mixed), key),
                }?;
                Some((self.level.entries.len() + index, value))
            }
        }
    }

    pub(super) fn mark<Q>(&self, mixed: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.level.mark(mixed, key) {
            Found::Here(()) => true,
            Found::Nowhere => false,
            Found::Further => match &self.next {
                Next::Nothing => false,
                Next::Level(rest) => rest.mark(remix(mixed), key),
                Next::List(list) => list.mark(remix(mixed), key),
            },
        }
    }

    /// Returns the entries, level by level.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[(K, V)]> {
        let mut next = Some(self);
        let mut last = None;
        std::iter::from_fn(move || {
            let Some(rest) = next.take() else {
                return last.take().map(List::entries);
            };
            match &rest.next {
                Next::Nothing => {}
                Next::Level(after) => next = Some(after),
                Next::List(list) => last = Some(list),
            }
            Some(&*rest.level.entries)
        })
    }

    /// Moves all entries out.
    pub(super) fn into_entries(mut self) -> impl Iterator<Item = (K, V)> {
        let mut parts = vec![self.level.take_entries()];
        loop {
            match mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => break,
                Next::Level(rest) => {
                    self = *rest;
                    parts.push(self.level.take_entries());
                }
                Next::List(mut list) => parts.push(list.take_entries()),
            }
        }
        parts.into_iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.parts().map(<[_]>::len).sum()
    }
}
