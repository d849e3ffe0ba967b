//! The checksum: CRC-32, as in gzip.
//!
//! It finds every error within 32 bits in a row, so each single bit and byte, and others but for one in
//! 2^32. Nobody is kept from making a file that has the right one.

use crc32fast::Hasher;

/// The checksum of all that was added so far.
#[derive(Clone, Default)]
pub(crate) struct Sum(Hasher);

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}
