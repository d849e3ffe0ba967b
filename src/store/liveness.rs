//! Values that die: whether one lives is asked of the user's check by whoever finds it, and what is dead is removed if it
//! is still what was found. DESIGN.md, "Values that die".

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::BuildHasher;

use super::budget::Purse;
use super::conditional::wait_sealed;
use super::seen::Seen;
use super::write::{mark, nudge};
use super::{Found, Store, View, Write};
use crate::contain::{contained, drop_contained};
use crate::error::{Error, ErrorKind};
use crate::sync::{Arc, Mutex, Parker, fault, per_thread};
use crate::table::Table;
use crate::{Key, Value};

/// The user's check: whether a value lives.
pub(crate) type Check<K, V> = Box<dyn Fn(&K, &V) -> bool + Send + Sync>;

/// The check, and what has come of it that the refresher has not taken yet.
pub(crate) struct Liveness<K, V> {
    check: Check<K, V>,
    met: Mutex<Met<K>>,
    /// Wakes the refresher.
    bell: Arc<Parker>,
}

/// What reads have met.
struct Met<K> {
    dead: Vec<Dead<K>>,
    /// How often the check panicked, and how the last time.
    failed: usize,
    error: Option<Error>,
}

impl<K> Met<K> {
    const NOTHING: Self = Self {
        dead: Vec::new(),
        failed: 0,
        error: None,
    };

    fn is_nothing(&self) -> bool {
        self.dead.is_empty() && self.failed == 0
    }
}

/// A value that was found dead.
pub(crate) struct Dead<K> {
    hash: u64,
    key: K,
    seen: Seen,
}

impl<K> Dead<K> {
    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

/// How many dead values may wait to be removed. What is found beyond is found again. Chosen, not measured.
const MOST_MET: usize = 1024;

per_thread! {
    /// How deep checks are nested on this thread: one may read a bucket that has another.
    static DEPTH: u32
}

/// How deep checks may nest. A check that reads what it is asked about would go on for ever. Chosen, not measured.
const DEEPEST: u32 = 8;

/// This thread's time inside a check.
struct Asking;

impl Asking {
    fn enter() -> Option<Self> {
        let depth = DEPTH.with(Cell::get);
        (depth < DEEPEST).then(|| {
            DEPTH.with(|there| there.set(depth + 1));
            Self
        })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

impl<K, V> Liveness<K, V> {
    pub(super) fn new(check: Check<K, V>, bell: Arc<Parker>) -> Self {
        Self {
            check,
            met: Mutex::new(Met::NOTHING),
            bell,
        }
    }

    /// Whether a value lives.
    ///
    /// # Errors
    ///
    /// The check panicked, or is nested too deep: it is not known then.
    fn ask(&self, key: &K, value: &V) -> Result<bool, Error> {
        let Some(_asking) = Asking::enter() else {
            let message = format!("checks of values that die nested more than {DEEPEST} deep");
            return Err(Error::new(ErrorKind::Recursion, message));
        };
        contained(|| (self.check)(key, value))
    }

    /// The same for who reads: what is not known to live is not returned. A failure is kept for the refresher.
    fn lives(&self, key: &K, value: &V) -> Option<bool> {
        self.ask(key, value)
            .map_err(|error| {
                let before = self.tell(|met| {
                    met.failed += 1;
                    met.error.replace(error)
                });
                // After the lock: it is cheap to drop, but it may be the last.
                drop(before);
            })
            .ok()
    }

    /// A value was found dead. Takes a short lock.
    fn found_dead(&self, hash: u64, key: &K, seen: Seen)
    where
        K: Clone,
    {
        if self.met.lock().dead.len() >= MOST_MET {
            return;
        }
        // One whose `Clone` panics is found again.
        if let Ok(key) = contained(|| key.clone()) {
            self.tell(|met| met.dead.push(Dead { hash, key, seen }));
        }
    }

    fn tell<R>(&self, what: impl FnOnce(&mut Met<K>) -> R) -> R {
        let (first, said) = {
            let mut met = self.met.lock();
            (met.is_nothing(), what(&mut met))
        };
        if first {
            self.bell.unpark();
        }
        said
    }
}

/// What a view holds of a key, whether it lives or not.
struct Held<'a, K, V> {
    key: &'a K,
    value: &'a V,
    seen: Seen,
}

/// What became of a value that was found dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buried {
    /// It is removed.
    Yes,
    /// The key was written or folded meanwhile.
    Changed,
    /// All that there is is about to be replaced, or nothing is stored.
    Left,
}

impl<K: Eq + Clone, V> View<K, V> {
    /// Who `reads` it touches it.
    fn held<Q>(&self, hash: u64, key: &Q, reads: bool) -> Option<Held<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let table = &self.current.table;
        let found = match reads {
            true => table.find_entry(hash, key),
            false => table.look_at_entry(hash, key),
        };
        let folded = |(key, value, _)| Held {
            key,
            value,
            seen: Seen {
                write: None,
                epoch: Some(self.current.epoch),
            },
        };
        if let Some((.., false)) = found {
            return found.map(folded);
        }
        let sealed = || self.sealed.as_ref()?.overlay.get_entry(hash, key);
        let Some((key, write)) = self.active.get_entry(hash, key).or_else(sealed) else {
            return found.map(folded);
        };
        let value = match reads {
            true => write.read(&self.times),
            false => write.value(&self.times),
        };
        Some(Held {
            key,
            value: value?,
            seen: Seen {
                write: Some(write.identity()),
                epoch: None,
            },
        })
    }

    /// The look of [`beyond_hit`](Self::beyond_hit) where values may die: asks once whether this one lives. Who `reads`
    /// it touches it.
    #[cold]
    #[inline(never)]
    pub(super) fn look_guarded<Q>(
        &self,
        alive: &Liveness<K, V>,
        hash: u64,
        key: &Q,
        reads: bool,
    ) -> Found<'_, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(Held { key, value, seen }) = self.held(hash, key, reads) else {
            return match self.overlaid(hash, key) {
                Some(_) => Found::Overlay(None),
                None => Found::Nothing,
            };
        };
        match alive.lives(key, value) {
            Some(true) if seen.write.is_some() => Found::Overlay(Some(value)),
            Some(true) => Found::Table(value),
            Some(false) => {
                alive.found_dead(hash, key, seen);
                Found::Dead
            }
            None => Found::Dead,
        }
    }
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Whether values may die.
    pub(crate) fn is_guarded(&self) -> bool {
        self.alive.is_some()
    }

    /// A table on its way into a view.
    pub(super) fn guard(&self, table: Table<K, V>) -> Table<K, V> {
        let table = match &self.alive {
            Some(_) => table.guarded(),
            None => table,
        };
        match &self.reads {
            Some(_) => table.counted(),
            None => table,
        }
    }

    /// Whether a value lives, as far as is known.
    pub(crate) fn lives(&self, key: &K, value: &V) -> bool {
        let alive = self.alive.as_ref();
        alive.is_none_or(|alive| alive.lives(key, value) == Some(true))
    }

    /// Whether a value that a load has brought lives.
    ///
    /// # Errors
    ///
    /// `Dead` if it does not; else that it is not known.
    pub(crate) fn vouch(&self, key: &K, value: &V) -> Result<(), Error> {
        match &self.alive {
            None => Ok(()),
            Some(alive) if alive.ask(key, value)? => Ok(()),
            Some(_) => Err(Error::dead()),
        }
    }

    /// How many values live.
    pub(super) fn count_living(&self, view: &View<K, V>) -> usize {
        let mut living = 0;
        for (key, value) in view.current.table.iter() {
            let overlaid = view.overlaid(self.hash(key), key).is_some();
            living += usize::from(!overlaid && self.lives(key, value));
        }
        view.for_each_overlaid(|_, key, write| {
            let value = write.value(&self.times);
            living += usize::from(value.is_some_and(|value| self.lives(key, value)));
        });
        living
    }

    /// What was found dead since the last time; how often the check has failed, and how the last time.
    pub(crate) fn take_dead(&self) -> (Vec<Dead<K>>, usize, Option<Error>) {
        let Some(alive) = &self.alive else {
            return (Vec::new(), 0, None);
        };
        let met = std::mem::replace(&mut *alive.met.lock(), Met::NOTHING);
        (met.dead, met.failed, met.error)
    }

    /// Removes a value that was found dead, if it is still there. Returns whether it is removed.
    pub(crate) fn bury(&self, dead: &Dead<K>) -> bool {
        self.bury_seen(dead.hash, &dead.key, dead.seen) == Buried::Yes
    }

    /// Removes the value of a key if it is dead: the one that is there, not one that is written meanwhile and lives.
    /// Returns whether it is removed. Waits as [`write_if_absent`](Self::write_if_absent) does.
    pub(crate) fn bury_if_dead(&self, hash: u64, key: &K) -> bool {
        let Some(alive) = &self.alive else {
            return false;
        };
        loop {
            let view = self.load_view();
            let Some(Held { key, value, seen }) = view.held(hash, key, false) else {
                return false;
            };
            if alive.lives(key, value) != Some(false) {
                return false;
            }
            match self.bury_seen(hash, key, seen) {
                Buried::Yes => return true,
                Buried::Left => return false,
                Buried::Changed => {}
            }
        }
    }

    /// It is the same write once more without its value, so it keeps its number, as
    /// [`retime`](Self::retime) does: a load that began before may still bring the next value.
    pub(super) fn bury_seen(&self, hash: u64, key: &K, seen: Seen) -> Buried {
        let buried = self.inside_for(hash, |view| {
            wait_sealed(view);
            let newer = fault::planted("buries_what_is_newer");
            if Seen::of(view, hash, key) != seen && !newer {
                return Err(Buried::Changed);
            }
            let number = seen.write.map_or(view.current.floor, |write| write.number);
            // What is below the floor is about to be replaced.
            if !view.caching || (number < view.floor && !fault::planted("buries_over_datasets")) {
                return Err(Buried::Left);
            }
            let number = match fault::planted("buries_as_a_write") {
                true => self.numbers.draw(),
                false => number,
            };
            let current = view.active.get(hash, key);
            let active = current.map(Write::identity);
            // The first look may have been at another.
            if active.is_some() && active != seen.write && !newer {
                return Err(Buried::Changed);
            }
            mark(view, hash, key);
            // What it weighed is given back, as what comes in its place weighs nothing.
            let mut purse = Purse::of(view);
            if !fault::planted("buries_the_weight") {
                purse.take_seen(view, current, hash, key);
            }
            let write = Write::new(number, None.into(), self.times.moment());
            let place = &view.active;
            let put = place.put_if(hash, key.clone(), write, &mut purse, |there| {
                there.map(Write::identity) == active || newer
            });
            match put {
                true => Ok(nudge(view, &purse)),
                false => Err(Buried::Changed),
            }
        });
        match buried {
            Ok(nudge) => {
                self.ring(nudge);
                Buried::Yes
            }
            Err(why) => why,
        }
    }
}

impl<K, V> Drop for Liveness<K, V> {
    fn drop(&mut self) {
        let met = std::mem::replace(&mut *self.met.lock(), Met::NOTHING);
        met.dead.into_iter().for_each(drop_contained);
    }
}
