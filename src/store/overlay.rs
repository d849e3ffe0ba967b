//! The overlay: what was written since the snapshot.

mod begun;
mod prepared;

use std::borrow::Borrow;

pub(crate) use begun::Begun;

use super::Content;
use super::budget::Purse;
use super::tags::TagLog;
use crate::clock::{Clock, Deadline, Idle, Tick};
use crate::contain::drop_contained;
use crate::ledger::Ledger;
use crate::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
    fault, order, plain,
};
use crate::table::Stamp;

/// By what it is told whether a value is still live.
#[derive(Clone)]
pub(crate) struct Times {
    pub(crate) clock: Clock,
    /// What is not touched for so long is over, if anything is.
    pub(crate) idle: Option<Idle>,
}

impl Times {
    /// What is stamped on what is written now.
    #[inline]
    pub(crate) fn moment(&self) -> u64 {
        match self.idle {
            None => 0,
            Some(_) => self.clock.coarse().to_word(),
        }
    }
}

/// A write of one key.
pub(crate) struct Write<V> {
    /// Changed only until the write is in the overlay, which publishes it.
    number: plain::Word,
    content: Content<V>,
    /// When it was last touched, in a bucket in which that matters.
    stamp: Stamp,
}

impl<V> Write<V> {
    /// One that is touched at `moment`.
    pub(crate) fn new(number: u64, content: Content<V>, moment: u64) -> Self {
        Self {
            number: plain::Word::new(number),
            content,
            stamp: Stamp::at(moment),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(order::COUNT)
    }

    /// Gives this write, which is not in the overlay yet, a number above that of the one in its place.
    fn number_after(&self, current: &Self, draw: impl FnOnce() -> u64) {
        if self.number() < current.number() && !fault::planted("put_ignores_numbers") {
            self.number.store(draw(), order::COUNT);
        }
    }

    /// The value, for who does not read it; none for a tombstone, or once it has expired.
    #[inline]
    pub(crate) fn value(&self, times: &Times) -> Option<&V> {
        if self.content.expires == Deadline::NEVER && times.idle.is_none() {
            return self.content.value.as_ref();
        }
        self.value_at(times.clock.coarse(), times.idle)
    }

    /// The value, for who reads it, which touches it.
    #[inline]
    pub(crate) fn read(&self, times: &Times) -> Option<&V> {
        if self.content.expires == Deadline::NEVER && times.idle.is_none() {
            return self.content.value.as_ref();
        }
        self.read_now(times)
    }

    /// Apart: a call to the clock would have those save registers who need none.
    #[cold]
    #[inline(never)]
    fn read_now(&self, times: &Times) -> Option<&V> {
        let now = times.clock.coarse();
        let value = self.content.value.as_ref()?;
        let expired = self.content.expires.is_past(now);
        let touched = |idle| self.stamp.touch(now, idle);
        (!expired && times.idle.is_none_or(touched)).then_some(value)
    }

    /// The value at another moment than now.
    pub(crate) fn value_at(&self, now: Tick, idle: Option<Idle>) -> Option<&V> {
        let value = self.content.value.as_ref()?;
        let over = idle.is_some_and(|idle| self.stamp.is_over(now, idle));
        (!over && !self.content.expires.is_past(now)).then_some(value)
    }

    /// The same for the folder: what was idle for too long by then is over from now on.
    pub(super) fn last_value(&self, now: Tick, idle: Option<Idle>) -> Option<&V> {
        let over = idle.is_some_and(|idle| self.stamp.end(now, idle));
        self.value_at(now, None).filter(|_| !over)
    }

    /// When it was last touched.
    pub(super) fn last_touched(&self) -> u64 {
        self.stamp.last()
    }

    /// What was written, expired or not.
    pub(crate) fn content(&self) -> &Content<V> {
        &self.content
    }
}

impl<V> Drop for Write<V> {
    fn drop(&mut self) {
        // Writes are dropped many in a row. A value that panics in its own drop must not unwind from there.
        if std::mem::needs_drop::<V>()
            && let Some(value) = self.content.value.take()
        {
            drop_contained(value);
        }
    }
}

/// Writes by key. Never drained: sealed, folded and retired whole.
pub(crate) struct Overlay<K, V> {
    writes: Ledger<K, Write<V>>,
    /// What is said of their tags.
    pub(super) tags: TagLog<K>,
    /// What those of its writes weigh that nobody has taken the weight of. Exact once the gates are sealed of all
    /// who may put or take.
    weight: AtomicU64,
    /// After so many writes it is due for a fold.
    room: usize,
    begun: Begun,
    touched: AtomicBool,
    full: AtomicBool,
}

/// What a write asks of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Nudge {
    /// Nothing: it has been told already.
    None,
    /// There is something to fold, some time.
    Dirty,
    /// A fold is due.
    Full,
}

impl Nudge {
    /// The stronger of the two.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            (Self::Dirty, _) | (_, Self::Dirty) => Self::Dirty,
            (Self::None, Self::None) => Self::None,
        }
    }
}

impl<K: Eq, V> Overlay<K, V> {
    /// As fast for `expected` keys as it can be.
    pub(crate) fn new(room: usize, expected: usize) -> Arc<Self> {
        Arc::new(Self {
            writes: Ledger::new(expected),
            tags: TagLog::new(),
            weight: AtomicU64::new(0),
            room,
            begun: Begun::new(false),
            touched: AtomicBool::new(false),
            full: AtomicBool::new(false),
        })
    }

    /// Inlined, as a look into one that is not written is one load: a call for it would cost a miss 20 instructions.
    #[inline(always)]
    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&Write<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if !self.is_written() {
            return None;
        }
        self.writes.get(hash, key)
    }

    /// Whether anything may be here. Set before the first write is put, as a mark is: who sees a write, or is told of
    /// it, sees this.
    #[inline(always)]
    pub(crate) fn is_written(&self) -> bool {
        self.begun.is_set()
    }

    /// What says whether anything may be here, for who does not want to look for it here.
    pub(crate) fn begun(&self) -> Begun {
        self.begun.clone()
    }

    /// The same, with the key as it was put.
    pub(crate) fn get_entry<Q>(&self, hash: u64, key: &Q) -> Option<(&K, &Write<V>)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if !self.is_written() {
            return None;
        }
        self.writes.get_entry(hash, key)
    }

    /// Has the processor fetch what a put of a key with this hash looks at first.
    pub(crate) fn fetch_ahead(&self, hash: u64) {
        self.writes.fetch_ahead(hash);
    }

    /// To be called before something is put.
    fn begin(&self) {
        if !self.is_written() && !fault::planted("looks_untouched") {
            self.begun.set();
        }
    }

    /// Puts a write over what is there, whose weight goes into the purse, and pays for it from there. It may `draw` a
    /// new number: of two writes the later one stands, and has the higher number, whichever drew first. `mark` is called
    /// with the key before the write can be found.
    pub(crate) fn put(
        &self,
        hash: u64,
        key: K,
        write: Write<V>,
        mark: impl FnOnce(&K),
        purse: &mut Purse<'_>,
        mut draw: impl FnMut() -> u64,
    ) {
        self.begin();
        let weight = write.content.weight.get();
        self.writes
            .put_over(hash, key, write, mark, |current, write| {
                write.number_after(current, &mut draw);
                purse.take(self, current);
            });
        purse.spend(self, weight);
    }

    /// Puts a write as [`put`](Self::put) does, if `is_absent` says that the one that is there, or what is below the
    /// overlay, is no value; else returns the write that is there.
    pub(crate) fn put_if_absent(
        &self,
        hash: u64,
        key: K,
        write: Write<V>,
        is_absent: impl Fn(Option<&Write<V>>) -> bool,
        purse: &mut Purse<'_>,
        mut draw: impl FnMut() -> u64,
    ) -> Result<(), Option<&Write<V>>> {
        self.begin();
        let weight = write.content.weight.get();
        let put = self.writes.put_if(hash, key, write, |current, write| {
            let absent = is_absent(current);
            if let Some(tombstone) = current.filter(|_| absent) {
                write.number_after(tombstone, &mut draw);
                purse.take(self, tombstone);
            }
            absent
        });
        put.map(|_| purse.spend(self, weight))
    }

    /// Puts a write if `allow` says so of the one that is there. Returns whether it did.
    pub(crate) fn put_if(
        &self,
        hash: u64,
        key: K,
        write: Write<V>,
        purse: &mut Purse<'_>,
        mut allow: impl FnMut(Option<&Write<V>>) -> bool,
    ) -> bool {
        self.begin();
        let weight = write.content.weight.get();
        let put = self.writes.put_if(hash, key, write, |current, _| {
            let allowed = allow(current);
            if let Some(current) = current.filter(|_| allowed) {
                purse.take(self, current);
            }
            allowed
        });
        if put.is_ok() {
            purse.spend(self, weight);
        }
        put.is_ok()
    }

    /// What its writes weigh; see there.
    pub(super) fn weight(&self) -> u64 {
        self.weight.load(order::WEIGHT)
    }

    /// Something of this weight has been put.
    pub(super) fn add_weight(&self, weight: u64) {
        self.weight.fetch_add(weight, order::WEIGHT);
    }

    /// Takes the weight of one of its writes.
    pub(super) fn take_weight(&self, write: &Write<V>) -> u64 {
        let weight = write.content.weight.take();
        if weight > 0 {
            self.weight.fetch_sub(weight, order::WEIGHT);
        }
        weight
    }

    /// What the folder has to be told after a write.
    #[inline]
    pub(crate) fn nudge(&self) -> Nudge {
        let first = !self.touched.load(order::COUNT) && !self.touched.swap(true, order::CLAIM);
        if self.writes.written() >= self.room
            && !self.full.load(order::COUNT)
            && !self.full.swap(true, order::CLAIM)
        {
            return Nudge::Full;
        }
        if first { Nudge::Dirty } else { Nudge::None }
    }

    /// The same, and a fold is wanted in any case, to make room.
    pub(super) fn press(&self) -> Nudge {
        if !self.full.load(order::COUNT) && !self.full.swap(true, order::CLAIM) {
            return Nudge::Full;
        }
        Nudge::None
    }

    /// Whether anything was written. A write that has returned is known here.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.load(order::COUNT) || self.full.load(order::COUNT)
    }

    /// Whether it has taken as many writes as it is meant to.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(order::COUNT)
    }

    /// How many keys were written. Exact only once sealed.
    pub(crate) fn keys(&self) -> usize {
        self.writes.keys()
    }

    /// How many writes it has taken, at the most.
    pub(crate) fn written(&self) -> usize {
        self.writes.written()
    }

    /// What it takes of the memory, without what keys and values own elsewhere.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.writes.bytes()
    }

    /// Calls `each` for the last write of every key. Exact only once sealed.
    pub(crate) fn for_each<'a>(&'a self, each: impl FnMut(u64, &'a K, &'a Write<V>)) {
        if !self.is_written() {
            return;
        }
        self.writes.for_each(each);
    }

    /// The same once it is sealed, sooner.
    pub(crate) fn for_each_sealed<'a>(&'a self, each: impl FnMut(u64, &'a K, &'a Write<V>)) {
        if !self.is_written() {
            return;
        }
        self.writes.for_each_at_rest(each);
    }

    /// Calls `each` for every key that was written inside a gate that is sealed by now. Also for keys that are about to be
    /// written, or are not after all, and for some more than once.
    pub(crate) fn for_each_begun<'a>(&'a self, each: impl FnMut(u64, &'a K)) {
        if !self.is_written() {
            return;
        }
        self.writes.for_each_appended(each);
    }
}
