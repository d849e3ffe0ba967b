//! Every memory ordering of the crate, by role.
//!
//! Call sites name the role; the ordering and its reason stand here once. Those that are more than
//! Relaxed are functions, because a build for the models can turn one of them into Relaxed at run time:
//! `scripts/weaken` shows that a model then fails. In any other build they are constants. Those called
//! a *stand-in* describe what we rely on in arc-swap, papaya and once_cell: they order the stand-ins of the models
//! and are not used in a normal build.

use super::atomic::Ordering;
#[cfg(any(larder_loom, larder_shuttle))]
use super::fault::planted;

macro_rules! strong {
    ($($(#[$attribute:meta])* $role:ident: $ordering:ident;)*) => {$(
        $(#[$attribute])*
        #[cfg(not(any(larder_loom, larder_shuttle)))]
        #[inline(always)]
        pub(crate) const fn $role() -> Ordering {
            Ordering::$ordering
        }

        $(#[$attribute])*
        #[cfg(any(larder_loom, larder_shuttle))]
        pub(crate) fn $role() -> Ordering {
            if planted(stringify!($role)) {
                Ordering::Relaxed
            } else {
                Ordering::$ordering
            }
        }
    )*};
}

strong! {
    /// A writer enters a gate. Acquire: who finds the gate closed must also find the view that was
    /// published before it was closed, or it would ask the same gate again for ever.
    /// Model: `progress_after_a_closed_gate`.
    gate_enter: Acquire;

    /// A writer leaves a gate. Release: what it put into the overlay happens before whoever sees the
    /// gate empty. Pairs with [`gate_look`]. Model: `cut_*`.
    gate_leave: Release;

    /// The folder closes a gate. Release: the view published before it is seen by whoever finds the
    /// gate closed. Pairs with [`gate_enter`]. Model: `progress_after_a_closed_gate`.
    gate_close: Release;

    /// The folder, or a conditional write, looks whether a gate is closed and empty. Acquire: pairs
    /// with [`gate_leave`], so all puts made inside are visible. Models: `cut_*`, `set_if_absent_*`.
    gate_look: Acquire;

    /// A number is drawn from the bucket's sequence. AcqRel: a load that draws after a write also finds
    /// in the source what the writer changed there before it wrote. DESIGN.md, "Numbers".
    /// Model: `load_that_begins_meanwhile`.
    number: AcqRel;

    /// A word of a ledger is set: an entry is put, or a block linked. Release: it is whole before it is
    /// seen, and so is all that its writer did before, marks above all. Pairs with [`ledger_look`].
    /// Models: `ledger_*`, `never_back_*`.
    ledger_put: Release;

    /// A word of a ledger is looked at. Acquire: pairs with [`ledger_put`]. Models: as there.
    ledger_look: Acquire;

    /// An item is in its slot. Release: who finds it there finds it whole. Pairs with [`item_look`].
    /// Model: `ledger_item_is_seen_whole`.
    #[cfg_attr(larder_shuttle, expect(dead_code, reason = "shuttle's slots have a stand-in"))]
    item_set: Release;

    /// Whether an item is in its slot. Acquire: pairs with [`item_set`]. Model: as there.
    #[cfg_attr(larder_shuttle, expect(dead_code, reason = "as there"))]
    item_look: Acquire;

    /// Somebody joins a flight. Release: what the caller has changed before is found by the look at the
    /// cache that counts the caller in. Pairs with [`flight_look`].
    /// Model: `flight_that_found_what_goes_is_not_joined`.
    flight_join: Release;

    /// A loader that found the key cached looks whether somebody has joined since. Acquire: pairs with
    /// [`flight_join`], and keeps the look at the cache that follows after it. Model: as there.
    flight_look: Acquire;

    /// A write on its way to look for a note of its key, an asker between its note and the `exists` hook, and the end
    /// of an era, meet at one word. AcqRel: the later of two has all that the earlier one did before, so either the
    /// write finds the note, or the hook finds in the source what the writer had changed there.
    /// Models: `exists_against_*`.
    exists_meet: AcqRel;

    /// A promise is answered. Release: the answer is whole before it is seen, and so is all that was done
    /// before, what the load stored above all. Pairs with [`promise_look`]. Model: `promise_is_answered_once`.
    promise_answer: Release;

    /// A look whether a promise is answered. Acquire: pairs with [`promise_answer`]. Model: as there.
    promise_look: Acquire;

    /// A publication has ended. Release: who counts it among the ended loads what it published, or
    /// something newer. Pairs with [`swap_look`]. Model: `reader_handle_that_looked_meanwhile`.
    swap_ended: Release;

    /// A handle counts the publications that have ended, before it loads. Acquire: pairs with
    /// [`swap_ended`], and keeps what follows after it. Model: `reader_handle_that_looked_meanwhile`.
    swap_look: Acquire;

    /// The publisher opens a slot. Release: who finds it open loads what was published before, or something newer.
    /// Pairs with [`slot_look`]. Model: `slot_keeps_nothing_that_was_replaced`.
    slot_open: Release;

    /// A thread looks whether its slot is open, before it loads. Acquire: pairs with [`slot_open`]. Model: as there.
    slot_look: Acquire;

    /// A thread says that it is not inside its slot any more. Release: it has done with what it read there. Pairs
    /// with [`slot_gone`]. Model: `slot_is_let_go_once_it_is_left`.
    slot_leave: Release;

    /// The publisher, which has taken a value out of a slot, looks whether its thread is inside. Acquire: pairs with
    /// [`slot_leave`]. Model: as there.
    slot_gone: Acquire;
}

/// A mark of a table's entry, that its level is closed, and that an overlay is written. Relaxed: the
/// overlay's release store, which follows it, publishes it to everybody who can know of the write. Models:
/// `never_back_*`, `*_told_of_a_first_write`.
pub(crate) const MARK: Ordering = Ordering::Relaxed;

/// A read looks at these. Relaxed: see [`MARK`].
pub(crate) const MARK_LOOK: Ordering = Ordering::Relaxed;

/// A thread says that it is inside its slot, and looks at the word, or puts a value there. Relaxed: what orders the
/// first before the others, against the publisher that takes the value out before it looks for the flag, is a barrier on both
/// sides, see `slots`; nor does the publisher touch the value before it finds the flag cleared. That a value which was taken out is not found by who was told of a newer one is the coherence
/// of the word: it was taken out before that was published. Models: `slot_*`, with the faults `no_light_barrier` and
/// `no_heavy_barrier`.
pub(crate) const OWN: Ordering = Ordering::Relaxed;

/// Statistics and hints: nothing is ordered by them.
pub(crate) const COUNT: Ordering = Ordering::Relaxed;

/// What is used of a budget, and what of it has been taken. Relaxed: who reserves looks at one word and changes it in
/// the same step; who takes a weight is told of it by what it stands beside, and the first alone gets it; and the
/// folder adds up once a gate is sealed, which orders what was done inside. Models: `weight_*`.
pub(crate) const WEIGHT: Ordering = Ordering::Relaxed;

/// When an entry was last touched, and whether that is too long ago. Relaxed: it is one word, and all that is asked is
/// in it. Models: `touch_*`.
pub(crate) const STAMP: Ordering = Ordering::Relaxed;

/// A claim of a one-shot flag (a fold request, a nudge, what becomes of a joint write): only who won matters. What a joint
/// write is decided by was seen before the view was published that names it. Models: `joint_*`.
pub(crate) const CLAIM: Ordering = Ordering::Relaxed;

/// How many publications have begun, asked by a handle. Relaxed: coherence of this one word never lets a
/// thread go back, and whoever was told of a write through any happens-before edge also sees that the
/// publication of its writer's view had begun. Models: `reader_handle_*`.
pub(crate) const SWAP_BEGUN: Ordering = Ordering::Relaxed;

#[cfg(any(larder_loom, larder_shuttle))]
strong! {
    /// *Stand-in* for `ArcSwap::load`. Pairs with [`view_publish`].
    view_load: Acquire;

    /// *Stand-in* for `ArcSwap::swap`: the view is whole before it is seen.
    view_publish: AcqRel;

    /// *Stand-in* for a look at a `OnceBox`. Pairs with [`lazy_set`].
    lazy_look: Acquire;

    /// *Stand-in* for setting it.
    lazy_set: AcqRel;

    /// *Stand-in* for a papaya lookup. Pairs with [`map_store`], also for what removals put in place.
    map_load: Acquire;

    /// *Stand-in* for a papaya insertion or removal.
    map_store: AcqRel;
}

/// *Stand-in* for the barrier of a slot, a full fence on both sides. The faults leave it out.
#[cfg(any(larder_loom, larder_shuttle))]
pub(crate) const fn barrier() -> Ordering {
    Ordering::SeqCst
}
