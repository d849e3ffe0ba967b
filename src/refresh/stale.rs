//! The end of what is served though its refresh has failed. DESIGN.md, "Stale values".

use super::worker::{RETRY_FOLD, Refresher};
use crate::events::Event;
use crate::stats::Counters;
use crate::{HashBuilder, Key, Value};

/// How many keys go in one turn, so that who asks the refresher for something does not wait for millions.
/// A fold's worth of time; chosen, not measured.
const MOST_AT_A_TURN: usize = 10_000;

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    /// A refresh failed as a whole: what it was to replace is served for a limited time from here on,
    /// where there is a limit.
    pub(super) fn keep_stale(&mut self) {
        if let Some(most) = self.max_stale {
            let until = self.clock.now().saturating_add(most);
            // If an `Eq` panics there, the time counts from the next failure.
            let _ = self.contained(|this| this.folder.refresh_failed(&this.store, until));
        }
    }

    /// Takes in the reloads that failed, and takes out what has been stale for too long.
    pub(super) fn take_out_stale(&mut self) {
        if self.max_stale.is_none() {
            return;
        }
        self.folder.take_in_failed(&self.store);
        let now = self.clock.now();
        let retry = now.saturating_add(RETRY_FOLD);
        let mut keys = self
            .folder
            .take_out_keys(&self.store, now, retry, MOST_AT_A_TURN);
        match self.contained(|this| this.folder.take_out_whole(&this.store, now)) {
            Ok(None) => {}
            Ok(Some(gone)) => {
                keys += gone;
                self.dirty_since = None;
                Counters::add(&self.stats.publications, 1);
            }
            Err(error) => {
                self.folder.put_off_wholes(retry);
                Counters::add(&self.stats.folds_failed, 1);
                self.events.send(Event::FoldFailed { error });
            }
        }
        if keys > 0 {
            Counters::add(&self.stats.too_stale, keys);
            self.events.send(Event::TooStale { keys });
        }
    }
}
