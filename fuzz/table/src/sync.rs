//! What the table uses of the crate's shim, in the real world.

#[path = "../../../src/sync/fault.rs"]
pub(crate) mod fault;
#[path = "../../../src/sync/order.rs"]
pub(crate) mod order;

pub(crate) use std::sync::atomic;
