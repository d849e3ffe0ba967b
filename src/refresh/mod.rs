//! The refresher: folds, refreshes, clears and frees, on a thread of its own. DESIGN.md, "Refresh".
//!
//! It never waits for a loader. A refresh by key is a sweep that loader threads work off; a whole
//! dataset is fetched on the dataset's own thread ([`dataset`]). Both report back, and the refresher
//! goes on folding meanwhile.

pub(crate) mod control;
pub(crate) mod dataset;
mod derive;
#[cfg(feature = "dump")]
pub(crate) mod dumps;
mod inbox;
mod joints;
mod liveness;
mod prune;
mod reset;
mod round;
pub(crate) mod saves;
mod schedule;
mod slices;
mod stale;
mod tags;
mod validate;
pub(crate) mod warm;
mod whole;
pub(crate) mod worker;

pub(crate) use self::derive::Deriver;
pub use self::reset::Reset;
pub(crate) use self::reset::{OnReset, Parts, Resets};
pub(crate) use self::slices::Slices;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
pub(crate) use self::slices::{Timer, in_slices};
pub use self::validate::Dataset;
pub(crate) use self::validate::{Validate, Validators};
