//! Loaders and storages that are written as async code, and run on a tokio runtime. With the feature `tokio`.
//!
//! A bucket calls its loaders, and its storage, on threads of its own. What is in here drives async code from these
//! threads: the thread waits for it, and the runtime does the rest. So a bucket has as many loads under way at a time as
//! it has [loader threads](crate::Builder::loader_threads), as with any loader, and batches by a
//! [`bulk_loader`] are what makes many keys cheap.
//!
//! ```
//! use larder::Bucket;
//! use tokio::runtime::Handle;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
//! # runtime.block_on(async {
//! let lengths = Bucket::<String, usize>::builder("lengths")
//!     .loader(larder::tokio::loader(Handle::current(), async |key: &String| {
//!         // A request to a service would go here.
//!         Ok::<_, std::io::Error>(key.len())
//!     }))
//!     .build()?;
//! assert_eq!(lengths.get_async("tea").await, Some(3));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! To call a bucket *from* async code needs none of this: see [`Bucket::get_async`](crate::Bucket::get_async).
//!
//! # What goes wrong
//!
//! * A panic of the async code is one of the loader: an error of kind [`Panicked`](crate::ErrorKind::Panicked) for those
//!   who wait.
//! * If the runtime is shut down, what is under way is dropped, and it and all that is asked for later ends with an
//!   error, whose source is an [`Error`](crate::Error) of kind [`Cancelled`](crate::ErrorKind::Cancelled). (A timer of
//!   tokio's that notices first panics.)
//! * Async code that never ends keeps its thread, as a loader that never returns does.
//!
//! # Runtimes of one thread
//!
//! A runtime of flavor `current_thread` does nothing while its one thread is blocked, and then sockets and timers do not
//! move on any other thread either. **If that thread calls [`get`](crate::Bucket::get), and the loader needs the runtime,
//! neither comes forward**: the call ends with a `Timeout` after the wait limit, and the load when the thread is back.
//! On such a thread use [`get_async`](crate::Bucket::get_async) and its like, which never block; the same holds for the
//! last free worker of any runtime. A multi-threaded runtime with a worker to spare does not have the problem.
//!
//! Where async code would be waited for *on* the only thread of its runtime, because a storage is read while the bucket
//! is built there or because a loader of a call's own asks for another key, it is refused with an error of kind
//! [`Reentrant`](crate::ErrorKind::Reentrant). Build a bucket with such a storage in `spawn_blocking`, or before the
//! runtime is entered.
//!
//! # Loaders that call a bucket
//!
//! Async code that a loader runs may await a bucket, also its own. What it misses is loaded on the loader's thread, one
//! after the other and with nothing else of that code going on meanwhile, for the bucket's wait limit at most; and what would
//! wait for itself is refused, as for any loader. (While one is run inside another, a
//! thread is started for the inner one.) Only the task itself is known to be the loader's: what it spawns is not, and waits
//! as anybody does. So it must not wait for a task that waits for its own key.

mod bridge;
mod storage;

use std::ops::AsyncFn;

use tokio::runtime::Handle;

pub use self::bridge::Bridge;
pub use self::storage::{AsyncStorage, storage};
use crate::error::BoxError;
use crate::loader::{BulkLoader, DatasetLoader, Loaded, Loader, Outcome};
use crate::{Key, Value};

/// A [`Loader`] from an async closure. For [`Builder::loader`](crate::Builder::loader).
///
/// The closure may answer with whatever one for [`Builder::load`](crate::Builder::load) may. For one that is told of
/// what is cached, implement [`Loader`] by means of a [`Bridge`].
///
/// # Panics
///
/// If the handle's runtime cannot take a task; one that has been shut down can, and has it end at once.
pub fn loader<K: Key, V: Value, O, E>(
    handle: Handle,
    load: impl AsyncFn(&K) -> Result<O, E> + Send + Sync + 'static,
) -> impl Loader<K, V>
where
    O: Into<Loaded<K, V>> + 'static,
    E: Into<BoxError> + 'static,
{
    let bridge = Bridge::new(handle);
    Closure(move |key: &K| {
        bridge.run(async || load(key).await.map(Into::into).map_err(Into::into))?
    })
}

/// A [`BulkLoader`] from an async closure. For [`Builder::bulk_loader`](crate::Builder::bulk_loader).
///
/// The closure may answer with whatever one for [`Builder::bulk_load`](crate::Builder::bulk_load) may.
///
/// ```
/// use larder::Bucket;
/// use tokio::runtime::Handle;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
/// # runtime.block_on(async {
/// let squares = Bucket::<u64, u64>::builder("squares")
///     .bulk_loader(larder::tokio::bulk_loader(Handle::current(), async |keys: &[u64]| {
///         // One query for the whole batch would go here.
///         Ok::<_, std::io::Error>(keys.iter().map(|key| (*key, key * key)).collect::<Vec<_>>())
///     }))
///     .build()?;
/// assert_eq!(squares.get_many_async([&3, &4]).await, [Some(9), Some(16)]);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Panics
///
/// As [`loader`].
pub fn bulk_loader<K: Key, V: Value, I, O, E>(
    handle: Handle,
    load: impl AsyncFn(&[K]) -> Result<I, E> + Send + Sync + 'static,
) -> impl BulkLoader<K, V>
where
    I: IntoIterator<Item = (K, O)> + 'static,
    O: Into<Outcome<V>> + 'static,
    E: Into<BoxError> + 'static,
{
    let bridge = Bridge::new(handle);
    Closure(move |keys: &[K]| {
        bridge.run(async || {
            let answers = load(keys).await.map_err(Into::into)?;
            let answers = answers
                .into_iter()
                .map(|(key, answer)| (key, answer.into()));
            Ok(answers.collect::<Vec<_>>())
        })?
    })
}

/// A [`DatasetLoader`] from an async closure. For [`Builder::dataset_loader`](crate::Builder::dataset_loader).
///
/// The closure may answer with whatever one for [`Builder::load_all`](crate::Builder::load_all) may.
///
/// # Panics
///
/// As [`loader`].
pub fn dataset_loader<K: Key, V: Value, I, E>(
    handle: Handle,
    load: impl AsyncFn() -> Result<I, E> + Send + Sync + 'static,
) -> impl DatasetLoader<K, V>
where
    I: IntoIterator<Item = (K, V)> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let bridge = Bridge::new(handle);
    Closure(move || bridge.run(async || load().await.map_err(Into::into))?)
}

/// A closure as a loader.
struct Closure<F>(F);

impl<K: Key, V: Value, F> Loader<K, V> for Closure<F>
where
    F: Fn(&K) -> Result<Loaded<K, V>, BoxError> + Send + Sync + 'static,
{
    fn load(&self, key: &K) -> Result<Outcome<V>, BoxError> {
        (self.0)(key).map(Loaded::into_outcome)
    }

    fn load_pairs(&self, key: &K, _: Option<&V>) -> Result<Loaded<K, V>, BoxError> {
        (self.0)(key)
    }
}

impl<K: Key, V: Value, F> BulkLoader<K, V> for Closure<F>
where
    F: Fn(&[K]) -> Result<Vec<(K, Outcome<V>)>, BoxError> + Send + Sync + 'static,
{
    fn bulk_load(&self, keys: &[K]) -> Result<Vec<(K, Outcome<V>)>, BoxError> {
        (self.0)(keys)
    }
}

impl<K: Key, V: Value, I, F> DatasetLoader<K, V> for Closure<F>
where
    F: Fn() -> Result<I, BoxError> + Send + Sync + 'static,
    I: IntoIterator<Item = (K, V)> + 'static,
{
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (K, V)> + '_>, BoxError> {
        Ok(Box::new((self.0)()?.into_iter()))
    }
}
