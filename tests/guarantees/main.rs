//! The guarantees, each tested by what a user can see. The names of the tests carry the numbers.

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
mod g1;
mod g10;
mod g10_evict;
mod g10_prune;
mod g10_together;
mod g11;
mod g11_idle;
mod g11_times;
mod g13;
mod g13_counts;
mod g13_inspect;
mod g13_states;
mod g2;
mod g3;
mod g4;
mod g4_steps;
mod g5;
mod g5_beside;
mod g6;
mod g7;
mod g8;
mod g8_retry;
mod g8_stale;
mod g8_stale_more;
mod g8_timeout;
mod g9;
mod g9_callback;
mod liveness;
