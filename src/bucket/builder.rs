//! The builder: options, and the one place where the parts are put together.

mod dataset;
mod exists;
mod stale;
mod ttl;

use std::fmt;
use std::time::Duration;

use super::Bucket;
use super::core::Core;
use crate::clock::Clock;
use crate::config::{Config, refuse};
use crate::error::{BoxError, BuildError};
use crate::events::{Event, Events, Observer};
use crate::load::{Ask, Exists, Loads, Source};
use crate::loader::{BulkFn, BulkLoader, DatasetFn, DatasetLoader, LoadFn, Loader, Outcome};
use crate::refresh::control::Control;
use crate::refresh::dataset::Fetcher;
use crate::refresh::worker::Refresher;
use crate::refresh::{Validate, Validators};
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::Arc;
use crate::{DefaultHashBuilder, HashBuilder, Key, Value};

/// Options of a bucket that is to be built. See [`Bucket::builder`].
///
/// Setters never fail; [`build`](Self::build) checks all of them.
///
/// | option | default |
/// |---|---|
/// | `batch_size` | 500 keys |
/// | `linger` | none: an idle loader starts at once |
/// | `loader_threads` | 2 |
/// | `queue_capacity` | 100 000 keys |
/// | `wait_limit` | 5 s |
/// | `refresh_every` | never by itself |
/// | `refresh_jitter` | 0.1 of the interval |
/// | `dataset_min_count`, `dataset_max_change` | none: any dataset is taken |
/// | `ttl` | none: values never expire |
/// | `max_stale` | none: old values are served for ever |
/// | `exists_absent_for` | none: the hook is asked again |
/// | `exists_capacity` | 100 000 keys |
/// | `fold_delay` | 100 ms |
/// | `shutdown_limit` | 5 s |
#[must_use]
pub struct Builder<K, V, S = DefaultHashBuilder> {
    name: String,
    config: Config,
    loader: Option<Box<dyn Loader<K, V>>>,
    bulk_loader: Option<Box<dyn BulkLoader<K, V>>>,
    dataset_loader: Option<Box<dyn DatasetLoader<K, V>>>,
    validators: Vec<Validate<K, V>>,
    exists: Option<Ask<K>>,
    observer: Option<Observer>,
    clock: Clock,
    hasher: S,
}

impl<K: Key, V: Value> Builder<K, V> {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            config: Config::default(),
            loader: None,
            bulk_loader: None,
            dataset_loader: None,
            validators: Vec::new(),
            exists: None,
            observer: None,
            clock: Clock::system(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Loads one key at a time with `loader`. Default: none.
    pub fn loader(mut self, loader: impl Loader<K, V>) -> Self {
        self.loader = Some(Box::new(loader));
        self
    }

    /// Loads one key at a time with a closure. See [`Loader`].
    ///
    /// ```
    /// let bucket = larder::Bucket::<String, usize>::builder("lengths")
    ///     .load(|key: &String| Ok::<_, std::io::Error>(key.len()))
    ///     .build()?;
    /// assert_eq!(bucket.get("four"), Some(4));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn load<F, O, E>(self, load: F) -> Self
    where
        F: Fn(&K) -> Result<O, E> + Send + Sync + 'static,
        O: Into<Outcome<V>> + 'static,
        E: Into<BoxError> + 'static,
    {
        self.loader(LoadFn::new(load))
    }

    /// Loads batches with `loader`: every load of a key then goes through it. Default: none.
    pub fn bulk_loader(mut self, loader: impl BulkLoader<K, V>) -> Self {
        self.bulk_loader = Some(Box::new(loader));
        self
    }

    /// Loads batches with a closure. See [`BulkLoader`].
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .bulk_load(|keys: &[u32]| {
    ///         Ok::<_, std::io::Error>(keys.iter().map(|&k| (k, k * k)).collect::<Vec<_>>())
    ///     })
    ///     .build()?;
    /// assert_eq!(bucket.get_many([&2, &3]), [Some(4), Some(9)]);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn bulk_load<F, I, O, E>(self, load: F) -> Self
    where
        F: Fn(&[K]) -> Result<I, E> + Send + Sync + 'static,
        I: IntoIterator<Item = (K, O)> + 'static,
        O: Into<Outcome<V>> + 'static,
        E: Into<BoxError> + 'static,
    {
        self.bulk_loader(BulkFn::new(load))
    }

    /// Refreshes from the whole dataset with `loader`. Default: none; then a refresh reloads the keys
    /// that are cached.
    pub fn dataset_loader(mut self, loader: impl DatasetLoader<K, V>) -> Self {
        self.dataset_loader = Some(Box::new(loader));
        self
    }

    /// Refreshes from the whole dataset with a closure. See [`DatasetLoader`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let bucket = larder::Bucket::<u32, &str>::builder("flags")
    ///     .load_all(|| Ok::<_, std::io::Error>([(1, "on"), (2, "off")]))
    ///     .build()?;
    /// bucket.refresh().wait(Duration::from_secs(5))?;
    /// assert_eq!(bucket.peek(&2), Some("off"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_all<F, I, E>(self, load: F) -> Self
    where
        F: Fn() -> Result<I, E> + Send + Sync + 'static,
        I: IntoIterator<Item = (K, V)> + 'static,
        I::IntoIter: 'static,
        E: Into<BoxError> + 'static,
    {
        self.dataset_loader(DatasetFn::new(load))
    }

    /// Hashes keys with `hasher`. Default: ahash, seeded at random.
    ///
    /// A hasher that puts many keys on one hash makes them as slow as a list, and no slower.
    pub fn hasher<S2: HashBuilder>(self, hasher: S2) -> Builder<K, V, S2> {
        Builder {
            name: self.name,
            config: self.config,
            loader: self.loader,
            bulk_loader: self.bulk_loader,
            dataset_loader: self.dataset_loader,
            validators: self.validators,
            exists: self.exists,
            observer: self.observer,
            clock: self.clock,
            hasher,
        }
    }

    /// The most keys in one call of the batch loader. More makes fewer and slower calls.
    /// Default: 500.
    pub fn batch_size(mut self, keys: usize) -> Self {
        self.config.batch_size = keys;
        self
    }

    /// How long an idle loader waits for a batch to fill. More makes larger batches, and every miss
    /// slower. Default: zero.
    pub fn linger(mut self, time: Duration) -> Self {
        self.config.linger = time;
        self
    }

    /// How many threads call the loaders. More lets more batches run side by side. Where there is more
    /// than one, a refresh by key leaves one to the misses. Default: 2.
    pub fn loader_threads(mut self, threads: usize) -> Self {
        self.config.loader_threads = threads;
        self
    }

    /// How many keys may be queued for a load. When it is full, a miss is an error at once.
    /// Default: 100 000.
    pub fn queue_capacity(mut self, keys: usize) -> Self {
        self.config.queue_capacity = keys;
        self
    }

    /// How long a call waits for a load, unless it says otherwise. Default: 5 seconds.
    pub fn wait_limit(mut self, time: Duration) -> Self {
        self.config.wait_limit = time;
        self
    }

    /// Refreshes the bucket so long after the end of the last refresh. A change at the source that the
    /// bucket is not told of shows after this time, the jitter and the time of the load, at the latest.
    /// Default: never by itself.
    pub fn refresh_every(mut self, time: Duration) -> Self {
        self.config.refresh_every = Some(time);
        self
    }

    /// By how much of the interval, at most, each refresh is delayed at random, so that many instances
    /// do not ask the source together; 0.0 to 1.0. Default: 0.1.
    pub fn refresh_jitter(mut self, share: f64) -> Self {
        self.config.refresh_jitter = share;
        self
    }

    /// How long a write stays in the overlay, at the least, before it is folded into the snapshot.
    /// Less makes later reads of it faster sooner, and folds more often. A fold is due earlier when the
    /// overlay has grown to an eighth of the snapshot. Default: 100 milliseconds.
    pub fn fold_delay(mut self, time: Duration) -> Self {
        self.config.fold_delay = time;
        self
    }

    /// How long a shutdown, or the drop of the last handle, waits for threads to end. Default: 5
    /// seconds.
    pub fn shutdown_limit(mut self, time: Duration) -> Self {
        self.config.shutdown_limit = time;
        self
    }

    /// Is told of what no return value tells: failed loads, refreshes and folds.
    ///
    /// Runs on a thread of its own. A slow observer loses events, which are counted; a panic in it is
    /// contained. Default: none.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Takes the time from `clock`. Default: the system's monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the bucket and starts its threads: the refresher, the loader threads where there is a
    /// loader, one for the dataset loader and one for the observer where they are given.
    ///
    /// # Errors
    ///
    /// [`BuildError`], naming the option whose value makes no sense, or the thread that could not be
    /// started. Threads that were started already are ended again.
    pub fn build(self) -> Result<Bucket<K, V, S>, BuildError> {
        if self.name.is_empty() {
            refuse("name", "empty", "at least one character")?;
        }
        self.config.check()?;
        let source = match (self.bulk_loader, self.loader) {
            (Some(bulk), _) => Source::Bulk(bulk),
            (None, Some(single)) => Source::Single(single),
            (None, None) => Source::None,
        };
        if self.dataset_loader.is_none() && matches!(source, Source::None) {
            let range = "left out in a bucket without a loader";
            if self.config.refresh_every.is_some() {
                refuse("refresh_every", "set", range)?;
            }
            if self.config.max_stale.is_some() {
                refuse("max_stale", "set", range)?;
            }
        }
        let has_own = !self.validators.is_empty();
        dataset::check(&self.config, has_own, self.dataset_loader.is_some())?;
        exists::check(&self.config, self.exists.is_some(), &source)?;
        let (config, clock) = (self.config, self.clock);
        let store = Arc::new(Store::new(self.hasher, clock.clone()));
        let stats = Arc::new(Counters::default());
        let events = Events::new(self.observer);
        let exists = self.exists.map(|ask| {
            let (time, most) = (config.exists_absent_for, config.exists_capacity);
            let most = most.unwrap_or(exists::CAPACITY);
            Exists::new(ask, time, most, clock.clone())
        });
        let loads = Loads::new(
            Arc::clone(&store),
            source,
            &config,
            Arc::clone(&stats),
            Arc::clone(&events),
            clock.clone(),
        );
        let loads = Arc::new(loads.asking(exists));
        let control = Arc::new(Control::new(Arc::clone(store.bell())));
        let validators = Validators {
            min_count: config.dataset_min_count,
            max_change: config.dataset_max_change,
            own: self.validators,
        };
        let fetcher = self
            .dataset_loader
            .map(|loader| Arc::new(Fetcher::new(loader, validators, config.ttl)));
        let refresher = Refresher::new(
            Arc::clone(&store),
            Arc::clone(&loads),
            Arc::clone(&control),
            fetcher.clone(),
            Arc::clone(&stats),
            Arc::clone(&events),
            clock.clone(),
            &config,
        );
        // From here on, a way out by `?` drops the core, which ends the threads that run.
        let core = Core::new(
            self.name, store, loads, control, fetcher, stats, events, clock, config,
        );
        core.start(refresher)?;
        Ok(Bucket::from_core(core))
    }
}

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    fn start(&self, refresher: Refresher<K, V, S>) -> Result<(), BuildError> {
        self.threads.spawn("refresh", move || refresher.work())?;
        if self.loads.has_loader() {
            for thread in 0..self.config.loader_threads {
                let loads = Arc::clone(&self.loads);
                self.threads
                    .spawn(&format!("load-{thread}"), move || loads.work())?;
            }
        }
        if let Some(fetcher) = &self.fetcher {
            let (fetcher, store) = (Arc::clone(fetcher), Arc::clone(&self.store));
            let control = Arc::clone(&self.control);
            self.threads
                .spawn("dataset", move || fetcher.work(&store, &control))?;
        }
        if self.events.has_observer() {
            let events = Arc::clone(&self.events);
            self.threads.spawn("observe", move || events.deliver())?;
        }
        Ok(())
    }
}

impl<K, V, S> fmt::Debug for Builder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
