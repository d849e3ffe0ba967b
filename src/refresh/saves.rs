//! Writing to a storage, on a thread of its own, behind everybody's back. DESIGN.md, "The storage".

mod start;
mod write;

use std::time::Duration;

pub(crate) use self::start::Opened;
use self::write::write;
use super::control::Control;
use super::inbox::Inbox;
use super::schedule::Schedule;
use crate::clock::Clock;
use crate::contain::drop_contained;
use crate::error::Error;
use crate::events::{Event, Events};
use crate::load::Promise;
use crate::stats::Counters;
use crate::storage::Storage;
use crate::store::{Batch, Store, Unsaved};
use crate::sync::{Arc, Mutex};
use crate::{HashBuilder, Key, Value};

/// An answer that comes when the storage is a copy of the snapshot of this epoch, or a later one; or why it is not.
pub(crate) type Saved = Arc<Promise<Result<u64, Error>>>;

/// The longest wait before a write that failed is tried again, unless the usual delay is longer. A storage that is down
/// for a minute is not hammered, and one that is back is not waited for; chosen, not measured.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Of a wait after a failure: instances whose storages failed together are not to come back together.
const JITTER: f64 = 0.1;

/// The storage of one bucket, and when it is written to.
pub(crate) struct Saver<K, V> {
    /// Until the thread takes it.
    storage: Mutex<Option<Box<dyn Storage<K, V>>>>,
    unsaved: Arc<Unsaved<K, V>>,
    /// How long what has changed waits for more.
    delay: Duration,
    inbox: Inbox<Result<u64, Error>>,
    /// How many entries were read at the start.
    loaded: Option<usize>,
}

impl<K: Key, V: Value> Saver<K, V> {
    /// How many entries were read at the start; `None` if it failed.
    pub(crate) fn loaded(&self) -> Option<usize> {
        self.loaded
    }

    pub(crate) fn unsaved(&self) -> &Arc<Unsaved<K, V>> {
        &self.unsaved
    }

    /// Wants all written that is written to the bucket by now.
    pub(crate) fn ask(&self) -> Option<Saved> {
        self.inbox.ask()
    }

    /// To be called before the thread is started that works.
    pub(crate) fn will_run(&self, yes: bool) {
        self.inbox.will_run(yes);
    }

    /// Has all written a last time, if there is a thread to do so.
    pub(crate) fn stop(&self) -> bool {
        self.inbox.stop()
    }

    /// The body of the thread. `lacks` is what the storage lacks from the start; `limit` is how long it waits for a fold.
    pub(crate) fn work<S: HashBuilder>(
        &self,
        lacks: Option<Batch<K, V>>,
        store: &Store<K, V, S>,
        control: &Control<K, V>,
        report: (&Counters, &Events),
        limit: Duration,
    ) {
        let Some(storage) = self.storage.lock().take() else {
            return;
        };
        let seed = store.hasher().hash_one(crate::sync::unique());
        let mut hand = Hand::new(storage, lacks, self.delay, seed);
        loop {
            let (asked, stop) = self.inbox.take();
            let mut done = Ok(());
            if stop || !asked.is_empty() {
                done = self.take_all(&mut hand, control, limit);
            } else {
                hand.add(self.unsaved.take());
            }
            if stop {
                // It is not needed any more, and is not to wait for a storage that hangs.
                control.stop();
            }
            let written = hand.write_if_due(stop || !asked.is_empty(), store, report);
            for reply in asked {
                let both = done.clone().and_then(|()| written.clone());
                reply.answer(both.map(|()| hand.saved));
            }
            if stop {
                // Before the thread ends, which a shutdown waits for: who opens the storage again finds it closed.
                return drop_contained(hand);
            }
            self.inbox.bell().park(store.clock(), hand.due);
        }
    }

    /// Takes all that is written to the bucket by now, once it is folded.
    fn take_all(
        &self,
        hand: &mut Hand<K, V>,
        control: &Control<K, V>,
        limit: Duration,
    ) -> Result<(), Error> {
        let published = control.ask(|requests| &mut requests.publish);
        // By the system's clock: one that stands still must not hold up a shutdown.
        let clock = Clock::system();
        let published = published.wait(&clock, limit).cloned();
        let published = published.unwrap_or_else(|| Err(Error::timeout()));
        let epoch = published.as_ref().map_or(hand.taken, |&epoch| epoch);
        let deadline = clock.now().saturating_add(limit);
        hand.add(self.unsaved.take_up_to(epoch, hand.taken, &clock, deadline));
        match published {
            Ok(epoch) if hand.taken < epoch => Err(Error::timeout()),
            published => published.map(|_| ()),
        }
    }
}

/// What the thread has in hand.
struct Hand<K, V> {
    storage: Box<dyn Storage<K, V>>,
    /// What is not written yet: it waits for more, or could not be.
    pending: Option<Batch<K, V>>,
    due: Option<Duration>,
    delay: Duration,
    schedule: Schedule,
    /// Up to which epoch it was taken.
    taken: u64,
    /// Of which the storage is a copy.
    saved: u64,
}

impl<K: Key, V: Value> Hand<K, V> {
    fn new(
        storage: Box<dyn Storage<K, V>>,
        pending: Option<Batch<K, V>>,
        delay: Duration,
        seed: u64,
    ) -> Self {
        let waits = (delay, delay.max(LONGEST_WAIT));
        Self {
            storage,
            pending,
            due: None,
            delay,
            schedule: Schedule::new(None, JITTER, seed).retrying(Some(waits)),
            taken: 0,
            saved: 0,
        }
    }

    fn add(&mut self, fresh: Option<Batch<K, V>>) {
        let Some(fresh) = fresh else {
            return;
        };
        self.taken = fresh.upto.epoch;
        self.pending = Some(match self.pending.take() {
            Some(before) => before.and(fresh),
            None => fresh,
        });
    }

    /// Writes what is pending, if its time has come or it is wanted `now`.
    fn write_if_due<S: HashBuilder>(
        &mut self,
        now: bool,
        store: &Store<K, V, S>,
        (stats, events): (&Counters, &Events),
    ) -> Result<(), Error> {
        let Some(batch) = self.pending.take() else {
            return Ok(());
        };
        if batch.dirty.is_nothing() {
            // The snapshot is not kept for that.
            self.saved = batch.upto.epoch;
            return Ok(());
        }
        let time = store.clock().now();
        let due = *self.due.get_or_insert(time.saturating_add(self.delay));
        if !now && time < due {
            self.pending = Some(batch);
            return Ok(());
        }
        let written = write(&mut *self.storage, &batch, store);
        match &written {
            Ok(()) => {
                Counters::add(&stats.storage_writes, 1);
                self.saved = batch.upto.epoch;
                self.due = None;
                self.schedule.after(time);
                drop_contained(batch);
            }
            Err(error) => {
                self.pending = Some(batch);
                self.due = self.schedule.after_failure(store.clock().now());
                Counters::add(&stats.storage_failed, 1);
                events.send(Event::StorageFailed {
                    error: error.clone(),
                });
            }
        }
        written
    }
}
