//! Where values come from.

use std::time::Duration;

use super::Builder;
use crate::error::BoxError;
use crate::loader::{
    BulkFn, BulkLoader, DatasetFn, DatasetLoader, ItemsFn, LoadFn, Loaded, Loader, Outcome,
};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Loads one key at a time with `loader`. Default: none.
    pub fn loader(mut self, loader: impl Loader<K, V>) -> Self {
        self.loader = Some(Box::new(loader));
        self
    }

    /// Loads one key at a time with a closure. See [`Loader`]; and [`Loaded::with_pairs`], where others come along.
    ///
    /// ```
    /// let bucket = larder::Bucket::<String, usize>::builder("lengths")
    ///     .load(|key: &String| Ok::<_, std::io::Error>(key.len()))
    ///     .build()?;
    /// assert_eq!(bucket.get("four"), Some(4));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "fallback")]
    pub fn load<F, O, E>(self, load: F) -> Self
    where
        F: Fn(&K) -> Result<O, E> + Send + Sync + 'static,
        O: Into<Loaded<K, V>> + 'static,
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

    /// Refreshes from the whole dataset, of items that know their keys: `fetch` brings them, and `id` tells the key of
    /// one. As [`load_all`](Self::load_all) otherwise.
    ///
    /// Of two items with one key the last counts. A dataset in which keys come again can be refused: see
    /// [`Dataset::repeated`](crate::Dataset::repeated). `id` runs on the dataset's thread; a panic of it is a failed
    /// refresh, as one of `fetch` is.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct Report {
    ///     id: &'static str,
    ///     total: u64,
    /// }
    ///
    /// let reports = larder::Bucket::<&str, Report>::builder("reports")
    ///     .dataset(
    ///         || Ok::<_, std::io::Error>([Report { id: "daily", total: 7 }, Report { id: "weekly", total: 49 }]),
    ///         |report| report.id,
    ///     )
    ///     .refresh_every(Duration::from_secs(100))
    ///     .build()?;
    /// reports.refresh().wait(Duration::from_secs(5))?;
    /// assert_eq!(reports.peek("weekly").map(|report| report.total), Some(49));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "register")]
    #[doc(alias = "id_prop")]
    pub fn dataset<F, I, E>(self, fetch: F, id: impl Fn(&V) -> K + Send + Sync + 'static) -> Self
    where
        F: Fn() -> Result<I, E> + Send + Sync + 'static,
        I: IntoIterator<Item = V> + 'static,
        I::IntoIter: 'static,
        E: Into<BoxError> + 'static,
    {
        self.dataset_loader(ItemsFn::new(fetch, id))
    }

    /// The most keys in one call of the batch loader. More makes fewer and slower calls.
    /// Default: 500.
    pub fn batch_size(mut self, keys: usize) -> Self {
        self.options.batch_size = Some(keys);
        self
    }

    /// How long an idle loader waits for a batch to fill. More makes larger batches, and every miss
    /// slower. Default: zero.
    pub fn linger(mut self, time: Duration) -> Self {
        self.options.linger = Some(time);
        self
    }

    /// How many threads call the loaders. More lets more batches run side by side. Where there is more
    /// than one, a refresh by key leaves one to the misses. Default: 2.
    pub fn loader_threads(mut self, threads: usize) -> Self {
        self.options.loader_threads = Some(threads);
        self
    }

    /// How many keys may be queued for a load. When it is full, a miss is an error at once.
    /// Default: 100 000.
    pub fn queue_capacity(mut self, keys: usize) -> Self {
        self.options.queue_capacity = Some(keys);
        self
    }

    /// How long a call waits for a load, unless it says otherwise. Default: 5 seconds.
    #[doc(alias = "load_num_tries")]
    #[doc(alias = "load_wait_msec")]
    pub fn wait_limit(mut self, time: Duration) -> Self {
        self.options.wait_limit = Some(time);
        self
    }
}
