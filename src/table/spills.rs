//! Which buckets of a level have keys that found no place in it.
//!
//! Most keys that are absent are told to be so by this: nobody need look for them in what comes after the level.

use std::ops::Range;

/// One bit for each bucket.
#[derive(Clone, Default)]
pub(super) struct Spills(Box<[u64]>);

impl Spills {
    /// Of a level without entries: all that there is may have been its.
    pub(super) fn all() -> Self {
        Self(Box::new([!0]))
    }

    /// Whether a key of this bucket may have found no place.
    #[inline(always)]
    pub(super) fn has(&self, bucket: usize) -> bool {
        let word = self.0.get(bucket / 64);
        word.is_some_and(|word| word & 1 << (bucket % 64) != 0)
    }

    /// Adds some buckets, before the level is shared.
    pub(super) fn add(&mut self, buckets: impl Iterator<Item = usize>) {
        let mut spilling = Spilling(std::mem::take(&mut self.0).into());
        buckets.for_each(|bucket| spilling.add(bucket));
        *self = spilling.finish();
    }
}

/// Spills that are being collected.
#[derive(Default)]
pub(super) struct Spilling(Vec<u64>);

impl Spilling {
    pub(super) fn add(&mut self, bucket: usize) {
        self.word(bucket / 64, 1 << (bucket % 64));
    }

    /// Adds those that a level of the same shape has among these buckets, which are all of a block: a word, or whole words.
    pub(super) fn add_all(&mut self, of: &Spills, buckets: Range<usize>) {
        for word in buckets.start / 64..buckets.end.div_ceil(64).min(of.0.len()) {
            if of.0[word] != 0 {
                self.word(word, of.0[word]);
            }
        }
    }

    fn word(&mut self, at: usize, bits: u64) {
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= bits;
    }

    pub(super) fn finish(self) -> Spills {
        Spills(self.0.into())
    }
}
