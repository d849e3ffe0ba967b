//! What a write brings.

use crate::clock::Deadline;
use crate::table::Weight;

/// What a write brings: a value that may expire, or a tombstone where a key is removed.
#[derive(Clone)]
pub(crate) struct Content<V> {
    pub(crate) value: Option<V>,
    pub(crate) expires: Deadline,
    /// What it counts for in a bucket with a limit. A tombstone weighs nothing.
    pub(crate) weight: Weight,
}

impl<V> Content<V> {
    pub(crate) fn until(value: V, expires: Deadline) -> Self {
        Self {
            value: Some(value),
            expires,
            weight: Weight::default(),
        }
    }

    /// The same, of so much weight.
    pub(crate) fn weighing(self, weight: u64) -> Self {
        Self {
            weight: Weight::of(weight),
            ..self
        }
    }
}

impl<V> From<Option<V>> for Content<V> {
    fn from(value: Option<V>) -> Self {
        Self {
            value,
            expires: Deadline::NEVER,
            weight: Weight::default(),
        }
    }
}
