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
        self.0 = spread(hash);
    }
}

/// Spreads the entropy of a user's hash over all bits.
///
/// Hashers with entropy in a few bits only are common (identity hashers). Both halves of the product with
/// an odd number, folded together, have it in all bits.
#[inline(always)]
pub(crate) const fn spread(hash: u64) -> u64 {
    let product = hash as u128 * 0x9E37_79B9_7F4A_7C15;
    product as u64 ^ (product >> 64) as u64
}
