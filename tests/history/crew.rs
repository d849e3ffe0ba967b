//! The threads of a run, and what they have written down.

use crate::record::{EpochSeen, Group, Log, Shot};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// A thread that has not ended by then hangs; three busy neighbours on two cores make it a minute. The same for a call: on
/// a starved machine the five seconds of the default are no fault of the bucket's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// What the threads of a run have written down.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) logs: Vec<Log>,
    pub(crate) took: Duration,
}

impl Run {
    pub(crate) fn operations(&self) -> usize {
        self.logs
            .iter()
            .map(|log| log.ops.len() + log.answers.len())
            .sum()
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        self.logs
            .iter()
            .flat_map(|log| log.groups.iter().cloned())
            .collect()
    }

    pub(crate) fn shots(&self) -> Vec<Shot> {
        self.logs
            .iter()
            .flat_map(|log| log.shots.iter().cloned())
            .collect()
    }

    pub(crate) fn publishes(&self) -> Vec<EpochSeen> {
        self.logs
            .iter()
            .flat_map(|log| log.publishes.iter().copied())
            .collect()
    }
}

/// Threads that run until they are done, or until those are; each gives back its log.
pub(crate) struct Crew {
    origin: Instant,
    stop: Arc<AtomicBool>,
    sender: mpsc::Sender<Log>,
    done: mpsc::Receiver<Log>,
    bound: usize,
    endless: usize,
}

impl Crew {
    pub(crate) fn new(origin: Instant) -> Self {
        let (sender, done) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        Self {
            origin,
            stop,
            sender,
            done,
            bound: 0,
            endless: 0,
        }
    }

    fn next_log(&self, calls: usize) -> Log {
        Log::new(self.origin, (self.bound + self.endless) as u64, calls)
    }

    fn spawn(&self, mut log: Log, work: impl FnOnce(&mut Log) + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            work(&mut log);
            // Fails only when nobody waits any more, because another thread hangs.
            let _ = sender.send(log);
        });
    }

    /// A thread with an end of its own, and room for so many calls.
    pub(crate) fn bound(&mut self, calls: usize, work: impl FnOnce(&mut Log) + Send + 'static) {
        self.spawn(self.next_log(calls), work);
        self.bound += 1;
    }

    /// A thread that makes a turn again and again until the others are done.
    pub(crate) fn endless(&mut self, mut turn: impl FnMut(&mut Log) + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.spawn(self.next_log(0), move |log| {
            while !stop.load(Ordering::Relaxed) {
                turn(log);
            }
        });
        self.endless += 1;
    }

    /// Waits for all of them.
    ///
    /// # Panics
    ///
    /// If one panicked or hangs.
    pub(crate) fn join(self) -> Run {
        drop(self.sender);
        let wait = |_| {
            let log = self.done.recv_timeout(PATIENCE);
            if log.is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
            log.expect("a thread panicked or hangs")
        };
        let mut logs: Vec<Log> = (0..self.bound).map(wait).collect();
        self.stop.store(true, Ordering::Relaxed);
        logs.extend((0..self.endless).map(wait));
        let took = self.origin.elapsed();
        for log in &logs {
            assert!(log.complaints.is_empty(), "{:?}", log.complaints);
        }
        Run { logs, took }
    }
}
