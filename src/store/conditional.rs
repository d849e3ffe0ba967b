//! Writes that depend on what is there: if a key is absent, if a load is newer, if a value is still the same.

use std::hash::BuildHasher;

use super::budget::Purse;
use super::overlay::Nudge;
use super::seen::Seen;
use super::tags::Tagging;
use super::write::{mark, mark_but, nudge};
use super::{Content, LiveLoad, Store, View, Write};
use crate::clock::Deadline;
use crate::sync::fault;
use crate::tags::Tags;
use crate::{Key, Value};

/// Whether a load's result went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    Stored,
    /// Something newer is there, or was.
    Superseded,
    /// Nothing is stored at present.
    Off,
    /// There is no room for it. What was there before is gone.
    Refused,
}

/// What becomes of a key for whose new value there is no room.
#[derive(Clone, Copy, PartialEq)]
enum Unpaid {
    Removed,
    /// It is left alone, if it has none.
    Left,
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Writes a value if the key has none; else returns the one that it has, or this one if there is no room for it.
    ///
    /// Waits, in the moment between a rotation and its seal, for the writers of the sealed overlay.
    /// Not to be called in the middle of a write: see [`inside_a_write`](super::inside_a_write).
    pub(crate) fn write_if_absent(
        &self,
        hash: u64,
        key: K,
        content: Content<V>,
    ) -> Result<(), IfAbsent<V>> {
        let mut pressed = Nudge::None;
        let nudge = self.inside_for(hash, |view| {
            if !view.caching && !fault::planted("decides_while_off") {
                return Ok(Nudge::None);
            }
            wait_sealed(view);
            // One moment for all: what has not expired in one look must not have in the next.
            let (now, idle) = (self.times.clock.coarse(), self.times.idle);
            let below = match view.under_active(hash, &key) {
                Some(write) => write.value_at(now, idle).cloned(),
                None => view.current.table.find_at(hash, &key, now).cloned(),
            };
            let mut purse = Purse::of(view);
            if view.budget.is_some() {
                let seen = view.active.get(hash, &key);
                let present = match seen {
                    Some(write) => write.value_at(now, idle).cloned(),
                    None => below.clone(),
                };
                if let Some(value) = present {
                    return Err(IfAbsent::Present(value));
                }
                // Nothing but what has expired, which counts no more, whatever becomes of this.
                purse.take_seen(view, seen, hash, &key);
                if !purse.pay(content.weight.get()) {
                    pressed = nudge(view, &purse);
                    return Err(IfAbsent::Refused(content.value));
                }
            }
            mark(view, hash, &key);
            let write = Write::new(self.numbers.draw(), content, self.times.moment());
            let is_absent = |there: Option<&Write<V>>| match there {
                Some(write) => write.value_at(now, idle).is_none(),
                None => below.is_none(),
            };
            let (active, draw) = (&view.active, || self.numbers.draw());
            match active.put_if_absent(hash, key, write, is_absent, &mut purse, draw) {
                Ok(()) => Ok(nudge(view, &purse)),
                Err(there) => {
                    let present = there.map_or(below, |write| write.value_at(now, idle).cloned());
                    // Always some, or it would have been put.
                    present.map_or(Ok(Nudge::None), |value| Err(IfAbsent::Present(value)))
                }
            }
        });
        self.ring(pressed);
        nudge.map(|nudge| self.ring(nudge))
    }

    /// Draws the number of a load that begins now. The load's key must be looked up after this.
    pub(crate) fn begin_load(&self) -> LiveLoad<'_> {
        self.numbers.begin_load()
    }

    /// Stores what a load brought, unless the key was changed since the load began.
    ///
    /// There is no value for a key that is gone at the source; `not_in` is the epoch of a table that has been
    /// seen not to hold the key, if there is one. Waits as [`write_if_absent`](Self::write_if_absent) does.
    pub(crate) fn install(
        &self,
        load: u64,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
        not_in: Option<u64>,
    ) -> Installed {
        self.install_tagged(load, hash, key, content, None, not_in)
    }

    /// The same with tags: if one of them was invalidated since the load began, it is not stored either.
    pub(crate) fn install_tagged(
        &self,
        load: u64,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
        tags: Option<&Tags>,
        not_in: Option<u64>,
    ) -> Installed {
        let tagging = self.begin_tagging(hash, &key, tags);
        let content = (content.into(), tagging);
        self.put_loaded(load, hash, key, content, not_in, |view| {
            let folded = view.echo.as_ref().and_then(|echo| echo.last(hash));
            folded.unwrap_or(0)
        })
    }

    /// Takes out a key that has not been folded since a load of it began which failed: as if that load
    /// had found it gone. Returns whether it went.
    ///
    /// The echo is not asked. It speaks for all keys of a hash, and one of them must not keep another.
    pub(crate) fn take_out(&self, load: u64, hash: u64, key: &K) -> bool {
        self.view().is_present(hash, key)
            && self.put_loaded(load, hash, key.clone(), (None.into(), None), None, |_| 0)
                == Installed::Stored
    }

    /// Changes the value of a key to what `change` makes of it; `None` leaves it. What comes first is `change`, with
    /// nothing held, told also when the value expires and what it weighs; then it is put if the key is still as it was, and
    /// else `change` is asked again. Returns the last that it said. Waits as [`write_if_absent`](Self::write_if_absent) does.
    ///
    /// `load` is the number of the load that it is said by, if it is one: then nothing must have changed since that
    /// began, and else `u64::MAX`. Where there is no room for what it says, the key is removed: then `None` is what it
    /// said.
    pub(crate) fn update(
        &self,
        load: u64,
        hash: u64,
        key: &K,
        change: impl FnMut(Option<&V>, Deadline, u64) -> Option<Content<V>>,
    ) -> Option<Content<V>> {
        self.update_or(Unpaid::Removed, load, hash, key, change)
    }

    /// The same for who writes only where no value lives: where there is no room and nothing to remove, nothing is left
    /// behind.
    pub(crate) fn update_or_leave(
        &self,
        hash: u64,
        key: &K,
        change: impl FnMut(Option<&V>, Deadline, u64) -> Option<Content<V>>,
    ) -> Option<Content<V>> {
        self.update_or(Unpaid::Left, u64::MAX, hash, key, change)
    }

    fn update_or(
        &self,
        unpaid: Unpaid,
        load: u64,
        hash: u64,
        key: &K,
        mut change: impl FnMut(Option<&V>, Deadline, u64) -> Option<Content<V>>,
    ) -> Option<Content<V>> {
        loop {
            let held = self.load_view();
            let seen = Seen::of(&held, hash, key);
            if held.last_change(hash, key) > load {
                return None;
            }
            let expires = held.deadline(hash, key).unwrap_or(Deadline::NEVER);
            let weight = held.weight(hash, key);
            let before = held.uncounted(hash, key);
            let mut changed = change(before, expires, weight)?;
            // Outlives the gate.
            let mut refused = None;
            let nudge = self.inside_for(hash, |view| {
                if !view.caching && !fault::planted("decides_while_off") {
                    return Some(Nudge::None);
                }
                wait_sealed(view);
                if Seen::of(view, hash, key) != seen || load < view.floor {
                    return None;
                }
                let current = view.active.get(hash, key);
                let active = current.map(Write::identity);
                // The first look may have been at another.
                if active.is_some() && active != seen.write {
                    return None;
                }
                let mut purse = Purse::of(view);
                purse.take_seen(view, current, hash, key);
                if !purse.pay(changed.weight.get()) {
                    refused = changed.value.take();
                    changed = None.into();
                    // What is dead goes in any case.
                    if unpaid == Unpaid::Left && !view.holds(hash, key) {
                        return Some(nudge(view, &purse));
                    }
                }
                let number = self.numbers.draw();
                let keep_tags = || {
                    if before.is_some() && changed.value.is_some() {
                        let made_from = active.map(|it| it.number);
                        self.keep_tags(view, (hash, key), number, made_from);
                    }
                };
                let late = fault::planted("tags_kept_late");
                if !late {
                    keep_tags();
                }
                mark(view, hash, key);
                let write = Write::new(number, changed.clone(), self.times.moment());
                let place = &view.active;
                let put = place.put_if(hash, key.clone(), write, &mut purse, |there| {
                    there.map(Write::identity) == active || fault::planted("updates_over_writes")
                });
                if late {
                    keep_tags();
                }
                put.then(|| nudge(view, &purse))
            });
            if let Some(nudge) = nudge {
                self.ring(nudge);
                return Some(changed);
            }
        }
    }

    /// Puts what a load brought, unless something newer is there or, as `folded` says, has been folded.
    fn put_loaded(
        &self,
        load: u64,
        hash: u64,
        key: K,
        (content, tagging): (Content<V>, Option<Tagging<K>>),
        not_in: Option<u64>,
        folded: impl FnOnce(&View<K, V>) -> u64,
    ) -> Installed {
        let mut content = content;
        // Outlives the gate.
        let (mut refused, mut is_refused) = (None, false);
        let mut pressed = Nudge::None;
        let nudge = self.inside_for(hash, |view| {
            if !view.caching && !fault::planted("loads_while_off") {
                return Err(Installed::Off);
            }
            wait_sealed(view);
            let below = view
                .under_active(hash, &key)
                .map_or(0, |write| write.number());
            let floor = if fault::planted("floor_ignored") {
                0
            } else {
                view.floor
            };
            let overtaken = view.overtook(load, tagging.as_ref());
            if overtaken || load < below.max(folded(view)).max(floor) {
                return Err(Installed::Superseded);
            }
            let mut purse = Purse::of(view);
            if view.budget.is_some() {
                let seen = view.active.get(hash, &key);
                if seen.is_some_and(|write| write.number() > load) {
                    return Err(Installed::Superseded);
                }
                purse.take_seen(view, seen, hash, &key);
                if !purse.pay(content.weight.get()) {
                    is_refused = true;
                    refused = content.value.take();
                    if !view.holds(hash, &key) {
                        pressed = nudge(view, &purse);
                        return Err(Installed::Refused);
                    }
                    content = None.into();
                }
            }
            mark_but(not_in, view, hash, &key);
            let tagging = tagging.filter(|_| !is_refused);
            let write = Write::new(load, content, self.times.moment());
            let put = view.active.put_if(hash, key, write, &mut purse, |current| {
                current.is_none_or(|current| current.number() <= load)
                    || fault::planted("load_ignores_numbers")
            });
            if !put {
                return Err(Installed::Superseded);
            }
            view.active.say_tags(tagging, load);
            Ok(nudge(view, &purse))
        });
        drop(refused);
        self.ring(pressed);
        match nudge {
            Ok(nudge) => {
                self.ring(nudge);
                if is_refused {
                    Installed::Refused
                } else {
                    Installed::Stored
                }
            }
            Err(why) => why,
        }
    }
}

/// Why a value was not written for a key that was to be absent.
pub(crate) enum IfAbsent<V> {
    /// The key has this value.
    Present(V),
    /// There is no room for the value, which this is.
    Refused(Option<V>),
}

/// A conditional write decides on what is there, so nobody may still be writing underneath.
pub(super) fn wait_sealed<K, V>(view: &View<K, V>) {
    if let Some(sealed) = &view.sealed
        && !fault::planted("conditional_does_not_wait")
    {
        sealed.gate.wait_sealed();
    }
}
