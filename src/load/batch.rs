//! The loader's side: a batch of flights that have begun is loaded, stored and answered.

use std::time::Duration;

use super::Loads;
use super::end::End;
use super::flight::{Answer, Flight};
use crate::contain::{contained, drop_contained};
use crate::error::{Error, ErrorKind};
use crate::events::Event;
use crate::loader::Outcome;
use crate::store::Failed;
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

pub(super) type Answers<K, V> = Vec<(K, Outcome<V>)>;

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Loads flights that have begun under `number`, and those of them again whose load a reset has overtaken; not
    /// again once it is past `until`, where there is one. Every one of them is over afterwards, whatever the loader
    /// does. Returns how many failed.
    pub(crate) fn run_batch(
        &self,
        flights: Vec<Arc<Flight<K, V>>>,
        number: u64,
        until: Option<Duration>,
    ) -> usize {
        let carrying = self.context.as_ref().map(|_| flights.clone());
        let failed = self.run_all(flights, number, until);
        for flight in carrying.into_iter().flatten() {
            flight.drop_context();
        }
        failed
    }

    fn run_all(
        &self,
        flights: Vec<Arc<Flight<K, V>>>,
        number: u64,
        until: Option<Duration>,
    ) -> usize {
        let (mut failed, mut outdated) = self.run_once(flights, number);
        loop {
            let left = outdated.len();
            if fault::planted("outdated_left") {
                return failed;
            }
            let Some(live) = self.begin_again(&mut outdated, until) else {
                return failed + left;
            };
            let again = self.run_once(std::mem::take(&mut outdated), live.number());
            failed += again.0;
            outdated = again.1;
        }
    }

    /// Returns how many failed, and those that are outdated.
    fn run_once(
        &self,
        flights: Vec<Arc<Flight<K, V>>>,
        number: u64,
    ) -> (usize, Vec<Arc<Flight<K, V>>>) {
        let count = flights.len();
        contained(|| self.run(flights, number)).unwrap_or_else(|error| {
            self.events.send(Event::LoadFailed { keys: count, error });
            (count, Vec::new())
        })
    }

    fn run(&self, flights: Vec<Arc<Flight<K, V>>>, number: u64) -> (usize, Vec<Arc<Flight<K, V>>>) {
        let late = fault::planted("number_drawn_late");
        let mut open = Open {
            loads: self,
            flights,
            outdated: Vec::new(),
            failed: 0,
        };
        let not_in = open.answer_present(number);
        open.answer_absent(number, not_in);
        if open.flights.is_empty() {
            return open.ended();
        }
        let asked = self.ask(&open.flights);
        // What was asked for before a reset is nobody's answer, and what came along is no use either.
        if number < self.store.view().reset {
            open.outdated.append(&mut open.flights);
            drop_contained(asked);
            return open.ended();
        }
        match asked {
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
            Err(error) => open.fail_all(&error, number),
        }
        open.ended()
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
        for (key, outcome) in self.last_of_each(extra) {
            self.store_extra(key, outcome, number);
        }
    }

    /// Stores a pair that nobody asked for, if it is not older than what is known of its key.
    fn store_extra(&self, key: K, outcome: Outcome<V>, number: u64) {
        let stored = contained(|| {
            let (outcome, tags) = outcome.apart();
            let (value, ttl, weight) = match outcome {
                Outcome::Value(value) => (value, self.ttl, None),
                Outcome::Expiring(value, ttl) => (value, Some(ttl), None),
                Outcome::Stored { value, ttl, weight } => (value, ttl.or(self.ttl), weight),
                _ => return Ok(()),
            };
            self.store.vouch(&key, &value)?;
            let content = self.lasting(&key, value, ttl, weight);
            let hash = self.store.hash(&key);
            let copy = self.exists.as_ref().map(|exists| (exists, key.clone()));
            let (store, tags) = (&self.store, tags.as_ref());
            self.count(store.install_tagged(number, hash, key, content, tags, None));
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
    /// that.
    pub(super) fn conclude(
        &self,
        flight: &Arc<Flight<K, V>>,
        outcome: Outcome<V>,
        told: Option<V>,
        number: u64,
        not_in: Option<u64>,
    ) -> End {
        if fault::planted("answered_before_stored")
            && let Outcome::Value(value) = &outcome
        {
            self.end(flight, Answer::Loaded(value.clone()));
        }
        let answer = contained(|| {
            let mut told = told;
            if let Some(told) = &told
                && let Err(error) = self.store.vouch(flight.key(), told)
            {
                self.report_failed(&error);
                return Err(Answer::Failed(error));
            }
            let stored = self.store_outcome(flight, outcome, &mut told, number, not_in);
            match (stored, told) {
                (Err(Answer::Ignored(_) | Answer::Absent), Some(told)) => {
                    Err(Answer::Ignored(told))
                }
                (stored, _) => stored,
            }
        });
        let answer = answer.unwrap_or_else(|error| {
            self.report_failed(&error);
            Err(Answer::Failed(error))
        });
        match answer {
            Ok(end) => end,
            Err(Answer::Failed(error)) => self.fail(flight, error, number),
            Err(answer) => self.end_current(flight, number, answer),
        }
    }

    /// A load failed.
    pub(super) fn fail(&self, flight: &Arc<Flight<K, V>>, error: Error, number: u64) -> End {
        self.keep_stale(flight);
        self.end_current(flight, number, Answer::Failed(error))
    }

    pub(super) fn report_failed(&self, error: &Error) {
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
        self.report_stale_as(|key, until| Failed::new(number, hash, key, until), key);
    }

    /// The same of a reload that is not over.
    pub(super) fn report_late(&self, number: u64, hash: u64, key: &K) {
        self.report_stale_as(|key, until| Failed::late(number, hash, key, until), key);
    }

    fn report_stale_as(&self, failed: impl FnOnce(K, Duration) -> Failed<K>, key: &K) {
        if let Some(most) = self.max_stale {
            let until = self.clock.now().saturating_add(most);
            // A key whose `Clone` panics is reported when it fails again.
            let _ = contained(|| self.store.refresh_failed(failed(key.clone(), until)));
        }
    }
}

/// Flights that have begun and are not answered yet. What is left in it when it goes is answered with
/// an error: no way out of a batch leaves a waiter behind.
pub(super) struct Open<'a, K: Key, V: Value, S: HashBuilder> {
    pub(super) loads: &'a Loads<K, V, S>,
    pub(super) flights: Vec<Arc<Flight<K, V>>>,
    /// Those that are to be run again.
    outdated: Vec<Arc<Flight<K, V>>>,
    failed: usize,
}

impl<K: Key, V: Value, S: HashBuilder> Open<'_, K, V, S> {
    /// Answers what need not be loaded any more: it came between the leader's look and this one. Returns the
    /// epoch of a table that holds none of the keys, if it was one.
    fn answer_present(&mut self, number: u64) -> Option<u64> {
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
        for flight in std::mem::take(&mut self.flights) {
            match contained(|| loads.end_cached(&flight, number, &view)) {
                Ok(None) => self.flights.push(flight),
                Ok(Some(end)) => self.count(flight, end),
                Err(error) => loads.end(&flight, Answer::Failed(error)),
            }
        }
        None
    }

    /// Takes note of how a flight has ended.
    pub(super) fn count(&mut self, flight: Arc<Flight<K, V>>, end: End) {
        match end {
            End::Well => {}
            End::Failed => self.failed += 1,
            End::Outdated => self.outdated.push(flight),
        }
    }

    /// How many have failed, and those that are to be run again.
    fn ended(mut self) -> (usize, Vec<Arc<Flight<K, V>>>) {
        (self.failed, std::mem::take(&mut self.outdated))
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
            let end = self.loads.conclude(&flight, outcome, told, number, not_in);
            self.count(flight, end);
        }
    }

    fn fail_all(&mut self, error: &Error, number: u64) {
        for flight in std::mem::take(&mut self.flights) {
            if !fault::planted("failure_unanswered") {
                let end = self.loads.fail(&flight, error.clone(), number);
                self.count(flight, end);
            }
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Drop for Open<'_, K, V, S> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.flights).into_iter();
        for flight in left.chain(std::mem::take(&mut self.outdated)) {
            if fault::planted("panic_leaves_waiters") {
                continue;
            }
            let error = Error::new(ErrorKind::Panicked, "a load ended without an answer");
            self.loads.keep_stale(&flight);
            self.loads.end(&flight, Answer::Failed(error));
        }
    }
}
