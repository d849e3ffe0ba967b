//! Building a level: partition by hash, order each partition by shelf, move out in order.

use std::mem;
use std::num::NonZeroU8;

use crate::sync::atomic::AtomicU64;
use crate::table::direct::{self, Direct};
use crate::table::header::{Header, LANES, MAX_ENTRIES, Tag, mix, remix, shelf_of};
use crate::table::level::{Level, Overflow};
use crate::table::list::List;
use crate::table::{Table, discard};

/// Levels of shelves; keys that overflow the last of them go to a list.
const MAX_DEPTH: u32 = 3;

/// Up to here tables are laid out for speed, above for at most 5.5 bytes a key beside the pairs.
const SMALL: usize = 1 << 16;

/// Shelves in one partition, so that its items and their counters stay in a second-level cache.
const PARTITION_SHIFT: u32 = 11;

/// More partitions than this are filled slower than larger ones are ordered.
const MAX_PARTITIONS: usize = 1 << 10;

/// A pair on its way into a part of a table, with the hash by which that part knows it.
pub(super) struct Item<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
}

impl<K, V> Item<K, V> {
    /// The same pair on its way from the user's hash into the first level.
    pub(super) fn mixed(self) -> Self {
        Item {
            hash: mix(self.hash),
            ..self
        }
    }

    /// The same pair on its way from one level into the next.
    fn remixed(self) -> Self {
        Item {
            hash: remix(self.hash),
            ..self
        }
    }

    pub(super) fn into_pair(self) -> (K, V) {
        (self.key, self.value)
    }
}

/// Builds a table from pairs whose keys may repeat; the last of a key wins.
pub(super) fn from_pairs<K, V, I, H>(pairs: I, hash_of: H) -> Table<K, V>
where
    I: Iterator<Item = (K, V)>,
    H: Fn(&K) -> u64,
    K: Eq,
{
    let (least, most) = pairs.size_hint();
    if most != Some(least) {
        let pairs: Vec<(K, V)> = pairs.collect();
        return from_pairs(pairs.into_iter(), hash_of);
    }
    let item = |(key, value)| Item {
        hash: hash_of(&key),
        key,
        value,
    };
    let table = from_items(pairs.map(item), least);
    let count = table.len();
    if count >= least / 4 * 3 {
        return table;
    }
    // Many keys came twice. Now the number of keys is known.
    from_items(table.into_entries().map(item), count)
}

/// Builds a table from about `count` items, with users' hashes.
pub(super) fn from_items<K, V, I>(items: I, count: usize) -> Table<K, V>
where
    I: Iterator<Item = Item<K, V>>,
    K: Eq,
{
    if count > direct::MAX_ENTRIES {
        return Table {
            direct: Direct::empty(),
            root: build_level(items.map(Item::mixed), shelves_for(count), 0),
        };
    }
    let (direct, rest) = Direct::build(items.collect());
    let shelves = shelves_for(rest.len());
    Table {
        direct,
        root: build_level(rest.into_iter().map(Item::mixed), shelves, 0),
    }
}

/// Builds what follows a level from the items that found no room in it, mixed for this depth.
pub(super) fn build_overflow<K, V>(items: Vec<Item<K, V>>, depth: u32) -> Overflow<K, V>
where
    K: Eq,
{
    if items.is_empty() {
        return Overflow::None;
    }
    if depth == MAX_DEPTH {
        return Overflow::List(Box::new(List::build(items)));
    }
    let shelves = shelves_for(items.len());
    Overflow::Level(Box::new(build_level(items.into_iter(), shelves, depth)))
}

/// Builds a level with this many shelves; items of one key in order of arrival, the last wins.
pub(super) fn build_level<K, V, I>(mut items: I, shelves: usize, depth: u32) -> Level<K, V>
where
    I: Iterator<Item = Item<K, V>>,
    K: Eq,
{
    let Some(first) = items.next() else {
        return Level::empty();
    };
    let items = std::iter::once(first).chain(items);
    let shelves = shelves.max(1);
    let mut partitions = partition(items, shelves);
    let count = partitions.parts.iter().map(Vec::len).sum();
    let mut draft = Draft::new(shelves, count);
    let mut order = Order::default();
    for (number, part) in partitions.parts.iter_mut().enumerate() {
        let mut part = mem::take(part);
        let first = number << partitions.shift;
        order.sort(&mut part, 1 << partitions.shift, |item| {
            shelf_of(item.hash, shelves) - first
        });
        for item in part {
            draft.advance_to(shelf_of(item.hash, shelves));
            draft.put(item);
        }
    }
    let (mut level, spilled) = draft.finish(shelves);
    level.overflow = build_overflow(spilled, depth + 1);
    level
}

/// Returns how many shelves a level of this many entries is built with.
pub(super) fn shelves_for(count: usize) -> usize {
    if count <= SMALL {
        count * 2
    } else {
        count / 3 * 2
    }
}

/// As [`shelves_for`], for a table that is shrinking: leaves room to shrink further.
pub(super) fn shelves_for_shrinking(count: usize) -> usize {
    if count <= SMALL { count } else { count / 7 * 4 }
}

/// Tells whether a level of this many entries may keep its number of shelves.
pub(super) fn suits(count: usize, shelves: usize) -> bool {
    let (fewest, most) = match count {
        0 => (0, 0),
        // Load 0.5 to 1.25.
        1..=SMALL => ((count / 5 * 4).max(1), count * 4 + 1),
        // Load 1.46 (8 bytes a shelf are 5.5 bytes a key) to 2.
        _ => (count / 2, count / 16 * 11 + 1),
    };
    (fewest..=most).contains(&shelves)
}

struct Partitions<K, V> {
    parts: Vec<Vec<Item<K, V>>>,
    /// A partition has `1 << shift` shelves.
    shift: u32,
}

/// Sends each item to the partition of its shelf. One sequential pass, written to as many streams
/// as there are partitions.
fn partition<K, V, I>(items: I, shelves: usize) -> Partitions<K, V>
where
    I: Iterator<Item = Item<K, V>>,
{
    let mut shift = PARTITION_SHIFT;
    while shelves >> shift >= MAX_PARTITIONS {
        shift += 1;
    }
    let count = (shelves >> shift) + 1;
    let mean = items.size_hint().0 / count;
    let room = if count == 1 {
        mean
    } else {
        mean + mean / 16 + 32
    };
    let mut parts: Vec<_> = (0..count).map(|_| Vec::with_capacity(room)).collect();
    for item in items {
        parts[shelf_of(item.hash, shelves) >> shift].push(item);
    }
    Partitions { parts, shift }
}

/// The scratch memory of a stable counting sort.
#[derive(Default)]
pub(super) struct Order {
    next: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    /// Sorts items by shelf, of which there are `shelves`. Moves each item about once.
    pub(super) fn sort<T>(&mut self, items: &mut [T], shelves: usize, shelf: impl Fn(&T) -> usize) {
        self.next.clear();
        self.next.resize(shelves, 0);
        for item in &*items {
            self.next[shelf(item)] += 1;
        }
        let mut sum = 0;
        for next in &mut self.next {
            sum += mem::replace(next, sum);
        }
        self.places.clear();
        self.places.extend(items.iter().map(|item| {
            let next = &mut self.next[shelf(item)];
            *next += 1;
            *next - 1
        }));
        for at in 0..items.len() {
            loop {
                let place = self.places[at] as usize;
                if place == at {
                    break;
                }
                items.swap(at, place);
                self.places.swap(at, place);
            }
        }
    }
}

/// A level under construction: shelves are filled and sealed in order.
pub(super) struct Draft<K, V> {
    headers: Vec<AtomicU64>,
    entries: Vec<(K, V)>,
    spilled: Vec<Item<K, V>>,
    open: Header,
}

impl<K, V> Draft<K, V> {
    pub(super) fn new(shelves: usize, entries: usize) -> Self {
        Draft {
            headers: Vec::with_capacity(shelves),
            entries: Vec::with_capacity(entries),
            spilled: Vec::new(),
            open: Header::starting_at(0),
        }
    }

    /// Seals shelves until this one is open.
    #[inline]
    fn advance_to(&mut self, shelf: usize) {
        while self.headers.len() < shelf {
            self.seal();
        }
    }

    #[inline]
    pub(super) fn seal(&mut self) {
        self.headers.push(AtomicU64::new(self.open.word()));
        self.open = Header::starting_at(self.entries.len());
    }

    /// Returns the lane that the next entry of the open shelf will have.
    #[inline]
    pub(super) fn lane(&self) -> usize {
        self.entries.len() - self.open.start()
    }

    /// Returns the fingerprint with which a key may be pushed next, if it may.
    #[inline]
    pub(super) fn room_for(&self, tag: Tag) -> Option<NonZeroU8> {
        let lane = self.lane();
        if lane == LANES {
            None
        } else {
            NonZeroU8::new(tag.fingerprint(lane))
        }
    }

    /// Puts an entry, whose key is new, on the open shelf.
    #[inline]
    pub(super) fn push(&mut self, fingerprint: NonZeroU8, key: K, value: V) {
        self.open = self.open.with_fingerprint(self.lane(), fingerprint.get());
        self.entries.push((key, value));
    }

    /// Puts an item on the open shelf, in place of an earlier one of the same key.
    #[inline]
    fn put(&mut self, item: Item<K, V>)
    where
        K: Eq,
    {
        let tag = Tag::of(item.hash);
        for lane in self.open.matches(tag) {
            if let Some(entry) = self.entries.get_mut(self.open.start() + lane)
                && entry.0 == item.key
            {
                discard([mem::replace(entry, (item.key, item.value))]);
                return;
            }
        }
        match self.room_for(tag) {
            Some(fingerprint) if !self.open.overflows() => {
                self.push(fingerprint, item.key, item.value);
            }
            _ => {
                self.set_overflow();
                self.spilled.push(item.remixed());
            }
        }
    }

    /// Notes that keys of the open shelf are in the next level.
    pub(super) fn set_overflow(&mut self) {
        self.open = self.open.with_overflow();
    }

    /// Seals all shelves that remain. The level is without overflow yet; that is in the items.
    pub(super) fn finish(mut self, shelves: usize) -> (Level<K, V>, Vec<Item<K, V>>) {
        self.advance_to(shelves);
        assert!(
            self.entries.len() <= MAX_ENTRIES,
            "a table holds at most 2^31 - 1 entries"
        );
        let level = Level {
            headers: self.headers.into(),
            entries: self.entries.into(),
            overflow: Overflow::None,
        };
        (level, self.spilled)
    }
}

impl<K: Clone, V: Clone> Draft<K, V> {
    /// Copies sealed shelves: their headers, of which none has a mark, and all their entries.
    pub(super) fn copy(&mut self, headers: impl Iterator<Item = Header>, entries: &[(K, V)]) {
        let mut shift = None;
        let base = self.entries.len();
        for header in headers {
            let first = *shift.get_or_insert(header.start());
            let moved = header.moved_to(header.start() - first + base);
            self.headers.push(AtomicU64::new(moved.word()));
        }
        self.entries.extend_from_slice(entries);
        self.open = Header::starting_at(self.entries.len());
    }
}
