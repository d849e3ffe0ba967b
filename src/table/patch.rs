//! Patching: a copy of a table with changes, made block by block.

use std::ops::Range;

use crate::spread::spread;
use crate::sync::pace;
use crate::table::build::{Builder, build_level, from_items, is_too_much, item};
use crate::table::edits::{Edit, Edits, by_block, count_after};
use crate::table::entries::cloned;
use crate::table::level::Level;
use crate::table::list::List;
use crate::table::{Change, Item, Table};

/// The second level has at most one key for so many of the first, or what is new is no longer put there.
const FIRST_TO_SECOND: usize = 2;

/// More than one key for so many of the first that is there because it was new is brought home.
const FIRST_TO_APART: usize = 64;

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
    among(table, edits, hash_of)
}

/// New keys come to the others, and so do those that are beside these.
fn among<K, V, H>(table: &Table<K, V>, mut edits: Edits<K, V>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    if is_extended(table) || !table.main().shape().suits(edits.count) {
        return rebuilt(table, edits, hash_of);
    }
    edits.put_new_in_place(table);
    changed(table, edits, hash_of)
}

/// The same, and new keys go to the second level if there are not too many.
pub(super) fn extended<K, V, H>(
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
    let first = count_after(table.first.entries().len(), &edits.first);
    let others = edits.count - first;
    if first == 0 || others * FIRST_TO_SECOND > first || !table.first.shape().suits(first) {
        return among(table, edits, hash_of);
    }
    changed(table, edits, hash_of)
}

pub(super) fn is_extended<K, V>(table: &Table<K, V>) -> bool {
    table.apart * FIRST_TO_APART > table.first.entries().len()
}

/// Applies changes to a table of the same size. What is new comes into the second level.
fn changed<K, V, H>(table: &Table<K, V>, edits: Edits<K, V>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let count = edits.count;
    let (first, spilled) = match edits.first.is_empty() {
        true => (table.first.shared(), Vec::new()),
        false => patched_level(&table.first, edits.first, hash_of),
    };
    let apart = edits.new.len();
    let first = first.spilling(edits.new.iter().map(|change| change.hash));
    let mut of_second = edits.second;
    pace::extend(
        &mut of_second,
        spilled.into_iter().map(|item| Edit::adding(item.mixed())),
    );
    let mixed = |key: &K| spread(hash_of(key));
    let (second, spilled) = patched_second(&table.second, of_second, edits.new, &mixed);
    let kept = without(table.last.items(), gone(&edits.last, 0..table.last.len()));
    let kept = kept.map(|(hash, entry)| {
        let (key, value) = cloned(entry);
        Item { hash, key, value }
    });
    let added = edits.last.into_iter().filter_map(Edit::into_item);
    let last = List::build(kept.chain(added).chain(spilled).collect());
    let changed = Table {
        apart: table.apart + apart,
        ..Table::of(first, second, last)
    };
    let placed = changed.first.entries().len();
    let spilled = (changed.len() - placed).saturating_sub(changed.apart);
    if placed > 0 && is_too_much(spilled, placed) {
        let items = changed.into_entries().map(|pair| item(pair, hash_of));
        return from_items(items, count, hash_of);
    }
    changed
}

/// Builds a table of another size.
///
/// The blocks of the old one are in the order of their hashes, as those of the new one are. So what is read one after
/// another is written so as well.
fn rebuilt<K, V, H>(table: &Table<K, V>, edits: Edits<K, V>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let all = |level: &Level<K, V>| 0..level.shape().slots();
    let kept = kept_of(&table.first, &edits.first, all(&table.first))
        .chain(kept_of(&table.second, &edits.second, all(&table.second)))
        .chain(without(
            table.last.entries(),
            gone(&edits.last, 0..table.last.len()),
        ))
        .map(|entry| item(cloned(entry), hash_of));
    let changed = edits
        .first
        .into_iter()
        .chain(edits.second)
        .chain(edits.last);
    let new = edits.new.into_iter().filter_map(Change::into_item);
    // By the hash by which the first level knows them, which is not that of the second.
    let changed = changed.filter_map(Edit::into_item);
    let changed = changed.map(|changed| item(changed.into_pair(), hash_of));
    from_items(kept.chain(new).chain(changed), edits.count, hash_of)
}

/// Applies changes to the second level, whose size may be another afterwards, and adds what is `new` in the table.
fn patched_second<K, V>(
    level: &Level<K, V>,
    mut edits: Vec<Edit<K, V>>,
    new: Vec<Change<K, V>>,
    hash_of: &impl Fn(&K) -> u64,
) -> (Level<K, V>, Vec<Item<K, V>>)
where
    K: Clone + Eq,
    V: Clone,
{
    let count = count_after(level.entries().len(), &edits) + new.len();
    if level.shape().suits(count) {
        let new = new.into_iter().map(|change| Edit::of(None, change).mixed());
        pace::extend(&mut edits, new);
        return patched_level(level, edits, hash_of);
    }
    let kept = kept_of(level, &edits, 0..level.shape().slots()).map(cloned);
    let kept = kept.map(|pair| item(pair, hash_of));
    let new = new
        .into_iter()
        .filter_map(Change::into_item)
        .map(Item::mixed);
    let added = edits.into_iter().filter_map(Edit::into_item).chain(new);
    build_level(kept.chain(added), count, hash_of)
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
            for Edit { at, change } in pace::each(edits) {
                if let Some((slot, value)) = at.zip(change.value) {
                    builder.entries.replace(slot, (change.key, value));
                }
            }
            continue;
        }
        let first = block * shape.slots_per_block();
        let kept = kept_of(level, &edits, first..first + shape.slots_per_block());
        let kept = kept.map(|entry| item(cloned(entry), hash_of));
        let items = kept.chain(edits.into_iter().filter_map(Edit::into_item));
        pace::each(items).for_each(|item| builder.push(item));
        builder.rebuild(level);
    }
    builder.finish()
}

/// The entries in some slots that no edit replaces or removes.
fn kept_of<'a, K, V>(
    level: &'a Level<K, V>,
    edits: &[Edit<K, V>],
    slots: Range<usize>,
) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
    let (first, gone) = (slots.start, gone(edits, slots.clone()));
    let entries = pace::each(level.entries().within(slots));
    entries.filter_map(move |(slot, entry)| (!gone[slot - first]).then_some(entry))
}

/// For each of these slots, whether an edit replaces or removes its entry.
fn gone<K, V>(edits: &[Edit<K, V>], slots: Range<usize>) -> Vec<bool> {
    let mut gone = vec![false; slots.len()];
    for slot in pace::each(edits).filter_map(|edit| edit.at) {
        gone[slot - slots.start] = true;
    }
    gone
}

fn without<T>(items: impl Iterator<Item = T>, gone: Vec<bool>) -> impl Iterator<Item = T> {
    items
        .zip(gone)
        .filter_map(|(item, gone)| (!gone).then_some(item))
}
