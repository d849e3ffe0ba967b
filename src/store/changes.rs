//! What sealed overlays change in a table.

use std::collections::HashMap;
use std::hash::BuildHasher;

use super::overlay::{Overlay, Write};
use super::tally::Tally;
use crate::clock::{Clock, Deadline, Tick};
use crate::sync::{Arc, fault, pace};
use crate::table::{Change, Recency, Table};
use crate::{Key, Value};

/// Where keys go that a table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// To the others; and so do those with them that are beside the others.
    Among,
    /// Beside the others, as long as these are far more: that is sooner done, and to read such a key takes longer.
    Beside,
}

/// The last write of each key, ready to be laid over a table.
pub(super) struct Changes<'a, K, V> {
    list: Vec<Change<K, V>>,
    /// When they expire; of a bucket in which nothing does, none.
    deadlines: Vec<(u64, &'a K, Deadline)>,
    /// Also those that never do: the table may say otherwise.
    all_deadlines: bool,
    /// What they weigh, in a bucket with a limit.
    weights: Vec<(u64, &'a K, u64)>,
    weighs: bool,
    /// When they were last touched, in a bucket in which that matters.
    stamps: Vec<(u64, &'a K, Option<u64>)>,
    recency: Option<Recency>,
    new: New,
    /// Which writes they are, in a bucket in which that matters.
    numbers: Vec<(u64, &'a K, u64)>,
    is_numbered: bool,
    now: Tick,
    tally: Tally,
}

impl<'a, K: Key, V: Value> Changes<'a, K, V> {
    /// None so far, for a table of which some entries expire or not. What has expired by `now` is gone.
    pub(super) fn none(timed: &Table<K, V>, now: Tick) -> Self {
        Self {
            list: Vec::new(),
            deadlines: Vec::new(),
            all_deadlines: timed.earliest() != Deadline::NEVER,
            weights: Vec::new(),
            weighs: false,
            stamps: Vec::new(),
            recency: None,
            new: New::Among,
            numbers: Vec::new(),
            is_numbered: false,
            now,
            tally: Tally::default(),
        }
    }

    /// The same in a bucket with a limit, or without.
    pub(super) fn weighing(self, weighs: bool) -> Self {
        Self { weighs, ..self }
    }

    /// The same in a bucket in which things are touched, or not.
    pub(super) fn touching(self, recency: Option<Recency>) -> Self {
        Self { recency, ..self }
    }

    /// The same with new keys there.
    pub(super) fn putting(self, new: New) -> Self {
        Self { new, ..self }
    }

    /// The same in a bucket in which it matters which write an entry is of, or not.
    pub(super) fn numbering(self, is_numbered: bool) -> Self {
        Self {
            is_numbered,
            ..self
        }
    }

    /// Those of an overlay that are not below `floor`.
    pub(super) fn of(self, sealed: &'a Overlay<K, V>, floor: u64) -> Self {
        self.of_some(sealed, |_, _, write| write.number() >= floor)
    }

    /// Those of an overlay of which `which` says so.
    pub(super) fn of_some(
        mut self,
        sealed: &'a Overlay<K, V>,
        which: impl Fn(u64, &K, &Write<V>) -> bool,
    ) -> Self {
        self.list.reserve(sealed.keys());
        sealed.for_each_sealed(|hash, key, write| {
            if which(hash, key, write) {
                self.push(hash, key, write);
            }
        });
        self
    }

    /// Those of several, oldest first, later ones on top. What is once more the write of a key that is not below `floor`,
    /// with another time or without its value, is not either, though its number may be: that was folded.
    pub(super) fn of_all(
        mut self,
        overlays: &'a [Arc<Overlay<K, V>>],
        floor: u64,
        hasher: impl BuildHasher,
    ) -> Self {
        if let [one] = overlays {
            return self.of(one, floor);
        }
        let mut newest = HashMap::with_hasher(hasher);
        for overlay in overlays {
            overlay.for_each(|hash, key, write| {
                let again = newest.contains_key(key) && !fault::planted("retimed_below_floor");
                if write.number() >= floor || again {
                    newest.insert(key, (hash, write));
                }
            });
        }
        for (key, (hash, write)) in pace::each(newest) {
            self.push(hash, key, write);
        }
        self
    }

    fn push(&mut self, hash: u64, key: &'a K, write: &Write<V>) {
        let expires = write.content().expires;
        if self.all_deadlines || expires != Deadline::NEVER {
            self.deadlines.push((hash, key, expires));
        }
        if self.weighs {
            self.weights.push((hash, key, write.content().weight.get()));
        }
        if self.is_numbered {
            self.numbers.push((hash, key, write.number()));
        }
        let idle = match &self.recency {
            Some(Recency::Time(_, idle)) => Some(*idle),
            _ => None,
        };
        if self.recency.is_some() {
            let last = idle.map(|_| write.last_touched());
            self.stamps.push((hash, key, last));
        }
        let value = write.last_value(self.now, idle).cloned();
        self.tally.note(write, value.is_some());
        self.list.push(Change {
            hash,
            key: key.clone(),
            value,
        });
    }

    /// Removes what has expired in a table, but for what was written anew, which is among the changes already.
    pub(super) fn expire(
        &mut self,
        table: &Table<K, V>,
        sealed: &Overlay<K, V>,
        hash: impl Fn(&K) -> u64,
    ) {
        let expired = table.expired_at(self.now).map(|key| (hash(key), key));
        let expired = expired.filter(|&(hash, key)| sealed.get(hash, key).is_none());
        let before = self.list.len();
        let gone = expired.map(|(hash, key)| Change {
            hash,
            key: key.clone(),
            value: None,
        });
        pace::extend(&mut self.list, gone);
        self.tally.expired += self.list.len() - before;
    }

    /// Removes what is to be evicted.
    pub(super) fn evict(&mut self, victims: Vec<&K>, hash: impl Fn(&K) -> u64) {
        self.tally.evicted += victims.len();
        let gone = victims.into_iter().map(|key| Change {
            hash: hash(key),
            key: key.clone(),
            value: None,
        });
        pace::extend(&mut self.list, gone);
    }

    /// The keys of all of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u64, &K)> {
        self.list.iter().map(|change| (change.hash, &change.key))
    }

    /// The keys of all of them, and whether they have a value.
    pub(super) fn of_keys(&self) -> impl Iterator<Item = (u64, &K, bool)> {
        let said = |change: &'_ Change<K, V>| change.value.is_some();
        self.list
            .iter()
            .map(move |change| (change.hash, &change.key, said(change)))
    }

    /// What they do, and how often.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A table with them laid over. `timed` is the one that knows when its entries expire, and what they weigh.
    pub(super) fn over(
        self,
        table: &Table<K, V>,
        timed: &Table<K, V>,
        clock: &Clock,
        hash: impl Fn(&K) -> u64,
    ) -> Table<K, V> {
        let laid = match self.new {
            New::Among => table.patched(self.list, &hash),
            New::Beside => table.extended(self.list, &hash),
        };
        let weights = self.weights.into_iter();
        let made = laid
            .timed_as(timed, self.deadlines.into_iter(), clock, &hash)
            .weighed_as(timed, weights, &hash)
            .touched_as(timed, self.stamps.into_iter(), self.recency, &hash);
        match self.is_numbered {
            true => made.written_as(timed, self.numbers.into_iter(), &hash),
            false => made,
        }
    }
}
