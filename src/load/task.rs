//! Tasks that wait: what [`request`](super::request) does for threads. DESIGN.md, "Tasks".
//!
//! A task sets out as a thread does, and hands what it misses to the loader threads. A poll never waits, but for one on a
//! thread that is inside a loader.

use std::borrow::Borrow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Loads;
use super::again::Round;
use super::flight::{Answer, Flight, Keep};
use super::promise::Answered;
use super::request::SetOut;
use super::runner;
use crate::error::Error;
use crate::fetched::Fetched;
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// Who waits for so long has no deadline of ours.
const FOR_EVER: Duration = Duration::MAX;

/// The loading side, for who waits for flights and need not know its hasher.
pub(crate) trait Lands<K, V>: Send + Sync {
    /// Waits on this thread, which is inside a loader: what is queued it runs itself.
    fn land(&self, flight: &Arc<Flight<K, V>>, limit: Duration) -> Result<(), Error>;

    /// Whether all of them are over by the limit.
    fn land_all(&self, flights: &[Arc<Flight<K, V>>], limit: Duration) -> bool;
}

impl<K: Key, V: Value, S: HashBuilder> Lands<K, V> for Loads<K, V, S> {
    fn land(&self, flight: &Arc<Flight<K, V>>, limit: Duration) -> Result<(), Error> {
        self.take_over_queued(std::iter::once(flight), limit);
        self.awaited(flight, self.deadline(limit)).map(|_| ())
    }

    fn land_all(&self, flights: &[Arc<Flight<K, V>>], limit: Duration) -> bool {
        self.wait_over(flights, limit)
    }
}

/// A task's wait for the end of a flight. An error is this task's alone: it may not wait for this flight, or has waited
/// inside a loader for too long.
pub(crate) struct Landing<'f, K, V> {
    loads: &'f Arc<dyn Lands<K, V>>,
    flight: &'f Arc<Flight<K, V>>,
    /// For how long a thread inside a loader waits.
    limit: Duration,
    waits: Answered<'f, Answer<V>>,
}

impl<'f, K, V> Landing<'f, K, V> {
    pub(crate) fn new(
        loads: &'f Arc<dyn Lands<K, V>>,
        flight: &'f Arc<Flight<K, V>>,
        limit: Duration,
    ) -> Self {
        Self {
            loads,
            flight,
            limit,
            waits: flight.promise().answered(),
        }
    }
}

impl<K, V> Future for Landing<'_, K, V> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if runner::current() != 0 && !fault::planted("task_sleeps_inside_a_loader") {
            // Who drives this task would sleep, and may be the only one to run what it waits for.
            return Poll::Ready(self.loads.land(self.flight, self.limit));
        }
        Pin::new(&mut self.waits).poll(task).map(|_| Ok(()))
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// As [`fetch`](Self::fetch), for a task. `limit` is for threads inside loaders.
    pub(crate) async fn fetch_async<Q>(
        self: &Arc<Self>,
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
        let loads: Arc<dyn Lands<K, V>> = Arc::clone(self) as _;
        loop {
            let (flight, leads, floors) = match self.set_out(hash, key, until, keep) {
                SetOut::Known(known) => return known,
                SetOut::Waits((flight, leads), floors) => (flight, leads, floors),
            };
            Landing::new(&loads, &flight, limit).await?;
            // It is answered, so there is nothing to wait for.
            if let Some(answer) = self.wait(&flight, leads, floors.as_ref(), FOR_EVER) {
                return answer;
            }
            until = Some(FOR_EVER);
        }
    }

    /// As [`fetch_many`](Self::fetch_many), for a task.
    pub(crate) async fn fetch_many_async<'q, Q>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'q Q>,
        limit: Duration,
        keep: Keep,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let Round {
            asked,
            mut answers,
            mut again,
            cached,
        } = self.fetch_round_async(keys, true, limit, keep).await;
        self.store.count_reads(answers.len(), cached);
        while !again.is_empty() {
            let keys: Vec<&Q> = again.iter().map(|&at| asked[at].1).collect();
            let keys = keys.into_iter();
            let round = self.fetch_round_async(keys, false, limit, keep).await;
            let outdated = round.again.into_iter().map(|at| again[at]).collect();
            for (at, answer) in again.into_iter().zip(round.answers) {
                answers[at] = answer;
            }
            again = outdated;
        }
        answers
    }

    async fn fetch_round_async<'q, Q>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'q Q>,
        first: bool,
        limit: Duration,
        keep: Keep,
    ) -> Round<'q, Q, V>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let mut out = self.set_out_many(keys, first, keep);
        if out.waits.is_empty() {
            return out.round;
        }
        let loads: Arc<dyn Lands<K, V>> = Arc::clone(self) as _;
        // As in `fetch_round`, the last first.
        for (at, (flight, leads)) in out.waits.iter().rev() {
            let landed = Landing::new(&loads, flight, limit).await;
            let answer = match landed {
                Ok(()) => self.wait(flight, *leads, out.floors.as_ref(), FOR_EVER),
                Err(error) => Some(Err(error)),
            };
            out.round.took(*at, answer);
        }
        self.end_round(out)
    }
}
