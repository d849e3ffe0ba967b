//! How long old values are served.

use std::time::Duration;

use super::Builder;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// For how long, at most, a value is served whose refresh has failed. Less makes a source that is down
    /// show sooner, as misses that fail. Default: for ever.
    ///
    /// The time counts from the first failed refresh that began after the value was written: a reload of
    /// its key, by a refresh or by [`request_load`](crate::Bucket::request_load), or a dataset that could not be
    /// had. More failures do not prolong it. Anything that changes the key in between ends it: a refresh,
    /// a write, a load. A loader that answers with [`Outcome::Ignore`](crate::Outcome::Ignore) neither begins nor ends it, and
    /// one that hangs has not failed before it returns.
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
        self.config.max_stale = Some(time);
        self
    }
}
