//! Which keys may be in a table: a filter for who expects that a key is not there.
//!
//! A read expects that it is, and looks at the only slot where it can be. Whoever writes a new key would look there for
//! nothing, and wait for the memory for it: of a million entries a third of what a write takes. Here one word is looked at,
//! which depends on nothing but the hash; of 25 new keys all but one are told to be new by it.

use crate::sync::{ahead, pace};
use crate::table::pages::enlarge;
use crate::table::shape::{Shape, bucket};

/// One word for each bucket, with two bits for each of its keys: a Bloom filter of so small a block (Putze, Sanders and
/// Singler, "Cache-, hash- and space-efficient Bloom filters", 2009). With one, 10 new keys in 100 are taken for known,
/// with two 4. With three it would be 3, and to build a table would take longer by as much as the second costs it.
///
/// All keys of the bucket count, whether they found a place in it or not. What is gone may leave its bit.
pub(super) struct Filter(Vec<u32>);

/// Bits that are chosen by others than those that choose the bucket and the slot, all of the lower half.
#[inline(always)]
pub(super) fn bits(hash: u64) -> u32 {
    1 << (hash >> 12 & 31) | 1 << (hash >> 17 & 31)
}

impl Filter {
    /// Of a level without entries: everything may be elsewhere.
    pub(super) fn all() -> Self {
        Self(vec![!0])
    }

    /// With room for the keys of a level of this shape, which come block by block.
    pub(super) fn with_room(shape: Shape) -> Self {
        Self::with_words(shape.buckets())
    }

    fn with_words(words: usize) -> Self {
        let mut words = Vec::with_capacity(words);
        enlarge(&mut words);
        Self(words)
    }

    #[inline(always)]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let word = self.0.get(bucket(hash, self.0.len()));
        let bits = bits(hash);
        word.is_none_or(|word| word & bits == bits)
    }

    /// Has the processor fetch what [`may_have`](Self::may_have) looks at.
    #[inline]
    pub(super) fn fetch_ahead(&self, hash: u64) {
        ahead::fetch(self.0.as_ptr().wrapping_add(bucket(hash, self.0.len())));
    }

    pub(super) fn add(&mut self, bucket: usize, hash: u64) {
        if let Some(word) = self.0.get_mut(bucket) {
            *word |= bits(hash);
        }
    }

    /// The word of a bucket that has been added.
    pub(super) fn word(&mut self, bucket: usize) -> &mut u32 {
        &mut self.0[bucket]
    }

    /// Adds so many buckets without keys.
    pub(super) fn open(&mut self, buckets: usize) {
        self.0.resize(self.0.len() + buckets, 0);
    }

    /// Adds as many buckets with the keys that those of another level of the same shape have; none of
    /// buckets of which none `stay`.
    pub(super) fn extend(
        &mut self,
        of: &Self,
        buckets: std::ops::Range<usize>,
        stay: impl Fn(usize) -> bool,
    ) {
        let first = buckets.start;
        let words = of.0[buckets].iter().enumerate();
        self.0
            .extend(words.map(|(at, &word)| match stay(first + at) {
                true => word,
                false => 0,
            }));
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len() * size_of::<u32>()
    }
}

impl Clone for Filter {
    fn clone(&self) -> Self {
        let mut copy = Self::with_words(self.0.len());
        pace::extend(&mut copy.0, self.0.iter().copied());
        copy
    }
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    /// Of a table's own keys none is missed, and of others few are taken for its own.
    #[test]
    fn few_new_keys_are_taken_for_known() {
        const KEYS: u64 = 100_000;
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let shape = Shape::for_entries(KEYS as usize);
        let mut filter = Filter::with_room(shape);
        filter.open(shape.buckets());
        for hash in (0..KEYS).map(|key| hasher.hash_one(key)) {
            filter.add(bucket(hash, shape.buckets()), hash);
        }
        let known = |keys: std::ops::Range<u64>| {
            let hashes = keys.map(|key| hasher.hash_one(key));
            hashes.filter(|&hash| filter.may_have(hash)).count()
        };
        assert_eq!(known(0..KEYS), KEYS as usize);
        let taken = known(KEYS..2 * KEYS);
        assert!(taken < 5500, "{taken} of {KEYS}");
    }
}
