//! A load with a loader of the caller's own, which runs on the caller's thread.

use std::borrow::Borrow;
use std::time::Duration;

use super::Loads;
use super::end::End;
use super::flight::{Answer, Flight, Keep, Plan};
use super::join::{Led, Part, at_birth};
use super::runner::{self, Running};
use crate::contain::contained;
use crate::error::Error;
use crate::events::Event;
use crate::fetched::{Fetched, Origin};
use crate::loader::Loaded;
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// The same as [`fetch`](Self::fetch) with a loader of the caller's, which runs on this thread if this call leads.
    pub(crate) fn fetch_with<Q>(
        &self,
        hash: u64,
        key: &Q,
        limit: Duration,
        keep: Keep,
        mut load: impl FnMut(&K) -> Loaded<K, V>,
    ) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut until = None;
        loop {
            let view = self.store.view();
            if let Some(known) = self.known_again(&view, hash, key, until) {
                return known;
            }
            drop(view);
            let answer = self.fetch_with_once(hash, key, (limit, &mut until), keep, &mut load)?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// `None` where the answer is older than a reset.
    fn fetch_with_once<Q>(
        &self,
        hash: u64,
        key: &Q,
        (limit, until): (Duration, &mut Option<Duration>),
        keep: Keep,
        load: &mut dyn FnMut(&K) -> Loaded<K, V>,
    ) -> Result<Option<Fetched<V>>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Entered first, so that the flight is ours from its birth: another loader that wants the key
        // must not run it in our place, with the bucket's loader.
        let running = Running::enter()?;
        let view = self.store.view();
        let plan = Plan {
            reload: false,
            runner: at_birth(runner::current()),
            not_in: None,
            keep,
        };
        let part = self.any_part(&view, hash, key, &plan)?;
        let floors = view.tag_floors.clone();
        drop(view);
        if until.is_none() {
            self.tell_part(&part, key);
        }
        let flight = match part {
            Part::Join(flight) => {
                drop(running);
                self.take_over_queued(std::iter::once(&flight), limit);
                let until = *until.get_or_insert_with(|| self.deadline(limit));
                let answer = self.wait(&flight, false, floors.as_ref(), until);
                return answer.transpose();
            }
            Part::Lead(flight) => flight,
            Part::Absent => return Ok(Some(Fetched::new(None, Origin::Hit))),
        };
        let until = *until.get_or_insert_with(|| self.deadline(limit));
        // Until it is concluded below, whatever happens.
        let guard = Led {
            loads: self,
            flights: vec![Arc::clone(&flight)],
        };
        let mut live = None;
        let open = self.queue.begin_unqueued(&[Arc::clone(&flight)], || {
            live.insert(self.store.begin_load()).number()
        });
        if open {
            let mut left = vec![Arc::clone(&flight)];
            while self.run_own(&flight, load) == End::Outdated {
                live = self.begin_again(&mut left, Some(until));
                if live.is_none() {
                    break;
                }
            }
        } else if !fault::planted("closed_unanswered") {
            self.end(&flight, Answer::Failed(Error::closed()));
        }
        guard.disarm();
        drop((live, running));
        self.wait(&flight, true, None, self.deadline(limit))
            .transpose()
    }

    /// Runs the caller's own loader for a flight that has begun.
    fn run_own(&self, flight: &Arc<Flight<K, V>>, load: &mut dyn FnMut(&K) -> Loaded<K, V>) -> End {
        let number = flight.number();
        let view = self.store.load_view();
        if let Some(end) = self.end_cached(flight, number, &view) {
            return end;
        }
        drop(view);
        self.stats.batch(1);
        let mut load = |key| self.stats.loader.time(|| self.clock.now(), || load(key));
        match contained(|| load(flight.key()).apart(flight.key())) {
            Ok(brought) => {
                self.store_extras(brought.others, number);
                self.conclude(flight, brought.outcome, brought.told, number, None)
            }
            Err(error) => {
                self.events.send(Event::LoadFailed {
                    keys: 1,
                    error: error.clone(),
                });
                self.end_current(flight, number, Answer::Failed(error))
            }
        }
    }
}
