//! Patching: a copy of a table with changes, made block by block.

use std::collections::VecDeque;
use std::ops::Range;

use crate::spread::spread;
use crate::table::build::{Builder, build_level, from_items, is_too_much, item, with_rest};
use crate::table::level::Level;
use crate::table::list::List;
use crate::table::shape::Shape;
use crate::table::{Change, Item, Table, Watch};

/// A change, and where its key is in the level or list to which it belongs, if it is there.
struct Edit<K, V> {
    at: Option<usize>,
    /// With the hash by which that level knows the key.
    change: Change<K, V>,
}

/// Changes by the level to which they belong, and how many entries there will be.
struct Edits<K, V> {
    first: Vec<Edit<K, V>>,
    second: Vec<Edit<K, V>>,
    last: Vec<Edit<K, V>>,
    count: usize,
}

/// Applies changes of distinct keys to a table.
pub(super) fn patched<K, V, H>(
    table: &Table<K, V>,
    changes: Vec<Change<K, V>>,
    hash_of: &H,
) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let edits = Edits::of(table, changes);
    let count = edits.count;
    if !table.main().shape().suits(count) {
        return rebuilt(table, edits, hash_of);
    }
    let (first, spilled) = patched_level(&table.first, edits.first, hash_of);
    let mut of_second = edits.second;
    of_second.extend(spilled.into_iter().map(|item| Edit::adding(item.mixed())));
    let (second, spilled) = patched_second(&table.second, of_second, &|key| spread(hash_of(key)));
    let kept = without(table.last.items(), gone(&edits.last, 0..table.last.len()));
    let kept = kept.map(|(hash, (key, value))| Item {
        hash,
        key: key.clone(),
        value: value.clone(),
    });
    let added = edits.last.into_iter().filter_map(Edit::into_item);
    let last = List::build(kept.chain(added).chain(spilled).collect());
    let patched = Table {
        first,
        second,
        last,
        timed: None,
        weighed: None,
        touched: None,
        written: None,
        watch: Watch::Nothing,
    };
    let placed = patched.first.entries().len();
    if placed > 0 && is_too_much(patched.len() - placed, placed) {
        let items = patched.into_entries().map(|pair| item(pair, hash_of));
        return from_items(items, count, hash_of);
    }
    patched
}

/// Builds a table of another size.
///
/// The blocks of the old one are in the order of their hashes, as those of the new one are. So they are
/// read one after another, and of the new ones only those few are open to which the last read leads.
fn rebuilt<K, V, H>(table: &Table<K, V>, edits: Edits<K, V>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let (of_first, count) = (
        gone(&edits.first, 0..table.first.shape().slots()),
        edits.count,
    );
    let others = kept_of(
        &table.second,
        &edits.second,
        0..table.second.shape().slots(),
    )
    .chain(without(
        table.last.items().map(|(_, entry)| entry),
        gone(&edits.last, 0..table.last.len()),
    ))
    .cloned();
    let all = edits
        .first
        .into_iter()
        .chain(edits.second)
        .chain(edits.last);
    let added = all.filter_map(Edit::into_item).map(Item::into_pair);
    let others = others.chain(added).map(|pair| item(pair, hash_of));

    let old = table.first.shape();
    if old.blocks() == 0 || count == 0 {
        return from_items(others, count, hash_of);
    }
    let new = Shape::for_entries(count);
    let mut builder = Builder::new(new);
    let mut others = by_block(new, others.collect(), |item| item.hash);
    let mut open: VecDeque<Vec<Item<K, V>>> = VecDeque::new();
    let mut built = 0;
    for block in 0..old.blocks() {
        let slots = old.slots_per_block();
        for (slot, entry) in table
            .first
            .entries()
            .within(block * slots..(block + 1) * slots)
        {
            if of_first[slot] {
                continue;
            }
            let item = item(entry.clone(), hash_of);
            let to = new.block_of(item.hash).saturating_sub(built);
            while open.len() <= to {
                open.push_back(others.next().unwrap_or_default());
            }
            open[to].push(item);
        }
        // The next old block leads to no new one before the one in which it begins.
        let next = new.blocks() * (block + 1) / old.blocks();
        while built < next {
            let items = open.pop_front().or_else(|| others.next());
            builder.add(1, items.unwrap_or_default());
            built += 1;
        }
    }
    let (first, spilled) = builder.finish();
    with_rest(first, spilled, hash_of)
}

/// Applies changes to the second level, whose size may be another afterwards.
fn patched_second<K, V>(
    level: &Level<K, V>,
    edits: Vec<Edit<K, V>>,
    hash_of: &impl Fn(&K) -> u64,
) -> (Level<K, V>, Vec<Item<K, V>>)
where
    K: Clone + Eq,
    V: Clone,
{
    let count = count_after(level.entries().len(), &edits);
    if level.shape().suits(count) {
        return patched_level(level, edits, hash_of);
    }
    let kept: Vec<_> = kept_of(level, &edits, 0..level.shape().slots())
        .cloned()
        .collect();
    let kept = kept.into_iter().map(|pair| item(pair, hash_of));
    build_level(
        kept.chain(edits.into_iter().filter_map(Edit::into_item)),
        count,
        hash_of,
    )
}

/// Copies a level with changes. Returns also what found no place in it.
fn patched_level<K, V, H>(
    level: &Level<K, V>,
    edits: Vec<Edit<K, V>>,
    hash_of: &H,
) -> (Level<K, V>, Vec<Item<K, V>>)
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let shape = level.shape();
    let mut builder = Builder::new(shape);
    let by_block = by_block(shape, edits, |edit| edit.change.hash);
    for (block, edits) in by_block.enumerate() {
        if edits.iter().all(Edit::only_replaces) {
            builder.copy(level);
            for Edit { at, change } in edits {
                if let Some((slot, value)) = at.zip(change.value) {
                    builder.entries.replace(slot, (change.key, value));
                }
            }
            continue;
        }
        let first = block * shape.slots_per_block();
        let kept = kept_of(level, &edits, first..first + shape.slots_per_block());
        let kept = kept.map(|entry| item(entry.clone(), hash_of));
        let mut items = Vec::with_capacity(shape.slots_per_block());
        items.extend(kept);
        items.extend(edits.into_iter().filter_map(Edit::into_item));
        builder.keep_spilled(level);
        builder.add(1, items);
    }
    builder.finish()
}

/// Parts things by the blocks in which a level of this shape knows their keys.
fn by_block<T>(
    shape: Shape,
    things: Vec<T>,
    hash_of: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Vec<T>> {
    let blocks = shape.blocks();
    let mut parted: Vec<Vec<T>> = Vec::with_capacity(blocks.max(1));
    if blocks < 2 {
        // There may be none, and yet changes, if all entries are in the second level.
        parted.extend((blocks > 0 || !things.is_empty()).then_some(things));
        return parted.into_iter();
    }
    let room = things.len() / blocks * 9 / 8;
    parted.resize_with(blocks, || Vec::with_capacity(room));
    for thing in things {
        parted[shape.block_of(hash_of(&thing))].push(thing);
    }
    parted.into_iter()
}

/// The entries in some slots that no edit replaces or removes.
fn kept_of<'a, K, V>(
    level: &'a Level<K, V>,
    edits: &[Edit<K, V>],
    slots: Range<usize>,
) -> impl Iterator<Item = &'a (K, V)> + use<'a, K, V> {
    let (first, gone) = (slots.start, gone(edits, slots.clone()));
    let entries = level.entries().within(slots);
    entries.filter_map(move |(slot, entry)| (!gone[slot - first]).then_some(entry))
}

/// For each of these slots, whether an edit replaces or removes its entry.
fn gone<K, V>(edits: &[Edit<K, V>], slots: Range<usize>) -> Vec<bool> {
    let mut gone = vec![false; slots.len()];
    for slot in edits.iter().filter_map(|edit| edit.at) {
        gone[slot - slots.start] = true;
    }
    gone
}

fn without<T>(items: impl Iterator<Item = T>, gone: Vec<bool>) -> impl Iterator<Item = T> {
    items
        .zip(gone)
        .filter_map(|(item, gone)| (!gone).then_some(item))
}

/// How many entries a level of so many has after some edits.
fn count_after<K, V>(entries: usize, edits: &[Edit<K, V>]) -> usize {
    edits.iter().fold(entries, |count, edit| {
        let before = usize::from(edit.at.is_some());
        count - before + usize::from(edit.change.value.is_some())
    })
}

impl<K: Eq, V> Edits<K, V> {
    fn of(table: &Table<K, V>, changes: Vec<Change<K, V>>) -> Self {
        let (mut first, mut second, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let is_empty = table.first.entries().len() == 0;
        // Block by block, so that an entry that is looked at is in the caches more often than not.
        for change in by_block(table.first.shape(), changes, |change| change.hash).flatten() {
            if let Some(slot) = table.first.position(change.hash, &change.key) {
                first.push(Edit::of(Some(slot), change));
                continue;
            }
            let mixed = spread(change.hash);
            if !table.first.may_have_spilled(change.hash) {
                if change.value.is_some() {
                    first.push(Edit::of(None, change));
                }
            } else if let Some(slot) = table.second.position(mixed, &change.key) {
                second.push(Edit::of(Some(slot), change.known_by(mixed)));
            } else if let Some(index) = table.last.position(mixed, &change.key) {
                last.push(Edit::of(Some(index), change.known_by(mixed)));
            } else if change.value.is_none() {
                // There is nothing to remove.
            } else if is_empty {
                second.push(Edit::of(None, change.known_by(mixed)));
            } else {
                first.push(Edit::of(None, change));
            }
        }
        let count = count_after(table.first.entries().len(), &first)
            + count_after(table.second.entries().len(), &second)
            + count_after(table.last.len(), &last);
        Edits {
            first,
            second,
            last,
            count,
        }
    }
}

impl<K, V> Edit<K, V> {
    fn of(at: Option<usize>, change: Change<K, V>) -> Self {
        Edit { at, change }
    }

    /// An edit that adds an item.
    fn adding(item: Item<K, V>) -> Self {
        let Item { hash, key, value } = item;
        let value = Some(value);
        Edit::of(None, Change { hash, key, value })
    }

    fn only_replaces(&self) -> bool {
        self.at.is_some() && self.change.value.is_some()
    }

    /// What the edit adds.
    fn into_item(self) -> Option<Item<K, V>> {
        let Change { hash, key, value } = self.change;
        let value = value?;
        Some(Item { hash, key, value })
    }
}

impl<K, V> Change<K, V> {
    fn known_by(self, hash: u64) -> Self {
        Change { hash, ..self }
    }
}
