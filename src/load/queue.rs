//! The load queue: what is wanted, in which order, and who is asleep until something is.

use std::collections::VecDeque;
use std::time::Duration;

use super::flight::Flight;
use super::sweep::Sweep;
use crate::clock::Clock;
use crate::sync::{Arc, Mutex, Parker, fault};

/// Flights that wait for a loader, misses before reloads, reloads before the refresh sweep.
pub(crate) struct Queue<K, V> {
    state: Mutex<State<K, V>>,
    capacity: usize,
    batch_size: usize,
    linger: Duration,
    clock: Clock,
    /// How many loader threads a refresh sweep may keep busy at a time.
    sweepers: usize,
}

struct State<K, V> {
    misses: VecDeque<Wanted<K, V>>,
    reloads: VecDeque<Wanted<K, V>>,
    /// Flights in here that have not begun. The deques may also hold some that have: a reload that
    /// became a miss is in both, one that a nested load took over is left where it was.
    waiting: usize,
    sweep: Option<Arc<Sweep<K, V>>>,
    sweeping: usize,
    idle: Vec<Arc<Parker>>,
    closed: bool,
}

struct Wanted<K, V> {
    flight: Arc<Flight<K, V>>,
    since: Duration,
}

/// How urgent a flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits.
    Miss,
    /// Nobody does.
    Reload,
}

/// Why flights were not taken, if some were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// What a loader thread does next.
pub(crate) enum Next<K, V> {
    /// Loads these; they have begun.
    Batch(Vec<Arc<Flight<K, V>>>),
    /// Reloads a piece of the sweep.
    Sweep(Arc<Sweep<K, V>>),
    /// Sleeps, until woken or until this time.
    Sleep(Option<Duration>),
    /// Ends.
    Stop,
}

impl<K, V> Queue<K, V> {
    pub(crate) fn new(
        capacity: usize,
        batch_size: usize,
        linger: Duration,
        sweepers: usize,
        clock: Clock,
    ) -> Self {
        let state = State {
            misses: VecDeque::new(),
            reloads: VecDeque::new(),
            waiting: 0,
            sweep: None,
            sweeping: 0,
            idle: Vec::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            capacity,
            batch_size,
            linger,
            clock,
            sweepers,
        }
    }

    /// Queues flights in one step, so that keys missed together are loaded together. Takes as many,
    /// from the front, as there is room for, and returns the others.
    pub(crate) fn push(
        &self,
        mut flights: Vec<Arc<Flight<K, V>>>,
        urgency: Urgency,
    ) -> (Vec<Arc<Flight<K, V>>>, Refused) {
        let since = self.clock.now();
        let mut woken = Vec::new();
        let left = {
            let mut state = self.state.lock();
            if state.closed && !fault::planted("queues_after_close") {
                return (flights, Refused::Closed);
            }
            // A nested load may have taken one over before its leader came here, who also keeps it.
            flights.retain(|flight| !flight.has_begun());
            let room = self.capacity.saturating_sub(state.waiting);
            let left = flights.split_off(flights.len().min(room));
            let taken = flights.len();
            for flight in flights {
                flight.set_queued();
                state.waiting += 1;
                let missed = urgency == Urgency::Miss || flight.is_missed();
                let wanted = Wanted { flight, since };
                if missed {
                    state.misses.push_back(wanted);
                } else {
                    state.reloads.push_back(wanted);
                }
            }
            let most = if fault::planted("wakes_one") {
                1
            } else {
                taken
            };
            for _ in 0..taken.min(most).div_ceil(self.batch_size) {
                woken.extend(state.idle.pop());
            }
            left
        };
        for parker in woken {
            parker.unpark();
        }
        (left, Refused::Full)
    }

    /// A reload that has not begun has found somebody who waits for it: it goes ahead with the misses.
    pub(crate) fn promote(&self, flight: &Arc<Flight<K, V>>) {
        let since = self.clock.now();
        let mut state = self.state.lock();
        // Its leader may not have pushed it yet, and will push it as a miss then.
        let queued = flight.is_queued() || fault::planted("promotes_unqueued");
        if flight.set_missed() && queued && !flight.has_begun() {
            state.misses.push_back(Wanted {
                flight: Arc::clone(flight),
                since,
            });
        }
    }

    /// The number of a flight, and certainly 0 only if it has not begun.
    pub(crate) fn settled_number(&self, flight: &Flight<K, V>) -> u64 {
        let _ordered = self.state.lock();
        flight.number()
    }

    /// What the loader thread that sleeps on `parker` does next. `begin` gives the number of a load.
    pub(crate) fn next(
        &self,
        runner: u64,
        parker: &Arc<Parker>,
        begin: impl FnOnce() -> u64,
    ) -> Next<K, V> {
        // Dropped after the lock: a flight holds the user's key and value.
        let mut begun = Vec::new();
        let mut state = self.state.lock();
        state.idle.retain(|idle| !Arc::ptr_eq(idle, parker));
        if state.closed {
            return Next::Stop;
        }
        state.skip_begun(&mut begun);
        if let Some(until) = state.lingers(self.batch_size, self.linger, &self.clock) {
            state.idle.push(Arc::clone(parker));
            return Next::Sleep(Some(until).filter(|_| !fault::planted("lingers_for_ever")));
        }
        let batch = state.take(self.batch_size, runner, &mut begun);
        if !batch.is_empty() {
            let number = begin();
            for flight in &batch {
                flight.set_number(number);
            }
            return Next::Batch(batch);
        }
        if state.sweeping < self.sweepers
            && let Some(sweep) = state.sweep.clone()
        {
            state.sweeping += 1;
            return Next::Sweep(sweep);
        }
        if !fault::planted("sleeps_unregistered") {
            state.idle.push(Arc::clone(parker));
        }
        Next::Sleep(None)
    }

    /// Takes `flight` out of the queue if it has not begun, for a caller that may not wait for it.
    pub(crate) fn take_over(
        &self,
        flight: &Flight<K, V>,
        runner: u64,
        begin: impl FnOnce() -> u64,
    ) -> bool {
        let mut state = self.state.lock();
        if !flight.claim(runner) {
            return false;
        }
        // Its leader may not have pushed it yet.
        state.waiting -= usize::from(flight.is_queued() && !fault::planted("taken_over_uncounted"));
        flight.set_number(begin());
        true
    }

    /// Begins flights that were made for a runner and never come into the queue. `false` once closed.
    pub(crate) fn begin_unqueued(
        &self,
        flights: &[Arc<Flight<K, V>>],
        begin: impl FnOnce() -> u64,
    ) -> bool {
        let state = self.state.lock();
        if state.closed {
            return false;
        }
        let number = begin();
        for flight in flights {
            flight.set_number(number);
        }
        true
    }

    /// Has idle loaders work on a refresh sweep.
    pub(crate) fn start_sweep(&self, sweep: Arc<Sweep<K, V>>) -> bool {
        let woken = {
            let mut state = self.state.lock();
            if state.closed {
                return false;
            }
            state.sweep = Some(sweep);
            std::mem::take(&mut state.idle)
        };
        for parker in woken {
            parker.unpark();
        }
        true
    }

    /// A loader has done its piece of a sweep.
    pub(crate) fn end_sweep_piece(&self, sweep: &Arc<Sweep<K, V>>) {
        let mut state = self.state.lock();
        state.sweeping -= 1;
        let same = state
            .sweep
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, sweep));
        if same && sweep.is_exhausted() {
            state.sweep = None;
        }
    }

    /// Nobody waits any longer for a loader that is at a piece of a sweep: another may take its place there.
    pub(crate) fn give_up_sweep_piece(&self, sweep: &Arc<Sweep<K, V>>) {
        if fault::planted("late_keeps_its_place") {
            return;
        }
        self.end_sweep_piece(sweep);
        let woken = std::mem::take(&mut self.state.lock().idle);
        for parker in woken {
            parker.unpark();
        }
    }

    /// Ends the queue. Returns the flights that will not begin any more.
    pub(crate) fn close(&self) -> Vec<Arc<Flight<K, V>>> {
        let mut begun = Vec::new();
        let (left, woken) = {
            let mut state = self.state.lock();
            state.closed = true;
            state.sweep = None;
            let left = state.take(usize::MAX, NOBODY, &mut begun);
            (left, std::mem::take(&mut state.idle))
        };
        for parker in woken {
            parker.unpark();
        }
        left
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().waiting
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }
}

impl<K, V> State<K, V> {
    /// Moves what has begun from the front to `begun`, for the caller to drop outside of the lock.
    fn skip_begun(&mut self, begun: &mut Vec<Wanted<K, V>>) {
        for deque in [&mut self.misses, &mut self.reloads] {
            while let Some(front) = deque.pop_front() {
                if !front.flight.has_begun() {
                    deque.push_front(front);
                    break;
                }
                begun.push(front);
            }
        }
    }

    /// Until when to wait for more misses, if there are some, not a batch full, and time is left.
    fn lingers(&self, batch_size: usize, linger: Duration, clock: &Clock) -> Option<Duration> {
        let oldest = self.misses.front().or_else(|| self.reloads.front())?;
        if linger.is_zero() || self.waiting >= batch_size {
            return None;
        }
        let until = oldest.since.saturating_add(linger);
        (clock.now() < until).then_some(until)
    }

    /// Takes flights off for `runner`, misses first, and moves what has begun to `begun`.
    fn take(
        &mut self,
        most: usize,
        runner: u64,
        begun: &mut Vec<Wanted<K, V>>,
    ) -> Vec<Arc<Flight<K, V>>> {
        let mut batch = Vec::new();
        for deque in [&mut self.misses, &mut self.reloads] {
            while batch.len() < most {
                let Some(wanted) = deque.pop_front() else {
                    break;
                };
                if wanted.flight.claim(runner) {
                    batch.push(wanted.flight);
                } else {
                    begun.push(wanted);
                }
            }
        }
        self.waiting -= batch.len();
        batch
    }
}

/// Claims what is left in a queue that closes. No runner has this identity.
const NOBODY: u64 = u64::MAX - 1;
