//! What has been replaced, until nobody reads it any more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::view::{Generation, View};
use crate::sync::{Arc, fault};

/// Keeps replaced views and generations until it alone holds them, and frees them then.
///
/// So it is always the folder that frees a table, however long a reader or a snapshot held it. A user
/// that outlives the bucket is the one exception: then nobody else is left to do it.
pub(crate) struct Retired<K, V> {
    views: Vec<Arc<View<K, V>>>,
    generations: Vec<Arc<Generation<K, V>>>,
}

impl<K, V> Retired<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            views: Vec::new(),
            generations: Vec::new(),
        }
    }

    pub(crate) fn view(&mut self, view: Arc<View<K, V>>) {
        if fault::planted("views_not_retired") {
            return;
        }
        self.views.push(view);
    }

    pub(crate) fn generation(&mut self, generation: Arc<Generation<K, V>>) {
        if fault::planted("tables_not_retired") {
            return;
        }
        self.generations.push(generation);
    }

    /// Frees what nobody else holds. Nothing in here can be taken up again: it is no longer published.
    pub(crate) fn sweep(&mut self) {
        // Views first: they hold generations.
        if !fault::planted("views_never_freed") {
            free_unshared(&mut self.views);
        }
        free_unshared(&mut self.generations);
    }

    /// How many tables wait for a reader or a snapshot.
    pub(crate) fn tables(&self) -> usize {
        self.generations.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.views.is_empty() && self.generations.is_empty()
    }
}

fn free_unshared<T>(kept: &mut Vec<Arc<T>>) {
    let mut at = 0;
    while let Some(candidate) = kept.get_mut(at) {
        // `get_mut` and not a look at the count: it also orders what the last holder did before us.
        if Arc::get_mut(candidate).is_some() {
            let unshared = kept.swap_remove(at);
            // Values contain their own panics; a key's drop may still panic.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(unshared)));
        } else {
            at += 1;
        }
    }
}
