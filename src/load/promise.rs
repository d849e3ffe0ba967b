//! A promise: one answer, for any number of waiters.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::Clock;
use crate::contain::{contained, drop_contained};
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
    /// In the order of their tickets.
    waiting: Vec<(u64, Waker)>,
    tickets: u64,
}

impl Waiters {
    fn add(&mut self, waker: Waker) -> Waiting {
        self.tickets += 1;
        self.waiting.push((self.tickets, waker));
        Waiting(self.tickets)
    }

    /// Where somebody stands; nowhere once the answer has come.
    fn find(&self, waiting: &Waiting) -> Option<usize> {
        let found = self
            .waiting
            .binary_search_by_key(&waiting.0, |(ticket, _)| *ticket);
        found.ok()
    }
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

    /// The answer, or a place among those who are woken when it comes. `waker` is ours, and no task's.
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
        Err(waiters.add(waker()))
    }

    /// The same for a task, again and again: it is the task of the last call that is woken. `place` is empty at first.
    ///
    /// A task's waker is foreign code, so it is cloned before the lock is taken, and dropped after it.
    pub(crate) fn poll(&self, place: &mut Option<Waiting>, task: &Waker) -> Poll<&T> {
        if let Some(answer) = self.peek() {
            return Poll::Ready(answer);
        }
        if let Some(waiting) = place
            && self.wakes(waiting, task)
        {
            return Poll::Pending;
        }
        let waker = task.clone();
        let (stands, unused) = {
            let mut waiters = self.waiters.lock();
            if waiters.answered && !fault::planted("polls_without_a_second_look") {
                (false, Some(waker))
            } else if let Some(at) = place.as_ref().and_then(|waiting| waiters.find(waiting)) {
                let before = std::mem::replace(&mut waiters.waiting[at].1, waker);
                (true, Some(before))
            } else {
                *place = Some(waiters.add(waker));
                (true, None)
            }
        };
        drop_contained(unused);
        match self.peek() {
            Some(answer) if !stands => Poll::Ready(answer),
            _ => Poll::Pending,
        }
    }

    /// Whether it is this task that is woken, as it was at the last call.
    fn wakes(&self, waiting: &Waiting, task: &Waker) -> bool {
        let waiters = self.waiters.lock();
        let at = waiters.find(waiting);
        at.is_some_and(|at| {
            waiters.waiting[at].1.will_wake(task) || fault::planted("wakes_the_first_task")
        })
    }

    /// The answer, for a task to wait for.
    pub(crate) fn answered(&self) -> Answered<'_, T> {
        Answered {
            promise: self,
            place: None,
        }
    }

    /// Gives the place up again, so that who waits in vain leaves nothing behind.
    pub(crate) fn withdraw(&self, waiting: &Waiting) {
        let gone = {
            let mut waiters = self.waiters.lock();
            waiters.find(waiting).map(|at| waiters.waiting.remove(at))
        };
        drop_contained(gone);
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

/// A task's wait for an answer. Dropped before that, it leaves nothing behind.
pub(crate) struct Answered<'p, T> {
    promise: &'p Promise<T>,
    place: Option<Waiting>,
}

impl<'p, T> Future for Answered<'p, T> {
    type Output = &'p T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<&'p T> {
        let promise = self.promise;
        promise.poll(&mut self.place, task.waker())
    }
}

impl<T> Drop for Answered<'_, T> {
    fn drop(&mut self) {
        if let Some(waiting) = &self.place
            && !fault::planted("dropped_task_stays")
        {
            self.promise.withdraw(waiting);
        }
    }
}
