//! Things that are added one by one, by anybody, and stay where they are.

use crate::sync::{Lazy, Slot, order, plain};

/// Each segment behind the first is as large as all before it, so these are never used up.
const SEGMENTS: usize = if cfg!(larder_loom) { 2 } else { 40 };

pub(super) struct Arena<T> {
    first: Box<[Slot<T>]>,
    more: [Lazy<Box<[Slot<T>]>>; SEGMENTS],
    /// How many slots have an owner. No model switches threads here: that all are different is enough.
    claimed: plain::Word,
}

impl<T> Arena<T> {
    /// With room for as many as are `expected`, before the first further allocation.
    pub(super) fn new(expected: usize) -> Self {
        Self {
            first: slots(expected.next_power_of_two()),
            more: std::array::from_fn(|_| Lazy::new()),
            claimed: plain::Word::new(0),
        }
    }

    pub(super) fn append(&self, item: T) -> (usize, &T) {
        let index = self.claimed.fetch_add(1, order::COUNT) as usize;
        let slot = match self.place(index) {
            None => &self.first[index],
            Some((segment, offset)) => {
                let len = self.first.len() << segment;
                &self.more[segment].get_or_make(|| slots(len))[offset]
            }
        };
        (index, slot.set(item))
    }

    /// What was appended with this index. Whoever has the index has it from there, by way of an Acquire.
    pub(super) fn get(&self, index: usize) -> &T {
        let slot = match self.place(index) {
            None => self.first.get(index),
            Some((segment, offset)) => self.more[segment].get().and_then(|slots| slots.get(offset)),
        };
        match slot.and_then(Slot::get) {
            Some(item) => item,
            None => unreachable!("an index is known only after its slot is set"),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.claimed.load(order::COUNT) as usize
    }

    /// The segment behind the first in which an index is, and where in it.
    fn place(&self, index: usize) -> Option<(usize, usize)> {
        let bits = self.first.len().trailing_zeros();
        let segment = (index >> bits).checked_ilog2()?;
        Some((segment as usize, index - (self.first.len() << segment)))
    }
}

fn slots<T>(count: usize) -> Box<[Slot<T>]> {
    std::iter::repeat_with(Slot::new).take(count).collect()
}
