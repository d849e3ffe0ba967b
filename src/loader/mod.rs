//! What a user supplies: where the values come from.

mod closure;
mod outcome;

use crate::error::BoxError;

pub(crate) use self::closure::{BulkFn, DatasetFn, LoadFn};
pub use self::outcome::Outcome;

/// Loads one key.
///
/// Called on the bucket's loader threads, never twice at a time for one key. It may block; callers
/// wait no longer than their wait limit. An error or a panic is answered to everybody who waits for
/// the key, is not cached, and leaves the old value of the key readable.
///
/// A loader may call its own bucket: see the section on recursion in [`Bucket`](crate::Bucket).
pub trait Loader<K, V>: Send + Sync + 'static {
    /// What the source has for `key`.
    ///
    /// # Errors
    ///
    /// Any error of the loader's own. It reaches the waiters as the
    /// [`source`](std::error::Error::source) of an [`Error`](crate::Error).
    fn load(&self, key: &K) -> Result<Outcome<V>, BoxError>;
}

/// Loads many keys in one call.
///
/// Where a bucket has a batch loader, every load of a key goes through it.
pub trait BulkLoader<K, V>: Send + Sync + 'static {
    /// What the source has for `keys`, which are distinct and at most `batch_size`.
    ///
    /// The answers may come in any order. A key that is not among them is absent; of two answers for
    /// one key the last counts; an answer for a key that was not asked for is stored as well.
    ///
    /// # Errors
    ///
    /// Any error of the loader's own: then the load of each of the keys has failed.
    fn bulk_load(&self, keys: &[K]) -> Result<Vec<(K, Outcome<V>)>, BoxError>;
}

/// Loads the whole dataset.
///
/// With a dataset loader, a refresh replaces the bucket's content with exactly what it returns, and
/// with what was written while it ran.
pub trait DatasetLoader<K, V>: Send + Sync + 'static {
    /// Every pair of the dataset. Of two pairs with one key the last counts.
    ///
    /// # Errors
    ///
    /// Any error of the loader's own: then the bucket keeps what it has, for ever or up to
    /// [`max_stale`](crate::Builder::max_stale).
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (K, V)> + '_>, BoxError>;
}
