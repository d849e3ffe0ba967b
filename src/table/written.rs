//! Which write each entry is of, where that decides which of them go: the lowest first. Reads know nothing of it.

use super::beside::Beside;
use super::{At, Table};

/// The numbers of the writes of a table's entries, by their places.
pub(super) struct Written(Beside<u64>);

impl Written {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.bytes()
    }
}

impl<K, V> Table<K, V> {
    /// The number of the write that an entry is of.
    pub(super) fn written(&self, at: At) -> Option<u64> {
        self.written.as_ref()?.0.at(at).copied()
    }

    /// Has entries be of the writes that `changed` names, and others of those that they are of in `old`; of none, and so
    /// first to go, where neither knows.
    pub(crate) fn written_as<'a, H>(
        mut self,
        old: &Self,
        changed: impl Iterator<Item = (u64, &'a K, u64)>,
        hash_of: H,
    ) -> Self
    where
        K: Eq + 'a,
        H: Fn(&K) -> u64,
    {
        let before = old.written.is_some().then_some(|at| old.written(at));
        let numbers = self.beside_as(|| 0, (old, before), changed, hash_of);
        self.written = Some(Box::new(Written(numbers)));
        self
    }

    /// Has all entries be of one write.
    pub(crate) fn written_at(mut self, number: u64) -> Self {
        self.written = Some(Box::new(Written(Beside::new(&self, || number))));
        self
    }

    /// Has entries be of the writes that they are of in `old`, if that knows of any.
    pub(crate) fn numbered_as(self, old: &Self, hash_of: impl Fn(&K) -> u64) -> Self
    where
        K: Eq,
    {
        match old.written {
            None => self,
            Some(_) => self.written_as(old, std::iter::empty(), hash_of),
        }
    }
}
