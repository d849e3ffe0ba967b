//! When entries expire; and tables of which nothing is found before somebody has said that it lives.
//!
//! A table of which no entry ever does has nothing of this, and a hit in it does not ask. In any other the first
//! level is closed from the start, as if something were marked: so what a hit tests anyway leads to where the
//! deadlines are looked at. An entry that has expired is not found; it goes with the next fold.
//!
//! A *guarded* table is closed in the same way, and has no hits at all: whoever looks takes an entry with its key, and
//! asks somebody else whether its value lives.

use std::borrow::Borrow;

use super::{At, Table, Watch};
use crate::clock::{Clock, Deadline, Tick};
use crate::sync::pace;

/// The deadlines of a table's entries, by their places.
pub(super) struct Timed {
    clock: Clock,
    first: Box<[Deadline]>,
    second: Box<[Deadline]>,
    last: Box<[Deadline]>,
    /// The first of them. Before it none has to be looked at, which may be a cache miss.
    earliest: Deadline,
}

impl Timed {
    fn of(&self, at: At) -> Deadline {
        let (deadlines, place) = match at {
            At::First(slot) => (&self.first, slot),
            At::Second(slot) => (&self.second, slot),
            At::Last(index) => (&self.last, index),
        };
        deadlines.get(place).copied().unwrap_or(Deadline::NEVER)
    }

    fn set(&mut self, at: At, deadline: Deadline) {
        let (deadlines, place) = match at {
            At::First(slot) => (&mut self.first, slot),
            At::Second(slot) => (&mut self.second, slot),
            At::Last(index) => (&mut self.last, index),
        };
        if let Some(there) = deadlines.get_mut(place) {
            *there = deadline;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let places = [&self.first, &self.second, &self.last];
        size_of::<Self>()
            + places
                .map(|places| size_of_val(&**places))
                .iter()
                .sum::<usize>()
    }

    fn all(&self) -> impl Iterator<Item = Deadline> {
        let all = self.first.iter().chain(&self.second).chain(&self.last);
        all.copied()
    }
}

impl<K, V> Table<K, V> {
    /// Whether what is here may not be there for who looks, as it has expired or is dead, or reads are to touch it.
    #[inline(always)]
    pub(crate) fn is_watched(&self) -> bool {
        self.watch != Watch::Nothing
    }

    /// What a read has to look at besides.
    #[inline(always)]
    pub(crate) fn watch(&self) -> Watch {
        self.watch
    }

    /// Whether an entry has expired by then, or was not touched for too long. Touches nothing.
    pub(super) fn is_gone(&self, at: At, now: Tick) -> bool {
        self.deadline(at).is_past(now) || self.is_idle(at, now)
    }

    /// Has it be asked of each entry whether it lives, before the table is shared.
    pub(crate) fn guarded(mut self) -> Self {
        self.first.close();
        self.watch = Watch::Life;
        self
    }

    /// Has its reads be counted, before the table is shared: it has no hits, and who looks further counts.
    pub(crate) fn counted(mut self) -> Self {
        self.first.close();
        self.watch = Watch::Count;
        self
    }

    /// [`find_first`](Self::find_first) where entries expire.
    #[inline(always)]
    pub(crate) fn find_first_timed<Q>(&self, slot: Option<usize>, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.find_first(slot, key)?;
        (!self.is_over(At::First(slot?))).then_some(found)
    }

    /// [`find`](Self::find) where entries expire. Apart, as all of it that has to do with time: what a call to a
    /// clock needs saved would cost those who need none ten instructions and more.
    #[cold]
    #[inline(never)]
    pub(crate) fn find_timed<Q>(&self, hash: u64, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (_, value, marked) = self.find_entry(hash, key)?;
        Some((value, marked))
    }

    /// The same, with the key as it is here.
    #[inline]
    pub(crate) fn find_entry<Q>(&self, hash: u64, key: &Q) -> Option<(&K, &V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.place_of(hash, key)?;
        if self.is_over(at) || !self.touch(at) {
            return None;
        }
        self.marked_entry(at)
    }

    /// The same for who does not read it: nothing is touched.
    pub(crate) fn look_at_entry<Q>(&self, hash: u64, key: &Q) -> Option<(&K, &V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.place_of(hash, key)?;
        if self.is_gone(at, self.now()) {
            return None;
        }
        self.marked_entry(at)
    }

    #[inline]
    pub(super) fn marked_entry(&self, at: At) -> Option<(&K, &V, bool)> {
        let marked = match at {
            At::First(slot) => self.first.is_marked(slot),
            At::Second(slot) => self.second.is_marked(slot),
            At::Last(index) => self.last.marks.has(index),
        };
        let (key, value) = self.entry(at)?;
        Some((key, value, marked))
    }

    /// [`find_at`](Self::find_at) where entries expire.
    #[cold]
    #[inline(never)]
    pub(super) fn find_timed_at<Q>(&self, hash: u64, key: &Q, now: Tick) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.place_of(hash, key)?;
        if self.is_gone(at, now) {
            return None;
        }
        let (_, value) = self.entry(at)?;
        Some(value)
    }

    /// Whether the entry in a place has expired.
    #[inline]
    fn is_over(&self, at: At) -> bool {
        self.timed.as_ref().is_some_and(|timed| {
            let now = timed.clock.coarse();
            timed.earliest.is_past(now) && timed.of(at).is_past(now)
        })
    }

    pub(super) fn deadline(&self, at: At) -> Deadline {
        self.timed
            .as_ref()
            .map_or(Deadline::NEVER, |timed| timed.of(at))
    }

    /// When a key expires that is here, expired or not.
    pub(crate) fn deadline_of<Q>(&self, hash: u64, key: &Q) -> Option<Deadline>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.place_of(hash, key).map(|at| self.deadline(at))
    }

    /// Now, for a table whose entries may expire.
    pub(crate) fn now(&self) -> Tick {
        let clock = self.timed.as_ref().map(|timed| &timed.clock);
        clock
            .or_else(|| self.idle_clock())
            .map_or_else(Tick::default, Clock::coarse)
    }

    /// When the first of its entries expires, if one ever does.
    pub(crate) fn earliest(&self) -> Deadline {
        self.timed
            .as_ref()
            .map_or(Deadline::NEVER, |timed| timed.earliest)
    }

    /// How many entries, also marked ones, have not expired by then.
    pub(crate) fn len_at(&self, now: Tick) -> usize {
        if !self.earliest().is_past(now) && self.idle_clock().is_none() {
            return self.len();
        }
        self.iter_at(now).count()
    }

    /// Iterates over what has not expired by then, with when it does.
    pub(crate) fn entries_at(&self, now: Tick) -> impl Iterator<Item = (&K, &V, Deadline)> {
        self.places().filter_map(move |(at, (key, value))| {
            let deadline = self.deadline(at);
            (!self.is_gone(at, now)).then_some((key, value, deadline))
        })
    }

    /// The keys of entries that have expired by then, and of those that were not touched for too long, which are over
    /// from now on.
    pub(crate) fn expired_at(&self, now: Tick) -> impl Iterator<Item = &K> {
        let none = !self.earliest().is_past(now) && self.idle_clock().is_none();
        let places = (!none).then(|| self.places()).into_iter().flatten();
        places
            .filter(move |&(at, _)| self.deadline(at).is_past(now) || self.end_idle(at, now))
            .map(|(_, (key, _))| key)
    }

    /// Has all entries expire at `deadline`.
    pub(crate) fn until(mut self, deadline: Deadline, clock: &Clock) -> Self {
        if deadline == Deadline::NEVER {
            return self;
        }
        let timed = self.untimed(clock);
        self.timed = Some(Box::new(Timed {
            first: pace::filled(timed.first.len(), || deadline),
            second: pace::filled(timed.second.len(), || deadline),
            last: pace::filled(timed.last.len(), || deadline),
            ..timed
        }));
        self.timed_now()
    }

    /// Has entries expire when `changed` says so, of keys that it names, and of others when they do in `old`.
    ///
    /// Where it says so of a key more than once, the last time counts. What it names and is not here is passed over.
    pub(crate) fn timed_as<'a, H>(
        mut self,
        old: &Self,
        changed: impl Iterator<Item = (u64, &'a K, Deadline)>,
        clock: &Clock,
        hash_of: H,
    ) -> Self
    where
        K: Eq + 'a,
        H: Fn(&K) -> u64,
    {
        let mut changed = changed.peekable();
        if old.earliest() == Deadline::NEVER {
            // Nearly always there is nothing to be done.
            while changed
                .next_if(|change| change.2 == Deadline::NEVER)
                .is_some()
            {}
            if changed.peek().is_none() {
                return self;
            }
        }
        let mut timed = self.untimed(clock);
        if old.earliest() != Deadline::NEVER {
            for (at, (key, _)) in self.places() {
                let before = old.place_there(at, key, &hash_of);
                let deadline = before.map_or(Deadline::NEVER, |at| old.deadline(at));
                timed.set(at, deadline);
            }
        }
        for (hash, key, deadline) in pace::each(changed) {
            if let Some(at) = self.place_of(hash, key) {
                timed.set(at, deadline);
            }
        }
        self.timed = Some(Box::new(timed));
        self.timed_now()
    }

    /// Where a key is that is probably in this place, as most are whose block was copied.
    pub(super) fn place_there(&self, at: At, key: &K, hash_of: impl Fn(&K) -> u64) -> Option<At>
    where
        K: Eq,
    {
        if let At::First(slot) = at
            && self.first.entries().has(slot)
            && self.entry(at).is_some_and(|(there, _)| there == key)
        {
            return Some(at);
        }
        self.place_of(hash_of(key), key)
    }

    fn untimed(&self, clock: &Clock) -> Timed {
        let never = |places| pace::filled(places, || Deadline::NEVER);
        Timed {
            clock: clock.clone(),
            first: never(self.first.shape().slots()),
            second: never(self.second.shape().slots()),
            last: never(self.last.len()),
            earliest: Deadline::NEVER,
        }
    }

    /// Once all deadlines are set.
    fn timed_now(mut self) -> Self {
        let Some(timed) = &mut self.timed else {
            return self;
        };
        // Also those of gaps, where they are all the same: then the first is none too early.
        timed.earliest = pace::each(timed.all()).min().unwrap_or(Deadline::NEVER);
        if timed.earliest == Deadline::NEVER {
            self.timed = None;
        } else {
            self.first.close();
            self.watch = self.watch.max(Watch::Time);
        }
        self
    }
}
