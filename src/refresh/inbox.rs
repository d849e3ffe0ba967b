//! What is asked of a thread that writes what is cached elsewhere, to a file or a storage.

use crate::load::Promise;
use crate::sync::{Arc, Mutex, Parker};

/// Who has asked, and whether the end has come. Whoever leaves something here wakes the thread.
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    bell: Arc<Parker>,
}

struct State<T> {
    asked: Vec<Arc<Promise<T>>>,
    stop: bool,
    /// The thread's body runs, and will end the refresher.
    running: bool,
}

impl<T: Clone> Inbox<T> {
    /// For a thread that sleeps on `bell`.
    pub(super) fn new(bell: Arc<Parker>) -> Self {
        let state = State {
            asked: Vec::new(),
            stop: false,
            running: false,
        };
        Self {
            state: Mutex::new(state),
            bell,
        }
    }

    /// What the thread sleeps on.
    pub(super) fn bell(&self) -> &Arc<Parker> {
        &self.bell
    }

    /// Asks for what is to be answered; `None` after the end.
    pub(super) fn ask(&self) -> Option<Arc<Promise<T>>> {
        let reply = {
            let mut state = self.state.lock();
            (!state.stop).then(|| {
                let reply = Arc::new(Promise::new());
                state.asked.push(Arc::clone(&reply));
                reply
            })
        };
        self.bell.unpark();
        reply
    }

    /// To be called before the thread is started that works.
    pub(super) fn will_run(&self, yes: bool) {
        self.state.lock().running = yes;
    }

    /// Nothing is asked any more. Returns whether there is a thread to do what is to be done at the end.
    pub(super) fn stop(&self) -> bool {
        let running = {
            let mut state = self.state.lock();
            state.stop = true;
            state.running
        };
        self.bell.unpark();
        running
    }

    /// What was asked, and whether the end has come.
    pub(super) fn take(&self) -> (Vec<Arc<Promise<T>>>, bool) {
        let mut state = self.state.lock();
        (std::mem::take(&mut state.asked), state.stop)
    }
}
