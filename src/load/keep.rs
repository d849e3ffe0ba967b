//! What a load has brought for a key that was asked for: stored, or not.

use std::time::Duration;

use super::Loads;
use super::end::End;
use super::flight::{Answer, Flight};
use crate::clock::Deadline;
use crate::error::Error;
use crate::events::{Event, KeyEvent};
use crate::loader::Outcome;
use crate::stats::Counters;
use crate::store::{Content, Installed};
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Stores what was loaded. Returns the answer, or how the flight has ended if it has. Takes what is `told`, if
    /// anything, where that is the answer in place of what is stored.
    pub(super) fn store_outcome(
        &self,
        flight: &Arc<Flight<K, V>>,
        outcome: Outcome<V>,
        told: &mut Option<V>,
        number: u64,
        not_in: Option<u64>,
    ) -> Result<End, Answer<V>> {
        let outcome = match &self.refresh_filter {
            Some(filter) if flight.wants_reload() => filter(flight.key(), outcome),
            _ => outcome,
        };
        let (outcome, tags) = outcome.apart();
        flight.set_tags(tags.as_ref());
        let install = |content: Content<V>| {
            let key = flight.key().clone();
            let (hash, tags) = (flight.hash(), tags.as_ref());
            let store = &self.store;
            let installed = store.install_tagged(number, hash, key, content, tags, not_in);
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
            Outcome::Tagged(..) => unreachable!("its tags were taken off"),
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
    pub(super) fn lasting(
        &self,
        key: &K,
        value: V,
        ttl: Option<Duration>,
        weight: Option<u64>,
    ) -> Content<V> {
        let content = Content::until(value, Deadline::of(&self.clock, ttl));
        match weight {
            Some(weight) => content.weighing(weight),
            None => self.store.weighed(key, content),
        }
    }

    pub(super) fn count(&self, installed: Installed) {
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
