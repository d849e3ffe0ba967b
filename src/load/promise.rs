//! A promise: one answer, for any number of waiters.

use std::task::Waker;
use std::time::Duration;

use crate::clock::Clock;
use crate::contain::contained;
use crate::sync::{Mutex, Parker, Slot, atomic::AtomicBool, fault, order};

/// Answered once, seen by all who wait.
///
/// A waiter is a [`Waker`]: a parked thread's or a task's.
pub(crate) struct Promise<T> {
    /// As the waiters' lock has it, for those who look without it.
    answered: AtomicBool,
    answer: Slot<T>,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    answered: bool,
    waiting: Vec<(u64, Waker)>,
    tickets: u64,
}

/// Those who waited for an answer that has come.
pub(crate) struct Woken(Vec<(u64, Waker)>);

impl Drop for Woken {
    fn drop(&mut self) {
        // Outside the lock, and contained: a task's waker is foreign code.
        for (_, waiter) in self.0.drain(..) {
            let _ = contained(move || waiter.wake());
        }
    }
}

/// Names a waiter, so that it can withdraw.
#[derive(Debug)]
pub(crate) struct Waiting(u64);

impl<T> Promise<T> {
    pub(crate) fn new() -> Self {
        Self {
            answered: AtomicBool::new(false),
            answer: Slot::new(),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// Answers, unless that has been done. Wakes everybody who waits.
    pub(crate) fn answer(&self, answer: T) -> bool {
        self.answer_and(answer, || ())
    }

    /// The same. If this answer stands, `first` has been run before anybody can know of it; under the
    /// lock, so it is never a user's code.
    pub(crate) fn answer_and(&self, answer: T, first: impl FnOnce()) -> bool {
        self.put(answer, first).is_ok()
    }

    /// The same, where no code of the user's may run: those who wait are woken when what is returned is dropped, and
    /// an answer that came too late is given back.
    pub(crate) fn put(&self, answer: T, first: impl FnOnce()) -> Result<Woken, T> {
        let mut waiters = self.waiters.lock();
        if waiters.answered && !fault::planted("answers_twice") {
            return Err(answer);
        }
        first();
        waiters.answered = true;
        self.answer.set(answer);
        self.answered.store(true, order::promise_answer());
        Ok(Woken(std::mem::take(&mut waiters.waiting)))
    }

    pub(crate) fn peek(&self) -> Option<&T> {
        if self.is_answered() {
            self.answer.get()
        } else {
            None
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(order::promise_look())
    }

    /// The answer, or a place among those who are woken when it comes.
    ///
    /// One step with [`answer`](Self::answer): whoever is not answered here is woken there.
    pub(crate) fn subscribe(&self, waker: impl FnOnce() -> Waker) -> Result<&T, Waiting> {
        let mut waiters = self.waiters.lock();
        if waiters.answered
            && let Some(answer) = self.answer.get()
        {
            return Ok(answer);
        }
        if fault::planted("subscribes_unlocked") {
            drop(waiters);
            waiters = self.waiters.lock();
        }
        waiters.tickets += 1;
        let ticket = waiters.tickets;
        waiters.waiting.push((ticket, waker()));
        Err(Waiting(ticket))
    }

    /// Gives the place up again, so that who waits in vain leaves nothing behind.
    pub(crate) fn withdraw(&self, waiting: &Waiting) {
        let mut waiters = self.waiters.lock();
        waiters.waiting.retain(|(ticket, _)| *ticket != waiting.0);
    }

    /// Waits for the answer on this thread, until `deadline`.
    pub(crate) fn wait(&self, clock: &Clock, deadline: Duration) -> Option<&T> {
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

    /// Takes the answer out.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.answer.take()
    }

    #[cfg(all(test, larder_loom))]
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.lock().waiting.len()
    }
}
