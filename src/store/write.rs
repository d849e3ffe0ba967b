//! Writes of values and tombstones, whatever is there. DESIGN.md, "Form C".

use std::hash::BuildHasher;

use super::budget::Purse;
use super::overlay::Nudge;
use super::{Content, Store, View, Write};
use crate::sync::fault;
use crate::tags::Tags;
use crate::{Key, Value};

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Writes a value, or a tombstone. Returns a value for which there is no room: then the key is removed.
    #[inline(always)]
    pub(crate) fn write(
        &self,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
    ) -> Result<(), Option<V>> {
        self.write_tagged(hash, key, content, None)
    }

    /// The same, with tags.
    #[inline(always)]
    pub(crate) fn write_tagged(
        &self,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
        tags: Option<&Tags>,
    ) -> Result<(), Option<V>> {
        let mut content = content.into();
        let tagging = self.begin_tagging(hash, &key, tags);
        let (nudge, refused) = self.inside_for(hash, |view| {
            if !view.caching && !fault::planted("writes_while_off") {
                return (Nudge::None, Err(None));
            }
            let mut purse = Purse::of(view);
            purse.take_shown(view, hash, &key);
            let mut refused = Ok(());
            if !purse.pay(content.weight.get()) {
                refused = Err(content.value.take());
                content = None.into();
            }
            let is_value = content.value.is_some();
            let (nudge, number) = self.put(view, hash, key, content, &mut purse);
            if is_value {
                view.active.say_tags(tagging, number);
            }
            (nudge, refused)
        });
        self.ring(nudge);
        refused
    }

    /// Writes all of them inside one gate: whole in every snapshot, or not at all. Where there is no room for all of
    /// them, all keys are removed. Returns whether they are written.
    pub(crate) fn write_group(&self, mut group: Vec<(u64, K, Content<V>)>) -> bool {
        if fault::planted("group_in_pieces") {
            for (hash, key, content) in group {
                let _ = self.write(hash, key, content);
            }
            return true;
        }
        // Outlives the gate: values that are refused are dropped outside.
        let mut refused = Vec::new();
        let (nudge, written) = self.inside(|view| {
            if !view.caching && !fault::planted("writes_while_off") {
                return (Nudge::None, true);
            }
            let mut purse = Purse::of(view);
            for (hash, key, _) in &group {
                view.give_way(*hash);
                purse.take_shown(view, *hash, key);
            }
            let written = purse.pay_all(group.iter().map(|(.., content)| content.weight.get()));
            let mut nudge = Nudge::None;
            for (hash, key, mut content) in std::mem::take(&mut group) {
                if !written {
                    refused.push(content.value.take());
                    content = None.into();
                }
                nudge = nudge.or(self.put(view, hash, key, content, &mut purse).0);
            }
            (nudge, written)
        });
        self.ring(nudge);
        written
    }

    /// Puts what the purse has paid for. Also returns the number that it has in the end.
    #[inline(always)]
    pub(super) fn put(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: K,
        content: Content<V>,
        purse: &mut Purse<'_>,
    ) -> (Nudge, u64) {
        let mut number = self.numbers.draw();
        let write = Write::new(number, content, self.times.moment());
        let is_late = fault::planted("value_before_mark");
        let late = is_late.then(|| key.clone());
        // What it looks at was asked for, and is there the sooner if there is other work first.
        let mark_first = |key: &K| {
            if !is_late {
                mark(view, hash, key);
            }
        };
        let draw = || {
            number = self.numbers.draw();
            number
        };
        view.active.put(hash, key, write, mark_first, purse, draw);
        if let Some(key) = late {
            mark(view, hash, &key);
        }
        (nudge(view, purse), number)
    }
}

/// What the folder has to be told after a write that was paid for from this purse, or was not.
#[inline]
pub(super) fn nudge<K: Eq, V>(view: &View<K, V>, purse: &Purse<'_>) -> Nudge {
    let nudge = view.active.nudge();
    match purse.wants_room() {
        false => nudge,
        true => view.active.press().or(nudge),
    }
}

/// Marks the key in the tables of a view, before anything is put.
pub(super) fn mark<K: Key, V>(view: &View<K, V>, hash: u64, key: &K) {
    mark_but(None, view, hash, key);
}

/// The same, but not in the table of epoch `not_in`, which does not hold the key: no table ever gets another
/// one, and the look for it may be a cache miss.
pub(super) fn mark_but<K: Key, V>(not_in: Option<u64>, view: &View<K, V>, hash: u64, key: &K) {
    if not_in != Some(view.current.epoch) {
        view.current.table.mark(hash, key);
    }
    if let Some(next) = &view.next
        && !fault::planted("marks_one_table")
    {
        next.table.mark(hash, key);
    }
}
