//! One level of a table, and what a lookup does with it.

use std::borrow::Borrow;

use crate::sync::{
    atomic::{AtomicBool, AtomicU64},
    fault, order,
};
use crate::table::entries::Entries;
use crate::table::shape::{Shape, bucket};

/// Entries of which each has one slot where it can be.
pub(super) struct Level<K, V> {
    pub(super) shape: Shape,
    /// For each bucket, how far from their offsets its keys are.
    pub(super) pilots: Box<[u8]>,
    pub(super) entries: Entries<K, V>,
    pub(super) marks: Marks,
}

impl<K, V> Level<K, V> {
    pub(super) fn empty() -> Self {
        Level {
            shape: Shape::NONE,
            pilots: Box::default(),
            entries: Entries::none(),
            marks: Marks::none(0),
        }
    }

    /// The only slot where a key with this hash can be, if there is any.
    #[inline(always)]
    pub(super) fn slot(&self, hash: u64) -> Option<usize> {
        let bucket = bucket(hash, self.pilots.len());
        let pilot = *self.pilots.get(bucket)?;
        Some(self.shape.slot(hash, bucket, pilot))
    }

    /// The value of a key that is in this slot and not marked.
    #[inline(always)]
    pub(super) fn hit<Q>(&self, slot: usize, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (known, value) = self.entries.candidate(slot)?;
        (known.borrow() == key && !self.marks.has(slot)).then_some(value)
    }

    /// The slot of a key that is here, marked or not.
    pub(super) fn position<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slot(hash)?;
        let (known, _) = self.entries.candidate(slot)?;
        (known.borrow() == key).then_some(slot)
    }
}

/// One bit for each slot or entry, and whether any of them is set.
pub(super) struct Marks {
    any: AtomicBool,
    bits: Box<[AtomicU64]>,
}

impl Marks {
    pub(super) fn none(slots: usize) -> Self {
        let words = slots.div_ceil(64);
        Marks {
            any: AtomicBool::new(false),
            bits: std::iter::repeat_with(AtomicU64::default)
                .take(words)
                .collect(),
        }
    }

    /// Whether there is a mark in this slot. Where nothing is marked this is one look.
    #[inline(always)]
    pub(super) fn has(&self, slot: usize) -> bool {
        self.any.load(order::MARK_LOOK) && self.is_set(slot)
    }

    #[inline]
    fn is_set(&self, slot: usize) -> bool {
        self.bits[slot / 64].load(order::MARK_LOOK) & 1 << (slot % 64) != 0
    }

    /// Who finds something set already need not set it: whoever learns of what we do next sees it too.
    pub(super) fn set(&self, slot: usize) {
        if !self.is_set(slot) && !fault::planted("entry_not_marked") {
            self.bits[slot / 64].fetch_or(1 << (slot % 64), order::MARK);
        }
        if !self.any.load(order::MARK_LOOK) && !fault::planted("table_not_marked") {
            self.any.store(true, order::MARK);
        }
    }
}
