//! Makes the checksums of a dump right again after it was changed, so that what comes behind them is tried as
//! well. For tests, and for the fuzz target `dump`.

use crate::dump::format::{HEAD, HEADER, SUM, TRAILER, word};
use crate::dump::sum::Sum;

/// Puts the right sum wherever there is one, as far as the lengths that the bytes declare lead. Gives where
/// they are.
pub(crate) fn reseal(bytes: &mut [u8]) -> Vec<usize> {
    let mut sums = Vec::new();
    let mut sum = Sum::default();
    let mut at = 0;
    let mut part = |bytes: &mut [u8], at: &mut usize, len: usize| {
        let end = at.checked_add(len)?;
        let after = end.checked_add(SUM).filter(|&after| after <= bytes.len())?;
        sum.add(&bytes[*at..end]);
        bytes[end..after].copy_from_slice(&sum.value().to_le_bytes());
        sums.push(end);
        *at = after;
        Some(())
    };
    if bytes.len() < HEADER {
        return sums;
    }
    let mut len = HEADER.saturating_add(word(bytes, 12) as usize);
    while part(bytes, &mut at, len).is_some() && bytes.len() - at >= HEAD {
        len = match word(bytes, at) as usize {
            0 => HEAD + TRAILER,
            stored => HEAD.saturating_add(stored),
        };
    }
    sums
}
