//! The modelled worlds: loom's or shuttle's threads and locks, and stand-ins for what they cannot see
//! into. A stand-in is as weak as the promise that we use, never stronger: a lock in its place would
//! order everything and hide what the models are there to find.

#[cfg(larder_loom)]
mod handed;
mod map;

use std::ops::Deref;
use std::sync::{Arc, Mutex as Unseen, OnceLock, PoisonError};

#[cfg(larder_loom)]
pub(crate) use super::watched as atomic;
#[cfg(larder_loom)]
pub(crate) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(larder_shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(larder_loom)]
use loom::cell::UnsafeCell;

#[cfg(larder_loom)]
pub(crate) use self::handed::Handed;
#[cfg(larder_shuttle)]
pub(crate) use super::handed::Handed;

pub(crate) use self::map::Map;

use self::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use super::order;
use super::slots::{OUTSIDE, ThreadSlot, UNKNOWN};

/// In a model the other thread only gets on when we yield.
pub(crate) fn spin() {
    thread::yield_now();
}

/// In a model nobody spins who could sleep: it would be more of the same, and by the system's clock.
pub(crate) fn processors() -> usize {
    1
}

fn unseen<T>(lock: &Unseen<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `ArcSwap`: an index into an arena that the models do not see. A load may be stale, as far as
/// `view_load` allows. What a swap takes out stays in the arena as well, so that a stale load finds
/// it; the models about freeing ask `forget_swapped` for the real promise instead.
pub(crate) struct Cell<T> {
    current: AtomicUsize,
    arena: Unseen<Vec<Option<Arc<T>>>>,
    forget_swapped: bool,
}

impl<T> Cell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self {
            current: AtomicUsize::new(0),
            arena: Unseen::new(vec![Some(value)]),
            forget_swapped: forget_swapped::get(),
        }
    }

    pub(crate) fn load(&self) -> Loaded<T> {
        Loaded(self.load_full())
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        loop {
            let index = self.current.load(order::view_load());
            if let Some(value) = &unseen(&self.arena)[index] {
                return Arc::clone(value);
            }
            // Swapped out and forgotten meanwhile: the real cell's load notices that as well.
            thread::yield_now();
        }
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let new = {
            let mut arena = unseen(&self.arena);
            arena.push(Some(value));
            arena.len() - 1
        };
        let old = self.current.swap(new, order::view_publish());
        let mut arena = unseen(&self.arena);
        let slot = &mut arena[old];
        let taken = if self.forget_swapped {
            slot.take()
        } else {
            slot.clone()
        };
        taken.unwrap_or_else(|| unreachable!("each index is swapped out once"))
    }
}

/// What `Cell::load` returns here; arc-swap's guard there.
pub(crate) struct Loaded<T>(Arc<T>);

impl<T> Deref for Loaded<T> {
    type Target = Arc<T>;
    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

/// Whether cells made from here on hand over the last reference of what is swapped out. For all threads
/// of a model, which share one of the system's, and no other model.
pub(crate) mod forget_swapped {
    std::thread_local! {
        static FORGET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub(crate) fn get() -> bool {
        FORGET.get()
    }

    #[cfg(all(test, larder_loom))]
    pub(crate) fn set(forget: bool) {
        FORGET.set(forget);
    }
}

/// One look is as good as many: what comes between two is another order of events.
pub(crate) const GLANCES: usize = 1;

/// A few slots, of which each thread gets one. Made beforehand, for loom's reason given at [`Map`]. None for anybody
/// unless [`slots_in_use`] says so: then all reads go without.
pub(crate) struct Slots {
    slots: Vec<ThreadSlot>,
    owners: Unseen<Vec<thread::ThreadId>>,
}

/// Where a real thread looks first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index;

/// Whose slot it is, by number.
pub(crate) type Member = usize;

/// As many threads as use slots in a model.
const SLOTS: usize = 2;

impl Slots {
    pub(crate) fn new() -> Self {
        let count = if slots_in_use::get() { SLOTS } else { 0 };
        let new = || ThreadSlot {
            inside: AtomicUsize::new(OUTSIDE),
            word: AtomicPtr::new(UNKNOWN),
        };
        Self {
            slots: std::iter::repeat_with(new).take(count).collect(),
            owners: Unseen::new(Vec::new()),
        }
    }

    pub(crate) fn index(&self) -> Index {
        Index
    }

    pub(crate) fn mine(&self, _: Index) -> Option<&ThreadSlot> {
        self.claim().map(|member| self.of(&member))
    }

    pub(crate) fn claim(&self) -> Option<Member> {
        if self.slots.is_empty() {
            return None;
        }
        let me = thread::current().id();
        let mut owners = unseen(&self.owners);
        let known = owners.iter().position(|&owner| owner == me);
        let member = known.unwrap_or_else(|| {
            owners.push(me);
            owners.len() - 1
        });
        (member < SLOTS).then_some(member)
    }

    pub(crate) fn of(&self, member: &Member) -> &ThreadSlot {
        &self.slots[*member]
    }
}

/// A full fence on both sides. What the real one makes of it is up to the system.
pub(crate) mod barrier {
    use super::atomic::fence;
    use crate::sync::order;

    pub(crate) fn works() -> bool {
        true
    }

    pub(crate) fn light() {
        fence(order::barrier());
    }

    pub(crate) fn heavy() -> bool {
        fence(order::barrier());
        true
    }
}

/// Whether slots made from here on are used. As [`forget_swapped`].
pub(crate) mod slots_in_use {
    std::thread_local! {
        static IN_USE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub(crate) fn get() -> bool {
        IN_USE.get()
    }

    #[cfg(all(test, larder_loom))]
    pub(crate) fn set(in_use: bool) {
        IN_USE.set(in_use);
    }
}

/// The real one without the order that it brings: loom checks that whoever looks has it from elsewhere. That one has a
/// model of its own.
pub(crate) struct Slot<T> {
    item: OnceLock<T>,
    /// The lock is for the compiler, which does not know that loom watches.
    #[cfg(larder_loom)]
    access: Unseen<UnsafeCell<()>>,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self {
            item: OnceLock::new(),
            #[cfg(larder_loom)]
            access: Unseen::default(),
        }
    }

    pub(crate) fn set(&self, item: T) -> &T {
        #[cfg(larder_loom)]
        unseen(&self.access).with_mut(|_| ());
        self.item.get_or_init(|| item)
    }

    pub(crate) fn get(&self) -> Option<&T> {
        #[cfg(larder_loom)]
        unseen(&self.access).with(|_| ());
        self.item.get()
    }

    /// With the order that it brings.
    pub(crate) fn look(&self) -> Option<&T> {
        self.item.get()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.item.take()
    }
}

/// `OnceBox`: the flag is its pointer.
pub(crate) struct Lazy<T> {
    /// Whoever has it has it with its content, so that no look at the flag is a step of a model.
    born_full: bool,
    there: AtomicBool,
    item: OnceLock<T>,
}

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Self {
            born_full: false,
            there: AtomicBool::new(false),
            item: OnceLock::new(),
        }
    }

    #[cfg(larder_loom)]
    pub(crate) fn full(item: T) -> Self {
        Self {
            born_full: true,
            item: OnceLock::from(item),
            ..Self::new()
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if !self.born_full && !self.there.load(order::lazy_look()) {
            return None;
        }
        self.item.get()
    }

    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(item) = self.get() {
            return item;
        }
        let made = make();
        let (set, look) = (order::lazy_set(), order::lazy_look());
        // Nobody else gets on between this step and the next line.
        match self.there.compare_exchange(false, true, set, look) {
            Ok(_) => self.item.get_or_init(|| made),
            Err(_) => self
                .item
                .get()
                .unwrap_or_else(|| unreachable!("set by who came first")),
        }
    }
}
