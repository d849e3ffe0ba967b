//! The publication cell: what readers read, and handles that know when it has changed.

use std::ops::Deref;

use crossbeam_utils::CachePadded;

use super::atomic::AtomicU64;
use super::slots::{PerThread, Place, Stopped};
use super::{Arc, fault, order, world};

/// The owner of the published pointer.
pub(crate) struct Cell<T: Send + Sync + 'static>(Arc<Shared<T>>);

struct Shared<T: Send + Sync + 'static> {
    pointer: world::Cell<T>,
    /// Publications that have begun. Who keeps a value compares this with what it has seen, and nothing
    /// else.
    begun: CachePadded<AtomicU64>,
    /// Publications after which every load finds what they published.
    ended: AtomicU64,
    /// What each thread keeps that reads without a handle.
    kept: PerThread<T>,
}

impl<T: Send + Sync + 'static> Cell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Arc::new(Shared {
            pointer: world::Cell::new(value),
            begun: CachePadded::new(AtomicU64::new(0)),
            ended: AtomicU64::new(0),
            kept: PerThread::new(),
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

    /// What to [`read`](Place::read) by, for next to nothing, what each thread keeps of this cell.
    pub(crate) fn place(&self) -> Place<T> {
        self.0.kept.place()
    }

    /// Reads the published value where [`read`](Place::read) has stopped, and keeps it for the thread's next reads.
    /// Wait-free.
    #[inline(always)]
    pub(crate) fn read_on<R>(
        &self,
        place: &Place<T>,
        stopped: Stopped<'_>,
        act: impl FnOnce(&T) -> R,
    ) -> R {
        match place.keep(stopped, || self.0.pointer.load_full()) {
            Some(kept) => act(&kept),
            None => act(&self.0.pointer.load()),
        }
    }

    /// Frees what was taken from threads and they do not read any more, as far as the cell holds it.
    pub(crate) fn let_go(&self) {
        self.0.kept.let_go();
    }

    /// Takes from threads what they keep, for them to load it anew.
    pub(crate) fn take_back(&self) {
        self.0.kept.publish(|| ());
    }

    /// Publishes `value` and returns what it replaces. Afterwards no load returns the old value, and
    /// the count of the returned `Arc` includes everybody who still reads it.
    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        self.0.kept.publish(|| {
            let late = fault::planted("told_after_the_swap");
            // Before the swap: whoever has seen the new value, or was told of it by somebody who has, sees
            // this as well, and does not trust what it keeps.
            if !late {
                self.0.begun.fetch_add(1, order::COUNT);
            }
            let old = self.0.pointer.swap(value);
            if late {
                self.0.begun.fetch_add(1, order::COUNT);
            }
            self.0.ended.fetch_add(1, order::swap_ended());
            old
        })
    }

    pub(crate) fn reader(&self) -> CellReader<T>
    where
        T: Fronted,
    {
        CellReader {
            kept: Kept::new(&self.0),
            shared: Arc::clone(&self.0),
        }
    }
}

/// A value of which most reads want a few parts.
pub(crate) trait Fronted {
    type Front: Clone + Send + Sync + 'static;

    /// Always the same.
    fn front(&self) -> Self::Front;
}

/// What was loaded last, and what was known then.
struct Kept<T: Fronted> {
    /// As many publications had begun, and all of them ended, before `value` was loaded; or [`NONE`].
    seen: u64,
    value: Arc<T>,
    /// Its own, here as well: then a read does not go through the value to find it.
    front: T::Front,
}

/// No number of publications: who has seen these looks each time.
const NONE: u64 = u64::MAX;

impl<T: Fronted + Send + Sync + 'static> Kept<T> {
    #[cold]
    #[inline(never)]
    fn new(shared: &Shared<T>) -> Self {
        let (seen, value) = shared.look();
        let front = value.front();
        Self { seen, value, front }
    }

    /// Loads again if something may have been published. One relaxed load and a comparison as long as nothing is.
    #[inline(always)]
    fn renew(&mut self, shared: &Shared<T>) {
        if shared.begun.load(order::SWAP_BEGUN) != self.seen {
            self.look(shared);
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self, shared: &Shared<T>) {
        if !fault::planted("reader_keeps_its_view") {
            *self = Self::new(shared);
        }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// What is published, and as how many publications.
    fn look(&self) -> (u64, Arc<T>) {
        // In this order: if as many have begun, later, as have ended, then none is under way.
        let ended = self.ended.load(order::swap_look());
        let begun = self.begun.load(order::SWAP_BEGUN);
        let quiet = begun == ended || fault::planted("trusts_a_swap_under_way");
        let value = self.pointer.load_full();
        (if quiet { begun } else { NONE }, value)
    }
}

/// A handle that keeps what it loaded last, and loads again when something else may be published.
pub(crate) struct CellReader<T: Fronted + Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    kept: Kept<T>,
}

impl<T: Fronted + Send + Sync + 'static> CellReader<T> {
    /// What is published. One relaxed load and a comparison as long as nothing else is.
    #[inline(always)]
    pub(crate) fn load(&mut self) -> &Arc<T> {
        self.kept.renew(&self.shared);
        &self.kept.value
    }

    /// The front of what is published, and that itself for who asks.
    #[inline(always)]
    pub(crate) fn load_front<'a>(&'a mut self) -> (&'a T::Front, impl FnOnce() -> &'a Arc<T>) {
        self.kept.renew(&self.shared);
        let kept = &self.kept;
        (&kept.front, move || &kept.value)
    }
}

impl<T: Fronted + Send + Sync + 'static> Clone for CellReader<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            kept: Kept {
                seen: self.kept.seen,
                value: Arc::clone(&self.kept.value),
                front: self.kept.front.clone(),
            },
        }
    }
}
