//! Warmers, run when somebody asks for it.

use std::fmt;
use std::time::Duration;

use super::Bucket;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::refresh::control::Reply;
use crate::refresh::warm::Runs;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Has these [warmers](super::Builder::warmer) run now, in the background, and returns at once.
    ///
    /// The interval of each counts from the end of this run. A run that is under way goes on, and another one follows
    /// for this call, since the first may have read its source already; those who ask before that begins share it. After
    /// a shutdown nothing is run, and the ticket says so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::{ErrorKind, Warm};
    ///
    /// let bucket = larder::Bucket::<u32, &str>::builder("words")
    ///     .warmer("short", Warm::with(|_| Ok::<_, std::io::Error>([(1, "one")])))
    ///     .warmer("long", Warm::with(|_| Ok::<_, std::io::Error>([(3, "three")])))
    ///     .build()?;
    /// let ticket = bucket.warm(["short"])?;
    /// assert_eq!(ticket.names().collect::<Vec<_>>(), ["short"]);
    /// ticket.wait(Duration::from_secs(5))?;
    /// assert_eq!(bucket.peek(&1), Some("one"));
    /// assert_eq!(bucket.warm(["none"]).unwrap_err().kind(), ErrorKind::NoWarmer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `NoWarmer` if there is none of one of these names: then none is run.
    pub fn warm<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<WarmTicket, Error> {
        let mut wanted: Vec<&Arc<Runs>> = Vec::new();
        for name in names {
            let runs = self.core.warmers.iter().find(|runs| &**runs.name() == name);
            let Some(runs) = runs else {
                let message = format!("the bucket has no warmer `{name}`");
                return Err(Error::new(ErrorKind::NoWarmer, message));
            };
            if !wanted.iter().any(|wanted| Arc::ptr_eq(wanted, runs)) {
                wanted.push(runs);
            }
        }
        Ok(WarmTicket::of(wanted, &self.core.clock))
    }

    /// The same of all warmers; of a bucket that has none, nothing.
    pub fn warm_all(&self) -> WarmTicket {
        WarmTicket::of(self.core.warmers.iter().collect(), &self.core.clock)
    }
}

/// Runs of warmers that were asked for. See [`Bucket::warm`].
///
/// Dropping it changes nothing: they are run.
pub struct WarmTicket {
    runs: Vec<(Arc<Runs>, Reply<()>)>,
    clock: Clock,
}

impl WarmTicket {
    fn of(runs: Vec<&Arc<Runs>>, clock: &Clock) -> Self {
        let runs = runs.into_iter();
        Self {
            runs: runs.map(|runs| (Arc::clone(runs), runs.ask())).collect(),
            clock: clock.clone(),
        }
    }

    /// The names of the warmers that run.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|(runs, _)| &**runs.name())
    }

    /// Waits until all of them are over.
    ///
    /// # Errors
    ///
    /// Why one of them failed, the first in their order; `Timeout` if it takes longer than `limit`, and the runs go on;
    /// `Closed` after a shutdown; `Recursion` for a warmer that would wait for itself.
    pub fn wait(&self, limit: Duration) -> Result<(), Error> {
        let deadline = self.clock.now().saturating_add(limit);
        let mut first = Ok(());
        for (runs, reply) in &self.runs {
            let ended = match reply.peek() {
                Some(ended) => ended.clone(),
                None if runs.is_own_thread() => return Err(waits_for_itself()),
                None => {
                    let ended = reply.wait(&self.clock, deadline);
                    ended.cloned().unwrap_or_else(|| Err(Error::timeout()))
                }
            };
            if first.is_ok() {
                first = ended;
            }
        }
        first
    }

    /// As [`wait`](Self::wait), for a task, and with no limit: see [`Bucket::get_async`].
    ///
    /// # Errors
    ///
    /// As there, but for `Timeout`.
    pub async fn wait_async(&self) -> Result<(), Error> {
        let mut first = Ok(());
        for (runs, reply) in &self.runs {
            if !reply.is_answered() && runs.is_own_thread() {
                return Err(waits_for_itself());
            }
            let ended = reply.answered().await;
            if first.is_ok() {
                first.clone_from(ended);
            }
        }
        first
    }

    /// How each has ended, if it has, by its name.
    pub fn results(&self) -> impl Iterator<Item = (&str, Option<Result<(), Error>>)> {
        let runs = self.runs.iter();
        runs.map(|(runs, reply)| (&**runs.name(), reply.peek().cloned()))
    }

    /// Whether all of them are over, well or badly.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.runs.iter().all(|(_, reply)| reply.is_answered())
    }
}

fn waits_for_itself() -> Error {
    Error::new(ErrorKind::Recursion, "a warmer waits for itself")
}

impl fmt::Debug for WarmTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.results()).finish()
    }
}
