//! Models of the protocols: the shipping code under loom and shuttle. `scripts/models` runs them. What the
//! models' stand-ins stand for is put to the same test (`conform`), which the plain tests run as well.

#[cfg(not(larder_shuttle))]
mod conform;
#[cfg(larder_loom)]
mod gate;
#[cfg(larder_loom)]
mod late;
#[cfg(larder_loom)]
mod ledger;
#[cfg(larder_loom)]
mod load_end;
#[cfg(larder_loom)]
mod load_exists;
#[cfg(larder_loom)]
mod load_flight;
#[cfg(any(larder_loom, larder_shuttle))]
mod load_kit;
#[cfg(larder_loom)]
mod load_nested;
#[cfg(larder_loom)]
mod load_promise;
#[cfg(larder_loom)]
mod load_queue;
#[cfg(larder_loom)]
mod load_refresh;
#[cfg(larder_loom)]
mod load_reset;
#[cfg(larder_loom)]
mod load_task;
#[cfg(larder_loom)]
mod publishers;
#[cfg(larder_loom)]
mod reader;
#[cfg(larder_loom)]
mod retired;
#[cfg(larder_shuttle)]
mod shuttle_bucket;
#[cfg(larder_shuttle)]
mod shuttle_loads;
#[cfg(larder_shuttle)]
mod shuttle_support;
#[cfg(larder_loom)]
mod slots;
#[cfg(larder_loom)]
mod store_beside;
#[cfg(larder_loom)]
mod store_conditional;
#[cfg(larder_loom)]
mod store_counts;
#[cfg(larder_loom)]
mod store_cuts;
#[cfg(larder_loom)]
mod store_dead;
#[cfg(larder_loom)]
mod store_derived;
#[cfg(larder_loom)]
mod store_expiry;
#[cfg(larder_loom)]
mod store_failures;
#[cfg(larder_loom)]
mod store_joint;
#[cfg(larder_loom)]
mod store_loads;
#[cfg(larder_loom)]
mod store_reads;
#[cfg(larder_loom)]
mod store_stale;
#[cfg(larder_loom)]
mod store_storage;
#[cfg(larder_loom)]
mod store_switch;
#[cfg(larder_loom)]
mod store_tags;
#[cfg(larder_loom)]
mod store_touch;
#[cfg(larder_loom)]
mod store_updates;
#[cfg(larder_loom)]
mod store_weight;
#[cfg(larder_loom)]
mod store_whole;
#[cfg(larder_loom)]
mod support;
#[cfg(larder_loom)]
mod warm;
