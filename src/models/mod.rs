//! Models of the protocols: the shipping code under loom and shuttle. `scripts/models` runs them.

#[cfg(larder_loom)]
mod store_conditional;
#[cfg(larder_loom)]
mod store_cuts;
#[cfg(larder_loom)]
mod store_loads;
#[cfg(larder_loom)]
mod store_reads;
#[cfg(larder_loom)]
mod store_whole;
#[cfg(larder_loom)]
mod support;
