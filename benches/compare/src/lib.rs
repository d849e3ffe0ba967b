//! Compares larder with the maps and caches a Rust program would use instead.
//!
//! Every number is a ratio of two things measured in one run, on the same keys and values, with
//! the same hasher, in interleaved rounds; every answer is checked. `scripts/bench` runs it.

pub mod args;
pub mod design;
pub mod experiments;
pub mod machine;
pub mod measure;
pub mod plot;
pub mod report;
pub mod stats;
pub mod subject;
pub mod workload;
