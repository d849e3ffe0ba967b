//! What is stale: served though its refresh has failed. DESIGN.md, "Stale values".
//!
//! The folder keeps account of it, since it sees every write that it folds. A value is stale from the
//! first failure of a refresh that began after the value was written; what is written later is not.
//! Nobody asks this on a read: what has been stale for too long is taken out.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::by_hash::{ByHash, Place};
use super::overlay::Overlay;
use super::view::View;
use crate::Key;
use crate::sync::{Arc, Hashed, fault};

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

    /// The reload with this number, which is not over when it should be. It is taken for one that began just before:
    /// what it brings in the end is newer than that, and not stale by it.
    pub(crate) fn late(number: u64, hash: u64, key: K, until: Duration) -> Self {
        let before = match fault::planted("stale_by_its_own_load") {
            true => number,
            false => number.saturating_sub(1),
        };
        Self::new(before, hash, key, until)
    }
}

/// The first refresh that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// Its number: what has a higher one is not concerned.
    pub(super) number: u64,
    /// When what it is about is taken out.
    pub(super) until: Duration,
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
    pub(super) fn new() -> Self {
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

    pub(super) fn add(&mut self, key: Hashed<K>, since: Since) {
        let place = self.keys.add(key, since);
        self.due.insert((since.until, place));
    }

    fn take(&mut self, place: Place) -> Option<(Hashed<K>, Since)> {
        let (key, since) = self.keys.take(place)?;
        self.due.remove(&(since.until, place));
        Some((key, since))
    }

    /// Enters a reload that failed, unless its key is stale already or was changed since the load began.
    pub(super) fn enter<V>(&mut self, view: &View<K, V>, failed: Failed<K>) {
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
    pub(super) fn note<V>(&mut self, overlay: &Overlay<K, V>) {
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
                self.note_changed(hash, key, write.content().value.is_some(), write.number());
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
    pub(super) fn fail<V>(&mut self, whole: Since, since: &[Arc<Overlay<K, V>>], quiet: bool) {
        match self.wholes.back() {
            // Everything is stale by that one already.
            Some(last) if quiet && self.newest <= last.number => {}
            Some(_) => self.wholes.push_back(whole),
            None => {
                for overlay in since {
                    overlay.for_each(|hash, key, write| {
                        if write.number() > whole.number && !fault::planted("stale_in_the_fetch") {
                            self.note_changed(
                                hash,
                                key,
                                write.content().value.is_some(),
                                write.number(),
                            );
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

    pub(super) fn next_until(&self) -> Option<Duration> {
        let key = self.due.first().map(|&(until, _)| until);
        let whole = self.wholes.front().map(|whole| whole.until);
        key.into_iter().chain(whole).min()
    }

    pub(super) fn take_due(&mut self, now: Duration) -> Option<(Hashed<K>, Since)> {
        let &(until, place) = self.due.first()?;
        (until <= now).then(|| self.take(place)).flatten()
    }

    /// The last of the failed refreshes whose time has come. What is stale by it is so by those before.
    pub(super) fn whole_due(&self, now: Duration) -> Option<u64> {
        let due = self.wholes.iter().take_while(|whole| whole.until <= now);
        due.last().map(|whole| whole.number)
    }

    pub(super) fn end_wholes(&mut self, number: u64) {
        self.wholes.retain(|whole| whole.number > number);
        if self.wholes.is_empty() {
            self.forget_wholes();
        }
    }

    /// Whether a key was changed after the refresh with this number, which failed as a whole.
    pub(super) fn is_newer(&self, hash: u64, key: &K, number: u64) -> bool {
        let changed = self.changed.get(hash, key);
        changed.is_some_and(|&changed| changed > number)
    }

    pub(super) fn put_off_wholes(&mut self, retry: Duration) {
        for whole in &mut self.wholes {
            whole.until = whole.until.max(retry);
        }
    }
}
