//! One level of a table, and what a lookup does with it.
//!
//! The short way of a lookup is the hottest code of all. It leaves out two bounds checks: with them a `Reader` takes
//! 1.20, 1.14 and 1.23 times a bare map's time for 1,000, 64,000 and a million entries, and 1.02, 0.99 and 1.09
//! times without (medians of three runs in one loop that calls the read). And it asks for entries ahead of time: of a
//! million, `get_many` finds 64 in 35 ns a key without that, and in 23 with it (four runs of each in turn).

#![allow(unsafe_code, reason = "see above; each block has its argument")]

use std::borrow::Borrow;

use crate::sync::{
    atomic::{AtomicU64, AtomicUsize},
    fault, order,
};
use crate::table::AT_ONCE;
use crate::table::entries::Entries;
use crate::table::shape::{Shape, bucket};

/// Entries of which each has one slot where it can be.
pub(super) struct Level<K, V> {
    shape: Shape,
    /// For each bucket, how far from their offsets its keys are. Never empty.
    pilots: Box<[u8]>,
    entries: Entries<K, V>,
    marks: Marks,
    /// How many slots the short way may look at: all of `entries`, or none once anything is marked.
    open: AtomicUsize,
}

/// Why the short way ends without a value.
#[derive(Clone, Copy)]
pub(crate) enum NoHit {
    /// The key is not here.
    Absent,
    /// Something is marked, or nothing is here. The key may be in this slot.
    Closed(usize),
}

impl<K, V> Level<K, V> {
    pub(super) fn new(shape: Shape, pilots: Box<[u8]>, entries: Entries<K, V>) -> Self {
        if entries.len() == 0 {
            return Self::empty();
        }
        assert!(pilots.len() == shape.buckets() && entries.slots() == shape.slots());
        Level {
            shape,
            pilots,
            marks: Marks::none(entries.slots()),
            open: AtomicUsize::new(entries.slots()),
            entries,
        }
    }

    pub(super) fn empty() -> Self {
        Level {
            shape: Shape::NONE,
            pilots: Box::new([0]),
            entries: Entries::none(),
            marks: Marks::none(0),
            open: AtomicUsize::new(0),
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn entries(&self) -> &Entries<K, V> {
        &self.entries
    }

    /// Bytes of what it has allocated.
    pub(super) fn bytes(&self) -> usize {
        self.pilots.len() + self.marks.bytes() + self.entries.bytes()
    }

    /// The pilots of a block.
    pub(super) fn pilots_of(&self, block: usize) -> &[u8] {
        let buckets = self.shape.buckets_per_block();
        &self.pilots[block * buckets..(block + 1) * buckets]
    }

    /// Moves all entries out.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let mut entries = self.entries;
        entries.take()
    }

    /// The short way: the value of a key that is here, as long as nothing is marked; else what `otherwise` says.
    #[inline(always)]
    pub(super) fn hit<'a, Q>(
        &'a self,
        hash: u64,
        key: &Q,
        otherwise: impl FnOnce(NoHit) -> Option<&'a V>,
    ) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slot(hash);
        if slot >= self.open.load(order::MARK_LOOK) {
            return otherwise(NoHit::Closed(slot));
        }
        // SAFETY, of both: `open` is 0 or the number of slots, and `slot` is below it.
        let candidate = if const { Entries::<K, V>::FILLED } {
            Some(unsafe { self.entries.filled().get_unchecked(slot) })
        } else {
            unsafe { self.entries.spaced().get_unchecked(slot) }.as_ref()
        };
        match candidate {
            Some((known, value)) if known.borrow() == key => Some(value),
            _ => otherwise(NoHit::Absent),
        }
    }

    /// The short way for [`AT_ONCE`] keys or fewer. First where they are, and then what is there: so it waits for
    /// all of them at a time.
    pub(super) fn hits<'a, Q>(
        &'a self,
        asked: &[(u64, &Q)],
        mut each: impl FnMut(usize, Result<&'a V, NoHit>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut slots = [0; AT_ONCE];
        for (slot, (hash, _)) in slots.iter_mut().zip(asked) {
            *slot = self.slot(*hash);
            self.prefetch(*slot);
        }
        // Once for all of them: they are read as of now.
        let open = self.open.load(order::MARK_LOOK);
        for (at, (&slot, (_, key))) in slots.iter().zip(asked).enumerate() {
            let candidate = self.entries.candidate(slot);
            let hit = match candidate {
                _ if slot >= open => Err(NoHit::Closed(slot)),
                Some((known, value)) if known.borrow() == *key => Ok(value),
                _ => Err(NoHit::Absent),
            };
            each(at, hit);
        }
    }

    /// Has the processor fetch what is in a slot, and does not wait for it.
    #[inline(always)]
    fn prefetch(&self, slot: usize) {
        let entry: *const u8 = if const { Entries::<K, V>::FILLED } {
            self.entries.filled().as_ptr().wrapping_add(slot).cast()
        } else {
            self.entries.spaced().as_ptr().wrapping_add(slot).cast()
        };
        prefetch(entry);
    }

    /// The value of a key that is here, marked or not.
    #[inline(always)]
    pub(super) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.in_slot(self.slot(hash), key)
    }

    /// The value of a key that is in this slot, marked or not.
    #[inline(always)]
    pub(super) fn in_slot<Q>(&self, slot: usize, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (known, value) = self.entries.candidate(slot)?;
        (known.borrow() == key).then_some(value)
    }

    /// The slot of a key that is here, marked or not.
    pub(super) fn position<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slot(hash);
        let (known, _) = self.entries.candidate(slot)?;
        (known.borrow() == key).then_some(slot)
    }

    /// The only slot where a key with this hash can be, if there are slots.
    #[inline(always)]
    pub(super) fn slot(&self, hash: u64) -> usize {
        let bucket = bucket(hash, self.pilots.len());
        // SAFETY: there is always a pilot, and `bucket`, their number times a fraction that is less than
        // one, is below it.
        let pilot = unsafe { *self.pilots.get_unchecked(bucket) };
        self.shape.slot(hash, bucket, pilot)
    }

    /// Has no lookup go the short way, before the level is shared.
    pub(super) fn close(&mut self) {
        self.open.store(0, order::COUNT);
    }

    pub(super) fn is_marked(&self, slot: usize) -> bool {
        self.marks.has(slot)
    }

    pub(super) fn mark(&self, slot: usize) {
        self.marks.set(slot);
        if self.open.load(order::MARK_LOOK) != 0 && !fault::planted("table_not_marked") {
            self.open.store(0, order::MARK);
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads nothing and does not fail, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// What other processors have for this is not in stable Rust.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn prefetch(_: *const u8) {}

/// One bit for each slot or entry.
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    pub(super) fn none(slots: usize) -> Self {
        let words = slots.div_ceil(64);
        Marks(
            std::iter::repeat_with(AtomicU64::default)
                .take(words)
                .collect(),
        )
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    #[inline]
    pub(super) fn has(&self, slot: usize) -> bool {
        self.0[slot / 64].load(order::MARK_LOOK) & 1 << (slot % 64) != 0
    }

    /// Who finds a mark set already need not set it: whoever learns of what we do next sees it too.
    pub(super) fn set(&self, slot: usize) {
        if !self.has(slot) && !fault::planted("entry_not_marked") {
            self.0[slot / 64].fetch_or(1 << (slot % 64), order::MARK);
        }
    }
}
