//! The threads of a bucket: named, counted, and ended in bounded time.

use std::time::Duration;

use crate::clock::Clock;
use crate::error::BuildError;
use crate::load::Promise;
use crate::sync::{Arc, Mutex, thread};

/// The threads that one bucket has started.
pub(super) struct Threads {
    name: String,
    state: Arc<Mutex<State>>,
    /// Answered by the last thread out, once no more will start.
    ended: Arc<Promise<()>>,
}

#[derive(Default)]
struct State {
    running: Vec<thread::ThreadId>,
    first: Option<thread::ThreadId>,
    handles: Vec<thread::JoinHandle<()>>,
    closing: bool,
}

impl Threads {
    pub(super) fn new(bucket: &str) -> Self {
        Self {
            name: bucket.to_owned(),
            state: Arc::new(Mutex::new(State::default())),
            ended: Arc::new(Promise::new()),
        }
    }

    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// What the system says when it has no thread to give.
    pub(super) fn spawn(
        &self,
        role: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), BuildError> {
        let name = format!("larder-{}-{role}", self.name);
        // A NUL cannot be in a thread's name, and is no reason to refuse a bucket's.
        let name = name.replace('\0', "?");
        let state = Arc::clone(&self.state);
        let ended = Arc::clone(&self.ended);
        let registered = Arc::new(Promise::new());
        let go = Arc::clone(&registered);
        let spawned = thread::Builder::new().name(name.clone()).spawn(move || {
            // Not before its identity is on the list: it may end the bucket itself.
            let _ = go.wait(&Clock::system(), Duration::from_secs(60));
            let _out = Out { state, ended };
            body();
        });
        match spawned {
            Ok(handle) => {
                let mut state = self.state.lock();
                let id = handle.thread().id();
                state.first.get_or_insert(id);
                state.running.push(id);
                state.handles.push(handle);
                drop(state);
                registered.answer(());
                Ok(())
            }
            Err(source) => Err(BuildError::Spawn {
                thread: name,
                source,
            }),
        }
    }

    /// Whether the current thread is one of these.
    fn is_own(&self) -> bool {
        let me = thread::current().id();
        self.state.lock().running.contains(&me)
    }

    /// Whether the current thread is the one that was started first.
    pub(super) fn is_first(&self) -> bool {
        let me = thread::current().id();
        self.state.lock().first == Some(me)
    }

    /// Waits until all threads have ended, `limit` at most; returns whether it did not take longer. Not on one of them.
    pub(super) fn join(&self, limit: Duration) -> bool {
        if self.is_own() {
            return true;
        }
        let none_left = {
            let mut state = self.state.lock();
            state.closing = true;
            state.running.is_empty()
        };
        if none_left {
            self.ended.answer(());
        }
        // Real time: a manual clock that stands still must not hold up a shutdown.
        let clock = Clock::system();
        if self.ended.wait(&clock, limit).is_none() {
            // A loader that does not return keeps its thread; nothing waits for it any more.
            return false;
        }
        let handles = std::mem::take(&mut self.state.lock().handles);
        for handle in handles {
            // The thread is past its body; a panic in there was contained.
            let _ = handle.join();
        }
        true
    }
}

/// Signs a thread off, also when it unwinds.
struct Out {
    state: Arc<Mutex<State>>,
    ended: Arc<Promise<()>>,
}

impl Drop for Out {
    fn drop(&mut self) {
        let last = {
            let me = thread::current().id();
            let mut state = self.state.lock();
            state.running.retain(|&id| id != me);
            state.running.is_empty() && state.closing
        };
        if last {
            self.ended.answer(());
        }
    }
}
