//! The folder: the one publisher of a bucket. DESIGN.md, "Form C", steps 1 to 5.

use std::hash::BuildHasher;
use std::time::Duration;

use super::changes::{Changes, New};
use super::derived::Built;
use super::echo::Echo;
use super::evict::{Uses, excess};
use super::gate::Gate;
use super::overlay::{Begun, Overlay};
use super::retired::Retired;
use super::settle::{forget_interrupted, mark_all, settle_weight};
use super::since::Since;
use super::stale::Stale;
use super::tags::{TagIndex, TagPlan};
use super::tally::{LastFold, Tally};
use super::unsaved::Noted;
use super::view::{Generation, Sealed, View};
use super::{Store, room_for};
use crate::sync::{Arc, fault};
use crate::table::Table;
use crate::{Key, Value};

/// A table of fewer entries is copied sooner than it would be worth having some of them elsewhere.
const LEAST_EXTENDED: usize = 1 << 16;

/// So many times as many keys as one overlay had are expected in the next. If that is too few, each write of the next
/// has a long way to its word; if it is too many, there are some four bytes too many for each entry of the table.
const EARLY: usize = 8;

/// Folds, publishes and frees. There is one for a store, and `&mut` keeps it one at a time.
pub(crate) struct Folder<K, V> {
    pub(super) retired: Retired<K, V>,
    /// While a dataset is being fetched.
    pub(super) since: Option<Since<K, V>>,
    /// What is served though its refresh has failed, where that has an end.
    pub(super) stale: Option<Stale<K>>,
    /// What was done and is not counted yet.
    pub(super) tally: Tally,
    /// So many keys are to go with the next fold, expired or evicted.
    pub(super) prunes: usize,
    /// Where the next fold puts new keys, if that is not for the size of the table to say.
    pub(super) new: Option<New>,
    /// How often keys are used, where that decides which go.
    pub(super) uses: Option<Uses>,
    /// When to look for what is idle.
    pub(super) idle_look: Option<Duration>,
    pub(super) noted: Option<Noted<K, V>>,
    /// What in the table has tags.
    pub(super) tags: TagIndex<K>,
    /// What of that changes with the next publication.
    pub(super) planned_tags: Option<TagPlan<K>>,
}

impl<K: Key, V: Value> Folder<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            retired: Retired::new(),
            since: None,
            stale: None,
            tally: Tally::default(),
            prunes: 0,
            new: None,
            uses: None,
            idle_look: None,
            noted: None,
            tags: TagIndex::new(),
            planned_tags: None,
        }
    }

    /// Folds everything written by now into a new snapshot. Returns its epoch, or the current one
    /// where nothing was written.
    ///
    /// May panic where the user's `Clone`, `Eq` or `Hash` does: nothing is lost then, and the next
    /// call first goes on where this one stopped.
    pub(crate) fn fold<S: BuildHasher>(&mut self, store: &Store<K, V, S>) -> u64 {
        let begun = LastFold::begin(store, &self.tally);
        self.finish_fold(store);
        let mut epoch = self.fold_once(store);
        // What has only just been folded could not be evicted before.
        if excess(&store.view()) > 0 {
            epoch = self.fold_once(store);
        }
        begun.end(store, &self.tally, epoch);
        epoch
    }

    /// Ends a fold that a panic interrupted. Writes have gone to another overlay since, which no rotation
    /// would seal before.
    pub(super) fn finish_fold<S: BuildHasher>(&mut self, store: &Store<K, V, S>) {
        if store.view().sealed.is_some() {
            self.fold_once(store);
        }
    }

    /// Has the next fold bring home what earlier ones have put beside the table's other entries, if that is worth it.
    pub(crate) fn bring_home(&mut self) {
        self.new = Some(New::Among);
    }

    /// Has the next fold put new keys beside the others, however few these are.
    #[cfg(all(test, larder_loom))]
    pub(crate) fn put_beside(&mut self) {
        self.new = Some(New::Beside);
    }

    fn brings_home(&self, view: &View<K, V>) -> bool {
        self.new == Some(New::Among) && view.current.table.is_extended()
    }

    pub(super) fn fold_once<S: BuildHasher>(&mut self, store: &Store<K, V, S>) -> u64 {
        let Some(sealed) = self.rotate(store, 0) else {
            return store.view().current.epoch;
        };
        let view = store.cell.load_full();
        let now = store.times.clock.coarse();
        let old = &view.current.table;
        let brings_home = self.brings_home(&view);
        let new = self.new.take().unwrap_or_else(|| new_keys_of(old));
        let weighs = view.budget.is_some();
        let recency = store.recency(view.current.epoch + 1);
        let changes = Changes::none(old, now).weighing(weighs).touching(recency);
        let changes = changes.numbering(store.numbers_entries());
        let mut changes = changes.putting(new).of(&sealed, 0);
        changes.expire(old, &sealed, |key| store.hash(key));
        // With nothing to be done the table stays, and what is read in it is counted later.
        if !changes.is_empty() || brings_home || self.prunes > 0 || excess(&view) > 0 {
            self.count_uses(store, &view, Some(&sealed));
        }
        changes.evict(self.victims(store, &view, now), |key| store.hash(key));
        let tally = changes.tally();
        if changes.is_empty() && !brings_home {
            // Only conditional writes that changed nothing, or none at all.
            let settled = View {
                sealed: None,
                beyond: view.beyond_of(&view.current.table),
                next: None,
                ..View::clone(&view)
            };
            self.replace(store, settled);
            return view.current.epoch;
        }
        if fault::planted("failures_taken_in_first") {
            self.take_in_failed(store);
        }
        let echo = echo_after(store, &view, &sealed);
        self.settle_stale(store, &sealed);
        self.note(&changes);
        self.plan_tags(&changes, &sealed);
        let table = changes.over(old, old, &store.times.clock, |key| store.hash(key));
        self.keep_since(&sealed);
        let derived = view.current.derived.clone();
        let built = Built { table, derived };
        let epoch = self.announce_and_publish(store, built, echo, view.floor);
        self.tally += tally;
        epoch
    }

    /// Frees what readers have let go of. To be called after those who wait for a publication are answered:
    /// they need not wait for this.
    pub(crate) fn sweep<S>(&mut self, store: &Store<K, V, S>) {
        if self.retired.is_empty() {
            return;
        }
        if !fault::planted("views_kept_by_the_idle") {
            store.cell.let_go();
        }
        self.retired.sweep();
    }

    /// The same when nothing will be published any more: nobody reads what threads keep.
    pub(crate) fn sweep_all<S>(&mut self, store: &Store<K, V, S>) {
        store.cell.take_back();
        store.cell.let_go();
        self.retired.sweep();
    }

    pub(crate) fn retired(&self) -> &Retired<K, V> {
        &self.retired
    }

    /// Step 1: writers go to a fresh overlay; the old one is sealed. This is the cut. Loads below `floor`
    /// do not get into the fresh one.
    ///
    /// Returns the sealed overlay, also that of an earlier fold which did not come to its end, or
    /// `None` where there is nothing to be done: nothing was written and nothing is to go, to be brought home, or to
    /// be kept from being stored.
    pub(super) fn rotate<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        floor: u64,
    ) -> Option<Arc<Overlay<K, V>>> {
        self.finish_joints(store);
        let view = store.cell.load_full();
        let sealed = match &view.sealed {
            Some(sealed) => sealed.clone(),
            None if !view.active.is_touched()
                && floor <= view.floor
                && !view.current.table.earliest().is_over(&store.times.clock)
                && !self.is_idle_over(store, &view)
                && self.prunes == 0
                && !self.brings_home(&view)
                && excess(&view) == 0 =>
            {
                return None;
            }
            None => {
                let sealed = Sealed {
                    overlay: Arc::clone(&view.active),
                    gate: Arc::clone(&view.gate),
                };
                let room = room_for(view.current.table.len());
                // As many keys again as there were since the last rotation, if that came late; it may have come early, as soon
                // as there was something.
                let expected = (EARLY * view.active.keys()).min(room);
                let rotated = View {
                    active: Overlay::new(room, expected),
                    sealed: Some(sealed.clone()),
                    beyond: Begun::new(!fault::planted("sealed_looks_untouched")),
                    next: None,
                    gate: Gate::new(),
                    floor: floor.max(view.floor),
                    ..View::clone(&view)
                };
                if fault::planted("closed_before_published") {
                    sealed.gate.close();
                }
                self.replace(store, rotated);
                sealed
            }
        };
        sealed.gate.close();
        if !fault::planted("no_wait_at_rotation") {
            sealed.gate.wait_sealed();
        }
        Some(sealed.overlay)
    }

    /// Steps 3 to 5: from the announcement on every writer marks the next table too; what was written
    /// before is marked here; then the next table is the current one.
    pub(super) fn announce_and_publish<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        built: Built<K, V>,
        echo: Option<Arc<Echo>>,
        floor: u64,
    ) -> u64 {
        let view = store.cell.load_full();
        let built = Built {
            table: store.guard(built.table),
            ..built
        };
        let next = generation(built, view.current.epoch + 1, floor, view.current.version);
        if fault::planted("mark_before_announce") {
            mark_all(&view.active, &next);
        }
        let gate = Gate::new();
        let announced = View {
            next: Some(Arc::clone(&next)),
            gate: Arc::clone(&gate),
            ..View::clone(&view)
        };
        self.replace(store, announced);
        view.gate.close();
        if !fault::planted("no_wait_at_announcement") {
            view.gate.wait_sealed();
        }
        forget_interrupted(&view);
        let mut marked = match fault::planted("mark_before_announce") {
            false => mark_all(&view.active, &next),
            true => 0,
        };
        if fault::planted("marked_weight_kept") {
            marked = 0;
        }
        settle_weight(&view, &next.table, marked);
        let epoch = next.epoch;
        let beyond = view.beyond_of(&next.table);
        let published = View {
            current: next,
            active: Arc::clone(&view.active),
            sealed: None,
            beyond,
            next: None,
            gate,
            floor,
            reset: view.reset,
            echo,
            caching: view.caching,
            times: store.times.clone(),
            budget: view.budget.clone(),
            alive: store.alive.clone(),
            joints: None,
            tag_floors: self.tag_floors_left(store, &view),
            reads: store.reads.clone(),
        };
        let next = Arc::clone(&published.current);
        self.retired.generation(Arc::clone(&view.current));
        self.hand_over_early(&view.current);
        if !fault::planted("failures_unsettled") {
            store.settle_failures(&view, floor);
        }
        self.replace(store, published);
        self.enter_tags(epoch);
        self.hand_over(&next);
        self.carry_touches(store, &view, &next);
        drop(view);
        epoch
    }

    pub(super) fn replace<S>(&mut self, store: &Store<K, V, S>, view: View<K, V>) {
        let old = store.cell.swap(Arc::new(view));
        self.retired.view(old);
    }

    pub(super) fn keep_since(&mut self, sealed: &Arc<Overlay<K, V>>) {
        if let Some(since) = &mut self.since
            && !fault::planted("dataset_over_writes")
        {
            since.keep(sealed);
        }
    }
}

fn new_keys_of<K, V>(table: &Table<K, V>) -> New {
    match table.len() < LEAST_EXTENDED {
        true => New::Among,
        false => New::Beside,
    }
}

pub(super) fn generation<K, V>(
    built: Built<K, V>,
    epoch: u64,
    floor: u64,
    version: u64,
) -> Arc<Generation<K, V>> {
    Arc::new(Generation {
        table: built.table,
        epoch,
        floor,
        derived: built.derived,
        version,
        published_at: crate::clock::wall_now(),
    })
}

/// The echo to publish with the table that `sealed` is folded into.
///
/// The look at the live loads comes after the seal: a load that is not seen there draws a number above
/// all that were drawn inside the sealed gate.
pub(super) fn echo_after<K: Key, V: Value, S: BuildHasher>(
    store: &Store<K, V, S>,
    view: &View<K, V>,
    sealed: &Overlay<K, V>,
) -> Option<Arc<Echo>> {
    if fault::planted("no_echo") {
        return None;
    }
    let oldest = store.numbers.lowest_live()?;
    let mut echo = view
        .echo
        .as_ref()
        .filter(|_| !fault::planted("echo_of_one_fold"))
        .map(|echo| echo.since(oldest))
        .unwrap_or_default();
    sealed.for_each_sealed(|hash, _, write| {
        // Its own as well: a reload that is found late may have brought its value by now.
        if write.number() >= oldest + u64::from(fault::planted("echo_without_its_own")) {
            echo.note(hash, write.number());
        }
    });
    (!echo.is_empty()).then(|| Arc::new(echo))
}
