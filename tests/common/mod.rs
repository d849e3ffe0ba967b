//! What these tests share: a watchdog, doors that hold a thread where it is, and notes of what
//! happened. Nothing here sleeps to let something happen: threads meet at doors.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use larder::{Bucket, HashBuilder, Key, Value};

/// What takes longer hangs, also on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test under a watchdog.
pub(crate) fn bounded(test: impl FnOnce() + Send + 'static) {
    Task::spawn(test).join();
}

/// Work on a thread of its own.
pub(crate) struct Task<T> {
    done: mpsc::Receiver<thread::Result<T>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self::named("task", work)
    }

    pub(crate) fn named(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (send, done) = mpsc::channel();
        let body = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // Nobody is left to tell if the test has failed already.
            let _ = send.send(result);
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .unwrap();
        Self { done }
    }

    /// What came of it. Fails the test if nothing does.
    #[track_caller]
    pub(crate) fn join(self) -> T {
        match self.done.recv_timeout(PATIENCE) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => panic!("hangs: no end within {PATIENCE:?}"),
        }
    }

    /// What came of it, if it has ended.
    #[track_caller]
    pub(crate) fn try_join(&self) -> Option<T> {
        match self.done.try_recv() {
            Ok(Ok(result)) => Some(result),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => None,
        }
    }

    /// Whether it has ended. Takes the result.
    pub(crate) fn ended(&self) -> bool {
        !matches!(self.done.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

/// Runs `work` on so many threads at once, with the number of each, and returns what came of it.
pub(crate) fn together<T: Send + 'static>(
    threads: usize,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let start = Arc::new(std::sync::Barrier::new(threads));
    let tasks: Vec<_> = (0..threads)
        .map(|thread| {
            let (work, start) = (Arc::clone(&work), Arc::clone(&start));
            Task::spawn(move || {
                start.wait();
                work(thread)
            })
        })
        .collect();
    tasks.into_iter().map(Task::join).collect()
}

/// Looks again and again until it is so, for what comes in its own time.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        thread::yield_now();
    }
}

/// Lets the refresher finish whatever it has begun: two of its turns.
#[track_caller]
pub(crate) fn settle<K: Key, V: Value, S: HashBuilder>(bucket: &Bucket<K, V, S>) {
    bucket.publish().unwrap();
    bucket.publish().unwrap();
}

/// Drives a future on this thread, which sleeps in between. What never wakes it is found by the watchdog.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds threads up where the test wants them. All clones are the same door.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<DoorInner>);

#[derive(Default)]
struct DoorInner {
    state: Mutex<DoorState>,
    changed: Condvar,
}

#[derive(Default)]
struct DoorState {
    closed: bool,
    /// How many may still pass before it closes by itself.
    closes_after: Option<usize>,
    waiting: usize,
    passed: usize,
}

impl Door {
    pub(crate) fn open() -> Self {
        Self::default()
    }

    pub(crate) fn closed() -> Self {
        let door = Self::default();
        door.close();
        door
    }

    pub(crate) fn close(&self) {
        lock(&self.0.state).closed = true;
    }

    /// Lets so many pass, then closes.
    pub(crate) fn close_after(&self, passes: usize) {
        lock(&self.0.state).closes_after = Some(passes);
    }

    /// Opens for good, until closed again.
    pub(crate) fn release(&self) {
        let mut state = lock(&self.0.state);
        state.closed = false;
        state.closes_after = None;
        drop(state);
        self.0.changed.notify_all();
    }

    /// Goes through, or stands here until it opens.
    pub(crate) fn pass(&self) {
        let mut state = lock(&self.0.state);
        if let Some(left) = &mut state.closes_after {
            if *left == 0 {
                state.closed = true;
            } else {
                *left -= 1;
            }
        }
        state.waiting += 1;
        self.0.changed.notify_all();
        while state.closed {
            state = self
                .0
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.passed += 1;
        self.0.changed.notify_all();
    }

    /// Waits until so many threads stand here.
    #[track_caller]
    pub(crate) fn await_waiting(&self, threads: usize) {
        self.await_state("threads at the door", |state| {
            state.closed && state.waiting >= threads
        });
    }

    /// Waits until so many have gone through.
    #[track_caller]
    pub(crate) fn await_passed(&self, threads: usize) {
        self.await_state("threads through the door", |state| state.passed >= threads);
    }

    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0.state).waiting
    }

    #[track_caller]
    fn await_state(&self, what: &str, is_so: impl Fn(&DoorState) -> bool) {
        let state = lock(&self.0.state);
        let (state, timeout) = self
            .0
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!timeout.timed_out(), "never came: {what}");
    }
}

/// Notes in the order in which they were made.
#[derive(Clone)]
pub(crate) struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Notes<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn add(&self, note: T) {
        lock(&self.0).push(note);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        lock(&self.0).clone()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// Counts, for each key, its loads, and the most that ran at the same time. Kept outside of the
/// loader: an assertion in there would be contained by the bucket.
#[derive(Clone)]
pub(crate) struct Tally<K>(Arc<Mutex<HashMap<K, Loads>>>);

#[derive(Clone, Copy, Default)]
struct Loads {
    all: usize,
    now: usize,
    most: usize,
}

impl<K: Clone + Eq + Hash> Tally<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Counts one load of the key while it runs.
    pub(crate) fn during<R>(&self, key: &K, load: impl FnOnce() -> R) -> R {
        self.during_all(std::slice::from_ref(key), load)
    }

    pub(crate) fn during_all<R>(&self, keys: &[K], load: impl FnOnce() -> R) -> R {
        for key in keys {
            let mut map = lock(&self.0);
            let loads = map.entry(key.clone()).or_default();
            loads.all += 1;
            loads.now += 1;
            loads.most = loads.most.max(loads.now);
        }
        let result = load();
        for key in keys {
            if let Some(loads) = lock(&self.0).get_mut(key) {
                loads.now -= 1;
            }
        }
        result
    }

    pub(crate) fn loads(&self, key: &K) -> usize {
        lock(&self.0).get(key).map_or(0, |loads| loads.all)
    }

    /// The most loads of any key.
    pub(crate) fn most_loads(&self) -> usize {
        lock(&self.0).values().map(|l| l.all).max().unwrap_or(0)
    }

    /// The most loads of any one key at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        lock(&self.0).values().map(|l| l.most).max().unwrap_or(0)
    }

    pub(crate) fn keys(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Values that are counted while they live, so that a leak or a double drop shows.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<Mutex<i64>>);

impl Census {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn citizen(&self, number: u64) -> Citizen {
        *lock(&self.0) += 1;
        Citizen {
            number,
            census: self.clone(),
        }
    }

    pub(crate) fn alive(&self) -> i64 {
        *lock(&self.0)
    }
}

pub(crate) struct Citizen {
    pub(crate) number: u64,
    census: Census,
}

impl Clone for Citizen {
    fn clone(&self) -> Self {
        self.census.citizen(self.number)
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        *lock(&self.census.0) -= 1;
    }
}

/// A loader's own error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {}", self.0)
    }
}

impl Error for Broken {}

/// Chance enough for a workload, and the same on each run: SplitMix64.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A number whose copy passes a door: so a fold, and what clones an answer, can be held up in the middle.
pub(crate) struct Held(pub(crate) Door, pub(crate) u64);

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.pass();
        Self(self.0.clone(), self.1)
    }
}
