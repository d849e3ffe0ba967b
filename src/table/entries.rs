//! Entries with gaps between them.

use std::mem::{self, needs_drop};
use std::ops::Range;

use crate::contain::drop_contained;
use crate::sync::{ahead, pace};
use crate::table::discard;
use crate::table::pages::enlarge;

/// A value and its key, in this order: where an entry is found, that is where its value is.
#[derive(Clone)]
#[repr(C)]
pub(super) struct Entry<K, V> {
    pub(super) value: V,
    pub(super) key: K,
}

impl<K, V> Entry<K, V> {
    pub(super) fn of((key, value): (K, V)) -> Self {
        Self { value, key }
    }

    pub(super) fn pair(self) -> (K, V) {
        (self.key, self.value)
    }

    fn parts(&self) -> (&K, &V) {
        (&self.key, &self.value)
    }
}

/// A pair of one's own.
pub(super) fn cloned<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

/// Slots, each with an entry or a gap.
///
/// Of types with nothing to drop a gap holds a copy of some entry: then every slot can be read without
/// asking whether it is one. A copy is never where a lookup of its key leads, see [`Draft::put`].
pub(super) struct Entries<K, V> {
    /// The slots, if there is nothing to drop.
    filled: Vec<Entry<K, V>>,
    /// One bit for each of these: no gap.
    present: Box<[u64]>,
    /// The slots, if there is something to drop.
    spaced: Vec<Option<Entry<K, V>>>,
    len: usize,
}

impl<K, V> Entries<K, V> {
    /// Whether there is nothing to drop.
    pub(super) const FILLED: bool = !needs_drop::<(K, V)>();

    pub(super) fn none() -> Self {
        Entries {
            filled: Vec::new(),
            present: Box::default(),
            spaced: Vec::new(),
            len: 0,
        }
    }

    /// Bytes of what it has allocated, gaps included.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.filled) + size_of_val(&*self.present) + size_of_val(&*self.spaced)
    }

    /// How many there are, gaps not counted.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What a lookup that leads to this slot has to compare with.
    #[inline(always)]
    pub(super) fn candidate(&self, slot: usize) -> Option<(&K, &V)> {
        if const { Self::FILLED } {
            self.filled.get(slot).map(Entry::parts)
        } else {
            self.spaced.get(slot)?.as_ref().map(Entry::parts)
        }
    }

    /// Whether there is an entry in a slot, and no gap.
    pub(super) fn has(&self, slot: usize) -> bool {
        if const { Self::FILLED } {
            let word = self.present.get(slot / 64);
            word.is_some_and(|word| word & 1 << (slot % 64) != 0)
        } else {
            matches!(self.spaced.get(slot), Some(Some(_)))
        }
    }

    /// Where the slots are, of the one kind or the other. They stay there, also where this is moved.
    pub(super) fn address(&self) -> *const () {
        if const { Self::FILLED } {
            self.filled.as_ptr().cast()
        } else {
            self.spaced.as_ptr().cast()
        }
    }

    /// The entries in these slots, which are those of a block or of several.
    pub(super) fn within(&self, slots: Range<usize>) -> impl Iterator<Item = (usize, (&K, &V))> {
        // A block has whole words of bits, or is the only one.
        let words = slots.start / 64..slots.end.min(self.filled.len()).div_ceil(64);
        let filled = words.flat_map(move |word| {
            ones(self.present[word]).map(move |bit| {
                let slot = word * 64 + bit;
                (slot, self.filled[slot].parts())
            })
        });
        let spaced = self.spaced.get(slots.clone()).unwrap_or(&[]);
        let spaced = slots.zip(spaced);
        filled.chain(spaced.filter_map(|(slot, entry)| Some((slot, entry.as_ref()?.parts()))))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.within(0..self.slots()).map(|(_, entry)| entry)
    }

    pub(super) fn slots(&self) -> usize {
        if const { Self::FILLED } {
            self.filled.len()
        } else {
            self.spaced.len()
        }
    }

    /// Takes all entries out.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let present = mem::take(&mut self.present);
        let is_present = move |slot: usize| present[slot / 64] & 1 << (slot % 64) != 0;
        let filled = mem::take(&mut self.filled).into_iter().enumerate();
        let filled = filled.filter_map(move |(slot, pair)| is_present(slot).then_some(pair));
        let spaced = mem::take(&mut self.spaced).into_iter().flatten();
        self.len = 0;
        filled.chain(spaced).map(Entry::pair)
    }
}

impl<K, V> Drop for Entries<K, V> {
    fn drop(&mut self) {
        discard(
            mem::take(&mut self.spaced)
                .into_iter()
                .flatten()
                .map(Entry::pair),
        );
    }
}

impl<K, V> Draft<K, V> {
    /// Drops what is in the slots.
    pub(super) fn discard(&mut self) {
        discard(
            mem::take(&mut self.spaced)
                .into_iter()
                .flatten()
                .map(Entry::pair),
        );
    }
}

/// Entries under construction: slots are opened in order, or all at once, and filled.
pub(super) struct Draft<K, V> {
    filled: Vec<Entry<K, V>>,
    present: Vec<u64>,
    spaced: Vec<Option<Entry<K, V>>>,
    /// As many slots as are open.
    open: usize,
    len: usize,
    /// Slots that are only gaps, and hold copies that may not stay.
    hollow: Vec<Range<usize>>,
}

impl<K: Clone, V: Clone> Draft<K, V> {
    /// With room for so many slots.
    pub(super) fn with_room(slots: usize) -> Self {
        let (filled, spaced) = if Entries::<K, V>::FILLED {
            (slots, 0)
        } else {
            (0, slots)
        };
        let mut draft = Draft {
            filled: Vec::with_capacity(filled),
            present: Vec::with_capacity(filled.div_ceil(64)),
            spaced: Vec::with_capacity(spaced),
            open: 0,
            len: 0,
            hollow: Vec::new(),
        };
        enlarge(&mut draft.filled);
        enlarge(&mut draft.spaced);
        draft
    }

    /// With all slots open from the start, and `any` entry in the gaps for now if there is nothing to drop.
    pub(super) fn all_open(slots: usize, any: Option<(K, V)>) -> Self {
        let mut draft = Self::with_room(slots);
        draft.open(slots);
        if let Some(any) = any {
            draft.fill(&Entry::of(any));
        }
        draft
    }

    /// Leaves an entry in an open slot that is not its own, until it is [taken out](Self::take). The next comes into the
    /// slot after it, but not before many others went elsewhere: the processor is told of that.
    #[inline(always)]
    pub(super) fn stow(&mut self, slot: usize, entry: (K, V)) {
        let entry = Entry::of(entry);
        if Entries::<K, V>::FILLED {
            self.filled[slot] = entry;
            fetch_after(&self.filled, slot);
        } else {
            self.spaced[slot] = Some(entry);
            fetch_after(&self.spaced, slot);
        }
    }

    /// Takes out what was stowed in these slots. Where there is nothing to drop, copies stay behind.
    pub(super) fn take(&mut self, slots: Range<usize>, pairs: &mut Vec<(K, V)>) {
        if Entries::<K, V>::FILLED {
            pairs.extend(self.filled[slots].iter().cloned().map(Entry::pair));
        } else {
            let stowed = self.spaced[slots].iter_mut().filter_map(Option::take);
            pairs.extend(stowed.map(Entry::pair));
        }
    }

    /// Makes gaps of slots that entries were stowed in, all of one block or of several whole ones. What stayed
    /// behind may be of a key that finds no place, and be where a lookup of it leads; `stays` is of one that does.
    pub(super) fn clear(&mut self, slots: Range<usize>, stays: Option<(K, V)>) {
        match stays {
            Some(entry) => self.filled[slots].fill(Entry::of(entry)),
            None => self.hollow.push(slots),
        }
    }

    /// Opens so many slots more and returns the first.
    pub(super) fn open(&mut self, slots: usize) -> usize {
        let first = self.open;
        self.open += slots;
        if !Entries::<K, V>::FILLED {
            pace::resize(&mut self.spaced, self.open, || None);
        }
        first
    }

    /// Puts an entry into an open slot, of those opened last, that has none and is [marked](Self::mark) afterwards.
    ///
    /// Gaps are filled with copies of an entry that is put after they are opened, or is copied after
    /// them. Such an entry is in the table, so a lookup of its key leads elsewhere. If it goes one day,
    /// its own block is built anew, and with it the gaps to which a lookup of its key can lead.
    #[inline(always)]
    pub(super) fn put(&mut self, slot: usize, entry: (K, V)) {
        let entry = Entry::of(entry);
        if !Entries::<K, V>::FILLED {
            self.spaced[slot] = Some(entry);
            return;
        }
        if slot >= self.filled.len() {
            self.fill(&entry);
        }
        self.filled[slot] = entry;
    }

    /// The slots opened last, from this one on, have entries where these words have bits.
    pub(super) fn mark(&mut self, first: usize, taken: &[u64]) {
        let count = |word: &u64| word.count_ones() as usize;
        self.len += taken.iter().map(count).sum::<usize>();
        let words = first / 64..first / 64 + taken.len();
        // Where there are gaps only they may not be filled yet.
        if let Some(present) = self.present.get_mut(words) {
            present.copy_from_slice(taken);
        }
    }

    #[cold]
    #[inline(never)]
    fn fill(&mut self, gap: &Entry<K, V>) {
        if self.filled.len() < self.open {
            pace::resize(&mut self.filled, self.open, || gap.clone());
            self.present.resize(self.open.div_ceil(64), 0);
        }
    }

    /// Opens as many slots as these of others, with copies of what they have.
    pub(super) fn copy(&mut self, from: &Entries<K, V>, slots: Range<usize>) {
        if !Entries::<K, V>::FILLED {
            pace::extend(&mut self.spaced, from.spaced[slots.clone()].iter().cloned());
            self.open = self.spaced.len();
            self.len += from.within(slots).count();
            return;
        }
        let (first, count) = (self.open, slots.len());
        if let Some((slot, _)) = from.within(slots.clone()).next() {
            self.fill(&from.filled[slot]);
        }
        self.open += count;
        if self.filled.len() < first {
            // Only gaps until now, and here as well: something that is put later fills them.
            return;
        }
        let words = slots.start / 64..slots.end.div_ceil(64);
        let present = &from.present[words];
        self.present.extend_from_slice(present);
        self.len += present
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum::<usize>();
        self.filled.extend_from_slice(&from.filled[slots]);
    }

    /// Replaces the entry in a slot.
    pub(super) fn replace(&mut self, slot: usize, entry: (K, V)) {
        let entry = Entry::of(entry);
        if Entries::<K, V>::FILLED {
            self.filled[slot] = entry;
        } else {
            drop_contained(self.spaced[slot].replace(entry));
        }
    }

    /// The entries; none at all if there are only gaps.
    pub(super) fn finish(mut self) -> Entries<K, V> {
        if self.len == 0 {
            return Entries::none();
        }
        if let Some(word) = self.present.iter().rposition(|&word| word != 0) {
            // After it there may be blocks of gaps only, for which any entry of another block will do.
            let last = word * 64 + self.present[word].ilog2() as usize;
            let stays = self.filled[last].clone();
            self.fill(&stays);
            for slots in self.hollow {
                self.filled[slots].fill(stays.clone());
            }
        }
        self.filled.shrink_to_fit();
        self.spaced.shrink_to_fit();
        Entries {
            filled: self.filled,
            present: self.present.into(),
            spaced: self.spaced,
            len: self.len,
        }
    }
}

/// Has the processor fetch the cache line after that of a slot.
#[inline(always)]
fn fetch_after<T>(slots: &[T], slot: usize) {
    let line = 64_usize.div_ceil(size_of::<T>().max(1));
    ahead::fetch(slots.as_ptr().wrapping_add(slot + line));
}

/// The numbers of the bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        // Of 0 nothing is left, and its lowest one is at 64.
        word &= word.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit as usize)
    })
}
