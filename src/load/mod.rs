//! Loading: what is wanted, by whom, and how it is brought. DESIGN.md, "Single flight".
//!
//! One in-flight table and one queue serve every path. A caller joins the current flight of its key or
//! leads a new one ([`request`], [`join`]); a loader thread takes batches off the queue ([`worker`]), asks the
//! user's loader, stores what it says and answers ([`batch`]).

mod again;
mod ask;
mod batch;
mod context;
mod end;
mod exists;
mod flight;
mod haste;
mod join;
mod keep;
mod late;
mod own;
mod promise;
mod queue;
mod reloads;
mod request;
mod runner;
mod states;
mod sweep;
mod tagged;
mod task;
mod warm;
mod worker;

use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::events::{Events, KeyEvent, KeyEvents};
use crate::loader::{BulkLoader, Loader, Outcome};
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::{Arc, Map, fault};
use crate::{HashBuilder, Key, Value};

use self::flight::Answer;
use self::haste::Haste;
use self::queue::Queue;

pub(crate) use self::context::Context;
pub(crate) use self::exists::{Ask, Exists};
pub(crate) use self::flight::{Flight, Keep};
#[cfg(all(test, larder_loom))]
pub(crate) use self::promise::Answered;
pub(crate) use self::promise::{Promise, Woken};
pub(crate) use self::request::Requested;
pub(crate) use self::runner::Running;
#[cfg(feature = "tokio")]
pub(crate) use self::runner::StandIn;
pub use self::states::LoadCounts;
pub(crate) use self::sweep::{Sweep, Swept};
pub(crate) use self::task::{Landing, Lands};

/// Where values come from.
pub(crate) enum Source<K, V> {
    None,
    Single(Box<dyn Loader<K, V>>),
    /// Given alone or beside a single loader: then every load goes through this one.
    Bulk(Box<dyn BulkLoader<K, V>>),
}

/// The loading side of one bucket.
pub(crate) struct Loads<K: Key, V: Value, S: HashBuilder> {
    store: Arc<Store<K, V, S>>,
    in_flight: Map<Flight<K, V>>,
    queue: Queue<K, V>,
    source: Source<K, V>,
    /// Asked whether a key exists, before it is loaded.
    exists: Option<Exists<K>>,
    haste: Haste,
    stats: Arc<Counters>,
    events: Arc<Events>,
    /// Who is told of what happens to keys.
    key_events: Option<KeyEvents<K>>,
    clock: Clock,
    /// How long a value lives, if not for ever, of which the loader does not say it.
    ttl: Option<Duration>,
    /// For how long a value is served whose reload failed, if that has an end.
    max_stale: Option<Duration>,
    /// Has the last word on what a reload brings.
    refresh_filter: Option<RefreshFilter<K, V>>,
    /// How long a refresh waits for a batch, if that has an end.
    refresh_timeout: Option<Duration>,
    /// Around the calls of the loader.
    context: Option<Context>,
}

/// See [`Builder::refresh_filter`](crate::Builder::refresh_filter).
pub(crate) type RefreshFilter<K, V> = Box<dyn Fn(&K, Outcome<V>) -> Outcome<V> + Send + Sync>;

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadState {
    /// Neither cached nor wanted.
    Unknown,
    /// The same, and the last load of it failed: see [`Bucket::last_failure`](crate::Bucket::last_failure). The next
    /// `get` loads it, as any key that is not cached.
    Failed,
    /// Not cached, and queued for a load.
    Requested,
    /// Not cached, and being loaded.
    Loading,
    /// Cached.
    Cached,
    /// Cached, and queued for a reload.
    ReloadRequested,
    /// Cached, and being reloaded.
    Reloading,
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    pub(crate) fn new(
        store: Arc<Store<K, V, S>>,
        source: Source<K, V>,
        config: &Config,
        stats: Arc<Counters>,
        events: Arc<Events>,
        clock: Clock,
    ) -> Self {
        // Without a batch loader there is nothing to gain from a batch.
        let batch_size = match &source {
            Source::Bulk(_) => config.batch_size,
            Source::Single(_) | Source::None => 1,
        };
        // One loader thread stays free for misses, where there is more than one.
        let sweepers = config.loader_threads.saturating_sub(1).max(1);
        let queue = Queue::new(
            config.queue_capacity,
            batch_size,
            config.linger,
            sweepers,
            clock.clone(),
        );
        Self {
            store,
            in_flight: Map::with_capacity(0),
            queue,
            source,
            exists: None,
            haste: Haste::new(),
            stats,
            events,
            key_events: None,
            clock,
            ttl: config.ttl,
            max_stale: config.max_stale,
            refresh_filter: None,
            refresh_timeout: config.refresh_timeout,
            context: None,
        }
    }

    /// The same, where a hook says whether a key exists.
    pub(crate) fn asking(self, exists: Option<Exists<K>>) -> Self {
        Self { exists, ..self }
    }

    /// The same, with a filter for what reloads bring.
    pub(crate) fn filtered(self, refresh_filter: Option<RefreshFilter<K, V>>) -> Self {
        Self {
            refresh_filter,
            ..self
        }
    }

    /// The same, with somebody to be told of what happens to keys.
    pub(crate) fn observed(self, key_events: Option<KeyEvents<K>>) -> Self {
        Self { key_events, ..self }
    }

    pub(crate) fn key_events(&self) -> Option<&KeyEvents<K>> {
        self.key_events.as_ref()
    }

    /// Tells who observes keys.
    #[inline]
    pub(crate) fn tell<Q>(&self, event: KeyEvent, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        if let Some(key_events) = &self.key_events {
            key_events.tell(event, || key.to_owned());
        }
    }

    /// What is remembered of keys that exist and of those that do not, for who writes.
    pub(crate) fn exists(&self) -> Option<&Exists<K>> {
        self.exists.as_ref()
    }

    pub(crate) fn has_loader(&self) -> bool {
        !matches!(self.source, Source::None)
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn under_way(&self) -> usize {
        self.in_flight.len().saturating_sub(self.queue.len())
    }

    /// Where the key stands. Weakly consistent.
    pub(crate) fn state<Q>(&self, hash: u64, key: &Q) -> LoadState
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let flight = self
            .in_flight
            .get(hash, key)
            .filter(|flight| !flight.is_over());
        let cached = self.store.view().is_present(hash, key);
        match (cached, flight.map(|flight| flight.has_begun())) {
            (false, None) if self.store.last_failure(hash, key).is_some() => LoadState::Failed,
            (false, None) => LoadState::Unknown,
            (false, Some(false)) => LoadState::Requested,
            (false, Some(true)) => LoadState::Loading,
            (true, None) => LoadState::Cached,
            (true, Some(false)) => LoadState::ReloadRequested,
            (true, Some(true)) => LoadState::Reloading,
        }
    }

    /// Has loader threads reload the keys of a sweep. `false` once closed.
    pub(crate) fn start_sweep(&self, sweep: Arc<Sweep<K, V>>) -> bool {
        self.queue.start_sweep(sweep)
    }

    /// Takes no more loads, and answers everybody who waits. A loader that is running runs out.
    pub(crate) fn close(&self) {
        let queued = self.queue.close();
        for flight in queued {
            self.end(&flight, Answer::Failed(Error::closed()));
        }
        if fault::planted("close_forgets_running") {
            return;
        }
        // Whoever registers a flight after this walk finds the queue closed.
        let mut running = Vec::new();
        self.in_flight
            .for_each(|flight| running.push(Arc::clone(flight)));
        for flight in running {
            self.end(&flight, Answer::Failed(Error::closed()));
        }
    }

    pub(crate) fn deadline(&self, limit: Duration) -> Duration {
        self.clock.now().saturating_add(limit)
    }
}
