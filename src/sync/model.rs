//! The modelled worlds: loom's or shuttle's threads and locks, and stand-ins for what they cannot see
//! into. A stand-in is as weak as the promise that we use, never stronger: a lock in its place would
//! order everything and hide what the models are there to find.

use std::borrow::Borrow;
use std::ops::Deref;
use std::sync::{Arc, Mutex as Unseen, PoisonError};

#[cfg(larder_loom)]
pub(crate) use loom::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(larder_shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

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
/// `VIEW_LOAD` allows. What a swap takes out stays in the arena as well, so that a stale load finds
/// it; the models about freeing ask `forget_swapped` for the real promise instead.
pub(crate) struct Cell<T>(Arc<Shared<T>>);

struct Shared<T> {
    current: AtomicUsize,
    arena: Unseen<Vec<Option<Arc<T>>>>,
    forget_swapped: bool,
}

impl<T> Cell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Arc::new(Shared {
            current: AtomicUsize::new(0),
            arena: Unseen::new(vec![Some(value)]),
            forget_swapped: forget_swapped::get(),
        }))
    }

    pub(crate) fn load(&self) -> Loaded<T> {
        Loaded(self.0.load().1)
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.0.load().1
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let new = {
            let mut arena = unseen(&self.0.arena);
            arena.push(Some(value));
            arena.len() - 1
        };
        let old = self.0.current.swap(new, order::VIEW_PUBLISH);
        let mut arena = unseen(&self.0.arena);
        let slot = &mut arena[old];
        let taken = if self.0.forget_swapped {
            slot.take()
        } else {
            slot.clone()
        };
        taken.unwrap_or_else(|| unreachable!("each index is swapped out once"))
    }

    pub(crate) fn reader(&self) -> CellReader<T> {
        let (index, value) = self.0.load();
        CellReader {
            shared: Arc::clone(&self.0),
            index,
            value,
        }
    }
}

impl<T> Shared<T> {
    fn load(&self) -> (usize, Arc<T>) {
        loop {
            let index = self.current.load(order::VIEW_LOAD);
            if let Some(value) = &unseen(&self.arena)[index] {
                return (index, Arc::clone(value));
            }
            // Swapped out and forgotten meanwhile: the real cell's load notices that as well.
            thread::yield_now();
        }
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

pub(crate) struct CellReader<T> {
    shared: Arc<Shared<T>>,
    index: usize,
    value: Arc<T>,
}

impl<T> Clone for CellReader<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            index: self.index,
            value: Arc::clone(&self.value),
        }
    }
}

impl<T> CellReader<T> {
    pub(crate) fn load(&mut self) -> &Arc<T> {
        if self.shared.current.load(order::VIEW_PEEK) != self.index {
            (self.index, self.value) = self.shared.load();
        }
        &self.value
    }
}

/// Whether cells made from here on hand over the last reference of what is swapped out.
pub(crate) mod forget_swapped {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    static FORGET: AtomicBool = AtomicBool::new(false);

    pub(crate) fn get() -> bool {
        FORGET.load(SeqCst)
    }

    #[cfg(test)]
    pub(crate) fn set(forget: bool) {
        FORGET.store(forget, SeqCst);
    }
}

/// papaya: one atomic word a key. Linearizable for each key and no more: a walk is one load after
/// another, with switches between.
pub(crate) struct Map<K, T> {
    slots: Unseen<Vec<Slot<K>>>,
    /// What the words stand for: word `n` is `arena[n - 1]`, and 0 is absence.
    arena: Unseen<Vec<Arc<T>>>,
}

type Slot<K> = (u64, K, Arc<AtomicUsize>);

impl<K: Eq, T> Map<K, T> {
    pub(crate) fn with_capacity(_: usize) -> Self {
        Self {
            slots: Unseen::new(Vec::new()),
            arena: Unseen::new(Vec::new()),
        }
    }

    fn word<Q>(&self, hash: u64, key: &Q) -> Option<Arc<AtomicUsize>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slots = unseen(&self.slots);
        let slot = slots
            .iter()
            .find(|(h, k, _)| *h == hash && k.borrow() == key)?;
        Some(Arc::clone(&slot.2))
    }

    fn word_or_new(&self, hash: u64, key: K) -> Arc<AtomicUsize> {
        if let Some(word) = self.word(hash, &key) {
            return word;
        }
        let word = Arc::new(AtomicUsize::new(0));
        unseen(&self.slots).push((hash, key, Arc::clone(&word)));
        word
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
        self.value(self.word(hash, key)?.load(order::MAP_LOAD))
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
        let mut seen = word.load(order::MAP_LOAD);
        loop {
            let current = self.value(seen);
            if !allow(current.as_deref()) {
                return Err(current);
            }
            match word.compare_exchange(seen, new, order::MAP_STORE, order::MAP_LOAD) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn remove_if(&self, hash: u64, key: &K, mut which: impl FnMut(&T) -> bool) {
        let Some(word) = self.word(hash, key) else {
            return;
        };
        let mut seen = word.load(order::MAP_LOAD);
        while let Some(current) = self.value(seen) {
            if !which(&current) {
                return;
            }
            match word.compare_exchange(seen, 0, order::MAP_STORE, order::MAP_LOAD) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        let words: Vec<_> = unseen(&self.slots)
            .iter()
            .map(|slot| Arc::clone(&slot.2))
            .collect();
        words
            .iter()
            .filter(|word| word.load(order::MAP_LOAD) != 0)
            .count()
    }
}

impl<K: Eq + Clone, T> Map<K, T> {
    pub(crate) fn for_each(&self, mut each: impl FnMut(u64, &K, &Arc<T>)) {
        let mut next = 0;
        loop {
            let slot = unseen(&self.slots)
                .get(next)
                .map(|(hash, key, word)| (*hash, key.clone(), Arc::clone(word)));
            let Some((hash, key, word)) = slot else {
                return;
            };
            if let Some(value) = self.value(word.load(order::MAP_LOAD)) {
                each(hash, &key, &value);
            }
            next += 1;
        }
    }
}
