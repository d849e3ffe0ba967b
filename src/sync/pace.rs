//! Checkpoints in long loops, where a thread that is *paced* may rest.
//!
//! Who paces is the thread's own affair, and so is what it does at a checkpoint. It is not handed down as an argument,
//! because tables and overlays are also left behind in a `Drop`, which takes none. On all other threads, which are most, a
//! checkpoint is a look at a flag.
//!
//! A checkpoint may be where code of the user's may run, and nowhere else: nothing is held there.

/// So many turns of a loop are not worth a look at a clock: some microseconds.
pub(crate) const EVERY: usize = 128;

/// As much memory is filled between two checkpoints, some twenty microseconds if its pages are fresh.
const BYTES: usize = 64 << 10;

/// What a thread does at a checkpoint.
#[cfg_attr(
    any(larder_loom, larder_shuttle),
    allow(dead_code, reason = "nobody rests in a model")
)]
pub(crate) trait Pace {
    fn checkpoint(&self);
}

#[cfg(not(any(larder_loom, larder_shuttle)))]
mod own {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::Pace;

    std::thread_local! {
        /// Apart, as it has no destructor: this can be asked on any thread until its very end.
        static IS_PACED: Cell<bool> = const { Cell::new(false) };
        static PACE: RefCell<Option<Rc<dyn Pace>>> = const { RefCell::new(None) };
    }

    /// Here the thread may rest, if it is paced.
    #[inline]
    pub(crate) fn checkpoint() {
        if IS_PACED.get() {
            ask();
        }
    }

    #[cold]
    #[inline(never)]
    fn ask() {
        let pace = PACE.try_with(|pace| pace.borrow().clone());
        if let Ok(Some(pace)) = pace {
            pace.checkpoint();
        }
    }

    /// Does something on this thread at a pace.
    pub(crate) fn paced<R>(pace: Rc<dyn Pace>, work: impl FnOnce() -> R) -> R {
        let _before = Before(PACE.replace(Some(pace)), IS_PACED.replace(true));
        work()
    }

    /// As it was, also where something unwinds.
    struct Before(Option<Rc<dyn Pace>>, bool);

    impl Drop for Before {
        fn drop(&mut self) {
            IS_PACED.set(self.1);
            drop(PACE.replace(self.0.take()));
        }
    }
}

/// Nothing that a model could see.
#[cfg(any(larder_loom, larder_shuttle))]
mod own {
    pub(crate) fn checkpoint() {}

    pub(crate) fn paced<R>(_: std::rc::Rc<dyn super::Pace>, work: impl FnOnce() -> R) -> R {
        work()
    }
}

pub(crate) use own::{checkpoint, paced};

/// Counts the turns of a loop, the first of which has a checkpoint, and then one in [`EVERY`].
#[derive(Clone, Default)]
pub(crate) struct Turns(usize);

impl Turns {
    #[inline(always)]
    pub(crate) fn turn(&mut self) {
        if self.0 == 0 {
            checkpoint();
            self.0 = EVERY;
        }
        self.0 -= 1;
    }
}

/// The same things, with checkpoints among them.
#[inline]
pub(crate) fn each<I: IntoIterator>(things: I) -> Each<I::IntoIter> {
    Each {
        things: things.into_iter(),
        turns: Turns::default(),
    }
}

#[derive(Clone)]
pub(crate) struct Each<I> {
    things: I,
    turns: Turns,
}

impl<I: Iterator> Iterator for Each<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        self.turns.turn();
        self.things.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.things.size_hint()
    }

    #[inline]
    fn fold<B, F: FnMut(B, I::Item) -> B>(mut self, init: B, mut f: F) -> B {
        self.things.fold(init, |folded, thing| {
            self.turns.turn();
            f(folded, thing)
        })
    }
}

/// Adds all things to a vector; between checkpoints as fast as it can be.
pub(crate) fn extend<T>(to: &mut Vec<T>, things: impl IntoIterator<Item = T>) {
    let mut things = things.into_iter();
    to.reserve(things.size_hint().0);
    loop {
        checkpoint();
        let before = to.len();
        to.extend(things.by_ref().take(EVERY));
        if to.len() < before + EVERY {
            return;
        }
    }
}

/// A vector of all things.
pub(crate) fn collect<T>(things: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    extend(&mut all, things);
    all
}

/// Makes a vector so long, of what `make` makes.
pub(crate) fn resize<T>(to: &mut Vec<T>, len: usize, mut make: impl FnMut() -> T) {
    let step = (BYTES / size_of::<T>().max(1)).max(1);
    while to.len() < len {
        checkpoint();
        let next = len.min(to.len().saturating_add(step));
        to.resize_with(next, &mut make);
    }
}

/// So many things.
pub(crate) fn filled<T>(count: usize, make: impl FnMut() -> T) -> Box<[T]> {
    let mut all = Vec::with_capacity(count);
    resize(&mut all, count, make);
    all.into()
}
