//! How a flight ends: stored, out of the in-flight table, answered; or not, as the bucket was reset meanwhile.
//! DESIGN.md, "Reset".

use std::time::Duration;

use super::Loads;
use super::flight::{Answer, Flight};
use crate::contain::{contained, drop_contained};
use crate::error::{Error, ErrorKind};
use crate::events::KeyEvent;
use crate::stats::Counters;
use crate::store::{LiveLoad, View};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// What has become of a flight whose load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Answered, with a value or an absence.
    Well,
    /// Answered with an error.
    Failed,
    /// Not answered, as the bucket was reset since the load began: it has to be run again.
    Outdated,
}

/// Why a flight was not answered.
enum Unanswered<V> {
    Outdated,
    /// So many have joined by now, and may want something else. This would have been the answer.
    Joined(u64, Answer<V>),
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Answers a flight, unless the bucket was reset since its load of this number began.
    pub(super) fn end_current(
        &self,
        flight: &Arc<Flight<K, V>>,
        number: u64,
        answer: Answer<V>,
    ) -> End {
        let failed = matches!(answer, Answer::Failed(_));
        if number >= self.store.view().reset {
            self.tell_failed(flight, &answer);
        }
        self.remember(flight, number, &answer);
        match self.try_end(flight, number, None, answer) {
            Ok(()) if failed => End::Failed,
            Ok(()) => End::Well,
            Err(_) => End::Outdated,
        }
    }

    /// Answers a flight with what is cached of its key, which has come since its leader looked. `None` if nothing is
    /// cached, or somebody wants the key loaded in any case. `first` is a view that was loaded after the flight began.
    ///
    /// Looks again when somebody has joined since it looked, so what is found was there after all who wait began to.
    pub(super) fn end_cached(
        &self,
        flight: &Arc<Flight<K, V>>,
        number: u64,
        first: &View<K, V>,
    ) -> Option<End> {
        let mut joined = 0;
        loop {
            if flight.wants_reload() {
                return None;
            }
            let found = match joined {
                0 => first.uncounted(flight.hash(), flight.key()).cloned(),
                _ => {
                    let view = self.store.view();
                    view.uncounted(flight.hash(), flight.key()).cloned()
                }
            };
            match self.try_end(flight, number, Some(joined), Answer::Hit(found?)) {
                Ok(()) => return Some(End::Well),
                Err(Unanswered::Outdated) => return Some(End::Outdated),
                Err(Unanswered::Joined(now, _)) => joined = now,
            }
        }
    }

    /// Answers a flight with what is not stored, as nobody who waits wants it stored. Gives the value back if somebody
    /// does.
    pub(super) fn end_unsaved(
        &self,
        flight: &Arc<Flight<K, V>>,
        number: u64,
        mut value: V,
    ) -> Result<End, V> {
        let mut joined = 0;
        while !flight.wants_saved() {
            self.store
                .load_succeeded(number, flight.hash(), flight.key());
            match self.try_end(flight, number, Some(joined), Answer::Ignored(value)) {
                Err(Unanswered::Joined(now, Answer::Ignored(back))) => {
                    (joined, value) = (now, back);
                }
                Ok(()) => return Ok(End::Well),
                Err(_) => return Ok(End::Outdated),
            }
        }
        Err(value)
    }

    /// The end of a flight, in one step for a reset: what it does not find answered is not answered any more. Where
    /// `joined` is given, only if no more have joined.
    fn try_end(
        &self,
        flight: &Arc<Flight<K, V>>,
        number: u64,
        joined: Option<u64>,
        answer: Answer<V>,
    ) -> Result<(), Unanswered<V>> {
        // What is freed by who takes flights out of the table is freed after the gate, and what is the user's is
        // dropped there.
        let _held = self.in_flight.hold();
        let mut answer = Some(answer);
        let ended = self.store.unless_reset(number, || {
            if let Some(joined) = joined {
                flight.settle(joined)?;
            }
            self.take_out(flight);
            let answered = answer
                .take()
                .map(|answer| flight.answer(answer, &self.stats));
            Ok(answered)
        });
        match (ended, answer) {
            (Some(Ok(answered)), _) => {
                drop_contained(answered);
                Ok(())
            }
            (Some(Err(now)), Some(answer)) => Err(Unanswered::Joined(now, answer)),
            (_, answer) => {
                drop_contained(answer);
                Err(Unanswered::Outdated)
            }
        }
    }

    /// Takes a flight out of the in-flight table and answers it in any case: with an error that is nobody's of a
    /// version.
    pub(crate) fn end(&self, flight: &Arc<Flight<K, V>>, answer: Answer<V>) {
        self.tell_failed(flight, &answer);
        if flight.number() != 0 && !flight.is_over() {
            self.remember(flight, flight.number(), &answer);
        }
        self.take_out(flight);
        drop_contained(flight.answer(answer, &self.stats));
        flight.drop_context();
    }

    /// Before it is answered: whoever goes on because of it may end the bucket, and nothing is told then.
    fn tell_failed(&self, flight: &Flight<K, V>, answer: &Answer<V>) {
        if let Answer::Failed(error) = answer
            && !error.is_closed()
            && !flight.is_over()
        {
            self.tell(KeyEvent::Failed, flight.key());
        }
    }

    /// Before it is answered, too: who was told that a load has failed finds out why, and who was told of a value finds
    /// nothing of an earlier failure. What ends with the bucket has not failed.
    fn remember(&self, flight: &Flight<K, V>, number: u64, answer: &Answer<V>) {
        let (hash, key) = (flight.hash(), flight.key());
        match answer {
            Answer::Failed(error) if error.is_closed() => {}
            Answer::Failed(error) => {
                let missed = !flight.wants_reload();
                self.store.load_failed((number, missed), hash, key, error);
            }
            Answer::Loaded(_) | Answer::Ignored(_) | Answer::Absent => {
                self.store.load_succeeded(number, hash, key);
            }
            // Nothing was loaded.
            Answer::Hit(_) => {}
        }
    }

    /// Takes a flight out of the in-flight table, by identity.
    fn take_out(&self, flight: &Arc<Flight<K, V>>) {
        // A key's `Eq` may panic. Then the flight stays in the table, where, being over, it is replaced
        // by the next one.
        let _ = contained(|| {
            self.in_flight
                .remove_if(flight.hash(), flight.key(), |there| {
                    fault::planted("flight_removed_by_key") || std::ptr::eq(there, &**flight)
                });
        });
    }

    /// Begins flights again that are outdated. `None` if there is nothing left to do: they are over, by now or because
    /// the bucket is closed or it is past `until`.
    pub(super) fn begin_again(
        &self,
        flights: &mut Vec<Arc<Flight<K, V>>>,
        until: Option<Duration>,
    ) -> Option<LiveLoad<'_>> {
        // A bucket that closes has answered them.
        flights.retain(|flight| !flight.is_over());
        if flights.is_empty() {
            return None;
        }
        let late = until.is_some_and(|until| self.clock.now() >= until);
        let mut live = None;
        let begun = !late
            && self
                .queue
                .begin_unqueued(flights, || live.insert(self.store.begin_load()).number());
        if begun {
            Counters::add(&self.stats.run_again, flights.len());
            return live;
        }
        let error = if late {
            Error::new(
                ErrorKind::Timeout,
                "reset again and again within the time limit",
            )
        } else {
            Error::closed()
        };
        for flight in flights.drain(..) {
            self.end(&flight, Answer::Failed(error.clone()));
        }
        None
    }
}
