//! Joining the current flight of a key, or leading a new one; and waiting.

use std::borrow::Borrow;
use std::time::Duration;

use super::Loads;
use super::flight::{Answer, Flight, Keep, Plan};
use super::queue::{Refused, Urgency};
use super::runner::{self, Wait};
use crate::contain::drop_contained;
use crate::error::{Error, ErrorKind};
use crate::events::KeyEvent;
use crate::fetched::{Fetched, Origin};
use crate::store::{TagFloors, View, inside_a_write};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// The runner of a flight that is to be queued.
pub(super) const QUEUED: u64 = 0;

/// The runner of a flight that `runner` makes for itself.
pub(super) fn at_birth(runner: u64) -> u64 {
    if fault::planted("born_unclaimed") {
        QUEUED
    } else {
        runner
    }
}

/// What a caller has to do with a flight.
pub(super) enum Part<K, V> {
    Join(Arc<Flight<K, V>>),
    Lead(Arc<Flight<K, V>>),
    /// Nothing: the key is remembered to be absent.
    Absent,
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    pub(super) fn part<Q>(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: &Q,
        not_in: Option<u64>,
        keep: Keep,
    ) -> Result<Part<K, V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        if self.is_known_absent(view, hash, key) {
            return Ok(Part::Absent);
        }
        if self.has_loader() {
            let plan = Plan {
                reload: false,
                runner: QUEUED,
                not_in,
                keep,
            };
            let part = self.any_part(view, hash, key, &plan)?;
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
            Some(flight)
                if self.is_current(&flight, view, hash, key) && flight.join(false, keep.save) =>
            {
                Ok(Part::Join(flight))
            }
            _ => Err(Error::new(ErrorKind::NoLoader, "the bucket has no loader")),
        }
    }

    /// Joins the current flight of a key, or registers a new one to lead. `view` is where the caller missed
    /// the key.
    pub(super) fn any_part<Q>(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: &Q,
        plan: &Plan,
    ) -> Result<Part<K, V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        if inside_a_write() {
            return Err(Error::reentrant());
        }
        // One that was there and could not be joined.
        let mut passed_over: Option<Arc<Flight<K, V>>> = None;
        let mut context = None;
        loop {
            // Apart from the step on the table, as it is the user's.
            if self.context.is_some() && context.is_none() && self.leads(hash, key, &passed_over) {
                context = self.capture(plan.runner);
            }
            let put = self.in_flight.put_if(
                hash,
                key,
                |there| {
                    let passed_over = passed_over.as_deref().map(std::ptr::from_ref);
                    fault::planted("joins_nobody")
                        || there.is_none_or(|there| {
                            there.is_over() || passed_over == Some(std::ptr::from_ref(there))
                        })
                },
                || Flight::new(hash, key.to_owned(), plan, context.take()),
            );
            let flight = match put {
                Ok(flight) => return Ok(Part::Lead(flight)),
                Err(Some(flight)) => flight,
                // Cannot be: where nothing is, it is put.
                Err(None) => continue,
            };
            if self.is_current(&flight, view, hash, key) && flight.join(plan.reload, plan.keep.save)
            {
                let promotes = !fault::planted("promotes_nobody");
                if !plan.reload && flight.wants_reload() && !flight.has_begun() && promotes {
                    self.queue.promote(&flight);
                }
                drop_contained(context);
                return Ok(Part::Join(flight));
            }
            passed_over = Some(flight);
        }
    }

    /// Whether who wants a key now would lead a flight of it.
    fn leads<Q>(&self, hash: u64, key: &Q, passed_over: &Option<Arc<Flight<K, V>>>) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let there = self.in_flight.get(hash, key);
        there.is_none_or(|there| {
            let passed_over = passed_over.as_ref();
            there.is_over() || passed_over.is_some_and(|flight| Arc::ptr_eq(flight, &there))
        })
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
        if change == view.reset && !fault::planted("joins_nobody_to_run_again") {
            // It began before the reset, and so it runs again; nothing else has changed.
            return true;
        }
        // A 0 may be out of date; under the queue's lock it is not. A flight that has not begun will
        // draw its number after the change.
        let number = self.queue.settled_number(flight);
        number == 0 || number > change
    }

    /// A thread inside a loader runs what is queued itself: it must not wait for a loader thread, all of
    /// which may be waiting for it.
    ///
    /// What a reset overtakes is not run again once `limit` has passed.
    pub(crate) fn take_over_queued<'f>(
        &self,
        flights: impl Iterator<Item = &'f Arc<Flight<K, V>>>,
        limit: Duration,
    ) {
        if runner::current() == 0 || fault::planted("waits_inside_a_loader") {
            return;
        }
        if runner::is_deepest() {
            // The wait will find them queued, and is refused there.
            return;
        }
        let until = self.deadline(limit);
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
                self.run_batch(batch, live.number(), Some(until));
            }
        }
    }

    /// Whether all flights are over by the limit. A wait that would be for this thread itself is not
    /// begun.
    pub(crate) fn wait_over(&self, flights: &[Arc<Flight<K, V>>], limit: Duration) -> bool {
        self.take_over_queued(flights.iter(), limit);
        let deadline = self.deadline(limit);
        // As in `fetch_many`, the last first.
        flights.iter().rev().all(|flight| {
            if flight.promise().is_answered() {
                return true;
            }
            let Ok(_wait) = Wait::begin(Arc::clone(flight) as _) else {
                return false;
            };
            self.answer(flight, deadline).is_some()
        })
    }

    /// Waits for the answer, awake or asleep.
    fn answer<'f>(&self, flight: &'f Flight<K, V>, deadline: Duration) -> Option<&'f Answer<V>> {
        let promise = flight.promise();
        let left = || deadline.saturating_sub(self.clock.now());
        self.haste.look_out(left, || promise.is_answered());
        promise.wait(&self.clock, deadline)
    }

    /// Waits for a flight. `None` if the caller has to ask again: the bucket was reset since it was answered, or a tag of
    /// what it was answered with was invalidated after it began and before the caller asked, who saw these floors then.
    pub(crate) fn wait(
        &self,
        flight: &Arc<Flight<K, V>>,
        leads: bool,
        floors: Option<&Arc<TagFloors>>,
        deadline: Duration,
    ) -> Option<Result<Fetched<V>, Error>> {
        let answer = self.answer_of(flight, leads, deadline);
        // Who has run out of time has not been answered.
        let answered = flight.promise().is_answered();
        let is_old = answered && (self.is_outdated(flight) || flight.is_overtaken(floors));
        (!is_old).then_some(answer)
    }

    /// Waits for a flight, if this thread may.
    pub(super) fn awaited<'f>(
        &self,
        flight: &'f Arc<Flight<K, V>>,
        deadline: Duration,
    ) -> Result<&'f Answer<V>, Error> {
        if let Some(answer) = flight.promise().peek() {
            return Ok(answer);
        }
        let _wait = Wait::begin(Arc::clone(flight) as _)?;
        self.answer(flight, deadline).ok_or_else(|| {
            self.stats.timed_out();
            self.tell(KeyEvent::TimedOut, flight.key());
            Error::timeout()
        })
    }

    fn answer_of(
        &self,
        flight: &Arc<Flight<K, V>>,
        leads: bool,
        deadline: Duration,
    ) -> Result<Fetched<V>, Error> {
        let answer = self.awaited(flight, deadline)?;
        let origin = if leads {
            Origin::Loaded
        } else {
            Origin::Joined
        };
        match answer {
            Answer::Loaded(value) => Ok(Fetched::new(Some(value.clone()), origin)),
            Answer::Ignored(value) => Ok(Fetched::new(Some(value.clone()), Origin::Ignored)),
            Answer::Hit(value) => Ok(Fetched::new(Some(value.clone()), Origin::Hit)),
            Answer::Absent => Ok(Fetched::new(None, origin)),
            Answer::Failed(error) => Err(error.clone()),
        }
    }
}

/// Flights that this caller has registered and still owes the queue. Should it come to grief before,
/// by a panic in the user's `Hash` or `Eq`, they are answered.
pub(super) struct Led<'a, K: Key, V: Value, S: HashBuilder> {
    pub(super) loads: &'a Loads<K, V, S>,
    pub(super) flights: Vec<Arc<Flight<K, V>>>,
}

impl<K: Key, V: Value, S: HashBuilder> Led<'_, K, V, S> {
    /// Hands the flights to the queue. Those that it refuses are answered, and returned.
    pub(super) fn push(&mut self, urgency: Urgency) -> Vec<Arc<Flight<K, V>>> {
        if self.flights.is_empty() {
            return Vec::new();
        }
        let flights = std::mem::take(&mut self.flights);
        let (left, why) = self.loads.queue.push(flights, urgency);
        for flight in left
            .iter()
            .filter(|_| !fault::planted("refused_unanswered"))
        {
            let error = match why {
                Refused::Closed => Error::closed(),
                Refused::Full => Error::new(ErrorKind::QueueFull, "the load queue is full"),
            };
            self.loads.end(flight, Answer::Failed(error));
        }
        left
    }

    /// They are taken care of.
    pub(super) fn disarm(mut self) -> Vec<Arc<Flight<K, V>>> {
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
