//! When entries were last touched, where that decides which of them go.
//!
//! A table of any other bucket has nothing of this. In one that has, the first level is closed from the start, as where
//! entries expire: so a hit elsewhere does not pay for it. A read of an entry that was touched in this period, or just
//! now, writes nothing.

use std::borrow::Borrow;

use super::beside::Beside;
use super::stamp::Stamp;
use super::{At, Table, Watch};
use crate::clock::{Clock, Idle, Tick};
use crate::sync::fault;
#[cfg(test)]
use crate::sync::{atomic::AtomicU64, order};

/// By what it is told when something was touched.
#[derive(Clone)]
pub(crate) enum Recency {
    /// The numbers of periods: that of the table, for what is read in it, and that which the writes have that it takes
    /// in. The same, if these count as touched in it.
    Period { read: u64, written: u64 },
    /// The time. What is not touched for so long goes.
    Time(Clock, Idle),
}

impl Recency {
    /// What is stamped on what is written now.
    fn written_now(&self) -> u64 {
        match self {
            Self::Period { written, .. } => *written,
            Self::Time(clock, _) => clock.coarse().to_word(),
        }
    }
}

/// The stamps of a table's entries, by their places.
pub(super) struct Touched {
    stamps: Beside<Stamp>,
    recency: Recency,
    #[cfg(test)]
    written: AtomicU64,
}

impl Touched {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.stamps.bytes()
    }

    /// An entry is read. Returns whether it is there to be read.
    ///
    /// Apart: it may ask the clock, and would have those save registers where entries only expire. And not of a table,
    /// which it would have to look into again where it is compiled apart from who calls it.
    #[cold]
    #[inline(never)]
    fn touch(&self, at: At) -> bool {
        let Some(stamp) = self.stamps.at(at) else {
            return true;
        };
        match &self.recency {
            Recency::Period { read, .. } => {
                let _first = stamp.touch_in(*read);
                #[cfg(test)]
                self.written.fetch_add(u64::from(_first), order::COUNT);
                true
            }
            Recency::Time(clock, idle) => touch_now(stamp, clock, *idle),
        }
    }
}

/// Apart, for the registers that a call to the clock takes.
#[cold]
#[inline(never)]
fn touch_now(stamp: &Stamp, clock: &Clock, idle: Idle) -> bool {
    stamp.touch(clock.coarse(), idle)
}

impl<K, V> Table<K, V> {
    /// Whether reads are to touch what they find.
    #[inline(always)]
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.is_some()
    }

    /// [`find_first`](Self::find_first) where what is found is touched.
    #[inline(always)]
    pub(crate) fn find_first_touched<Q>(&self, slot: Option<usize>, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.find_first_timed(slot, key)?;
        self.touch(At::First(slot?)).then_some(found)
    }

    /// An entry is read. Returns whether it is there to be read.
    #[inline(always)]
    pub(super) fn touch(&self, at: At) -> bool {
        let touched = self.touched.as_ref();
        touched.is_none_or(|touched| touched.touch(at))
    }

    /// How often a read has stamped an entry.
    #[cfg(test)]
    pub(super) fn touches(&self) -> u64 {
        self.touched
            .as_ref()
            .map_or(0, |touched| touched.written.load(order::COUNT))
    }

    /// The clock by which its entries become idle, if they do.
    pub(super) fn idle_clock(&self) -> Option<&Clock> {
        match &self.touched.as_ref()?.recency {
            Recency::Time(clock, _) => Some(clock),
            Recency::Period { .. } => None,
        }
    }

    /// Whether an entry has not been touched for too long by then.
    pub(super) fn is_idle(&self, at: At, now: Tick) -> bool {
        self.stamp_and_idle(at)
            .is_some_and(|(stamp, idle)| stamp.is_over(now, idle))
    }

    /// The same, and if it is so nobody may touch it any more.
    pub(super) fn end_idle(&self, at: At, now: Tick) -> bool {
        self.stamp_and_idle(at).is_some_and(|(stamp, idle)| {
            if fault::planted("ended_by_a_look") {
                return stamp.is_over(now, idle);
            }
            stamp.end(now, idle)
        })
    }

    fn stamp_and_idle(&self, at: At) -> Option<(&Stamp, Idle)> {
        let touched = self.touched.as_ref()?;
        let Recency::Time(_, idle) = &touched.recency else {
            return None;
        };
        Some((touched.stamps.at(at)?, *idle))
    }

    pub(super) fn last_touched(&self, at: At) -> Option<u64> {
        let stamp = self.touched.as_ref()?.stamps.at(at)?;
        Some(stamp.last())
    }

    /// When an entry was last touched, or in which period, where that matters.
    pub(crate) fn last_touch_of<Q>(&self, hash: u64, key: &Q) -> Option<u64>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.last_touched(self.place_of(hash, key)?)
    }

    /// The keys of entries that were touched in the table's own period, or later than `before`.
    pub(crate) fn touched_after(&self, before: Tick) -> impl Iterator<Item = &K> {
        let first = self.touched.as_ref().map(|touched| match &touched.recency {
            Recency::Period { read, .. } => *read,
            Recency::Time(..) => before.to_word().saturating_add(1),
        });
        let places = first.is_some().then(|| self.places());
        let places = places.into_iter().flatten();
        places
            .filter(move |&(at, _)| self.last_touched(at) >= first)
            .map(|(_, (key, _))| key)
    }

    /// When the first of its entries will have been idle for too long, if none of them is touched.
    pub(crate) fn earliest_idle(&self) -> Option<Tick> {
        let Recency::Time(_, idle) = &self.touched.as_ref()?.recency else {
            return None;
        };
        let stamps = self.places().filter_map(|(at, _)| self.last_touched(at));
        stamps.min().map(|first| idle.end_of(first))
    }

    /// Has entries have been touched when they were in `old`, and now what `changed` names and what is not there.
    pub(crate) fn touched_as<'a, H>(
        mut self,
        old: &Self,
        changed: impl Iterator<Item = (u64, &'a K, Option<u64>)>,
        recency: Option<Recency>,
        hash_of: H,
    ) -> Self
    where
        K: Eq + 'a,
        H: Fn(&K) -> u64,
    {
        let Some(recency) = recency else {
            return self;
        };
        let now = recency.written_now();
        let before = |at| old.last_touched(at).map(Stamp::at);
        let before = old.touched.is_some().then_some(before);
        let changed = changed.map(|(hash, key, last)| (hash, key, Stamp::at(last.unwrap_or(now))));
        let stamps = self.beside_as(|| Stamp::at(now), (old, before), changed, hash_of);
        self.touched = Some(Box::new(Touched {
            stamps,
            recency,
            #[cfg(test)]
            written: AtomicU64::new(0),
        }));
        self.first.close();
        self.watch = self.watch.max(Watch::Touch);
        self
    }

    /// Has all entries have been touched just now.
    pub(crate) fn touched_now(self, recency: Option<Recency>) -> Self
    where
        K: Eq,
    {
        let nothing = Table::empty();
        self.touched_as(&nothing, std::iter::empty(), recency, |_| 0)
    }

    /// Whoever has touched an entry of `old` meanwhile has touched it here.
    pub(crate) fn touch_again(&self, old: &Self, hash_of: impl Fn(&K) -> u64)
    where
        K: Eq,
    {
        if let Some(touched) = &self.touched
            && matches!(touched.recency, Recency::Time(..))
        {
            for (at, (key, _)) in self.places() {
                let before = old.place_there(at, key, &hash_of);
                let last = before.and_then(|at| old.last_touched(at));
                if let (Some(stamp), Some(last)) = (touched.stamps.at(at), last) {
                    stamp.raise(last);
                }
            }
        }
    }

    /// The same of one key that was touched elsewhere.
    pub(crate) fn touch_key_again(&self, hash: u64, key: &K, last: u64)
    where
        K: Eq,
    {
        let at = self.place_of(hash, key);
        if let (Some(touched), Some(at)) = (&self.touched, at)
            && let Some(stamp) = touched.stamps.at(at)
        {
            stamp.raise(last);
        }
    }
}
