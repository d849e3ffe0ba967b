//! What becomes of values, for a store that is to be made.

use super::{Check, Limits};
use crate::clock::Idle;

/// On what terms values are in a bucket, besides what is said of each. By default they may all stay.
pub(crate) struct Terms<K, V> {
    /// Says of values whether they live, where they may die.
    pub(crate) alive: Option<Check<K, V>>,
    /// How much may be held, where that is limited: of what there is too much some goes.
    pub(crate) limits: Option<Limits<K, V>>,
    /// What is not touched for so long goes, if anything does.
    pub(crate) idle: Option<Idle>,
    /// Whether hits and misses are counted.
    pub(crate) count_reads: bool,
}

impl<K, V> Default for Terms<K, V> {
    fn default() -> Self {
        Self {
            alive: None,
            limits: None,
            idle: None,
            count_reads: false,
        }
    }
}
