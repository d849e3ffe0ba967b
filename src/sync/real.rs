//! The real world: std's threads and locks, arc-swap, papaya.

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use once_cell::race::OnceBox;
use papaya::{Compute, Equivalent, Operation};
use thread_local::ThreadLocal;

use super::hashed::Hashed;
use crate::spread::BuildSpread;

pub(crate) use super::barrier::Barrier;
pub(crate) use super::cell::{MutPtr, UnsafeCell};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
pub(crate) use std::thread;

/// Tells the processor that we wait for another thread for a moment.
pub(crate) fn spin() {
    std::hint::spin_loop();
}

/// arc-swap.
pub(crate) struct Cell<T>(ArcSwap<T>);

impl<T> Cell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }

    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        self.0.swap(value)
    }
}

/// A concurrent map from keys to shared values: papaya behind the few operations that we use.
///
/// One dependence that papaya 0.2.5 does not document and that its source keeps: `get` loads the
/// entry with Acquire, and insertion and removal store it with Release, so who sees an entry, or an
/// absence caused by a removal, also sees what came before it. Read `raw/mod.rs` again before raising
/// the version.
pub(crate) struct Map<K, T>(papaya::HashMap<Hashed<K>, Arc<T>, BuildSpread>);

struct Lookup<'a, Q: ?Sized> {
    hash: u64,
    key: &'a Q,
}

impl<Q: ?Sized> std::hash::Hash for Lookup<'_, Q> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Borrow<Q>, Q: Eq + ?Sized> Equivalent<Hashed<K>> for Lookup<'_, Q> {
    fn equivalent(&self, other: &Hashed<K>) -> bool {
        self.hash == other.hash && self.key == other.key().borrow()
    }
}

impl<K: Eq, T> Map<K, T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(papaya::HashMap::with_capacity_and_hasher(
            capacity,
            BuildSpread::default(),
        ))
    }

    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.0.pin().get(&Lookup { hash, key }).cloned()
    }

    /// Puts `value` if `allow` says so of what is there; else returns what is there.
    ///
    /// Atomic: nothing comes between the look and the put. `allow` may run more than once and is
    /// never a user's code.
    pub(crate) fn put_if(
        &self,
        hash: u64,
        key: K,
        value: &Arc<T>,
        mut allow: impl FnMut(Option<&T>) -> bool,
    ) -> Result<(), Option<Arc<T>>> {
        let pin = self.0.pin();
        let done = pin.compute(Hashed::new(hash, key), |current| {
            if allow(current.map(|(_, value)| &**value)) {
                Operation::Insert(Arc::clone(value))
            } else {
                Operation::Abort(current.map(|(_, value)| Arc::clone(value)))
            }
        });
        match done {
            Compute::Aborted(current) => Err(current),
            _ => Ok(()),
        }
    }

    /// Removes the entry of `key` if `which` says so of it.
    pub(crate) fn remove_if(&self, hash: u64, key: &K, mut which: impl FnMut(&T) -> bool) {
        // Who is not told about the outcome needs none: another entry has taken the place, or none.
        let _ = self
            .0
            .pin()
            .remove_if(&Lookup { hash, key }, |_, value| which(value));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `each` for every entry. Exact only while nobody writes.
    pub(crate) fn for_each(&self, mut each: impl FnMut(u64, &K, &Arc<T>)) {
        for (hashed, value) in &self.0.pin() {
            each(hashed.hash, hashed.key(), value);
        }
    }
}

/// A place for something that is put there once, by its only owner, and then seen by whoever is told.
pub(crate) struct Slot<T>(OnceLock<T>);

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// To be called once.
    #[inline]
    pub(crate) fn set(&self, item: T) -> &T {
        self.0.get_or_init(|| item)
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

/// A place for something that is made when it is needed. Where several make it at once the first one's
/// stays, and nobody waits.
pub(crate) struct Lazy<T>(OnceBox<T>);

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Self(OnceBox::new())
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(|| Box::new(make()))
    }
}

/// A slot for each thread.
pub(crate) struct Slots<T: Send> {
    slots: ThreadLocal<T>,
    new: fn() -> T,
}

impl<T: Send> Slots<T> {
    pub(crate) fn new(new: fn() -> T) -> Self {
        let slots = ThreadLocal::new();
        Self { slots, new }
    }

    /// This thread's slot. `None` for a thread that is about to end and has none.
    #[inline(always)]
    pub(crate) fn mine(&self) -> Option<&T> {
        match self.slots.get() {
            Some(slot) => Some(slot),
            None => self.make(),
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&self) -> Option<&T> {
        std::thread_local! {
            static ALIVE: Alive = const { Alive };
        }
        struct Alive;
        impl Drop for Alive {
            fn drop(&mut self) {}
        }
        // A slot belongs to a number that a thread has until it ends. One that has given it back already,
        // in the middle of the destructors of its locals, gets no other.
        ALIVE.try_with(|_| ()).ok()?;
        Some(self.slots.get_or(self.new))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T>
    where
        T: Sync,
    {
        self.slots.iter()
    }
}
