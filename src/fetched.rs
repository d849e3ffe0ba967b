//! What a fetch returns.

/// Where the answer of a fetch came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// It was cached, or [remembered](crate::Builder::exists_absent_for) to be absent.
    Hit,
    /// This call's own flight loaded it.
    Loaded,
    /// A flight that was under way, or wanted, already.
    Joined,
    /// Loaded, and not stored: by the loader's wish, or by that of [a call](crate::Call::skip_save), or for lack of
    /// [room](crate::Builder::max_weight).
    Ignored,
    /// Cached, and older than it should be.
    Stale,
}

/// The answer of [`Bucket::fetch`](crate::Bucket::fetch): a value or its absence, and where it came
/// from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<V> {
    value: Option<V>,
    origin: Origin,
}

impl<V> Fetched<V> {
    pub(crate) fn new(value: Option<V>, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// The value; `None` if the source has no such key.
    #[must_use]
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// The value, taken out; `None` if the source has no such key.
    #[must_use]
    pub fn into_value(self) -> Option<V> {
        self.value
    }

    /// Where the answer came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether the source has no such key.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.value.is_none()
    }
}
