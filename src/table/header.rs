//! The header word of one shelf: where its entries begin, and a fingerprint for each.

use std::fmt;

/// How many entries a shelf can hold; the rest overflow into the next level.
pub(super) const LANES: usize = 4;

/// The largest number of entries that one level can address.
pub(super) const MAX_ENTRIES: usize = (1 << 31) - 1;

const EVERY_LANE: u32 = 0x0101_0101;
const OVERFLOW: u64 = 1 << 32;
const START_SHIFT: u32 = 33;

/// Spreads the entropy of a user's hash over the bits that the table looks at.
///
/// Hashers with entropy in a few low or a few high bits only are common (identity hashers). An
/// odd multiplier moves it to the high bits, which choose the shelf, and it is a bijection, so
/// equal results mean equal hashes.
#[inline(always)]
pub(super) const fn mix(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Derives the mixed hash of the next level from the one of this level.
///
/// Keys of one shelf share the high bits, so those are folded down before they are multiplied.
#[inline]
pub(super) const fn remix(mixed: u64) -> u64 {
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Returns the shelf of a mixed hash. Monotone: shelves are in order of the mixed hash.
#[inline(always)]
pub(super) const fn shelf_of(mixed: u64, shelves: usize) -> usize {
    ((mixed as u128 * shelves as u128) >> 64) as usize
}

/// The fingerprints of a key, another one for each lane: the low bytes of its mixed hash, which
/// hardly take part in [`shelf_of`].
///
/// One byte for all lanes would have to be repeated before it is compared with all lanes at once;
/// this one costs nothing. The price: zero means *empty or marked*, so a key must not be put into
/// a lane where its fingerprint is zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u32);

impl Tag {
    #[inline(always)]
    pub(super) const fn of(mixed: u64) -> Self {
        Tag(mixed as u32)
    }

    pub(super) const fn fingerprint(self, lane: usize) -> u8 {
        (self.0 >> (8 * lane)) as u8
    }
}

/// One packed word for each shelf.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | four fingerprints, the lowest belongs to the first entry; 0: no entry, or marked |
/// | 32 | overflow: more keys of this shelf are in the next level |
/// | 33..64 | index of the first entry |
///
/// The only transition of a shared word is a mark, which clears one fingerprint. So whatever
/// value a reader sees, start and overflow are right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Header(u64);

impl Header {
    /// A shelf without entries, whose first one will be at `start`.
    pub(super) const fn starting_at(start: usize) -> Self {
        Header((start as u64) << START_SHIFT)
    }

    #[inline(always)]
    pub(super) const fn from_word(word: u64) -> Self {
        Header(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(super) const fn start(self) -> usize {
        (self.0 >> START_SHIFT) as usize
    }

    #[inline(always)]
    pub(super) const fn overflows(self) -> bool {
        self.0 & OVERFLOW != 0
    }

    #[inline(always)]
    const fn lanes(self) -> u32 {
        self.0 as u32
    }

    /// Returns the lanes that hold a key's fingerprint.
    ///
    /// All lanes that can hold the key are reported, and some that cannot: empty ones if the tag
    /// has a zero there, and some after a true one, because the exact test costs more than the
    /// rare wasted comparison. The caller compares keys anyway.
    #[inline(always)]
    pub(super) const fn matches(self, tag: Tag) -> Lanes {
        let differs = self.lanes() ^ tag.0;
        Lanes(differs.wrapping_sub(EVERY_LANE) & !differs & (EVERY_LANE << 7))
    }

    /// Returns the fingerprint in a lane; 0 when there is no entry, or a marked one.
    pub(super) const fn fingerprint(self, lane: usize) -> u8 {
        (self.lanes() >> (8 * lane)) as u8
    }

    /// Tells whether one of the first `count` lanes has lost its fingerprint to a mark.
    pub(super) const fn has_mark(self, count: usize) -> bool {
        const LOW: u32 = 0x7f7f_7f7f;
        let lanes = self.lanes();
        let taken = (((lanes & LOW) + LOW) | lanes) & !LOW;
        (taken.count_ones() as usize) < count
    }

    #[must_use]
    pub(super) const fn with_fingerprint(self, lane: usize, fingerprint: u8) -> Self {
        Header(self.0 | (fingerprint as u64) << (8 * lane))
    }

    #[must_use]
    pub(super) const fn with_overflow(self) -> Self {
        Header(self.0 | OVERFLOW)
    }

    /// The same lanes for entries that begin elsewhere.
    #[must_use]
    pub(super) const fn moved_to(self, start: usize) -> Self {
        Header(self.0 & ((1 << START_SHIFT) - 1) | (start as u64) << START_SHIFT)
    }

    /// Returns the bits that survive marking the entry in this lane.
    pub(super) const fn unmarked_bits(lane: usize) -> u64 {
        !(0xff << (8 * lane))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("start", &self.start())
            .field("fingerprints", &self.lanes().to_le_bytes())
            .field("overflows", &self.overflows())
            .finish()
    }
}

/// The lanes that [`Header::matches`] found, lowest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes(u32);

impl Iterator for Lanes {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let lane = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_keeps_its_parts_apart() {
        let header = Header::starting_at(MAX_ENTRIES)
            .with_fingerprint(0, 7)
            .with_fingerprint(3, 255);
        assert_eq!(header.start(), MAX_ENTRIES);
        assert!(!header.overflows());
        assert_eq!(
            [0, 1, 2, 3].map(|lane| header.fingerprint(lane)),
            [7, 0, 0, 255]
        );
        let header = header.with_overflow().moved_to(9);
        assert_eq!((header.start(), header.overflows()), (9, true));
        assert_eq!(
            [0, 1, 2, 3].map(|lane| header.fingerprint(lane)),
            [7, 0, 0, 255]
        );
        let marked = Header::from_word(header.word() & Header::unmarked_bits(3));
        assert_eq!((marked.start(), marked.overflows()), (9, true));
        assert_eq!(
            [0, 1, 2, 3].map(|lane| marked.fingerprint(lane)),
            [7, 0, 0, 0]
        );
    }

    #[test]
    fn matches_begin_with_the_first_equal_lane_and_miss_none() {
        const BYTES: [u8; 8] = [0, 1, 2, 127, 128, 129, 254, 255];
        for bytes in 0..8_usize.pow(4) {
            let byte = |lane: u32| BYTES[bytes / 8_usize.pow(lane) % 8];
            let header = (0..4).fold(Header::starting_at(1), |h, n| {
                h.with_fingerprint(n as usize, byte(n))
            });
            for wanted in [
                0x0102_0304_u32,
                0x7f80_81fe,
                0xff00_0100,
                0x0101_0101,
                0x8080_8080,
            ] {
                let tag = Tag::of(0xffff_0000_0000_0000 | u64::from(wanted));
                let found: Vec<usize> = header.matches(tag).collect();
                let equal: Vec<usize> = (0..LANES)
                    .filter(|&lane| header.fingerprint(lane) == wanted.to_le_bytes()[lane])
                    .collect();
                assert_eq!(found.first(), equal.first());
                assert!(equal.iter().all(|lane| found.contains(lane)));
            }
        }
    }

    #[test]
    fn has_mark_sees_every_cleared_lane() {
        for first in 1..=255 {
            let header = Header::starting_at(0)
                .with_fingerprint(0, first)
                .with_fingerprint(1, 1);
            assert!(!header.has_mark(0) && !header.has_mark(2));
            assert!(header.has_mark(3));
            for lane in 0..2 {
                let marked = Header::from_word(header.word() & Header::unmarked_bits(lane));
                assert!(marked.has_mark(2));
            }
        }
    }
}
