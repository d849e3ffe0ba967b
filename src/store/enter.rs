//! Inside the gate of the view of now.

use std::hash::BuildHasher;

use super::{Store, View};
use crate::sync::fault;
use crate::{Key, Value};

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Runs `act` unless the bucket was reset since a load with this number began. A reset that comes meanwhile waits
    /// for its end. `act` is inside a gate, so it must not wait for anything.
    pub(crate) fn unless_reset<R>(&self, load: u64, act: impl FnOnce() -> R) -> Option<R> {
        if fault::planted("looks_before_the_gate") {
            let current = load >= self.view().reset;
            return current.then(act);
        }
        self.inside(|view| {
            let current = load >= view.reset || fault::planted("answers_what_is_older");
            current.then(act)
        })
    }

    /// Runs `act` inside the gate of the current view.
    pub(super) fn inside<R>(&self, act: impl FnOnce(&View<K, V>) -> R) -> R {
        self.inside_ahead(|_| (), act)
    }

    /// The same, with `ahead` called before the gate is entered, as what is asked of the processor before that is there by
    /// the time that several locked instructions take.
    #[inline(always)]
    fn inside_ahead<R>(
        &self,
        ahead: impl Fn(&View<K, V>),
        act: impl FnOnce(&View<K, V>) -> R,
    ) -> R {
        loop {
            let view = self.view();
            ahead(&view);
            // A closed gate means that a newer view is out; the next look finds it.
            if let Some(_inside) = view.gate.enter() {
                return act(&view);
            }
        }
    }

    /// The same for who is to put something for a key, in whose way no joint write is then. To be called before anything
    /// is looked at, as what is decided on is put first.
    #[inline(always)]
    pub(super) fn inside_for<R>(&self, hash: u64, act: impl FnOnce(&View<K, V>) -> R) -> R {
        let ahead = |view: &View<K, V>| {
            view.active.fetch_ahead(hash);
            view.current.table.fetch_ahead(hash);
        };
        self.inside_ahead(ahead, |view| {
            view.give_way(hash);
            act(view)
        })
    }
}
