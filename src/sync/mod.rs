//! The shim: the only place that names threading primitives.
//!
//! Three worlds stand behind the same names: the real one, loom's and shuttle's. The rest of the crate
//! is compiled unchanged in each. What the models cannot see into (arc-swap, papaya, once_cell) has a stand-in
//! that promises no more than we rely on.

#![allow(clippy::disallowed_types, reason = "the shim")]

#[cfg(any(larder_loom, larder_shuttle))]
mod model;
#[cfg(any(larder_loom, larder_shuttle))]
use model as world;
#[cfg(not(any(larder_loom, larder_shuttle)))]
mod real;
#[cfg(not(any(larder_loom, larder_shuttle)))]
use real as world;

pub(crate) mod ahead;
#[cfg(not(any(larder_loom, larder_shuttle)))]
pub(crate) mod barrier;
mod coarse;
pub(crate) mod fault;
#[cfg(not(larder_loom))]
mod handed;
mod hashed;
mod mutex;
pub(crate) mod order;
#[cfg(not(any(larder_loom, larder_shuttle)))]
mod own_slots;
pub(crate) mod pace;
mod parker;
mod published;
#[cfg(any(not(any(larder_loom, larder_shuttle)), all(test, larder_loom)))]
pub(crate) mod slot;
mod slots;
#[cfg(larder_loom)]
pub(crate) mod watched;

pub(crate) use coarse::Coarse;
pub(crate) use hashed::Hashed;
pub(crate) use mutex::Mutex;
pub(crate) use parker::Parker;
pub(crate) use published::{Cell, CellReader, Fronted};
pub(crate) use slots::{Place, Stopped};
pub(crate) use world::{Lazy, Map, Slot, atomic, processors, spin, thread};
#[cfg(all(test, larder_loom))]
pub(crate) use world::{forget_swapped, slots_in_use};

pub(crate) use std::sync::Arc;

/// A number of each thread's own, 0 at first.
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $number:ty) => {
        #[cfg(not(any(larder_loom, larder_shuttle)))]
        std::thread_local! {
            $(#[$doc])*
            static $name: std::cell::Cell<$number> = const { std::cell::Cell::new(0) };
        }
        // A model's threads share one thread of the system.
        #[cfg(larder_loom)]
        loom::thread_local! {
            $(#[$doc])*
            static $name: std::cell::Cell<$number> = std::cell::Cell::new(0);
        }
        #[cfg(larder_shuttle)]
        shuttle::thread_local! {
            $(#[$doc])*
            static $name: std::cell::Cell<$number> = std::cell::Cell::new(0);
        }
    };
}
pub(crate) use per_thread;

per_thread! {
    /// One more than this thread's number; 0 before it has one.
    static THREAD: u64
}

/// A number of this thread's. Those of threads that ask for the first time one after another follow each other.
#[inline]
pub(crate) fn thread_number() -> u64 {
    static NEXT: plain::Word = plain::Word::new(1);
    THREAD.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, order::COUNT));
        }
        number.get() - 1
    })
}

/// A lock in a static, which no model switches threads at: hold it for a look only.
pub(crate) struct GlobalLock<T>(std::sync::Mutex<T>);

impl<T> GlobalLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> impl std::ops::DerefMut<Target = T> + '_ {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Types that no model explores, for what is shared by the process or guarded by another lock.
pub(crate) mod plain {
    pub(crate) use std::sync::atomic::{AtomicBool as Flag, AtomicU64 as Word};
}

/// What knows its key, as the values of a [`Map`] do.
pub(crate) trait Keyed {
    type Key: Eq + Clone;

    fn key(&self) -> &Self::Key;
}

/// A number that no other call in this process returns. Never zero.
pub(crate) fn unique() -> u64 {
    // A plain static also under the models: nothing depends on its value but identity.
    static NEXT: plain::Word = plain::Word::new(1);
    NEXT.fetch_add(1, order::COUNT)
}
