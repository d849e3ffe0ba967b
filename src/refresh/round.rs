//! One refresh, from its beginning to its end.

use super::control::{Fetched, Reply};
use super::worker::{Refresher, answer_all};
use crate::error::{Error, ErrorKind};
use crate::events::Event;
use crate::load::{Sweep, Swept};
use crate::stats::Counters;
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// The refresh that is under way.
pub(super) enum Refresh<K, V> {
    None,
    Sweep {
        sweep: Arc<Sweep<K, V>>,
        asked: Vec<Reply<()>>,
    },
    Dataset {
        fetch: u64,
        asked: Vec<Reply<()>>,
    },
}

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    pub(super) fn start_refresh_if_due(&mut self) {
        let now = self.clock.now();
        let timed = self.next_refresh.is_some_and(|at| now >= at);
        if !matches!(self.refresh, Refresh::None) || (!timed && self.wanted.is_empty()) {
            return;
        }
        let asked = std::mem::take(&mut self.wanted);
        self.next_refresh = None;
        if !self.store.view().caching {
            self.refresh_nothing(asked);
            return;
        }
        if let Some(fetcher) = self.fetcher.clone() {
            match self.contained(|this| this.folder.begin_dataset(&this.store)) {
                Ok(()) => {
                    let fetch = crate::sync::unique();
                    self.refresh = Refresh::Dataset { fetch, asked };
                    fetcher.want(fetch);
                }
                Err(error) => self.end_refresh(asked, Err(error), Swept::default()),
            }
        } else if self.loads.has_loader() {
            match self.contained(Self::begin_sweep) {
                Ok(Some(sweep)) => self.refresh = Refresh::Sweep { sweep, asked },
                Ok(None) => self.end_refresh(asked, Ok(()), Swept::default()),
                Err(error) => self.end_refresh(asked, Err(error), Swept::default()),
            }
        } else {
            let error = Error::new(
                ErrorKind::NoLoader,
                "the bucket has no loader to refresh from",
            );
            self.end_refresh(asked, Err(error), Swept::default());
        }
    }

    /// Has all keys reloaded that are cached now. `None` if there are none.
    fn begin_sweep(&mut self) -> Option<Arc<Sweep<K, V>>> {
        let epoch = self.store.view().current.epoch;
        if self.folder.fold(&self.store) != epoch {
            Counters::add(&self.stats.publications, 1);
        }
        let view = self.store.load_view();
        let keys: Vec<K> = view
            .current
            .table
            .iter()
            .map(|(key, _)| key.clone())
            .collect();
        if keys.is_empty() {
            return None;
        }
        let sweep = self.loads.sweep_of(keys);
        let bell = self.control.bell().waker();
        // Woken at its end; the answer is looked at in the next turn.
        if !fault::planted("sweep_rings_nobody") {
            let _ = sweep.promise().subscribe(|| bell);
        }
        if !self.loads.start_sweep(Arc::clone(&sweep)) {
            sweep.give_up();
        }
        Some(sweep)
    }

    pub(super) fn end_sweep_if_over(&mut self) {
        let Refresh::Sweep { sweep, .. } = &self.refresh else {
            return;
        };
        let Some(&swept) = sweep.promise().peek() else {
            return;
        };
        if let Refresh::Sweep { asked, .. } = std::mem::replace(&mut self.refresh, Refresh::None) {
            self.end_refresh(asked, Ok(()), swept);
        }
    }

    pub(super) fn end_dataset(&mut self, fetch: u64, dataset: Fetched<K, V>) {
        // Else the bucket was cleared while it was being fetched: what it held then must not return.
        let any = fault::planted("any_dataset_will_do");
        let awaited =
            matches!(&self.refresh, Refresh::Dataset { fetch: f, .. } if *f == fetch || any);
        if !awaited {
            let _ = self.contained(|_| drop(dataset));
            return;
        }
        let Refresh::Dataset { asked, .. } = std::mem::replace(&mut self.refresh, Refresh::None)
        else {
            return;
        };
        let published = dataset.and_then(|dataset| {
            self.contained(|this| this.folder.publish_dataset(&this.store, dataset))
        });
        if published.is_ok() {
            self.forget_absences();
            if let Some(fetcher) = &self.fetcher {
                fetcher.set_published();
            }
            self.dirty_since = None;
            Counters::add(&self.stats.publications, 1);
        }
        self.count_folded();
        self.end_refresh(asked, published.map(|_| ()), Swept::default());
        self.folder.forget_dataset();
    }

    pub(super) fn end_refresh(
        &mut self,
        asked: Vec<Reply<()>>,
        ended: Result<(), Error>,
        swept: Swept,
    ) {
        // Before anybody can see that it has ended, and moves a clock for the next one. Keys that fail among others that do
        // not are no reason to reload these sooner.
        self.next_refresh = match ended.is_err() || swept.is_lost() {
            true => self.schedule.after_failure(self.clock.now()),
            false => self.schedule.after(self.clock.now()),
        };
        if ended.is_err() || swept.failed > 0 {
            Counters::add(&self.stats.refreshes_failed, 1);
            let error = ended.as_ref().err().cloned();
            if let Some(error) = &error {
                self.keep_stale();
                let refused = error.kind() == ErrorKind::Refused;
                Counters::add(&self.stats.datasets_refused, usize::from(refused));
            }
            self.events.send(Event::RefreshFailed {
                error,
                keys: swept.failed,
            });
        }
        if ended.is_ok() {
            Counters::add(&self.stats.refreshes, 1);
        }
        answer_all(asked, &ended);
    }
}
