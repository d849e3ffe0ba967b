//! What a refresh does not wait for any longer. DESIGN.md, "Refresh".

use super::Loads;
use super::sweep::{Late, Sweep};
use crate::contain::{contained, drop_contained};
use crate::error::Error;
use crate::events::{Event, KeyEvent};
use crate::stats::Counters;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// A sweep of these keys, with the bucket's limit to what it waits for.
    pub(crate) fn sweep_of(&self, keys: Vec<K>) -> Arc<Sweep<K, V>> {
        Sweep::within(keys, self.refresh_timeout, &self.clock)
    }

    /// Gives up the pieces of a sweep that have been under way for too long, and what is left of it where nobody has
    /// taken any for as long: their keys have failed. Their flights go on, and are answered and stored when they end.
    ///
    /// To be called by who drives the folder, with no fold before what it reports is taken in: a load that is found
    /// under way here was live when the last fold looked, or began later.
    pub(crate) fn give_up_late(&self, sweep: &Arc<Sweep<K, V>>) {
        let Some(Late { pieces, left }) = sweep.take_late() else {
            return;
        };
        for piece in pieces {
            // What has been answered in the last moment is not late.
            let flights = piece.flights.iter().filter(|flight| !flight.is_over());
            let mut late = 0;
            for flight in flights {
                late += 1;
                self.report_late(flight.number(), flight.hash(), flight.key());
                self.tell(KeyEvent::TimedOut, flight.key());
            }
            // One that has not even begun hangs in a `Hash` or `Eq` of its keys.
            let failed = match piece.flights.is_empty() {
                true => piece.keys,
                false => late,
            };
            self.count_late(failed);
            self.queue.give_up_sweep_piece(sweep);
            sweep.done_with_piece(failed);
        }
        if !left.is_empty() {
            let live = self.store.begin_load();
            for key in &left {
                let _ = contained(|| {
                    self.report_stale(live.number(), self.store.hash(key), key);
                    self.tell(KeyEvent::TimedOut, key);
                });
            }
            self.count_late(left.len());
            sweep.fail_left(left.len());
            left.into_iter().for_each(drop_contained);
        }
    }

    fn count_late(&self, keys: usize) {
        if keys > 0 {
            Counters::add(&self.stats.reloads_timed_out, keys);
            let error = Error::reload_timeout();
            self.events.send(Event::LoadFailed { keys, error });
        }
    }
}
