//! Workloads that the benches share. Entry `i` has the key [`key`]`(i)` and the value
//! [`value`]`(i)`.

#![allow(dead_code, reason = "each bench uses its share")]
#![allow(clippy::expect_used, reason = "a bench may fail")]

use std::convert::Infallible;
use std::time::Duration;

use larder::Bucket;

/// The sizes that reads are measured at, with their names.
pub(crate) const SIZES: [(&str, u64); 3] =
    [("n1e3", 1_000), ("n64e3", 64_000), ("n1e6", 1_000_000)];

/// Long enough for anything that a bench waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the key of entry `index`; no two are equal.
pub(crate) fn key(index: u64) -> u64 {
    let x = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns the value of entry `index`. Its top bit is clear, so `value >> 63` is 0: the way to
/// make the next key depend on a value without changing the key.
pub(crate) fn value(index: u64) -> u64 {
    key(!index) >> 1
}

/// Returns a bucket whose snapshot holds entries `0..size`, and whose refresh loads them again.
pub(crate) fn filled(size: u64) -> Bucket<u64, u64> {
    let bucket = Bucket::builder("bench")
        .load_all(move || Ok::<_, Infallible>((0..size).map(|i| (key(i), value(i)))))
        .build()
        .expect("the options are valid");
    bucket
        .refresh()
        .wait(PATIENCE)
        .expect("the source cannot fail");
    assert_eq!(bucket.len() as u64, size);
    bucket
}

/// Questions to a bucket of entries `0..size`, in random order, and the sum of the answers.
pub(crate) struct Questions {
    /// The keys.
    pub(crate) keys: Vec<u64>,
    /// The wrapping sum of their values.
    pub(crate) sum: u64,
}

impl Questions {
    /// Returns `count` questions; the same ones each time.
    pub(crate) fn about(size: u64, count: u64) -> Self {
        let indices = || (0..count).map(|turn| key(turn ^ 0x5bd1_e995) % size);
        Self {
            keys: indices().map(key).collect(),
            sum: indices().map(value).fold(0, u64::wrapping_add),
        }
    }

    /// Asks one after the other, none depending on another, and checks the answers.
    pub(crate) fn ask(&self, mut get: impl FnMut(&u64) -> Option<u64>) {
        let mut sum = 0_u64;
        for key in &self.keys {
            sum = sum.wrapping_add(get(key).unwrap_or(1));
        }
        assert_eq!(sum, self.sum, "wrong answers");
    }

    /// Asks in a chain: each key depends on the answer before.
    pub(crate) fn ask_chained(&self, mut get: impl FnMut(&u64) -> Option<u64>) {
        let (mut sum, mut salt) = (0_u64, 0);
        for key in &self.keys {
            let value = get(&(key ^ salt)).unwrap_or(1);
            sum = sum.wrapping_add(value);
            salt = value >> 63;
        }
        assert_eq!(sum, self.sum, "wrong answers");
    }
}
