//! Why loads have failed, the last of them, by key: for who asks, and for nobody else. DESIGN.md, "Last failures".

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::BuildHasher;

use super::{Store, View};
use crate::contain::contained;
use crate::error::Error;
use crate::sync::{Arc, Hashed, Keyed, Map, Mutex, fault, order, plain};
use crate::{Key, Value};

/// The failures of so many keys are remembered at most. Enough to see what a source has against its callers, and few
/// enough for each fold to go through. Chosen, not measured.
pub(crate) const MOST_FAILURES: usize = 1000;

/// The last failure of each key that has one.
pub(super) struct Failures<K: Key> {
    notes: Map<Note<K>>,
    /// Oldest first. Also those that were struck out, until they are the oldest or too many.
    order: Mutex<VecDeque<Arc<Note<K>>>>,
    /// How many are not struck out.
    standing: plain::Word,
}

struct Note<K> {
    key: Hashed<K>,
    /// Of the load: what has a higher one is newer than the failure.
    number: u64,
    /// The key had no value when the load began: one that it has is newer, whatever its number. A write may have drawn that
    /// before the load drew its own, and have been put after that.
    missed: bool,
    error: Error,
    /// It says nothing any more.
    struck: plain::Flag,
}

impl<K: Eq + Clone> Keyed for Note<K> {
    type Key = K;

    fn key(&self) -> &K {
        self.key.key()
    }
}

impl<K: Key> Failures<K> {
    pub(super) fn new() -> Self {
        Self {
            notes: Map::with_capacity(0),
            order: Mutex::new(VecDeque::new()),
            standing: plain::Word::new(0),
        }
    }

    /// Remembers a failure in place of an older one of the key.
    fn note(&self, (number, missed): (u64, bool), hash: u64, key: &K, error: &Error) {
        // Before it can be struck out.
        self.standing.fetch_add(1, order::COUNT);
        let is_older = |there: Option<&Note<K>>| match there {
            None => true,
            // Whoever comes first, it goes.
            Some(there) if there.number < number => {
                self.strike(there);
                true
            }
            Some(_) => false,
        };
        let make = || {
            Arc::new(Note {
                key: Hashed::new(hash, key.clone()),
                number,
                missed,
                error: error.clone(),
                struck: plain::Flag::new(false),
            })
        };
        // A key whose `Clone` or `Eq` panics is not remembered.
        let Ok(Ok(note)) = contained(|| self.notes.put_if(hash, key, is_older, make)) else {
            self.standing.fetch_sub(1, order::COUNT);
            return;
        };
        // Dropped after the lock, as keys are the user's.
        let (mut oldest, mut struck) = (Vec::new(), VecDeque::new());
        {
            let mut order = self.order.lock();
            order.push_back(note);
            while self.standing.load(order::COUNT) > MOST_FAILURES as u64
                && let Some(front) = order.pop_front()
            {
                self.strike(&front);
                oldest.push(front);
            }
            if order.len() > 2 * MOST_FAILURES {
                let all = std::mem::take(&mut *order);
                (*order, struck) = all.into_iter().partition(|note| note.stands());
            }
        }
        oldest.iter().for_each(|note| self.put_away(note));
        drop(struck);
    }

    /// Returns whether it said something until now.
    fn strike(&self, note: &Note<K>) -> bool {
        let first = !note.struck.swap(true, order::CLAIM);
        if first {
            self.standing.fetch_sub(1, order::COUNT);
        }
        first
    }

    /// Takes a note that was struck out of the map, by identity.
    fn put_away(&self, note: &Note<K>) {
        // A key's `Eq` may panic. Then it stays until the next failure of the key, and says nothing.
        let _ = contained(|| {
            let is_this = |there: &Note<K>| std::ptr::eq(there, note);
            self.notes.remove_if(note.key.hash, note.key.key(), is_this);
        });
    }

    /// Something has come of the key that is no older than this.
    fn forget(&self, hash: u64, key: &K, number: u64) {
        if let Some(note) = self.notes.get(hash, key)
            && note.number <= number
            && self.strike(&note)
        {
            self.put_away(&note);
        }
    }

    /// Whether nothing is remembered. Who was told of a failure that is knows better.
    fn is_empty(&self) -> bool {
        self.standing.load(order::COUNT) == 0
    }

    /// Those that say something, oldest first.
    fn all(&self) -> Vec<Arc<Note<K>>> {
        let order = self.order.lock();
        let standing = order.iter().filter(|note| note.stands());
        standing.map(Arc::clone).collect()
    }
}

impl<K: Eq + Clone> Note<K> {
    fn stands(&self) -> bool {
        !self.struck.load(order::COUNT)
    }

    /// Whether nothing in the overlays is newer, nor the floor.
    fn is_newest<V>(&self, view: &View<K, V>) -> bool {
        let Some(write) = view.overlaid(self.key.hash, self.key.key()) else {
            return self.number >= view.floor;
        };
        // Where values may die it may be one that is dead.
        let asks = self.missed && view.alive.is_none() && !fault::planted("late_writes_overlooked");
        let late = asks && write.value(&view.times).is_some();
        self.number >= write.number().max(view.floor) && !late
    }
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// A load of a key that had no value, if it was `missed`, failed. To be called while the load is live, and before
    /// anybody is told.
    pub(crate) fn load_failed(
        &self,
        (number, missed): (u64, bool),
        hash: u64,
        key: &K,
        error: &Error,
    ) {
        let failures = &self.failures;
        // One whose `Eq` panics may be remembered for longer.
        let _ = contained(|| {
            let superseded = || self.view().last_change(hash, key) > number;
            let early = fault::planted("failure_looked_at_first") && superseded();
            failures.note((number, missed), hash, key, error);
            // After it: a fold that does not find the note took the lock before. So what it has sealed is seen here, in the
            // view or, once that is published, in the echo.
            let looks = !fault::planted("failure_looked_at_first");
            if early || (looks && superseded()) {
                failures.forget(hash, key, number);
            }
        });
    }

    /// A load of the key did not fail. To be called before anybody is told.
    pub(crate) fn load_succeeded(&self, number: u64, hash: u64, key: &K) {
        if !self.failures.is_empty() {
            let _ = contained(|| self.failures.forget(hash, key, number));
        }
    }

    /// Why the last load of the key failed, if it did and the key was neither loaded nor written since.
    pub(crate) fn last_failure<Q>(&self, hash: u64, key: &Q) -> Option<Error>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let some = (!self.failures.is_empty()).then_some(&self.failures)?;
        let note = some.notes.get(hash, key)?;
        self.is_told(&note).then(|| note.error.clone())
    }

    /// Whether a failure is to be told. Who has seen a write of the key is not told of what was before: as long as a view
    /// knows of the write that view says it, and the note was struck out before the first that does not.
    fn is_told(&self, note: &Note<K>) -> bool {
        let early = fault::planted("struck_looked_at_first") && note.stands();
        note.is_newest(&self.view()) && (early || note.stands())
    }

    /// How many keys there are whose last load failed, of which `which` says so.
    pub(crate) fn count_failures(&self, which: impl Fn(u64, &K) -> bool) -> usize {
        let told =
            |note: &&Arc<Note<K>>| self.is_told(note) && which(note.key.hash, note.key.key());
        self.failures.all().iter().filter(told).count()
    }

    /// Forgets failures that are older than what is in the overlays of `view`, or than `floor`. To be called before what
    /// is sealed there is folded away.
    pub(super) fn settle_failures(&self, view: &View<K, V>, floor: u64) {
        let failures = &self.failures;
        for note in failures.all() {
            // One whose `Eq` panics is not remembered.
            let over = contained(|| note.number < floor || !note.is_newest(view));
            if over.unwrap_or(true) && failures.strike(&note) {
                failures.put_away(&note);
            }
        }
    }
}
