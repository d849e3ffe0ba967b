//! The part of a small table that nearly all of its reads end in: every key has one place.
//!
//! The low bits of a hash choose a *shelf*, and two bits further up, at a position that suits the up to
//! four keys of the shelf, choose the key's place on it. So a lookup loads one header, computes one
//! place, and compares one key; no fingerprint is compared, and nothing is searched. What finds no
//! place goes to the table's levels.

use std::borrow::Borrow;
use std::mem;

use crate::sync::{atomic::AtomicU32, order};
use crate::table::build::{Item, Order};
use crate::table::discard;

/// How many keys a shelf can hold.
const LANES: usize = 4;

/// The largest number of entries: a header has 20 bits for the first one's index, and an index with
/// one more bit must be out of bounds.
pub(super) const MAX_ENTRIES: usize = 1 << 16;

/// Positions at which two bits of a hash can stand.
const SHIFTS: u32 = 63;

/// One packed word for each shelf.
///
/// | bits | meaning |
/// |---|---|
/// | 0..6 | where in the hash the two bits stand that are the lane |
/// | 6..10 | the entry in this lane is marked |
/// | 10 | more keys of this shelf are in the levels |
/// | 11..31 | index of the entry in lane 0, or where it would be |
/// | 31 | some lane is marked |
///
/// The only transition of a shared word is a mark, which sets a lane's bit and the highest one. The
/// latter makes every place on the shelf an index out of bounds, so who finds an entry on the short way
/// need not ask for marks.
#[derive(Clone, Copy)]
struct Header(u32);

impl Header {
    const MARKS: u32 = 6;
    const MORE: u32 = 1 << 10;
    const START: u32 = 11;
    const MARKED: u32 = 1 << 31;

    fn new(start: usize, shift: u32, more: bool) -> Self {
        debug_assert!(start <= MAX_ENTRIES && shift < SHIFTS);
        Header((start as u32) << Self::START | u32::from(more) << 10 | shift)
    }

    #[inline(always)]
    fn lane(self, hash: u64) -> usize {
        // The mask of the shift is the one that the processor applies by itself.
        (hash >> (self.0 & 63)) as usize & (LANES - 1)
    }

    /// The only index at which the key with this hash can be; out of bounds if there is a mark.
    #[inline(always)]
    fn place(self, hash: u64) -> usize {
        (self.0 >> Self::START) as usize + self.lane(hash)
    }

    fn place_even_if_marked(self, hash: u64) -> usize {
        Header(self.0 & !Self::MARKED).place(hash)
    }

    /// Whether what is not at its place is nowhere.
    #[inline(always)]
    fn is_all(self) -> bool {
        self.0 & (Self::MARKED | Self::MORE) == 0
    }

    fn has_more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    fn mark_of(lane: usize) -> u32 {
        1 << (Self::MARKS + lane as u32)
    }

    fn is_marked(self, lane: usize) -> bool {
        self.0 & Self::mark_of(lane) != 0
    }
}

/// Shelves and their entries.
pub(super) struct Direct<K, V> {
    /// A power of two, or none; bits are only ever set, by marks.
    headers: Box<[AtomicU32]>,
    /// In order of shelves and lanes, without gaps.
    entries: Box<[(K, V)]>,
}

/// Where a lookup ended.
pub(super) enum Found<T> {
    Here(T),
    Nowhere,
    /// Not here; the levels may have it.
    Further,
}

impl<K, V> Direct<K, V> {
    pub(super) fn empty() -> Self {
        Direct {
            headers: Box::default(),
            entries: Box::default(),
        }
    }

    /// Places items, of one key the last, on shelves. Returns what found no place, or everything if the
    /// hashes do not spread over the shelves: then the levels are the better home.
    pub(super) fn build(mut items: Vec<Item<K, V>>) -> (Self, Vec<Item<K, V>>)
    where
        K: Eq,
    {
        assert!(items.len() <= MAX_ENTRIES, "too many for a direct table");
        let shelves = items.len().next_power_of_two();
        let shelf_of = |item: &Item<K, V>| item.hash as usize & (shelves - 1);
        let mut order = Order::default();
        order.sort(&mut items, shelves, shelf_of);
        let crowded = |run: &[Item<K, V>]| run.len().saturating_sub(LANES);
        let runs = items.chunk_by(|a, b| shelf_of(a) == shelf_of(b));
        if runs.map(crowded).sum::<usize>() > items.len() / 8 {
            return (Self::empty(), items);
        }
        let mut draft = Draft {
            headers: Vec::with_capacity(shelves),
            entries: Vec::with_capacity(items.len()),
            spilled: Vec::new(),
            first_shift: shelves.trailing_zeros(),
        };
        let mut items = items.into_iter().peekable();
        for shelf in 0..shelves {
            draft.fill(std::iter::from_fn(|| {
                items.next_if(|item| shelf_of(item) == shelf)
            }));
        }
        let direct = Direct {
            headers: draft.headers.into(),
            entries: draft.entries.into(),
        };
        (direct, draft.spilled)
    }

    /// The read path. `None`: this part of the table is not in use.
    #[inline(always)]
    pub(super) fn find<Q>(&self, hash: u64, key: &Q) -> Option<Found<&V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let header = self.header(hash)?;
        if let Some((known, value)) = self.entries.get(header.place(hash))
            && known.borrow() == key
        {
            return Some(Found::Here(value));
        }
        if header.is_all() {
            return Some(Found::Nowhere);
        }
        Some(self.find_beside_marks(hash, key))
    }

    /// Finds what has a marked neighbour.
    #[cold]
    #[inline(never)]
    fn find_beside_marks<Q>(&self, hash: u64, key: &Q) -> Found<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(header) = self.header(hash) else {
            return Found::Further;
        };
        if let Some((known, value)) = self.entries.get(header.place_even_if_marked(hash))
            && known.borrow() == key
        {
            return if header.is_marked(header.lane(hash)) {
                Found::Nowhere
            } else {
                Found::Here(value)
            };
        }
        if header.has_more() {
            Found::Further
        } else {
            Found::Nowhere
        }
    }

    /// Returns a key's value, marked or not, and its place in the order of `entries`.
    pub(super) fn find_any<Q>(&self, hash: u64, key: &Q) -> Found<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(header) = self.header(hash) else {
            return Found::Further;
        };
        let place = header.place_even_if_marked(hash);
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
        match self.find_any(hash, key) {
            Found::Here(_) => {
                let shelf = self.shelf(hash);
                let lane = Header(self.headers[shelf].load(order::MARK_LOOK)).lane(hash);
                let marked = Header::mark_of(lane) | Header::MARKED;
                self.headers[shelf].fetch_or(marked, order::MARK);
                Found::Here(())
            }
            Found::Nowhere => Found::Nowhere,
            Found::Further => Found::Further,
        }
    }

    pub(super) fn entries(&self) -> &[(K, V)] {
        &self.entries
    }

    pub(super) fn take_entries(&mut self) -> Box<[(K, V)]> {
        mem::take(&mut self.entries)
    }

    /// Out of bounds if there are no shelves.
    #[inline(always)]
    fn shelf(&self, hash: u64) -> usize {
        hash as usize & self.headers.len().wrapping_sub(1)
    }

    #[inline(always)]
    fn header(&self, hash: u64) -> Option<Header> {
        let word = self.headers.get(self.shelf(hash))?;
        Some(Header(word.load(order::MARK_LOOK)))
    }
}

impl<K, V> Drop for Direct<K, V> {
    fn drop(&mut self) {
        if mem::needs_drop::<(K, V)>() {
            discard(mem::take(&mut self.entries).into_vec());
        }
    }
}

/// Shelves under construction, filled in order.
struct Draft<K, V> {
    headers: Vec<AtomicU32>,
    entries: Vec<(K, V)>,
    spilled: Vec<Item<K, V>>,
    /// Below this, the bits of a shelf's hashes are all the same.
    first_shift: u32,
}

impl<K: Eq, V> Draft<K, V> {
    fn fill(&mut self, items: impl Iterator<Item = Item<K, V>>) {
        let mut shelf: [Option<Item<K, V>>; LANES] = [const { None }; LANES];
        let mut count = 0;
        let spilled = self.spilled.len();
        for item in items {
            let known = shelf[..count]
                .iter_mut()
                .flatten()
                .find(|known| known.key == item.key);
            match known {
                Some(known) => discard([mem::replace(known, item).into_pair()]),
                None if count < LANES => {
                    shelf[count] = Some(item);
                    count += 1;
                }
                None => self.spilled.push(item),
            }
        }
        let (shift, first) = loop {
            match self.shift_for(&shelf[..count]) {
                Some(found) => break found,
                None => {
                    count -= 1;
                    self.spilled.extend(shelf[count].take());
                }
            }
        };
        let more = self.spilled.len() > spilled;
        let header = Header::new(self.entries.len() - first, shift, more);
        self.headers.push(AtomicU32::new(header.0));
        shelf.sort_by_key(|item| item.as_ref().map_or(LANES, |item| header.lane(item.hash)));
        self.entries
            .extend(shelf.into_iter().flatten().map(Item::into_pair));
    }

    /// Returns where the bits stand that give the items neighbouring lanes, and the first of these.
    fn shift_for(&self, items: &[Option<Item<K, V>>]) -> Option<(u32, usize)> {
        (self.first_shift..SHIFTS).find_map(|shift| {
            let lanes = items.iter().flatten().fold(0_u32, |lanes, item| {
                lanes | 1 << Header::new(0, shift, false).lane(item.hash)
            });
            let first = lanes.trailing_zeros() as usize % 32;
            let neighbours = lanes >> first == (1 << items.len()) - 1;
            (neighbours && first <= self.entries.len()).then_some((shift, first))
        })
    }
}
