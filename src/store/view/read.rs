//! How a view is read: its table first, and what was written since where that says nothing.

use std::borrow::Borrow;

use super::{Found, Front, View};
use crate::store::overlay::Write;
use crate::table::{NoHit, Watch};

impl<K: Eq + Clone, V> View<K, V> {
    /// The hit path: one look at the table, which does not find what is marked.
    #[inline(always)]
    pub(crate) fn hit<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.current.table.hit(hash, key)
    }

    /// The shortest way: what `read` makes of a value, or that the key has none. Nothing where that takes a longer look.
    #[inline(always)]
    pub(in crate::store) fn at_once<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<Option<R>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let table = &self.current.table;
        let read = |value| Some(Some(read(value)));
        table.hit_or(hash, key, read, |why| {
            let is_without = !why.is_closed() && self.is_without_again(hash);
            is_without.then_some(None)
        })
    }

    /// Whether the look at the table, which found nothing, is enough to say that a key with this hash has no value.
    #[inline(always)]
    pub(in crate::store) fn is_without(&self, why: NoHit, hash: u64) -> bool {
        why.is_absent() && (!self.beyond.is_set() || self.has_nothing_beyond(hash))
    }

    /// The same of what is not closed, for who looks the pilot up once more: to keep it would take the last register, and a
    /// hit without a handle 1.14 to 1.19 times a bare map's time at 1,000 entries in place of 1.10.
    #[inline(always)]
    fn is_without_again(&self, hash: u64) -> bool {
        let table = &self.current.table;
        let bucket = table.bucket_of(hash);
        !table.has_spilled(bucket) && (!self.beyond.is_set() || self.has_nothing_in(bucket))
    }

    /// Where something may be elsewhere. In line, too: a table has keys beside the others for long.
    #[inline(always)]
    fn has_nothing_beyond(&self, hash: u64) -> bool {
        self.has_nothing_in(self.current.table.bucket_of(hash))
    }

    #[inline(always)]
    fn has_nothing_in(&self, bucket: usize) -> bool {
        !self.current.table.has_beside(bucket) && self.sealed.is_none() && !self.active.is_written()
    }

    /// The value of a key, if it is cached, borrowed.
    #[inline(always)]
    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.current.table.hit_or(hash, key, Some, |why| {
            if self.is_without(why, hash) {
                return None;
            }
            self.get_otherwise(why.slot(), hash, key)
        })
    }

    /// The same by a view's front, for who has that at hand.
    #[inline(always)]
    pub(crate) fn get_by<'a, Q>(
        front: &'a Front<K, V>,
        view: impl FnOnce() -> &'a Self,
        hash: u64,
        key: &Q,
    ) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        front.current.table.hit_or(hash, key, Some, |why| {
            if why.is_absent() && !front.beyond.is_set() {
                return None;
            }
            let view = view();
            if why.is_absent() && view.has_nothing_beyond(hash) {
                return None;
            }
            view.get_otherwise(why.slot(), hash, key)
        })
    }

    #[cold]
    #[inline(never)]
    fn get_otherwise<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.current.table.is_watched() {
            return self.get_watched(slot, hash, key);
        }
        match self.current.table.find_first(slot, key) {
            Some((value, false)) => Some(value),
            _ => self.get_late(slot, hash, key),
        }
    }

    /// Apart from the one above, where to tell one thing from the other would take a register, and from the others,
    /// which save some.
    #[cold]
    #[inline(never)]
    fn get_watched<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let watch = self.current.table.watch();
        if watch <= Watch::Time {
            self.get_timed(slot, hash, key)
        } else if watch == Watch::Touch {
            self.get_touched(slot, hash, key)
        } else if watch == Watch::Life {
            self.get_beyond(hash, key)
        } else {
            self.get_counted(hash, key)
        }
    }

    #[cold]
    #[inline(never)]
    fn get_timed<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.current.table.find_first_timed(slot, key) {
            Some((value, false)) => Some(value),
            _ => self.get_beyond(hash, key),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_beyond<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.beyond_hit(hash, key).value()
    }

    /// Apart, for its registers, of what only expires.
    #[cold]
    #[inline(never)]
    fn get_touched<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.current.table.find_first_touched(slot, key) {
            Some((value, false)) => Some(value),
            _ => self.get_beyond(hash, key),
        }
    }

    /// Apart, as it uses more registers, which have to be saved.
    #[inline(never)]
    fn get_late<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.current.table.find_after(slot, hash, key);
        self.beyond_table(found, hash, key).value()
    }

    /// Where the hit path found nothing: the overlays, newest first, then the table's entry even if it
    /// is marked. The mark comes before the write, so a marked key may not be in an overlay yet.
    #[cold]
    pub(crate) fn beyond_hit<Q>(&self, hash: u64, key: &Q) -> Found<'_, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let table = &self.current.table;
        if table.is_watched()
            && let Some(alive) = &self.alive
        {
            return self.look_guarded(alive, hash, key, true);
        }
        let found = table.find(hash, key);
        self.beyond_table(found, hash, key)
    }

    /// Always inlined, and what it asks with it: a read of what is absent takes an eighth more by calls.
    #[inline(always)]
    fn beyond_table<'a, Q>(
        &'a self,
        found: Option<(&'a V, bool)>,
        hash: u64,
        key: &Q,
    ) -> Found<'a, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match found {
            Some((value, false)) => Found::Table(value),
            _ => match (self.overlaid(hash, key), found) {
                (Some(write), _) => Found::Overlay(write.read(&self.times)),
                (None, Some((value, _))) => Found::Table(value),
                (None, None) => Found::Nothing,
            },
        }
    }

    pub(crate) fn look<Q>(&self, hash: u64, key: &Q) -> Found<'_, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.hit(hash, key) {
            Some(value) => Found::Table(value),
            None => self.beyond_hit(hash, key),
        }
    }

    /// The value of a key, if it is cached.
    #[inline]
    pub(crate) fn value<Q>(&self, hash: u64, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
        V: Clone,
    {
        self.get(hash, key).cloned()
    }

    /// Whether a key has a value. Touches nothing.
    pub(crate) fn is_present<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match &self.alive {
            Some(alive) => {
                let found = self.look_guarded(alive, hash, key, false);
                found.value().is_some()
            }
            None => self.holds(hash, key),
        }
    }

    /// The same for who is in the middle of a write: a value counts that may be dead, as nobody is asked.
    pub(in crate::store) fn holds<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.overlaid(hash, key) {
            Some(write) => write.value(&self.times).is_some(),
            None => self.current.table.find_any(hash, key).is_some(),
        }
    }

    /// Whether the key is nowhere, not even as a tombstone. `not_in` is the epoch of a table that is known not to
    /// hold it, if there is one: the look there may be a cache miss.
    pub(crate) fn has_nothing<Q>(&self, hash: u64, key: &Q, not_in: Option<u64>) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if not_in == Some(self.current.epoch) {
            self.overlaid(hash, key).is_none()
        } else {
            matches!(self.look(hash, key), Found::Nothing)
        }
    }

    /// The newest write of the key in the overlays.
    #[inline(always)]
    pub(crate) fn overlaid<Q>(&self, hash: u64, key: &Q) -> Option<&Write<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.active
            .get(hash, key)
            .or_else(|| self.under_active(hash, key))
    }

    #[inline(always)]
    pub(crate) fn under_active<Q>(&self, hash: u64, key: &Q) -> Option<&Write<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.sealed.as_ref()?.overlay.get(hash, key)
    }
}
