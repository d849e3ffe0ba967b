//! Which keys may be in a table: a filter for who expects that a key is not there.
//!
//! A read expects that it is, and looks at the only slot where it can be. Whoever writes a new key would look there for
//! nothing, and wait for the memory for it: of a million entries a third of what a write takes. Here one word is looked at,
//! which depends on nothing but the hash; nine new keys in ten are told to be new by it.

use crate::sync::{ahead, pace};
use crate::table::pages::enlarge;
use crate::table::shape::{Shape, bucket};
use crate::table::spills::Spills;

/// One word for each bucket, with a bit for each of its keys: a Bloom filter of one hash function and so small a block
/// (Putze, Sanders and Singler, "Cache-, hash- and space-efficient Bloom filters", 2009).
///
/// All keys of the bucket count, whether they found a place in it or not. What is gone may leave its bit.
pub(super) struct Filter(Vec<u32>);

/// A bit that is chosen by others than those that choose the bucket and the slot, and that are of the lower half as well.
#[inline(always)]
pub(super) fn bit(hash: u64) -> u32 {
    1 << (hash >> 24 & 31)
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
        word.is_none_or(|word| word & bit(hash) != 0)
    }

    /// Has the processor fetch what [`may_have`](Self::may_have) looks at.
    pub(super) fn fetch_ahead(&self, hash: u64) {
        ahead::fetch(self.0.as_ptr().wrapping_add(bucket(hash, self.0.len())));
    }

    pub(super) fn add(&mut self, bucket: usize, hash: u64) {
        if let Some(word) = self.0.get_mut(bucket) {
            *word |= bit(hash);
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

    /// Adds as many buckets with the keys that those of another level of the same shape have; only of buckets where some
    /// have found no place, if these are the only ones that stay.
    pub(super) fn extend(
        &mut self,
        of: &Self,
        buckets: std::ops::Range<usize>,
        stay: Option<&Spills>,
    ) {
        let first = buckets.start;
        let words = of.0[buckets].iter().enumerate();
        self.0.extend(words.map(|(at, &word)| match stay {
            Some(spills) if !spills.has(first + at) => 0,
            _ => word,
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
