//! Immutable hash tables of several designs, for one to be chosen by.
//!
//! Each is built from pairs, asked, and copied with changes; none is ever written in place by who asks. They share
//! the hasher and are asked with a key, so that hashing is in all of the times.

mod chunked;
mod whole;

pub use self::chunked::Chunked;
pub use self::whole::{Pilots, Swiss};
use crate::subject::Subject;
use crate::workload::{Key, hasher};

/// One key's part in [`Design::patched`].
#[derive(Clone, Debug)]
pub struct Change<K> {
    /// The hash of the key.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// Its new value, or that it goes.
    pub value: Option<u64>,
}

impl<K: Key> Change<K> {
    /// Returns the change of this key.
    pub fn new(key: K, value: Option<u64>) -> Self {
        let hash = hasher().hash_one(&key);
        Self { hash, key, value }
    }
}

/// An immutable table.
pub trait Design<K: Key>: Sized + Send + Sync + 'static {
    /// The name in tables.
    const NAME: &'static str;

    /// Builds a table from pairs of distinct keys.
    fn build(pairs: impl ExactSizeIterator<Item = (K, u64)>) -> Self;

    /// Returns a copy with changes of distinct keys.
    fn patched(&self, changes: Vec<Change<K>>) -> Self;

    /// One lookup.
    fn get(&self, key: &K::Query) -> Option<u64>;
}

/// A design among the subjects.
pub struct Laid<D>(pub D);

impl<K: Key, D: Design<K>> Subject<K> for Laid<D> {
    const NAME: &'static str = D::NAME;

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key)
    }
}
