//! Fetching a whole dataset, on a thread of its own.

use std::time::Duration;

use super::control::{Control, Fetched};
use super::derive::{Arrivals, Deriver};
use super::slices::{Slices, in_slices};
use super::{Dataset, Validators};
use crate::clock::Deadline;
use crate::contain::contained;
use crate::error::Error;
use crate::load::Running;
use crate::loader::DatasetLoader;
use crate::stats::Counters;
use crate::store::{Built, Store};
use crate::sync::{Arc, Mutex, Parker, atomic::AtomicBool, order};
use crate::table::Table;
use crate::{HashBuilder, Key, Value};

/// The thread that calls `load_all` and builds the table, so that neither the refresher nor a miss
/// waits for it.
pub(crate) struct Fetcher<K, V> {
    loader: Box<dyn DatasetLoader<K, V>>,
    validators: Validators<K, V>,
    /// What is derived from each dataset.
    derivers: Vec<Deriver<K, V>>,
    /// A dataset has been published.
    published: AtomicBool,
    /// How long its values live, if not for ever.
    ttl: Option<Duration>,
    slices: Option<Arc<Slices>>,
    job: Mutex<Job>,
    parker: Arc<Parker>,
}

#[derive(Default)]
struct Job {
    /// The number of the fetch that is wanted.
    wanted: Option<u64>,
    stop: bool,
}

impl<K: Key, V: Value> Fetcher<K, V> {
    pub(crate) fn new(
        loader: Box<dyn DatasetLoader<K, V>>,
        validators: Validators<K, V>,
        ttl: Option<Duration>,
    ) -> Self {
        Self {
            loader,
            validators,
            derivers: Vec::new(),
            published: AtomicBool::new(false),
            ttl,
            slices: None,
            job: Mutex::default(),
            parker: Parker::new(),
        }
    }

    pub(crate) fn deriving(mut self, derivers: Vec<Deriver<K, V>>) -> Self {
        self.derivers = derivers;
        self
    }

    /// The same in slices, if there are such.
    pub(crate) fn in_slices(mut self, slices: Option<Arc<Slices>>) -> Self {
        self.slices = slices;
        self
    }

    /// Wants the dataset fetched. It will be delivered to the refresher under this number.
    pub(crate) fn want(&self, fetch: u64) {
        self.job.lock().wanted = Some(fetch);
        self.parker.unpark();
    }

    /// What was fetched last has been published.
    pub(super) fn set_published(&self) {
        self.published.store(true, order::COUNT);
    }

    pub(crate) fn stop(&self) {
        self.job.lock().stop = true;
        self.parker.unpark();
    }

    /// The body of the thread.
    pub(crate) fn work<S: HashBuilder>(
        &self,
        store: &Store<K, V, S>,
        control: &Control<K, V>,
        stats: &Counters,
    ) {
        loop {
            let (wanted, stop) = {
                let mut job = self.job.lock();
                (std::mem::take(&mut job.wanted), job.stop)
            };
            if stop {
                return;
            }
            match wanted {
                Some(fetch) => {
                    let fetched = in_slices(self.slices.as_ref(), || self.fetch(store, stats));
                    control.deliver(fetch, fetched);
                }
                None => self.parker.park_forever(),
            }
        }
    }

    fn fetch<S: HashBuilder>(&self, store: &Store<K, V, S>, stats: &Counters) -> Fetched<K, V> {
        // A dataset loader may call its bucket like any other loader.
        let _running = Running::enter()?;
        contained(|| {
            let mut arrivals = Arrivals::new(&self.derivers);
            let fetch = || {
                let pairs = self.loader.load_all().map_err(Error::load)?;
                let pairs = pairs.inspect(|(key, _)| arrivals.note(key));
                Ok(Table::from_pairs(pairs, |key| store.hash(key)))
            };
            let table = stats.dataset.time(|| store.clock().now(), fetch)?;
            self.validators.check(&Dataset {
                table: &table,
                pairs: arrivals.count,
                previous: self.previous(store),
            })?;
            let table = match store.limits() {
                None => table,
                Some(limits) => check_weight(limits.weighed_all(table), limits.limit)?,
            };
            let derived = arrivals.derive(&self.derivers, &table, store.hasher())?;
            let clock = store.clock();
            let table = table.until(Deadline::of(clock, self.ttl), clock);
            Ok(Built { table, derived })
        })?
    }

    /// How many keys there are for a dataset to replace. `None` where there is nothing to compare it with.
    fn previous<S: HashBuilder>(&self, store: &Store<K, V, S>) -> Option<usize> {
        let published = self.published.load(order::COUNT);
        published.then(|| store.len()).filter(|&count| count > 0)
    }
}

/// # Errors
///
/// `Refused`, if a dataset is more than a bucket may hold.
fn check_weight<K, V>(table: Table<K, V>, limit: u64) -> Result<Table<K, V>, Error> {
    let weight = table.total_weight();
    if weight > limit {
        let why = format!("it weighs {weight}, and the bucket holds {limit}");
        return Err(Error::refused(why.into()));
    }
    Ok(table)
}
