//! What was published and is not in the bucket's storage yet. DESIGN.md, "The storage".

use std::time::Duration;

use super::by_hash::ByHash;
use super::changes::Changes;
use super::fold::Folder;
use super::view::Generation;
use crate::clock::Clock;
use crate::contain::{contained, drop_contained};
use crate::sync::{Arc, Hashed, Mutex, Parker, fault};
use crate::{Key, Value};

/// So many keys are told one by one, whatever the bucket holds; chosen, not measured.
const LEAST: usize = 4096;

/// Of which keys a storage may hold something else than a snapshot.
pub(crate) struct Dirty<K> {
    keys: ByHash<K, ()>,
    /// Of all, also of those that nobody knows of.
    everything: bool,
}

impl<K: Key> Dirty<K> {
    pub(crate) fn nothing() -> Self {
        Self {
            keys: ByHash::new(),
            everything: false,
        }
    }

    pub(crate) fn everything() -> Self {
        Self {
            everything: true,
            ..Self::nothing()
        }
    }

    /// These keys. Calls `Eq` where two have one hash.
    pub(crate) fn of(keys: impl Iterator<Item = Hashed<K>>) -> Self {
        let mut dirty = Self::nothing();
        dirty.add(keys);
        dirty
    }

    fn add(&mut self, keys: impl Iterator<Item = Hashed<K>>) {
        for key in keys {
            if self.keys.find(key.hash, key.key()).is_none() {
                self.keys.add(key, ());
            }
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        !self.everything && self.keys.is_empty()
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.everything
    }

    /// Each key once, with its hash.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u64, &K)> {
        self.keys.iter().map(|((hash, _), key)| (hash, key))
    }

    /// These and others. Where an `Eq` panics, nobody knows which: all.
    fn and(mut self, others: Self) -> Self {
        if self.everything || others.everything {
            return Self::everything();
        }
        let both = contained(move || {
            self.add(others.keys.into_keys());
            self
        });
        both.unwrap_or_else(|_| Self::everything())
    }

    /// No more keys than there are: a storage to which nothing can be written, or which is slower than what is
    /// written, costs no more memory than that.
    fn bounded(self, held: usize) -> Self {
        match self.keys.len() > held.max(LEAST) {
            true => Self::everything(),
            false => self,
        }
    }
}

/// What a storage lacks to be a copy of one snapshot.
pub(crate) struct Batch<K, V> {
    pub(crate) dirty: Dirty<K>,
    /// That snapshot.
    pub(crate) upto: Arc<Generation<K, V>>,
}

impl<K: Key, V: Value> Batch<K, V> {
    /// This and what was taken after it.
    pub(crate) fn and(self, newer: Self) -> Self {
        let held = newer.upto.table.len();
        let both = Self {
            dirty: self.dirty.and(newer.dirty).bounded(held),
            upto: newer.upto,
        };
        // It holds what is the user's, and may be the last that does.
        drop_contained(self.upto);
        both
    }
}

/// Where the folder leaves what it has published, for the thread that writes it to the storage.
pub(crate) struct Unsaved<K, V> {
    /// Put there by the folder alone, which takes it out to add to it, as that calls code of the user's.
    batch: Mutex<Option<Batch<K, V>>>,
    /// Rung whenever something was put there.
    bell: Arc<Parker>,
}

impl<K: Key, V: Value> Unsaved<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            batch: Mutex::new(None),
            bell: Parker::new(),
        }
    }

    pub(crate) fn bell(&self) -> &Arc<Parker> {
        &self.bell
    }

    /// For the folder, after it has published `upto`.
    fn add(&self, dirty: Dirty<K>, upto: &Arc<Generation<K, V>>) {
        let before = self
            .take()
            .filter(|_| !fault::planted("unsaved_is_replaced"));
        let upto = Arc::clone(upto);
        let batch = Batch { dirty, upto };
        let batch = match before {
            Some(before) => before.and(batch),
            None => batch,
        };
        *self.batch.lock() = Some(batch);
        self.bell.unpark();
    }

    /// What was left there since the last time. Nothing also while the folder adds to it; then it rings.
    pub(crate) fn take(&self) -> Option<Batch<K, V>> {
        self.batch.lock().take()
    }

    /// The same, and all of it up to this epoch, which is published. `taken` is up to which it was taken before. Gives
    /// up at `deadline`, with what there was.
    pub(crate) fn take_up_to(
        &self,
        epoch: u64,
        mut taken: u64,
        clock: &Clock,
        deadline: Duration,
    ) -> Option<Batch<K, V>> {
        let mut all: Option<Batch<K, V>> = None;
        loop {
            if let Some(batch) = self.take() {
                taken = batch.upto.epoch;
                all = Some(match all {
                    Some(before) => before.and(batch),
                    None => batch,
                });
            }
            // What is published is there, or the folder has it in hand.
            let is_all = taken >= epoch || fault::planted("saves_what_is_there");
            if is_all || clock.now() >= deadline {
                return all;
            }
            self.bell.park(clock, Some(deadline));
        }
    }
}

/// What the folder notes of its publications.
pub(super) struct Noted<K, V> {
    unsaved: Arc<Unsaved<K, V>>,
    /// Noted before it is published, since that may call code of the user's, and handed over after: who takes it has
    /// the snapshot that it is of. Of a publication that a panic has ended it is handed over with the next.
    dirty: Dirty<K>,
}

impl<K: Key, V: Value> Folder<K, V> {
    /// Leaves there what is published from now on, and with the first of it what is `dirty` already.
    pub(crate) fn save_to(&mut self, unsaved: Arc<Unsaved<K, V>>, dirty: Dirty<K>) {
        self.noted = Some(Noted { unsaved, dirty });
    }

    /// These are about to be published. May panic where `Clone` or `Eq` of a key does.
    pub(super) fn note(&mut self, changes: &Changes<'_, K, V>) {
        let Some(noted) = &mut self.noted else {
            return;
        };
        if !noted.dirty.everything {
            let keys = changes.keys();
            noted
                .dirty
                .add(keys.map(|(hash, key)| Hashed::new(hash, key.clone())));
        }
    }

    /// Anything may be about to be published, and anything to go.
    pub(super) fn note_everything(&mut self) {
        if let Some(noted) = &mut self.noted {
            noted.dirty = Dirty::everything();
        }
    }

    /// A fault for the models to find: what is about to be published, with what is published still.
    pub(super) fn hand_over_early(&mut self, published: &Arc<Generation<K, V>>) {
        if fault::planted("saves_too_early") {
            self.hand_over(published);
        }
    }

    /// This is published.
    pub(super) fn hand_over(&mut self, published: &Arc<Generation<K, V>>) {
        if let Some(noted) = &mut self.noted {
            let dirty = std::mem::replace(&mut noted.dirty, Dirty::nothing());
            noted.unsaved.add(dirty, published);
        }
    }
}
