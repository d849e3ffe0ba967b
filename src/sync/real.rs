//! The real world: std's threads and locks, arc-swap, papaya.

use std::borrow::Borrow;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use once_cell::race::OnceBox;
use papaya::{Compute, Operation};

use super::Keyed;
use crate::spread::BuildSpread;

pub(crate) use super::barrier;
pub(crate) use super::handed::Handed;
pub(crate) use super::own_slots::{Index, Member, Slots};
pub(crate) use super::slot::Slot;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
pub(crate) use std::thread;

/// Tells the processor that we wait for another thread for a moment.
pub(crate) fn spin() {
    std::hint::spin_loop();
}

/// How often to look whether a thread is still reading what it is to let go, before that is left for later.
pub(crate) const GLANCES: usize = 32;

/// How many processors this process may use; one where that is not known.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
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

/// A concurrent map of shared values that know their keys: papaya behind the few operations that we use.
///
/// papaya knows hashes only, and all values of a hash are one of its own. It would grow without bound for some
/// forty keys of one hash, as it looks for a place near the hash for each of them.
///
/// One dependence that papaya 0.2.5 does not document and that its source keeps: `get` loads the
/// entry with Acquire, and insertion and removal store it with Release, so who sees an entry, or an
/// absence caused by a removal, also sees what came before it. Read `raw/mod.rs` again before raising
/// the version.
pub(crate) struct Map<T>(papaya::HashMap<u64, Few<T>, BuildSpread>);

/// The values of one hash: nearly always one.
enum Few<T> {
    One(Arc<T>),
    More(Arc<[Arc<T>]>),
}

impl<T: Keyed> Few<T> {
    fn all(&self) -> &[Arc<T>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }

    fn find<Q>(&self, key: &Q) -> Option<&Arc<T>>
    where
        T::Key: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.all().iter().find(|value| value.key().borrow() == key)
    }

    /// These values without one of them and with another. `None` if that leaves nothing.
    fn changed(&self, without: Option<&Arc<T>>, with: Option<&Arc<T>>) -> Option<Self> {
        let kept = self
            .all()
            .iter()
            .filter(|value| without.is_none_or(|without| !Arc::ptr_eq(value, without)));
        let mut all: Vec<_> = kept.chain(with).map(Arc::clone).collect();
        match all.len() {
            0 => None,
            1 => all.pop().map(Self::One),
            _ => Some(Self::More(all.into())),
        }
    }
}

impl<T: Keyed> Map<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(papaya::HashMap::with_capacity_and_hasher(
            capacity,
            BuildSpread::default(),
        ))
    }

    /// For many steps of one thread, which are cheaper while this is held. Nothing is freed meanwhile.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.0.guard()
    }

    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<Arc<T>>
    where
        T::Key: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.0.pin().get(&hash)?.find(key).map(Arc::clone)
    }

    /// Puts what `make` makes, and returns it, if `allow` says so of what is there of the key; else returns
    /// what is there.
    ///
    /// Atomic: nothing comes between the look and the put. `allow` may run more than once and is never a
    /// user's code; `make`, which clones the user's key, runs once at the most, and not if it is not needed.
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
        let mut made = None;
        let pin = self.0.pin();
        let done = pin.compute(hash, |current| {
            let few = current.map(|(_, few)| few);
            let there = few.and_then(|few| few.find(key));
            if !allow(there.map(|there| &**there)) {
                return Operation::Abort(there.map(Arc::clone));
            }
            let made = made.get_or_insert_with(&mut make);
            let changed = few.and_then(|few| few.changed(there, Some(made)));
            Operation::Insert(changed.unwrap_or_else(|| Few::One(Arc::clone(made))))
        });
        match done {
            Compute::Aborted(current) => Err(current),
            // Made, as it was put.
            _ => made.ok_or(None),
        }
    }

    /// Removes the value of `key` if `which` says so of it.
    pub(crate) fn remove_if(&self, hash: u64, key: &T::Key, mut which: impl FnMut(&T) -> bool) {
        let pin = self.0.pin();
        // Not by `compute`: what that removes makes every operation slower, ten times with ten thousand flights.
        let alone = pin.remove_if(&hash, |_, few| match few {
            Few::One(value) => value.key() == key && which(value),
            Few::More(_) => false,
        });
        if !matches!(alone, Err((_, Few::More(_)))) {
            return;
        }
        // Who is not told about the outcome needs none: another value has taken the place, or none.
        let _ = pin.compute(hash, |current| {
            let few = current.map(|(_, few)| few);
            let there = few.and_then(|few| few.find(key));
            match (few, there) {
                (Some(few), Some(there)) if which(there) => match few.changed(Some(there), None) {
                    Some(left) => Operation::Insert(left),
                    None => Operation::Remove,
                },
                _ => Operation::Abort(()),
            }
        });
    }

    /// Calls `each` for every value. Exact only while nobody writes.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<T>)) {
        for few in self.0.pin().values() {
            few.all().iter().for_each(&mut each);
        }
    }

    /// How many there are; those of one hash count as one.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
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
