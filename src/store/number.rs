//! Numbers: the order of writes and loads of a key.

use crossbeam_utils::CachePadded;

use crate::sync::{Mutex, atomic::AtomicU64, fault, order};

/// The bucket's sequence, and which loads that drew from it are still under way.
///
/// Every write draws a number inside its gate, every load before it asks its loader. Of two changes of
/// a key the higher number stands.
#[derive(Debug)]
pub(crate) struct Numbers {
    // Apart from everything else: each write changes it.
    next: CachePadded<AtomicU64>,
    /// Numbers of the loads under way. A handful: one a loader thread and one a call-time load.
    live: Mutex<Vec<u64>>,
}

impl Numbers {
    pub(crate) fn new() -> Self {
        // From 1, so that 0 can stand for "none yet".
        Self {
            next: CachePadded::new(AtomicU64::new(1)),
            live: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        self.next.fetch_add(1, order::number())
    }

    /// The number of a load that begins now.
    ///
    /// Drawing and registering is one step for the folder, which takes the same lock to look: a load
    /// that it does not find draws later, and so higher, than every write that it folds.
    pub(crate) fn begin_load(&self) -> LiveLoad<'_> {
        if fault::planted("load_not_registered") {
            return LiveLoad {
                numbers: self,
                number: self.draw(),
            };
        }
        let mut live = self.live.lock();
        let number = self.draw();
        live.push(number);
        LiveLoad {
            numbers: self,
            number,
        }
    }

    /// Draws a number for `publish`, while no load can begin: each load has a lower number, or begins
    /// after the publication.
    pub(crate) fn draw_between_loads<R>(&self, publish: impl FnOnce(u64) -> R) -> R {
        if fault::planted("loads_begin_meanwhile") {
            return publish(self.draw());
        }
        let _live = self.live.lock();
        publish(self.draw())
    }

    /// The lowest number of the loads under way.
    pub(crate) fn lowest_live(&self) -> Option<u64> {
        self.live.lock().iter().copied().min()
    }
}

/// A load under way; ends when dropped.
#[derive(Debug)]
pub(crate) struct LiveLoad<'a> {
    numbers: &'a Numbers,
    number: u64,
}

impl LiveLoad<'_> {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for LiveLoad<'_> {
    fn drop(&mut self) {
        let mut live = self.numbers.live.lock();
        if let Some(at) = live.iter().position(|&number| number == self.number) {
            live.swap_remove(at);
        }
    }
}
