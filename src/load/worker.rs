//! What a loader thread does all day.

use super::Loads;
use super::queue::Next;
use super::reloads::Reloads;
use super::runner::{self, Running};
use super::sweep::Sweep;
use crate::contain::{contained, drop_contained};
use crate::sync::Parker;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Loads what is wanted until the queue is closed. The body of a loader thread.
    pub(crate) fn work(&self) {
        // The identity under which this thread claims flights; nothing is nested yet.
        let Ok(_running) = Running::enter() else {
            return;
        };
        let parker = Parker::new();
        loop {
            if !self.work_once(&parker) {
                return;
            }
        }
    }

    /// One turn: a batch, a piece of a sweep, or a sleep. `false` once closed.
    pub(crate) fn work_once(&self, parker: &crate::sync::Arc<Parker>) -> bool {
        let runner = runner::current();
        let mut live = None;
        let next = self.queue.next(runner, parker, || {
            live.insert(self.store.begin_load()).number()
        });
        match next {
            Next::Batch(flights) => {
                let number = live.as_ref().map_or(0, |live| live.number());
                self.run_batch(flights, number, None);
            }
            Next::Sweep(sweep) => {
                let Some((piece, keys)) = sweep.take(self.queue.batch_size()) else {
                    self.queue.end_sweep_piece(&sweep);
                    return true;
                };
                let failed = self.reload(&sweep, piece, keys, runner);
                if sweep.end_piece(piece) {
                    self.queue.end_sweep_piece(&sweep);
                    sweep.done_with_piece(failed);
                }
            }
            Next::Sleep(until) => parker.park(&self.clock, until),
            Next::Stop => return false,
        }
        true
    }

    fn reload(&self, sweep: &Sweep<K, V>, piece: u64, keys: Vec<K>, runner: u64) -> usize {
        // The user's `Hash` and `Eq` run in here.
        let begun = contained(|| self.begin_reloads(&keys, runner));
        let failed = match begun {
            Ok(Reloads {
                flights,
                live: Some(live),
            }) => {
                sweep.begin_piece(piece, &flights);
                self.run_batch(flights, live.number(), None)
            }
            Ok(_) => 0,
            Err(error) => {
                let live = self.store.begin_load();
                for key in &keys {
                    let _ = contained(|| {
                        let hash = self.store.hash(key);
                        self.report_stale(live.number(), hash, key);
                        self.store
                            .load_failed((live.number(), false), hash, key, &error);
                    });
                }
                keys.len()
            }
        };
        keys.into_iter().for_each(drop_contained);
        failed
    }
}
