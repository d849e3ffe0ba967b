//! A place for one thing, with two flags and no more.
//!
//! Every write of an overlay is put into one. A `OnceLock` would do; it takes two locked instructions for that, and 220
//! in all, where this takes one, and six or seven: a fifth of all that the write of a new key executes.

#![allow(unsafe_code, reason = "see above; each block has its argument")]

use std::mem::MaybeUninit;

use super::atomic::AtomicBool;
use super::order;

#[cfg(larder_loom)]
use loom::cell::UnsafeCell;

/// A place for something that is put there once, and seen by whoever looks afterwards.
pub(crate) struct Slot<T> {
    /// Something is here, or about to be.
    claimed: AtomicBool,
    /// It is here, and stays as it is.
    set: AtomicBool,
    item: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a `&Slot` moves a `T` here from one thread, and lends it to others: as a `&OnceLock` does, and for what that
// asks. Nobody but who has claimed the slot changes what is in it, and nobody looks before that is done.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self {
            claimed: AtomicBool::new(false),
            set: AtomicBool::new(false),
            item: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// # Panics
    ///
    /// If it was called before.
    #[inline]
    pub(crate) fn set(&self, item: T) -> &T {
        assert!(!self.claimed.swap(true, order::COUNT), "a slot is set once");
        // SAFETY: of all calls one finds it unclaimed, which is this. Until it says that it is done nobody looks, so
        // nobody else has a reference.
        self.item.with_mut(|there| unsafe { (*there).write(item) });
        self.set.store(true, order::item_set());
        // SAFETY: it was put there a line above.
        unsafe { self.there() }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: it is set, and the look that says so is an Acquire of what was put there.
        self.set
            .load(order::item_look())
            .then(|| unsafe { self.there() })
    }

    /// For who is not told that it is set, which may be at any time.
    #[inline]
    pub(crate) fn look(&self) -> Option<&T> {
        self.get()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        if !self.set.load(order::COUNT) {
            return None;
        }
        self.set.store(false, order::COUNT);
        // SAFETY: it was set, and is not any more: so this is the only one that moves it out.
        let item = self
            .item
            .with_mut(|there| unsafe { (*there).assume_init_read() });
        Some(item)
    }

    /// # Safety
    ///
    /// It is set, and that happens before this.
    #[inline]
    unsafe fn there(&self) -> &T {
        // SAFETY: the caller's. It is not changed any more as long as anybody has a reference to the slot.
        self.item
            .with(|there| unsafe { (*there).assume_init_ref() })
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// std's, with the face of loom's.
#[cfg(not(larder_loom))]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(larder_loom))]
impl<T> UnsafeCell<T> {
    fn new(there: T) -> Self {
        Self(std::cell::UnsafeCell::new(there))
    }

    #[inline(always)]
    fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
        look(self.0.get())
    }

    #[inline(always)]
    fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
        change(self.0.get())
    }
}

#[cfg(all(test, not(larder_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_set_is_there_and_is_dropped_once() {
        let item = Arc::new(7);
        let slot = Slot::new();
        assert_eq!(slot.get(), None);
        assert_eq!(**slot.set(Arc::clone(&item)), 7);
        assert_eq!(slot.get().map(|there| **there), Some(7));
        assert_eq!(Arc::strong_count(&item), 2);
        drop(slot);
        assert_eq!(Arc::strong_count(&item), 1);
        // Nothing to be dropped.
        drop(Slot::<Arc<u32>>::new());
    }

    #[test]
    fn a_second_item_is_refused_and_the_first_stays() {
        let (first, second) = (Arc::new(1), Arc::new(2));
        let slot = Slot::new();
        slot.set(Arc::clone(&first));
        let again = catch_unwind(AssertUnwindSafe(|| **slot.set(Arc::clone(&second))));
        assert!(again.is_err());
        assert_eq!(slot.get().map(|there| **there), Some(1));
        assert_eq!(Arc::strong_count(&second), 1);
    }

    /// What is looked at while it is set is there whole or not at all.
    #[test]
    fn what_is_seen_is_whole() {
        const SLOTS: usize = if cfg!(miri) { 30 } else { 20_000 };
        let slots: Vec<Slot<[usize; 9]>> = (0..SLOTS).map(|_| Slot::new()).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                for (number, slot) in slots.iter().enumerate() {
                    slot.set([number; 9]);
                }
            });
            for (number, slot) in slots.iter().enumerate() {
                let there = loop {
                    match slot.get() {
                        Some(there) => break there,
                        None => std::hint::spin_loop(),
                    }
                };
                assert_eq!(*there, [number; 9]);
            }
        });
    }
}
