//! Removing what was found dead. DESIGN.md, "Values that die".

use super::worker::Refresher;
use crate::events::{Event, KeyEvent};
use crate::stats::Counters;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    /// Removes the values that reads have found dead, if they are still there, and reports a check that panics.
    pub(super) fn bury_dead(&mut self) {
        if !self.store.is_guarded() {
            return;
        }
        let (dead, failed, error) = self.store.take_dead();
        for dead in dead {
            // A key whose `Eq`, `Clone` or `Drop` panics is found again.
            let buried = self.contained(|this| {
                let buried = this.store.bury(&dead);
                if buried {
                    this.loads.tell(KeyEvent::Disappeared, dead.key());
                }
                drop(dead);
                buried
            });
            Counters::add(&self.stats.died, usize::from(buried.unwrap_or(false)));
        }
        if let Some(error) = error {
            Counters::add(&self.stats.alive_failed, failed);
            self.events.send(Event::AliveFailed { error });
        }
    }
}
