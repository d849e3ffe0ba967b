//! When values are refreshed, and how long they are served if that fails.

use std::time::Duration;

use super::Builder;
use crate::loader::Outcome;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Has `filter` see what a reload brings before it is stored, and change it. Default: stored as it is.
    ///
    /// It is given what the loader said of a key that is cached, and its answer counts instead; it is not asked where
    /// a call of the loader failed as a whole. To keep what is cached, answer [`Unchanged`](Outcome::Unchanged), or
    /// [`Ignore`](Outcome::Ignore) to hand the new value to who waits for it; [`Absent`](Outcome::Absent) removes the
    /// key. Loads of what is not cached pass it by, and so do whole datasets. It runs on the loader's thread; a panic
    /// of it is a failed reload.
    ///
    /// ```
    /// use larder::Outcome;
    ///
    /// let prices = larder::Bucket::<u32, i64>::builder("prices")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(-1 * i64::from(*key)))
    ///     .refresh_filter(|_, price| match price {
    ///         Outcome::Value(price) if price < 0 => Outcome::Unchanged,
    ///         price => price,
    ///     })
    ///     .build()?;
    /// prices.set(7, 100);
    /// prices.refresh_keys([7]).wait(std::time::Duration::from_secs(5));
    /// assert_eq!(prices.peek(&7), Some(100));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn refresh_filter(
        mut self,
        filter: impl Fn(&K, Outcome<V>) -> Outcome<V> + Send + Sync + 'static,
    ) -> Self {
        self.refresh_filter = Some(Box::new(filter));
        self
    }

    /// How long a write stays in the overlay, at the least, before it is folded into the snapshot.
    /// Less makes later reads of it faster sooner, and folds more often. A fold is due earlier when the
    /// overlay has grown to an eighth of the snapshot. Default: 100 milliseconds.
    pub fn fold_delay(mut self, time: Duration) -> Self {
        self.options.fold_delay = Some(time);
        self
    }

    /// Refreshes the bucket so long after the end of the last refresh. A change at the source that the
    /// bucket is not told of shows after this time, the jitter and the time of the load, at the latest.
    /// Default: never by itself.
    #[doc(alias = "refresh_interval")]
    pub fn refresh_every(mut self, time: Duration) -> Self {
        self.options.refresh_every = Some(time);
        self
    }

    /// By how much of the interval, at most, each refresh is delayed at random, so that many instances
    /// do not ask the source together; 0.0 to 1.0. Default: 0.1.
    pub fn refresh_jitter(mut self, share: f64) -> Self {
        self.options.refresh_jitter = Some(share);
        self
    }

    /// How soon a refresh that failed is tried again: after `first`, and after twice as long with each further failure,
    /// up to `most`. A short `first` has a source that was down for a moment back soon; a long `most` spares one that is
    /// down for long. Default: at the next interval.
    ///
    /// The wait counts from the end of what failed, and the [jitter](Self::refresh_jitter) delays it by its share of it.
    /// It takes the place of the interval, longer or shorter, up to the first refresh that succeeds; where there is no
    /// interval, a refresh that was asked for is tried again until then. One that is asked for meanwhile begins at once,
    /// and is one more failure if it fails.
    ///
    /// A refresh has failed if its dataset could not be had or was refused, or if it was by key and no key could be
    /// reloaded. Keys that fail where others do not keep their values, and are tried again at the next interval.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let rates = larder::Bucket::<&str, f64>::builder("rates")
    ///     .load_all(|| Ok::<_, std::io::Error>([("EUR", 1.0), ("JPY", 181.2)]))
    ///     .refresh_every(Duration::from_secs(3600))
    ///     .refresh_retry(Duration::from_secs(5), Duration::from_secs(600))
    ///     .build()?;
    /// // If this failed, it would be tried again after 5 seconds, 10, 20, and at last every 600.
    /// rates.refresh().wait(Duration::from_secs(5))?;
    /// assert_eq!(rates.peek("JPY"), Some(181.2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "backoff")]
    pub fn refresh_retry(mut self, first: Duration, most: Duration) -> Self {
        self.config.refresh_retry = Some((first, most));
        self
    }

    /// For how long, at most, a value is served whose refresh has failed. Less makes a source that is down
    /// show sooner, as misses that fail. Default: for ever.
    ///
    /// The time counts from the first failed refresh that began after the value was written: a reload of
    /// its key, by a refresh or by [`request_load`](crate::Bucket::request_load), or a dataset that could not be
    /// had. More failures do not prolong it. Anything that changes the key in between ends it: a refresh,
    /// a write, a load. A loader that answers with [`Outcome::Ignore`] neither begins nor ends it, and
    /// one that hangs has not failed before it returns, or before a [`refresh_timeout`](Self::refresh_timeout).
    ///
    /// One tick before the end of the time the value is served; at the end it is taken out, so that
    /// [`peek`](crate::Bucket::peek) misses and [`get`](crate::Bucket::get) loads. The refresher does so, by itself, as
    /// soon as it gets to it: a fold that it is at comes first. After a shutdown nothing goes. What goes is
    /// counted in [`Stats::too_stale`](crate::Stats::too_stale) and told as [`Event::TooStale`](crate::Event::TooStale).
    ///
    /// It costs reads nothing. Each failing key is kept once more, with about 130 bytes; after a failed
    /// dataset, each key that was written since. Keys go one by one, as if they were invalidated, and a
    /// few thousand at a time; what a failed dataset leaves goes in one publication, which copies what
    /// stays.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let (time, down) = (larder::ManualClock::new(), Arc::new(AtomicBool::new(false)));
    /// let is_down = Arc::clone(&down);
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .clock(time.clock())
    ///     .max_stale(Duration::from_secs(60))
    ///     .load(move |key: &u32| match is_down.load(Ordering::Relaxed) {
    ///         false => Ok(key * key),
    ///         true => Err("the source is down"),
    ///     })
    ///     .build()?;
    /// assert_eq!(bucket.get(&3), Some(9));
    ///
    /// down.store(true, Ordering::Relaxed);
    /// bucket.refresh().wait(Duration::from_secs(5))?; // fails for the key, which keeps its value
    /// time.advance(Duration::from_secs(59));
    /// bucket.publish()?; // a turn of the refresher, which this example would be too quick for
    /// assert_eq!(bucket.peek(&3), Some(9));
    /// time.advance(Duration::from_secs(1));
    /// bucket.publish()?;
    /// assert_eq!(bucket.peek(&3), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_stale(mut self, time: Duration) -> Self {
        self.options.max_stale = Some(time);
        self
    }
}
