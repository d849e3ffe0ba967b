//! Placing: which pilot gives every key of a bucket a slot of its own.
//!
//! Buckets are placed from the largest to the smallest, as in other perfect hashing by displacement
//! (Pibiri and Trani, "PTHash", SIGIR 2021); but a pilot is added, so that all of 64 in a row are tried
//! with one `and` for each key.

use crate::sync::pace;
use crate::table::Item;
use crate::table::shape::{Shape, bucket};

/// Of a bucket of more items than this, which no good hasher fills, the rest is spilled.
const MOST_PLACED: usize = 16;

/// More items with one hash are not compared with each other here, but spilled.
const MOST_COMPARED: usize = 32;

/// Buckets of more items are ordered as if they had this many.
const SIZES: usize = 16;

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It goes into this slot, counted from the first of the blocks that are being placed.
    Slot(u32),
    /// It finds no place.
    Spilled,
    /// A later item has the same key.
    Replaced,
}

/// Places items, with scratch memory for it.
#[derive(Default)]
pub(super) struct Placer {
    /// For each bucket, the end of its part of `ids`.
    ends: Vec<u32>,
    /// The numbers of the items, by bucket, and within one in order of arrival.
    ids: Vec<u32>,
    /// The hashes that belong to `ids`.
    hashes: Vec<u64>,
    /// The buckets of a block, the largest first.
    order: Vec<u32>,
    /// One bit for each slot of a block.
    free: Vec<u64>,
    pub(super) places: Vec<Place>,
}

impl Placer {
    /// Decides on the places of items, whose buckets are in `blocks` blocks from `first_block` on, and
    /// adds the pilots of these blocks to `pilots`.
    pub(super) fn place<K: Eq, V>(
        &mut self,
        shape: Shape,
        (first_block, blocks): (usize, usize),
        items: &[Item<K, V>],
        pilots: &mut Vec<u8>,
    ) {
        let per_block = shape.buckets_per_block();
        self.sort(shape, first_block * per_block, blocks * per_block, items);
        self.places.clear();
        self.places.resize(items.len(), Place::Spilled);
        let first = pilots.len();
        pilots.resize(first + blocks * per_block, 0);
        for block in 0..blocks {
            self.order_by_size(block * per_block, per_block);
            self.free.clear();
            let slots = shape.slots_per_block();
            let word = if slots < 64 { (1 << slots) - 1 } else { !0 };
            self.free.resize(slots.div_ceil(64), word);
            for at in pace::each(0..self.order.len()) {
                let bucket = self.order[at] as usize;
                let pilot = self.place_bucket(shape, block, bucket, items);
                pilots[first + bucket] = pilot;
            }
        }
    }

    /// Sorts items by bucket, without moving them.
    fn sort<K, V>(&mut self, shape: Shape, first: usize, buckets: usize, items: &[Item<K, V>]) {
        // A hasher that changes its mind leads elsewhere. What it leads there is spilled.
        let bucket_of = |item: &Item<K, V>| {
            let bucket = bucket(item.hash, shape.buckets()).wrapping_sub(first);
            (bucket < buckets).then_some(bucket)
        };
        pace::checkpoint();
        self.ends.clear();
        self.ends.resize(buckets + 1, 0);
        for bucket in items.iter().filter_map(bucket_of) {
            self.ends[bucket + 1] += 1;
        }
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
        self.ids.clear();
        self.ids.resize(items.len(), 0);
        self.hashes.clear();
        self.hashes.resize(items.len(), 0);
        // Some ten microseconds for each block, here and above: a checkpoint in the loops would cost more than it is worth.
        pace::checkpoint();
        // Each begins as the end of the bucket before it, and comes to be that of its own.
        for (id, item) in items.iter().enumerate() {
            let Some(bucket) = bucket_of(item) else {
                continue;
            };
            let end = &mut self.ends[bucket];
            self.ids[*end as usize] = id as u32;
            self.hashes[*end as usize] = item.hash;
            *end += 1;
        }
    }

    fn members(&self, bucket: usize) -> std::ops::Range<usize> {
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[bucket] as usize
    }

    /// Puts the buckets of a block that have items in order, the largest first.
    fn order_by_size(&mut self, first: usize, count: usize) {
        let mut starts = [0; SIZES + 1];
        for bucket in first..first + count {
            starts[self.members(bucket).len().min(SIZES)] += 1;
        }
        let mut sum = 0;
        for start in starts[1..].iter_mut().rev() {
            sum += std::mem::replace(start, sum);
        }
        self.order.clear();
        self.order.resize(sum, 0);
        for bucket in first..first + count {
            let size = self.members(bucket).len().min(SIZES);
            if size > 0 {
                self.order[starts[size]] = bucket as u32;
                starts[size] += 1;
            }
        }
    }

    /// Places the items of a bucket, and returns its pilot.
    fn place_bucket<K: Eq, V>(
        &mut self,
        shape: Shape,
        block: usize,
        bucket: usize,
        items: &[Item<K, V>],
    ) -> u8 {
        let mut members = self.members(bucket);
        if self.clash(shape, members.clone()) {
            members.end = members.start + self.part(shape, members.clone(), items);
        }
        while !members.is_empty() {
            let Some(pilot) = self.pilot(shape, members.clone()) else {
                // It is spilled already.
                members.end -= 1;
                continue;
            };
            for at in members {
                let slot = shape.slot(self.hashes[at], 0, pilot);
                self.free[slot / 64] &= !(1 << (slot % 64));
                let slot = slot + block * shape.slots_per_block();
                self.places[self.ids[at] as usize] = Place::Slot(slot as u32);
            }
            return pilot;
        }
        0
    }

    /// Whether some of these have the same offset, so that no pilot can part them.
    fn clash(&self, shape: Shape, members: std::ops::Range<usize>) -> bool {
        let hashes = &self.hashes[members];
        hashes.len() > MOST_PLACED
            || hashes.iter().enumerate().any(|(at, &hash)| {
                let offset = shape.offset(hash);
                hashes[..at]
                    .iter()
                    .any(|&other| shape.offset(other) == offset)
            })
    }

    /// Decides which of a bucket's items are replaced by others and which are spilled. Puts those that
    /// can be placed first and returns how many these are.
    #[cold]
    fn part<K: Eq, V>(
        &mut self,
        shape: Shape,
        members: std::ops::Range<usize>,
        items: &[Item<K, V>],
    ) -> usize {
        let hash_of = |&id: &u32| items[id as usize].hash;
        let ids = &mut self.ids[members.clone()];
        // Stable: of one hash, those that came later are behind.
        ids.sort_by_key(hash_of);
        let mut kept: Vec<u32> = Vec::with_capacity(MOST_PLACED);
        for same in ids.chunk_by(|a, b| hash_of(a) == hash_of(b)) {
            if same.len() > MOST_COMPARED {
                continue;
            }
            for (at, id) in same.iter().enumerate() {
                let key = |&id: &u32| &items[id as usize].key;
                if same[at + 1..].iter().any(|later| key(later) == key(id)) {
                    self.places[*id as usize] = Place::Replaced;
                    continue;
                }
                let offset = |id| shape.offset(hash_of(id));
                if kept.len() < MOST_PLACED && kept.iter().all(|other| offset(other) != offset(id))
                {
                    kept.push(*id);
                }
            }
        }
        for (at, &id) in (members.start..).zip(&kept) {
            self.ids[at] = id;
            self.hashes[at] = hash_of(&id);
        }
        kept.len()
    }

    /// A pilot that leads these to free slots.
    fn pilot(&self, shape: Shape, members: std::ops::Range<usize>) -> Option<u8> {
        let hashes = &self.hashes[members];
        let tries = shape.slots_per_block().min(256);
        (0..tries).step_by(64).find_map(|from| {
            let free = hashes.iter().fold(!0, |free, &hash| {
                free & self.free_from(shape, shape.slot(hash, 0, from as u8))
            });
            let pilot = from + free.trailing_zeros() as usize;
            (free != 0).then_some(pilot as u8)
        })
    }

    /// Which of the slots from this one on are free, 64 of them or as many as there are.
    fn free_from(&self, shape: Shape, slot: usize) -> u64 {
        let (word, bit) = (slot / 64, slot % 64);
        let low = self.free[word] >> bit;
        let slots = shape.slots_per_block();
        if slots < 64 {
            return (low | self.free[0] << (slots - bit)) & ((1 << slots) - 1);
        }
        let next = self.free[(word + 1) & (slots / 64 - 1)];
        // Of a whole word none is left.
        low | (next << 1) << (63 - bit)
    }
}
