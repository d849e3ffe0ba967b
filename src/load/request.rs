//! What callers ask for: one key or many, with the bucket's loader or their own, waited for or not.

use std::borrow::Borrow;
use std::time::Duration;

use super::Loads;
use super::again::Round;
use super::flight::{Flight, Keep, Plan};
use super::join::{Led, Part, QUEUED};
use super::queue::Urgency;
use crate::error::Error;
use crate::events::KeyEvent;
use crate::fetched::{Fetched, Origin};
use crate::stats::Counters;
use crate::store::{AT_ONCE, Found, TagFloors};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// Flights that were asked for, and keys that found no room in the queue.
pub(crate) struct Requested<K, V> {
    pub(crate) flights: Vec<Arc<Flight<K, V>>>,
    pub(crate) rejected: Vec<K>,
}

/// A flight to wait for, and whether it is led by who waits.
pub(super) type Wanted<K, V> = (Arc<Flight<K, V>>, bool);

/// What there is to do for who has missed a key.
pub(super) enum SetOut<K, V> {
    /// Nothing: it is answered.
    Known(Result<Fetched<V>, Error>),
    /// For a flight, with the floors of tags at the time.
    Waits(Wanted<K, V>, Option<Arc<TagFloors>>),
}

/// The same of many keys.
pub(super) struct SetOutMany<'q, K, V, Q: ?Sized> {
    /// With a place for each answer that is to come.
    pub(super) round: Round<'q, Q, V>,
    /// What is to come for each of these places.
    pub(super) waits: Vec<(usize, Wanted<K, V>)>,
    /// The floors of tags at the time.
    pub(super) floors: Option<Arc<TagFloors>>,
    /// The number of the last reset when the cached ones were found.
    reset: u64,
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// The values of many keys: hits from one view, all misses together in one request. Some of them may be older than
    /// a reset.
    pub(super) fn fetch_round<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        (limit, until): (Duration, &mut Option<Duration>),
        keep: Keep,
    ) -> Round<'q, Q, V>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let mut out = self.set_out_many(keys, until.is_none(), keep);
        if out.waits.is_empty() {
            return out.round;
        }
        self.take_over_queued(out.waits.iter().map(|(_, (flight, _))| flight), limit);
        let deadline = *until.get_or_insert_with(|| self.deadline(limit));
        // The last is answered last, more often than not: then this thread sleeps once.
        for (at, (flight, leads)) in out.waits.iter().rev() {
            let answer = self.wait(flight, *leads, out.floors.as_ref(), deadline);
            out.round.took(*at, answer);
        }
        self.end_round(out)
    }

    /// Joins the flights of those keys that are not cached, or leads them and queues them together.
    pub(super) fn set_out_many<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        first: bool,
        keep: Keep,
    ) -> SetOutMany<'q, K, V, Q>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let view = self.store.view();
        let reset = view.reset;
        let mut waits = Vec::new();
        let mut cached = 0;
        let mut asked = Vec::with_capacity(keys.size_hint().0);
        let mut answers = Vec::with_capacity(keys.size_hint().0);
        let mut led = Led {
            loads: self,
            flights: Vec::new(),
        };
        let mut hits = Vec::with_capacity(AT_ONCE);
        // Some iterators go on after their end.
        let mut keys = keys.fuse();
        loop {
            let before = asked.len();
            let some = keys.by_ref().take(AT_ONCE);
            asked.extend(some.map(|key| (self.store.hash(key), key)));
            let group = &asked[before..];
            if group.is_empty() {
                break;
            }
            view.current.table.hits(group, &mut hits);
            let _held = self.in_flight.hold();
            for (&(hash, key), hit) in group.iter().zip(&hits) {
                let found = hit.map_or_else(|| view.beyond_hit(hash, key), Found::Table);
                if let Some(value) = found.value() {
                    cached += 1;
                    answers.push(Ok(Fetched::new(Some(value.clone()), Origin::Hit)));
                    continue;
                }
                let not_in = matches!(found, Found::Nothing).then_some(view.current.epoch);
                let at = answers.len();
                answers.push(self.part(&view, hash, key, not_in, keep).map(|part| {
                    if first {
                        self.tell_part(&part, key);
                    }
                    let (flight, leads) = match part {
                        Part::Absent => return Fetched::new(None, Origin::Hit),
                        Part::Join(flight) => (flight, false),
                        Part::Lead(flight) => {
                            led.flights.push(Arc::clone(&flight));
                            (flight, true)
                        }
                    };
                    waits.push((at, (flight, leads)));
                    // Stands here until the flight is waited for.
                    Fetched::new(None, Origin::Joined)
                }));
            }
        }
        drop(hits);
        let floors = view.tag_floors.clone();
        // Not held while we wait: a view keeps what was replaced since from being freed.
        drop(view);
        led.push(Urgency::Miss);
        let round = Round {
            asked,
            answers,
            again: Vec::new(),
            cached,
        };
        SetOutMany {
            round,
            waits,
            floors,
            reset,
        }
    }

    /// The answers, once all were waited for.
    pub(super) fn end_round<'q, Q>(&self, out: SetOutMany<'q, K, V, Q>) -> Round<'q, Q, V>
    where
        Q: ?Sized,
    {
        let SetOutMany {
            mut round,
            waits,
            reset,
            ..
        } = out;
        // What was found was there before the reset, and who has waited is to be told what is so now.
        if self.store.view().reset != reset && !fault::planted("keeps_hits_of_before") {
            let mut waits = waits.iter().map(|&(at, ..)| at).peekable();
            let found = 0..round.answers.len();
            let found = found.filter(|at| waits.next_if_eq(at).is_none());
            round.again.extend(found);
        }
        round
    }

    /// The values of many keys: hits from one view, and [`fetch_all`](Self::fetch_all) for the others.
    pub(crate) fn get_many<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        limit: Duration,
        keep: Keep,
    ) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let keys: Vec<&Q> = keys.collect();
        let mut values = Vec::with_capacity(keys.len());
        let mut missed = Vec::new();
        let hash = |key: &Q| self.store.hash(key);
        let view = self.store.view();
        let reset = view.reset;
        view.get_many(&keys, hash, |key, found| {
            if found.is_none() {
                missed.push((values.len(), key));
            }
            values.push(found.cloned());
        });
        drop(view);
        if missed.is_empty() {
            return values;
        }
        let until = self.deadline(limit);
        let left = missed.iter().map(|&(_, key)| key);
        let (fetched, _) = self.fetch_all(left, limit, keep);
        if self.store.view().reset != reset {
            // What was found is of before, and who has waited is to be told what is so now.
            let left = until.saturating_sub(self.clock.now());
            let (fetched, _) = self.fetch_all(keys.into_iter(), left, keep);
            let value = |fetched: Result<Fetched<V>, Error>| fetched.ok()?.into_value();
            return fetched.into_iter().map(value).collect();
        }
        for ((at, _), fetched) in missed.into_iter().zip(fetched) {
            values[at] = fetched.ok().and_then(Fetched::into_value);
        }
        values
    }

    /// The value of a key that was not found in a view.
    pub(crate) fn fetch<Q>(
        &self,
        hash: u64,
        key: &Q,
        limit: Duration,
        keep: Keep,
    ) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut until = None;
        loop {
            let (flight, leads, floors) = match self.set_out(hash, key, until, keep) {
                SetOut::Known(known) => return known,
                SetOut::Waits((flight, leads), floors) => (flight, leads, floors),
            };
            self.take_over_queued(std::iter::once(&flight), limit);
            let until = *until.get_or_insert_with(|| self.deadline(limit));
            if let Some(answer) = self.wait(&flight, leads, floors.as_ref(), until) {
                return answer;
            }
        }
    }

    /// Joins the flight of a key that was not found in a view, or leads and queues one. `until` is there if this is not
    /// the first time.
    pub(super) fn set_out<Q>(
        &self,
        hash: u64,
        key: &Q,
        until: Option<Duration>,
        keep: Keep,
    ) -> SetOut<K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let view = self.store.view();
        if let Some(known) = self.known_again(&view, hash, key, until) {
            return SetOut::Known(known);
        }
        let part = match self.part(&view, hash, key, None, keep) {
            Ok(part) => part,
            Err(error) => return SetOut::Known(Err(error)),
        };
        let floors = view.tag_floors.clone();
        drop(view);
        if until.is_none() {
            self.tell_part(&part, key);
        }
        match part {
            Part::Absent => SetOut::Known(Ok(Fetched::new(None, Origin::Hit))),
            Part::Join(flight) => SetOut::Waits((flight, false), floors),
            Part::Lead(flight) => {
                let mut led = Led {
                    loads: self,
                    flights: vec![Arc::clone(&flight)],
                };
                led.push(Urgency::Miss);
                SetOut::Waits((flight, true), floors)
            }
        }
    }

    /// Tells what a call that has missed a key is about to do.
    pub(super) fn tell_part<Q>(&self, part: &Part<K, V>, key: &Q)
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let event = match part {
            Part::Lead(_) => KeyEvent::Missed,
            Part::Join(_) => KeyEvent::Blocked,
            Part::Absent => KeyEvent::Absent,
        };
        Counters::note(&self.stats.joined, usize::from(event == KeyEvent::Blocked));
        self.tell(event, key);
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
            let found = view.look(hash, &key);
            let cached = found.value().is_some();
            if !cached && self.is_known_absent(&view, hash, &key) {
                continue;
            }
            let plan = Plan {
                reload: cached,
                runner: QUEUED,
                not_in: matches!(found, Found::Nothing).then_some(view.current.epoch),
                keep: Keep::USUAL,
            };
            match self.any_part(&view, hash, &key, &plan) {
                Ok(Part::Join(flight)) => requested.flights.push(flight),
                Ok(Part::Lead(flight)) => {
                    let led = if cached { &mut reloads } else { &mut misses };
                    led.flights.push(Arc::clone(&flight));
                    requested.flights.push(flight);
                }
                Ok(Part::Absent) => {}
                Err(_) => requested.rejected.push(key),
            }
        }
        drop(view);
        let mut refused = misses.push(Urgency::Miss);
        refused.extend(reloads.push(Urgency::Reload));
        if !refused.is_empty() {
            let mut gone: Vec<_> = refused.iter().map(Arc::as_ptr).collect();
            gone.sort_unstable();
            requested
                .flights
                .retain(|flight| gone.binary_search(&Arc::as_ptr(flight)).is_err());
            requested
                .rejected
                .extend(refused.iter().map(|flight| flight.key().clone()));
        }
        requested
    }
}
