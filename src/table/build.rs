//! Building: pairs are sent to the parts of a level where they belong, and placed part by part.

use std::ops::Range;

use crate::contain::drop_contained;
use crate::spread::spread;
use crate::sync::pace;
use crate::table::batch::Batch;
use crate::table::entries::{Draft, Entries};
use crate::table::filter::Filter;
use crate::table::level::Level;
use crate::table::list::List;
use crate::table::place::{Place, Placer};
use crate::table::shape::{Pilot, Shape, bucket};
use crate::table::unsaid::UnsaidDraft;
use crate::table::{Item, Table, discard};

/// A level is built in at most this many parts: more are filled slower than larger ones are sorted. DESIGN.md, "Building".
const MOST_PARTS: usize = 1 << 8;

/// Builds a table from pairs whose keys may repeat; the last of a key wins.
pub(super) fn from_pairs<K, V, I, H>(pairs: I, hash_of: &H) -> Table<K, V>
where
    I: Iterator<Item = (K, V)>,
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let (least, most) = pairs.size_hint();
    if most != Some(least) {
        let pairs: Vec<(K, V)> = pace::collect(pairs);
        return from_pairs(pairs.into_iter(), hash_of);
    }
    let table = from_items(pairs.map(|pair| item(pair, hash_of)), least, hash_of);
    fitted(table, hash_of)
}

/// The same table in the size that suits it, if the number of pairs was not that of keys.
pub(super) fn fitted<K, V, H>(table: Table<K, V>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let count = table.len();
    if count == 0 || table.main().shape().suits(count) {
        return table;
    }
    // Many keys came twice, or the size hint was wrong. Now the number of keys is known.
    let items = table.into_entries().map(|pair| item(pair, hash_of));
    from_items(items, count, hash_of)
}

pub(super) fn item<K, V>((key, value): (K, V), hash_of: &impl Fn(&K) -> u64) -> Item<K, V> {
    let hash = hash_of(&key);
    Item { hash, key, value }
}

/// Builds a table from about `count` items.
pub(super) fn from_items<K, V, I, H>(items: I, count: usize, hash_of: &H) -> Table<K, V>
where
    I: Iterator<Item = Item<K, V>>,
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let (first, spilled) = build_level(items, count, hash_of);
    with_rest(first, spilled, hash_of)
}

/// Completes a table whose first level is built.
fn with_rest<K, V, H>(first: Level<K, V>, spilled: Vec<Item<K, V>>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    if !is_too_much(spilled.len(), first.entries().len()) {
        let count = spilled.len();
        let (second, last) = build_rest(spilled.into_iter().map(Item::mixed), count, hash_of);
        return Table::of(first, second, last);
    }
    // The bits of these hashes are not where a level looks for them, or the count was wrong. What
    // spilled may have come after what is in the level, and is of other keys.
    let count = first.entries().len() + spilled.len();
    let placed = first.into_entries().map(|pair| item(pair, hash_of));
    let items = placed.chain(spilled).map(Item::mixed);
    let (second, last) = build_rest(items, count, hash_of);
    Table::of(Level::empty(), second, last)
}

/// Whether so many keys have found no place in a level that it is not worth having.
pub(super) fn is_too_much(spilled: usize, placed: usize) -> bool {
    spilled > placed / 8 + 4
}

/// Builds the second level and the list from about `count` items with mixed hashes.
fn build_rest<K, V, I, H>(items: I, count: usize, hash_of: &H) -> (Level<K, V>, List<K, V>)
where
    I: Iterator<Item = Item<K, V>>,
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let (second, spilled) = build_level(items, count, &|key| spread(hash_of(key)));
    (second, List::build(spilled))
}

/// Builds a level for about `count` items; of items of one key the last wins. Returns what found no
/// place, in order of arrival.
pub(super) fn build_level<K, V, I, H>(
    items: I,
    count: usize,
    hash_of: &H,
) -> (Level<K, V>, Vec<Item<K, V>>)
where
    I: Iterator<Item = Item<K, V>>,
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let mut gathered = Gathered::new(count);
    for item in pace::each(items) {
        gathered.push(item);
    }
    gathered.build(hash_of)
}

/// The items of a level that is to be built.
///
/// Until their part is placed, pairs wait in its own slots, in order of arrival and without their hashes: then
/// a build takes the memory of the level, and next to none besides.
pub(super) struct Gathered<K, V> {
    shape: Shape,
    per_part: usize,
    buckets: usize,
    /// How many bits of a bucket's number do not say in which part it is.
    part_bits: u32,
    /// For each part, those of its slots that are still open.
    open: Vec<Range<usize>>,
    entries: Option<Draft<K, V>>,
    /// What finds its part full: the count is wrong, or the hasher bad.
    late: Vec<(usize, Item<K, V>)>,
}

impl<K: Clone + Eq, V: Clone> Gathered<K, V> {
    /// For about `count` items.
    pub(super) fn new(count: usize) -> Self {
        let shape = Shape::for_entries(count.max(1));
        let per_part = shape.blocks().div_ceil(MOST_PARTS).next_power_of_two();
        let room = per_part * shape.slots_per_block();
        let firsts = (0..shape.slots()).step_by(room);
        Gathered {
            shape,
            per_part,
            buckets: shape.buckets(),
            part_bits: shape.block_bits() + per_part.trailing_zeros(),
            open: firsts
                .map(|first| first..shape.slots().min(first + room))
                .collect(),
            entries: None,
            late: Vec::new(),
        }
    }

    /// Inlined, and what is rare left out of it: as a call it takes a sixteenth of a build.
    #[inline(always)]
    pub(super) fn push(&mut self, item: Item<K, V>) {
        let part = bucket(item.hash, self.buckets) >> self.part_bits;
        let Some(slot) = self.open[part].next() else {
            return self.put_off(part, item);
        };
        match &mut self.entries {
            Some(entries) => entries.stow(slot, item.into_pair()),
            None => self.begin(slot, item.into_pair()),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_off(&mut self, part: usize, item: Item<K, V>) {
        self.late.push((part, item));
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, slot: usize, pair: (K, V)) {
        let any = Entries::<K, V>::FILLED.then(|| pair.clone());
        let entries = Draft::all_open(self.shape.slots(), any);
        self.entries.insert(entries).stow(slot, pair);
    }

    /// The level, and what found no place in it.
    pub(super) fn build(mut self, hash_of: &impl Fn(&K) -> u64) -> (Level<K, V>, Vec<Item<K, V>>) {
        let Some(entries) = self.entries.take() else {
            return (Level::empty(), Vec::new());
        };
        let mut late = std::mem::take(&mut self.late);
        late.sort_by_key(|&(part, _)| part);
        let mut late = late.into_iter().peekable();
        let mut builder = Builder::of(self.shape, entries);
        for (part, open) in self.open.iter().enumerate() {
            let first = builder.blocks * self.shape.slots_per_block();
            builder
                .next
                .take(&mut builder.entries, first..open.start, hash_of);
            while let Some((_, item)) = late.next_if(|&(of, _)| of == part) {
                builder.next.push(item);
            }
            let left = self.shape.blocks() - builder.blocks;
            builder.add_in_place(self.per_part.min(left));
        }
        builder.finish()
    }
}

impl<K, V> Drop for Gathered<K, V> {
    /// It may be given up when it is half full, of what is read from a file for instance.
    fn drop(&mut self) {
        if let Some(entries) = &mut self.entries {
            entries.discard();
        }
        let late = std::mem::take(&mut self.late).into_iter();
        discard(late.map(|(_, item)| item.into_pair()));
    }
}

/// A table that is being filled. See [`Table::gather`].
pub(crate) struct Gathering<K, V>(Gathered<K, V>);

#[cfg_attr(
    not(feature = "dump"),
    allow(dead_code, reason = "for what is read from a file")
)]
impl<K: Clone + Eq, V: Clone> Gathering<K, V> {
    pub(super) fn new(count: usize) -> Self {
        Self(Gathered::new(count))
    }

    pub(crate) fn push(&mut self, hash: u64, key: K, value: V) {
        self.0.push(Item { hash, key, value });
    }

    pub(crate) fn build(self, hash_of: impl Fn(&K) -> u64) -> Table<K, V> {
        let (first, spilled) = self.0.build(&hash_of);
        fitted(with_rest(first, spilled, &hash_of), &hash_of)
    }
}

/// A level under construction: block after block.
pub(super) struct Builder<K, V> {
    shape: Shape,
    /// How many are built.
    blocks: usize,
    pilots: Vec<Pilot>,
    pub(super) entries: Draft<K, V>,
    spilled: Vec<Item<K, V>>,
    /// Buckets of which a key is elsewhere though their pilots do not say so.
    unsaid: UnsaidDraft,
    filter: Filter,
    /// For the blocks that are built next.
    next: Batch<K, V>,
    placer: Placer,
}

impl<K: Clone + Eq, V: Clone> Builder<K, V> {
    pub(super) fn new(shape: Shape) -> Self {
        Self::of(shape, Draft::with_room(shape.slots()))
    }

    fn of(shape: Shape, entries: Draft<K, V>) -> Self {
        Builder {
            shape,
            blocks: 0,
            pilots: Vec::with_capacity(shape.buckets()),
            entries,
            spilled: Vec::new(),
            unsaid: UnsaidDraft::default(),
            filter: Filter::with_room(shape),
            next: Batch::new(),
            placer: Placer::default(),
        }
    }

    /// Adds an item to those of the blocks that are built next.
    pub(super) fn push(&mut self, item: Item<K, V>) {
        self.next.push(item);
    }

    /// Builds the next block anew. What found no place in it in a level of the same shape stays where it is.
    pub(super) fn rebuild(&mut self, level: &Level<K, V>) {
        let buckets = self.buckets();
        let pilots = buckets.clone().map(|bucket| level.has_spilled(bucket));
        self.pilots
            .extend(pilots.map(|has_spilled| match has_spilled {
                true => Pilot::SPILLED,
                false => Pilot::NONE,
            }));
        let pilots = &self.pilots;
        self.filter.extend(level.filter(), buckets, |bucket| {
            pilots[bucket].has_spilled()
        });
        let first = self.entries.open(self.shape.slots_per_block());
        self.place(1);
        self.put(first, 1);
    }

    /// Builds the next blocks from their items, whose slots are open, as these were stowed there.
    fn add_in_place(&mut self, blocks: usize) {
        let buckets = blocks * self.shape.buckets_per_block();
        self.filter.open(buckets);
        self.pilots.resize(self.pilots.len() + buckets, Pilot::NONE);
        let first = self.blocks * self.shape.slots_per_block();
        self.place(blocks);
        if Entries::<K, V>::FILLED {
            let slots = first..first + blocks * self.shape.slots_per_block();
            let mut placed = self.next.pairs.iter().zip(&self.placer.places);
            let stays = placed.find(|(_, place)| place.slot().is_some());
            let stays = stays.map(|(pair, _)| pair.clone());
            self.entries.clear(slots, stays);
        }
        self.put(first, blocks);
    }

    fn place(&mut self, blocks: usize) {
        let (pilots, filter) = (&mut self.pilots, &mut self.filter);
        self.placer
            .place(self.shape, blocks, &self.next, pilots, filter);
    }

    fn put(&mut self, first: usize, blocks: usize) {
        let placed = self.next.pairs.drain(..).zip(&self.placer.places);
        for (id, (pair, place)) in pace::each(placed.enumerate()) {
            if let Some(slot) = place.slot() {
                self.entries.put(first + slot, pair);
            } else if *place == Place::SPILLED {
                let (hash, (key, value)) = (self.next.hashes[id], pair);
                let bucket = bucket(hash, self.shape.buckets());
                // Told of it already, unless the hash leads elsewhere now than when the item was gathered.
                self.filter.add(bucket, hash);
                let pilot = self.pilots.get(bucket);
                if !pilot.is_some_and(|pilot| pilot.has_spilled()) {
                    self.unsaid.add(bucket);
                }
                self.spilled.push(Item { hash, key, value });
            } else {
                drop_contained(pair.0);
                drop_contained(pair.1);
            }
        }
        self.next.hashes.clear();
        self.entries.mark(first, &self.placer.taken);
        self.blocks += blocks;
    }

    /// Copies the next block from a level of the same shape.
    pub(super) fn copy(&mut self, level: &Level<K, V>) {
        pace::checkpoint();
        let slots = self.shape.slots_per_block();
        self.pilots.extend_from_slice(level.pilots_of(self.blocks));
        let first = self.blocks * slots;
        self.entries.copy(level.entries(), first..first + slots);
        let buckets = self.buckets();
        self.unsaid.add_all(level.unsaid(), buckets.clone());
        self.filter.extend(level.filter(), buckets, |_| true);
        self.blocks += 1;
    }

    /// Those of the next block.
    fn buckets(&self) -> Range<usize> {
        let buckets = self.shape.buckets_per_block();
        self.blocks * buckets..(self.blocks + 1) * buckets
    }

    /// The level, and what found no place in it.
    pub(super) fn finish(self) -> (Level<K, V>, Vec<Item<K, V>>) {
        let entries = self.entries.finish();
        let unsaid = self.unsaid.finish();
        let level = Level::new(self.shape, self.pilots, entries, unsaid, self.filter);
        (level, self.spilled)
    }
}
