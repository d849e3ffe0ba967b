//! papaya's stand-in.

use std::borrow::Borrow;
use std::sync::{Arc, Mutex as Unseen};

use super::atomic::AtomicUsize;
use super::unseen;
use crate::sync::{Keyed, order};

/// papaya: one atomic word a key. Linearizable for each key and no more: a walk is one load after
/// another, with switches between.
///
/// The words are made with the map and not with a key's first insertion. loom holds that what a thread
/// makes is there for another one only after an edge between the two, which the first insertions of a
/// key by two threads do not have; and a lookup of a key that nobody inserted has to be a step that an
/// insertion can come before or after.
pub(crate) struct Map<T: Keyed> {
    slots: Unseen<Vec<Owned<T::Key>>>,
    /// What the words stand for: word `n` is `arena[n - 1]`, and 0 is absence.
    arena: Unseen<Vec<Arc<T>>>,
}

/// The hash and key that the word belongs to, once it belongs to any.
type Owned<K> = (Option<(u64, K)>, Arc<AtomicUsize>);

/// A key's word is found by its hash; where two keys meet, the later one's word comes behind. More
/// than the keys of a model under loom, whose hashes are to differ.
const WORDS: usize = 4;

impl<T: Keyed> Map<T> {
    pub(crate) fn with_capacity(_: usize) -> Self {
        Self {
            slots: Unseen::new((0..WORDS).map(|_| free()).collect()),
            arena: Unseen::new(Vec::new()),
        }
    }

    /// The word of a key and whether it belongs to it, else the one that it would get.
    fn word<Q>(slots: &mut Vec<Owned<T::Key>>, hash: u64, key: &Q) -> (usize, bool)
    where
        T::Key: Borrow<Q>,
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

    fn word_or_new(&self, hash: u64, key: T::Key) -> Arc<AtomicUsize> {
        let mut slots = unseen(&self.slots);
        let (at, _) = Self::word(&mut slots, hash, &key);
        slots[at].0 = Some((hash, key));
        Arc::clone(&slots[at].1)
    }

    fn value(&self, word: usize) -> Option<Arc<T>> {
        let index = word.checked_sub(1)?;
        Some(Arc::clone(&unseen(&self.arena)[index]))
    }

    pub(crate) fn hold(&self) -> impl Sized + '_ {}

    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<Arc<T>>
    where
        T::Key: Borrow<Q>,
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

    pub(crate) fn put_if<Q>(
        &self,
        hash: u64,
        key: &Q,
        mut allow: impl FnMut(Option<&T>) -> bool,
        mut make: impl FnMut() -> Arc<T>,
    ) -> Result<Arc<T>, Option<Arc<T>>>
    where
        T::Key: Borrow<Q>,
        Q: Eq + ToOwned<Owned = T::Key> + ?Sized,
    {
        let word = self.word_or_new(hash, key.to_owned());
        let mut made = None;
        let mut seen = word.load(order::map_load());
        loop {
            let current = self.value(seen);
            if !allow(current.as_deref()) {
                return Err(current);
            }
            let (new, made) = made.get_or_insert_with(|| {
                let made = make();
                debug_assert!(made.key().borrow() == key, "made for another key");
                let mut arena = unseen(&self.arena);
                arena.push(Arc::clone(&made));
                (arena.len(), made)
            });
            match word.compare_exchange(seen, *new, order::map_store(), order::map_load()) {
                Ok(_) => return Ok(Arc::clone(made)),
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn remove_if(&self, hash: u64, key: &T::Key, mut which: impl FnMut(&T) -> bool) {
        let (word, owned) = {
            let mut slots = unseen(&self.slots);
            let (at, owned) = Self::word(&mut slots, hash, key);
            (Arc::clone(&slots[at].1), owned)
        };
        // A step also where the key has no word yet, as in a lookup.
        let mut seen = word.load(order::map_load());
        if !owned {
            return;
        }
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

    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<T>)) {
        let mut next = 0;
        loop {
            let Some((_, word)) = unseen(&self.slots).get(next).cloned() else {
                return;
            };
            // A step also where there is no key yet: one may come before or after.
            if let Some(value) = self.value(word.load(order::map_load())) {
                each(&value);
            }
            next += 1;
        }
    }
}

fn free<K>() -> Owned<K> {
    (None, Arc::new(AtomicUsize::new(0)))
}
