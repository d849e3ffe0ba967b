//! What goes to make room, by the policy that was chosen. DESIGN.md, "Eviction".

use std::hash::BuildHasher;

use super::Store;
use super::fold::Folder;
use super::overlay::Overlay;
use super::sketch::Sketch;
use super::view::View;
use crate::clock::Tick;
use crate::table::{First, Much, Recency};
use crate::{Key, Value};

/// By what those are chosen that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    LastTouch,
    LastWrite,
    Frequency,
}

impl Policy {
    /// By what the entries of the table of an epoch are stamped, where that is not the time.
    pub(super) fn period(self, epoch: u64) -> Option<Recency> {
        // From 1, so that what was never touched is older.
        let read = epoch + 1;
        match self {
            Self::LastTouch => Some(Recency::Period {
                read,
                written: read,
            }),
            // What is written is counted by the fold that takes it in, and by the next one if it was read since.
            Self::Frequency => Some(Recency::Period {
                read,
                written: epoch,
            }),
            Self::LastWrite => None,
        }
    }
}

/// What the folder knows of how often keys are used, also of such as are cached no more.
pub(super) struct Uses {
    sketch: Sketch,
    /// What was counted last: the touches of this table's entries, up to then.
    counted: Option<(u64, Tick)>,
}

impl<K: Key, V: Value> Folder<K, V> {
    /// The keys of what is to be evicted, for its weight or its number.
    pub(super) fn victims<'v, S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        view: &'v View<K, V>,
        now: Tick,
    ) -> Vec<&'v K> {
        let much = match std::mem::take(&mut self.prunes) {
            0 => Much::Weight(excess(view)),
            keys => Much::Keys(keys),
        };
        if let (Much::Weight(_), Some(budget)) = (much, &view.budget) {
            budget.relieve();
        }
        if much == Much::Weight(0) {
            return Vec::new();
        }
        let table = &view.current.table;
        match (store.policy(), &self.uses) {
            (Some(Policy::LastWrite), _) => table.first_to_go(much, First::Unwritten, now),
            (Some(Policy::Frequency), Some(Uses { sketch, .. })) => {
                let uses = |key: &K| sketch.count(store.hash(key));
                table.first_to_go(much, First::Unused(&uses), now)
            }
            _ => table.first_to_go(much, First::Untouched, now),
        }
    }

    /// Counts what was used since the last table was made, where that matters: what was read in that table, and what was
    /// written, or loaded, and is not there.
    ///
    /// Not what is there and was written again: that is what a refresh does to all keys alike.
    pub(super) fn count_uses<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        view: &View<K, V>,
        sealed: Option<&Overlay<K, V>>,
    ) {
        if store.policy() != Some(Policy::Frequency) {
            return;
        }
        let uses = self.uses.get_or_insert_with(|| Uses {
            sketch: Sketch::new(),
            counted: None,
        });
        let (epoch, now) = (view.current.epoch, store.times.clock.coarse());
        let (counted, before) = match uses.counted {
            Some((counted, then)) => (counted == epoch, then),
            None => (false, Tick::default()),
        };
        uses.counted = Some((epoch, now));
        let table = &view.current.table;
        let written = sealed.map_or(0, |sealed| sealed.keys());
        uses.sketch.make_room(table.len() + written);
        // Not once more, of a fold that could evict nothing, or did not come to its end.
        if !counted {
            for key in table.touched_after(before) {
                uses.sketch.add(store.hash(key));
            }
        }
        if let Some(sealed) = sealed {
            sealed.for_each(|hash, key, write| {
                if write.content().value.is_some() && table.find_any(hash, key).is_none() {
                    uses.sketch.add(hash);
                }
            });
        }
        uses.sketch.age();
    }
}

/// How much is to be evicted, and could be.
pub(super) fn excess<K, V>(view: &View<K, V>) -> u64 {
    let budget = view
        .budget
        .as_ref()
        .filter(|_| !view.current.table.is_empty());
    budget.map_or(0, |budget| budget.excess())
}
