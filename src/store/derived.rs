//! What was derived from a dataset: published with its table, carried on by folds, freed with the last of its tables.

use std::any::Any;

use super::view::Generation;
use crate::contain::drop_contained;
use crate::sync::Arc;
use crate::table::Table;

/// Of a type of the user's.
pub(crate) type Made = Box<dyn Any + Send + Sync>;

/// All that was derived from one dataset, each with the number of what derives it.
#[derive(Default)]
pub(crate) struct Derivations(Vec<(u64, Made)>);

impl Derivations {
    pub(crate) fn add(&mut self, number: u64, made: Made) {
        self.0.push((number, made));
    }

    /// There are a few, so they are gone through.
    fn get(&self, number: u64) -> Option<&(dyn Any + Send + Sync)> {
        let found = self.0.iter().find(|(of, _)| *of == number);
        found.map(|(_, made)| &**made)
    }
}

impl Drop for Derivations {
    /// One by one, so that a panic in one's `Drop` does not stop the others.
    fn drop(&mut self) {
        for (_, made) in self.0.drain(..) {
            drop_contained(made);
        }
    }
}

/// A table that is ready to be published, and what was derived from the dataset that it is of.
pub(crate) struct Built<K, V> {
    pub(crate) table: Table<K, V>,
    pub(crate) derived: Option<Arc<Derivations>>,
}

impl<K, V> From<Table<K, V>> for Built<K, V> {
    fn from(table: Table<K, V>) -> Self {
        Self {
            table,
            derived: None,
        }
    }
}

impl<K, V> Generation<K, V> {
    /// What was derived, by what has this number, from the dataset that this snapshot is of.
    pub(crate) fn derived<T: 'static>(&self, number: u64) -> Option<&T> {
        self.derived.as_ref()?.get(number)?.downcast_ref()
    }
}
