//! What the folder does with the budget: what is held once a table is replaced.

use super::fold::Folder;
use super::overlay::Overlay;
use super::since::Since;
use super::view::{Generation, View};
use crate::table::Table;
use crate::{Key, Value};

impl<K: Key, V: Value> Folder<K, V> {
    /// How much heavier the next table may be than what it replaces.
    pub(super) fn growth(&self, view: &View<K, V>, dataset: &Table<K, V>) -> u64 {
        if view.budget.is_none() {
            return 0;
        }
        let old = &view.current.table;
        let overlays = self.since.iter().flat_map(Since::overlays);
        let folded: u64 = overlays.map(|overlay| overlay.weight()).sum();
        let before = old.total_weight().wrapping_sub(old.weight_taken());
        dataset
            .total_weight()
            .saturating_add(folded)
            .saturating_sub(before)
    }
}

/// Of a publication that a panic ended there is a table that will never be published. What was taken there stands
/// for what is in the old one, or in the sealed overlay; the two are counted together.
pub(super) fn forget_interrupted<K, V>(view: &View<K, V>) {
    if let Some(interrupted) = &view.next {
        let taken = interrupted.table.weight_taken();
        view.current.table.add_weight_taken(taken);
    }
}

/// The next table counts from now on, and no more what it is made of. `marked` is what its entries weigh that were
/// superseded before it was announced.
///
/// Nobody takes the weight of anything in the old table or in the sealed overlay any more, as all writers know of the
/// next one; and what they take there counts here as if it were still there, on both sides.
pub(super) fn settle_weight<K: Eq, V>(view: &View<K, V>, next: &Table<K, V>, marked: u64) {
    let Some(budget) = &view.budget else {
        return;
    };
    let old = &view.current.table;
    let sealed = view.sealed.as_ref();
    let sealed = sealed.map_or(0, |sealed| sealed.overlay.weight());
    let before = old.total_weight().wrapping_sub(old.weight_taken());
    budget.settle(next.total_weight() - marked, before.wrapping_add(sealed));
    next.add_weight_taken(marked);
}

/// Marks what is superseded already, and takes its weight. Returns how much that was.
pub(super) fn mark_all<K: Key, V: Value>(active: &Overlay<K, V>, next: &Generation<K, V>) -> u64 {
    // A mark too many is a look too many. Weight is taken for what is superseded, and nothing else.
    if !next.table.is_weighed() {
        active.for_each_begun(|hash, key| {
            next.table.mark(hash, key);
        });
        return 0;
    }
    let mut weight = 0;
    active.for_each(|hash, key, _| {
        next.table.mark(hash, key);
        weight += next.table.take_weight_apart(hash, key);
    });
    weight
}
