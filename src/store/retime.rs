//! A new time for a value that is there.

use std::hash::BuildHasher;

use super::budget::Purse;
use super::conditional::wait_sealed;
use super::overlay::Nudge;
use super::write::{mark, nudge};
use super::{Content, Store, Write};
use crate::clock::Deadline;
use crate::sync::fault;
use crate::{Key, Value};

/// Whether a value has a new time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retimed {
    Yes,
    /// The key has no value.
    Absent,
    /// To be tried again once what is being made is published.
    NotYet,
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Has the value of a key expire at `expires`.
    ///
    /// It is the same write once more, with another time, so it keeps its number: a load that began before may still
    /// bring a newer value, and what is stale remains so. Where much is about to be replaced it is not known whether that
    /// goes, and over the new table it would come back: then this is to be tried again once that is published. Waits as
    /// [`write_if_absent`](Self::write_if_absent) does.
    pub(crate) fn retime(&self, hash: u64, key: &K, expires: Deadline) -> Retimed {
        let mut is_early = false;
        let nudge = self.inside_for(hash, |view| {
            wait_sealed(view);
            let (now, idle) = (self.times.clock.coarse(), self.times.idle);
            loop {
                let current = view.active.get(hash, key);
                let seen = current.map(Write::identity);
                let (value, number) = match current.or_else(|| view.under_active(hash, key)) {
                    Some(write) => (write.value_at(now, idle)?, write.number()),
                    // Its number is not known any more. It is less than that of any load that may be stored, and at
                    // least the floor by which the table was made.
                    None => (
                        view.current.table.find_at(hash, key, now)?,
                        view.current.floor,
                    ),
                };
                if number < view.floor && !fault::planted("retimed_over_datasets") {
                    return match fault::planted("retimed_in_vain") {
                        true => Some(Nudge::None),
                        false => {
                            is_early = true;
                            None
                        }
                    };
                }
                let weight = match current {
                    Some(write) => write.content().weight.get(),
                    None => view.weight(hash, key),
                };
                let mut purse = Purse::of(view);
                purse.take_seen(view, current, hash, key);
                if !purse.pay(weight) {
                    // Somebody else has taken what it weighs, and is about to write the key.
                    return Some(Nudge::None);
                }
                let content = Content::until(value.clone(), expires).weighing(weight);
                let write = Write::new(number, content, self.times.moment());
                if current.is_none() {
                    self.keep_tags(view, (hash, key), number, None);
                }
                mark(view, hash, key);
                let active = &view.active;
                let put = active.put_if(hash, key.clone(), write, &mut purse, |there| {
                    there.map(Write::identity) == seen || fault::planted("retimed_over_writes")
                });
                if put {
                    return Some(nudge(view, &purse));
                }
                // Somebody has written it meanwhile.
            }
        });
        match nudge {
            Some(nudge) => {
                self.ring(nudge);
                Retimed::Yes
            }
            None if is_early => Retimed::NotYet,
            None => Retimed::Absent,
        }
    }
}
