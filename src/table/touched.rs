//! When entries were last touched, where that decides which of them go.
//!
//! A table of any other bucket has nothing of this. In one that has, the first level is closed from the start, as where
//! entries expire: so a hit elsewhere does not pay for it. A read of an entry that was touched in this period, or just
//! now, writes nothing.

use std::borrow::Borrow;

use super::stamp::Stamp;
use super::weighed::Beside;
use super::{At, NoHit, Table, Watch};
use crate::clock::{Clock, Idle, Tick};
use crate::sync::fault;
#[cfg(test)]
use crate::sync::{atomic::AtomicU64, order};

/// By what it is told when something was touched.
#[derive(Clone)]
pub(crate) enum Recency {
    /// The number of a period: of the table.
    Period(u64),
    /// The time. What is not touched for so long goes.
    Time(Clock, Idle),
}

impl Recency {
    /// What is stamped on what is touched now.
    fn now(&self) -> u64 {
        match self {
            Self::Period(period) => *period,
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
            Recency::Period(period) => {
                let _first = stamp.touch_in(*period);
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
    pub(crate) fn find_first_touched<Q>(&self, why: NoHit, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let NoHit::Closed(slot) = why else {
            return None;
        };
        let found = self.find_first_timed(why, key)?;
        self.touch(At::First(slot)).then_some(found)
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
            Recency::Period(_) => None,
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

    fn last_touched(&self, at: At) -> Option<u64> {
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
        let now = recency.now();
        let mut stamps = Beside::new(&self, || Stamp::at(now));
        if old.touched.is_some() {
            for (at, (key, _)) in self.places() {
                let before = old.place_there(at, key, &hash_of);
                let last = before.and_then(|at| old.last_touched(at));
                stamps.set(at, Stamp::at(last.unwrap_or(now)));
            }
        }
        for (hash, key, last) in changed {
            if let Some(at) = self.place_of(hash, key) {
                stamps.set(at, Stamp::at(last.unwrap_or(now)));
            }
        }
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

    /// Entries to be evicted: those that were not touched for the longest time, until they and what is gone by `now` weigh
    /// `weight`. Nothing that has been superseded is among them.
    ///
    /// Goes through the table a few times, whatever the stamps are: it counts weights by ranges of them, and then by
    /// ranges of the range in which the weight is reached, until few are left to be sorted.
    pub(crate) fn least_recent(&self, weight: u64, now: Tick) -> Vec<&K> {
        let gone = self.places().filter(|&(at, _)| self.is_gone(at, now));
        let gone = gone.map(|(at, _)| self.weight_there(at));
        let weight = weight.saturating_sub(gone.fold(0, u64::saturating_add));
        self.untouched(weight, now, &|at| self.weight_there(at))
    }

    /// The same, by what each of them counts for. Compiled once, whatever that is by: twice made all reads of such tables
    /// save six registers more.
    pub(super) fn untouched(&self, weight: u64, now: Tick, of: &dyn Fn(At) -> u64) -> Vec<&K> {
        if weight == 0 {
            return Vec::new();
        }
        let candidates = || {
            self.places().filter_map(|(at, (key, _))| {
                let there = of(at);
                let last = self.last_touched(at)?;
                (there > 0 && !self.is_gone(at, now)).then_some((last, there, key))
            })
        };
        let (mut low, mut high, mut needed) = (0, u64::MAX, weight);
        loop {
            let width = (high - low) / RANGES + 1;
            let mut ranges = [(0_u64, 0_usize); RANGES as usize];
            for (last, there, _) in candidates().filter(|(last, ..)| (low..=high).contains(last)) {
                let (weights, count) = &mut ranges[((last - low) / width) as usize];
                *weights = weights.saturating_add(there);
                *count += 1;
            }
            let mut range = 0;
            while range + 1 < ranges.len() && ranges[range].0 < needed {
                needed -= ranges[range].0;
                range += 1;
            }
            low += range as u64 * width;
            high = high.min(low.saturating_add(width - 1));
            if width == 1 || ranges[range].1 <= FEW {
                break;
            }
        }
        let mut victims = Vec::new();
        let mut last_ones = Vec::new();
        for (last, there, key) in candidates() {
            if last < low {
                victims.push(key);
            } else if last <= high {
                last_ones.push((last, there, key));
            }
        }
        if low < high {
            last_ones.sort_unstable_by_key(|&(last, ..)| last);
        }
        let mut gone = 0;
        let last_ones = last_ones.into_iter().take_while(|&(_, there, _)| {
            let wanted = gone < needed;
            gone += there;
            wanted
        });
        victims.extend(last_ones.map(|(.., key)| key));
        victims
    }
}

/// Into so many parts a range of stamps is parted at a time.
const RANGES: u64 = 256;

/// So few are sorted.
const FEW: usize = 1024;
