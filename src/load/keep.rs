//! What becomes of what a loader has said: stored, or not, and answered.

use std::time::Duration;

use super::Loads;
use super::batch::Answers;
use super::end::End;
use super::flight::{Answer, Flight};
use crate::clock::Deadline;
use crate::contain::contained;
use crate::error::Error;
use crate::events::{Event, KeyEvent};
use crate::loader::Outcome;
use crate::stats::Counters;
use crate::store::{Content, Failed, Installed};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Stores pairs that nobody asked for.
    pub(super) fn store_extras(&self, extra: Answers<K, V>, number: u64) {
        for (key, outcome) in extra {
            self.store_extra(key, outcome, number);
        }
    }

    /// Stores a pair that nobody asked for, if it is not older than what is known of its key.
    fn store_extra(&self, key: K, outcome: Outcome<V>, number: u64) {
        let stored = contained(|| {
            let (value, ttl, weight) = match outcome {
                Outcome::Value(value) => (value, self.ttl, None),
                Outcome::Expiring(value, ttl) => (value, Some(ttl), None),
                Outcome::Stored { value, ttl, weight } => (value, ttl.or(self.ttl), weight),
                Outcome::Ignore(_) | Outcome::Unchanged | Outcome::Absent | Outcome::Failed(_) => {
                    return Ok(());
                }
            };
            self.store.vouch(&key, &value)?;
            let content = self.lasting(&key, value, ttl, weight);
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

    fn report_failed(&self, error: &Error) {
        self.events.send(Event::LoadFailed {
            keys: 1,
            error: error.clone(),
        });
    }

    /// A load failed. If it was a reload, the old value is served for a limited time from here on, where
    /// there is a limit. Before the flight is answered, so that whoever waited for it finds the time set;
    /// and while the load is live, which the folder relies on.
    pub(super) fn keep_stale(&self, flight: &Flight<K, V>) {
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

    /// Stores what was loaded. Returns the answer, or how the flight has ended if it has. Takes what is `told`, if
    /// anything, where that is the answer in place of what is stored.
    fn store_outcome(
        &self,
        flight: &Arc<Flight<K, V>>,
        outcome: Outcome<V>,
        told: &mut Option<V>,
        number: u64,
        not_in: Option<u64>,
    ) -> Result<End, Answer<V>> {
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
        let mut keep = |value: V, ttl: Option<Duration>, weight: Option<u64>| {
            let answer = told.take().unwrap_or_else(|| value.clone());
            let answer = match self.end_unsaved(flight, number, answer) {
                Ok(end) => return Ok(end),
                Err(answer) => answer,
            };
            let content = self.lasting(flight.key(), value, ttl, weight);
            Err(match install(content) {
                Installed::Off | Installed::Refused => Answer::Ignored(answer),
                Installed::Stored | Installed::Superseded => Answer::Loaded(answer),
            })
        };
        let outcome = match &self.refresh_filter {
            Some(filter) if flight.wants_reload() => filter(flight.key(), outcome),
            _ => outcome,
        };
        if let Outcome::Value(value)
        | Outcome::Expiring(value, _)
        | Outcome::Stored { value, .. }
        | Outcome::Ignore(value) = &outcome
            && let Err(error) = self.store.vouch(flight.key(), value)
        {
            self.report_failed(&error);
            return Err(Answer::Failed(error));
        }
        match outcome {
            Outcome::Unchanged => Err(self.still_good(flight, number)),
            Outcome::Value(value) => keep(value, flight.ttl.or(self.ttl), None),
            Outcome::Expiring(value, ttl) => keep(value, Some(ttl), None),
            Outcome::Stored { value, ttl, weight } => {
                keep(value, ttl.or(flight.ttl).or(self.ttl), weight)
            }
            Outcome::Ignore(value) => Err(Answer::Ignored(value)),
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
                Err(Answer::Absent)
            }
            Outcome::Failed(error) => {
                let error = Error::load(error);
                self.report_failed(&error);
                Err(Answer::Failed(error))
            }
        }
    }

    /// A value that is to live so long from now on, or for ever, of this weight or what the weigher says.
    fn lasting(&self, key: &K, value: V, ttl: Option<Duration>, weight: Option<u64>) -> Content<V> {
        let content = Content::until(value, Deadline::of(&self.clock, ttl));
        match weight {
            Some(weight) => content.weighing(weight),
            None => self.store.weighed(key, content),
        }
    }

    fn count(&self, installed: Installed) {
        match installed {
            Installed::Superseded => self.stats.superseded(),
            Installed::Refused => self.refused(1),
            Installed::Stored | Installed::Off => {}
        }
    }

    /// There was no room for so many values.
    pub(crate) fn refused(&self, values: usize) {
        Counters::add(&self.stats.refused, values);
        if let Some(limit) = self.store.told_full() {
            self.events.send(Event::Full { limit });
        }
    }
}
