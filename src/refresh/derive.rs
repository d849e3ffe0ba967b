//! What users have derived from each dataset, before it is published.

use std::collections::HashSet;

use crate::error::{BoxError, Error};
use crate::store::{Derivations, Made};
use crate::sync::{Arc, pace, unique};
use crate::table::Table;
use crate::{HashBuilder, Key};

/// Given the pairs of a dataset, in the order of their source.
type Derive<K, V> = dyn Fn(&[(&K, &V)]) -> Result<Made, BoxError> + Send + Sync;

/// A function of a dataset, and the number by which what it made is found.
pub(crate) struct Deriver<K, V> {
    number: u64,
    derive: Arc<Derive<K, V>>,
}

impl<K, V> Deriver<K, V> {
    pub(crate) fn new(
        derive: impl Fn(&[(&K, &V)]) -> Result<Made, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            number: unique(),
            derive: Arc::new(derive),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl<K, V> Clone for Deriver<K, V> {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            derive: Arc::clone(&self.derive),
        }
    }
}

/// The keys of a dataset in the order in which they come, where anything is derived from it. Else no copy is made.
pub(super) struct Arrivals<K> {
    keys: Option<Vec<K>>,
    pub(super) count: usize,
}

impl<K: Key> Arrivals<K> {
    pub(super) fn new<V>(derivers: &[Deriver<K, V>]) -> Self {
        Self {
            keys: (!derivers.is_empty()).then(Vec::new),
            count: 0,
        }
    }

    pub(super) fn note(&mut self, key: &K) {
        self.count += 1;
        if let Some(keys) = &mut self.keys {
            keys.push(key.clone());
        }
    }

    /// Has everything derived from the table that was made of what came.
    ///
    /// # Errors
    ///
    /// `Refused`, by the first of the users' functions that fails.
    ///
    /// # Panics
    ///
    /// If one of them does.
    pub(super) fn derive<V>(
        &self,
        derivers: &[Deriver<K, V>],
        table: &Table<K, V>,
        hasher: &impl HashBuilder,
    ) -> Result<Option<Arc<Derivations>>, Error> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let pairs = in_order(keys, table, hasher);
        let mut derived = Derivations::default();
        for deriver in derivers {
            let made = (deriver.derive)(&pairs).map_err(Error::refused)?;
            derived.add(deriver.number, made);
        }
        Ok(Some(Arc::new(derived)))
    }
}

/// The pairs of a table in the order of its keys. One that is among them more than once is where it came last, as the
/// pair that counts is.
fn in_order<'a, K: Key, V>(
    keys: &'a [K],
    table: &'a Table<K, V>,
    hasher: &impl HashBuilder,
) -> Vec<(&'a K, &'a V)> {
    let repeat = keys.len() > table.len();
    let mut seen = HashSet::with_hasher(hasher.clone());
    let from_the_last = keys.iter().rev();
    let pairs = pace::each(from_the_last)
        .filter(|&key| !repeat || seen.insert(key))
        .filter_map(|key| Some((key, table.find_any(hasher.hash_one(key), key)?)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.reverse();
    pairs
}
