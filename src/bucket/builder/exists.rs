//! Whether a key exists, asked before it is loaded.

use std::time::Duration;

use super::Builder;
use crate::config::{Config, refuse};
use crate::error::{BoxError, BuildError};
use crate::load::Source;
use crate::{HashBuilder, Key, Value};

/// How many keys are remembered where nothing is said: as many as the queue takes.
pub(super) const CAPACITY: usize = 100_000;

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Asks `exists` for each key that was missed, before it is loaded: `false` is answered as absent at once, to all
    /// who wait for the key, and the loader is not called for it. Default: none.
    ///
    /// For a source in which many keys are asked for that are not there, and that can say so at less cost than by a
    /// load. It is a saving and no authority: what exists may still be absent for the loader, and then is.
    ///
    /// It is asked for misses of [`get`](crate::Bucket::get), [`get_many`](crate::Bucket::get_many) and
    /// [`request_load`](crate::Bucket::request_load); not on a hit, not for a reload of a cached key, and not for a
    /// loader that a call brings along, of whose source it knows nothing.
    ///
    /// That a key exists is remembered until [`exists_capacity`](Self::exists_capacity) is reached or a loader says
    /// that it is absent; that it does not, for [`exists_absent_for`](Self::exists_absent_for).
    ///
    /// It costs hits nothing. A miss and a write look the key up once more, and a write clones it.
    ///
    /// # Errors and panics
    ///
    /// If it returns an error or panics, the key is loaded all the same, as are those that are left of the batch,
    /// without asking for them: a check that is down must not take the data down. It is counted in
    /// [`Stats::exists_failed`](crate::Stats::exists_failed) and told as
    /// [`Event::ExistsFailed`](crate::Event::ExistsFailed).
    ///
    /// # Blocking
    ///
    /// It runs where the loader would: on a loader thread, key by key, never twice at a time for one key. So callers
    /// wait no longer than their wait limit, and `request_load` returns at once. It may block and may call buckets; to
    /// ask for its own key there is an error of kind [`Recursion`](crate::ErrorKind::Recursion).
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares of even numbers")
    ///     .exists(|key: &u32| Ok::<_, std::io::Error>(key % 2 == 0))
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// assert_eq!(bucket.get_many([&2, &3, &4]), [Some(4), None, Some(16)]);
    /// assert_eq!(bucket.stats().keys_asked, 2);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "key_exists")]
    pub fn exists<F, E>(mut self, exists: F) -> Self
    where
        F: Fn(&K) -> Result<bool, E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        self.exists = Some(Box::new(move |key| exists(key).map_err(Into::into)));
        self
    }

    /// For how long a key is remembered to be absent, from when [`exists`](Self::exists) has said so. More asks less
    /// often, and shows later that a key has come into being of which the bucket is not told. Default: not at all.
    ///
    /// Whatever is written or loaded of the key ends it, an [`invalidate`](crate::Bucket::invalidate) included; a
    /// [`clear`](crate::Bucket::clear) and a new dataset end it for all keys. A read that finds the key remembered has
    /// [`Origin::Hit`](crate::Origin::Hit), takes no lock, and does not wait.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, u32>::builder("nothing there")
    ///     .clock(time.clock())
    ///     .exists(|_: &u32| Ok::<_, std::io::Error>(false))
    ///     .exists_absent_for(Duration::from_secs(10))
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(*key))
    ///     .build()?;
    /// assert_eq!((bucket.get(&1), bucket.get(&1)), (None, None));
    /// assert_eq!(bucket.stats().exists_asked, 1);
    /// time.advance(Duration::from_secs(10));
    /// assert_eq!(bucket.get(&1), None);
    /// assert_eq!(bucket.stats().exists_asked, 2);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn exists_absent_for(mut self, time: Duration) -> Self {
        self.options.exists_absent_for = Some(time);
        self
    }

    /// How many keys are remembered to exist, and how many to be absent, each at most. When it is reached the one
    /// that was asked for first goes. A key takes its size and some 150 bytes. Default: 100 000.
    pub fn exists_capacity(mut self, keys: usize) -> Self {
        self.options.exists_capacity = Some(keys);
        self
    }
}

/// # Errors
///
/// An option without what it is for.
pub(super) fn check<K, V>(
    config: &Config,
    given: bool,
    source: &Source<K, V>,
) -> Result<(), BuildError> {
    if given && matches!(source, Source::None) {
        let range = "left out in a bucket without a loader of keys";
        refuse("exists", "set", range)?;
    }
    let range = "left out in a bucket without `exists`";
    if !given && config.exists_absent_for.is_some() {
        refuse("exists_absent_for", "set", range)?;
    }
    if !given && config.exists_capacity.is_some() {
        refuse("exists_capacity", "set", range)?;
    }
    Ok(())
}
