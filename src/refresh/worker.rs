//! The refresher's thread: one turn after another.

use std::time::Duration;

use super::control::{Control, Reply, Requests};
use super::dataset::Fetcher;
use super::joints::close_joints;
use super::round::Refresh;
use super::schedule::{Schedule, quiet_fold_due, rested};
use super::slices::{Slices, in_slices};
use crate::clock::Clock;
use crate::config::Config;
use crate::contain::contained;
use crate::error::Error;
use crate::events::{Event, Events};
use crate::load::Loads;
use crate::stats::Counters;
use crate::store::fold::Folder;
use crate::store::{Dirty, Store, Unsaved};
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// How often replaced tables are looked at that a reader or a snapshot still holds.
const SWEEP_RETIRED: Duration = Duration::from_millis(50);

/// How long after a failed fold it is tried again.
pub(super) const RETRY_FOLD: Duration = Duration::from_millis(100);

/// How late a coarse clock is, at the most.
const LATEST_TICK: Duration = Duration::from_millis(10);

/// Everything that the refresher works with. It is the only one that publishes.
pub(crate) struct Refresher<K: Key, V: Value, S: HashBuilder> {
    pub(crate) store: Arc<Store<K, V, S>>,
    pub(crate) loads: Arc<Loads<K, V, S>>,
    pub(crate) control: Arc<Control<K, V>>,
    pub(crate) fetcher: Option<Arc<Fetcher<K, V>>>,
    pub(crate) stats: Arc<Counters>,
    pub(crate) events: Arc<Events>,
    pub(crate) clock: Clock,
    pub(super) folder: Folder<K, V>,
    pub(super) max_stale: Option<Duration>,
    fold_delay: Duration,
    pub(super) schedule: Schedule,
    pub(super) next_refresh: Option<Duration>,
    pub(super) refresh: Refresh<K, V>,
    /// Who has asked for a refresh that has not begun.
    pub(super) wanted: Vec<Reply<()>>,
    pub(super) dirty_since: Option<Duration>,
    last_fold_end: Duration,
    last_fold_cost: Duration,
    /// When a fold has last brought home what was beside the others, and what that took.
    last_home: (Duration, Duration),
    retry_fold_at: Option<Duration>,
    slices: Option<Arc<Slices>>,
}

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one bucket, put together once"
    )]
    pub(crate) fn new(
        store: Arc<Store<K, V, S>>,
        loads: Arc<Loads<K, V, S>>,
        control: Arc<Control<K, V>>,
        fetcher: Option<Arc<Fetcher<K, V>>>,
        stats: Arc<Counters>,
        events: Arc<Events>,
        clock: Clock,
        config: &Config,
    ) -> Self {
        let seed = store.hasher().hash_one(crate::sync::unique());
        let mut schedule = Schedule::new(config.refresh_every, config.refresh_jitter, seed)
            .retrying(config.refresh_retry);
        let now = clock.now();
        let mut folder = Folder::new();
        if config.max_stale.is_some() {
            folder.track_stale();
        }
        folder.begin_idle(&store);
        Self {
            store,
            loads,
            control,
            fetcher,
            stats,
            events,
            folder,
            max_stale: config.max_stale,
            fold_delay: config.fold_delay,
            next_refresh: schedule.after(now),
            schedule,
            refresh: Refresh::None,
            wanted: Vec::new(),
            dirty_since: None,
            last_fold_end: now,
            last_fold_cost: Duration::ZERO,
            last_home: (Duration::ZERO, Duration::ZERO),
            retry_fold_at: None,
            slices: None,
            clock,
        }
    }

    /// The same, where what is published is written to a storage; `dirty` with the first of it.
    pub(crate) fn saving_to(mut self, unsaved: &Arc<Unsaved<K, V>>, dirty: Dirty<K>) -> Self {
        self.folder.save_to(Arc::clone(unsaved), dirty);
        self
    }

    /// The same in slices, if there are such.
    pub(crate) fn in_slices(mut self, slices: Option<Arc<Slices>>) -> Self {
        self.slices = slices;
        self
    }

    /// The body of the refresher's thread.
    pub(crate) fn work(mut self) {
        let slices = self.slices.take();
        while in_slices(slices.as_ref(), || self.turn()) {
            let deadline = self.next_deadline();
            self.control.bell().park(&self.clock, deadline);
        }
    }

    /// Does all that is due. `false` once stopped.
    pub(crate) fn turn(&mut self) -> bool {
        let requests = self.control.take();
        if requests.stop {
            self.stop(requests);
            return false;
        }
        answer_all(requests.turn, &Ok(()));
        self.join(requests.joints);
        self.reset(requests.reset);
        self.clear(requests.clear);
        self.switch(requests.switch);
        // Before a dataset that was fetched earlier, over which it is laid then.
        self.untag(requests.untag);
        if let Some((fetch, dataset)) = requests.dataset {
            self.end_dataset(fetch, dataset);
        }
        // Before the fold, which gives what was found another place.
        self.bury_dead();
        // Before what it leaves stale is taken in, with no fold in between.
        if let Refresh::Sweep { sweep, .. } = &self.refresh {
            self.loads.give_up_late(sweep);
        }
        // After a dataset that may end it, and before the fold of who asks for a snapshot of now.
        self.take_out_stale();
        self.prune(requests.prune);
        self.fold_if_due(requests.publish);
        self.end_sweep_if_over();
        self.wanted.extend(requests.refresh);
        self.start_refresh_if_due();
        self.count_folded();
        self.store.look_for_room();
        // Values and keys contain or lose their panics there; nothing to report.
        let _ = self.contained(|this| this.folder.sweep(&this.store));
        self.stats.tables_held(self.folder.retired().tables());
        true
    }

    fn fold_if_due(&mut self, asked: Vec<Reply<u64>>) {
        let now = self.clock.now();
        let touched = {
            let view = self.store.view();
            view.active.is_touched() || view.sealed.is_some()
        };
        if touched && self.dirty_since.is_none() {
            self.dirty_since = Some(now);
        }
        let due = self.fold_due_at().is_some_and(|at| now >= at);
        if !due && asked.is_empty() {
            return;
        }
        let (is_quiet, is_extended) = {
            let view = self.store.view();
            (!view.active.is_full(), view.current.table.is_extended())
        };
        let brings_home = is_quiet && asked.is_empty() && is_extended && now >= self.home_rested();
        if brings_home {
            self.folder.bring_home();
        }
        let before = self.store.view().current.epoch;
        if fault::planted("answers_before_the_fold") {
            answer_all(asked.clone(), &Ok(before));
        }
        let folded = match fault::planted("published_unfolded") {
            false => self.contained(|this| this.folder.fold(&this.store)),
            true => Ok(before),
        };
        let end = self.clock.now();
        self.last_fold_cost = end.saturating_sub(now);
        self.last_fold_end = end;
        if brings_home {
            self.last_home = (end, self.last_fold_cost);
        }
        match &folded {
            Ok(epoch) => {
                self.dirty_since = None;
                self.retry_fold_at = None;
                Counters::add(&self.stats.publications, usize::from(*epoch != before));
            }
            Err(error) => {
                self.retry_fold_at = Some(end.saturating_add(RETRY_FOLD));
                Counters::add(&self.stats.folds_failed, 1);
                self.events.send(Event::FoldFailed {
                    error: error.clone(),
                });
            }
        }
        self.count_folded();
        answer_all(asked, &folded);
    }

    /// Before those are answered who have asked for what was done.
    pub(super) fn count_folded(&mut self) {
        let tally = self.folder.take_tally();
        Counters::note(&self.stats.written, tally.written);
        Counters::note(&self.stats.removed, tally.removed);
        Counters::note(&self.stats.expired, tally.expired);
        Counters::add(&self.stats.evicted, tally.evicted);
    }

    fn fold_due_at(&self) -> Option<Duration> {
        let view = self.store.view();
        let quietly = |since| {
            let rested = (self.last_fold_end, self.last_fold_cost);
            quiet_fold_due(since, self.fold_delay, rested.0, rested.1)
        };
        let written = self.dirty_since.map(|since| match view.active.is_full() {
            true => since,
            false => quietly(since),
        });
        // By the coarse clock, which may be late.
        let expired = view.current.table.earliest().time();
        let expired = expired.map(|at| quietly(at.saturating_add(LATEST_TICK)));
        let idle = self.folder.idle_look();
        let idle = idle.map(|at| quietly(at.saturating_add(LATEST_TICK)));
        // What was put beside the others for the sake of who writes, once nobody does.
        let extended = view.current.table.is_extended();
        let home = extended.then(|| quietly(self.last_fold_end).max(self.home_rested()));
        let others = expired.into_iter().chain(idle).chain(home);
        let due = written.into_iter().chain(others).min()?;
        Some(due.max(self.retry_fold_at.unwrap_or_default()))
    }

    /// When a fold may bring home again what is beside the others, which is a copy of the table.
    fn home_rested(&self) -> Duration {
        let (end, cost) = self.last_home;
        rested(end, cost)
    }

    fn next_deadline(&self) -> Option<Duration> {
        let refresh = match self.refresh {
            Refresh::None => self.next_refresh,
            // It ends by itself, and rings; what is late does not.
            Refresh::Sweep { ref sweep, .. } => sweep.next_late(),
            Refresh::Dataset { .. } => None,
        };
        let retired = (!self.folder.retired().is_empty())
            .then(|| self.clock.now().saturating_add(SWEEP_RETIRED));
        let stale = self.folder.stale_until();
        [refresh, self.fold_due_at(), retired, stale]
            .into_iter()
            .flatten()
            .min()
    }

    fn stop(&mut self, requests: Requests<K, V>) {
        let closed = || Err(Error::closed());
        let refresh = match std::mem::replace(&mut self.refresh, Refresh::None) {
            Refresh::None => Vec::new(),
            Refresh::Dataset { asked, .. } => asked,
            Refresh::Sweep { sweep, asked } => {
                sweep.give_up();
                asked
            }
        };
        answer_all(requests.publish, &closed());
        answer_all(requests.clear, &closed());
        answer_all(requests.switch.asked, &closed());
        answer_all(requests.reset.asked, &closed());
        close_joints(requests.joints);
        answer_all(requests.prune.asked, &closed());
        answer_all(requests.untag.asked, &closed());
        if fault::planted("stop_forgets_refresh") {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted);
        for asked in [refresh, requests.refresh, requests.turn, wanted] {
            answer_all(asked, &Err(Error::closed()));
        }
        let _ = self.contained(|this| this.folder.sweep_all(&this.store));
    }

    /// Runs what calls the user's `Clone`, `Hash`, `Eq` or `Drop`. A panic of theirs ends the step, not
    /// the thread.
    pub(super) fn contained<R>(&mut self, step: impl FnOnce(&mut Self) -> R) -> Result<R, Error> {
        contained(|| step(self))
    }
}

pub(super) fn answer_all<T: Clone>(asked: Vec<Reply<T>>, answer: &Result<T, Error>) {
    for reply in asked {
        reply.answer(answer.clone());
    }
}
