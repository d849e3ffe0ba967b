//! The caller's side: join the flight of a key or lead a new one, and wait.

use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Loads;
use super::flight::{Answer, Flight};
use super::queue::{Refused, Urgency};
use super::runner::{self, Running, Wait};
use crate::error::{Error, ErrorKind};
use crate::events::Event;
use crate::fetched::{Fetched, Origin};
use crate::loader::Outcome;
use crate::store::{LiveLoad, View, inside_a_write};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// The runner of a flight that is to be queued.
const QUEUED: u64 = 0;

/// The runner of a flight that `runner` makes for itself.
fn at_birth(runner: u64) -> u64 {
    if fault::planted("born_unclaimed") {
        QUEUED
    } else {
        runner
    }
}

/// What a caller has to do with a flight.
enum Part<K, V> {
    Join(Arc<Flight<K, V>>),
    Lead(Arc<Flight<K, V>>),
}

/// Flights that were asked for, and keys that found no room in the queue.
pub(crate) struct Requested<K, V> {
    pub(crate) flights: Vec<Arc<Flight<K, V>>>,
    pub(crate) rejected: Vec<K>,
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// The values of many keys: hits from one view, all misses together in one request.
    pub(crate) fn fetch_many<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        limit: Duration,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let view = self.store.view();
        let mut waits = Vec::new();
        let mut answers = Vec::with_capacity(keys.size_hint().0);
        let mut led = Led {
            loads: self,
            flights: Vec::new(),
        };
        for key in keys {
            let hash = self.store.hash(key);
            let answer = match view.value(hash, key) {
                Some(value) => Ok(Fetched::new(Some(value), Origin::Hit)),
                None => match self.part(&view, hash, key, false) {
                    Ok(part) => {
                        let (flight, leads) = match part {
                            Part::Join(flight) => (flight, false),
                            Part::Lead(flight) => {
                                led.flights.push(Arc::clone(&flight));
                                (flight, true)
                            }
                        };
                        waits.push((answers.len(), flight, leads));
                        // Stands here until the flight is waited for.
                        Ok(Fetched::new(None, Origin::Joined))
                    }
                    Err(error) => Err(error),
                },
            };
            answers.push(answer);
        }
        // Not held while we wait: a view keeps what was replaced since from being freed.
        drop(view);
        led.push(Urgency::Miss);
        self.take_over_queued(waits.iter().map(|(_, flight, _)| flight));
        let deadline = self.deadline(limit);
        for (at, flight, leads) in waits {
            answers[at] = self.wait(&flight, leads, deadline);
        }
        answers
    }

    /// The value of a key that was not found in a view.
    pub(crate) fn fetch<Q>(&self, hash: u64, key: &Q, limit: Duration) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let view = self.store.view();
        let part = self.part(&view, hash, key, false)?;
        drop(view);
        let (flight, leads) = match part {
            Part::Join(flight) => (flight, false),
            Part::Lead(flight) => {
                let mut led = Led {
                    loads: self,
                    flights: vec![Arc::clone(&flight)],
                };
                led.push(Urgency::Miss);
                (flight, true)
            }
        };
        self.take_over_queued(std::iter::once(&flight));
        self.wait(&flight, leads, self.deadline(limit))
    }

    /// The same with a loader of the caller's, which runs on this thread if this call leads.
    pub(crate) fn fetch_with<Q>(
        &self,
        hash: u64,
        key: &Q,
        limit: Duration,
        load: impl FnOnce(&K) -> Outcome<V>,
    ) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Entered first, so that the flight is ours from its birth: another loader that wants the key
        // must not run it in our place, with the bucket's loader.
        let running = Running::enter()?;
        let view = self.store.view();
        let part = self.any_part(&view, hash, key, false, at_birth(runner::current()))?;
        drop(view);
        let flight = match part {
            Part::Join(flight) => {
                drop(running);
                self.take_over_queued(std::iter::once(&flight));
                return self.wait(&flight, false, self.deadline(limit));
            }
            Part::Lead(flight) => flight,
        };
        // Until it is concluded below, whatever happens.
        let guard = Led {
            loads: self,
            flights: vec![Arc::clone(&flight)],
        };
        let mut live = None;
        let open = self.queue.begin_unqueued(&[Arc::clone(&flight)], || {
            live.insert(self.store.begin_load()).number()
        });
        if !open {
            if !fault::planted("closed_unanswered") {
                self.end(&flight, Answer::Failed(Error::closed()));
            }
        } else if let Some(value) = self.store.view().value(hash, key) {
            self.end(&flight, Answer::Hit(value));
        } else {
            self.stats.batch(1);
            let loaded = catch_unwind(AssertUnwindSafe(|| load(&flight.key)));
            match loaded {
                Ok(outcome) => self.conclude(&flight, outcome, flight.number()),
                Err(payload) => {
                    let error = Error::panicked(&*payload);
                    self.events.send(Event::LoadFailed {
                        keys: 1,
                        error: error.clone(),
                    });
                    self.end(&flight, Answer::Failed(error));
                }
            }
        }
        guard.disarm();
        drop((live, running));
        self.wait(&flight, true, self.deadline(limit))
    }

    /// Wants keys loaded, and returns at once. Cached keys are reloaded.
    pub(crate) fn request(&self, keys: impl Iterator<Item = K>) -> Requested<K, V> {
        let mut requested = Requested {
            flights: Vec::new(),
            rejected: Vec::new(),
        };
        if !self.has_loader() {
            requested.rejected.extend(keys);
            return requested;
        }
        let mut misses = Led {
            loads: self,
            flights: Vec::new(),
        };
        let mut reloads = Led {
            loads: self,
            flights: Vec::new(),
        };
        let view = self.store.view();
        for key in keys {
            let hash = self.store.hash(&key);
            let cached = view.is_present(hash, &key);
            match self.any_part(&view, hash, &key, cached, QUEUED) {
                Ok(Part::Join(flight)) => {
                    if cached {
                        flight.ask_reload();
                    }
                    requested.flights.push(flight);
                }
                Ok(Part::Lead(flight)) => {
                    let led = if cached { &mut reloads } else { &mut misses };
                    led.flights.push(Arc::clone(&flight));
                    requested.flights.push(flight);
                }
                Err(_) => requested.rejected.push(key),
            }
        }
        drop(view);
        let mut refused = misses.push(Urgency::Miss);
        refused.extend(reloads.push(Urgency::Reload));
        if !refused.is_empty() {
            requested
                .flights
                .retain(|flight| !refused.iter().any(|no| Arc::ptr_eq(no, flight)));
            requested
                .rejected
                .extend(refused.iter().map(|flight| flight.key.clone()));
        }
        requested
    }

    /// Begins reloads of `keys` on this thread, of those that are cached and not in flight. Part of a
    /// refresh sweep.
    pub(super) fn begin_reloads(&self, keys: Vec<K>, runner: u64) -> Reloads<'_, K, V> {
        let mut led = Led {
            loads: self,
            flights: Vec::new(),
        };
        let view = self.store.view();
        for key in keys {
            let hash = self.store.hash(&key);
            if view.is_present(hash, &key)
                && let Ok(Part::Lead(flight)) =
                    self.any_part(&view, hash, &key, true, at_birth(runner))
            {
                led.flights.push(flight);
            }
        }
        drop(view);
        let mut live = None;
        let open = self.queue.begin_unqueued(&led.flights, || {
            live.insert(self.store.begin_load()).number()
        });
        let flights = led.disarm();
        if open {
            return Reloads { flights, live };
        }
        for flight in flights {
            if !fault::planted("closed_unanswered") {
                self.end(&flight, Answer::Failed(Error::closed()));
            }
        }
        Reloads::default()
    }

    fn part<Q>(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: &Q,
        reload: bool,
    ) -> Result<Part<K, V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        if self.has_loader() {
            let part = self.any_part(view, hash, key, reload, QUEUED)?;
            if let Part::Lead(flight) = &part
                && runner::is_deepest()
            {
                // Given up and not queued: a recursion without an end would go on in the background.
                drop(Led {
                    loads: self,
                    flights: vec![Arc::clone(flight)],
                });
                return Err(runner::too_deep());
            }
            return Ok(part);
        }
        // Somebody may be loading it with a loader of their own.
        match self.in_flight.get(hash, key) {
            Some(flight) if self.is_current(&flight, view, hash, key) => Ok(Part::Join(flight)),
            _ => Err(Error::new(ErrorKind::NoLoader, "the bucket has no loader")),
        }
    }

    /// Joins the current flight of a key, or registers a new one to lead: for `runner`, or to be
    /// queued. `view` is where the caller missed the key.
    fn any_part<Q>(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: &Q,
        reload: bool,
        runner: u64,
    ) -> Result<Part<K, V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        if inside_a_write() {
            return Err(Error::reentrant());
        }
        loop {
            let known = self.in_flight.get(hash, key);
            if let Some(flight) = &known
                && self.is_current(flight, view, hash, key)
            {
                let promotes = !fault::planted("promotes_nobody");
                if !reload && flight.wants_reload() && !flight.has_begun() && promotes {
                    self.queue.promote(flight);
                }
                return Ok(Part::Join(Arc::clone(flight)));
            }
            let flight = Flight::new(hash, key.to_owned(), reload, runner);
            let put = self
                .in_flight
                .put_if(hash, key.to_owned(), &flight, |there| {
                    fault::planted("joins_nobody")
                        || there.is_none_or(|there| {
                            there.is_over()
                                || known.as_ref().is_some_and(|k| std::ptr::eq(&**k, there))
                        })
                });
            // Else somebody else has just registered one: look at that.
            if put.is_ok() {
                return Ok(Part::Lead(flight));
            }
        }
    }

    /// Whether a flight may answer somebody who missed the key in `view`: not if the key was changed,
    /// as far as the view knows, after the flight began.
    fn is_current<Q>(&self, flight: &Flight<K, V>, view: &View<K, V>, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if flight.is_over() {
            return false;
        }
        let change = view.last_change(hash, key);
        if change == 0 || flight.number() > change || fault::planted("joins_superseded") {
            return true;
        }
        // A 0 may be out of date; under the queue's lock it is not. A flight that has not begun will
        // draw its number after the change.
        let number = self.queue.settled_number(flight);
        number == 0 || number > change
    }

    /// A thread inside a loader runs what is queued itself: it must not wait for a loader thread, all of
    /// which may be waiting for it.
    pub(crate) fn take_over_queued<'f>(
        &self,
        flights: impl Iterator<Item = &'f Arc<Flight<K, V>>>,
    ) {
        if runner::current() == 0 || fault::planted("waits_inside_a_loader") {
            return;
        }
        if runner::is_deepest() {
            // The wait will find them queued, and is refused there.
            return;
        }
        let mut flights = flights.peekable();
        while flights.peek().is_some() {
            let live = self.store.begin_load();
            let batch: Vec<_> = flights
                .by_ref()
                .filter(|flight| {
                    self.queue
                        .take_over(flight, runner::current(), || live.number())
                })
                .take(self.queue.batch_size())
                .map(Arc::clone)
                .collect();
            if !batch.is_empty() {
                self.run_batch(batch, live.number());
            }
        }
    }

    /// Whether all flights are over by the limit. A wait that would be for this thread itself is not
    /// begun.
    pub(crate) fn wait_over(&self, flights: &[Arc<Flight<K, V>>], limit: Duration) -> bool {
        self.take_over_queued(flights.iter());
        let deadline = self.deadline(limit);
        flights.iter().all(|flight| {
            if flight.promise().is_answered() {
                return true;
            }
            let Ok(_wait) = Wait::begin(Arc::clone(flight) as _) else {
                return false;
            };
            flight.promise().wait(&self.clock, deadline).is_some()
        })
    }

    /// Waits for a flight.
    pub(crate) fn wait(
        &self,
        flight: &Arc<Flight<K, V>>,
        leads: bool,
        deadline: Duration,
    ) -> Result<Fetched<V>, Error> {
        let answer = match flight.promise().peek() {
            Some(answer) => answer,
            None => {
                let _wait = Wait::begin(Arc::clone(flight) as _)?;
                flight
                    .promise()
                    .wait(&self.clock, deadline)
                    .ok_or_else(|| {
                        self.stats.timed_out();
                        Error::timeout()
                    })?
            }
        };
        let origin = if leads {
            Origin::Loaded
        } else {
            Origin::Joined
        };
        match &*answer {
            Answer::Loaded(value) => Ok(Fetched::new(Some(value.clone()), origin)),
            Answer::Ignored(value) => Ok(Fetched::new(Some(value.clone()), Origin::Ignored)),
            Answer::Hit(value) => Ok(Fetched::new(Some(value.clone()), Origin::Hit)),
            Answer::Absent => Ok(Fetched::new(None, origin)),
            Answer::Failed(error) => Err(error.clone()),
        }
    }
}

/// Reloads that have begun.
pub(super) struct Reloads<'a, K, V> {
    pub(super) flights: Vec<Arc<Flight<K, V>>>,
    pub(super) live: Option<LiveLoad<'a>>,
}

impl<K, V> Default for Reloads<'_, K, V> {
    fn default() -> Self {
        Self {
            flights: Vec::new(),
            live: None,
        }
    }
}

/// Flights that this caller has registered and still owes the queue. Should it come to grief before,
/// by a panic in the user's `Hash` or `Eq`, they are answered.
struct Led<'a, K: Key, V: Value, S: HashBuilder> {
    loads: &'a Loads<K, V, S>,
    flights: Vec<Arc<Flight<K, V>>>,
}

impl<K: Key, V: Value, S: HashBuilder> Led<'_, K, V, S> {
    /// Hands the flights to the queue. Those that it refuses are answered, and returned.
    fn push(&mut self, urgency: Urgency) -> Vec<Arc<Flight<K, V>>> {
        if self.flights.is_empty() {
            return Vec::new();
        }
        let mut flights = std::mem::take(&mut self.flights);
        let (taken, refused) = self.loads.queue.push(&flights, urgency);
        let left = flights.split_off(taken);
        for flight in left
            .iter()
            .filter(|_| !fault::planted("refused_unanswered"))
        {
            let error = match refused {
                Some(Refused::Closed) => Error::closed(),
                _ => Error::new(ErrorKind::QueueFull, "the load queue is full"),
            };
            self.loads.end(flight, Answer::Failed(error));
        }
        left
    }

    /// They are taken care of.
    fn disarm(mut self) -> Vec<Arc<Flight<K, V>>> {
        std::mem::take(&mut self.flights)
    }
}

impl<K: Key, V: Value, S: HashBuilder> Drop for Led<'_, K, V, S> {
    fn drop(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            let error = Error::new(ErrorKind::Cancelled, "the load was given up before it ran");
            self.loads.end(&flight, Answer::Failed(error));
        }
    }
}
