//! A hasher for what is a hash already.

use std::hash::{BuildHasherDefault, Hasher};

/// Passes a finished hash on, spread so that a weak hash of a user's does not degrade a map of ours.
#[derive(Default)]
pub(crate) struct SpreadHasher(u64);

pub(crate) type BuildSpread = BuildHasherDefault<SpreadHasher>;

impl Hasher for SpreadHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Our keys write one `u64` only; stay right for whoever writes something else.
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, hash: u64) {
        let spread = u128::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = (spread as u64) ^ ((spread >> 64) as u64);
    }
}
