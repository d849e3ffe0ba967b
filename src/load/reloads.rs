//! The pieces of a refresh, as loads that begin.

use super::Loads;
use super::flight::{Answer, Flight, Keep, Plan};
use super::join::{Led, Part, at_birth};
use crate::error::Error;
use crate::store::LiveLoad;
use crate::sync::{Arc, fault};
use crate::{HashBuilder, Key, Value};

/// Reloads that have begun.
pub(super) struct Reloads<'a, K, V> {
    pub(super) flights: Vec<Arc<Flight<K, V>>>,
    pub(super) live: Option<LiveLoad<'a>>,
}

impl<K, V> Default for Reloads<'_, K, V> {
    fn default() -> Self {
        Self {
            flights: Vec::new(),
            live: None,
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Begins reloads of `keys` on this thread, of those that are cached and not in flight. Part of a
    /// refresh sweep.
    pub(super) fn begin_reloads(&self, keys: &[K], runner: u64) -> Reloads<'_, K, V> {
        let mut led = Led {
            loads: self,
            flights: Vec::new(),
        };
        let plan = Plan {
            reload: true,
            runner: at_birth(runner),
            not_in: None,
            keep: Keep::USUAL,
        };
        let view = self.store.view();
        for key in keys {
            let hash = self.store.hash(key);
            if view.is_present(hash, key)
                && let Ok(Part::Lead(flight)) = self.any_part(&view, hash, key, &plan)
            {
                led.flights.push(flight);
            }
        }
        drop(view);
        let mut live = None;
        let open = self.queue.begin_unqueued(&led.flights, || {
            live.insert(self.store.begin_load()).number()
        });
        let flights = led.disarm();
        if open {
            return Reloads { flights, live };
        }
        for flight in flights {
            if !fault::planted("closed_unanswered") {
                self.end(&flight, Answer::Failed(Error::closed()));
            }
        }
        Reloads::default()
    }
}
