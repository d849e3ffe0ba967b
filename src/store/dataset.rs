//! A dataset in place of all that is there, but for what was written since its fetch began.

use std::hash::BuildHasher;

use super::Store;
use super::budget::Purse;
use super::changes::Changes;
use super::derived::Built;
use super::fold::{Folder, echo_after};
use super::since::Since;
use crate::contain::contained;
use crate::sync::fault;
use crate::{Key, Value};

impl<K: Key, V: Value> Folder<K, V> {
    /// The step before a dataset is fetched: a cut. What is sealed from here on is newer than it.
    pub(crate) fn begin_dataset<S: BuildHasher>(&mut self, store: &Store<K, V, S>) {
        self.since = None;
        self.fold(store);
        self.since = Some(Since::new(store.numbers.draw()));
    }

    /// Whether a dataset that is being fetched may still be published.
    pub(crate) fn awaits_dataset(&self) -> bool {
        self.since.is_some()
    }

    pub(crate) fn forget_dataset(&mut self) {
        self.since = None;
    }

    /// Replaces the bucket's content with a dataset and what was written since its fetch began.
    pub(crate) fn publish_dataset<S>(
        &mut self,
        store: &Store<K, V, S>,
        dataset: impl Into<Built<K, V>>,
    ) -> u64
    where
        S: BuildHasher + Clone,
    {
        let Built {
            table: dataset,
            derived,
        } = dataset.into();
        self.finish_fold(store);
        let floor = match &self.since {
            Some(since) if !fault::planted("dataset_keeps_old_loads") => since.floor(),
            _ => 0,
        };
        // As much more as there may be is held from before the cut on, so that nobody else takes it.
        let before = store.load_view();
        let mut purse = Purse::of(&before);
        purse.hold(self.growth(&before, &dataset));
        let sealed = self.rotate(store, floor);
        let view = store.cell.load_full();
        let mut echo = view.echo.clone();
        if let Some(sealed) = &sealed {
            echo = echo_after(store, &view, sealed);
            self.settle_stale(store, sealed);
            self.keep_since(sealed);
            self.tally.note_all(sealed);
        }
        self.count_uses(store, &view, sealed.as_deref());
        let dataset = match store.numbers_entries() {
            true => dataset.written_at(floor),
            false => dataset,
        };
        let since = self.since.as_ref();
        let overlays = since.map_or(Vec::new(), |since| since.overlays().to_vec());
        let changes =
            Changes::none(&dataset, store.times.clock.coarse()).weighing(view.budget.is_some());
        let changes = changes.numbering(store.numbers_entries());
        let changes = changes.of_all(&overlays, floor, store.hasher().clone());
        let laid_over = self.keys_to_tag(&changes, sealed.as_deref());
        let table = if changes.is_empty() {
            dataset
        } else {
            changes.over(&dataset, &dataset, &store.times.clock, |key| {
                store.hash(key)
            })
        };
        let table = match &store.limits {
            None => table,
            Some(limits) => {
                let room = limits.limit.saturating_sub(view.active.weight());
                let (table, gone) =
                    limits.fitted(table, room, &store.times.clock, |key| store.hash(key));
                self.tally.evicted += gone;
                table
            }
        };
        let table = match store.recency(view.current.epoch + 1) {
            None => table,
            recency => table.touched_now(recency),
        };
        if fault::planted("derived_by_another_swap") {
            let old = view.current.table.patched(vec![], |key| store.hash(key));
            let built = Built {
                table: old,
                derived: derived.clone(),
            };
            self.announce_and_publish(store, built, echo.clone(), view.floor);
        }
        self.plan_tags_of_all(sealed.as_deref(), |hash, key| {
            laid_over.find(hash, key).is_some() && table.deadline_of(hash, key).is_some()
        });
        let built = Built { table, derived };
        self.note_everything();
        let epoch = self.announce_and_publish(store, built, echo, floor.max(view.floor));
        self.since = None;
        if let Some(stale) = &mut self.stale {
            // What an `Eq` that panics leaves in it is below the floor, or fails again.
            let _ = contained(|| stale.replaced(&overlays, floor));
        }
        epoch
    }
}
