//! Tasks: what they await, what becomes of those that go away, and of wakers that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may unwrap as it likes"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "plain threads and locks, nothing of the bucket's own"
)]

#[path = "../common/mod.rs"]
mod common;

mod dropped;
mod inside;
mod kit;
mod many;
#[cfg(feature = "tokio")]
mod tokio_loaders;
#[cfg(feature = "tokio")]
mod tokio_storages;
mod waits;
mod wakers;
