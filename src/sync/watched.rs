//! Atomics for loom that leave none of its orders out.
//!
//! Of each atomic loom remembers the last access only. Where a thread loads one and changes it later,
//! as in `if !flag.load() { flag.swap(true) }`, its own load takes the place of what another thread
//! loaded before, and loom never tries the change before that other load (0.7.2, `last_access` in
//! `rt/atomic.rs`; `a_change_is_tried_before_every_load` shows it). So each thread's loads also touch an
//! atomic of that thread's own, and a change touches those of the threads that loom has forgotten.

use std::sync::{Mutex as Unseen, PoisonError};

use loom::sync::atomic;
pub(crate) use loom::sync::atomic::{Ordering, fence};
use loom::thread::{self, ThreadId};

/// As many threads as loom can have.
const THREADS: usize = 5;

#[derive(Debug)]
struct Watch {
    /// One a thread. Made with the atomic: for loom a thing is there only for who comes after.
    touched: [atomic::AtomicBool; THREADS],
    log: Unseen<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Who has loaded at any time: a thread's place here is its number.
    known: Vec<ThreadId>,
    /// Who has loaded since the last change, by number, the latest last.
    loaded: Vec<usize>,
}

impl Log {
    fn number(&mut self) -> usize {
        let me = thread::current().id();
        let known = self.known.iter().position(|&thread| thread == me);
        known.unwrap_or_else(|| {
            self.known.push(me);
            self.known.len() - 1
        })
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            touched: std::array::from_fn(|_| atomic::AtomicBool::new(false)),
            log: Unseen::default(),
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load<T>(&self, load: impl FnOnce() -> T) -> T {
        let me = self.log().number();
        self.touched[me].load(Ordering::Relaxed);
        let loaded = load();
        let mut log = self.log();
        log.loaded.retain(|&number| number != me);
        log.loaded.push(me);
        loaded
    }

    fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let forgotten = {
            let mut log = self.log();
            let me = log.number();
            let mine = log.loaded.iter().position(|&number| number == me);
            log.loaded[..mine.unwrap_or(0)].to_vec()
        };
        for number in forgotten {
            self.touched[number].swap(true, Ordering::Relaxed);
        }
        let changed = change();
        self.log().loaded.clear();
        changed
    }
}

macro_rules! watched {
    ($name:ident: $value:ty, $($change:ident)*) => {
        watched!($name[]: $value, $($change)*);

        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }
    };
    ($name:ident[$($of:ident)?]: $value:ty, $($change:ident)*) => {
        #[derive(Debug)]
        pub(crate) struct $name$(<$of>)? {
            value: atomic::$name$(<$of>)?,
            watch: Watch,
        }

        // Each has what any of them needs, as the real types have.
        #[allow(dead_code, reason = "not all of them need all of it")]
        impl$(<$of>)? $name$(<$of>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    value: atomic::$name::new(value),
                    watch: Watch::new(),
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.watch.load(|| self.value.load(order))
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.watch.change(|| self.value.store(value, order));
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.watch
                    .change(|| self.value.compare_exchange(current, new, success, failure))
            }

            $(pub(crate) fn $change(&self, value: $value, order: Ordering) -> $value {
                self.watch.change(|| self.value.$change(value, order))
            })*
        }
    };
}

watched!(AtomicBool: bool, swap);
watched!(AtomicU16: u16, fetch_or);
watched!(AtomicU32: u32, fetch_or);
watched!(AtomicU64: u64, swap fetch_add fetch_sub fetch_or);
watched!(AtomicUsize: usize, swap fetch_add fetch_sub fetch_or);
watched!(AtomicPtr[T]: *mut T, swap);
