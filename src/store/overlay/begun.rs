//! Whether anything was written: the one look of a read that finds nothing in the table.

use crossbeam_utils::CachePadded;

use crate::sync::{Arc, atomic::AtomicBool, order};

/// Whether something is written or about to be. Clones are the same one, so that who reads need not go by way of the overlay.
///
/// On cache lines of its own: absent keys are read by it, and nothing that others write should be beside it.
#[derive(Clone)]
pub(crate) struct Begun(Arc<CachePadded<AtomicBool>>);

impl Begun {
    pub(crate) fn new(is_set: bool) -> Self {
        Self(Arc::new(CachePadded::new(AtomicBool::new(is_set))))
    }

    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(order::MARK_LOOK)
    }

    pub(super) fn set(&self) {
        self.0.store(true, order::MARK);
    }
}
