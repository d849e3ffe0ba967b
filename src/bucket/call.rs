//! One call with options of its own.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use super::Bucket;
use crate::error::{BoxError, Error};
use crate::fetched::{Fetched, Origin};
use crate::load::Keep;
use crate::loader::{Loaded, Outcome};
use crate::store::Store;
use crate::{HashBuilder, Key, Value};

/// A read with options of its own. See [`Bucket::call`](super::Bucket::call).
///
/// ```
/// use std::time::Duration;
///
/// let bucket = larder::Bucket::<u32, u32>::builder("squares").build()?;
/// let fetched = bucket
///     .call()
///     .timeout(Duration::from_millis(50))
///     .fetch_with(&7, |key| Ok::<_, std::io::Error>(key * key))?;
/// assert_eq!(fetched.into_value(), Some(49));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Call<'a, K: Key, V: Value, S: HashBuilder> {
    pub(super) bucket: &'a Bucket<K, V, S>,
    pub(super) limit: Duration,
    pub(super) keep: Keep,
}

impl<'a, K: Key, V: Value, S: HashBuilder> Call<'a, K, V, S> {
    pub(super) fn new(bucket: &'a Bucket<K, V, S>) -> Self {
        Self {
            bucket,
            limit: bucket.core.config.wait_limit,
            keep: Keep::USUAL,
        }
    }

    /// Waits so long for loads, at most. Zero does not wait at all. Default: the bucket's wait limit.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Does not store what a miss loads: it is answered with [`Origin::Ignored`]. What is cached is answered as ever.
    ///
    /// There is still one load of a key at a time: who misses it meanwhile joins this one, as this call joins one that
    /// is under way. Such a load is stored if anybody who waits for it wants it stored, and is answered to all as
    /// loaded then; who comes when it has just been left unstored has it loaded again. Only the value of the key is
    /// meant: what a loader brings [besides](crate::BulkLoader::bulk_load) is stored.
    ///
    /// ```
    /// use larder::Origin;
    ///
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// let fetched = bucket.call().skip_save().fetch(&3)?;
    /// assert_eq!((fetched.value(), fetched.origin()), (Some(&9), Origin::Ignored));
    /// assert_eq!(bucket.peek(&3), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "fetch_no_save")]
    pub fn skip_save(mut self) -> Self {
        self.keep.save = false;
        self
    }

    /// Has what a miss loads live for so long, unless the loader says it by
    /// [`Outcome::Expiring`]. What is cached keeps its time. Default: the bucket's
    /// [`ttl`](super::Builder::ttl).
    ///
    /// The call that leads a load decides: one that joins it takes it as it is. So a load that was led by
    /// [`skip_save`](Self::skip_save), and is stored for one that has joined, lives as long as the leader said.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Ttl;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .clock(time.clock())
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// assert_eq!(bucket.call().ttl(Duration::from_secs(5)).get(&3), Some(9));
    /// assert_eq!(bucket.ttl(&3), Some(Ttl::Left(Duration::from_secs(5))));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.keep.ttl = Some(ttl);
        self
    }

    #[inline(always)]
    pub(super) fn peek<Q>(&self, hash: u64, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let bucket = self.bucket;
        Store::peek(&bucket.place, || &bucket.core.store, hash, key)
    }

    /// As [`Bucket::get`](super::Bucket::get).
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.bucket.hash(key);
        match self.peek(hash, key) {
            Some(value) => Some(value),
            None => self.bucket.core.load(hash, key, self.limit, self.keep),
        }
    }

    /// As [`Bucket::fetch`](super::Bucket::fetch).
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn fetch<Q>(&self, key: &Q) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.bucket.hash(key);
        match self.peek(hash, key) {
            Some(value) => Ok(Fetched::new(Some(value), Origin::Hit)),
            None => self
                .bucket
                .core
                .loads
                .fetch(hash, key, self.limit, self.keep),
        }
    }

    /// As [`Bucket::get_many`](super::Bucket::get_many).
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.bucket
            .core
            .loads
            .get_many(keys.into_iter(), self.limit, self.keep)
    }

    /// As [`Bucket::fetch_many`](super::Bucket::fetch_many).
    pub fn fetch_many<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.bucket
            .core
            .loads
            .fetch_many(keys.into_iter(), self.limit, self.keep)
    }

    /// As [`fetch`](Self::fetch), but on a miss asks `load`, which wins over the bucket's loader.
    ///
    /// It runs on this thread, and only if no load of the key is under way: then that one is joined.
    /// The time limit does not apply to it. If the bucket is [reset](super::Bucket::reset) while it runs, it is run
    /// again, unless the time limit has passed by then.
    ///
    /// # Errors
    ///
    /// As [`Bucket::fetch`](super::Bucket::fetch). An error or a panic of `load` also reaches those who
    /// have joined.
    #[doc(alias = "fallback")]
    pub fn fetch_with<Q, O, E>(
        &self,
        key: &Q,
        mut load: impl FnMut(&K) -> Result<O, E>,
    ) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        O: Into<Loaded<K, V>>,
        E: Into<BoxError>,
    {
        let hash = self.bucket.hash(key);
        match self.peek(hash, key) {
            Some(value) => Ok(Fetched::new(Some(value), Origin::Hit)),
            None => self
                .bucket
                .core
                .loads
                .fetch_with(hash, key, self.limit, self.keep, |key| match load(key) {
                    Ok(loaded) => loaded.into(),
                    Err(error) => Outcome::Failed(error.into()).into(),
                }),
        }
    }

    /// As [`fetch_with`](Self::fetch_with), and the value only: `None` also where that would return an error, as
    /// [`Bucket::get`](super::Bucket::get) does.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares").build()?;
    /// let square = |key: &u32| Ok::<_, std::io::Error>(key * key);
    /// assert_eq!(bucket.call().get_with(&7, square), Some(49));
    /// assert_eq!(bucket.call().get_with(&7, |_| Err::<u32, _>("not asked: it is cached")), Some(49));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn get_with<Q, O, E>(&self, key: &Q, load: impl FnMut(&K) -> Result<O, E>) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        O: Into<Loaded<K, V>>,
        E: Into<BoxError>,
    {
        self.fetch_with(key, load).ok()?.into_value()
    }
}

impl<K: Key, V: Value, S: HashBuilder> fmt::Debug for Call<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("timeout", &self.limit)
            .field("skip_save", &!self.keep.save)
            .field("ttl", &self.keep.ttl)
            .finish_non_exhaustive()
    }
}
