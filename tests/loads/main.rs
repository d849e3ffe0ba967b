//! What is asked before a load, what a call says of one, and whole datasets: how they are taken, and refused. And what is
//! done with closures alone.

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

mod commands;
mod context;
mod datasets;
mod derived;
mod exists;
mod fallback;
mod layers;
mod options;
mod pairs;
mod reloads;
mod switch;
mod tags;
mod tags_race;
mod validators;
mod warmers;
mod warmers_ended;
