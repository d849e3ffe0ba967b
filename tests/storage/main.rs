//! The storage behind a bucket: what it begins with, that it follows, and what becomes of one that fails or hangs.

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

mod failing;
mod follows;
mod kit;
mod sqlite;
mod start;
