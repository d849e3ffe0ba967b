//! Warmers: each on a thread of its own, by its own timer or when it is asked for. DESIGN.md, "Warmers".

use std::time::Duration;

use super::control::Reply;
use super::schedule::Schedule;
use crate::clock::{Clock, Deadline};
use crate::contain::{contained, drop_contained};
use crate::error::Error;
use crate::events::{Event, Events};
use crate::load::{Keep, Loads, Promise, Running, Woken};
use crate::loader::{Own, Warmer, Warming};
use crate::stats::Counters;
use crate::store::{Content, Store};
use crate::sync::{Arc, Mutex, Parker, fault, thread};
use crate::{HashBuilder, Key, Value};

/// The runs of one warmer: who has asked for them, and who waits.
pub(crate) struct Runs {
    name: Arc<str>,
    job: Mutex<Job>,
    parker: Arc<Parker>,
}

#[derive(Default)]
struct Job {
    /// Who has asked for a run that has not begun.
    wanted: Vec<Reply<()>>,
    /// Who waits for the one that is under way.
    running: Vec<Reply<()>>,
    thread: Option<thread::ThreadId>,
    stop: bool,
}

impl Runs {
    pub(crate) fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            name,
            job: Mutex::default(),
            parker: Parker::new(),
        })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Asks for a run that begins from now on. Those who ask before it begins share it.
    pub(crate) fn ask(&self) -> Reply<()> {
        let reply = Arc::new(Promise::new());
        let stopped = {
            let mut job = self.job.lock();
            if !job.stop || fault::planted("warms_after_stop") {
                job.wanted.push(Arc::clone(&reply));
            }
            job.stop && !fault::planted("warms_after_stop")
        };
        if stopped {
            reply.answer(Err(Error::closed()));
        } else {
            self.parker.unpark();
        }
        reply
    }

    /// Whether the current thread is the one that the warmer runs on, which must not wait for itself.
    pub(crate) fn is_own_thread(&self) -> bool {
        let me = thread::current().id();
        self.job.lock().thread == Some(me)
    }

    /// No more runs. Who waits is answered, also if the warmer never returns.
    pub(crate) fn stop(&self) {
        let waiting = {
            let mut job = self.job.lock();
            job.stop = true;
            let mut waiting = std::mem::take(&mut job.wanted);
            if !fault::planted("stop_forgets_the_run") {
                waiting.append(&mut job.running);
            }
            waiting
        };
        for reply in waiting {
            reply.answer(Err(Error::closed()));
        }
        self.parker.unpark();
    }

    fn is_stopped(&self) -> bool {
        self.job.lock().stop
    }

    /// Takes down who has asked by now as who waits for the run that begins. Returns whether anybody has; `None` once
    /// stopped.
    fn begin(&self) -> Option<bool> {
        let mut job = self.job.lock();
        if job.stop {
            return None;
        }
        job.running = std::mem::take(&mut job.wanted);
        Some(!job.running.is_empty())
    }

    /// Answers who waits for the run that is over. They are woken when what is returned is dropped.
    fn end(&self, ended: &Result<(), Error>) -> Vec<Woken> {
        let waited = std::mem::take(&mut self.job.lock().running);
        let answered = waited.into_iter();
        let answered = answered.map(|reply| reply.put(ended.clone(), || ()));
        answered.filter_map(Result::ok).collect()
    }
}

/// When a warmer runs, where nobody asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    pub(crate) every: Option<Duration>,
    pub(crate) retry: Option<(Duration, Duration)>,
    pub(crate) jitter: f64,
}

/// What the thread of one warmer works with.
pub(crate) struct WarmerThread<K: Key, V: Value, S: HashBuilder> {
    pub(crate) runs: Arc<Runs>,
    pub(crate) warmer: Box<dyn Warmer<K, V>>,
    pub(crate) times: Times,
    pub(crate) store: Arc<Store<K, V, S>>,
    pub(crate) loads: Arc<Loads<K, V, S>>,
    pub(crate) stats: Arc<Counters>,
    pub(crate) events: Arc<Events>,
    pub(crate) clock: Clock,
    /// How long a value lives, and how long a miss waits, in this bucket.
    pub(crate) ttl: Option<Duration>,
    pub(crate) wait_limit: Duration,
}

impl<K: Key, V: Value, S: HashBuilder> WarmerThread<K, V, S> {
    /// The body of the thread: runs at once, and then when it is due or somebody asks.
    pub(crate) fn work(self) {
        let seed = self.store.hasher().hash_one(crate::sync::unique());
        let times = &self.times;
        let mut schedule = Schedule::new(times.every, times.jitter, seed).retrying(times.retry);
        self.runs.job.lock().thread = Some(thread::current().id());
        let mut due = Some(self.clock.now());
        while let Some(asked) = self.runs.begin() {
            let timed = due.is_some_and(|due| self.clock.now() >= due);
            if !asked && !timed {
                self.runs.parker.park(&self.clock, due);
                continue;
            }
            due = self.run(&mut schedule);
        }
        // Contained, as it is the user's.
        drop_contained(self.warmer);
    }

    /// One run, and again where the bucket was reset meanwhile, as with a load. Returns when the next is due.
    fn run(&self, schedule: &mut Schedule) -> Option<Duration> {
        loop {
            // Drawn before the warmer looks at its source: what is written meanwhile stands.
            let live = self.store.begin_load();
            let number = live.number();
            let ended = self.run_once(number);
            let mut due = None;
            // In one step for a reset, as the end of a flight is: who asked before it and is answered after it finds
            // what is of after it.
            let answered = self.store.unless_reset(number, || {
                due = self.count(&ended, schedule);
                self.runs.end(&ended)
            });
            let Some(woken) = answered else {
                match self.runs.is_stopped() {
                    true => return None,
                    false => continue,
                }
            };
            if let Err(error) = ended {
                self.events.send(Event::WarmerFailed {
                    warmer: Arc::clone(&self.runs.name),
                    error,
                });
            }
            drop(woken);
            return due;
        }
    }

    /// Nothing where nothing is stored.
    fn run_once(&self, number: u64) -> Result<(), Error> {
        if !self.store.view().caching {
            return Ok(());
        }
        let late = fault::planted("warmed_under_a_late_number");
        let _running = Running::enter()?;
        let warmed = contained(|| self.warmer.warm(&Warming::new(&self.runs.name, self)))?;
        let (pairs, ttl) = warmed.map_err(Error::load)?.into_parts();
        let number = match late {
            true => self.store.begin_load().number(),
            false => number,
        };
        contained(|| self.loads.store_warmed(pairs, ttl, number))
    }

    /// Counts a run. Returns when the next is due. Before anybody is told: who has waited for a run finds the timer set
    /// anew.
    fn count(&self, ended: &Result<(), Error>, schedule: &mut Schedule) -> Option<Duration> {
        let now = self.clock.now();
        if ended.is_ok() {
            Counters::add(&self.stats.warmer_runs, 1);
            return schedule.after(now);
        }
        Counters::add(&self.stats.warmers_failed, 1);
        match fault::planted("failed_warmer_forgotten") {
            true => None,
            false => schedule.after_failure(now),
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Own<K, V> for WarmerThread<K, V, S> {
    fn peek(&self, key: &K) -> Option<V> {
        let hash = self.store.hash(key);
        self.store.view().value(hash, key)
    }

    fn get(&self, key: &K) -> Option<V> {
        if let Some(value) = self.peek(key) {
            return Some(value);
        }
        let hash = self.store.hash(key);
        let fetched = self.loads.fetch(hash, key, self.wait_limit, Keep::USUAL);
        fetched.ok()?.into_value()
    }

    fn set(&self, key: K, value: V) {
        let hash = self.store.hash(&key);
        let content = Content::until(value, Deadline::of(&self.clock, self.ttl));
        let content = self.store.weighed(&key, content);
        let noted = self.loads.exists().map(|exists| (exists, key.clone()));
        if let Err(Some(_)) = self.store.write(hash, key, content) {
            self.loads.refused(1);
        }
        if let Some((exists, key)) = noted {
            exists.written(hash, &key);
        }
    }

    fn keys(&self) -> Vec<K> {
        self.store.keys()
    }

    fn is_closed(&self) -> bool {
        self.runs.is_stopped()
    }
}
