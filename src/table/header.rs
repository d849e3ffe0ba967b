//! The header word of one shelf: how to compute the place of a key.

use std::fmt;

use crate::sync::{
    atomic::{AtomicU16, AtomicU32},
    order,
};

/// How many entries a shelf can hold; the rest overflow into the next level.
pub(super) const LANES: usize = 4;

/// Positions in a hash at which two bits can stand are even, and lower.
pub(super) const SHIFTS: u32 = 64;

const MORE: u32 = 1;
const SHIFT: u32 = 0b11_1110;
const FIRST: u32 = 6;
const START: u32 = 8;

/// How the headers of a level are laid out in memory.
pub(super) trait Layout {
    type Word;

    /// How many shelves have their entries counted from the same index.
    const BLOCK: usize;

    /// All shelves: no base needs to be known.
    const ONE_BLOCK: bool = Self::BLOCK == usize::MAX;

    /// Starts that a header can have are lower.
    const STARTS: usize;

    /// The bit to set for a mark.
    const MARK: u32 = (Self::STARTS as u32) << START;

    fn word(header: Header) -> Self::Word;

    fn load(word: &Self::Word) -> Header;

    fn mark(word: &Self::Word);
}

/// For small tables: a start is an index, and a lookup looks nowhere else for it.
pub(super) struct Wide;

impl Layout for Wide {
    type Word = AtomicU32;
    const BLOCK: usize = usize::MAX;
    const STARTS: usize = 1 << 23;

    fn word(header: Header) -> AtomicU32 {
        AtomicU32::new(header.0)
    }

    #[inline(always)]
    fn load(word: &AtomicU32) -> Header {
        Header(word.load(order::MARK_LOOK))
    }

    fn mark(word: &AtomicU32) {
        word.fetch_or(Self::MARK, order::MARK);
    }
}

/// For large tables: what the headers take is taken from the processor's caches, and from its memory of
/// where pages are.
pub(super) struct Narrow;

impl Layout for Narrow {
    type Word = AtomicU16;
    const BLOCK: usize = 32;
    const STARTS: usize = 1 << 7;

    fn word(header: Header) -> AtomicU16 {
        AtomicU16::new(header.0 as u16)
    }

    #[inline(always)]
    fn load(word: &AtomicU16) -> Header {
        Header(u32::from(word.load(order::MARK_LOOK)))
    }

    fn mark(word: &AtomicU16) {
        word.fetch_or(Self::MARK as u16, order::MARK);
    }
}

/// One packed word for each shelf.
///
/// | bits | meaning |
/// |---|---|
/// | 0 | more keys of this shelf are in the next level |
/// | 0..6 | the *shift*, an even number: where in a hash the two bits stand that are the lane |
/// | 6..8 | the lane of the first entry |
/// | 8.. | the *start*: where the entry of lane 0 is, or would be, from the block's base on |
/// | the highest | some entry is marked |
///
/// The only transition of a shared word is a mark, which sets the highest bit. That moves every place of
/// the shelf to where another shelf's keys are, or out of bounds. So who finds a key on the short way need
/// not ask for marks, and who does not takes a second look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Header(u32);

impl Header {
    /// `start` is less than the layout's `STARTS`.
    pub(super) fn new(start: usize, shift: u32, first_lane: usize, more: bool) -> Self {
        debug_assert!(shift < SHIFTS && shift.is_multiple_of(2) && first_lane < LANES);
        let more = if more { MORE } else { 0 };
        Header((start as u32) << START | (first_lane as u32) << FIRST | shift | more)
    }

    /// The lane of a key with this hash, if it is here.
    #[inline(always)]
    pub(super) const fn lane(self, hash: u64) -> usize {
        (hash >> (self.0 & SHIFT)) as usize & (LANES - 1)
    }

    /// Where lane 0 is. Elsewhere, if there is a mark.
    #[inline(always)]
    pub(super) const fn start(self) -> usize {
        (self.0 >> START) as usize
    }

    /// The lane of the first entry; 0 if there is none.
    pub(super) const fn first_lane(self) -> usize {
        (self.0 >> FIRST) as usize % LANES
    }

    pub(super) const fn has_more(self) -> bool {
        self.0 & MORE != 0
    }

    /// Whether some entry of the shelf is marked.
    pub(super) const fn has_mark<L: Layout>(self) -> bool {
        self.0 & L::MARK != 0
    }

    #[must_use]
    pub(super) const fn without_mark<L: Layout>(self) -> Self {
        Header(self.0 & !L::MARK)
    }

    /// The same shelf without marks, elsewhere. `start` is less than the layout's `STARTS`.
    #[must_use]
    pub(super) const fn moved_to(self, start: usize) -> Self {
        Header(self.0 & ((1 << START) - 1) | (start as u32) << START)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("start", &self.start())
            .field("first_lane", &self.first_lane())
            .field("shift", &(self.0 & SHIFT))
            .field("has_more", &self.has_more())
            .finish()
    }
}

/// Spreads the entropy of a user's hash over the bits that a level looks at.
///
/// Hashers with entropy in a few bits only are common (identity hashers). Both halves of the product
/// with an odd number, folded together, have it in all bits.
#[inline(always)]
pub(super) const fn mix(hash: u64) -> u64 {
    folded(hash, 0x9e37_79b9_7f4a_7c15)
}

/// Derives the hash of the next level from that of this one, of whose keys those on one shelf have the
/// low bits in common.
#[inline]
pub(super) const fn remix(mixed: u64) -> u64 {
    folded(mixed ^ 0x2545_f491_4f6c_dd1d, 0xd6e8_feb8_6659_fd93)
}

#[inline(always)]
const fn folded(hash: u64, by: u64) -> u64 {
    let product = hash as u128 * by as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    fn keeps_its_parts_apart<L: Layout>() {
        let hash = 0x0123_4567_89ab_cdef;
        for start in [0, 1, L::STARTS - 1] {
            for shift in (0..SHIFTS).step_by(2) {
                for first_lane in 0..LANES {
                    let lane = (hash >> shift) as usize % LANES;
                    let header = Header::new(start, shift, first_lane, false);
                    let parts =
                        |header: Header| (header.start(), header.lane(hash), header.first_lane());
                    assert_eq!(parts(header), (start, lane, first_lane));
                    assert!(!header.has_more() && !header.has_mark::<L>());
                    let more = Header::new(start, shift, first_lane, true);
                    assert_eq!(parts(more), (start, lane, first_lane));
                    let word = L::word(more);
                    assert_eq!(L::load(&word), more);
                    assert!(more.has_more() && !more.has_mark::<L>());
                    L::mark(&word);
                    let marked = L::load(&word);
                    assert!(marked.has_mark::<L>() && marked.has_more());
                    assert_eq!(marked.start(), start + L::STARTS);
                    assert_eq!(marked.without_mark::<L>(), more);
                    assert_eq!(parts(marked.moved_to(7)), (7, lane, first_lane));
                }
            }
        }
    }

    #[test]
    fn headers_keep_their_parts_apart() {
        keeps_its_parts_apart::<Wide>();
        keeps_its_parts_apart::<Narrow>();
    }
}
