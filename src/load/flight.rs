//! A flight: a load of one key that is wanted or under way.

use std::mem::needs_drop;
use std::time::Duration;

use super::context::Carried;
use super::promise::{Promise, Woken};
use super::runner::Awaited;
use crate::contain::drop_contained;
use crate::error::Error;
use crate::stats::Counters;
use crate::sync::{
    Arc, Hashed, Keyed, Mutex,
    atomic::{AtomicBool, AtomicU64},
    fault, order, plain,
};
use crate::tags::Tags;

/// Stands for the runner of a flight that is over.
const OVER: u64 = u64::MAX;

/// In place of how many have joined: the flight will be answered with what is cached, or what it has loaded will
/// not be stored.
const SETTLED: u64 = 1 << 63;

/// How a flight ended, for all who wait for it.
#[derive(Debug)]
pub(crate) enum Answer<V> {
    /// Loaded.
    Loaded(V),
    /// Loaded, and not to be stored.
    Ignored(V),
    /// Was there already when the load was about to begin.
    Hit(V),
    /// The source has no such key.
    Absent,
    Failed(Error),
}

impl<V> Answer<V> {
    /// What counts such answers.
    pub(super) fn counter<'c>(&self, counters: &'c Counters) -> &'c AtomicU64 {
        match self {
            Self::Loaded(_) => &counters.loaded,
            Self::Ignored(_) => &counters.ignored,
            Self::Hit(_) => &counters.found_late,
            Self::Absent => &counters.absent,
            Self::Failed(_) => &counters.failed,
        }
    }
}

/// What a call wants to become of what is loaded for it.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    /// Whether it is to be stored.
    pub(crate) save: bool,
    /// For how long, where the loader does not say it; else for as long as the bucket says.
    pub(crate) ttl: Option<Duration>,
}

impl Keep {
    /// What calls want that say nothing of it.
    pub(crate) const USUAL: Self = Self {
        save: true,
        ttl: None,
    };
}

/// What its leader knows of a flight.
pub(crate) struct Plan {
    /// The key is to be loaded even if it is cached.
    pub(crate) reload: bool,
    /// Who will run it, or 0 if it is to be queued.
    pub(crate) runner: u64,
    /// The epoch of a table that has been seen not to hold the key, if there is one.
    pub(crate) not_in: Option<u64>,
    pub(crate) keep: Keep,
}

/// At most one current flight of a key is in the in-flight table.
pub(crate) struct Flight<K, V> {
    key: Hashed<K>,
    /// The number of the load; 0 until it begins. Written under the queue's lock, so whoever has to
    /// be sure that it is still 0 takes that lock.
    number: AtomicU64,
    /// See [`Plan`].
    pub(super) not_in: Option<u64>,
    /// Who runs it; 0 while it is queued, [`OVER`] at the end.
    runner: plain::Word,
    /// It counts among those that wait in the queue, until it begins. Only under the queue's lock.
    queued: plain::Flag,
    /// Somebody waits for it, though it was to be queued as a reload. Only under the queue's lock.
    missed: plain::Flag,
    /// Somebody wants it loaded even if it is cached.
    reload: AtomicBool,
    /// Somebody wants the value stored.
    save: AtomicBool,
    /// How long the value lives, as its leader wants it.
    pub(super) ttl: Option<Duration>,
    /// How many have joined, or [`SETTLED`] and more.
    joined: AtomicU64,
    promise: Promise<Answer<V>>,
    /// Those of what it has loaded, if that has any.
    pub(super) tags: Mutex<Option<Tags>>,
    /// What its leader had about it, if anybody has asked.
    pub(super) context: Option<Carried>,
}

impl<K, V> Flight<K, V> {
    pub(super) fn new(hash: u64, key: K, plan: &Plan, context: Option<Carried>) -> Arc<Self> {
        Arc::new(Self {
            key: Hashed::new(hash, key),
            number: AtomicU64::new(0),
            not_in: plan.not_in,
            runner: plain::Word::new(plan.runner),
            queued: plain::Flag::new(false),
            missed: plain::Flag::new(false),
            reload: AtomicBool::new(plan.reload),
            save: AtomicBool::new(plan.keep.save),
            ttl: plan.keep.ttl,
            joined: AtomicU64::new(0),
            promise: Promise::new(),
            tags: Mutex::new(None),
            context,
        })
    }

    pub(crate) fn hash(&self) -> u64 {
        self.key.hash
    }

    pub(crate) fn key(&self) -> &K {
        self.key.key()
    }

    pub(crate) fn promise(&self) -> &Promise<Answer<V>> {
        &self.promise
    }

    /// Ends the flight and counts how, unless it has ended: then the answer is given back. Who waits is woken when
    /// what is returned is dropped.
    pub(super) fn answer(
        &self,
        answer: Answer<V>,
        counters: &Counters,
    ) -> Result<Woken, Answer<V>> {
        let counter = answer.counter(counters);
        // A bucket that closes and a load that ends may both come here. What is counted is what was
        // answered; and whoever goes on because of it must not find the flight under way.
        let early = fault::planted("counted_before_it_stands");
        if early {
            Counters::add(counter, 1);
        }
        self.promise.put(answer, || {
            Counters::add(counter, usize::from(!early));
            self.runner.store(OVER, order::COUNT);
        })
    }

    /// Whether the flight has its answer, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.runner.load(order::COUNT) == OVER
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.runner.load(order::COUNT) != 0
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(order::COUNT)
    }

    /// Takes the flight off, unless it has begun or is over. Only under the queue's lock, and
    /// [`number`](Self::set_number) it there.
    pub(super) fn claim(&self, runner: u64) -> bool {
        self.runner
            .compare_exchange(0, runner, order::CLAIM, order::COUNT)
            .is_ok()
    }

    pub(super) fn set_queued(&self) {
        self.queued.store(true, order::COUNT);
    }

    pub(super) fn is_queued(&self) -> bool {
        self.queued.load(order::COUNT)
    }

    /// Somebody waits for it. Returns whether that is news.
    pub(super) fn set_missed(&self) -> bool {
        !self.missed.swap(true, order::COUNT)
    }

    pub(super) fn is_missed(&self) -> bool {
        self.missed.load(order::COUNT)
    }

    pub(super) fn set_number(&self, number: u64) {
        self.number.store(number, order::COUNT);
    }

    pub(crate) fn wants_reload(&self) -> bool {
        self.reload.load(order::COUNT)
    }

    /// Counts one more who waits for it, or `false` if that is too late: the flight will be answered with
    /// what was cached before this call, and the caller may know better; or what it has loaded is not stored, and
    /// the caller may want that.
    pub(super) fn join(&self, reload: bool, save: bool) -> bool {
        if reload {
            self.reload.store(true, order::COUNT);
        }
        if save && !self.save.load(order::COUNT) {
            self.save.store(true, order::COUNT);
        }
        let before = self.joined.fetch_add(1, order::flight_join());
        before < SETTLED || fault::planted("joins_what_is_settled")
    }

    pub(super) fn wants_saved(&self) -> bool {
        self.save.load(order::COUNT)
    }

    /// Settles for an answer that does for all who had `joined`, at a look before; 0 at the first. If somebody has
    /// joined since, returns how many there are now: what they want is to be looked at, and then this is to be tried
    /// again. Once it is settled nobody joins any more.
    pub(super) fn settle(&self, joined: u64) -> Result<(), u64> {
        let settled =
            self.joined
                .compare_exchange(joined, SETTLED, order::COUNT, order::flight_look());
        match settled {
            Err(now) if !fault::planted("looks_once") => Err(now),
            _ => Ok(()),
        }
    }
}

impl<K: Eq + Clone, V> Keyed for Flight<K, V> {
    type Key = K;

    fn key(&self) -> &K {
        self.key()
    }
}

impl<K, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        // Flights end where the in-flight table lets go of them: many in a row, on any thread. A value that
        // panics in its own drop must not unwind from there.
        if needs_drop::<V>()
            && let Some(answer) = self.promise.take()
        {
            drop_contained(answer);
        }
        self.drop_context();
    }
}

impl<K: Send + Sync, V: Send + Sync> Awaited for Flight<K, V> {
    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn runner(&self) -> u64 {
        self.runner.load(order::COUNT)
    }
}
