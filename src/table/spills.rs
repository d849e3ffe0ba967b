//! Which buckets of a level have keys that are elsewhere, though their pilots, which were chosen before, do not say so.
//!
//! Nearly always there are none.

use std::ops::Range;

/// One bit for each bucket.
#[derive(Clone, Default)]
pub(super) struct Spills(Box<[u64]>);

impl Spills {
    /// Whether there is no such bucket.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key of this bucket may be elsewhere.
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
