//! Where keys can be: pure arithmetic on hashes.

/// How many slots there are for each bucket. With two there are twice as many pilots, which fit into a smaller cache the
/// later; with eight, one key in thirty finds no place.
const SLOTS_PER_BUCKET: usize = 4;

/// The fewest slots of a block: a table of a few large values should not be mostly room.
const LEAST_SLOTS: usize = 16;

/// The most. More would part more of the keys that clash, and fewer fit into a processor's first caches
/// while they are placed.
const MOST_SLOTS: usize = 4096;

/// The dimensions of a level: blocks of slots, and four slots for each bucket.
///
/// The high bits of a hash choose a bucket, and with it the block. The low bits are an offset in the
/// block; what the bucket's *pilot* adds to it is the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    blocks: usize,
    /// The slots of a block but one: a mask for offsets.
    offsets: usize,
    /// A mask that takes from a bucket's number that of the first bucket in its block.
    first_bucket: usize,
}

impl Shape {
    pub(super) const NONE: Self = Shape {
        blocks: 0,
        offsets: 0,
        first_bucket: 0,
    };

    /// For this many entries, and a fifth as many gaps.
    pub(super) fn for_entries(count: usize) -> Self {
        if count == 0 {
            return Self::NONE;
        }
        let wanted = count + count / 5 + 1;
        let slots = match wanted {
            ..=512 => wanted.next_power_of_two().max(LEAST_SLOTS),
            513..=2048 => 512,
            2049..=16_384 => 1024,
            _ => MOST_SLOTS,
        };
        Shape {
            blocks: wanted.div_ceil(slots),
            offsets: slots - 1,
            first_bucket: !(slots / SLOTS_PER_BUCKET - 1),
        }
    }

    /// Tells whether a level of this shape may have so many entries.
    pub(super) fn suits(self, count: usize) -> bool {
        // With more than eleven in twelve slots taken, too many keys find no place.
        let slots = self.slots();
        count * 12 <= slots * 11 && (count * 2 >= slots || Self::for_entries(count) == self)
    }

    pub(super) fn blocks(self) -> usize {
        self.blocks
    }

    pub(super) fn slots_per_block(self) -> usize {
        self.offsets + 1
    }

    pub(super) fn buckets_per_block(self) -> usize {
        self.slots_per_block() / SLOTS_PER_BUCKET
    }

    pub(super) fn slots(self) -> usize {
        self.blocks * self.slots_per_block()
    }

    pub(super) fn buckets(self) -> usize {
        self.blocks * self.buckets_per_block()
    }

    pub(super) fn block_of(self, hash: u64) -> usize {
        bucket(hash, self.buckets()) >> self.block_bits()
    }

    /// How many bits of a bucket's number say which of its block's it is.
    pub(super) fn block_bits(self) -> u32 {
        // A power of two, and no division: a build asks for each of its pairs.
        self.buckets_per_block().trailing_zeros()
    }

    /// Where in its block a key is if its bucket's pilot is 0.
    #[inline(always)]
    pub(super) fn offset(self, hash: u64) -> usize {
        hash as usize & self.offsets
    }

    /// The slot of a key in this bucket.
    #[inline(always)]
    pub(super) fn slot(self, hash: u64, bucket: usize, pilot: Pilot) -> usize {
        let offset = (hash as usize).wrapping_add(usize::from(pilot.0)) & self.offsets;
        (bucket & self.first_bucket) * SLOTS_PER_BUCKET + offset
    }
}

/// How far from their offsets the keys of a bucket are. The last quarter of the pilots says as well that some key of the
/// bucket found no place, which is how a lookup learns it without another look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pilot(u8);

impl Pilot {
    /// Of a bucket without keys.
    pub(super) const NONE: Self = Pilot(0);

    /// Of a bucket of which a key has found no place, if no other has one either; the first of those that say so.
    pub(super) const SPILLED: Self = Pilot(192);

    /// The one that is so much further, of the same kind.
    #[inline(always)]
    pub(super) fn further(self, by: usize) -> Self {
        Pilot(self.0 + by as u8)
    }

    /// The first of its kind, and how many there are of it.
    #[inline(always)]
    pub(super) fn alike(self) -> (Self, usize) {
        match self.has_spilled() {
            true => (Self::SPILLED, 64),
            false => (Self::NONE, 192),
        }
    }

    /// Whether a key of the bucket has found no place.
    #[inline(always)]
    pub(super) fn has_spilled(self) -> bool {
        self.0 >= Self::SPILLED.0
    }
}

/// The bucket of a hash among so many. 0 if there are none.
#[inline(always)]
pub(super) const fn bucket(hash: u64, buckets: usize) -> usize {
    ((hash as u128 * buckets as u128) >> 64) as usize
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn every_hash_has_its_slot_in_the_block_of_its_bucket() {
        for count in [1, 2, 11, 12, 13, 400, 1000, 2000, 13_000, 13_200, 1_000_000] {
            let shape = Shape::for_entries(count);
            assert!(shape.slots() > count && shape.slots() < count * 5 / 2 + 32);
            assert!(shape.suits(count), "{count}");
            assert!(!shape.suits(shape.slots()));
            for hash in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, 0x0123_4567_89ab_cdef] {
                let bucket = bucket(hash, shape.buckets());
                assert!(bucket < shape.buckets());
                let block = shape.block_of(hash);
                assert!(block < shape.blocks());
                for pilot in [0, 1, u8::MAX] {
                    let slot = shape.slot(hash, bucket, Pilot(pilot));
                    assert_eq!(slot / shape.slots_per_block(), block);
                    let moved = shape.offset(hash) + usize::from(pilot);
                    assert_eq!(
                        slot % shape.slots_per_block(),
                        moved % shape.slots_per_block()
                    );
                }
            }
        }
        assert_eq!(bucket(u64::MAX, Shape::NONE.buckets()), 0);
        assert!(!Shape::NONE.suits(1));
    }
}
