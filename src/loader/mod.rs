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
/// the key, is not cached, and leaves the old value of the key readable. If the bucket is
/// [reset](crate::Bucket::reset) meanwhile, what it says is dropped, and it is called again.
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

    /// What the source has for `key`, of which `current` is cached: for a reload. May answer
    /// [`Unchanged`](Outcome::Unchanged), which saves to send what is there already. Default: [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn refresh(&self, key: &K, current: &V) -> Result<Outcome<V>, BoxError> {
        let _ = current;
        self.load(key)
    }
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

    /// Whether reloads go to [`bulk_refresh`](Self::bulk_refresh). Default: no, they go to
    /// [`bulk_load`](Self::bulk_load), with misses in one batch.
    fn refreshes(&self) -> bool {
        false
    }

    /// What the source has for these keys, of which these values are cached. May answer
    /// [`Unchanged`](Outcome::Unchanged) for some. Otherwise as [`bulk_load`](Self::bulk_load).
    ///
    /// # Errors
    ///
    /// As there: then the reload of each of the keys has failed.
    fn bulk_refresh(&self, entries: &[(K, V)]) -> Result<Vec<(K, Outcome<V>)>, BoxError> {
        let _ = entries;
        Err("the loader says that it refreshes, and does not say how".into())
    }
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
