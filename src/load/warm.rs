//! What a warmer brought, stored as what one load brought.

use std::time::Duration;

use super::Loads;
use super::batch::Answers;
use crate::contain::contained;
use crate::events::Event;
use crate::loader::Outcome;
use crate::stats::Counters;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Stores the pairs of a run that began under `number`: all of them together, but for those whose key was changed
    /// since. A pair without a value says nothing.
    pub(crate) fn store_warmed(&self, pairs: Answers<K, V>, ttl: Option<Duration>, number: u64) {
        let ttl = ttl.or(self.ttl);
        let mut group = Vec::with_capacity(pairs.len());
        for (key, outcome) in self.last_of_each(pairs) {
            let (outcome, tags) = outcome.apart();
            let (value, ttl, weight) = match outcome {
                Outcome::Value(value) => (value, ttl, None),
                Outcome::Expiring(value, ttl) => (value, Some(ttl), None),
                Outcome::Stored {
                    value,
                    ttl: own,
                    weight,
                } => (value, own.or(ttl), weight),
                _ => continue,
            };
            // One that is dead is left out, as among the pairs of any load.
            let vouched = contained(|| self.store.vouch(&key, &value));
            if let Err(error) = vouched.and_then(|vouched| vouched) {
                self.events.send(Event::LoadFailed { keys: 1, error });
                continue;
            }
            let content = self.lasting(&key, value, ttl, weight);
            group.push((self.store.hash(&key), key, content, tags));
        }
        let noted = self.exists.as_ref().map(|exists| {
            let keys = group.iter().map(|(hash, key, ..)| (*hash, key.clone()));
            (exists, keys.collect::<Vec<_>>())
        });
        let done = self.store.install_group(number, group);
        Counters::add(&self.stats.superseded, done.superseded);
        if done.refused > 0 {
            self.refused(done.refused);
        }
        if let Some((exists, keys)) = noted {
            for (hash, key) in &keys {
                exists.written(*hash, key);
            }
        }
    }
}
