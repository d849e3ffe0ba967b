//! One level of a table, and what a lookup does with it.
//!
//! The short way of a lookup is the hottest code of all. It leaves out two bounds checks: with them a `Reader` takes
//! 1.20, 1.14 and 1.23 times a bare map's time for 1,000, 64,000 and a million entries, and 1.02, 0.99 and 1.09
//! times without (medians of three runs in one loop that calls the read). And it asks for entries ahead of time: of a
//! million, `get_many` finds 64 in 35 ns a key without that, and in 23 with it (four runs of each in turn).

#![allow(unsafe_code, reason = "see above; each block has its argument")]

use std::borrow::Borrow;
use std::hint::{assert_unchecked, black_box};
use std::ptr;

// Whose entries are the same in two tables is nothing that any thread waits for, so no model's.
use std::sync::Arc;

use crate::sync::{
    ahead,
    atomic::{AtomicPtr, AtomicU64},
    fault, order, pace,
};
use crate::table::AT_ONCE;
use crate::table::entries::{Entries, Entry, cloned};
use crate::table::filter::Filter;
use crate::table::shape::{Pilot, Shape, bucket};
use crate::table::unsaid::Unsaid;

/// Entries of which each has one slot where it can be.
///
/// Pilots and entries never change, so the levels of several tables may have the same ones. Marks, and what
/// the pilots do not say, are each level's own.
pub(super) struct Level<K, V> {
    shape: Shape,
    /// One for each bucket. Never empty.
    pilots: Arc<[Pilot]>,
    entries: Arc<Entries<K, V>>,
    /// Buckets of which a key is elsewhere, besides those whose pilots say it.
    unsaid: Unsaid,
    filter: Filter,
    marks: Marks,
    /// The slots of `entries`, for the short way to look at; null once anything is marked, or if there are none.
    open: AtomicPtr<()>,
}

/// Why the short way ends without a value.
#[derive(Clone, Copy)]
pub(crate) enum NoHit {
    /// The key is not here. Its bucket has this pilot.
    Absent(Pilot),
    /// Something is marked, or nothing is here. The key may be in this slot.
    Closed(usize),
}

impl NoHit {
    /// Whether the key is nowhere in the table, unless that [has keys](super::Table::has_unsaid) of which pilots do not say so.
    #[inline(always)]
    pub(crate) fn is_absent(self) -> bool {
        matches!(self, NoHit::Absent(pilot) if !pilot.has_spilled())
    }

    /// Whether nothing is said of the key.
    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        matches!(self, NoHit::Closed(_))
    }

    /// The slot where the key may be, if there is one.
    #[inline(always)]
    pub(crate) fn slot(self) -> Option<usize> {
        match self {
            NoHit::Absent(_) => None,
            NoHit::Closed(slot) => Some(slot),
        }
    }
}

impl<K, V> Level<K, V> {
    pub(super) fn new(
        shape: Shape,
        pilots: impl Into<Arc<[Pilot]>>,
        entries: impl Into<Arc<Entries<K, V>>>,
        unsaid: Unsaid,
        filter: Filter,
    ) -> Self {
        let (pilots, entries) = (pilots.into(), entries.into());
        if entries.len() == 0 {
            return Self::empty();
        }
        assert!(pilots.len() == shape.buckets() && entries.slots() == shape.slots());
        Level {
            shape,
            pilots,
            unsaid,
            filter,
            marks: Marks::none(entries.slots()),
            open: AtomicPtr::new(entries.address().cast_mut()),
            entries,
        }
    }

    pub(super) fn empty() -> Self {
        Level {
            shape: Shape::NONE,
            // All that there is may have been its.
            pilots: Arc::new([Pilot::SPILLED]),
            entries: Arc::new(Entries::none()),
            unsaid: Unsaid::default(),
            filter: Filter::all(),
            marks: Marks::none(0),
            open: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// One with the same entries, of which nothing is marked.
    pub(super) fn shared(&self) -> Self {
        let (pilots, entries) = (Arc::clone(&self.pilots), Arc::clone(&self.entries));
        let (unsaid, filter) = (self.unsaid.clone(), self.filter.clone());
        Self::new(self.shape, pilots, entries, unsaid, filter)
    }

    /// The same where keys with these hashes, which are not here, have found a place elsewhere.
    pub(super) fn spilling(mut self, hashes: impl Iterator<Item = u64> + Clone) -> Self {
        let buckets = self.pilots.len();
        if fault::planted("new_keys_unspilled") {
            return self;
        }
        self.unsaid
            .add(pace::each(hashes.clone()).map(|hash| bucket(hash, buckets)));
        for hash in pace::each(hashes) {
            self.filter.add(bucket(hash, buckets), hash);
        }
        self
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn entries(&self) -> &Entries<K, V> {
        &self.entries
    }

    /// Bytes of what it has allocated.
    pub(super) fn bytes(&self) -> usize {
        self.pilots.len() + self.filter.bytes() + self.marks.bytes() + self.entries.bytes()
    }

    /// The pilots of a block.
    pub(super) fn pilots_of(&self, block: usize) -> &[Pilot] {
        let buckets = self.shape.buckets_per_block();
        &self.pilots[block * buckets..(block + 1) * buckets]
    }

    /// Whether a key with this hash, which is not here, may have found no place here.
    #[inline(always)]
    pub(super) fn may_have_spilled(&self, hash: u64) -> bool {
        self.has_spilled(self.bucket_of(hash))
    }

    /// The bucket of a hash.
    #[inline(always)]
    pub(super) fn bucket_of(&self, hash: u64) -> usize {
        bucket(hash, self.pilots.len())
    }

    /// Whether the pilot of a bucket says that a key of it found no place here.
    #[inline(always)]
    pub(super) fn says(&self, bucket: usize) -> bool {
        self.pilots
            .get(bucket)
            .is_none_or(|pilot| pilot.has_spilled())
    }

    /// Whether a key of this bucket, which is not here, may have found no place here.
    #[inline(always)]
    pub(super) fn has_spilled(&self, bucket: usize) -> bool {
        self.says(bucket) || self.unsaid.has(bucket)
    }

    /// The same for who has looked, and knows the bucket's pilot by that.
    #[inline(always)]
    pub(super) fn may_have_spilled_by(&self, pilot: Pilot, hash: u64) -> bool {
        pilot.has_spilled() || self.unsaid.has(self.bucket_of(hash))
    }

    /// Whether a key with this hash may be here, or have found no place here.
    #[inline(always)]
    pub(super) fn may_know(&self, hash: u64) -> bool {
        self.filter.may_have(hash)
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Buckets of which a key is elsewhere though their pilots do not say so.
    pub(super) fn unsaid(&self) -> &Unsaid {
        &self.unsaid
    }

    /// Moves all entries out, or copies of them if another level has the same ones.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (K, V)> + use<K, V>
    where
        K: Clone,
        V: Clone,
    {
        let (own, shared) = match Arc::try_unwrap(self.entries) {
            Ok(mut entries) => (Some(entries.take()), Vec::new()),
            Err(entries) => (None, pace::collect(entries.iter().map(cloned))),
        };
        own.into_iter().flatten().chain(shared)
    }

    /// The short way: what `found` makes of the value of a key that is here, as long as nothing is marked; else what
    /// `otherwise` says.
    #[inline(always)]
    pub(super) fn hit<'a, Q, R>(
        &'a self,
        hash: u64,
        key: &Q,
        found: impl FnOnce(&'a V) -> R,
        otherwise: impl FnOnce(NoHit) -> R,
    ) -> R
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let open = self.open.load(order::MARK_LOOK);
        if open.is_null() {
            return otherwise(NoHit::Closed(self.slot(hash)));
        }
        let (slot, pilot) = self.place(hash);
        // Or the compiler scales the block and the offset one by one, which takes an instruction and a register more.
        unsafe { assert_unchecked(slot <= isize::MAX as usize) };
        // SAFETY, of all three: `open` is where the slots of `entries` are, which nothing changes or moves before this level
        // is dropped. And `slot` is one of them: the block of a bucket that there is, and an offset within it. That
        // there are as many slots as the shape has was asserted when `open` was set; and there is no allocation of more.
        // An offset in bytes goes into the address that the value is read from; the number of a slot does not.
        let candidate = if const { Entries::<K, V>::FILLED } {
            let offset = slot * size_of::<Entry<K, V>>();
            Some(unsafe { &*open.byte_add(offset).cast::<Entry<K, V>>() })
        } else {
            let offset = slot * size_of::<Option<Entry<K, V>>>();
            unsafe { &*open.byte_add(offset).cast::<Option<Entry<K, V>>>() }.as_ref()
        };
        match candidate {
            Some(entry) if entry.key.borrow() == key => found(&entry.value),
            _ => otherwise(NoHit::Absent(pilot)),
        }
    }

    /// The short way for [`AT_ONCE`] keys or fewer. First where they are, and then what is there: so it waits for
    /// all of them at a time.
    #[inline(always)]
    pub(super) fn hits<'a, 'q, Q, T>(
        &'a self,
        asked: &[T],
        hash_of: impl Fn(&T) -> u64,
        key_of: impl Fn(&T) -> &'q Q,
        mut each: impl FnMut(u64, &'q Q, Result<&'a V, NoHit>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized + 'q,
    {
        let mut places = [(0, 0); AT_ONCE];
        for (place, asked) in places.iter_mut().zip(asked) {
            let hash = hash_of(asked);
            let slot = self.slot(hash);
            self.prefetch(slot);
            *place = (hash, slot);
        }
        // Once for all of them: they are read as of now.
        let is_open = !self.open.load(order::MARK_LOOK).is_null();
        let entries = &*self.entries;
        for (&(hash, slot), asked) in places.iter().zip(asked) {
            let key = key_of(asked);
            let hit = match entries.candidate(slot) {
                _ if !is_open => Err(NoHit::Closed(slot)),
                Some((known, value)) if known.borrow() == key => Ok(value),
                _ => {
                    // Or the compiler makes a number of which of these it is, and asks that afterwards.
                    black_box(());
                    Err(NoHit::Absent(self.place(hash).1))
                }
            };
            each(hash, key, hit);
        }
    }

    /// Has the processor fetch what is in a slot, and does not wait for it.
    #[inline(always)]
    fn prefetch(&self, slot: usize) {
        let bytes = if const { Entries::<K, V>::FILLED } {
            size_of::<Entry<K, V>>()
        } else {
            size_of::<Option<Entry<K, V>>>()
        };
        let slots = self.entries.address().cast::<u8>();
        ahead::fetch(slots.wrapping_add(slot * bytes));
    }

    /// The same for what leads to a key with this hash.
    pub(super) fn fetch_ahead(&self, hash: u64) {
        self.filter.fetch_ahead(hash);
        ahead::fetch(self.pilots.as_ptr().wrapping_add(self.bucket_of(hash)));
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
        self.place(hash).0
    }

    /// The same, and the pilot that leads there.
    #[inline(always)]
    pub(super) fn place(&self, hash: u64) -> (usize, Pilot) {
        let bucket = self.bucket_of(hash);
        // SAFETY: there is always a pilot, and `bucket`, their number times a fraction that is less than
        // one, is below it.
        let pilot = unsafe { *self.pilots.get_unchecked(bucket) };
        (self.shape.slot(hash, bucket, pilot), pilot)
    }

    /// Has no lookup go the short way, before the level is shared.
    pub(super) fn close(&mut self) {
        self.open.store(ptr::null_mut(), order::COUNT);
    }

    pub(super) fn is_marked(&self, slot: usize) -> bool {
        self.marks.has(slot)
    }

    pub(super) fn mark(&self, slot: usize) {
        self.marks.set(slot);
        if !self.open.load(order::MARK_LOOK).is_null() && !fault::planted("table_not_marked") {
            self.open.store(ptr::null_mut(), order::MARK);
        }
    }
}

/// One bit for each slot or entry.
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    pub(super) fn none(slots: usize) -> Self {
        let words = slots.div_ceil(64);
        Marks(pace::filled(words, AtomicU64::default))
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
