//! Placing: which pilot gives every key of a bucket a slot of its own.
//!
//! Buckets are placed from the largest to the smallest, as in other perfect hashing by displacement
//! (Pibiri and Trani, "PTHash", SIGIR 2021); but a pilot is added, so that all of 64 in a row are tried
//! with one `and` for each key.

use std::ops::Range;

use crate::sync::pace;
use crate::table::batch::Batch;
use crate::table::filter::{self, Filter};
use crate::table::shape::{Pilot, Shape, bucket};

/// Of a bucket of more items than this, which no good hasher fills, the rest is spilled.
const MOST_PLACED: usize = 16;

/// More items with one hash are not compared with each other here, but spilled.
const MOST_COMPARED: usize = 32;

/// Buckets of more items are ordered as if they had this many.
const SIZES: usize = 16;

/// What becomes of an item: it goes into a slot, or one of the others. In half of the memory that an enum would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// It finds no place.
    pub(super) const SPILLED: Self = Self(u32::MAX);

    /// A later item has the same key.
    pub(super) const REPLACED: Self = Self(u32::MAX - 1);

    #[inline(always)]
    fn in_slot(slot: usize) -> Self {
        Self(slot as u32)
    }

    /// The slot, counted from the first of the blocks that are being placed.
    #[inline(always)]
    pub(super) fn slot(self) -> Option<usize> {
        (self.0 < Self::REPLACED.0).then_some(self.0 as usize)
    }
}

/// An item while items are placed: its number in order of arrival, and the lower half of its hash, in which is all that
/// chooses its slot and its bit in the filter.
#[derive(Clone, Copy, Default)]
struct Member {
    id: u32,
    low: u32,
}

impl Member {
    fn hash(self) -> u64 {
        u64::from(self.low)
    }
}

/// Places items, with scratch memory for it.
#[derive(Default)]
pub(super) struct Placer {
    /// For each bucket, the end of its part of `members`.
    ends: Vec<u32>,
    /// The items, by bucket, and within one in order of arrival.
    members: Vec<Member>,
    /// The buckets of a block, the largest first.
    order: Vec<u32>,
    /// One bit for each slot of a block.
    free: Vec<u64>,
    /// Where each item goes.
    pub(super) places: Vec<Place>,
    /// One bit for each slot of the blocks: an item goes there.
    pub(super) taken: Vec<u64>,
}

impl Placer {
    /// Decides on the places of items, whose buckets are in the last blocks, `blocks` of them, that `pilots` has, and on the
    /// pilots of these buckets. That of a bucket of which a key is elsewhere already says so. The filter is told of all
    /// items of these buckets, and has them open already.
    pub(super) fn place<K: Eq, V>(
        &mut self,
        shape: Shape,
        blocks: usize,
        items: &Batch<K, V>,
        pilots: &mut [Pilot],
        filter: &mut Filter,
    ) {
        let per_block = shape.buckets_per_block();
        let first = pilots.len() - blocks * per_block;
        self.sort(shape, first, blocks * per_block, &items.hashes);
        self.places.clear();
        self.places.resize(items.hashes.len(), Place::SPILLED);
        let slots = shape.slots_per_block();
        let all = if slots < 64 { (1 << slots) - 1 } else { !0 };
        self.taken.clear();
        for block in 0..blocks {
            self.order_by_size(block * per_block, per_block);
            self.free.clear();
            self.free.resize(slots.div_ceil(64), all);
            for at in pace::each(0..self.order.len()) {
                let bucket = self.order[at] as usize;
                let members = self.members_of(bucket);
                let word = filter.word(first + bucket);
                let pilot = &mut pilots[first + bucket];
                *pilot = self.place_bucket(shape, block, members, items, word, *pilot);
            }
            self.taken.extend(self.free.iter().map(|free| !free & all));
        }
    }

    /// Sorts items by bucket, without moving them.
    fn sort(&mut self, shape: Shape, first: usize, buckets: usize, hashes: &[u64]) {
        // A hasher that changes its mind leads elsewhere. What it leads there is spilled.
        let bucket_of = |hash: u64| {
            let bucket = bucket(hash, shape.buckets()).wrapping_sub(first);
            (bucket < buckets).then_some(bucket)
        };
        pace::checkpoint();
        self.ends.clear();
        self.ends.resize(buckets + 1, 0);
        for bucket in hashes.iter().filter_map(|&hash| bucket_of(hash)) {
            self.ends[bucket + 1] += 1;
        }
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
        self.members.clear();
        self.members.resize(hashes.len(), Member::default());
        // Some ten microseconds for each block, here and above: a checkpoint in the loops would cost more than it is worth.
        pace::checkpoint();
        // Each begins as the end of the bucket before it, and comes to be that of its own.
        for (id, &hash) in (0..).zip(hashes) {
            let Some(bucket) = bucket_of(hash) else {
                continue;
            };
            let end = &mut self.ends[bucket];
            let low = hash as u32;
            self.members[*end as usize] = Member { id, low };
            *end += 1;
        }
    }

    #[inline(always)]
    fn members_of(&self, bucket: usize) -> Range<usize> {
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[bucket] as usize
    }

    /// Puts the buckets of a block that have items in order, the largest first.
    fn order_by_size(&mut self, first: usize, count: usize) {
        let mut starts = [0; SIZES + 1];
        for bucket in first..first + count {
            starts[self.members_of(bucket).len().min(SIZES)] += 1;
        }
        let mut sum = 0;
        for start in starts[1..].iter_mut().rev() {
            sum += std::mem::replace(start, sum);
        }
        self.order.clear();
        self.order.resize(sum, 0);
        for bucket in first..first + count {
            let size = self.members_of(bucket).len().min(SIZES);
            if size > 0 {
                self.order[starts[size]] = bucket as u32;
                starts[size] += 1;
            }
        }
    }

    /// Places the items of a bucket, of which its word in the filter is told, and returns its pilot: one of this kind, or
    /// one that says that an item is spilled.
    #[inline(always)]
    fn place_bucket<K: Eq, V>(
        &mut self,
        shape: Shape,
        block: usize,
        members: Range<usize>,
        items: &Batch<K, V>,
        word: &mut u32,
        kind: Pilot,
    ) -> Pilot {
        // Buckets of one size come one after another: the processor knows the way.
        let placed = match members.len() {
            1 => self.place_few::<1>(shape, block, members.start, word, kind),
            2 => self.place_few::<2>(shape, block, members.start, word, kind),
            3 => self.place_few::<3>(shape, block, members.start, word, kind),
            4 => self.place_few::<4>(shape, block, members.start, word, kind),
            5 => self.place_few::<5>(shape, block, members.start, word, kind),
            6 => self.place_few::<6>(shape, block, members.start, word, kind),
            7 => self.place_few::<7>(shape, block, members.start, word, kind),
            8 => self.place_few::<8>(shape, block, members.start, word, kind),
            _ => None,
        };
        placed.unwrap_or_else(|| self.place_any(shape, block, members, items, word, kind))
    }

    /// The same for so many, if all of them can be placed.
    #[inline(always)]
    fn place_few<const N: usize>(
        &mut self,
        shape: Shape,
        block: usize,
        start: usize,
        word: &mut u32,
        kind: Pilot,
    ) -> Option<Pilot> {
        let members: [Member; N] = *self.members[start..].first_chunk()?;
        for member in members {
            *word |= filter::bits(member.hash());
        }
        let pilot = self.pilot(shape, &members, kind)?;
        let slots = members.map(|member| shape.slot(member.hash(), 0, pilot));
        // Sooner than to compare all of them with each other: those that clash are led to one slot.
        let mut clash = false;
        for slot in slots {
            let (word, bit) = (&mut self.free[slot / 64], 1 << (slot % 64));
            clash |= *word & bit == 0;
            *word &= !bit;
        }
        if clash {
            for slot in slots {
                self.free[slot / 64] |= 1 << (slot % 64);
            }
            return None;
        }
        let first = block * shape.slots_per_block();
        for (member, slot) in members.iter().zip(slots) {
            self.places[member.id as usize] = Place::in_slot(first + slot);
        }
        Some(pilot)
    }

    /// The same for any number, of which some may find no place or be replaced by others.
    #[cold]
    #[inline(never)]
    fn place_any<K: Eq, V>(
        &mut self,
        shape: Shape,
        block: usize,
        mut members: Range<usize>,
        items: &Batch<K, V>,
        word: &mut u32,
        kind: Pilot,
    ) -> Pilot {
        for member in &self.members[members.clone()] {
            *word |= filter::bits(member.hash());
        }
        let mut kind = kind;
        if self.clash(shape, members.clone()) {
            let (kept, has_spilled) = self.part(shape, members.clone(), items);
            members.end = members.start + kept;
            if has_spilled {
                kind = Pilot::SPILLED;
            }
        }
        while !members.is_empty() {
            let Some(pilot) = self.pilot(shape, &self.members[members.clone()], kind) else {
                // It is spilled already.
                members.end -= 1;
                kind = Pilot::SPILLED;
                continue;
            };
            for member in &self.members[members] {
                let slot = shape.slot(member.hash(), 0, pilot);
                self.free[slot / 64] &= !(1 << (slot % 64));
                let slot = slot + block * shape.slots_per_block();
                self.places[member.id as usize] = Place::in_slot(slot);
            }
            return pilot;
        }
        kind
    }

    /// Whether some of these have the same offset, so that no pilot can part them.
    fn clash(&self, shape: Shape, members: Range<usize>) -> bool {
        let offset = |member: &Member| shape.offset(member.hash());
        let members = &self.members[members];
        let is_met = |(at, member)| {
            members[..at]
                .iter()
                .any(|other| offset(other) == offset(member))
        };
        members.len() > MOST_PLACED || members.iter().enumerate().any(is_met)
    }

    /// Decides which of a bucket's items are replaced by others and which are spilled. Puts those that
    /// can be placed first and returns how many these are, and whether any is spilled.
    fn part<K: Eq, V>(
        &mut self,
        shape: Shape,
        members: Range<usize>,
        items: &Batch<K, V>,
    ) -> (usize, bool) {
        let hash_of = |member: &Member| items.hashes[member.id as usize];
        let members = &mut self.members[members];
        // Stable: of one hash, those that came later are behind.
        members.sort_by_key(hash_of);
        let mut kept: Vec<Member> = Vec::with_capacity(MOST_PLACED);
        let mut has_spilled = false;
        for same in members.chunk_by(|a, b| hash_of(a) == hash_of(b)) {
            if same.len() > MOST_COMPARED {
                has_spilled = true;
                continue;
            }
            for (at, member) in same.iter().enumerate() {
                let key = |member: &Member| &items.pairs[member.id as usize].0;
                if same[at + 1..].iter().any(|later| key(later) == key(member)) {
                    self.places[member.id as usize] = Place::REPLACED;
                    continue;
                }
                let offset = |member: &Member| shape.offset(member.hash());
                if kept.len() < MOST_PLACED
                    && kept.iter().all(|other| offset(other) != offset(member))
                {
                    kept.push(*member);
                } else {
                    has_spilled = true;
                }
            }
        }
        members[..kept.len()].copy_from_slice(&kept);
        (kept.len(), has_spilled)
    }

    /// A pilot of this kind that leads these to free slots.
    #[inline(always)]
    fn pilot(&self, shape: Shape, members: &[Member], kind: Pilot) -> Option<Pilot> {
        let (first, count) = kind.alike();
        let tries = shape.slots_per_block().min(count);
        let mut from = 0;
        // Over a `step_by` this becomes a call for each bucket, and a build takes 1.08 times as long.
        while from < tries {
            let pilot = first.further(from);
            let free = members.iter().fold(!0, |free, member| {
                free & self.free_from(shape, shape.slot(member.hash(), 0, pilot))
            });
            if free != 0 {
                return Some(pilot.further(free.trailing_zeros() as usize));
            }
            from += 64;
        }
        None
    }

    /// Which of the slots from this one on are free, 64 of them or as many as there are.
    #[inline(always)]
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
