//! Models of the promise: whoever subscribes is answered or woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize as Unseen, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use super::load_kit::LONG;
use super::support::run_model;
use crate::ManualClock;
use crate::load::{Answered, Promise};
use crate::sync::{Arc, thread};

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(Unseen);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Task {
    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    fn woken(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// One poll by this task.
    fn poll(self: &Arc<Self>, waits: &mut Answered<'_, i32>) -> Option<i32> {
        let waker = self.waker();
        match Pin::new(waits).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => Some(*answer),
            Poll::Pending => None,
        }
    }
}

/// A task subscribes while the answer comes.
#[test]
fn promise_subscribe_against_answer() {
    run_model("promise_subscribe_against_answer", 3, || {
        let promise = Arc::new(Promise::new());
        let task = Arc::new(Task::default());
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let place = promise.subscribe(|| task.waker());
        assert!(answering.join().unwrap());
        match place {
            Ok(answer) => assert_eq!((answer, task.woken()), (&5, 0)),
            Err(_) => assert_eq!(task.woken(), 1),
        }
        assert_eq!(promise.peek(), Some(&5));
        assert_eq!(promise.waiters(), 0);
    });
}

/// A future that moves from one task to another, as the answer comes: the task that polled last is the
/// one that is woken.
#[test]
fn promise_a_change_of_tasks_loses_no_wake_up() {
    run_model("promise_a_change_of_tasks_loses_no_wake_up", 7, || {
        let promise = Arc::new(Promise::new());
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let mut last = None;
        for task in &tasks {
            if let Some(place) = last.take() {
                promise.withdraw(&place);
            }
            last = promise.subscribe(|| task.waker()).err();
        }
        assert!(answering.join().unwrap());
        if last.is_some() {
            assert_eq!(tasks[1].woken(), 1);
            assert_eq!(tasks[0].woken(), 0);
        }
        assert_eq!(promise.waiters(), 0);
    });
}

/// Two answers: one stands, and both waiters see that one.
#[test]
fn promise_is_answered_once() {
    run_model("promise_is_answered_once", 110, || {
        let promise = Arc::new(Promise::new());
        let answering = [1, 2].map(|answer| {
            let promise = Arc::clone(&promise);
            thread::spawn(move || promise.answer(answer))
        });
        let time = ManualClock::new();
        let first = promise.wait(&time.clock(), LONG);
        let [one, two] = answering.map(|answering| answering.join().unwrap());
        assert!(one != two);
        assert_eq!(first, Some(if one { &1 } else { &2 }));
        assert_eq!(promise.peek(), first);
        assert_eq!(promise.waiters(), 0);
    });
}

/// A task polls while the answer comes: it has it, or is woken for it, once.
#[test]
fn promise_poll_against_answer() {
    run_model("promise_poll_against_answer", 15, || {
        let promise = Arc::new(Promise::new());
        let task = Arc::new(Task::default());
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let mut waits = promise.answered();
        let polled = task.poll(&mut waits);
        assert!(answering.join().unwrap());
        match polled {
            Some(answer) => assert_eq!(answer, 5),
            None => assert_eq!(task.woken(), 1),
        }
        assert_eq!(task.poll(&mut waits), Some(5));
        drop(waits);
        assert_eq!(promise.waiters(), 0);
    });
}

/// The same, where it polls once more before it is woken.
#[test]
fn promise_polls_for_no_reason() {
    run_model("promise_polls_for_no_reason", 25, || {
        let promise = Arc::new(Promise::new());
        let task = Arc::new(Task::default());
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let mut waits = promise.answered();
        let polled = task.poll(&mut waits).or_else(|| task.poll(&mut waits));
        assert!(answering.join().unwrap());
        match polled {
            Some(answer) => assert_eq!(answer, 5),
            None => assert_eq!(task.woken(), 1),
        }
        assert_eq!(task.poll(&mut waits), Some(5));
        drop(waits);
        assert_eq!(promise.waiters(), 0);
    });
}

/// What waits is moved from one task to another while the answer comes: the one that polled last is woken, and alone.
#[test]
fn promise_polled_by_another_task() {
    run_model("promise_polled_by_another_task", 30, || {
        let promise = Arc::new(Promise::new());
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let mut waits = promise.answered();
        let polled = tasks.each_ref().map(|task| task.poll(&mut waits));
        assert!(answering.join().unwrap());
        if polled[1].is_none() {
            assert_eq!(tasks.each_ref().map(|task| task.woken()), [0, 1]);
        }
        assert_eq!(tasks[1].poll(&mut waits), Some(5));
        drop(waits);
        assert_eq!(promise.waiters(), 0);
    });
}

/// Of two tasks that wait one goes away while the answer comes: it leaves nothing behind, and the other is woken.
#[test]
fn promise_a_task_goes_away() {
    run_model("promise_a_task_goes_away", 5, || {
        let promise = Arc::new(Promise::new());
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let mut waits = [promise.answered(), promise.answered()];
        for (task, waits) in tasks.iter().zip(&mut waits) {
            assert_eq!(task.poll(waits), None);
        }
        let answering = Arc::clone(&promise);
        let answering = thread::spawn(move || answering.answer(5));
        let [gone, mut stays] = waits;
        drop(gone);
        // The answer takes all that wait at once; without it there is one left.
        let waiters = promise.waiters();
        assert!(waiters == 1 || waiters == 0 && promise.is_answered());
        assert!(answering.join().unwrap());
        assert_eq!(tasks[1].woken(), 1);
        assert_eq!(tasks[1].poll(&mut stays), Some(5));
        assert_eq!(promise.waiters(), 0);
    });
}
