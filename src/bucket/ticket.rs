//! Tickets: what was asked for in the background, and can be waited for.

use std::fmt;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::load::{Landing, Lands, Loads, Requested};
use crate::refresh::control::Reply;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

/// Loads that were requested. See [`Bucket::request_load`](super::Bucket::request_load).
///
/// Dropping it changes nothing: the loads go on.
pub struct Ticket<K, V> {
    requested: Requested<K, V>,
    loads: Arc<dyn Lands<K, V>>,
    /// How long a thread inside a loader waits at most, where it is not said.
    wait_limit: Duration,
}

impl<K: Key, V: Value> Ticket<K, V> {
    pub(super) fn new<S: HashBuilder>(
        loads: Arc<Loads<K, V, S>>,
        wait_limit: Duration,
        keys: impl Iterator<Item = K>,
    ) -> Self {
        Self {
            requested: loads.request(keys),
            loads,
            wait_limit,
        }
    }

    /// Waits until every load is over, well or badly. `false` if that takes longer than `limit`.
    pub fn wait(&self, limit: Duration) -> bool {
        self.loads.land_all(&self.requested.flights, limit)
    }

    /// As [`wait`](Self::wait), for a task, and with no limit: see [`Bucket::get_async`](super::Bucket::get_async).
    /// `false` if the task is inside a loader that one of the loads waits for, or has waited there for the wait limit.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// # runtime.block_on(async {
    /// let ticket = bucket.request_load(1..=100);
    /// assert!(ticket.wait_async().await);
    /// # });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_async(&self) -> bool {
        // As in `fetch_many`, the last first.
        for flight in self.requested.flights.iter().rev() {
            let landing = Landing::new(&self.loads, flight, self.wait_limit);
            if landing.await.is_err() {
                return false;
            }
        }
        true
    }

    /// Whether every load is over, well or badly.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.requested.flights.iter().all(|flight| flight.is_over())
    }

    /// Keys that were not taken: the queue was full, or the bucket has been shut down.
    #[must_use]
    pub fn rejected(&self) -> &[K] {
        &self.requested.rejected
    }
}

impl<K, V> fmt::Debug for Ticket<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("loads", &self.requested.flights.len())
            .field("rejected", &self.requested.rejected.len())
            .finish()
    }
}

/// A refresh that was asked for. See [`Bucket::refresh`](super::Bucket::refresh).
///
/// Dropping it changes nothing: the refresh goes on.
pub struct RefreshTicket {
    reply: Reply<()>,
    clock: Clock,
}

impl RefreshTicket {
    pub(super) fn new(reply: Reply<()>, clock: Clock) -> Self {
        Self { reply, clock }
    }

    /// Waits until the refresh is over.
    ///
    /// # Errors
    ///
    /// `Timeout` if it takes longer than `limit`; else why the refresh failed as a whole. Keys whose
    /// reload failed are kept, counted and reported, and are no error here.
    pub fn wait(&self, limit: Duration) -> Result<(), Error> {
        let deadline = self.clock.now().saturating_add(limit);
        let reply = self.reply.wait(&self.clock, deadline);
        reply.cloned().unwrap_or_else(|| Err(Error::timeout()))
    }

    /// As [`wait`](Self::wait), for a task, and with no limit: see [`Bucket::get_async`](super::Bucket::get_async).
    ///
    /// # Errors
    ///
    /// As there, but for `Timeout`.
    pub async fn wait_async(&self) -> Result<(), Error> {
        self.reply.answered().await.clone()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn result(&self) -> Option<Result<(), Error>> {
        self.reply.peek().cloned()
    }
}

impl fmt::Debug for RefreshTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTicket")
            .field("result", &self.result())
            .finish()
    }
}
