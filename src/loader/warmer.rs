//! Warmers: what brings pairs before anybody asks for them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::Outcome;
use crate::error::BoxError;

/// Brings pairs before anybody asks for them. See [`Builder::warmer`](crate::Builder::warmer).
///
/// Called on a thread of its own, once when the bucket is built and then as its [`Warm`](crate::Warm) says; never twice
/// at a time. It may block: nobody waits for it but who has said so. What it needs it owns, as a [`Loader`](
/// crate::Loader) does.
///
/// ```
/// use larder::{BoxError, Bucket, Warm, Warmed, Warmer, Warming};
///
/// struct Popular {
///     most: u32,
/// }
///
/// impl Warmer<u32, u32> for Popular {
///     fn warm(&self, _: &Warming<'_, u32, u32>) -> Result<Warmed<u32, u32>, BoxError> {
///         Ok(Warmed::pairs((0..self.most).map(|key| (key, key * key))))
///     }
/// }
///
/// let squares = Bucket::<u32, u32>::builder("squares")
///     .warmer("popular", Warm::new(Popular { most: 10 }).required())
///     .build()?;
/// assert_eq!(squares.peek(&9), Some(81));
/// # Ok::<(), larder::BuildError>(())
/// ```
#[doc(alias = "execute")]
pub trait Warmer<K, V>: Send + Sync + 'static {
    /// What there is to be stored now. `bucket` is the bucket that is warmed, also where it is still being built.
    ///
    /// # Errors
    ///
    /// Any error of the warmer's own: then nothing is stored, and it is run again when its time comes.
    fn warm(&self, bucket: &Warming<'_, K, V>) -> Result<Warmed<K, V>, BoxError>;
}

/// What a [`Warmer`] brings.
///
/// A `Vec`, an array, a map of pairs, and an `Option` of one convert, so most warmers never name this type. In a pair may
/// stand a plain value or an [`Outcome`], which says how long the value lives, what it weighs or which tags it has; a pair without a value
/// says nothing: nothing is ever removed by a warmer.
///
/// ```
/// use std::time::Duration;
/// use larder::{Outcome, Warmed};
///
/// let warmed = Warmed::pairs([(1, "one"), (2, "two")]).ttl(Duration::from_secs(60));
/// # let _: Warmed<u32, &str> = warmed;
/// let warmed = Warmed::pairs([(1, Outcome::from("one")), (2, Outcome::Expiring("two", Duration::from_secs(5)))]);
/// # let _: Warmed<u32, &str> = warmed;
/// let nothing_this_time = Warmed::nothing();
/// # let _: Warmed<u32, &str> = nothing_this_time;
/// ```
#[derive(Debug)]
pub struct Warmed<K, V> {
    pairs: Vec<(K, Outcome<V>)>,
    ttl: Option<Duration>,
}

impl<K, V> Warmed<K, V> {
    /// Nothing this time. What is cached stays.
    #[doc(alias = "ignore")]
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            pairs: Vec::new(),
            ttl: None,
        }
    }

    /// These pairs. Of two with one key the last counts.
    pub fn pairs<O: Into<Outcome<V>>>(pairs: impl IntoIterator<Item = (K, O)>) -> Self {
        let pairs = pairs.into_iter();
        Self {
            pairs: pairs.map(|(key, value)| (key, value.into())).collect(),
            ttl: None,
        }
    }

    /// How long they live, but for those that say it themselves. Default: the bucket's [`ttl`](crate::Builder::ttl).
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..self
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<(K, Outcome<V>)>, Option<Duration>) {
        (self.pairs, self.ttl)
    }
}

impl<K, V> From<Vec<(K, V)>> for Warmed<K, V> {
    fn from(pairs: Vec<(K, V)>) -> Self {
        Self::pairs(pairs)
    }
}

impl<K, V, const N: usize> From<[(K, V); N]> for Warmed<K, V> {
    fn from(pairs: [(K, V); N]) -> Self {
        Self::pairs(pairs)
    }
}

impl<K, V, S> From<HashMap<K, V, S>> for Warmed<K, V> {
    fn from(pairs: HashMap<K, V, S>) -> Self {
        Self::pairs(pairs)
    }
}

impl<K, V> From<BTreeMap<K, V>> for Warmed<K, V> {
    fn from(pairs: BTreeMap<K, V>) -> Self {
        Self::pairs(pairs)
    }
}

impl<K, V, W: Into<Self>> From<Option<W>> for Warmed<K, V> {
    fn from(warmed: Option<W>) -> Self {
        warmed.map_or_else(Self::nothing, Into::into)
    }
}

/// What a warmer may do with its own bucket while it runs, also where that is still being built.
///
/// It may use the bucket by a handle of its own as well, or any other bucket. What it misses is loaded on its thread.
pub struct Warming<'a, K, V> {
    name: &'a str,
    own: &'a dyn Own<K, V>,
}

/// A bucket, without its hasher's type.
pub(crate) trait Own<K, V> {
    fn peek(&self, key: &K) -> Option<V>;
    fn get(&self, key: &K) -> Option<V>;
    fn set(&self, key: K, value: V);
    fn keys(&self) -> Vec<K>;
    fn is_closed(&self) -> bool;
}

impl<'a, K, V> Warming<'a, K, V> {
    pub(crate) fn new(name: &'a str, own: &'a dyn Own<K, V>) -> Self {
        Self { name, own }
    }

    /// The warmer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// As [`Bucket::peek`](crate::Bucket::peek).
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<V> {
        self.own.peek(key)
    }

    /// As [`Bucket::get`](crate::Bucket::get).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.own.get(key)
    }

    /// As [`Bucket::set`](crate::Bucket::set). What the warmer returns in the end does not overwrite it.
    pub fn set(&self, key: K, value: V) {
        self.own.set(key, value);
    }

    /// As [`Bucket::keys`](crate::Bucket::keys).
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.own.keys()
    }

    /// Whether the bucket has been shut down, so that a long run may end early.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.own.is_closed()
    }
}

impl<K, V> fmt::Debug for Warming<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warming")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A closure as a [`Warmer`].
pub(crate) struct WarmFn<F, W, E>(F, PhantomData<fn() -> (W, E)>);

impl<F, W, E> WarmFn<F, W, E> {
    pub(crate) fn new(warm: F) -> Self {
        Self(warm, PhantomData)
    }
}

impl<K, V, F, W, E> Warmer<K, V> for WarmFn<F, W, E>
where
    F: Fn(&Warming<'_, K, V>) -> Result<W, E> + Send + Sync + 'static,
    W: Into<Warmed<K, V>> + 'static,
    E: Into<BoxError> + 'static,
{
    fn warm(&self, bucket: &Warming<'_, K, V>) -> Result<Warmed<K, V>, BoxError> {
        (self.0)(bucket).map(Into::into).map_err(Into::into)
    }
}
