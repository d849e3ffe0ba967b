//! Resets: one at a time, the highest version wins. DESIGN.md, "Reset".

use std::time::Duration;

use super::control::Control;
use crate::clock::Clock;
use crate::contain::contained;
use crate::error::{BoxError, Error, ErrorKind};
use crate::events::{Event, Events};
use crate::load::Promise;
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::{Arc, Mutex, fault, thread};
use crate::{HashBuilder, Key, Value};

/// What a [reset](crate::Bucket::reset) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reset {
    /// The bucket was emptied, and has this version now.
    Done,
    /// Nothing: the bucket has this version already, or is about to, as said by the callback of that reset.
    Current,
    /// Nothing: the bucket has a higher version, and versions do not go back.
    Older,
}

/// See [`Builder::on_reset`](crate::Builder::on_reset).
pub(crate) type OnReset = Box<dyn Fn(u64) -> Result<(), BoxError> + Send + Sync>;

/// Who may reset the bucket, and what the callback has said.
pub(crate) struct Resets {
    callback: Option<OnReset>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The reset that is under way.
    turn: Option<Turn>,
    /// The highest version that the callback has agreed to. Above the bucket's where the refresher has not come to
    /// it yet.
    agreed: u64,
}

/// A reset that is under way.
#[derive(Clone)]
struct Turn {
    version: u64,
    thread: thread::ThreadId,
    over: Arc<Promise<()>>,
}

/// What a reset needs of its bucket.
pub(crate) struct Parts<'a, K: Key, V: Value, S: HashBuilder> {
    pub(crate) store: &'a Store<K, V, S>,
    pub(crate) control: &'a Control<K, V>,
    pub(crate) stats: &'a Counters,
    pub(crate) events: &'a Events,
    pub(crate) clock: &'a Clock,
    /// How long it waits for another reset, and how long for the refresher.
    pub(crate) limit: Duration,
}

impl<K: Key, V: Value, S: HashBuilder> Parts<'_, K, V, S> {
    /// Why there is nothing to do for this version, if so.
    fn known(&self, version: u64) -> Option<Reset> {
        let current = self.store.view().current.version;
        match version.cmp(&current) {
            std::cmp::Ordering::Less => Some(Reset::Older),
            std::cmp::Ordering::Equal => Some(Reset::Current),
            std::cmp::Ordering::Greater => None,
        }
    }

    fn deadline(&self) -> Duration {
        self.clock.now().saturating_add(self.limit)
    }
}

impl Resets {
    pub(crate) fn new(callback: Option<OnReset>) -> Self {
        Self {
            callback,
            state: Mutex::default(),
        }
    }

    /// Resets the bucket to a version, unless it has that or a higher one.
    pub(crate) fn reset<K: Key, V: Value, S: HashBuilder>(
        &self,
        version: u64,
        parts: &Parts<'_, K, V, S>,
    ) -> Result<Reset, Error> {
        let deadline = parts.deadline();
        let _mine = loop {
            if parts.control.is_stopped() {
                return Err(Error::closed());
            }
            // Also for who waits: another reset may have brought it, and then this one need not take its turn.
            if let Some(known) = parts.known(version) {
                return Ok(known);
            }
            match self.take_turn(version) {
                Ok(mine) => break mine,
                Err(other) if other.thread == thread::current().id() => {
                    if version <= other.version {
                        // Told again what it is about to do, as where buckets tell each other.
                        return Ok(Reset::Current);
                    }
                    let message = "a reset, asked for by the callback of another one of the bucket";
                    return Err(Error::new(ErrorKind::Reentrant, message));
                }
                Err(other) => {
                    if other.over.wait(parts.clock, deadline).is_none() {
                        return Err(Error::timeout());
                    }
                }
            }
        };
        // Once more: one may have ended between the look and this turn.
        if let Some(known) = parts.known(version)
            && !fault::planted("resets_without_a_look")
        {
            return Ok(known);
        }
        self.agree(version, parts)?;
        // Before it is asked for: who asks may be put off by whom that wakes.
        let deadline = parts.deadline();
        let reply = parts.control.ask(|requests| {
            let reset = &mut requests.reset;
            reset.version = reset.version.max(version);
            &mut reset.asked
        });
        let done = reply.wait(parts.clock, deadline);
        done.cloned().unwrap_or_else(|| Err(Error::timeout()))?;
        // One that nobody waited for any more may have been higher.
        Ok(parts
            .known(version)
            .filter(|known| *known == Reset::Older)
            .unwrap_or(Reset::Done))
    }

    fn take_turn(&self, version: u64) -> Result<Mine<'_>, Turn> {
        let mut state = self.state.lock();
        if let Some(turn) = &state.turn
            && !fault::planted("resets_side_by_side")
        {
            return Err(turn.clone());
        }
        let over = Arc::new(Promise::new());
        state.turn = Some(Turn {
            version,
            thread: thread::current().id(),
            over: Arc::clone(&over),
        });
        Ok(Mine { resets: self, over })
    }

    /// Asks the callback, unless it has agreed already. Nothing is held meanwhile but the turn.
    fn agree<K: Key, V: Value, S: HashBuilder>(
        &self,
        version: u64,
        parts: &Parts<'_, K, V, S>,
    ) -> Result<(), Error> {
        if version <= self.state.lock().agreed && !fault::planted("asks_once_more") {
            return Ok(());
        }
        if let Some(callback) = &self.callback {
            let said = contained(|| callback(version));
            let said = said.and_then(|said| said.map_err(Error::reset_refused));
            said.inspect_err(|error| {
                Counters::add(&parts.stats.resets_refused, 1);
                parts.events.send(Event::ResetRefused {
                    version,
                    error: error.clone(),
                });
            })?;
        }
        self.state.lock().agreed = version;
        Ok(())
    }
}

/// The turn of this thread; over when dropped.
struct Mine<'a> {
    resets: &'a Resets,
    over: Arc<Promise<()>>,
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        self.resets.state.lock().turn = None;
        self.over.answer(());
    }
}
