//! The gate: who writes under a view, and whether they are done.

use crossbeam_utils::CachePadded;

use crate::sync::{Arc, Mutex, Parker, atomic::AtomicUsize, fault, order, per_thread, spin};

per_thread! {
    /// How many gates this thread is inside of. More than one only when a user's `Eq` or `Drop`, run
    /// by a write, writes again.
    static DEPTH: u32
}

/// Whether this thread is in the middle of a write, so that waiting for writers may be waiting for
/// itself.
pub(crate) fn inside() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

const CLOSED: usize = 1;
const WRITER: usize = 2;

/// Counts the writers inside a view, and can be closed.
///
/// The word is twice the number of writers inside, plus one once closed. A gate that reads exactly
/// `CLOSED` is *sealed*: what was written under its view is whole and will not grow.
#[derive(Debug)]
pub(crate) struct Gate {
    // Apart from everything else: each write changes it twice.
    word: CachePadded<AtomicUsize>,
    drains: Mutex<Vec<Arc<Parker>>>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            word: CachePadded::new(AtomicUsize::new(0)),
            drains: Mutex::new(Vec::new()),
        })
    }

    /// Enters, or tells that the gate is closed: then a newer view has been published.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let before = self.word.fetch_add(WRITER, order::gate_enter());
        if before & CLOSED == 0 {
            DEPTH.with(|depth| depth.set(depth.get() + 1));
            return Some(Inside(self));
        }
        self.leave();
        None
    }

    fn leave(&self) {
        let before = self.word.fetch_sub(WRITER, order::gate_leave());
        if before == WRITER + CLOSED && !fault::planted("last_out_does_not_wake") {
            self.wake_drains();
        }
    }

    #[cold]
    fn wake_drains(&self) {
        for parker in std::mem::take(&mut *self.drains.lock()) {
            parker.unpark();
        }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        let before = self.word.fetch_or(CLOSED, order::gate_close());
        // With nobody inside there is no last one out to wake a conditional write that waits already.
        if before == 0 && !fault::planted("close_does_not_wake") {
            self.wake_drains();
        }
    }

    /// Whether the gate is closed and everybody has left.
    pub(crate) fn is_sealed(&self) -> bool {
        self.word.load(order::gate_look()) == CLOSED
    }

    /// Waits until the gate is sealed. It must be closed, or about to be, and the caller outside.
    ///
    /// A section is a few hundred nanoseconds long, so we look a few times before we sleep.
    pub(crate) fn wait_sealed(&self) {
        for _ in 0..SPINS {
            if self.is_sealed() {
                return;
            }
            spin();
        }
        let parker = Parker::new();
        loop {
            // Registered before the look: the last one out either sees us or is seen gone.
            self.drains.lock().push(Arc::clone(&parker));
            if self.is_sealed() {
                return;
            }
            parker.park_forever();
        }
    }
}

/// Long enough for a writer that runs, short against the cost of sleeping; chosen, not measured.
/// None in the models, where the sleeping path is the one to explore.
const SPINS: usize = if cfg!(any(larder_loom, larder_shuttle)) {
    0
} else {
    64
};

/// A writer's stay inside a gate.
pub(crate) struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
        self.0.leave();
    }
}
