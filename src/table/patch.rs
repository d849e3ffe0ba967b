//! A new level from an old one and a few changes, copied shelf by shelf.

use std::mem;
use std::num::NonZeroU8;
use std::ops::Range;

use crate::table::Change;
use crate::table::build::{
    Draft, Item, build_level, build_overflow, shelves_for, shelves_for_shrinking, suits,
};
use crate::table::header::{Tag, mix, remix, shelf_of};
use crate::table::level::{Level, Overflow};

/// A change on its way to its level, with its mixed hash there.
struct Pending<K, V> {
    mixed: u64,
    key: K,
    value: Option<V>,
}

/// Applies changes of distinct keys to a table's first level, and with it to all others.
pub(super) fn patched<K, V, H>(
    root: &Level<K, V>,
    changes: Vec<Change<K, V>>,
    hash_of: H,
) -> Level<K, V>
where
    H: Fn(&K) -> u64,
    K: Clone + Eq,
    V: Clone,
{
    let pending = changes
        .into_iter()
        .map(|Change { hash, key, value }| Pending {
            mixed: mix(hash),
            key,
            value,
        })
        .collect();
    Patch {
        hash_of: &hash_of,
        depth: 0,
    }
    .level(root, pending)
}

/// What stays the same while one level is patched.
struct Patch<'a, H> {
    hash_of: &'a H,
    depth: u32,
}

impl<H> Patch<'_, H> {
    /// Copies the level, if its number of shelves suits the new number of entries, or rebuilds it.
    fn level<K, V>(&self, level: &Level<K, V>, mut pending: Vec<Pending<K, V>>) -> Level<K, V>
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        pending.sort_unstable_by_key(|change| change.mixed);
        let plan = Plan::new(level.len(), &pending, |change| {
            level
                .find_any(change.mixed, &change.key)
                .map(|(index, _)| index)
        });
        if suits(plan.count, level.headers.len()) {
            return self.copy(level, pending);
        }
        let shelves = if plan.count < level.len() {
            shelves_for_shrinking(plan.count)
        } else {
            shelves_for(plan.count)
        };
        let kept = plan.kept(level.iter()).map(|(key, value)| Item {
            mixed: self.mixed(key),
            key: key.clone(),
            value: value.clone(),
        });
        build_level(
            kept.chain(pending.into_iter().filter_map(Pending::into_item)),
            shelves,
            self.depth,
        )
    }

    fn copy<K, V>(&self, level: &Level<K, V>, pending: Vec<Pending<K, V>>) -> Level<K, V>
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
                .map_or(shelves, |change| shelf_of(change.mixed, shelves));
            self.copy_shelves(&mut draft, level, done..shelf);
            if shelf == shelves {
                break;
            }
            while let Some(change) = pending.next_if(|next| shelf_of(next.mixed, shelves) == shelf)
            {
                group.push(change);
            }
            self.patch_shelf(&mut draft, level, shelf, &mut group);
            onward.append(&mut group);
            done = shelf + 1;
        }
        for change in &mut onward {
            change.mixed = remix(change.mixed);
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
        group: &mut Vec<Pending<K, V>>,
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
                        let mixed = self.mixed(key);
                        let value = Some(value.clone());
                        place(
                            draft,
                            Pending {
                                mixed,
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
    fn overflow<K, V>(&self, old: &Overflow<K, V>, pending: Vec<Pending<K, V>>) -> Overflow<K, V>
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
                let items = pending.into_iter().filter_map(Pending::into_item).collect();
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
                    list.find_any(change.mixed, &change.key)
                        .map(|(index, _)| index)
                });
                let kept = plan.kept(list.items()).map(|(mixed, (key, value))| Item {
                    mixed,
                    key: key.clone(),
                    value: value.clone(),
                });
                let added = pending.into_iter().filter_map(Pending::into_item);
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
fn place<K, V>(draft: &mut Draft<K, V>, change: Pending<K, V>, onward: &mut Vec<Pending<K, V>>) {
    let Pending {
        mixed,
        key,
        value: Some(value),
    } = change
    else {
        return;
    };
    match draft.room_for(Tag::of(mixed)) {
        Some(fingerprint) => draft.push(fingerprint, key, value),
        None => {
            draft.set_overflow();
            onward.push(Pending {
                mixed,
                key,
                value: Some(value),
            });
        }
    }
}

impl<K, V> Pending<K, V> {
    fn into_item(self) -> Option<Item<K, V>> {
        Some(Item {
            mixed: self.mixed,
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
        pending: &[Pending<K, V>],
        place: impl Fn(&Pending<K, V>) -> Option<usize>,
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
