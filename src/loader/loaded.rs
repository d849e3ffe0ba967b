//! What a loader of single keys says in one call.

use super::Outcome;
use crate::error::BoxError;

/// What one call of a loader of single keys brings: the answer for the key that it was asked for, or an answer and pairs
/// to be stored.
///
/// A plain value, an `Option`, a `Result` and an [`Outcome`] convert, so only a loader that brings
/// [pairs](Self::with_pairs) names this type.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loaded<K, V> {
    /// What the source has for the key.
    One(Outcome<V>),
    /// The value for whoever waits for the key; and what is stored: exactly these pairs.
    Pairs(V, Vec<(K, Outcome<V>)>),
}

impl<K, V> Loaded<K, V> {
    /// The `value` for whoever waits, and what is stored: exactly these pairs. The key that was asked for is stored only
    /// if it is among them; if it is not, the value is answered as [ignored](crate::Origin::Ignored), what is cached of
    /// it stays, and the next `get` loads it again.
    ///
    /// For a source that answers with a whole page where one line was asked for. The pairs are stored before anybody is
    /// answered, and none of them over something newer: what was written, or cleared, since the load began stands. Of
    /// two pairs of one key the last counts. A pair may have a time and a weight of its own ([`Outcome::Stored`]), and [tags](Outcome::tagged); one of another
    /// key that has no value says nothing. What is said of the key itself is what becomes of it in the cache: an error
    /// is a failed load, and [`Absent`](Outcome::Absent) removes it.
    ///
    /// ```
    /// use larder::Loaded;
    ///
    /// let squares = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| {
    ///         let tens = key / 10 * 10;
    ///         let page = (tens..tens + 10).map(|key| (key, key * key));
    ///         Ok::<_, std::io::Error>(Loaded::with_pairs(key * key, page))
    ///     })
    ///     .build()?;
    /// assert_eq!(squares.get(&12), Some(144));
    /// assert_eq!(squares.peek(&19), Some(361)); // it came along
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn with_pairs<O: Into<Outcome<V>>>(
        value: V,
        pairs: impl IntoIterator<Item = (K, O)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(key, outcome)| (key, outcome.into()));
        Self::Pairs(value, pairs.collect())
    }

    /// The answer for whoever waits, without what is to be stored besides.
    #[must_use]
    pub fn into_outcome(self) -> Outcome<V> {
        match self {
            Self::One(outcome) => outcome,
            Self::Pairs(value, _) => Outcome::Ignore(value),
        }
    }

    /// Sorts what is said of the key that was asked for from the rest.
    pub(crate) fn apart(self, key: &K) -> Apart<K, V>
    where
        K: Eq,
    {
        let (value, mut pairs) = match self {
            Self::One(outcome) => {
                return Apart {
                    outcome,
                    told: None,
                    others: Vec::new(),
                };
            }
            Self::Pairs(value, pairs) => (value, pairs),
        };
        let mut own = None;
        while let Some(at) = pairs.iter().rposition(|(other, _)| other == key) {
            let (_, outcome) = pairs.remove(at);
            // The last counts.
            own.get_or_insert(outcome);
        }
        let (outcome, told) = match own {
            Some(outcome) => (outcome, Some(value)),
            None => (Outcome::Ignore(value), None),
        };
        Apart {
            outcome,
            told,
            others: pairs,
        }
    }
}

/// What is said of the key that was asked for, and of others.
pub(crate) struct Apart<K, V> {
    pub(crate) outcome: Outcome<V>,
    /// What whoever waits is answered, where that is not what is stored.
    pub(crate) told: Option<V>,
    pub(crate) others: Vec<(K, Outcome<V>)>,
}

impl<K, V> From<V> for Loaded<K, V> {
    fn from(value: V) -> Self {
        Self::One(value.into())
    }
}

impl<K, V> From<Option<V>> for Loaded<K, V> {
    fn from(value: Option<V>) -> Self {
        Self::One(value.into())
    }
}

impl<K, V, E: Into<BoxError>> From<Result<V, E>> for Loaded<K, V> {
    fn from(value: Result<V, E>) -> Self {
        Self::One(value.into())
    }
}

impl<K, V> From<Outcome<V>> for Loaded<K, V> {
    fn from(outcome: Outcome<V>) -> Self {
        Self::One(outcome)
    }
}
