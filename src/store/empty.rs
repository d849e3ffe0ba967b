//! Emptying the bucket: the folder's other publication, in one swap.

use std::hash::BuildHasher;

use super::fold::{Folder, generation};
use super::gate::Gate;
use super::overlay::Overlay;
use super::view::View;
use super::{Store, room_for};
use crate::sync::{Arc, fault};
use crate::table::Table;
use crate::{Key, Value};

impl<K: Key, V: Value> Folder<K, V> {
    /// Empties the bucket in one publication. A write that is inside the old gate counts as before it.
    pub(crate) fn clear<S: BuildHasher>(&mut self, store: &Store<K, V, S>) -> u64 {
        let caching = store.view().caching;
        self.empty(store, caching, None)
    }

    /// The same, and from this publication on things are stored, or are not.
    pub(crate) fn switch<S: BuildHasher>(&mut self, store: &Store<K, V, S>, caching: bool) -> u64 {
        self.empty(store, caching, None)
    }

    /// The same, and from this publication on the bucket has this version. When it returns, no load that began before
    /// will answer anybody.
    pub(crate) fn reset<S: BuildHasher>(&mut self, store: &Store<K, V, S>, version: u64) -> u64 {
        let caching = store.view().caching;
        self.empty(store, caching, Some(version))
    }

    fn empty<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        caching: bool,
        version: Option<u64>,
    ) -> u64 {
        self.note_everything();
        // Whatever is being fetched began before.
        self.since = None;
        if let Some(stale) = &mut self.stale {
            stale.forget_all();
        }
        let view = store.cell.load_full();
        let epoch = view.current.epoch + 1;
        self.forget_tags();
        self.retired.generation(Arc::clone(&view.current));
        // A write that is swallowed here has ended the loads that began before it, and nothing remembers
        // its number. No matter: all those loads are below the floor.
        store.numbers.draw_between_loads(|floor| {
            let (version, reset) = match version {
                Some(version) => (version, floor),
                None => (view.current.version, view.reset),
            };
            let active = match fault::planted("switched_in_place") {
                true => Arc::clone(&view.active),
                false => Overlay::new(room_for(0), 0),
            };
            let empty = View {
                current: generation(store.guard(Table::empty()).into(), epoch, floor, version),
                beyond: active.begun(),
                active,
                sealed: None,
                next: None,
                gate: Gate::new(),
                floor: match fault::planted("switched_without_floor") {
                    true => view.floor,
                    false => floor,
                },
                reset,
                echo: None,
                caching,
                times: store.times.clone(),
                // Who is inside the old gate goes by the old one, and puts into what is no more.
                budget: store.fresh_budget(),
                alive: store.alive.clone(),
                joints: None,
                // All those loads are below the floor.
                tag_floors: None,
                reads: store.reads.clone(),
            };
            self.replace(store, empty);
        });
        self.hand_over(&store.load_view().current);
        // All are below the floor, and say nothing: this frees them.
        store.settle_failures(&view, store.view().floor);
        view.gate.close();
        // For who is about to answer, and is inside, where another publication may follow that does not wait for it.
        if !fault::planted("reset_does_not_wait") {
            view.gate.wait_sealed();
        }
        drop(view);
        epoch
    }
}
