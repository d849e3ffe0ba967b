//! One level of a table: headers, dense entries, and what overflowed.

use std::borrow::Borrow;
use std::mem;

use crate::sync::{atomic::AtomicU64, order};
use crate::table::discard;
use crate::table::header::{Header, Tag, remix, shelf_of};
use crate::table::list::List;

/// Shelves of up to four entries, and the next level for the keys that found no room.
pub(super) struct Level<K, V> {
    /// One word a shelf; bits are only ever cleared, by marks.
    pub(super) headers: Box<[AtomicU64]>,
    /// In order of shelves, without gaps.
    pub(super) entries: Box<[(K, V)]>,
    pub(super) overflow: Overflow<K, V>,
}

/// What comes after a level.
pub(super) enum Overflow<K, V> {
    None,
    Level(Box<Level<K, V>>),
    List(Box<List<K, V>>),
}

impl<K, V> Level<K, V> {
    pub(super) fn empty() -> Self {
        Level {
            headers: Box::default(),
            entries: Box::default(),
            overflow: Overflow::None,
        }
    }

    /// The read path. Everything that is rare is behind the one call at its end.
    #[inline(always)]
    pub(super) fn find<Q>(&self, mixed: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let word = self.headers.get(shelf_of(mixed, self.headers.len()))?;
        let header = Header::from_word(word.load(order::MARK_LOOK));
        if let Some(lane) = header.matches(Tag::of(mixed)).next() {
            // A lane that matches by chance may be past the shelf, or past the end.
            if let Some((known, value)) = self.entries.get(header.start() + lane)
                && known.borrow() == key
            {
                return Some(value);
            }
        } else if !header.overflows() {
            return None;
        }
        self.find_further(mixed, key)
    }

    /// Finds what is not in the first lane that matches: about one key in a hundred.
    #[cold]
    #[inline(never)]
    fn find_further<Q>(&self, mixed: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let word = self.headers.get(shelf_of(mixed, self.headers.len()))?;
        let header = Header::from_word(word.load(order::MARK_LOOK));
        for lane in header.matches(Tag::of(mixed)) {
            // A lane that is reported by chance may hold a marked entry, and that of this very key.
            if header.fingerprint(lane) != 0
                && let Some((known, value)) = self.entries.get(header.start() + lane)
                && known.borrow() == key
            {
                return Some(value);
            }
        }
        if !header.overflows() {
            return None;
        }
        match &self.overflow {
            Overflow::None => None,
            Overflow::Level(level) => level.find(remix(mixed), key),
            Overflow::List(list) => list.find(remix(mixed), key),
        }
    }

    /// Returns a key's value, marked or not, and its place in the order of `iter`.
    pub(super) fn find_any<Q>(&self, mixed: u64, key: &Q) -> Option<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let shelf = shelf_of(mixed, self.headers.len());
        let header = self.header(shelf)?;
        if let Some((index, _)) = self.locate(shelf, header, mixed, key) {
            return Some((index, &self.entries[index].1));
        }
        if !header.overflows() {
            return None;
        }
        let (index, value) = match &self.overflow {
            Overflow::None => None,
            Overflow::Level(level) => level.find_any(remix(mixed), key),
            Overflow::List(list) => list.find_any(remix(mixed), key),
        }?;
        Some((self.entries.len() + index, value))
    }

    pub(super) fn mark<Q>(&self, mixed: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let shelf = shelf_of(mixed, self.headers.len());
        let Some(header) = self.header(shelf) else {
            return false;
        };
        if let Some((_, lane)) = self.locate(shelf, header, mixed, key) {
            if header.fingerprint(lane) != 0 {
                self.headers[shelf].fetch_and(Header::unmarked_bits(lane), order::MARK);
            }
            return true;
        }
        header.overflows()
            && match &self.overflow {
                Overflow::None => false,
                Overflow::Level(level) => level.mark(remix(mixed), key),
                Overflow::List(list) => list.mark(remix(mixed), key),
            }
    }

    /// Iterates over the entries of this level and of those after it.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        let mut next = Some(self);
        let mut last = None;
        let mut entries = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(entry) = entries.next() {
                    return Some(entry);
                }
                if let Some(level) = next.take() {
                    entries = level.entries.iter();
                    match &level.overflow {
                        Overflow::None => {}
                        Overflow::Level(level) => next = Some(level),
                        Overflow::List(list) => last = Some(list),
                    }
                } else {
                    entries = last.take()?.entries().iter();
                }
            }
        })
    }

    /// Moves all entries out, of this level and of those after it.
    pub(super) fn into_entries(mut self) -> impl Iterator<Item = (K, V)> {
        let mut parts = Vec::new();
        let mut overflow = self.take_into(&mut parts);
        loop {
            match overflow {
                Overflow::None => break,
                Overflow::Level(mut level) => overflow = level.take_into(&mut parts),
                Overflow::List(mut list) => {
                    parts.push(list.take_entries());
                    break;
                }
            }
        }
        parts.into_iter().flat_map(Box::into_iter)
    }

    fn take_into(&mut self, parts: &mut Vec<Box<[(K, V)]>>) -> Overflow<K, V> {
        parts.push(mem::take(&mut self.entries));
        mem::replace(&mut self.overflow, Overflow::None)
    }

    /// Returns the number of entries of this level and of those after it.
    pub(super) fn len(&self) -> usize {
        let rest = match &self.overflow {
            Overflow::None => 0,
            Overflow::Level(level) => level.len(),
            Overflow::List(list) => list.entries().len(),
        };
        self.entries.len() + rest
    }

    pub(super) fn header(&self, shelf: usize) -> Option<Header> {
        Some(Header::from_word(
            self.headers.get(shelf)?.load(order::MARK_LOOK),
        ))
    }

    /// Returns where the entries of a shelf end.
    pub(super) fn end_of(&self, shelf: usize) -> usize {
        self.header(shelf + 1)
            .map_or(self.entries.len(), Header::start)
    }

    /// Finds a key on its shelf, marked or not: its index and its lane.
    fn locate<Q>(&self, shelf: usize, header: Header, mixed: u64, key: &Q) -> Option<(usize, usize)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let tag = Tag::of(mixed);
        let start = header.start();
        (start..self.end_of(shelf))
            .map(|index| (index, index - start))
            .find(|&(index, lane)| {
                let known = header.fingerprint(lane);
                (known == tag.fingerprint(lane) || known == 0)
                    && self.entries[index].0.borrow() == key
            })
    }
}

impl<K, V> Drop for Level<K, V> {
    fn drop(&mut self) {
        if mem::needs_drop::<(K, V)>() {
            discard(mem::take(&mut self.entries).into_vec());
        }
    }
}
