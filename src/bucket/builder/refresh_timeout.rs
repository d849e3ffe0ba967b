//! How long a refresh by key waits for a key.

use std::time::Duration;

use super::Builder;
use crate::config::{Config, refuse};
use crate::error::BuildError;
use crate::load::Source;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// How long a refresh by key waits for the reload of a key, or of a batch of them where the loader is one of batches.
    /// Less has a source that hangs for one key hold up the next refresh for less time; a loader that is only slow must
    /// have the time that it takes. Default: as long as it takes.
    ///
    /// One tick before that time a reload has succeeded if it does; at that time it has failed for the refresh. That is
    /// told as [`Event::LoadFailed`](crate::Event::LoadFailed) with a `Timeout`, and
    /// [`KeyEvent::TimedOut`](crate::KeyEvent::TimedOut), and counted in
    /// [`Stats::reloads_timed_out`](crate::Stats::reloads_timed_out); the old value stays, and if there is a
    /// [`max_stale`](Self::max_stale), its time begins. Another loader thread goes on with the other keys, and where
    /// none does so for as long, because all of them hang, these have failed as well. So the refresh ends in any case, and
    /// the next is due after its interval.
    ///
    /// A loader cannot be stopped. What it brings in the end is stored, and ends what was said of the key, unless that was
    /// changed meanwhile; who waits for the key waits for its own limit, as ever; and refreshes that come meanwhile pass
    /// the key over, as there is one load of it at a time. Its thread is lost until it returns: give a source that may hang
    /// [threads](Self::loader_threads) to spare.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .refresh_every(Duration::from_secs(60))
    ///     .refresh_timeout(Duration::from_secs(2))
    ///     .loader_threads(8)
    ///     .build()?;
    /// assert_eq!(bucket.get(&3), Some(9));
    /// bucket.refresh().wait(Duration::from_secs(5))?; // at once, as nothing hangs here
    /// assert_eq!(bucket.stats().reloads_timed_out, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refresh_timeout(mut self, time: Duration) -> Self {
        self.config.refresh_timeout = Some(time);
        self
    }
}

/// # Errors
///
/// A limit where no key is ever reloaded by a refresh.
pub(super) fn check<K: Key, V: Value>(
    config: &Config,
    has_dataset: bool,
    source: &Source<K, V>,
) -> Result<(), BuildError> {
    if config.refresh_timeout.is_some() && (has_dataset || matches!(source, Source::None)) {
        let range = "left out in a bucket that is not refreshed by key";
        refuse("refresh_timeout", "set", range)?;
    }
    Ok(())
}
