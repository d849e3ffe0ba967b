//! Every memory ordering of the crate, by role.
//!
//! Call sites name the role; the ordering and its reason stand here once. A build with
//! `--cfg larder_weaken="name"` turns one of them into `Relaxed`, and `scripts/weaken` shows that a
//! loom model then fails. Constants marked *stand-in* describe what we rely on in arc-swap and
//! papaya: they order the stand-ins of the models and are not used in a normal build.

use super::atomic::Ordering;

const fn weakened(strong: Ordering, weak: bool) -> Ordering {
    if weak { Ordering::Relaxed } else { strong }
}

/// A writer enters a gate. Acquire: who finds the gate closed must also find the view that was
/// published before it was closed, or it would ask the same gate again for ever.
/// Model: `progress_after_a_closed_gate`.
pub(crate) const GATE_ENTER: Ordering =
    weakened(Ordering::Acquire, cfg!(larder_weaken = "gate_enter"));

/// A writer leaves a gate. Release: what it put into the overlay happens before whoever sees the
/// gate empty. Pairs with [`GATE_LOOK`]. Model: `cut_*`.
pub(crate) const GATE_LEAVE: Ordering =
    weakened(Ordering::Release, cfg!(larder_weaken = "gate_leave"));

/// The folder closes a gate. Release: the view published before it is seen by whoever finds the
/// gate closed. Pairs with [`GATE_ENTER`]. Model: `progress_after_a_closed_gate`.
pub(crate) const GATE_CLOSE: Ordering =
    weakened(Ordering::Release, cfg!(larder_weaken = "gate_close"));

/// The folder, or a conditional write, looks whether a gate is closed and empty. Acquire: pairs with
/// [`GATE_LEAVE`], so all puts made inside are visible. Models: `cut_*`, `set_if_absent_*`.
pub(crate) const GATE_LOOK: Ordering =
    weakened(Ordering::Acquire, cfg!(larder_weaken = "gate_look"));

/// A number from the bucket's sequence. Relaxed: a number orders writes and loads of a key by the
/// modification order of this one word; what happens-before it carries is carried by the gate and by
/// the lock of the live loads. DESIGN.md, "Numbers".
pub(crate) const NUMBER: Ordering = Ordering::Relaxed;

/// A mark in a table's header. Relaxed: the overlay's release store, which follows it, publishes it
/// to everybody who can know of the write. Model: `never_back_*`.
pub(crate) const MARK: Ordering = Ordering::Relaxed;

/// A read looks at a header. Relaxed: see [`MARK`].
pub(crate) const MARK_LOOK: Ordering = Ordering::Relaxed;

/// *Stand-in*, and what `arc_swap::Cache` does: a reader compares the published pointer with the one it holds. Relaxed: coherence of this one word
/// never lets a thread go back, and whoever was told of a write through any happens-before edge also
/// sees the pointer its writer saw. Model: `reader_handle_*`.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const VIEW_PEEK: Ordering = Ordering::Relaxed;

/// Statistics and hints: nothing is ordered by them.
pub(crate) const COUNT: Ordering = Ordering::Relaxed;

/// A claim of a one-shot flag (a fold request, a nudge): only who won matters.
pub(crate) const CLAIM: Ordering = Ordering::Relaxed;

/// *Stand-in* for `ArcSwap::load`. Pairs with [`VIEW_PUBLISH`].
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const VIEW_LOAD: Ordering =
    weakened(Ordering::Acquire, cfg!(larder_weaken = "view_load"));

/// *Stand-in* for `ArcSwap::swap`: the view is whole before it is seen.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const VIEW_PUBLISH: Ordering = if cfg!(larder_weaken = "view_publish") {
    Ordering::Relaxed
} else {
    Ordering::AcqRel
};

/// *Stand-in* for a papaya lookup. Pairs with [`MAP_STORE`], also for what removals put in place.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const MAP_LOAD: Ordering = weakened(Ordering::Acquire, cfg!(larder_weaken = "map_load"));

/// *Stand-in* for a papaya insertion or removal.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const MAP_STORE: Ordering = if cfg!(larder_weaken = "map_store") {
    Ordering::Relaxed
} else {
    Ordering::AcqRel
};
