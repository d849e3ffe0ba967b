//! What loaders are asked: keys, or, where they want it for a reload, what is cached of them as well.

use super::batch::Answers;
use super::flight::{Answer, Flight};
use super::runner::Running;
use super::{Loads, Source};
use crate::clock::Deadline;
use crate::contain::contained;
use crate::error::{BoxError, Error};
use crate::events::Event;
use crate::loader::{BulkLoader, Outcome};
use crate::store::Content;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// One call of the user's loader; two, if it is told of cached values and there are reloads among others.
    /// Also what those who wait for the first of them are to be told, where that is not what is stored.
    pub(super) fn ask(
        &self,
        flights: &[Arc<Flight<K, V>>],
    ) -> Result<(Answers<K, V>, Option<V>), Error> {
        let mut told = None;
        let _running = Running::enter()?;
        let mut load = || match &self.source {
            Source::Bulk(loader) if loader.refreshes() => self.ask_refreshing(&**loader, flights),
            Source::Bulk(loader) => {
                let keys = keys_of(flights);
                self.call(keys.len(), || loader.bulk_load(&keys))
            }
            // Without a batch loader a batch is one key, so an error is that key's.
            Source::Single(loader) => self.call(flights.len(), || {
                let mut answers = Vec::with_capacity(flights.len());
                for flight in flights {
                    let key = flight.key().clone();
                    let current = self.current(flight);
                    let brought = loader.load_pairs(&key, current.as_ref())?.apart(&key);
                    told = brought.told;
                    answers.push((key, brought.outcome));
                    answers.extend(brought.others);
                }
                Ok(answers)
            }),
            Source::None => Ok(Vec::new()),
        };
        let answered = self.call_within(flights, || contained(&mut load));
        let error = match answered {
            Ok(Ok(answers)) => return Ok((answers, told)),
            Ok(Err(error)) => Error::load(error),
            Err(error) => error,
        };
        self.events.send(Event::LoadFailed {
            keys: flights.len(),
            error: error.clone(),
        });
        Err(error)
    }

    fn ask_refreshing(
        &self,
        loader: &dyn BulkLoader<K, V>,
        flights: &[Arc<Flight<K, V>>],
    ) -> Result<Answers<K, V>, BoxError> {
        let (mut keys, mut entries) = (Vec::new(), Vec::new());
        for flight in flights {
            match self.current(flight) {
                Some(current) => entries.push((flight.key().clone(), current)),
                None => keys.push(flight.key().clone()),
            }
        }
        let mut answers = Vec::new();
        // Misses first: somebody waits for them.
        if !keys.is_empty() {
            answers = self.call(keys.len(), || loader.bulk_load(&keys))?;
        }
        if !entries.is_empty() {
            // What has come for the misses stays, whatever becomes of the others.
            let refresh = || self.call(entries.len(), || loader.bulk_refresh(&entries));
            let error = match contained(refresh) {
                Ok(Ok(refreshed)) => {
                    answers.extend(refreshed);
                    return Ok(answers);
                }
                Ok(Err(error)) => Error::load(error),
                Err(panic) => panic,
            };
            let failed = |(key, _)| (key, Outcome::Failed(Box::new(error.clone())));
            answers.extend(entries.into_iter().map(failed));
        }
        Ok(answers)
    }

    fn call<T>(&self, keys: usize, load: impl FnOnce() -> T) -> T {
        self.stats.batch(keys);
        let timed = || self.haste.time(load);
        self.stats.loader.time(|| self.clock.now(), timed)
    }

    /// What is cached of a key that is to be reloaded.
    fn current(&self, flight: &Flight<K, V>) -> Option<V> {
        let (hash, key) = (flight.hash(), flight.key());
        flight
            .wants_reload()
            .then(|| self.store.view().uncounted(hash, key).cloned())?
    }

    /// The source has nothing newer than what is cached, which is written again as if it had been loaded, if nothing
    /// has changed since the load began.
    pub(super) fn still_good(&self, flight: &Flight<K, V>, number: u64) -> Answer<V> {
        let (hash, key) = (flight.hash(), flight.key());
        let ttl = flight.ttl.or(self.ttl);
        let mut refused = None;
        let again = |value: Option<&V>, expires, weight| {
            let expires = ttl.map_or(expires, |ttl| Deadline::after(&self.clock, ttl));
            refused = value.cloned();
            Some(Content::until(value?.clone(), expires).weighing(weight))
        };
        let written = match self.store.update(number, hash, key, again) {
            // Somebody else was about to write the key, and has what the value weighed.
            Some(Content { value: None, .. }) => {
                self.refused(1);
                return refused.map_or(Answer::Absent, Answer::Ignored);
            }
            written => written.and_then(|content| content.value),
        };
        // Else it was changed meanwhile, and that stands.
        match written.or_else(|| self.store.view().uncounted(hash, key).cloned()) {
            Some(value) => Answer::Loaded(value),
            None => {
                let why = "the loader says that nothing has changed, and nothing is cached";
                Answer::Failed(Error::load(why.into()))
            }
        }
    }
}

fn keys_of<K: Key, V: Value>(flights: &[Arc<Flight<K, V>>]) -> Vec<K> {
    flights.iter().map(|flight| flight.key().clone()).collect()
}
