//! What a full bucket evicts, by each policy: in which order, what becomes of hit ratios on a real trace, and of a hot set
//! while everything else comes by once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may unwrap as it likes"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "plain threads and locks, nothing of the bucket's own"
)]

#[path = "../common/mod.rs"]
mod common;

mod policies;
mod scan;
mod trace;
