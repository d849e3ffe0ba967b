//! What a loader says about one key.

use std::time::Duration;

use crate::error::BoxError;
use crate::tags::Tags;

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
    /// The same, stored under these tags: what [`tagged`](Self::tagged) makes of an outcome.
    Tagged(Box<Self>, Tags),
    /// The value, for whoever waits, but not to be stored.
    Ignore(V),
    /// To a reload only: what is cached is what the source has. It stays, and lives as long again as if it had just
    /// been loaded. It keeps its tags.
    Unchanged,
    /// The source has no such key. A cached value of it goes.
    Absent,
    /// The load of this key failed. A cached value of it stays, for ever or up to
    /// [`max_stale`](crate::Builder::max_stale).
    Failed(BoxError),
}

impl<V> Outcome<V> {
    /// The same, with its value stored under these tags, and those that it has already:
    /// [`Bucket::invalidate_tag`](crate::Bucket::invalidate_tag) forgets all that is cached under one.
    ///
    /// An outcome that stores no value stays as it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Outcome;
    ///
    /// let price = Outcome::from(4.95).tagged("customer:17");
    /// # let _: Outcome<f64> = price;
    /// let price = Outcome::Expiring(4.95, Duration::from_secs(60)).tagged(["customer:17", "region:eu"]);
    /// # let _: Outcome<f64> = price;
    /// ```
    #[must_use]
    pub fn tagged(self, tags: impl Into<Tags>) -> Self {
        match self {
            Self::Value(_) | Self::Expiring(..) | Self::Stored { .. } => {
                Self::Tagged(Box::new(self), tags.into())
            }
            Self::Tagged(outcome, before) => Self::Tagged(outcome, before.and(&tags.into())),
            Self::Ignore(_) | Self::Unchanged | Self::Absent | Self::Failed(_) => self,
        }
    }

    /// Whether it has a value to be stored.
    pub(crate) fn stores(&self) -> bool {
        match self {
            Self::Value(_) | Self::Expiring(..) | Self::Stored { .. } => true,
            Self::Tagged(outcome, _) => outcome.stores(),
            Self::Ignore(_) | Self::Unchanged | Self::Absent | Self::Failed(_) => false,
        }
    }

    /// What it is without its tags, and those.
    pub(crate) fn apart(self) -> (Self, Option<Tags>) {
        let Self::Tagged(outcome, tags) = self else {
            return (self, None);
        };
        let (outcome, more) = outcome.apart();
        let tags = more.map_or(tags.clone(), |more| tags.and(&more));
        (outcome, Some(tags).filter(|tags| !tags.is_empty()))
    }
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
