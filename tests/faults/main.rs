//! Faults of those who use a bucket: loaders that fail, stall, panic and lie; keys and values that
//! panic, or call the bucket, wherever it calls them; observers, options, and a system without
//! threads to give. After each, the state is asserted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "plain threads and locks, nothing of the bucket's own"
)]

#[path = "../common/mod.rs"]
mod common;
mod drops;
mod lifetime;
mod loaders;
mod observers;
mod options;
mod panics;
mod reentry;
mod stale;
mod threads;
