//! A value for each thread, which its own thread uses for next to nothing, and which another one can visit
//! while it does not.
//!
//! Each slot is a lock that is biased to its thread, the *owner*. The owner says that it is inside and
//! looks whether the slot is claimed; the visitor claims the slot and looks whether the owner is inside.
//! Between the two steps both pass a [`Barrier`], so at least one of them sees the other, and whoever does
//! goes away. The owner's side of the barrier is free where the system allows.

#![allow(unsafe_code, reason = "the value is behind a lock of our own")]

use std::marker::PhantomData;

use crossbeam_utils::CachePadded;

use super::atomic::AtomicBool;
use super::world::{Barrier, MutPtr, Place, Slots, UnsafeCell};
use super::{Mutex, fault, order};

/// A value for each thread that ever [`enter`](Self::enter)s; none at first.
///
/// A thread that ends leaves its slot, with what is in it, to the next one that begins.
pub(crate) struct PerThread<T: Send + 'static> {
    slots: Slots<CachePadded<Slot<T>>>,
    barrier: Barrier,
    /// One visitor at a time.
    visiting: Mutex<()>,
}

struct Slot<T> {
    /// The owner is inside. Only the owner changes it.
    inside: AtomicBool,
    /// A visitor wants the value, or has it. Only visitors change it, one at a time.
    claimed: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is reached by one thread at a time, see `enter` and `visit_idle`, so it may be of a
// type that is sent from one to another. The flags are atomic.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    fn new() -> CachePadded<Self> {
        CachePadded::new(Slot {
            inside: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            value: UnsafeCell::new(None),
        })
    }
}

impl<T: Send + 'static> PerThread<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::new(Slot::new),
            barrier: Barrier::new(),
            visiting: Mutex::new(()),
        }
    }

    /// What to [`enter`](Self::enter) by.
    pub(crate) fn place(&self) -> Place {
        self.slots.place()
    }

    /// This thread's value, for as long as the guard is kept. `None` while it is visited, and inside of
    /// another guard of this thread's.
    #[inline(always)]
    pub(crate) fn enter(&self, place: Place) -> Option<Inside<'_, T>> {
        let slot = self.slots.mine(place)?;
        if slot.inside.load(order::OWN) {
            return None;
        }
        slot.inside.store(true, order::OWN);
        if !fault::planted("no_light_barrier") {
            self.barrier.light();
        }
        if slot.claimed.load(order::slot_enter()) {
            slot.inside.store(false, order::slot_leave());
            return None;
        }
        let value = Some(slot.value.get_mut());
        let here = PhantomData;
        Some(Inside { slot, value, here })
    }

    /// Whether no thread has ever entered.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.all().next().is_none()
    }

    /// Visits the values whose threads are not inside.
    pub(crate) fn visit_idle(&self, mut visit: impl FnMut(&mut Option<T>)) {
        let _one = self.visiting.lock();
        // Those that are new after this are not visited.
        let slots: Vec<_> = self.slots.all().collect();
        for slot in &slots {
            slot.claimed.store(true, order::OWN);
        }
        if fault::planted("no_heavy_barrier") || self.barrier.heavy() {
            for slot in &slots {
                if slot.inside.load(order::slot_look()) {
                    continue;
                }
                let value = slot.value.get_mut();
                // SAFETY: the slot was claimed before the barrier, and the owner is not inside after it: so
                // it will find the claim, and go away. That it has left happens before the look that said
                // so. There is no other visitor.
                visit(unsafe { value.deref() });
            }
        }
        for slot in &slots {
            slot.claimed.store(false, order::slot_unclaim());
        }
    }
}

/// The way to this thread's value. Does not leave the thread.
pub(crate) struct Inside<'a, T> {
    slot: &'a Slot<T>,
    /// Always there, until it is dropped.
    value: Option<MutPtr<Option<T>>>,
    here: PhantomData<*const ()>,
}

impl<T> Inside<'_, T> {
    #[inline(always)]
    pub(crate) fn value(&mut self) -> &mut Option<T> {
        match &self.value {
            // SAFETY: this thread is the slot's owner, and the only one that it has at a time. It said that
            // it is inside before the barrier, and the slot was not claimed after it: so a visitor will
            // find it inside, and go away, until this guard is gone. There is no other guard, since that
            // would have been found inside as well. That a visitor before it has left happens before the
            // look at the claim.
            Some(value) => unsafe { value.deref() },
            None => unreachable!("only its drop takes it out"),
        }
    }
}

impl<T> Drop for Inside<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.value = None;
        self.slot.inside.store(false, order::slot_leave());
    }
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use super::*;

    /// What the models take for granted: that the system's barrier is one. Without its heavy side this fails
    /// at once on two cores; the light one is a word to the compiler.
    #[test]
    fn owner_and_visitor_are_never_in_a_slot_together() {
        const VISITS: u64 = if cfg!(miri) { 50 } else { 100_000 };
        let slots = PerThread::<(u64, u64)>::new();
        let (occupied, done) = (AtomicBool::new(false), AtomicBool::new(false));
        // Both halves are the same, unless two are at it.
        let count = |value: &mut Option<(u64, u64)>| {
            assert!(!occupied.swap(true, Relaxed), "two in one slot");
            let pair = value.get_or_insert((0, 0));
            pair.0 += 1;
            pair.1 += 1;
            assert_eq!(pair.0, pair.1, "one half was lost");
            occupied.store(false, Relaxed);
        };
        let (entered, visited) = thread::scope(|scope| {
            let owner = scope.spawn(|| {
                let mut entered = 0;
                while !done.load(Relaxed) {
                    if let Some(mut mine) = slots.enter(slots.place()) {
                        count(mine.value());
                        entered += 1;
                    }
                }
                entered
            });
            while slots.is_empty() {
                thread::yield_now();
            }
            let mut visited = 0;
            for _ in 0..VISITS {
                slots.visit_idle(|value| {
                    count(value);
                    visited += 1;
                });
            }
            done.store(true, Relaxed);
            (owner.join().unwrap(), visited)
        });
        let mut left = None;
        slots.visit_idle(|value| left = value.take());
        assert_eq!(left, Some((entered + visited, entered + visited)));
        assert!(entered > 0 && visited > 0);
    }

    #[test]
    fn a_slot_is_handed_on_when_its_thread_ends() {
        const THREADS: u64 = if cfg!(miri) { 120 } else { 2000 };
        let slots = PerThread::<u64>::new();
        for n in 0..THREADS {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut mine = slots.enter(slots.place()).unwrap();
                    *mine.value() = Some(n);
                });
            });
        }
        let mut held = 0;
        slots.visit_idle(|value| held += usize::from(value.is_some()));
        assert!(
            held < 100,
            "{held} slots for threads of which two ran at a time"
        );
    }
}
