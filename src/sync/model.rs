//! The modelled worlds: loom's or shuttle's threads and locks, and stand-ins for what they cannot see
//! into. A stand-in is as weak as the promise that we use, never stronger: a lock in its place would
//! order everything and hide what the models are there to find.

use std::borrow::Borrow;
use std::ops::Deref;
use std::sync::{Arc, Mutex as Unseen, PoisonError};

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

#[cfg(larder_shuttle)]
pub(crate) use super::cell::{MutPtr, UnsafeCell};
#[cfg(larder_loom)]
pub(crate) use loom::cell::{MutPtr, UnsafeCell};

use self::atomic::AtomicUsize;
use super::order;

/// In a model the other thread only gets on when we yield.
pub(crate) fn spin() {
    thread::yield_now();
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

/// `ThreadLocal`: a few slots, of which each thread gets one. Made beforehand, for loom's reason given at
/// [`Map`]. None for anybody unless [`slots_in_use`] says so: then all reads go without.
pub(crate) struct Slots<T> {
    slots: Vec<T>,
    owners: Unseen<Vec<thread::ThreadId>>,
}

/// As many threads as use slots in a model.
const SLOTS: usize = 2;

impl<T> Slots<T> {
    pub(crate) fn new(new: fn() -> T) -> Self {
        let count = if slots_in_use::get() { SLOTS } else { 0 };
        Self {
            slots: std::iter::repeat_with(new).take(count).collect(),
            owners: Unseen::new(Vec::new()),
        }
    }

    pub(crate) fn mine(&self) -> Option<&T> {
        if self.slots.is_empty() {
            return None;
        }
        let me = thread::current().id();
        let mut owners = unseen(&self.owners);
        let at = owners.iter().position(|&owner| owner == me);
        let at = at.unwrap_or_else(|| {
            owners.push(me);
            owners.len() - 1
        });
        self.slots.get(at)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.slots.iter()
    }
}

/// A full fence on both sides. What the real one makes of it is up to the system.
pub(crate) struct Barrier;

impl Barrier {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn light(&self) {
        atomic::fence(order::barrier());
    }

    pub(crate) fn heavy(&self) -> bool {
        atomic::fence(order::barrier());
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

/// papaya: one atomic word a key. Linearizable for each key and no more: a walk is one load after
/// another, with switches between.
///
/// The words are made with the map and not with a key's first insertion. loom holds that what a thread
/// makes is there for another one only after an edge between the two, which the first insertions of a
/// key by two threads do not have; and a lookup of a key that nobody inserted has to be a step that an
/// insertion can come before or after.
pub(crate) struct Map<K, T> {
    slots: Unseen<Vec<Slot<K>>>,
    /// What the words stand for: word `n` is `arena[n - 1]`, and 0 is absence.
    arena: Unseen<Vec<Arc<T>>>,
}

/// The hash and key that the word belongs to, once it belongs to any.
type Slot<K> = (Option<(u64, K)>, Arc<AtomicUsize>);

/// A key's word is found by its hash; where two keys meet, the later one's word comes behind. More
/// than the keys of a model under loom, whose hashes are to differ.
const WORDS: usize = 4;

impl<K: Eq, T> Map<K, T> {
    pub(crate) fn with_capacity(_: usize) -> Self {
        Self {
            slots: Unseen::new((0..WORDS).map(|_| free()).collect()),
            arena: Unseen::new(Vec::new()),
        }
    }

    /// The word of a key and whether it belongs to it, else the one that it would get.
    fn word<Q>(slots: &mut Vec<Slot<K>>, hash: u64, key: &Q) -> (usize, bool)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut at = (hash % WORDS as u64) as usize;
        loop {
            match slots.get(at) {
                None => slots.push(free()),
                Some((None, _)) => return (at, false),
                Some((Some((h, k)), _)) if *h == hash && k.borrow() == key => return (at, true),
                Some(_) => at = at.max(WORDS - 1) + 1,
            }
        }
    }

    fn word_or_new(&self, hash: u64, key: K) -> Arc<AtomicUsize> {
        let mut slots = unseen(&self.slots);
        let (at, _) = Self::word(&mut slots, hash, &key);
        slots[at].0 = Some((hash, key));
        Arc::clone(&slots[at].1)
    }

    fn value(&self, word: usize) -> Option<Arc<T>> {
        let index = word.checked_sub(1)?;
        Some(Arc::clone(&unseen(&self.arena)[index]))
    }

    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            let (word, owned) = {
                let mut slots = unseen(&self.slots);
                let (at, owned) = Self::word(&mut slots, hash, key);
                (Arc::clone(&slots[at].1), owned)
            };
            let seen = word.load(order::map_load());
            // Else it has become this key's, or another's, meanwhile.
            if owned || seen == 0 {
                return self.value(seen);
            }
        }
    }

    pub(crate) fn put_if(
        &self,
        hash: u64,
        key: K,
        value: &Arc<T>,
        mut allow: impl FnMut(Option<&T>) -> bool,
    ) -> Result<(), Option<Arc<T>>> {
        let word = self.word_or_new(hash, key);
        let new = {
            let mut arena = unseen(&self.arena);
            arena.push(Arc::clone(value));
            arena.len()
        };
        let mut seen = word.load(order::map_load());
        loop {
            let current = self.value(seen);
            if !allow(current.as_deref()) {
                return Err(current);
            }
            match word.compare_exchange(seen, new, order::map_store(), order::map_load()) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn remove_if(&self, hash: u64, key: &K, mut which: impl FnMut(&T) -> bool) {
        let word = {
            let mut slots = unseen(&self.slots);
            match Self::word(&mut slots, hash, key) {
                (at, true) => Arc::clone(&slots[at].1),
                (_, false) => return,
            }
        };
        let mut seen = word.load(order::map_load());
        while let Some(current) = self.value(seen) {
            if !which(&current) {
                return;
            }
            match word.compare_exchange(seen, 0, order::map_store(), order::map_load()) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        let words: Vec<_> = unseen(&self.slots)
            .iter()
            .filter(|(owner, _)| owner.is_some())
            .map(|(_, word)| Arc::clone(word))
            .collect();
        words
            .iter()
            .filter(|word| word.load(order::map_load()) != 0)
            .count()
    }
}

impl<K: Eq + Clone, T> Map<K, T> {
    pub(crate) fn for_each(&self, mut each: impl FnMut(u64, &K, &Arc<T>)) {
        let mut next = 0;
        loop {
            let Some((_, word)) = unseen(&self.slots).get(next).cloned() else {
                return;
            };
            // A step also where there is no key yet: one may come before or after.
            let value = self.value(word.load(order::map_load()));
            // Unlocked again before `each`, in which another thread may get on.
            let owner = unseen(&self.slots)[next].0.clone();
            if let (Some(value), Some((hash, key))) = (value, owner) {
                each(hash, &key, &value);
            }
            next += 1;
        }
    }
}

fn free<K>() -> Slot<K> {
    (None, Arc::new(AtomicUsize::new(0)))
}
