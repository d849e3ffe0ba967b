//! Calls that a task awaits.

use std::borrow::Borrow;
use std::hash::Hash;

use super::{Bucket, Call};
use crate::error::Error;
use crate::fetched::{Fetched, Origin};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// As [`get`](Self::get), for a task: a miss waits without blocking the thread. With any runtime, or none.
    ///
    /// A hit is ready at the first poll, and allocates nothing. A miss joins the load of the key that is wanted or under
    /// way, or has the bucket's loader threads load it, as [`get`](Self::get) does: threads and tasks share one flight.
    ///
    /// # Time limits
    ///
    /// The bucket's wait limit does not apply, as there is nobody to wake a task for it: put the runtime's own
    /// time limit around the call (`tokio::time::timeout` for instance).
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time. The load goes on, and its value is stored when it comes; others who wait for it
    /// are answered as ever, and nothing is left behind. Before it is polled nothing happens.
    ///
    /// # Blocking
    ///
    /// A poll never waits, but for the moment in which another thread puts itself on a list. It runs `Hash`, `Eq` and
    /// `Clone` of the key and, for the answer, `Clone` of the value.
    ///
    /// There is one exception. Polled on a thread that is inside a loader, by a loader that drives a runtime of its own
    /// say, it loads what it misses there and then, as [`get`](Self::get) does, and gets an error where that
    /// would wait for itself; the wait limit holds there. What the task of an async loader (see the feature `tokio`)
    /// misses is loaded on the loader's own thread meanwhile, and the same holds.
    ///
    /// A task is woken on the thread that ends the load. A waker that panics there harms nobody; one that takes
    /// its time holds up the bucket's loads.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// let squares = larder::Bucket::<u64, u64>::builder("squares")
    ///     .load(|key: &u64| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// # runtime.block_on(async {
    /// assert_eq!(squares.get_async(&12).await, Some(144)); // a miss: loaded
    /// assert_eq!(squares.get_async(&12).await, Some(144)); // a hit
    /// # });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_async<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.call().get_async(key).await
    }

    /// As [`fetch`](Self::fetch), for a task: see [`get_async`](Self::get_async).
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), but for `Timeout`.
    pub async fn fetch_async<Q>(&self, key: &Q) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.call().fetch_async(key).await
    }

    /// As [`get_many`](Self::get_many), for a task: see [`get_async`](Self::get_async). Misses are loaded together.
    pub async fn get_many_async<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.call().get_many_async(keys).await
    }

    /// As [`fetch_many`](Self::fetch_many), for a task: see [`get_async`](Self::get_async).
    pub async fn fetch_many_async<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.call().fetch_many_async(keys).await
    }
}

/// Awaited. The [`timeout`](Call::timeout) does not apply to these, see [`Bucket::get_async`]; the other options do.
impl<K: Key, V: Value, S: HashBuilder> Call<'_, K, V, S> {
    /// As [`Bucket::get_async`].
    pub async fn get_async<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.fetch_async(key).await.ok()?.into_value()
    }

    /// As [`Bucket::fetch_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn fetch_async<Q>(&self, key: &Q) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.bucket.hash(key);
        match self.peek(hash, key) {
            Some(value) => Ok(Fetched::new(Some(value), Origin::Hit)),
            None => {
                let loads = &self.bucket.core.loads;
                loads.fetch_async(hash, key, self.limit, self.keep).await
            }
        }
    }

    /// As [`Bucket::get_many_async`].
    pub async fn get_many_async<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let fetched = self.fetch_many_async(keys).await.into_iter();
        fetched.map(|fetched| fetched.ok()?.into_value()).collect()
    }

    /// As [`Bucket::fetch_many_async`].
    pub async fn fetch_many_async<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let (keys, loads) = (keys.into_iter(), &self.bucket.core.loads);
        loads.fetch_many_async(keys, self.limit, self.keep).await
    }
}
