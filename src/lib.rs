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
//! # What to use
//!
//! A [`Bucket`] is the handle, and a [`Builder`] makes one.
//!
//! | to | use |
//! |---|---|
//! | read what is cached, and never wait | [`Bucket::peek`], [`Bucket::with`], [`Bucket::contains`] |
//! | read as fast as can be, in a thread that reads a lot | [`Bucket::reader`]: a [`Reader`] |
//! | read, and have loaded what is missing | [`Bucket::get`], [`Bucket::get_many`] |
//! | the same in async code, with any runtime | [`Bucket::get_async`], [`Bucket::get_many_async`], [`Bucket::fetch_async`]; [`Ticket::wait_async`] |
//! | know where an answer came from, or why there is none | [`Bucket::fetch`], [`Bucket::fetch_many`]: [`Fetched`], [`Origin`], [`Error`], [`ErrorKind`] |
//! | bound how long calls wait | [`Builder::wait_limit`], [`Call::timeout`] |
//! | give one call a time limit, a loader or an expiration, or have its value not stored | [`Bucket::call`]: a [`Call`] |
//! | have keys loaded that are about to be needed, or loaded anew | [`Bucket::request_load`], [`Bucket::refresh_keys`]: a [`Ticket`] |
//! | read everything as it is at one moment | [`Bucket::snapshot`], after [`Bucket::publish`]: a [`Snapshot`] |
//! | count or list what is cached | [`Bucket::len`], [`Bucket::keys`], [`Snapshot::iter`] |
//! | write a loader or a storage as async code | the feature `tokio` |
//! | say how a key is loaded | [`Builder::load`], [`Loader`]; what it may answer: [`Outcome`], [`Loaded`] |
//! | have a loader see whose load it is | [`Builder::context`] |
//! | load many keys in one call | [`Builder::bulk_load`], [`BulkLoader`], [`Builder::batch_size`] |
//! | ask whether a key exists before it is loaded | [`Builder::exists`] |
//! | hold a whole dataset | [`Builder::load_all`], [`Builder::dataset`], [`DatasetLoader`] |
//! | hold a list, an index, or anything else that is made of a dataset | [`Builder::derive`]: [`Derived`], [`List`], [`Index`] |
//! | refuse a dataset that cannot be right | [`Builder::validate_dataset`]: a [`Dataset`]; [`Builder::dataset_min_count`], [`Builder::dataset_max_change`] |
//! | keep it fresh | [`Builder::refresh_every`], [`Builder::refresh_retry`], [`Builder::refresh_timeout`], [`Builder::max_stale`], [`Builder::refresh_filter`]; now: [`Bucket::refresh`], a [`RefreshTicket`] |
//! | share one core with its readers | [`Builder::refresh_in_slices`] |
//! | write | [`Bucket::set`], [`Bucket::set_many`], [`Bucket::try_set`] |
//! | write what depends on what is there | [`Bucket::update`], [`Bucket::set_if_absent`], [`Bucket::take`]; of several keys in one step: [`Bucket::update_many`], a [`Step`] |
//! | remove | [`Bucket::invalidate`], [`Bucket::invalidate_many`], [`Bucket::invalidate_if`], [`Bucket::clear`] |
//! | forget all values that belong to something | [`Outcome::tagged`], [`Bucket::set_with_tags`], [`Bucket::invalidate_tag`]: a [`Tag`] |
//! | follow a source that changes as a whole | [`Bucket::reset`]: a [`Reset`]; [`Builder::on_reset`], [`Bucket::version`] |
//! | have values expire | [`Builder::ttl`], [`Builder::time_to_idle`], [`Bucket::set_with_ttl`], [`Bucket::expire_in`], [`Bucket::ttl`]: a [`Ttl`] |
//! | limit what is held | [`Builder::max_weight`], [`Builder::weigher`], [`Builder::when_full`]: [`WhenFull`]; [`Builder::evict_by`]: [`EvictBy`]; [`Bucket::weight`], [`Bucket::prune`] |
//! | hold values that stand for something that dies | [`Builder::alive`], [`Bucket::notify_dead`] |
//! | begin with something, or with what was there | [`Builder::init`]: [`Init`]; [`dump`](Builder#method.dump); [`Builder::storage`]: a [`Storage`](storage::Storage) |
//! | save and restore | [`write_dump`](Bucket#method.write_dump), [`read_dump`](Bucket#method.read_dump) |
//! | have something brought before anybody asks for it, at the start and from time to time | [`Builder::warmer`]: a [`Warm`], [`Warmer`], [`Warmed`], [`Warming`]; now: [`Bucket::warm`], a [`WarmTicket`] |
//! | do without the cache for a while | [`Bucket::set_caching`] |
//! | set options apart from the code that builds | [`Loader::config`], [`Builder::configure`]: [`Options`] |
//! | see what happens | [`Bucket::stats`]: [`Stats`]; [`Bucket::load_state`]: a [`LoadState`]; [`Builder::observer`]: [`Event`]; [`Builder::key_observer`]: [`KeyEvent`] |
//! | move the time in a test | [`ManualClock`], [`Builder::clock`]: a [`Clock`] |
//! | end it | drop the last handle, or [`Bucket::shutdown`] |
//!
//! Options are listed, with their defaults, at [`Builder`]. For who comes from CacheWorker, PayDayLoan, CoopCache,
//! smart-redis or Cachex there is a guide: [`migrating`].
//!
//! # Features
//!
//! * `dump`: a bucket's contents in a file, as of its last dump. Brings serde and postcard into the tree.
//! * `dump-compression`: `dump`, and its file compressed.
//! * `tokio`: loaders and storages that are async code, run on a tokio runtime: the module `tokio`. Brings tokio into the
//!   tree, with its feature `rt`. To await a bucket takes no feature.
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
mod expiry;
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
pub mod storage;
mod store;
mod sync;
#[allow(dead_code, reason = "a part that stands by itself")]
mod table;
mod tags;
#[cfg(feature = "tokio")]
pub mod tokio;

use std::hash::{BuildHasher, Hash};

pub use bucket::{
    Bucket, Builder, Call, Derived, EntryInfo, Fold, Index, Init, Inspection, Iter, List, Reader,
    RefreshTicket, Snapshot, Step, Ticket, Ttl, Warm, WarmTicket,
};
pub use clock::{Clock, ManualClock};
pub use config::{EvictBy, Options, WhenFull};
#[cfg(feature = "dump")]
pub use dump::{DumpError, DumpErrorKind, DumpReport};
pub use error::{BoxError, BuildError, Error, ErrorKind};
pub use events::{Event, KeyEvent};
pub use fetched::{Fetched, Origin};
pub use load::{LoadCounts, LoadState};
pub use loader::{BulkLoader, DatasetLoader, Loaded, Loader, Outcome, Warmed, Warmer, Warming};
pub use refresh::{Dataset, Reset};
pub use stats::Stats;
pub use tags::{Tag, Tags};

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
