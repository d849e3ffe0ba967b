//! A concurrent map that is only ever appended to.
//!
//! What is put stays where it is until the whole map is dropped: a reader borrows it, nobody frees
//! anything meanwhile, and no reclamation is needed. That suits what is written for a while, sealed, and
//! dropped as a whole. DESIGN.md, "The ledger".

mod arena;
mod prepared;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;

use std::borrow::Borrow;
use std::mem;

use crossbeam_utils::CachePadded;

use self::arena::Arena;
use self::prepared::Loose;
use crate::spread::spread;
use crate::sync::atomic::AtomicU64;
use crate::sync::{Hashed, Slot, ahead, fault, order, pace, plain};

/// Words in a group: with the link they fill a cache line. Few in the models, so that groups fill up.
const WORDS: usize = if cfg!(larder_loom) { 2 } else { 7 };

/// With more writes for each key than so many, a walk of the keys is sooner done than one of the writes.
const WRITES_A_KEY: usize = 4;

/// Groups in a block, and the bits of a hash that choose one.
const BLOCK_BITS: u32 = if cfg!(larder_loom) { 1 } else { 3 };

/// Groups in the smallest root.
const LEAST_ROOT: usize = if cfg!(larder_loom) { 2 } else { 8 };

/// A root has a group for so many expected keys: a few groups in a hundred fill up.
const KEYS_A_GROUP: usize = 3;

/// So many groups before they are looked at, a walk asks for their entries, and waits for several of them at a time.
const GROUPS_AHEAD: usize = 4;

/// The part of a word that tells most keys apart without a look at the entry: the upper bits of the spread
/// hash. The rest is the entry's index and one.
const TAG: u64 = !0 << 40;

pub(crate) struct Ledger<K, T> {
    root: Box<[Group]>,
    blocks: Arena<Block>,
    entries: Arena<Entry<K, T>>,
    /// How many entries are no key's last: put over, or left behind. Apart, but a write of a fresh key does not change it.
    behind: CachePadded<plain::Word>,
}

/// Words of keys, filled from the first on; then a link to a block with more.
///
/// A word is 0, or stands for the last entry of one key: always of the same, once it is not 0.
#[repr(align(64))]
struct Group {
    words: [AtomicU64; WORDS],
    /// 0, or a block's index and one.
    below: AtomicU64,
}

struct Block([Group; 1 << BLOCK_BITS]);

struct Entry<K, T> {
    key: Hashed<K>,
    item: T,
}

/// The word of a key.
struct Place<'a, K, T> {
    word: &'a AtomicU64,
    /// What was in it.
    seen: u64,
    entry: Option<&'a Entry<K, T>>,
}

impl<'a, K, T> Place<'a, K, T> {
    fn item(&self) -> Option<&'a T> {
        self.entry.map(|entry| &entry.item)
    }
}

impl Group {
    fn new() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            below: AtomicU64::new(0),
        }
    }
}

impl Block {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Group::new()))
    }
}

impl<K: Eq, T> Ledger<K, T> {
    /// As fast for `expected` keys as it can be; more find room behind further links.
    pub(crate) fn new(expected: usize) -> Self {
        let groups = (expected / KEYS_A_GROUP)
            .next_power_of_two()
            .max(LEAST_ROOT);
        Self {
            root: pace::filled(groups, Group::new),
            blocks: Arena::new(),
            entries: Arena::new(),
            behind: CachePadded::new(plain::Word::new(0)),
        }
    }

    /// The last item of a key.
    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.walk(hash, key, |group| self.below(group))?.item()
    }

    /// The same, with the key as it was put.
    pub(crate) fn get_entry<Q>(&self, hash: u64, key: &Q) -> Option<(&K, &T)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = self.walk(hash, key, |group| self.below(group))?.entry?;
        Some((entry.key.key(), &entry.item))
    }

    /// Puts `item` if `allow` says so of what is there and of it; else returns what is there.
    ///
    /// Atomic: nothing comes between the look and the put. Lock-free, but for the allocator. `allow` may
    /// run more than once.
    pub(crate) fn put_if(
        &self,
        hash: u64,
        key: K,
        item: T,
        mut allow: impl FnMut(Option<&T>, &T) -> bool,
    ) -> Result<&T, Option<&T>> {
        // At once: a key that panics in its own drop must not do so on the way out of here.
        let key = Hashed::new(hash, key);
        let place = self.place(hash, key.key());
        if !allow(place.item(), &item) {
            return Err(place.item());
        }
        let (index, entry) = self.entries.append(Entry { key, item });
        self.link(place, index, entry, Loose(&self.behind), allow)
    }

    /// Has an entry found in the place of what is there, if `allow` goes on to say so after each that comes between. Where
    /// it is not put after all it stays behind, found by nobody, until everything is dropped.
    fn link<'a>(
        &'a self,
        mut place: Place<'a, K, T>,
        index: usize,
        entry: &'a Entry<K, T>,
        loose: Loose<'a>,
        mut allow: impl FnMut(Option<&T>, &T) -> bool,
    ) -> Result<&'a T, Option<&'a T>> {
        let mine = spread(entry.key.hash) & TAG | (index as u64 + 1);
        loop {
            let put = place.word.compare_exchange(
                place.seen,
                mine,
                order::ledger_put(),
                order::ledger_look(),
            );
            match put {
                Ok(0) => {
                    mem::forget(loose);
                    return Ok(&entry.item);
                }
                // In the count another takes its place.
                Ok(_) => return Ok(&entry.item),
                Err(now) if fault::planted("puts_over_another") => place.seen = now,
                // It may have become another key's.
                Err(_) => place = self.place(entry.key.hash, entry.key.key()),
            }
            if !allow(place.item(), &entry.item) {
                return Err(place.item());
            }
        }
    }

    /// Has the processor fetch the first words to be looked at for a key with this hash.
    pub(crate) fn fetch_ahead(&self, hash: u64) {
        ahead::fetch(self.root_of(spread(hash)));
    }

    fn root_of(&self, tagged: u64) -> &Group {
        &self.root[tagged as usize & (self.root.len() - 1)]
    }

    /// How many entries there are at the most, overwritten ones among them.
    pub(crate) fn written(&self) -> usize {
        self.entries.len()
    }

    /// How many keys there are. Exact only while nobody writes.
    pub(crate) fn keys(&self) -> usize {
        let behind = self.behind.load(order::COUNT) as usize;
        self.written().saturating_sub(behind)
    }

    /// Bytes of what it has allocated.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.root) + self.blocks.bytes() + self.entries.bytes()
    }

    /// Calls `each` for the last item of every key. Exact only while nobody writes.
    pub(crate) fn for_each<'a>(&'a self, mut each: impl FnMut(u64, &'a K, &'a T)) {
        let mut open: Vec<&[Group]> = Vec::new();
        let mut groups = &self.root[..];
        let mut turns = pace::Turns::default();
        loop {
            for (at, group) in groups.iter().enumerate() {
                turns.turn();
                if let Some(later) = groups.get(at + GROUPS_AHEAD) {
                    self.fetch_entries(later);
                }
                let mut each = |hash, key, item| {
                    turns.turn();
                    each(hash, key, item);
                };
                open.extend(self.for_each_in(group, &mut each));
            }
            match open.pop() {
                Some(below) => groups = below,
                None => return,
            }
        }
    }

    /// The same where nobody writes any more, which the caller has by way of an Acquire. Sooner if no key was written
    /// twice: then entries are walked as they lie, and not as their words do.
    pub(crate) fn for_each_at_rest<'a>(&'a self, mut each: impl FnMut(u64, &'a K, &'a T)) {
        let behind = self.behind.load(order::COUNT);
        if behind != 0 && !fault::planted("walks_what_is_replaced") {
            return self.for_each(each);
        }
        for entry in pace::each(self.entries.slots().filter_map(Slot::get)) {
            each(entry.key.hash, entry.key.key(), &entry.item);
        }
    }

    /// Calls `each` for the key of every entry that was appended before what the caller has by way of an Acquire, and of
    /// some later ones: also of what was overwritten, or is not put yet. Keys come more than once then.
    pub(crate) fn for_each_appended<'a>(&'a self, mut each: impl FnMut(u64, &'a K)) {
        // Where most was written over, there are fewer words to look at, and each leads elsewhere.
        if self.keys() * WRITES_A_KEY < self.entries.len() {
            return self.for_each(|hash, key, _| each(hash, key));
        }
        let skipped = usize::from(fault::planted("first_appended_passed_over"));
        let slots = self.entries.slots().skip(skipped);
        for entry in pace::each(slots.filter_map(Slot::look)) {
            each(entry.key.hash, entry.key.key());
        }
    }

    /// Has the processor fetch a group's entries, which lie in order of their arrival and not of their words.
    fn fetch_entries(&self, group: &Group) {
        // Nothing that a model could see.
        if cfg!(any(larder_loom, larder_shuttle)) {
            return;
        }
        for word in &group.words {
            let seen = word.load(order::ledger_look());
            if seen == 0 {
                return;
            }
            ahead::fetch(self.entry(seen));
        }
    }

    /// The same for one group. Returns what is below it.
    fn for_each_in<'a>(
        &'a self,
        group: &'a Group,
        each: &mut impl FnMut(u64, &'a K, &'a T),
    ) -> Option<&'a [Group]> {
        for word in &group.words {
            let seen = word.load(order::ledger_look());
            if seen == 0 {
                return None;
            }
            let entry = self.entry(seen);
            each(entry.key.hash, entry.key.key(), &entry.item);
        }
        self.below(group).map(|block| &block.0[..])
    }

    fn entry(&self, word: u64) -> &Entry<K, T> {
        self.entries.get(((word & !TAG) - 1) as usize)
    }

    /// The word of a key, or the one that it gets.
    fn place<Q>(&self, hash: u64, key: &Q) -> Place<'_, K, T>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.walk(hash, key, |group| Some(self.below_or_new(group))) {
            Some(place) => place,
            None => unreachable!("there is always a block below"),
        }
    }

    /// Goes from group to group until it has found the key's word, or the one that it would get. Words are
    /// filled in order and never emptied, so the key is not behind an empty one.
    fn walk<'a, Q>(
        &'a self,
        hash: u64,
        key: &Q,
        below: impl Fn(&'a Group) -> Option<&'a Block>,
    ) -> Option<Place<'a, K, T>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let tagged = spread(hash);
        // As the hash runs out of bits these become 0: keys of one hash end in a list.
        let mut rest = tagged >> self.root.len().trailing_zeros();
        let mut group = self.root_of(tagged);
        loop {
            for word in &group.words {
                let seen = word.load(order::ledger_look());
                let mut entry = None;
                if seen != 0 {
                    if (seen ^ tagged) & TAG != 0 {
                        continue;
                    }
                    let there = self.entry(seen);
                    if there.key.hash != hash || there.key.key().borrow() != key {
                        continue;
                    }
                    entry = Some(there);
                }
                return Some(Place { word, seen, entry });
            }
            group = &below(group)?.0[rest as usize & ((1 << BLOCK_BITS) - 1)];
            rest >>= BLOCK_BITS;
        }
    }

    fn below(&self, group: &Group) -> Option<&Block> {
        let link = group.below.load(order::ledger_look());
        Some(self.blocks.get(link.checked_sub(1)? as usize))
    }

    fn below_or_new(&self, group: &Group) -> &Block {
        if let Some(block) = self.below(group) {
            return block;
        }
        let (index, block) = self.blocks.append(Block::new());
        let (put, look) = (order::ledger_put(), order::ledger_look());
        let link = index as u64 + 1;
        if fault::planted("links_over_another") {
            group.below.store(link, put);
            return block;
        }
        match group.below.compare_exchange(0, link, put, look) {
            Ok(_) => block,
            // Ours stays behind, empty. That is rare, and half a kilobyte.
            Err(there) => self.blocks.get(there as usize - 1),
        }
    }
}
