//! Taking out what has been stale for too long: what the folder does with its account.

use std::hash::BuildHasher;
use std::time::Duration;

use super::Store;
use super::changes::Changes;
use super::fold::{Folder, echo_after};
use super::overlay::{Overlay, Write};
use super::stale::{Since, Stale};
use crate::contain::contained;
use crate::sync::fault;
use crate::table::Table;
use crate::{Key, Value};

impl<K: Key, V: Value> Folder<K, V> {
    /// Keeps account of what is stale from now on.
    pub(crate) fn track_stale(&mut self) {
        self.stale = Some(Stale::new());
    }

    /// Enters the reloads that have failed by now.
    pub(crate) fn take_in_failed<S: BuildHasher>(&mut self, store: &Store<K, V, S>) {
        let Some(stale) = &mut self.stale else {
            return;
        };
        for failed in store.take_failed() {
            let view = store.view();
            // One whose `Eq` panics is not entered before it fails again.
            let _ = contained(|| stale.enter(&view, failed));
        }
    }

    /// Brings the account up to a sealed overlay.
    ///
    /// The look at the live loads, for the echo, comes before. A failure that is taken in after this fold
    /// was therefore a live load at that look, and the echo holds what was folded since it began; any
    /// other is taken in here.
    pub(super) fn settle_stale<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        sealed: &Overlay<K, V>,
    ) {
        let elsewhere =
            fault::planted("failures_not_in_the_fold") || fault::planted("failures_taken_in_first");
        if !elsewhere {
            self.take_in_failed(store);
        }
        if let Some(stale) = &mut self.stale {
            stale.note(sealed);
        }
    }

    /// A refresh of the whole bucket failed. What it was to replace is served `until` then.
    pub(crate) fn refresh_failed<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        until: Duration,
    ) {
        let Some(stale) = &mut self.stale else {
            return;
        };
        let (number, overlays) = match &self.since {
            Some(since) => (since.floor(), since.overlays()),
            // It failed before its fetch began.
            None => (store.numbers.draw(), &[][..]),
        };
        let view = store.view();
        let quiet = view.sealed.is_none() && !view.active.is_touched();
        stale.fail(Since { number, until }, overlays, quiet);
    }

    /// When something is to be taken out next.
    pub(crate) fn stale_until(&self) -> Option<Duration> {
        self.stale.as_ref()?.next_until()
    }

    /// Takes out keys whose time has come, `most` of them. Returns how many went. One whose `Eq` or `Clone`
    /// panics is tried again at `retry`.
    pub(crate) fn take_out_keys<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        now: Duration,
        retry: Duration,
        most: usize,
    ) -> usize {
        let Some(stale) = &mut self.stale else {
            return 0;
        };
        let mut gone = 0;
        for _ in 0..most {
            let Some((key, since)) = stale.take_due(now) else {
                break;
            };
            match contained(|| store.take_out(since.number, key.hash, key.key())) {
                Ok(went) => gone += usize::from(went),
                Err(_) => stale.add(
                    key,
                    Since {
                        until: retry,
                        ..since
                    },
                ),
            }
        }
        gone
    }

    /// Takes out, in one publication, what is stale by a refresh that failed as a whole and whose time has
    /// come. Returns how many keys went, or `None` where there is no such refresh.
    ///
    /// May panic as [`fold`](Self::fold) does; nothing is taken out then.
    pub(crate) fn take_out_whole<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        now: Duration,
    ) -> Option<usize> {
        let number = self.stale.as_ref()?.whole_due(now)?;
        self.finish_fold(store);
        // Loads that began before the failed refresh would bring what is as old as what goes.
        let sealed = self.rotate(store, number);
        let view = store.cell.load_full();
        let mut echo = view.echo.clone();
        let old = &view.current.table;
        let mut changes = Changes::none(old, store.times.clock.coarse())
            .weighing(view.budget.is_some())
            .touching(store.recency(view.current.epoch + 1))
            .numbering(store.numbers_entries());
        self.count_uses(store, &view, sealed.as_deref());
        if let Some(sealed) = &sealed {
            echo = echo_after(store, &view, sealed);
            self.settle_stale(store, sealed);
            self.keep_since(sealed);
            self.tally.note_all(sealed);
        }
        let stale = self.stale.as_ref()?;
        // What has a lower number may be something newer all the same: what was folded already, once more with another
        // time or removed for dead.
        let stays = |hash, key: &K, write: &Write<V>| {
            write.number() >= number || stale.is_newer(hash, key, number)
        };
        if let Some(sealed) = &sealed {
            changes = changes.of_some(sealed, stays);
        }
        let (mut kept, mut gone) = (Vec::new(), 0);
        for (key, value) in old.iter() {
            let hash = store.hash(key);
            if stale.is_newer(hash, key, number) {
                kept.push((key.clone(), value.clone()));
            } else if sealed.as_ref().is_none_or(|s| s.get(hash, key).is_none()) {
                gone += 1;
            }
        }
        if let Some(sealed) = &sealed {
            sealed.for_each(|hash, key, write| {
                let goes = write.content().value.is_some() && !stays(hash, key, write);
                gone += usize::from(goes);
            });
        }
        let table = Table::from_pairs(kept, |key| store.hash(key));
        let hash_of = |key: &K| store.hash(key);
        let table = if changes.is_empty() {
            let none = std::iter::empty();
            let timed = table.timed_as(old, none, &store.times.clock, hash_of);
            let recency = store.recency(view.current.epoch + 1);
            let weighed = timed.weighed_as(old, std::iter::empty(), hash_of);
            let touched = weighed.touched_as(old, std::iter::empty(), recency, hash_of);
            touched.numbered_as(old, hash_of)
        } else {
            changes.over(&table, old, &store.times.clock, hash_of)
        };
        self.plan_tags_of_all(sealed.as_deref(), |hash, key| {
            table.deadline_of(hash, key).is_some()
        });
        self.note_everything();
        // What was derived goes with the dataset that it was derived from.
        self.announce_and_publish(store, table.into(), echo, number.max(view.floor));
        if let Some(stale) = &mut self.stale {
            stale.end_wholes(number);
        }
        Some(gone)
    }

    /// It could not be taken out: tries again then.
    pub(crate) fn put_off_wholes(&mut self, retry: Duration) {
        if let Some(stale) = &mut self.stale {
            stale.put_off_wholes(retry);
        }
    }
}
