//! The refresher's work in slices, with rests in between, where that was asked for. DESIGN.md, "Slices".

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Clock;
use crate::load::Promise;
use crate::store::inside_a_write;
use crate::sync::Arc;
use crate::sync::pace::{Pace, paced};

/// How long is worked and rested, and the end of all rests. One for a bucket; each of its threads that is paced has a
/// [`Slice`] of its own under way.
pub(crate) struct Slices {
    work: Duration,
    rest: Duration,
    timer: Box<dyn Timer>,
    /// Answered where the bucket ends: nobody rests any more.
    over: Promise<()>,
}

/// By what it is told how long was worked, and who rests is woken.
#[cfg_attr(
    any(larder_loom, larder_shuttle),
    allow(dead_code, reason = "nobody rests in a model")
)]
pub(crate) trait Timer: Send + Sync {
    fn now(&self) -> Duration;

    /// Rests for so long, or until the answer comes.
    fn rest(&self, time: Duration, over: &Promise<()>);
}

impl Timer for Clock {
    fn now(&self) -> Duration {
        Self::now(self)
    }

    fn rest(&self, time: Duration, over: &Promise<()>) {
        let _ = over.wait(self, Self::now(self).saturating_add(time));
    }
}

impl Slices {
    /// By real time, whatever the bucket's clock says: what is shared out is the processor's.
    pub(crate) fn new(work: Duration, rest: Duration) -> Self {
        Self::by(Clock::system(), work, rest)
    }

    pub(crate) fn by(timer: impl Timer + 'static, work: Duration, rest: Duration) -> Self {
        Self {
            work,
            rest,
            timer: Box::new(timer),
            over: Promise::new(),
        }
    }

    /// How long is worked, and rested.
    pub(crate) fn times(&self) -> (Duration, Duration) {
        (self.work, self.rest)
    }

    /// Nobody rests any more, also who does now.
    pub(crate) fn end(&self) {
        self.over.answer(());
    }
}

/// Does something on this thread, in slices if there are such. What was done before does not count for the first.
pub(crate) fn in_slices<R>(slices: Option<&Arc<Slices>>, work: impl FnOnce() -> R) -> R {
    let Some(slices) = slices else {
        return work();
    };
    let slice = Slice {
        since: Cell::new(slices.timer.now()),
        slices: Arc::clone(slices),
    };
    paced(Rc::new(slice), work)
}

/// A thread's slice.
#[cfg_attr(
    any(larder_loom, larder_shuttle),
    allow(dead_code, reason = "nobody rests in a model")
)]
struct Slice {
    slices: Arc<Slices>,
    /// When it began.
    since: Cell<Duration>,
}

impl Pace for Slice {
    fn checkpoint(&self) {
        let Slices {
            work,
            rest,
            timer,
            over,
        } = &*self.slices;
        if over.is_answered() {
            return;
        }
        let worked = timer.now().saturating_sub(self.since.get());
        // Nobody is to wait at a gate for who rests in it.
        if worked < *work || inside_a_write() {
            return;
        }
        timer.rest(*rest, over);
        self.since.set(timer.now());
    }
}
