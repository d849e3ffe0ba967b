//! A level under construction, shelf by shelf.

use std::mem;
use std::ops::Range;

use crate::sync::atomic::AtomicU64;
use crate::table::build::Item;
use crate::table::discard;
use crate::table::header::{Header, LANES, Layout, SHIFTS};
use crate::table::level::{Base, Level};

/// A level under construction: shelves are filled in order.
pub(super) struct Draft<K, V, L: Layout> {
    headers: Vec<L::Word>,
    entries: Vec<(K, V)>,
    bases: Vec<Base>,
    shelves: usize,
    /// What found no place, in order of arrival.
    pub(super) spilled: Vec<Item<K, V>>,
    lost: bool,
}

impl<K, V, L: Layout> Draft<K, V, L> {
    /// For about this many entries.
    pub(super) fn new(shelves: usize, entries: usize) -> Self {
        let blocks = if L::ONE_BLOCK {
            0
        } else {
            shelves.div_ceil(L::BLOCK)
        };
        Draft {
            headers: Vec::with_capacity(shelves),
            entries: Vec::with_capacity(entries),
            bases: Vec::with_capacity(blocks),
            shelves,
            spilled: Vec::new(),
            lost: false,
        }
    }

    /// Opens the next shelf. Its first entry, or that of those after it, will have this index.
    fn open(&mut self, first: usize) {
        if !L::ONE_BLOCK && self.headers.len().is_multiple_of(L::BLOCK) {
            self.bases.push(Base::before(first));
        }
    }

    pub(super) fn leave_empty_until(&mut self, shelf: usize) {
        while self.headers.len() < shelf {
            self.open(self.entries.len());
            self.close(0, 0, false);
        }
    }

    /// Closes the open shelf, whose entries come next and begin in this lane. If its header cannot say
    /// where that is there must be none.
    fn close(&mut self, shift: u32, first_lane: usize, more: bool) {
        let start = self.start(first_lane);
        self.lost |= start.is_none();
        let header = Header::new(start.unwrap_or(0), shift, first_lane, more);
        self.headers.push(L::word(header));
    }

    /// What the header of the open shelf would say of where lane 0 is, if it can say that.
    fn start(&self, first_lane: usize) -> Option<usize> {
        let base = self.bases.last().copied().unwrap_or(Base::ZERO);
        let start = base.start(self.entries.len()).checked_sub(first_lane)?;
        (start < L::STARTS).then_some(start)
    }

    /// The level, and what found no place in it.
    pub(super) fn finish(mut self) -> (Level<K, V, L>, Vec<Item<K, V>>) {
        self.leave_empty_until(self.shelves);
        assert!(
            u32::try_from(self.entries.len()).is_ok(),
            "a table holds at most 2^32 - 1 entries"
        );
        let level = Level {
            headers: self.headers.into(),
            marks: marks_for(self.entries.len()),
            entries: self.entries.into(),
            bases: self.bases.into(),
            lost: self.lost,
        };
        (level, self.spilled)
    }
}

impl<K: Eq, V, L: Layout> Draft<K, V, L> {
    /// Fills the next shelf with items, of one key the last. `more`: some of its keys are in the next
    /// level already.
    pub(super) fn fill(&mut self, items: impl Iterator<Item = Item<K, V>>, more: bool) {
        self.open(self.entries.len());
        let mut shelf: [Option<Item<K, V>>; LANES] = [const { None }; LANES];
        let mut count = 0;
        let spilled = self.spilled.len();
        for item in items {
            let mut known = shelf[..count].iter_mut().flatten();
            match known.find(|known| known.key == item.key) {
                Some(known) => discard([mem::replace(known, item).into_pair()]),
                None if count < LANES => {
                    shelf[count] = Some(item);
                    count += 1;
                }
                // Whatever comes later of this key comes here as well.
                None => self.spilled.push(item),
            }
        }
        let (shift, first_lane) = loop {
            match self.shift_for(&shelf[..count]) {
                Some(found) => break found,
                None => {
                    count -= 1;
                    self.spilled.extend(shelf[count].take());
                }
            }
        };
        let more = more || self.spilled.len() > spilled;
        self.close(shift, first_lane, more);
        let lane = |item: &Item<K, V>| lane(item.hash, shift);
        shelf.sort_by_key(|item| item.as_ref().map_or(LANES, lane));
        let placed = shelf.into_iter().flatten();
        self.entries.extend(placed.map(Item::into_pair));
    }

    /// Returns where the bits stand that give the items neighbouring lanes, and the first of these.
    fn shift_for(&self, items: &[Option<Item<K, V>>]) -> Option<(u32, usize)> {
        if items.is_empty() {
            return Some((0, 0));
        }
        // Below this, the bits of a shelf's hashes are all the same.
        let lowest = self.shelves.trailing_zeros() / 2 * 2;
        (lowest..SHIFTS).step_by(2).find_map(|shift| {
            let items = items.iter().flatten();
            let lanes = items
                .clone()
                .fold(0_u32, |lanes, item| lanes | 1 << lane(item.hash, shift));
            let first = lanes.trailing_zeros() as usize;
            let neighbours = lanes >> first == (1 << items.count()) - 1;
            (neighbours && self.start(first).is_some()).then_some((shift, first))
        })
    }
}

fn lane(hash: u64, shift: u32) -> usize {
    (hash >> shift) as usize & (LANES - 1)
}

impl<K: Clone, V: Clone, L: Layout> Draft<K, V, L> {
    /// Copies shelves as they are, but for marks; or does nothing and returns false, if a header could
    /// not say where its entries are now.
    pub(super) fn copy(&mut self, level: &Level<K, V, L>, shelves: Range<usize>) -> bool {
        let copied = level.entries_of(shelves.clone());
        let (headers, bases) = (self.headers.len(), self.bases.len());
        let entries = self.entries.len();
        for shelf in shelves {
            let Some(header) = level.header(shelf).map(Header::without_mark::<L>) else {
                break;
            };
            let first = level.first_of(shelf) - copied.start + entries;
            self.open(first);
            let base = self.bases.last().copied().unwrap_or(Base::ZERO);
            let start = base.start(first).wrapping_sub(header.first_lane());
            if start >= L::STARTS {
                self.headers.truncate(headers);
                self.bases.truncate(bases);
                return false;
            }
            let header = header.moved_to(start);
            self.headers.push(L::word(header));
        }
        self.entries.extend_from_slice(&level.entries[copied]);
        true
    }
}

/// A bit for each of so many entries.
fn marks_for(entries: usize) -> Box<[AtomicU64]> {
    let words = entries.div_ceil(64);
    std::iter::repeat_with(AtomicU64::default)
        .take(words)
        .collect()
}
