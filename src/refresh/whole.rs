//! The bucket as a whole: emptied, reset, and switched off and on.

use super::control::{Reply, ResetTo, Switch};
use super::round::Refresh;
use super::worker::{Refresher, answer_all};
use crate::error::Error;
use crate::stats::Counters;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    pub(super) fn clear(&mut self, asked: Vec<Reply<u64>>) {
        if !asked.is_empty() {
            let emptied = self.empty(|this| this.folder.clear(&this.store));
            answer_all(asked, &emptied);
        }
    }

    /// Has things stored from now on, or not. Where that changes nothing, nothing is done.
    pub(super) fn switch(&mut self, switch: Switch) {
        let now = self.store.view().caching;
        let then = switch.caching.unwrap_or(now);
        let done = if then != now || (switch.off && now) {
            self.empty(|this| this.folder.switch(&this.store, then))
        } else {
            Ok(self.store.view().current.epoch)
        };
        answer_all(switch.asked, &done);
    }

    /// Gives the bucket a version, emptied, unless it has that or a higher one.
    pub(super) fn reset(&mut self, to: ResetTo) {
        if to.asked.is_empty() {
            return;
        }
        let current = self.store.load_view();
        let done = if to.version > current.current.version {
            drop(current);
            Counters::add(&self.stats.resets, 1);
            self.empty(|this| this.folder.reset(&this.store, to.version))
        } else {
            Ok(current.current.epoch)
        };
        answer_all(to.asked, &done);
    }

    fn empty(&mut self, how: impl FnOnce(&mut Self) -> u64) -> Result<u64, Error> {
        let fetching = self.folder.awaits_dataset();
        let emptied = self.contained(how);
        Counters::add(&self.stats.publications, 1);
        self.dirty_since = None;
        self.forget_absences();
        if fetching {
            // What is being fetched began before, and will be dropped when it comes. Fetch it again
            // for those who asked.
            if let Refresh::Dataset { asked, .. } =
                std::mem::replace(&mut self.refresh, Refresh::None)
            {
                self.wanted.extend(asked);
                self.next_refresh = Some(self.clock.now());
            }
        }
        emptied
    }

    /// A refresh of a bucket that stores nothing.
    pub(super) fn refresh_nothing(&mut self, asked: Vec<Reply<()>>) {
        self.next_refresh = self.schedule.after(self.clock.now());
        answer_all(asked, &Ok(()));
    }

    /// After everything was replaced, and before anybody is told of it.
    pub(super) fn forget_absences(&self) {
        if let Some(exists) = self.loads.exists() {
            exists.forget_all();
        }
    }
}
