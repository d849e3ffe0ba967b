//! The echo: what was folded away while a load was under way.

use std::collections::HashMap;

use crate::spread::BuildSpread;

/// For each key written and folded since the oldest load under way began, by hash, the highest
/// number.
///
/// A table keeps no numbers, so without the echo a load that began before a `set` could overwrite it
/// once the `set` was folded. Two keys of one hash share an entry: then a load's result may be refused
/// that could have been stored, which costs a load and never a write.
#[derive(Debug, Default)]
pub(crate) struct Echo(HashMap<u64, u64, BuildSpread>);

impl Echo {
    /// The highest number folded for this hash.
    pub(crate) fn last(&self, hash: u64) -> Option<u64> {
        self.0.get(&hash).copied()
    }

    /// What a load numbered `oldest` or later still has to know of this echo.
    pub(crate) fn since(&self, oldest: u64) -> Self {
        Self(
            self.0
                .iter()
                .filter(|&(_, &number)| number >= oldest)
                .map(|(&h, &n)| (h, n))
                .collect(),
        )
    }

    pub(crate) fn note(&mut self, hash: u64, number: u64) {
        let last = self.0.entry(hash).or_insert(number);
        *last = number.max(*last);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
