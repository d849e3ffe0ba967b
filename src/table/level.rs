//! One level of a table: headers and dense entries, and what a lookup does with them.

use std::borrow::Borrow;
use std::mem;
use std::ops::Range;

use crate::sync::{atomic::AtomicU64, fault, order};
use crate::table::build::suits;
use crate::table::discard;
use crate::table::header::{Header, LANES, Layout};

/// Shelves of up to four entries. The low bits of a hash choose the shelf.
pub(super) struct Level<K, V, L: Layout> {
    /// A power of two, or none. A bit is only ever set, by marks.
    pub(super) headers: Box<[L::Word]>,
    /// For each block of shelves, where its entries begin; none if there is one block only.
    pub(super) bases: Box<[Base]>,
    /// In order of shelves and lanes, without gaps.
    pub(super) entries: Box<[(K, V)]>,
    /// One bit for each entry.
    pub(super) marks: Box<[AtomicU64]>,
    /// Some header of a shelf without entries could not say where those after it begin: the shelves
    /// cannot be told apart any more, though every key is found. Nothing but a hasher that puts most keys
    /// on few shelves leads here.
    pub(super) lost: bool,
}

/// What a header's start is counted from: a bit less than the index of a block's first entry, so that
/// the start is not negative if the shelf's first lane is not its first entry's.
#[derive(Clone, Copy)]
pub(super) struct Base(u32);

impl Base {
    pub(super) const ZERO: Self = Base(0);

    pub(super) fn before(first: usize) -> Self {
        // A level has fewer entries than there are numbers: `build` asks.
        Base((first as u32).wrapping_sub(LANES as u32 - 1))
    }

    #[inline(always)]
    pub(super) fn index(self, start: usize) -> usize {
        self.0.wrapping_add(start as u32) as usize
    }

    /// What a header has to say for this index.
    pub(super) fn start(self, index: usize) -> usize {
        (index as u32).wrapping_sub(self.0) as usize
    }
}

/// Where a lookup ended.
pub(super) enum Found<T> {
    Here(T),
    Nowhere,
    /// Not here, but the next level may have it.
    Further,
}

impl<T> Found<T> {
    /// This, or what is found further on.
    pub(super) fn or(self, further: impl FnOnce() -> Self) -> Self {
        match self {
            Found::Further => further(),
            found => found,
        }
    }
}

impl<K, V, L: Layout> Level<K, V, L> {
    pub(super) fn empty() -> Self {
        Level {
            headers: Box::default(),
            entries: Box::default(),
            marks: Box::default(),
            bases: Box::default(),
            lost: false,
        }
    }

    /// The short way of a lookup, from a hash's [`home`](Self::home) on: finds nearly every key that is
    /// here and has no marked neighbour.
    #[inline(always)]
    pub(super) fn hit<Q>(&self, (shelf, header): (usize, Header), hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (known, value) = self.entries.get(self.place(shelf, header, hash)?)?;
        (known.borrow() == key).then_some(value)
    }

    /// Finds a key that is not marked.
    pub(super) fn find<Q>(&self, hash: u64, key: &Q) -> Found<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some((shelf, header)) = self.home(hash) else {
            return Found::Further;
        };
        match self.find_at(shelf, header, hash, key) {
            Found::Here((index, _)) if header.has_mark::<L>() && self.is_marked(index) => {
                Found::Nowhere
            }
            Found::Here((_, value)) => Found::Here(value),
            Found::Nowhere => Found::Nowhere,
            Found::Further => Found::Further,
        }
    }

    fn is_marked(&self, index: usize) -> bool {
        self.marks[index / 64].load(order::MARK_LOOK) & 1 << (index % 64) != 0
    }

    /// Returns a key's value, marked or not, and its index in `entries`.
    pub(super) fn find_any<Q>(&self, hash: u64, key: &Q) -> Found<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.home(hash) {
            Some((shelf, header)) => self.find_at(shelf, header, hash, key),
            None => Found::Further,
        }
    }

    fn find_at<Q>(&self, shelf: usize, header: Header, hash: u64, key: &Q) -> Found<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let place = self.place(shelf, header.without_mark::<L>(), hash);
        let place = place.unwrap_or(usize::MAX);
        match self.entries.get(place) {
            Some((known, value)) if known.borrow() == key => Found::Here((place, value)),
            _ if header.has_more() => Found::Further,
            _ => Found::Nowhere,
        }
    }

    pub(super) fn mark<Q>(&self, hash: u64, key: &Q) -> Found<()>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some((shelf, header)) = self.home(hash) else {
            return Found::Further;
        };
        match self.find_at(shelf, header, hash, key) {
            Found::Here((index, _)) => {
                // Who sees both bits need not set them: whoever learns of what we do next sees them too.
                if header.has_mark::<L>() && self.is_marked(index) {
                    return Found::Here(());
                }
                if !fault::planted("entry_not_marked") {
                    self.marks[index / 64].fetch_or(1 << (index % 64), order::MARK);
                }
                if !fault::planted("shelf_not_marked") {
                    L::mark(&self.headers[shelf]);
                }
                Found::Here(())
            }
            Found::Nowhere => Found::Nowhere,
            Found::Further => Found::Further,
        }
    }

    /// The only index at which a key with this hash can be. With a mark, where no key with it is.
    #[inline(always)]
    fn place(&self, shelf: usize, header: Header, hash: u64) -> Option<usize> {
        let base = self.base_of(shelf)?;
        Some(base.index(header.start() + header.lane(hash)))
    }

    /// The home shelf of a hash, if there are shelves.
    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> Option<(usize, Header)> {
        // With no shelves this is out of bounds.
        let shelf = hash as usize & self.headers.len().wrapping_sub(1);
        Some((shelf, self.header(shelf)?))
    }

    #[inline(always)]
    pub(super) fn header(&self, shelf: usize) -> Option<Header> {
        self.headers.get(shelf).map(L::load)
    }

    #[inline(always)]
    pub(super) fn base_of(&self, shelf: usize) -> Option<Base> {
        if L::ONE_BLOCK {
            return Some(Base::ZERO);
        }
        self.bases.get(shelf / L::BLOCK).copied()
    }

    /// Whether a copy with this many entries can have the same shelves.
    pub(super) fn can_be_copied(&self, entries: usize) -> bool {
        let shelves = self.headers.len();
        shelves > 0 && !self.lost && suits(entries, shelves)
    }

    /// Returns the indices of the entries on some shelves that follow each other.
    pub(super) fn entries_of(&self, shelves: Range<usize>) -> Range<usize> {
        self.first_of(shelves.start)..self.first_of(shelves.end)
    }

    /// Returns the index of the first entry of this shelf or of those that follow.
    pub(super) fn first_of(&self, shelf: usize) -> usize {
        self.header(shelf).map_or(self.entries.len(), |header| {
            let header = header.without_mark::<L>();
            let base = self.base_of(shelf).unwrap_or(Base::ZERO);
            base.index(header.start() + header.first_lane())
        })
    }

    pub(super) fn take_entries(&mut self) -> Box<[(K, V)]> {
        mem::take(&mut self.entries)
    }
}

impl<K, V, L: Layout> Drop for Level<K, V, L> {
    fn drop(&mut self) {
        if mem::needs_drop::<(K, V)>() {
            discard(self.take_entries().into_vec());
        }
    }
}
