//! What changes in a table, sorted by where that is.

use crate::spread::spread;
use crate::sync::pace;
use crate::table::shape::Shape;
use crate::table::{Change, Item, Table};

/// A change, and where its key is in the level or list to which it belongs, if it is there.
pub(super) struct Edit<K, V> {
    pub(super) at: Option<usize>,
    /// With the hash by which that level knows the key.
    pub(super) change: Change<K, V>,
}

/// Changes by the level to which they belong, and how many entries there will be.
pub(super) struct Edits<K, V> {
    pub(super) first: Vec<Edit<K, V>>,
    /// Of keys that are nowhere in the table, with their own hashes and their values.
    pub(super) new: Vec<Change<K, V>>,
    pub(super) second: Vec<Edit<K, V>>,
    pub(super) last: Vec<Edit<K, V>>,
    pub(super) count: usize,
}

impl<K: Eq, V> Edits<K, V> {
    pub(super) fn of(table: &Table<K, V>, changes: Vec<Change<K, V>>) -> Self {
        let (mut first, mut second, mut last) = (Vec::new(), Vec::new(), Vec::new());
        // What is new, which may be most of it, stays where it is: to move it into fresh memory takes longer than the look.
        let mut new = changes;
        let mut turns = pace::Turns::default();
        let others = new.extract_if(.., |change| {
            turns.turn();
            change.value.is_none() || table.first.may_know(change.hash)
        });
        let may_be_here = others.collect();
        // Block by block, so that an entry that is looked at is in the caches more often than not.
        let by_block = by_block(table.first.shape(), may_be_here, |change| change.hash);
        for change in pace::each(by_block.flatten()) {
            if let Some(slot) = table.first.position(change.hash, &change.key) {
                first.push(Edit::of(Some(slot), change));
                continue;
            }
            if table.first.may_have_spilled(change.hash) {
                let mixed = spread(change.hash);
                if let Some(slot) = table.second.position(mixed, &change.key) {
                    second.push(Edit::of(Some(slot), change.known_by(mixed)));
                    continue;
                }
                if let Some(index) = table.last.position(mixed, &change.key) {
                    last.push(Edit::of(Some(index), change.known_by(mixed)));
                    continue;
                }
            }
            if change.value.is_some() {
                new.push(change);
            }
        }
        let count = count_after(table.first.entries().len(), &first)
            + count_after(table.second.entries().len(), &second)
            + count_after(table.last.len(), &last)
            + new.len();
        Edits {
            first,
            new,
            second,
            last,
            count,
        }
    }

    /// Has what is new be added to the level that holds nearly all.
    pub(super) fn put_new_in_place(&mut self, table: &Table<K, V>) {
        let new = std::mem::take(&mut self.new).into_iter();
        let new = new.map(|change| Edit::of(None, change));
        if table.first.entries().len() == 0 {
            pace::extend(&mut self.second, new.map(Edit::mixed));
        } else {
            pace::extend(&mut self.first, new);
        }
    }
}

impl<K, V> Edit<K, V> {
    pub(super) fn of(at: Option<usize>, change: Change<K, V>) -> Self {
        Edit { at, change }
    }

    /// An edit that adds an item.
    pub(super) fn adding(item: Item<K, V>) -> Self {
        let Item { hash, key, value } = item;
        let value = Some(value);
        Edit::of(None, Change { hash, key, value })
    }

    /// As the second level knows it.
    pub(super) fn mixed(self) -> Self {
        let mixed = spread(self.change.hash);
        Edit::of(self.at, self.change.known_by(mixed))
    }

    pub(super) fn only_replaces(&self) -> bool {
        self.at.is_some() && self.change.value.is_some()
    }

    /// What the edit adds.
    pub(super) fn into_item(self) -> Option<Item<K, V>> {
        self.change.into_item()
    }
}

impl<K, V> Change<K, V> {
    pub(super) fn into_item(self) -> Option<Item<K, V>> {
        let Change { hash, key, value } = self;
        let value = value?;
        Some(Item { hash, key, value })
    }

    pub(super) fn known_by(self, hash: u64) -> Self {
        Change { hash, ..self }
    }
}

/// How many entries a level of so many has after some edits.
pub(super) fn count_after<K, V>(entries: usize, edits: &[Edit<K, V>]) -> usize {
    pace::each(edits).fold(entries, |count, edit| {
        let before = usize::from(edit.at.is_some());
        count - before + usize::from(edit.change.value.is_some())
    })
}

/// Parts things by the blocks in which a level of this shape knows their keys.
pub(super) fn by_block<T>(
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
    for thing in pace::each(things) {
        parted[shape.block_of(hash_of(&thing))].push(thing);
    }
    parted.into_iter()
}
