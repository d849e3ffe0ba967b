//! Building a level: partition by shelf, order each partition, place shelf by shelf.

use std::mem;

use crate::table::Table;
use crate::table::draft::Draft;
use crate::table::header::{Layout, mix, remix};
use crate::table::level::Level;
use crate::table::list::List;
use crate::table::rest::{Next, Rest};

/// Hashes that have been mixed this often are those of a list, not of one more level.
const MAX_DEPTH: u32 = 4;

/// The most entries of a table with [`Wide`](super::header::Wide) headers, which are faster as long as
/// they fit into the caches.
const SMALL: usize = 1 << 16;

/// Shelves in one partition, so that its items and their counters stay in a second-level cache.
const PARTITION_SHIFT: u32 = 11;

/// More partitions than this are filled slower than larger ones are ordered.
const MAX_PARTITIONS: usize = 1 << 10;

/// A pair on its way into a level, with the hash by which that level knows it.
pub(super) struct Item<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
}

impl<K, V> Item<K, V> {
    fn mixed(self) -> Self {
        let hash = mix(self.hash);
        Item { hash, ..self }
    }

    fn remixed(self) -> Self {
        let hash = remix(self.hash);
        Item { hash, ..self }
    }

    pub(super) fn into_pair(self) -> (K, V) {
        (self.key, self.value)
    }
}

/// Builds a table from pairs whose keys may repeat; the last of a key wins.
pub(super) fn from_pairs<K, V, I, H>(pairs: I, hash_of: &H) -> Table<K, V>
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
    let table = from_items(pairs.map(|pair| item(pair, hash_of)), least, hash_of);
    let count = table.len();
    if count == 0 || suits(count, table.shelves()) {
        return table;
    }
    // Many keys came twice, or the size hint was wrong. Now the number of keys is known.
    let items = table.into_entries().map(|pair| item(pair, hash_of));
    from_items(items, count, hash_of)
}

fn item<K, V>((key, value): (K, V), hash_of: &impl Fn(&K) -> u64) -> Item<K, V> {
    let hash = hash_of(&key);
    Item { hash, key, value }
}

/// Builds a table from about `count` items, which have users' hashes.
pub(super) fn from_items<K, V, I, H>(items: I, count: usize, hash_of: &H) -> Table<K, V>
where
    I: Iterator<Item = Item<K, V>>,
    H: Fn(&K) -> u64,
    K: Eq,
{
    let shelves = shelves_for(count);
    let empty = Table::empty();
    let (mut table, spilled) = if count <= SMALL {
        let (small, spilled) = build_level(items, shelves);
        (Table { small, ..empty }, spilled)
    } else {
        let (large, spilled) = build_level(items, shelves);
        (Table { large, ..empty }, spilled)
    };
    if spilled.len() <= count / 8 {
        let shelves = shelves_for(spilled.len());
        table.rest = build_rest(spilled.into_iter().map(Item::mixed), shelves, 1);
        return table;
    }
    // The low bits of these hashes do not spread, or the count was wrong. What spilled may have come
    // after what is in the level, and is of other keys.
    let count = table.len() + spilled.len();
    let placed = table.into_entries().map(|pair| item(pair, hash_of));
    let items = placed.chain(spilled).map(Item::mixed);
    Table {
        rest: build_rest(items, shelves_for(count), 1),
        ..Table::empty()
    }
}

/// Builds a level from items of hashes that have been mixed `depth` times, and those after it.
pub(super) fn build_rest<K, V, I>(items: I, shelves: usize, depth: u32) -> Rest<K, V>
where
    I: Iterator<Item = Item<K, V>>,
    K: Eq,
{
    let (level, spilled) = build_level(items, shelves);
    let spilled = spilled.into_iter().map(Item::remixed).collect();
    let next = build_next(spilled, depth + 1);
    Rest { level, next }
}

/// Builds what follows a level from the items that found no place in it.
pub(super) fn build_next<K, V>(items: Vec<Item<K, V>>, depth: u32) -> Next<K, V>
where
    K: Eq,
{
    if items.is_empty() {
        return Next::Nothing;
    }
    if depth == MAX_DEPTH {
        return Next::List(Box::new(List::build(items)));
    }
    let shelves = shelves_for(items.len());
    Next::Level(Box::new(build_rest(items.into_iter(), shelves, depth)))
}

/// Builds one level with this many shelves; of items of one key the last wins. Returns what found no
/// place, in order of arrival.
fn build_level<K, V, I, L>(mut items: I, shelves: usize) -> (Level<K, V, L>, Vec<Item<K, V>>)
where
    I: Iterator<Item = Item<K, V>>,
    K: Eq,
    L: Layout,
{
    let Some(first) = items.next() else {
        return (Level::empty(), Vec::new());
    };
    let items = std::iter::once(first).chain(items);
    let partitions = partition(items, shelves);
    let count = partitions.parts.iter().map(Vec::len).sum();
    let mut draft = Draft::new(shelves, count);
    let mut order = Order::default();
    for (number, mut part) in partitions.parts.into_iter().enumerate() {
        let first = number << partitions.shift;
        let shelf_of = |item: &Item<K, V>| item.hash as usize & (shelves - 1);
        order.sort(&mut part, 1 << partitions.shift, |item| {
            shelf_of(item) - first
        });
        let mut part = part.into_iter().peekable();
        while let Some(next) = part.peek() {
            let shelf = shelf_of(next);
            draft.leave_empty_until(shelf);
            let items = std::iter::from_fn(|| part.next_if(|item| shelf_of(item) == shelf));
            draft.fill(items, false);
        }
    }
    draft.finish()
}

/// Returns how many shelves a level of this many entries is built with: for each there are between two
/// thirds and four thirds of an entry.
pub(super) fn shelves_for(count: usize) -> usize {
    (count - count / 4).next_power_of_two()
}

/// Tells whether a level of this many entries may keep its number of shelves.
pub(super) fn suits(count: usize, shelves: usize) -> bool {
    // More than one and a half for each and too many find no place; less than two fifths, and the
    // headers are a third of the memory.
    count * 2 <= shelves * 3 && count * 5 >= shelves * 2
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
    while shelves >> shift > MAX_PARTITIONS {
        shift += 1;
    }
    let count = (shelves >> shift).max(1);
    let mean = items.size_hint().0 / count;
    let room = if count == 1 {
        mean
    } else {
        mean + mean / 16 + 32
    };
    let mut parts: Vec<_> = (0..count).map(|_| Vec::with_capacity(room)).collect();
    for item in items {
        parts[(item.hash as usize & (shelves - 1)) >> shift].push(item);
    }
    Partitions { parts, shift }
}

/// The scratch memory of a stable counting sort.
#[derive(Default)]
struct Order {
    next: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    /// Sorts items by shelf, of which there are `shelves`. Moves each item about once.
    fn sort<T>(&mut self, items: &mut [T], shelves: usize, shelf: impl Fn(&T) -> usize) {
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
