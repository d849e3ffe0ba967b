//! What is stale: served though its refresh has failed. DESIGN.md, "Stale values".
//!
//! The folder keeps account of it, since it sees every write that it folds. A value is stale from the
//! first failure of a refresh that began after the value was written; what is written later is not.
//! Nobody asks this on a read: what has been stale for too long is taken out.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use super::Store;
use super::by_hash::{ByHash, Place};
use super::fold::{Folder, changes_of, echo_after};
use super::overlay::Overlay;
use super::view::View;
use crate::contain::contained;
use crate::sync::{Arc, Hashed, fault};
use crate::table::Table;
use crate::{Key, Value};

/// A reload that failed.
pub(crate) struct Failed<K> {
    key: Hashed<K>,
    since: Since,
}

impl<K> Failed<K> {
    /// The reload with this number; the old value is served `until` then.
    pub(crate) fn new(number: u64, hash: u64, key: K, until: Duration) -> Self {
        Self {
            key: Hashed::new(hash, key),
            since: Since { number, until },
        }
    }
}

/// The first refresh that failed.
#[derive(Clone, Copy, Debug)]
struct Since {
    /// Its number: what has a higher one is not concerned.
    number: u64,
    /// When what it is about is taken out.
    until: Duration,
}

/// The folder's account of what is stale. It holds what failed, and not what is cached.
pub(super) struct Stale<K> {
    /// Keys whose reload failed. None that has been folded under a higher number.
    keys: ByHash<K, Since>,
    /// The same in the order of their time.
    due: BTreeSet<(Duration, Place)>,
    /// Refreshes that failed as a whole, oldest first: each makes everything stale that is older and not
    /// stale already.
    wholes: VecDeque<Since>,
    /// While there are such: the highest number folded of each key that was written since the first of
    /// them began.
    changed: ByHash<K, u64>,
    /// The highest number folded since then.
    newest: u64,
}

impl<K: Key> Stale<K> {
    fn new() -> Self {
        Self {
            keys: ByHash::new(),
            due: BTreeSet::new(),
            wholes: VecDeque::new(),
            changed: ByHash::new(),
            newest: 0,
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.keys.clear();
        self.due.clear();
        self.forget_wholes();
    }

    fn forget_wholes(&mut self) {
        self.wholes.clear();
        self.changed.clear();
        self.newest = 0;
    }

    fn add(&mut self, key: Hashed<K>, since: Since) {
        let place = self.keys.add(key, since);
        self.due.insert((since.until, place));
    }

    fn take(&mut self, place: Place) -> Option<(Hashed<K>, Since)> {
        let (key, since) = self.keys.take(place)?;
        self.due.remove(&(since.until, place));
        Some((key, since))
    }

    /// Enters a reload that failed, unless its key is stale already or was changed since the load began.
    fn enter<V>(&mut self, view: &View<K, V>, failed: Failed<K>) {
        let (number, hash, key) = (failed.since.number, failed.key.hash, failed.key.key());
        if view.last_change(hash, key) > number || !view.is_present(hash, key) {
            return;
        }
        if let Some(place) = self.keys.find(hash, key) {
            let written = view.overlaid(hash, key).map_or(0, |write| write.number());
            let first = self.keys.at(place).map_or(0, |since| since.number);
            if written <= first {
                return;
            }
            // Written after that failure and before this one's load.
            self.take(place);
        }
        self.add(failed.key, failed.since);
    }

    /// Takes note of what is being folded: what was written after a failure is not stale by it. To be
    /// called again does no harm.
    fn note<V>(&mut self, overlay: &Overlay<K, V>) {
        if self.keys.is_empty() && self.wholes.is_empty() {
            return;
        }
        let first = self.wholes.front().map(|whole| whole.number);
        overlay.for_each(|hash, key, write| {
            if let Some(place) = self.keys.find(hash, key)
                && self
                    .keys
                    .at(place)
                    .is_some_and(|s| s.number < write.number())
                && !fault::planted("stale_after_a_fold")
            {
                self.take(place);
            }
            if first.is_some_and(|first| first < write.number()) {
                self.note_changed(hash, key, write.value().is_some(), write.number());
            }
        });
    }

    /// Takes note of a change after the first refresh that failed as a whole.
    fn note_changed(&mut self, hash: u64, key: &K, is_value: bool, number: u64) {
        self.newest = self.newest.max(number);
        match (self.changed.find(hash, key), is_value) {
            (Some(place), true) => self.changed.set(place, number),
            // What is not there need not be kept.
            (Some(place), false) => drop(self.changed.take(place)),
            (None, true) => {
                self.changed.add(Hashed::new(hash, key.clone()), number);
            }
            (None, false) => {}
        }
    }

    /// A refresh failed as a whole. `since`: the overlays sealed since it began. `quiet`: nothing has been
    /// written that is not folded.
    fn fail<V>(&mut self, whole: Since, since: &[Arc<Overlay<K, V>>], quiet: bool) {
        match self.wholes.back() {
            // Everything is stale by that one already.
            Some(last) if quiet && self.newest <= last.number => {}
            Some(_) => self.wholes.push_back(whole),
            None => {
                for overlay in since {
                    overlay.for_each(|hash, key, write| {
                        if write.number() > whole.number && !fault::planted("stale_in_the_fetch") {
                            self.note_changed(hash, key, write.value().is_some(), write.number());
                        }
                    });
                }
                self.wholes.push_back(whole);
            }
        }
    }

    /// A dataset replaces everything but what is in `overlays` from `floor` on.
    pub(super) fn replaced<V>(&mut self, overlays: &[Arc<Overlay<K, V>>], floor: u64) {
        self.forget_wholes();
        let laid_over = |place: Place, key: &K| {
            let mut writes = overlays.iter().filter_map(|o| o.get(place.0, key));
            writes.any(|write| write.number() >= floor)
        };
        let over: Vec<Place> = self
            .keys
            .iter()
            .filter(|(place, key)| !laid_over(*place, key))
            .map(|(place, _)| place)
            .collect();
        for place in over {
            self.take(place);
        }
    }

    fn next_until(&self) -> Option<Duration> {
        let key = self.due.first().map(|&(until, _)| until);
        let whole = self.wholes.front().map(|whole| whole.until);
        key.into_iter().chain(whole).min()
    }

    fn take_due(&mut self, now: Duration) -> Option<(Hashed<K>, Since)> {
        let &(until, place) = self.due.first()?;
        (until <= now).then(|| self.take(place)).flatten()
    }

    /// The last of the failed refreshes whose time has come. What is stale by it is so by those before.
    fn whole_due(&self, now: Duration) -> Option<u64> {
        let due = self.wholes.iter().take_while(|whole| whole.until <= now);
        due.last().map(|whole| whole.number)
    }

    fn end_wholes(&mut self, number: u64) {
        self.wholes.retain(|whole| whole.number > number);
        if self.wholes.is_empty() {
            self.forget_wholes();
        }
    }
}

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
            Some(since) => (since.floor, &since.overlays[..]),
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
        // As before a dataset: see there.
        if store.view().sealed.is_some() {
            self.fold(store);
        }
        // Loads that began before the failed refresh would bring what is as old as what goes.
        let sealed = self.rotate(store, number);
        let view = store.cell.load_full();
        let mut echo = view.echo.clone();
        let mut changes = Vec::new();
        if let Some(sealed) = &sealed {
            echo = echo_after(store, &view, sealed);
            self.settle_stale(store, sealed);
            self.keep_since(sealed);
            changes = changes_of(sealed, number);
        }
        let stale = self.stale.as_ref()?;
        let is_newer = |hash, key: &K| {
            let kept = stale.changed.get(hash, key);
            kept.is_some_and(|&changed| changed > number)
        };
        let (mut kept, mut gone) = (Vec::new(), 0);
        for (key, value) in view.current.table.iter() {
            let hash = store.hash(key);
            if is_newer(hash, key) {
                kept.push((key.clone(), value.clone()));
            } else if sealed.as_ref().is_none_or(|s| s.get(hash, key).is_none()) {
                gone += 1;
            }
        }
        if let Some(sealed) = &sealed {
            sealed.for_each(|_, _, write| {
                gone += usize::from(write.number() < number && write.value().is_some());
            });
        }
        let mut table = Table::from_pairs(kept, |key| store.hash(key));
        if !changes.is_empty() {
            table = table.patched(changes, |key| store.hash(key));
        }
        self.announce_and_publish(store, table, echo, number.max(view.floor));
        if let Some(stale) = &mut self.stale {
            stale.end_wholes(number);
        }
        Some(gone)
    }

    /// It could not be taken out: tries again then.
    pub(crate) fn put_off_wholes(&mut self, retry: Duration) {
        for whole in self.stale.iter_mut().flat_map(|stale| &mut stale.wholes) {
            whole.until = whole.until.max(retry);
        }
    }
}
