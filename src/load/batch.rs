//! The loader's side: a batch of flights that have begun is loaded, stored and answered.

use std::time::Duration;

use super::Loads;
use super::flight::{Answer, Flight};
use crate::clock::Deadline;
use crate::contain::contained;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, KeyEvent};
use crate::loader::Outcome;
use crate::store::{Content, Failed, Installed};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

pub(super) type Answers<K, V> = Vec<(K, Outcome<V>)>;

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Loads flights that have begun under `number`. Every one of them is over afterwards, whatever the
    /// loader does. Returns how many failed.
    pub(crate) fn run_batch(&self, flights: Vec<Arc<Flight<K, V>>>, number: u64) -> usize {
        let count = flights.len();
        contained(|| self.run(flights, number)).unwrap_or_else(|error| {
            self.events.send(Event::LoadFailed { keys: count, error });
            count
        })
    }

    fn run(&self, flights: Vec<Arc<Flight<K, V>>>, number: u64) -> usize {
        let late = fault::planted("number_drawn_late");
        let mut open = Open {
            loads: self,
            flights,
            failed: 0,
        };
        let not_in = open.answer_present();
        open.answer_absent(number, not_in);
        if open.flights.is_empty() {
            return open.failed;
        }
        match self.ask(&open.flights) {
            Ok((answers, told)) => {
                let number = if late {
                    self.store.begin_load().number()
                } else {
                    number
                };
                let (matched, extra) = self.matched(&open.flights, answers);
                // Before the answers: with what it asked for, a caller finds all that came along.
                self.store_extras(extra, number);
                open.settle(matched, told, number, not_in);
            }
            Err(error) => open.fail_all(&error),
        }
        open.failed
    }

    /// Sorts the answers to the flights, and out what was not asked for. The last answer counts.
    fn matched(
        &self,
        flights: &[Arc<Flight<K, V>>],
        answers: Answers<K, V>,
    ) -> (Vec<Option<Outcome<V>>>, Answers<K, V>) {
        let mut matched: Vec<Option<Outcome<V>>> = Vec::new();
        matched.resize_with(flights.len(), || None);
        let mut extra = Vec::new();
        let mut by_hash: Option<Vec<(u64, usize)>> = None;
        for (at, (key, outcome)) in answers.into_iter().enumerate() {
            // Most loaders answer in order.
            if flights.get(at).is_some_and(|flight| *flight.key() == key) {
                matched[at] = Some(outcome);
                continue;
            }
            let by_hash = by_hash.get_or_insert_with(|| {
                let mut index: Vec<_> = flights
                    .iter()
                    .enumerate()
                    .map(|(at, flight)| (flight.hash(), at))
                    .collect();
                index.sort_unstable();
                index
            });
            let hash = self.store.hash(&key);
            let from = by_hash.partition_point(|&(h, _)| h < hash);
            let found = by_hash[from..]
                .iter()
                .take_while(|&&(h, _)| h == hash)
                .find(|&&(_, at)| *flights[at].key() == key);
            match found {
                Some(&(_, at)) => matched[at] = Some(outcome),
                None => extra.push((key, outcome)),
            }
        }
        (matched, extra)
    }

    /// Stores pairs that nobody asked for.
    pub(super) fn store_extras(&self, extra: Answers<K, V>, number: u64) {
        for (key, outcome) in extra {
            self.store_extra(key, outcome, number);
        }
    }

    /// Stores a pair that nobody asked for, if it is not older than what is known of its key.
    fn store_extra(&self, key: K, outcome: Outcome<V>, number: u64) {
        let stored = contained(|| {
            let (value, ttl) = match outcome {
                Outcome::Value(value) => (value, self.ttl),
                Outcome::Expiring(value, ttl) => (value, Some(ttl)),
                Outcome::Ignore(_) | Outcome::Unchanged | Outcome::Absent | Outcome::Failed(_) => {
                    return Ok(());
                }
            };
            self.store.vouch(&key, &value)?;
            let content = self.lasting(value, ttl);
            let hash = self.store.hash(&key);
            let copy = self.exists.as_ref().map(|exists| (exists, key.clone()));
            self.count(self.store.install(number, hash, key, content, None));
            if let Some((exists, key)) = copy {
                exists.written(hash, &key);
            }
            Ok(())
        });
        if let Err(error) = stored.and_then(|done| done) {
            self.events.send(Event::LoadFailed { keys: 1, error });
        }
    }

    /// What becomes of one flight: stored, then out of the in-flight table, then answered. In this
    /// order: who finds no flight finds the value. `not_in` is as in
    /// [`install`](crate::store::Store::install); `told` is what is answered in place of what is stored, if it is not
    /// that. Returns whether it has failed.
    pub(crate) fn conclude(
        &self,
        flight: &Arc<Flight<K, V>>,
        outcome: Outcome<V>,
        told: Option<V>,
        number: u64,
        not_in: Option<u64>,
    ) -> bool {
        if fault::planted("answered_before_stored")
            && let Outcome::Value(value) = &outcome
        {
            self.end(flight, Answer::Loaded(value.clone()));
        }
        let answer = contained(|| {
            let Some(told) = told else {
                return self.store_outcome(flight, outcome, number, not_in);
            };
            if let Err(error) = self.store.vouch(flight.key(), &told) {
                self.report_failed(&error);
                return Answer::Failed(error);
            }
            match self.store_outcome(flight, outcome, number, not_in) {
                Answer::Loaded(_) => Answer::Loaded(told),
                Answer::Ignored(_) | Answer::Absent => Answer::Ignored(told),
                answer => answer,
            }
        });
        let answer = answer.unwrap_or_else(|error| {
            self.report_failed(&error);
            Answer::Failed(error)
        });
        let failed = matches!(answer, Answer::Failed(_));
        if failed {
            self.keep_stale(flight);
        }
        self.end(flight, answer);
        failed
    }

    fn report_failed(&self, error: &Error) {
        self.events.send(Event::LoadFailed {
            keys: 1,
            error: error.clone(),
        });
    }

    /// A load failed. If it was a reload, the old value is served for a limited time from here on, where
    /// there is a limit. Before the flight is answered, so that whoever waited for it finds the time set;
    /// and while the load is live, which the folder relies on.
    fn keep_stale(&self, flight: &Flight<K, V>) {
        if self.max_stale.is_some() && flight.wants_reload() {
            self.report_stale(flight.number(), flight.hash(), flight.key());
        }
    }

    pub(super) fn report_stale(&self, number: u64, hash: u64, key: &K) {
        if let Some(most) = self.max_stale {
            let until = self.clock.now().saturating_add(most);
            // A key whose `Clone` panics is reported when it fails again.
            let _ = contained(|| {
                let failed = Failed::new(number, hash, key.clone(), until);
                self.store.refresh_failed(failed);
            });
        }
    }

    fn store_outcome(
        &self,
        flight: &Flight<K, V>,
        outcome: Outcome<V>,
        number: u64,
        not_in: Option<u64>,
    ) -> Answer<V> {
        let install = |content: Content<V>| {
            let key = flight.key().clone();
            let installed = self
                .store
                .install(number, flight.hash(), key, content, not_in);
            self.count(installed);
            if let Some(exists) = &self.exists {
                exists.written(flight.hash(), flight.key());
            }
            installed
        };
        let keep = |value: V, ttl: Option<Duration>| {
            if flight.stays_unsaved() {
                return Answer::Ignored(value);
            }
            match install(self.lasting(value.clone(), ttl)) {
                Installed::Off => Answer::Ignored(value),
                Installed::Stored | Installed::Superseded => Answer::Loaded(value),
            }
        };
        let outcome = match &self.refresh_filter {
            Some(filter) if flight.wants_reload() => filter(flight.key(), outcome),
            _ => outcome,
        };
        if let Outcome::Value(value) | Outcome::Expiring(value, _) | Outcome::Ignore(value) =
            &outcome
            && let Err(error) = self.store.vouch(flight.key(), value)
        {
            self.report_failed(&error);
            return Answer::Failed(error);
        }
        match outcome {
            Outcome::Unchanged => self.still_good(flight, number),
            Outcome::Value(value) => keep(value, flight.ttl.or(self.ttl)),
            Outcome::Expiring(value, ttl) => keep(value, Some(ttl)),
            Outcome::Ignore(value) => Answer::Ignored(value),
            Outcome::Absent => {
                self.found_gone(flight);
                // Only what is there can go.
                let present = self.store.view().is_present(flight.hash(), flight.key());
                let gone = present && install(None.into()) == Installed::Stored;
                let event = match gone {
                    true => KeyEvent::Disappeared,
                    false => KeyEvent::Absent,
                };
                self.tell(event, flight.key());
                Answer::Absent
            }
            Outcome::Failed(error) => {
                let error = Error::load(error);
                self.report_failed(&error);
                Answer::Failed(error)
            }
        }
    }

    /// Takes a flight out of the in-flight table, by identity, and answers it.
    pub(crate) fn end(&self, flight: &Arc<Flight<K, V>>, answer: Answer<V>) {
        // Before it is answered: whoever goes on because of it may end the bucket, and nothing is told then.
        if let Answer::Failed(error) = &answer
            && !error.is_closed()
            && !flight.is_over()
        {
            self.tell(KeyEvent::Failed, flight.key());
        }
        // A key's `Eq` may panic. Then the flight stays in the table, where, being over, it is replaced
        // by the next one.
        let _ = contained(|| {
            self.in_flight
                .remove_if(flight.hash(), flight.key(), |there| {
                    fault::planted("flight_removed_by_key") || std::ptr::eq(there, &**flight)
                });
        });
        flight.answer(answer, &self.stats);
    }

    /// A value that is to live so long from now on, or for ever.
    fn lasting(&self, value: V, ttl: Option<Duration>) -> Content<V> {
        Content::until(value, Deadline::of(&self.clock, ttl))
    }

    fn count(&self, installed: Installed) {
        if installed == Installed::Superseded {
            self.stats.superseded();
        }
    }
}

/// Flights that have begun and are not answered yet. What is left in it when it goes is answered with
/// an error: no way out of a batch leaves a waiter behind.
pub(super) struct Open<'a, K: Key, V: Value, S: HashBuilder> {
    pub(super) loads: &'a Loads<K, V, S>,
    pub(super) flights: Vec<Arc<Flight<K, V>>>,
    failed: usize,
}

impl<K: Key, V: Value, S: HashBuilder> Open<'_, K, V, S> {
    /// Answers what need not be loaded any more: it came between the leader's look and this one. Returns the
    /// epoch of a table that holds none of the keys, if it was one.
    fn answer_present(&mut self) -> Option<u64> {
        let loads = self.loads;
        let view = loads.store.view();
        // All of them, with nothing between: then the processor does not wait for one before it looks for the
        // next. Nearly always there is nothing.
        let nothing = contained(|| {
            let mut flights = self.flights.iter();
            flights.all(|flight| view.has_nothing(flight.hash(), flight.key(), flight.not_in))
        });
        if matches!(nothing, Ok(true)) {
            return Some(view.current.epoch);
        }
        if fault::planted("no_second_look") {
            return None;
        }
        self.flights.retain(|flight| {
            let settled = contained(|| {
                flight.settle(|first| {
                    if first {
                        view.value(flight.hash(), flight.key())
                    } else {
                        loads.store.view().value(flight.hash(), flight.key())
                    }
                })
            });
            match settled {
                Ok(None) => return true,
                Ok(Some(value)) => loads.end(flight, Answer::Hit(value)),
                Err(error) => loads.end(flight, Answer::Failed(error)),
            }
            false
        });
        None
    }

    /// `told` is for the first of them.
    fn settle(
        &mut self,
        outcomes: Vec<Option<Outcome<V>>>,
        mut told: Option<V>,
        number: u64,
        not_in: Option<u64>,
    ) {
        let _held = self.loads.in_flight.hold();
        for (flight, outcome) in std::mem::take(&mut self.flights).into_iter().zip(outcomes) {
            let outcome = outcome.unwrap_or(Outcome::Absent);
            let told = told.take();
            let failed = self.loads.conclude(&flight, outcome, told, number, not_in);
            self.failed += usize::from(failed);
        }
    }

    fn fail_all(&mut self, error: &Error) {
        for flight in std::mem::take(&mut self.flights) {
            self.failed += 1;
            self.loads.keep_stale(&flight);
            if !fault::planted("failure_unanswered") {
                self.loads.end(&flight, Answer::Failed(error.clone()));
            }
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Drop for Open<'_, K, V, S> {
    fn drop(&mut self) {
        if !self.flights.is_empty() && !fault::planted("panic_leaves_waiters") {
            let error = Error::new(ErrorKind::Panicked, "a load ended without an answer");
            self.fail_all(&error);
        }
    }
}
