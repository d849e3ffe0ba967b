//! What a user supplies: where the values come from.

mod closure;
mod loaded;
mod outcome;
mod warmer;

use crate::config::Options;
use crate::error::BoxError;

pub(crate) use self::closure::{BulkFn, DatasetFn, ItemsFn, LoadFn};
pub use self::loaded::Loaded;
pub use self::outcome::Outcome;
pub(crate) use self::warmer::{Own, WarmFn};
pub use self::warmer::{Warmed, Warmer, Warming};

/// Loads one key.
///
/// Called on the bucket's loader threads, never twice at a time for one key. It may block; callers
/// wait no longer than their wait limit. An error or a panic is answered to everybody who waits for
/// the key, is not cached, and leaves the old value of the key readable. If the bucket is
/// [reset](crate::Bucket::reset) meanwhile, what it says is dropped, and it is called again.
///
/// A loader is asked through a shared reference, from several threads: what it needs, a pool of connections, a token, a
/// count, it owns, as a closure owns what it captures.
///
/// ```
/// use larder::{BoxError, Bucket, Loader, Outcome};
///
/// struct Rates {
///     base: f64,
/// }
///
/// impl Loader<u32, f64> for Rates {
///     fn load(&self, key: &u32) -> Result<Outcome<f64>, BoxError> {
///         Ok(Outcome::Value(self.base * f64::from(*key)))
///     }
/// }
///
/// let rates = Bucket::builder("rates").loader(Rates { base: 0.5 }).build()?;
/// assert_eq!(rates.get(&3), Some(1.5));
///
/// let base = 0.25; // state of a closure's
/// let rates = Bucket::<u32, f64>::builder("rates")
///     .load(move |key: &u32| Ok::<_, std::io::Error>(base * f64::from(*key)))
///     .build()?;
/// assert_eq!(rates.get(&3), Some(0.75));
/// // A loader of the call's wins over both, and has a state of its own.
/// let discount = 0.5;
/// let rate = |key: &u32| Ok::<_, std::io::Error>(discount * f64::from(*key));
/// assert_eq!(rates.call().get_with(&4, rate), Some(2.0));
/// # Ok::<(), larder::BuildError>(())
/// ```
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

    /// What the source has for `key`, of which `current` is cached if it is a reload, and other pairs that came along:
    /// see [`Loaded::with_pairs`]. This is what a bucket calls. Default: [`refresh`](Self::refresh), or
    /// [`load`](Self::load) where nothing is cached, and no pairs.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn load_pairs(&self, key: &K, current: Option<&V>) -> Result<Loaded<K, V>, BoxError> {
        let outcome = match current {
            Some(current) => self.refresh(key, current),
            None => self.load(key),
        };
        outcome.map(Loaded::One)
    }

    /// The loader's own defaults: they are over the library's, and below what is said to the builder. Asked once, when
    /// the bucket is built. Default: none.
    fn config(&self) -> Options {
        Options::default()
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

    /// As [`Loader::config`].
    fn config(&self) -> Options {
        Options::default()
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

    /// As [`Loader::config`]; where there is also a loader of keys, that one's defaults are over these.
    fn config(&self) -> Options {
        Options::default()
    }
}
