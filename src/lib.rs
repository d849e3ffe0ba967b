//! A lock-free, read-optimised in-process cache. A *bucket* keeps key-value data in memory, stocked and
//! fresh, for code that cannot afford to wait for it.
//!
//! Callers read from an immutable *snapshot* behind one atomic pointer, with no lock. Misses go into a
//! queue and are loaded from the slow source in batches, one flight per key. A background refresher
//! builds whole replacement maps and publishes them in one swap. Nothing needs an async runtime.
//!
//! ```
//! use larder::Bucket;
//!
//! let squares = Bucket::<u64, u64>::builder("squares")
//!     .bulk_load(|keys: &[u64]| {
//!         Ok::<_, std::io::Error>(keys.iter().map(|&k| (k, k * k)).collect::<Vec<_>>())
//!     })
//!     .build()?;
//!
//! assert_eq!(squares.get(&12), Some(144)); // a miss: loaded
//! let mut reader = squares.reader();
//! assert_eq!(reader.get(&12), Some(&144)); // a hit: no lock, no clone
//! # Ok::<(), larder::BuildError>(())
//! ```
//!
//! # The types
//!
//! * [`Bucket`]: the handle, and the [`Builder`] that makes one.
//! * [`Reader`]: a thread's own handle, for the fastest read.
//! * [`Snapshot`]: a consistent view that never changes.
//! * [`Loader`], [`BulkLoader`], [`DatasetLoader`]: where values come from; closures do as well.
//!   [`Dataset`] is what a validator sees of the last.
//! * [`Derived`]: what is made of each dataset and published with it, such as a [`List`] or an [`Index`].
//! * [`Error`] and [`BuildError`]: what can go wrong.
//!
//! # Features
//!
//! * `dump`: a bucket's contents in a file, as of its last dump. Brings serde and postcard into the tree.
//! * `dump-compression`: `dump`, and its file compressed.
//!
//! Consistency, recursion and the choice of a read are described at [`Bucket`].

#![doc(test(attr(deny(warnings))))]

mod bucket;
mod clock;
mod config;
mod contain;
#[cfg(feature = "dump")]
mod dump;
mod error;
mod events;
mod fetched;
mod ledger;
mod load;
mod loader;
pub mod migrating;
#[cfg(test)]
mod models;
mod refresh;
mod spread;
mod stats;
mod store;
mod sync;
#[allow(dead_code, reason = "a part that stands by itself")]
mod table;

use std::hash::{BuildHasher, Hash};

pub use bucket::{
    Bucket, Builder, Call, Derived, Index, Init, Iter, List, Reader, RefreshTicket, Snapshot,
    Ticket, Ttl,
};
pub use clock::{Clock, ManualClock};
pub use config::{Options, WhenFull};
#[cfg(feature = "dump")]
pub use dump::{DumpError, DumpErrorKind, DumpReport};
pub use error::{BoxError, BuildError, Error, ErrorKind};
pub use events::{Event, KeyEvent};
pub use fetched::{Fetched, Origin};
pub use load::LoadState;
pub use loader::{BulkLoader, DatasetLoader, Loaded, Loader, Outcome};
pub use refresh::{Dataset, Reset};
pub use stats::Stats;

/// The hasher of a bucket that was not given one: ahash, seeded at random.
pub type DefaultHashBuilder = ahash::RandomState;

/// What a key must be. Implemented for every type that is.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}
impl<T: Hash + Eq + Clone + Send + Sync + 'static> Key for T {}

/// What a value must be. Implemented for every type that is.
///
/// A fold copies the values that it keeps, so a value that is dear to clone belongs into an
/// [`Arc`](std::sync::Arc).
pub trait Value: Clone + Send + Sync + 'static {}
impl<T: Clone + Send + Sync + 'static> Value for T {}

/// What a hasher must be. Implemented for every type that is.
pub trait HashBuilder: BuildHasher + Clone + Send + Sync + 'static {}
impl<T: BuildHasher + Clone + Send + Sync + 'static> HashBuilder for T {}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
