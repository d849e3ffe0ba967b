//! A promise: one answer, for any number of waiters.

use std::task::Waker;
use std::time::Duration;

use crate::clock::Clock;
use crate::contain::contained;
use crate::sync::{Mutex, Parker, fault};

/// Answered once, seen by all who wait. Clones of the answer are cheap and never a user's code.
///
/// A waiter is a [`Waker`]: a parked thread's or a task's.
#[derive(Debug)]
pub(crate) struct Promise<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    answer: Option<T>,
    waiters: Vec<(u64, Waker)>,
    tickets: u64,
}

/// Names a waiter, so that it can withdraw.
#[derive(Debug)]
pub(crate) struct Waiting(u64);

impl<T: Clone> Promise<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            answer: None,
            waiters: Vec::new(),
            tickets: 0,
        }))
    }

    /// Answers, unless that has been done. Wakes everybody who waits.
    pub(crate) fn answer(&self, answer: T) -> bool {
        self.answer_and(answer, || ())
    }

    /// The same. If this answer stands, `first` has been run before anybody can know of it; under the
    /// lock, so it is never a user's code.
    pub(crate) fn answer_and(&self, answer: T, first: impl FnOnce()) -> bool {
        let waiters = {
            let mut state = self.0.lock();
            if state.answer.is_some() && !fault::planted("answers_twice") {
                return false;
            }
            first();
            state.answer = Some(answer);
            std::mem::take(&mut state.waiters)
        };
        // Outside the lock, and contained: a task's waker is foreign code.
        for (_, waiter) in waiters {
            let _ = contained(move || waiter.wake());
        }
        true
    }

    pub(crate) fn peek(&self) -> Option<T> {
        self.0.lock().answer.clone()
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.0.lock().answer.is_some()
    }

    /// The answer, or a place among those who are woken when it comes.
    ///
    /// One step with [`answer`](Self::answer): whoever is not answered here is woken there.
    pub(crate) fn subscribe(&self, waker: impl FnOnce() -> Waker) -> Result<T, Waiting> {
        let mut state = self.0.lock();
        if let Some(answer) = &state.answer {
            return Ok(answer.clone());
        }
        if fault::planted("subscribes_unlocked") {
            drop(state);
            state = self.0.lock();
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state.waiters.push((ticket, waker()));
        Err(Waiting(ticket))
    }

    /// Gives the place up again, so that who waits in vain leaves nothing behind.
    pub(crate) fn withdraw(&self, waiting: &Waiting) {
        let mut state = self.0.lock();
        state.waiters.retain(|(ticket, _)| *ticket != waiting.0);
    }

    /// Waits for the answer on this thread, until `deadline`.
    pub(crate) fn wait(&self, clock: &Clock, deadline: Duration) -> Option<T> {
        if let Some(answer) = self.peek() {
            return Some(answer);
        }
        let parker = Parker::new();
        let waiting = match self.subscribe(|| parker.waker()) {
            Ok(answer) => return Some(answer),
            Err(waiting) => waiting,
        };
        loop {
            if let Some(answer) = self.peek() {
                return Some(answer);
            }
            if clock.now() >= deadline {
                if !fault::planted("waiter_stays") {
                    self.withdraw(&waiting);
                }
                // The answer may have come between the two looks; it wins.
                return self.peek();
            }
            parker.park(clock, Some(deadline));
        }
    }

    #[cfg(all(test, larder_loom))]
    pub(crate) fn waiters(&self) -> usize {
        self.0.lock().waiters.len()
    }
}
