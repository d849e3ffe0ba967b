//! Where keys stand between the cache and its loader, counted and several at once; and why a key's last load failed.

use std::borrow::Borrow;
use std::hash::Hash;

use super::Bucket;
use crate::error::Error;
use crate::load::{LoadCounts, LoadState};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// The [states](Self::load_state) of several keys, in their order. Each is of some moment of the call.
    ///
    /// ```
    /// use larder::LoadState;
    ///
    /// let bucket = larder::Bucket::<u32, &str>::builder("words").build()?;
    /// bucket.set(1, "one");
    /// assert_eq!(bucket.load_states(&[1, 2]), [LoadState::Cached, LoadState::Unknown]);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn load_states<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<LoadState>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'q,
    {
        keys.into_iter().map(|key| self.load_state(key)).collect()
    }

    /// How many keys there are in each state. Exact at rest, and what [`load_state`](Self::load_state) would say of all
    /// keys.
    ///
    /// Takes time in proportion to the loads that are queued and under way, and to what [`len`](Self::len) goes through.
    ///
    /// ```
    /// use larder::LoadState;
    ///
    /// let bucket = larder::Bucket::<u32, u32>::builder("odd")
    ///     .load(|key: &u32| if key % 2 == 1 { Ok(*key) } else { Err("even") })
    ///     .build()?;
    /// for key in 0..5 {
    ///     bucket.get(&key);
    /// }
    /// let counts = bucket.load_counts();
    /// assert_eq!((counts.cached, counts.failed, counts.loading), (2, 3, 0));
    /// assert_eq!(counts.of(LoadState::Failed), 3);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "load_state_stats")]
    #[must_use]
    pub fn load_counts(&self) -> LoadCounts {
        self.core.loads.counts()
    }

    /// Why the last load of a key failed. `None` if it did not fail, or the key was loaded, written or invalidated since,
    /// or the bucket was cleared, reset or replaced by a dataset.
    ///
    /// Failures are remembered so that this can be asked, and not cached: the next [`get`](Self::get) loads. A reload that
    /// failed shows here, too, while the old value is cached. What never reached a loader, such as a full queue, is not
    /// remembered; nor what a [dataset](super::Builder::load_all) failed by, which is told to who waits for the refresh.
    ///
    /// Remembered are the last failures of a thousand keys, and the oldest goes for a new one. With keys of one hash a
    /// failure may be forgotten early; one of a reload that began in the middle of a write may outlive that. No hit and
    /// no write of any bucket pays for it.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("down")
    ///     .load(|_: &u32| Err::<u32, _>("the source is down"))
    ///     .build()?;
    /// assert_eq!(bucket.get(&1), None);
    /// let error = bucket.last_failure(&1).expect("it has just failed");
    /// assert_eq!(error.to_string(), "the loader failed: the source is down");
    /// bucket.set(1, 10);
    /// assert!(bucket.last_failure(&1).is_none());
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn last_failure<Q>(&self, key: &Q) -> Option<Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let store = &self.core.store;
        store.last_failure(store.hash(key), key)
    }
}
