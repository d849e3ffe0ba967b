//! How many keys there are in each state.

use super::{LoadState, Loads};
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

/// How many keys are in each [`LoadState`]. See [`Bucket::load_counts`](crate::Bucket::load_counts).
///
/// A key is in one of them, as [`Bucket::load_state`](crate::Bucket::load_state) has it. Of the keys that are
/// [`Unknown`](LoadState::Unknown) there is no end, so they are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadCounts {
    /// Not cached nor wanted, and the last load failed; of those that are remembered.
    pub failed: u64,
    /// Not cached, and queued for a load.
    pub requested: u64,
    /// Not cached, and being loaded.
    pub loading: u64,
    /// Cached, and neither queued nor being reloaded.
    pub cached: u64,
    /// Cached, and queued for a reload.
    pub reload_requested: u64,
    /// Cached, and being reloaded.
    pub reloading: u64,
}

impl LoadCounts {
    /// How many are in this state; 0 for [`Unknown`](LoadState::Unknown).
    #[must_use]
    pub fn of(&self, state: LoadState) -> u64 {
        match state {
            LoadState::Unknown => 0,
            LoadState::Failed => self.failed,
            LoadState::Requested => self.requested,
            LoadState::Loading => self.loading,
            LoadState::Cached => self.cached,
            LoadState::ReloadRequested => self.reload_requested,
            LoadState::Reloading => self.reloading,
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// How many keys there are in each state. Weakly consistent.
    pub(crate) fn counts(&self) -> LoadCounts {
        let mut counts = LoadCounts::default();
        // Out of the table first: what is the user's may be run for each of them.
        let mut flights = Vec::new();
        self.in_flight
            .for_each(|flight| flights.push(Arc::clone(flight)));
        let view = self.store.load_view();
        for flight in flights.iter().filter(|flight| !flight.is_over()) {
            let cached = view.is_present(flight.hash(), flight.key());
            let count = match (cached, flight.has_begun()) {
                (false, false) => &mut counts.requested,
                (false, true) => &mut counts.loading,
                (true, false) => &mut counts.reload_requested,
                (true, true) => &mut counts.reloading,
            };
            *count += 1;
        }
        drop(view);
        let reloads = counts.reload_requested + counts.reloading;
        counts.cached = (self.store.len() as u64).saturating_sub(reloads);
        let failed = |hash, key: &K| self.state(hash, key) == LoadState::Failed;
        counts.failed = self.store.count_failures(failed) as u64;
        counts
    }
}
