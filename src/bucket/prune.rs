//! Bringing the number of keys down by hand.

use super::Bucket;
use crate::error::{Error, ErrorKind};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Brings the bucket down to `most` keys, now. Returns how many were evicted for that; they count in
    /// [`Stats::evicted`](crate::Stats::evicted) as well.
    ///
    /// What has expired goes first, and is not among them. Then those go that a bucket that
    /// [evicts](crate::WhenFull::Evict) would evict [first](super::Builder::evict_by); in one that does not, but has a
    /// [`time_to_idle`](super::Builder::time_to_idle), those that were not read or written for the longest time. Where there are no more than `most` keys nothing
    /// happens, but a fold. What others write meanwhile stays, so there may be more keys again when this returns.
    ///
    /// For readers it is as if those keys had been invalidated. It sets no limit: that is
    /// [`max_weight`](super::Builder::max_weight).
    ///
    /// ```
    /// use larder::WhenFull;
    ///
    /// let bucket = larder::Bucket::<u32, u32>::builder("numbers")
    ///     .max_weight(1_000)
    ///     .when_full(WhenFull::Evict)
    ///     .build()?;
    /// bucket.set_many((0..100).map(|key| (key, key)));
    /// bucket.publish()?;
    /// bucket.set(100, 100);
    /// bucket.publish()?;
    /// assert_eq!(bucket.get_many([&5, &50]), [Some(5), Some(50)]);
    /// assert_eq!(bucket.prune(3)?, 98);
    /// let mut left = bucket.keys();
    /// left.sort_unstable();
    /// assert_eq!(left, [5, 50, 100]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Refused` in a bucket that knows of nothing that is to go first, being built without both of these: there it
    /// would be chance what goes. See [`invalidate_if`](Self::invalidate_if) to choose by something else. Otherwise as
    /// [`clear`](Self::clear), and `Panicked` as [`publish`](Self::publish).
    ///
    /// # Blocking
    ///
    /// Waits for two folds, which copy the table.
    pub fn prune(&self, most: usize) -> Result<usize, Error> {
        if !self.core.store.knows_what_goes() {
            let why = "it is not known what is to go first: see `when_full` and `time_to_idle`";
            return Err(Error::new(ErrorKind::Refused, why));
        }
        let evicted = self.ask_refresher(|requests| {
            requests.prune.to.push(most);
            &mut requests.prune.asked
        });
        evicted.map(|evicted| usize::try_from(evicted).unwrap_or(usize::MAX))
    }
}
