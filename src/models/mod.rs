//! Models of the protocols: the shipping code under loom and shuttle. `scripts/models` runs them.
