//! A new table from an old one and a few changes, copied shelf by shelf.

use std::mem;

use crate::table::build::{self, Item, build_next, build_rest, shelves_for};
use crate::table::draft::Draft;
use crate::table::header::{Header, LANES, Layout, mix, remix};
use crate::table::level::{Found, Level};
use crate::table::rest::{Next, Rest};
use crate::table::{Change, Table};

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
    let patch = Patch { hash_of, depth: 0 };
    let empty = Table::empty();
    let patched = if !table.small.headers.is_empty() {
        let patched = patch.first(&table.small, &table.rest, changes);
        patched.map(|(small, rest)| Table {
            small,
            rest,
            ..empty
        })
    } else if !table.large.headers.is_empty() || table.is_empty() {
        let patched = patch.first(&table.large, &table.rest, changes);
        patched.map(|(large, rest)| Table {
            large,
            rest,
            ..empty
        })
    } else {
        // It is for a hasher whose low bits do not spread.
        let changes = changes.into_iter().map(|change| change.hashed(mix));
        let rest = patch.deeper().rest(&table.rest, changes.collect());
        Ok(Table { rest, ..empty })
    };
    patched.unwrap_or_else(|changes| rebuilt(table, changes, hash_of))
}

fn rebuilt<K, V, H>(table: &Table<K, V>, changes: Vec<Change<K, V>>, hash_of: &H) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let plan = Plan::new(table.len(), &changes, |change| {
        let (place, _) = table.locate(change.hash, &change.key)?;
        Some(place)
    });
    let kept = plan.kept(table.iter()).map(|(key, value)| Item {
        hash: hash_of(key),
        key: key.clone(),
        value: value.clone(),
    });
    let added = changes.into_iter().filter_map(Change::into_item);
    build::from_items(kept.chain(added), plan.count, hash_of)
}

/// A table's first level and what follows it.
type Parts<K, V, L> = (Level<K, V, L>, Rest<K, V>);

/// What stays the same while one level of a table is patched.
struct Patch<'a, H> {
    hash_of: &'a H,
    /// How often the hashes of this level have been mixed.
    depth: u32,
}

impl<H> Patch<'_, H> {
    /// What applies to the next level.
    fn deeper(&self) -> Self {
        Patch {
            hash_of: self.hash_of,
            depth: self.depth + 1,
        }
    }

    /// Applies changes to a table's first level and to what follows it. Gives the changes back if the
    /// level had better be built anew.
    fn first<K, V, L: Layout>(
        &self,
        level: &Level<K, V, L>,
        rest: &Rest<K, V>,
        changes: Vec<Change<K, V>>,
    ) -> Result<Parts<K, V, L>, Vec<Change<K, V>>>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let (changes, count) = in_order(level, changes);
        if !level.can_be_copied(count) {
            return Err(changes);
        }
        let (level, onward) = self.copy(level, changes, count);
        let onward = onward.into_iter().map(|change| change.hashed(mix));
        Ok((level, self.deeper().rest(rest, onward.collect())))
    }

    /// Applies changes to a level and to those after it: copies the level, if its number of shelves suits
    /// the new number of entries, or rebuilds all.
    fn rest<K, V>(&self, rest: &Rest<K, V>, changes: Vec<Change<K, V>>) -> Rest<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let level = &rest.level;
        let (changes, count) = in_order(level, changes);
        if !level.can_be_copied(count) {
            let plan = Plan::new(rest.len(), &changes, |change| {
                let (place, _) = rest.find_any(change.hash, &change.key)?;
                Some(place)
            });
            let kept = plan
                .kept(rest.parts().flatten())
                .map(|entry| self.item(entry));
            let items = kept.chain(changes.into_iter().filter_map(Change::into_item));
            return build_rest(items, shelves_for(plan.count), self.depth);
        }
        let (level, onward) = self.copy(level, changes, count);
        let onward = onward.into_iter().map(|change| change.hashed(remix));
        let next = self.next(&rest.next, onward.collect());
        Rest { level, next }
    }

    /// Applies changes to what comes after a level.
    fn next<K, V>(&self, old: &Next<K, V>, changes: Vec<Change<K, V>>) -> Next<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let patch = self.deeper();
        match old {
            Next::Nothing => {
                let items = changes.into_iter().filter_map(Change::into_item).collect();
                build_next(items, patch.depth)
            }
            Next::Level(rest) => {
                let rest = patch.rest(rest, changes);
                if rest.len() == 0 {
                    return Next::Nothing;
                }
                Next::Level(Box::new(rest))
            }
            Next::List(list) => {
                let plan = Plan::new(list.entries().len(), &changes, |change| {
                    let (place, _) = list.find_any(change.hash, &change.key)?;
                    Some(place)
                });
                let kept = plan.kept(list.items()).map(|(hash, (key, value))| Item {
                    hash,
                    key: key.clone(),
                    value: value.clone(),
                });
                let added = changes.into_iter().filter_map(Change::into_item);
                build_next(kept.chain(added).collect(), patch.depth)
            }
        }
    }

    /// Copies a level with changes in order of its shelves, to about `count` entries. Returns also the
    /// changes that belong to the next level, with the hashes of this one.
    fn copy<K, V, L: Layout>(
        &self,
        level: &Level<K, V, L>,
        changes: Vec<Change<K, V>>,
        count: usize,
    ) -> (Level<K, V, L>, Vec<Change<K, V>>)
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let shelves = level.headers.len();
        let shelf_of = |change: &Change<K, V>| change.hash as usize & (shelves - 1);
        let mut draft = Draft::new(shelves, count);
        let mut onward = Vec::new();
        let mut group = Vec::new();
        let mut changes = changes.into_iter().peekable();
        let mut done = 0;
        loop {
            let shelf = changes.peek().map_or(shelves, shelf_of);
            if !draft.copy(level, done..shelf) {
                for shelf in done..shelf {
                    self.patch_shelf(&mut draft, level, shelf, &mut group);
                    onward.append(&mut group);
                }
            }
            if shelf == shelves {
                break;
            }
            while let Some(change) = changes.next_if(|next| shelf_of(next) == shelf) {
                group.push(change);
            }
            self.patch_shelf(&mut draft, level, shelf, &mut group);
            onward.append(&mut group);
            done = shelf + 1;
        }
        let (level, spilled) = draft.finish();
        onward.extend(spilled.into_iter().map(Change::adding));
        (level, onward)
    }

    /// Copies a shelf with its changes. Leaves in `group` those that belong to the next level.
    fn patch_shelf<K, V, L: Layout>(
        &self,
        draft: &mut Draft<K, V, L>,
        level: &Level<K, V, L>,
        shelf: usize,
        group: &mut Vec<Change<K, V>>,
    ) where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let more = level.header(shelf).is_some_and(Header::has_more);
        let mut items = Vec::with_capacity(LANES + group.len());
        for entry in &level.entries[level.entries_of(shelf..shelf + 1)] {
            match group.iter().position(|change| change.key == entry.0) {
                Some(at) => items.extend(group.swap_remove(at).into_item()),
                None => items.push(self.item(entry)),
            }
        }
        if !more {
            items.extend(mem::take(group).into_iter().filter_map(Change::into_item));
        }
        // Else any of those that are left may be in the next level already.
        draft.fill(items.into_iter(), more);
    }

    /// A copy of an entry on its way into this level.
    fn item<K, V>(&self, (key, value): &(K, V)) -> Item<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone,
        V: Clone,
    {
        let mut hash = (self.hash_of)(key);
        for depth in 0..self.depth {
            hash = if depth == 0 { mix(hash) } else { remix(hash) };
        }
        Item {
            hash,
            key: key.clone(),
            value: value.clone(),
        }
    }
}

/// Orders changes by shelf. Returns also how many entries the level will have, or a few less.
fn in_order<K, V, L: Layout>(
    level: &Level<K, V, L>,
    mut changes: Vec<Change<K, V>>,
) -> (Vec<Change<K, V>>, usize)
where
    K: Eq,
{
    let mask = level.headers.len().wrapping_sub(1);
    changes.sort_unstable_by_key(|change| change.hash as usize & mask);
    let count = changes.iter().fold(level.entries.len(), |count, change| {
        match level.find_any(change.hash, &change.key) {
            Found::Here(_) => count - usize::from(change.value.is_none()),
            _ => count + usize::from(change.value.is_some()),
        }
    });
    (changes, count)
}

impl<K, V> Change<K, V> {
    /// The same change, known by another hash.
    fn hashed(self, hash: impl Fn(u64) -> u64) -> Self {
        let hash = hash(self.hash);
        Change { hash, ..self }
    }

    /// A change that adds an item.
    fn adding(item: Item<K, V>) -> Self {
        Change {
            hash: item.hash,
            key: item.key,
            value: Some(item.value),
        }
    }

    /// What the change adds.
    fn into_item(self) -> Option<Item<K, V>> {
        Some(Item {
            hash: self.hash,
            key: self.key,
            value: self.value?,
        })
    }
}

/// What a set of changes does to the entries that are there.
struct Plan {
    /// How many entries there will be.
    count: usize,
    /// The places of the entries that are replaced or removed, in order.
    gone: Vec<usize>,
}

impl Plan {
    fn new<K, V>(
        len: usize,
        changes: &[Change<K, V>],
        place: impl Fn(&Change<K, V>) -> Option<usize>,
    ) -> Self {
        let mut gone: Vec<usize> = changes.iter().filter_map(place).collect();
        gone.sort_unstable();
        let added = changes
            .iter()
            .filter(|change| change.value.is_some())
            .count();
        Plan {
            count: len - gone.len() + added,
            gone,
        }
    }

    /// Leaves out the entries that are replaced or removed.
    fn kept<T>(&self, entries: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        let mut gone = self.gone.iter().copied().peekable();
        entries
            .enumerate()
            .filter(move |(place, _)| gone.next_if_eq(place).is_none())
            .map(|(_, entry)| entry)
    }
}
