//! A new level from an old one and a few changes, copied shelf by shelf.

use std::mem;
use std::num::NonZeroU8;
use std::ops::Range;

use crate::table::build::{
    self, Draft, Item, build_level, build_overflow, shelves_for, shelves_for_shrinking, suits,
};
use crate::table::direct::{self, Direct};
use crate::table::header::{Tag, mix, remix, shelf_of};
use crate::table::level::{Level, Overflow};
use crate::table::{Change, Table};

/// Applies changes of distinct keys to a table.
///
/// A small table is built anew, a large one copied.
pub(super) fn patched<K, V, H>(
    table: &Table<K, V>,
    changes: Vec<Change<K, V>>,
    hash_of: H,
) -> Table<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let plan = Plan::new(table.len(), &changes, |change| {
        let (place, _) = table.locate(change.hash, &change.key)?;
        Some(place)
    });
    let was_small = !table.direct.entries().is_empty();
    if was_small || plan.count <= direct::MAX_ENTRIES {
        let kept = plan.kept(table.iter()).map(|(key, value)| Item {
            hash: hash_of(key),
            key: key.clone(),
            value: value.clone(),
        });
        let added = changes.into_iter().filter_map(Change::into_item);
        return build::from_items(kept.chain(added), plan.count);
    }
    let mixed = changes.into_iter().map(|change| Change {
        hash: mix(change.hash),
        ..change
    });
    let patch = Patch {
        hash_of: &hash_of,
        depth: 0,
    };
    Table {
        direct: Direct::empty(),
        root: patch.apply(&table.root, mixed.collect(), plan),
    }
}

/// What stays the same while one level is patched.
struct Patch<'a, H> {
    hash_of: &'a H,
    depth: u32,
}

impl<H> Patch<'_, H> {
    /// Applies changes, of which the level has the hashes.
    fn level<K, V>(&self, level: &Level<K, V>, pending: Vec<Change<K, V>>) -> Level<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let plan = Plan::new(level.len(), &pending, |change| {
            let (place, _) = level.find_any(change.hash, &change.key)?;
            Some(place)
        });
        self.apply(level, pending, plan)
    }

    /// Copies the level, if its number of shelves suits the new number of entries, or rebuilds it.
    fn apply<K, V>(
        &self,
        level: &Level<K, V>,
        mut pending: Vec<Change<K, V>>,
        plan: Plan,
    ) -> Level<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        pending.sort_unstable_by_key(|change| change.hash);
        if suits(plan.count, level.headers.len()) {
            return self.copy(level, pending);
        }
        let shelves = if plan.count < level.len() {
            shelves_for_shrinking(plan.count)
        } else {
            shelves_for(plan.count)
        };
        let kept = plan.kept(level.iter()).map(|(key, value)| Item {
            hash: self.mixed(key),
            key: key.clone(),
            value: value.clone(),
        });
        build_level(
            kept.chain(pending.into_iter().filter_map(Change::into_item)),
            shelves,
            self.depth,
        )
    }

    fn copy<K, V>(&self, level: &Level<K, V>, pending: Vec<Change<K, V>>) -> Level<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let shelves = level.headers.len();
        let mut draft = Draft::new(shelves, level.entries.len() + pending.len());
        let mut onward = Vec::new();
        let mut group = Vec::new();
        let mut pending = pending.into_iter().peekable();
        let mut done = 0;
        loop {
            let shelf = pending
                .peek()
                .map_or(shelves, |change| shelf_of(change.hash, shelves));
            self.copy_shelves(&mut draft, level, done..shelf);
            if shelf == shelves {
                break;
            }
            while let Some(change) = pending.next_if(|next| shelf_of(next.hash, shelves) == shelf) {
                group.push(change);
            }
            self.patch_shelf(&mut draft, level, shelf, &mut group);
            onward.append(&mut group);
            done = shelf + 1;
        }
        for change in &mut onward {
            change.hash = remix(change.hash);
        }
        let (mut copy, _) = draft.finish(shelves);
        copy.overflow = self.overflow(&level.overflow, onward);
        copy
    }

    /// Copies shelves that no change concerns.
    fn copy_shelves<K, V>(
        &self,
        draft: &mut Draft<K, V>,
        level: &Level<K, V>,
        shelves: Range<usize>,
    ) where
        H: Fn(&K) -> u64,
        K: Clone,
        V: Clone,
    {
        let Some(first) = level.header(shelves.start) else {
            return;
        };
        if shelves.is_empty() {
            return;
        }
        let end = level.end_of(shelves.end - 1);
        let headers = shelves.map(|shelf| {
            // Read once: it may be marked at any moment.
            let mut header = level.header(shelf).unwrap_or(first);
            let entries = &level.entries[header.start()..level.end_of(shelf)];
            if header.has_mark(entries.len()) {
                for (lane, (key, _)) in entries.iter().enumerate() {
                    let tag = Tag::of(self.mixed(key));
                    header = header.with_fingerprint(lane, tag.fingerprint(lane));
                }
            }
            header
        });
        draft.copy(headers, &level.entries[first.start()..end]);
    }

    /// Copies a shelf with its changes. Leaves in `group` those that belong to the next level.
    fn patch_shelf<K, V>(
        &self,
        draft: &mut Draft<K, V>,
        level: &Level<K, V>,
        shelf: usize,
        group: &mut Vec<Change<K, V>>,
    ) where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let Some(header) = level.header(shelf) else {
            return;
        };
        let entries = &level.entries[header.start()..level.end_of(shelf)];
        let mut rest = mem::take(group);
        if header.overflows() {
            draft.set_overflow();
        }
        for (lane, (key, value)) in entries.iter().enumerate() {
            let change = rest.iter().position(|change| change.key == *key);
            match change.map(|at| rest.swap_remove(at)) {
                Some(change) => place(draft, change, group),
                None => match NonZeroU8::new(header.fingerprint(lane)) {
                    Some(known) if lane == draft.lane() => {
                        draft.push(known, key.clone(), value.clone());
                    }
                    // It was marked, or an entry before it went, and lanes differ in fingerprints.
                    _ => {
                        let hash = self.mixed(key);
                        let value = Some(value.clone());
                        place(
                            draft,
                            Change {
                                hash,
                                key: key.clone(),
                                value,
                            },
                            group,
                        );
                    }
                },
            }
        }
        if header.overflows() {
            // Any of them may be in the next level already.
            group.append(&mut rest);
        } else {
            for change in rest.drain(..) {
                place(draft, change, group);
            }
        }
        draft.seal();
    }

    /// Applies changes to what comes after a level.
    fn overflow<K, V>(&self, old: &Overflow<K, V>, pending: Vec<Change<K, V>>) -> Overflow<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        let next = Patch {
            hash_of: self.hash_of,
            depth: self.depth + 1,
        };
        match old {
            Overflow::None => {
                let items = pending.into_iter().filter_map(Change::into_item).collect();
                build_overflow(items, next.depth)
            }
            Overflow::Level(level) => {
                let level = next.level(level, pending);
                if level.len() == 0 {
                    return Overflow::None;
                }
                Overflow::Level(Box::new(level))
            }
            Overflow::List(list) => {
                let plan = Plan::new(list.entries().len(), &pending, |change| {
                    list.find_any(change.hash, &change.key)
                        .map(|(index, _)| index)
                });
                let kept = plan.kept(list.items()).map(|(hash, (key, value))| Item {
                    hash,
                    key: key.clone(),
                    value: value.clone(),
                });
                let added = pending.into_iter().filter_map(Change::into_item);
                build_overflow(kept.chain(added).collect(), next.depth)
            }
        }
    }

    /// Returns the mixed hash that a key has at this depth.
    fn mixed<K>(&self, key: &K) -> u64
    where
        H: Fn(&K) -> u64,
    {
        (0..self.depth).fold(mix((self.hash_of)(key)), |mixed, _| remix(mixed))
    }
}

/// Puts a change, whose key is not in the next level, on the open shelf, or else in `onward`.
fn place<K, V>(draft: &mut Draft<K, V>, change: Change<K, V>, onward: &mut Vec<Change<K, V>>) {
    let Change {
        hash,
        key,
        value: Some(value),
    } = change
    else {
        return;
    };
    match draft.room_for(Tag::of(hash)) {
        Some(fingerprint) => draft.push(fingerprint, key, value),
        None => {
            draft.set_overflow();
            onward.push(Change {
                hash,
                key,
                value: Some(value),
            });
        }
    }
}

impl<K, V> Change<K, V> {
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
        pending: &[Change<K, V>],
        place: impl Fn(&Change<K, V>) -> Option<usize>,
    ) -> Self {
        let mut gone: Vec<usize> = pending.iter().filter_map(place).collect();
        gone.sort_unstable();
        let added = pending
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
