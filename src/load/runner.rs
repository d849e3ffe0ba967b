//! Runners: threads that are inside a loader, and who of them waits for whom.
//!
//! A loader may call a bucket. Two rules keep any set of loaders from waiting for itself:
//! a thread inside a loader never waits for a queued flight, it takes it over and runs it itself; and
//! before it waits for a flight that another runner has under way, it looks whether that one, over any
//! number of steps and buckets, waits for it. The last wait that would close a circle is refused.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind};
use crate::sync::{Arc, GlobalLock, fault, per_thread, unique};

per_thread! {
    /// Under which identity this thread runs loads; 0 if it is not inside a loader.
    static CURRENT: u64
}
per_thread! {
    /// How deep loads are nested on this thread.
    static DEPTH: u32
}

/// How deep loads may nest on one thread. Each level holds the frames of one loader call, which are
/// the user's and may be large, on a stack of commonly 2 MiB; chosen, not measured.
const DEEPEST: u32 = 32;

/// The identity under which the current thread runs loads, or 0 if it is not inside a loader.
pub(crate) fn current() -> u64 {
    CURRENT.with(Cell::get)
}

/// Whether a load that this thread began now would be nested too deep.
pub(crate) fn is_deepest() -> bool {
    DEPTH.with(Cell::get) >= DEEPEST
}

/// This thread's time inside a loader. Nests.
pub(crate) struct Running {
    outer: u64,
}

impl Running {
    /// Enters a loader on this thread.
    ///
    /// # Errors
    ///
    /// `Recursion` where loads are nested too deep.
    pub(crate) fn enter() -> Result<Self, Error> {
        if is_deepest() {
            return Err(too_deep());
        }
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        let outer = current();
        if outer == 0 {
            CURRENT.with(|current| current.set(unique()));
        }
        Ok(Self { outer })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
        CURRENT.with(|current| current.set(self.outer));
    }
}

/// What a thread is inside of, for another one that does its work while it waits.
#[cfg(feature = "tokio")]
pub(crate) struct StandIn {
    runner: u64,
    depth: u32,
}

#[cfg(feature = "tokio")]
impl StandIn {
    pub(crate) fn of_this_thread() -> Self {
        Self {
            runner: current(),
            depth: DEPTH.get(),
        }
    }

    /// Puts the current thread, which has none yet and ends with that work, in its place.
    pub(crate) fn take(self) {
        CURRENT.set(self.runner);
        DEPTH.set(self.depth);
    }
}

pub(crate) fn too_deep() -> Error {
    let message = format!("loads nested more than {DEEPEST} deep on one thread");
    Error::new(ErrorKind::Recursion, message)
}

/// Something a runner can wait for, as the graph sees it.
pub(crate) trait Awaited: Send + Sync {
    fn is_over(&self) -> bool;
    /// Who has it under way.
    fn runner(&self) -> u64;
}

/// Who waits for what. One for the process, since a circle may lead through several buckets.
///
/// Only runners that wait are in it, so it is empty unless loaders call buckets.
type WaitGraph = BTreeMap<u64, Vec<Arc<dyn Awaited>>>;

// Plain, so that no model switches threads while it is held: nothing below does more than look.
static GRAPH: GlobalLock<WaitGraph> = GlobalLock::new(BTreeMap::new());

/// A runner's wait; over when dropped.
pub(crate) struct Wait {
    runner: u64,
}

impl Wait {
    /// Registers that the current thread waits for `flight`, if it is a runner.
    ///
    /// # Errors
    ///
    /// `Recursion` if the flight waits for this thread.
    pub(crate) fn begin(flight: Arc<dyn Awaited>) -> Result<Option<Self>, Error> {
        let runner = current();
        if runner == 0 {
            return Ok(None);
        }
        if flight.runner() == 0 {
            // A runner takes over what is queued, unless that would nest too deep.
            return Err(too_deep());
        }
        let mut graph = GRAPH.lock();
        if leads_to(&graph, &flight, runner) {
            let message = "a loader asked for a key whose load waits for that loader";
            return Err(Error::new(ErrorKind::Recursion, message));
        }
        graph.entry(runner).or_default().push(flight);
        Ok(Some(Self { runner }))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut graph = GRAPH.lock();
        if let Some(waits) = graph.get_mut(&self.runner) {
            waits.pop();
            if waits.is_empty() {
                graph.remove(&self.runner);
            }
        }
    }
}

/// Whether `flight`, directly or over the waits of others, is run by `target`.
fn leads_to(graph: &WaitGraph, flight: &Arc<dyn Awaited>, target: u64) -> bool {
    let mut open = vec![Arc::clone(flight)];
    let mut seen = Vec::new();
    while let Some(flight) = open.pop() {
        // A flight that is over holds nobody up, though its waiter may not have woken yet.
        if flight.is_over() {
            continue;
        }
        let runner = flight.runner();
        if runner == target {
            return !fault::planted("circle_unseen");
        }
        if !seen.contains(&runner) {
            seen.push(runner);
            open.extend(graph.get(&runner).into_iter().flatten().map(Arc::clone));
        }
    }
    false
}
