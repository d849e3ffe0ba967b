//! The overlay: what was written since the snapshot.

use std::borrow::Borrow;

use crate::clock::{Clock, Deadline, Tick};
use crate::contain::drop_contained;
use crate::ledger::Ledger;
use crate::sync::{Arc, atomic::AtomicBool, fault, order, plain};

/// What a write brings: a value that may expire, or a tombstone where a key is removed.
#[derive(Clone)]
pub(crate) struct Content<V> {
    pub(crate) value: Option<V>,
    pub(crate) expires: Deadline,
}

impl<V> Content<V> {
    pub(crate) fn until(value: V, expires: Deadline) -> Self {
        Self {
            value: Some(value),
            expires,
        }
    }
}

impl<V> From<Option<V>> for Content<V> {
    fn from(value: Option<V>) -> Self {
        Self {
            value,
            expires: Deadline::NEVER,
        }
    }
}

/// A write of one key.
pub(crate) struct Write<V> {
    /// Changed only until the write is in the overlay, which publishes it.
    number: plain::Word,
    content: Content<V>,
}

impl<V> Write<V> {
    pub(crate) fn new(number: u64, content: impl Into<Content<V>>) -> Self {
        Self {
            number: plain::Word::new(number),
            content: content.into(),
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

    /// The value; none for a tombstone, or once it has expired.
    #[inline]
    pub(crate) fn value(&self, clock: &Clock) -> Option<&V> {
        if self.content.expires == Deadline::NEVER {
            return self.content.value.as_ref();
        }
        self.value_now(clock)
    }

    /// Apart: a call to the clock would have those save registers who need none.
    #[cold]
    #[inline(never)]
    fn value_now(&self, clock: &Clock) -> Option<&V> {
        self.value_at(clock.coarse())
    }

    /// The same at another moment than now.
    pub(crate) fn value_at(&self, now: Tick) -> Option<&V> {
        let value = self.content.value.as_ref()?;
        (!self.content.expires.is_past(now)).then_some(value)
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
    /// After so many writes it is due for a fold.
    room: usize,
    /// Something is written or about to be.
    begun: AtomicBool,
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
            room,
            begun: AtomicBool::new(false),
            touched: AtomicBool::new(false),
            full: AtomicBool::new(false),
        })
    }

    /// Always inlined, as mostly nothing was written: then a call takes longer than the look.
    #[inline(always)]
    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&Write<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Set before the first write is put, as a mark is: who sees a write, or is told of it, sees this.
        if !self.begun.load(order::MARK_LOOK) {
            return None;
        }
        self.writes.get(hash, key)
    }

    /// To be called before something is put.
    fn begin(&self) {
        if !self.begun.load(order::MARK_LOOK) && !fault::planted("looks_untouched") {
            self.begun.store(true, order::MARK);
        }
    }

    /// Puts a write over what is there. It may `draw` a new number: of two writes the later one stands, and
    /// has the higher number, whichever drew first.
    pub(crate) fn put(&self, hash: u64, key: K, write: Write<V>, mut draw: impl FnMut() -> u64) {
        self.begin();
        let put = self.writes.put_if(hash, key, write, |current, write| {
            if let Some(current) = current {
                write.number_after(current, &mut draw);
            }
            true
        });
        debug_assert!(put.is_ok(), "put whatever is there");
    }

    /// Puts a write as [`put`](Self::put) does, if `absent` says that there is nothing below the overlay
    /// and there is no value in it that has not expired by `now`; else returns the write that is there.
    pub(crate) fn put_if_absent(
        &self,
        hash: u64,
        key: K,
        write: Write<V>,
        absent: bool,
        now: Tick,
        mut draw: impl FnMut() -> u64,
    ) -> Result<(), Option<&Write<V>>> {
        self.begin();
        let put = self
            .writes
            .put_if(hash, key, write, |current, write| match current {
                Some(current) if current.value_at(now).is_some() => false,
                Some(tombstone) => {
                    write.number_after(tombstone, &mut draw);
                    true
                }
                None => absent,
            });
        put.map(|_| ())
    }

    /// Puts a write if `allow` says so of the one that is there. Returns whether it did.
    pub(crate) fn put_if(
        &self,
        hash: u64,
        key: K,
        write: Write<V>,
        mut allow: impl FnMut(Option<&Write<V>>) -> bool,
    ) -> bool {
        self.begin();
        self.writes
            .put_if(hash, key, write, |current, _| allow(current))
            .is_ok()
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

    /// Calls `each` for the last write of every key. Exact only once sealed.
    pub(crate) fn for_each<'a>(&'a self, each: impl FnMut(u64, &'a K, &'a Write<V>)) {
        if !self.begun.load(order::MARK_LOOK) {
            return;
        }
        self.writes.for_each(each);
    }
}
