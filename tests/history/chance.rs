//! Chance for workloads.

use crate::record::Key;
use std::thread;

/// SplitMix64: enough chance for a workload, and the same on each run.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// Lets another thread in now and then: there are more of them than cores.
    pub(crate) fn maybe_yield(&mut self) {
        if self.below(16) == 0 {
            thread::yield_now();
        }
    }

    /// A key of the first `keys`; every second time one of the few hottest.
    pub(crate) fn key(&mut self, keys: usize) -> Key {
        let hot = if self.below(2) == 0 {
            keys.min(4)
        } else {
            keys
        };
        self.below(hot as u64) as Key
    }

    /// Some different keys of the first `keys`, which are at least 5.
    pub(crate) fn some_keys(&mut self, keys: usize) -> Vec<Key> {
        let (count, first) = (2 + self.below(3), self.below(keys as u64));
        (0..count)
            .map(|i| ((first + i) % keys as u64) as Key)
            .collect()
    }
}
