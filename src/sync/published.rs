//! The publication cell: what readers read, and handles that know when it has changed.

use std::ops::Deref;

use crossbeam_utils::CachePadded;

use super::atomic::AtomicU64;
use super::{Arc, fault, order, world};

/// The owner of the published pointer.
pub(crate) struct Cell<T>(Arc<Shared<T>>);

struct Shared<T> {
    pointer: world::Cell<T>,
    /// Publications that have begun. A handle compares this with what it has seen, and nothing else.
    begun: CachePadded<AtomicU64>,
    /// Publications after which every load finds what they published.
    ended: AtomicU64,
}

impl<T> Cell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Arc::new(Shared {
            pointer: world::Cell::new(value),
            begun: CachePadded::new(AtomicU64::new(0)),
            ended: AtomicU64::new(0),
        }))
    }

    /// The published value, borrowed. Wait-free; writes nothing that another thread reads.
    #[inline]
    pub(crate) fn load(&self) -> impl Deref<Target = Arc<T>> {
        self.0.pointer.load()
    }

    /// The published value, owned.
    pub(crate) fn load_full(&self) -> Arc<T> {
        self.0.pointer.load_full()
    }

    /// Publishes `value` and returns what it replaces. Afterwards no load returns the old value, and
    /// the count of the returned `Arc` includes everybody who still reads it.
    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let late = fault::planted("told_after_the_swap");
        // Before the swap: whoever has seen the new value, or was told of it by somebody who has, sees
        // this as well, and does not trust its handle.
        if !late {
            self.0.begun.fetch_add(1, order::COUNT);
        }
        let old = self.0.pointer.swap(value);
        if late {
            self.0.begun.fetch_add(1, order::COUNT);
        }
        self.0.ended.fetch_add(1, order::swap_ended());
        old
    }

    pub(crate) fn reader(&self) -> CellReader<T> {
        let mut reader = CellReader {
            shared: Arc::clone(&self.0),
            seen: 0,
            value: self.load_full(),
        };
        reader.look();
        reader
    }
}

/// A handle that keeps what it loaded last, and loads again when something else may be published.
pub(crate) struct CellReader<T> {
    shared: Arc<Shared<T>>,
    /// As many publications had begun, and all of them ended, before `value` was loaded; or [`NONE`].
    seen: u64,
    value: Arc<T>,
}

/// No number of publications: a handle that has seen these looks each time.
const NONE: u64 = u64::MAX;

impl<T> CellReader<T> {
    /// What is published. One relaxed load and a comparison as long as nothing else is.
    #[inline(always)]
    pub(crate) fn load(&mut self) -> &Arc<T> {
        if self.shared.begun.load(order::SWAP_BEGUN) != self.seen {
            self.look();
        }
        &self.value
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self) {
        if fault::planted("reader_keeps_its_view") {
            return;
        }
        // In this order: if as many have begun, later, as have ended, then none is under way.
        let ended = self.shared.ended.load(order::swap_look());
        let begun = self.shared.begun.load(order::SWAP_BEGUN);
        let quiet = begun == ended || fault::planted("trusts_a_swap_under_way");
        self.value = self.shared.pointer.load_full();
        self.seen = if quiet { begun } else { NONE };
    }
}

impl<T> Clone for CellReader<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
            value: Arc::clone(&self.value),
        }
    }
}
