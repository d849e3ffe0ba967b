//! Faults for the models to find.
//!
//! A build for the models carries a few faults, all asleep. `LARDER_FAULT` names the one that a run
//! is to have, and `scripts/weaken` sees to it that some model then fails: so it is known that the
//! models look at what they are there for. In any other build no fault exists.

/// Whether this run is to have the fault.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) fn planted(name: &str) -> bool {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var("LARDER_FAULT").ok());
    wanted.as_deref() == Some(name)
}

/// No: this is not a build for the models.
#[cfg(not(any(larder_loom, larder_shuttle)))]
#[inline(always)]
pub(crate) const fn planted(_: &str) -> bool {
    false
}
