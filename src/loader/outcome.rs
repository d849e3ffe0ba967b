//! What a loader says about one key.

use std::time::Duration;

use crate::error::BoxError;

/// A loader's answer for one key.
///
/// A plain value, an `Option` and a `Result` convert, so most loaders never name this type:
///
/// ```
/// use larder::Outcome;
///
/// assert!(matches!(Outcome::from(7), Outcome::Value(7)));
/// assert!(matches!(Outcome::<u8>::from(None), Outcome::Absent));
/// assert!(matches!(Outcome::<u8>::from(Err("no route")), Outcome::Failed(_)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<V> {
    /// The value: stored, and answered to whoever waits.
    Value(V),
    /// The value, stored for so long, whatever the [`ttl`](crate::Builder::ttl) of the bucket or of
    /// [a call](crate::Call::ttl).
    Expiring(V, Duration),
    /// The value, stored with what is said here of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Outcome;
    ///
    /// let (page, size) = ("<html>".to_string(), 6);
    /// let stored = Outcome::Stored { value: page, ttl: Some(Duration::from_secs(60)), weight: Some(size) };
    /// # let _: Outcome<String> = stored;
    /// ```
    Stored {
        /// The value.
        value: V,
        /// How long it lives; `None` as for [`Value`](Self::Value).
        ttl: Option<Duration>,
        /// What it [weighs](crate::Builder::max_weight); `None` as the bucket's weigher says.
        weight: Option<u64>,
    },
    /// The value, for whoever waits, but not to be stored.
    Ignore(V),
    /// To a reload only: what is cached is what the source has. It stays, and lives as long again as if it had just
    /// been loaded.
    Unchanged,
    /// The source has no such key. A cached value of it goes.
    Absent,
    /// The load of this key failed. A cached value of it stays, for ever or up to
    /// [`max_stale`](crate::Builder::max_stale).
    Failed(BoxError),
}

impl<V> From<V> for Outcome<V> {
    fn from(value: V) -> Self {
        Self::Value(value)
    }
}

impl<V> From<Option<V>> for Outcome<V> {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

impl<V, E: Into<BoxError>> From<Result<V, E>> for Outcome<V> {
    fn from(value: Result<V, E>) -> Self {
        match value {
            Ok(value) => Self::Value(value),
            Err(error) => Self::Failed(error.into()),
        }
    }
}
