//! What is idle: when the folder looks for it, and what it carries from table to table.

use std::hash::BuildHasher;
use std::time::Duration;

use super::Store;
use super::fold::Folder;
use super::view::{Generation, View};
use crate::contain::contained;
use crate::{Key, Value};

impl<K: Key, V: Value> Folder<K, V> {
    /// To be called once, for what a store begins with.
    pub(crate) fn begin_idle<S: BuildHasher>(&mut self, store: &Store<K, V, S>) {
        self.look_for_idle(store, &store.view());
    }

    /// When to look next for what is idle, if anything may be.
    pub(crate) fn idle_look(&self) -> Option<Duration> {
        self.idle_look
    }

    /// Whether anything is idle, where it is time to look. If nothing is, it is looked again later.
    pub(super) fn is_idle_over<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        view: &View<K, V>,
    ) -> bool {
        let clock = &store.times.clock;
        if self.idle_look.is_none_or(|at| clock.now() < at) {
            return false;
        }
        let earliest = view.current.table.earliest_idle();
        let over = earliest.is_some_and(|earliest| clock.coarse() >= earliest);
        if !over {
            self.look_for_idle(store, view);
        }
        over
    }

    /// Looks again when the first entry will be idle, if none is touched; but not for each by itself.
    pub(super) fn look_for_idle<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        view: &View<K, V>,
    ) {
        let Some(idle) = store.times.idle else {
            return;
        };
        let soonest = store.times.clock.now().saturating_add(idle.step());
        let earliest = view.current.table.earliest_idle();
        let earliest = earliest.and_then(|earliest| earliest.to_deadline().time());
        self.idle_look = earliest.map(|earliest| earliest.max(soonest));
    }

    /// What was touched in the old table, or in the sealed overlay, while the next one was made of them. A read that is
    /// still under way may be too late for it.
    pub(super) fn carry_touches<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        old: &View<K, V>,
        next: &Generation<K, V>,
    ) {
        if store.times.idle.is_none() {
            return;
        }
        // It is published. What a panic keeps from being carried was touched a moment earlier.
        let _ = contained(|| {
            next.table
                .touch_again(&old.current.table, |key| store.hash(key));
            if let Some(sealed) = &old.sealed {
                sealed.overlay.for_each(|hash, key, write| {
                    next.table.touch_key_again(hash, key, write.last_touched());
                });
            }
        });
        self.look_for_idle(store, &store.view());
    }
}
