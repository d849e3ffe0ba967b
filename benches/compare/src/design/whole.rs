//! Designs that are taken as they are: larder's own table, and hashbrown's map.

use larder_table::Table;

use super::{Change, Design};
use crate::workload::{Hasher, Key, hasher};

/// larder's: a perfect hash function by pilots of a byte, computed block by block.
pub struct Pilots<K> {
    table: Table<K, u64>,
    hasher: Hasher,
}

impl<K: Key> Design<K> for Pilots<K> {
    const NAME: &'static str = "pilots (larder's table)";

    fn build(pairs: impl ExactSizeIterator<Item = (K, u64)>) -> Self {
        let hasher = hasher();
        let table = Table::from_pairs(pairs, |key| hasher.hash_one(key));
        Self { table, hasher }
    }

    fn patched(&self, changes: Vec<Change<K>>) -> Self {
        let changes = changes.into_iter();
        let changes =
            changes.map(|Change { hash, key, value }| larder_table::Change { hash, key, value });
        let hasher = self.hasher.clone();
        let table = self
            .table
            .patched(changes.collect(), |key| hasher.hash_one(key));
        Self { table, hasher }
    }

    #[inline(always)]
    fn get(&self, key: &K::Query) -> Option<u64> {
        self.table.get(self.hasher.hash_one(key), key).copied()
    }
}

/// hashbrown's: groups of fingerprints apart from the pairs, searched one after another (SwissTable).
pub struct Swiss<K>(hashbrown::HashMap<K, u64, Hasher>);

impl<K: Key> Design<K> for Swiss<K> {
    const NAME: &'static str = "hashbrown's map";

    fn build(pairs: impl ExactSizeIterator<Item = (K, u64)>) -> Self {
        let mut map = hashbrown::HashMap::with_capacity_and_hasher(pairs.len(), hasher());
        map.extend(pairs);
        Self(map)
    }

    fn patched(&self, changes: Vec<Change<K>>) -> Self {
        let mut map = self.0.clone();
        for Change { key, value, .. } in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove::<K>(&key),
            };
        }
        Self(map)
    }

    #[inline(always)]
    fn get(&self, key: &K::Query) -> Option<u64> {
        self.0.get(key).copied()
    }
}
