//! Which buckets of a level have keys that are elsewhere though their pilots do not say so, as these were chosen before.
//!
//! A table as it is built has none; one to which keys were put beside the others does.

use std::ops::Range;

/// One bit for each bucket.
#[derive(Clone, Default)]
pub(super) struct Unsaid(Box<[u64]>);

impl Unsaid {
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
        let mut draft = UnsaidDraft(std::mem::take(&mut self.0).into());
        buckets.for_each(|bucket| draft.add(bucket));
        *self = draft.finish();
    }
}

/// Such buckets that are being collected.
#[derive(Default)]
pub(super) struct UnsaidDraft(Vec<u64>);

impl UnsaidDraft {
    pub(super) fn add(&mut self, bucket: usize) {
        self.word(bucket / 64, 1 << (bucket % 64));
    }

    /// Adds those that a level of the same shape has among these buckets, which are all of a block: a word, or whole words.
    pub(super) fn add_all(&mut self, of: &Unsaid, buckets: Range<usize>) {
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

    pub(super) fn finish(self) -> Unsaid {
        Unsaid(self.0.into())
    }
}
