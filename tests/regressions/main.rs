//! Bugs of others, each as a test of ours. Above each: where it was (repository and number of the
//! issue on GitHub) and what happened there; then what must hold here.

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
mod everywhere;
mod flights;
mod leaders;
mod locks;
mod pointers;
mod stale;
mod types;
