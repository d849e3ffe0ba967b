//! What the table uses of the crate's shim, in the real world.

#[path = "../../../src/sync/ahead.rs"]
pub(crate) mod ahead;
#[path = "../../../src/sync/fault.rs"]
pub(crate) mod fault;
#[path = "../../../src/sync/order.rs"]
pub(crate) mod order;
#[path = "../../../src/sync/pace.rs"]
pub(crate) mod pace;

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic;

#[path = "../../../src/sync/coarse.rs"]
mod coarse;
#[path = "../../../src/sync/mutex.rs"]
mod mutex;
mod world {
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

/// As the shim's own.
pub(crate) mod plain {
    pub(crate) use std::sync::atomic::AtomicU64 as Word;
}

pub(crate) use coarse::Coarse;
pub(crate) use mutex::Mutex;
