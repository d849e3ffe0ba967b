//! The builder: options, and the one place where the parts are put together.

mod context;
mod dataset;
#[cfg(feature = "dump")]
mod dump;
mod exists;
mod init;
mod liveness;
mod loaders;
mod observers;
mod options;
mod refresh;
mod refresh_timeout;
mod reset;
mod slices;
mod storage;
mod ttl;
mod warm;
mod weight;

use std::fmt;
use std::time::Duration;

pub use self::init::Init;
pub use self::warm::Warm;

use super::Bucket;
use super::core::Core;
use crate::clock::{Clock, Idle};
use crate::config::{Config, Options, refuse};
use crate::error::BuildError;
use crate::events::{Events, KeyEvent, KeyObserver, Observer};
use crate::load::{Ask, Context, Exists, Loads, RefreshFilter, Source};
use crate::loader::{BulkLoader, DatasetLoader, Loader};
use crate::refresh::control::Control;
use crate::refresh::dataset::Fetcher;
#[cfg(feature = "dump")]
use crate::refresh::dumps::Dumper;
use crate::refresh::worker::Refresher;
use crate::refresh::{Deriver, OnReset, Slices, Validate, Validators};
use crate::stats::Counters;
use crate::store::{Batch, Check, Store, Terms, Weigher};
use crate::sync::Arc;
use crate::table::Table;
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
/// | `refresh_retry` | none: a refresh that failed is tried again at the next interval |
/// | `refresh_timeout` | none: a refresh waits for its loads |
/// | `refresh_in_slices` | no: the refresher works without rests |
/// | `dataset_min_count`, `dataset_max_change` | none: any dataset is taken |
/// | `ttl` | none: values never expire |
/// | `max_weight` | none: everything is kept |
/// | `weigher` | each entry weighs 1 |
/// | `when_full` | new values are refused |
/// | `evict_by` | the last touch, where others go |
/// | `time_to_idle` | none: what is not read stays |
/// | `max_stale` | none: old values are served for ever |
/// | `exists_absent_for` | none: the hook is asked again |
/// | `exists_capacity` | 100 000 keys |
/// | `key_events` | [`KeyEvent::FAILURES`](crate::KeyEvent::FAILURES), where there is a `key_observer` |
/// | `alive` | none: values do not die |
/// | `count_reads` | no: a hit writes nothing |
/// | `version` | 0 |
/// | `on_reset` | none: a reset asks nobody |
/// | `warm_limit` | none: `build` waits for required warmers |
/// | `fold_delay` | 100 ms |
/// | `shutdown_limit` | 5 s |
/// | `dump`, with the feature | none: what is cached goes with the process |
/// | `dump_delay` | 10 s |
/// | `storage` | none: what is cached is kept nowhere else |
/// | `storage_delay` | 1 s |
#[must_use]
pub struct Builder<K, V, S = DefaultHashBuilder> {
    name: String,
    /// What has no layers.
    config: Config,
    /// What is said here, and not by a loader.
    options: Options,
    configure: Vec<options::Configure>,
    loader: Option<Box<dyn Loader<K, V>>>,
    bulk_loader: Option<Box<dyn BulkLoader<K, V>>>,
    dataset_loader: Option<Box<dyn DatasetLoader<K, V>>>,
    validators: Vec<Validate<K, V>>,
    derivers: Vec<Deriver<K, V>>,
    exists: Option<Ask<K>>,
    alive: Option<Check<K, V>>,
    observer: Option<Observer>,
    key_observer: Option<KeyObserver<K>>,
    key_events: Option<Vec<KeyEvent>>,
    clock: Clock,
    hasher: S,
    init: Option<init::InitFn<K, V>>,
    refresh_filter: Option<RefreshFilter<K, V>>,
    weigher: Option<Weigher<K, V>>,
    on_reset: Option<OnReset>,
    storage: Option<storage::Given<K, V>>,
    warmers: warm::Warmers<K, V>,
    context: Option<Context>,
    slices: Option<Slices>,
    #[cfg(feature = "dump")]
    dump: Option<dump::DumpOptions<K, V>>,
}

impl<K: Key, V: Value> Builder<K, V> {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            config: Config::default(),
            options: Options::default(),
            configure: Vec::new(),
            loader: None,
            bulk_loader: None,
            dataset_loader: None,
            validators: Vec::new(),
            derivers: Vec::new(),
            exists: None,
            alive: None,
            observer: None,
            key_observer: None,
            key_events: None,
            clock: Clock::system(),
            hasher: DefaultHashBuilder::default(),
            init: None,
            refresh_filter: None,
            weigher: None,
            on_reset: None,
            storage: None,
            warmers: Vec::new(),
            context: None,
            slices: None,
            #[cfg(feature = "dump")]
            dump: None,
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Hashes keys with `hasher`. Default: ahash, seeded at random.
    ///
    /// A hasher that puts many keys on one hash makes them as slow as a list, and no slower.
    pub fn hasher<S2: HashBuilder>(self, hasher: S2) -> Builder<K, V, S2> {
        Builder {
            name: self.name,
            config: self.config,
            options: self.options,
            configure: self.configure,
            loader: self.loader,
            bulk_loader: self.bulk_loader,
            dataset_loader: self.dataset_loader,
            validators: self.validators,
            derivers: self.derivers,
            exists: self.exists,
            alive: self.alive,
            observer: self.observer,
            key_observer: self.key_observer,
            key_events: self.key_events,
            clock: self.clock,
            hasher,
            init: self.init,
            refresh_filter: self.refresh_filter,
            weigher: self.weigher,
            on_reset: self.on_reset,
            storage: self.storage,
            warmers: self.warmers,
            context: self.context,
            slices: self.slices,
            #[cfg(feature = "dump")]
            dump: self.dump,
        }
    }

    /// How long a shutdown, or the drop of the last handle, waits for threads to end. Default: 5
    /// seconds.
    pub fn shutdown_limit(mut self, time: Duration) -> Self {
        self.options.shutdown_limit = Some(time);
        self
    }

    /// Takes the time from `clock`. Default: the system's monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the bucket and starts its threads: the refresher, the loader threads where there is a
    /// loader, one for the dataset loader, the storage, each warmer and each observer where they are given.
    ///
    /// # Errors
    ///
    /// [`BuildError`], naming the option whose value makes no sense, or the thread that could not be
    /// started; [`Stopped`](BuildError::Stopped) if [`init`](Self::init) says so; [`NotWarm`](BuildError::NotWarm) if a
    /// required [warmer](Self::warmer) has failed. Threads that were started already are ended again.
    pub fn build(self) -> Result<Bucket<K, V, S>, BuildError> {
        let is_dumped = self.is_dumped();
        if self.name.is_empty() {
            refuse("name", "empty", "at least one character")?;
        }
        let source = match (self.bulk_loader, self.loader) {
            (Some(bulk), _) => Source::Bulk(bulk),
            (None, Some(single)) => Source::Single(single),
            (None, None) => Source::None,
        };
        let of_loaders = options::of_loaders(&source, self.dataset_loader.as_deref())?;
        let config = options::in_layers(self.config, of_loaders, self.options, self.configure)?;
        config.check()?;
        weight::check(&config, self.weigher.is_some())?;
        let limits = weight::limits(&config, self.weigher);
        if self.dataset_loader.is_none() && matches!(source, Source::None) {
            let range = "left out in a bucket without a loader";
            if config.refresh_every.is_some() {
                refuse("refresh_every", "set", range)?;
            }
            if config.refresh_retry.is_some() {
                refuse("refresh_retry", "set", range)?;
            }
            if config.max_stale.is_some() {
                refuse("max_stale", "set", range)?;
            }
        }
        let set = (!self.validators.is_empty(), &*self.derivers);
        dataset::check(&config, set, self.dataset_loader.is_some())?;
        exists::check(&config, self.exists.is_some(), &source)?;
        refresh_timeout::check(&config, self.dataset_loader.is_some(), &source)?;
        warm::check(&config, &self.warmers)?;
        let slices = slices::checked(self.slices)?;
        let key_events = observers::key_events(self.key_observer, self.key_events)?;
        let clock = self.clock;
        let stats = Arc::new(Counters::default());
        let events = Events::new(self.observer);
        let init = self.init;
        let report = (&*stats, &*events);
        let mut opened = storage::open(
            self.storage,
            is_dumped,
            &self.hasher,
            (&clock, &config),
            report,
        )?;
        #[cfg(feature = "dump")]
        let (dumper, table, version) = match self.dump {
            None => (None, None, config.version),
            Some(options) => {
                let dump = options.open(&self.name, config.dump_compressed)?;
                let (dumper, table) = Dumper::open(dump, &config, &self.hasher, &clock, report);
                let version = dumper.loaded().map_or(config.version, |dump| dump.version);
                (Some(Arc::new(dumper)), table, version)
            }
        };
        #[cfg(not(feature = "dump"))]
        let (table, version) = (None, config.version);
        let (table, version) = match &mut opened {
            Some(opened) => (opened.table.take(), opened.version),
            None => (table, version),
        };
        let (found, mut left) = (table.is_some(), 0);
        let table = match (table, init) {
            (Some(table), _) => table,
            (None, Some(init)) => init::begin(init, &self.hasher, (&clock, &config), &events)?,
            (None, None) => Table::empty(),
        };
        let table = match &limits {
            None => table,
            Some(limits) => {
                let hash_of = |key: &K| self.hasher.hash_one(key);
                let (table, gone) =
                    limits.fitted(limits.weighed(table), limits.limit, &clock, hash_of);
                Counters::add(&stats.evicted, gone);
                left = gone;
                table
            }
        };
        storage::differs(&mut opened, found, table.len(), left);
        let terms = Terms {
            alive: self.alive,
            limits,
            idle: config.time_to_idle.map(Idle::after),
            count_reads: config.count_reads,
        };
        let store = Store::holding(table, version, self.hasher, clock.clone(), terms);
        let store = Arc::new(store);
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
        let loads = Arc::new(
            loads
                .asking(exists)
                .filtered(self.refresh_filter)
                .within(self.context)
                .observed(key_events),
        );
        let control = Arc::new(Control::new(Arc::clone(store.bell())));
        let validators = Validators {
            min_count: config.dataset_min_count,
            max_change: config.dataset_max_change,
            own: self.validators,
        };
        let fetcher = self.dataset_loader.map(|loader| {
            let fetcher = Fetcher::new(loader, validators, config.ttl);
            Arc::new(fetcher.deriving(self.derivers).in_slices(slices.clone()))
        });
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
        let (refresher, saver, lacks) =
            storage::begin(opened, &store, refresher.in_slices(slices.clone()));
        // From here on, a way out by `?` drops the core, which ends the threads that run.
        let core = Core::new(
            self.name, store, loads, control, fetcher, stats, events, clock, config,
        );
        let core = core
            .asking_to_reset(self.on_reset)
            .saved_by(saver)
            .in_slices(slices);
        #[cfg(feature = "dump")]
        let core = core.dumped_by(dumper);
        core.start(refresher, lacks)?;
        let core = core.warm_up(self.warmers)?;
        Ok(Bucket::from_core(core))
    }
}

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    fn start(
        &self,
        refresher: Refresher<K, V, S>,
        lacks: Option<Batch<K, V>>,
    ) -> Result<(), BuildError> {
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
            let (control, stats) = (Arc::clone(&self.control), Arc::clone(&self.stats));
            self.threads
                .spawn("dataset", move || fetcher.work(&store, &control, &stats))?;
        }
        #[cfg(feature = "dump")]
        self.start_dumper()?;
        self.start_saver(lacks)?;
        if self.events.has_observer() {
            let events = Arc::clone(&self.events);
            self.threads.spawn("observe", move || events.deliver())?;
        }
        if let Some(keys) = self.loads.key_events() {
            let events = Arc::clone(keys.events());
            self.threads
                .spawn("observe-keys", move || events.deliver())?;
        }
        Ok(())
    }
}

impl<K, V, S> fmt::Debug for Builder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
