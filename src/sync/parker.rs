//! The one way to wait.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use super::world::Condvar;
use super::{Mutex, fault};
use crate::clock::Clock;

/// What a thread of ours, or a waiting caller, sleeps on.
///
/// A wake-up is sticky: one that comes before [`Parker::park`] makes it return at once. So "look at
/// the state, then park" never loses a wake-up, whatever happens between the two. A parker is a
/// [`Waker`], which is how everything that can be waited for sees it: a task's waker fits as well.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::new(false),
            condvar: Condvar::new(),
        })
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Waits until woken, or until the clock reads `deadline`. May also return early: callers look
    /// at their state again in a loop.
    pub(crate) fn park(self: &Arc<Self>, clock: &Clock, deadline: Option<Duration>) {
        if let Some(deadline) = deadline {
            if fault::planted("looks_at_the_time_first") && clock.now() >= deadline {
                return;
            }
            // Registered before the look at the time, so an advance between the two is not missed.
            clock.wake_on_advance(|| self.waker());
            if clock.now() >= deadline && !fault::planted("looks_at_the_time_first") {
                return;
            }
        }
        let mut woken = self.woken.lock();
        if fault::planted("wake_up_not_sticky") {
            *woken = false;
        }
        while !*woken {
            woken = match deadline.and_then(|deadline| clock.real_time_until(deadline)) {
                Some(rest) => {
                    let (guard, timeout) = match self.condvar.wait_timeout(woken, rest) {
                        Ok(pair) => pair,
                        Err(poisoned) => poisoned.into_inner(),
                    };
                    if timeout.timed_out() {
                        woken = guard;
                        break;
                    }
                    guard
                }
                None => self
                    .condvar
                    .wait(woken)
                    .unwrap_or_else(|poison| poison.into_inner()),
            };
        }
        *woken = false;
    }

    /// Waits until woken, for what comes in bounded time by itself.
    pub(crate) fn park_forever(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            woken = self
                .condvar
                .wait(woken)
                .unwrap_or_else(|poison| poison.into_inner());
        }
        *woken = false;
    }

    /// Wakes whoever parks here, now or next.
    pub(crate) fn unpark(&self) {
        *self.woken.lock() = true;
        self.condvar.notify_one();
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}
