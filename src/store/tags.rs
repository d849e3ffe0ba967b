//! Tags: what is cached under which, and forgetting all that is under one. DESIGN.md, "Tags".
//!
//! Neither a table nor a write knows of tags. Of what is in an overlay a log beside it says them, of what is in the
//! table the folder's index, which a fold brings up to what it publishes.

mod index;
mod log;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use self::index::Tagged;
pub(super) use self::index::{Plan as TagPlan, TagIndex};
pub(super) use self::log::TagLog;
use self::log::{Made, Record, Said};
use super::budget::Purse;
use super::by_hash::ByHash;
use super::changes::Changes;
use super::fold::Folder;
use super::gate::Gate;
use super::overlay::Overlay;
use super::write::{mark, nudge};
use super::{Store, View, Write};
use crate::sync::{Arc, Hashed, fault, order};
use crate::tags::{Tag, Tags};
use crate::{Key, Value};

/// So many tags are told apart of those invalidated while a load is under way; beyond that they count as all. Chosen, not
/// measured.
const MOST_FLOORS: usize = 1024;

/// Which tags were invalidated while loads were under way that are so still: the number of each invalidation. A load with
/// a lower one that brings the tag is not stored.
pub(crate) struct TagFloors {
    of: BTreeMap<Tag, u64>,
    /// Of any tag.
    all: u64,
}

impl TagFloors {
    /// The number below which a load is too old that brings these.
    pub(crate) fn of(&self, tags: &Tags) -> u64 {
        let floors = tags.iter().filter_map(|tag| self.of.get(tag));
        floors.copied().max().unwrap_or(0).max(self.all)
    }

    /// These and what is invalidated now, as far as the oldest load under way can be below it.
    fn raised(before: Option<&Self>, tags: &Tags, number: u64, oldest: u64) -> Self {
        let mut raised = Self::since(before, oldest);
        for tag in tags {
            raised.of.insert(tag.clone(), number);
        }
        if raised.of.len() > MOST_FLOORS {
            raised.of.clear();
            raised.all = number;
        }
        raised
    }

    fn since(before: Option<&Self>, oldest: u64) -> Self {
        let mut since = Self {
            of: BTreeMap::new(),
            all: 0,
        };
        if let Some(before) = before {
            let may_matter = before.of.iter().filter(|(_, number)| **number > oldest);
            since.of = may_matter
                .map(|(tag, number)| (tag.clone(), *number))
                .collect();
            since.all = Some(before.all).filter(|all| *all > oldest).unwrap_or(0);
        }
        since
    }
}

/// The tags of a write that is about to be put.
pub(super) struct Tagging<K> {
    key: Hashed<K>,
    pub(super) tags: Tags,
}

impl<K, V> Overlay<K, V> {
    /// A write with this number was put, and is tagged so. To be called inside the same gate.
    pub(super) fn say_tags(&self, tagging: Option<Tagging<K>>, number: u64) {
        if let Some(Tagging { key, tags }) = tagging {
            self.tags.say(key, number, Said::Of(tags));
        }
    }
}

impl<K, V> View<K, V> {
    /// Whether a load with this number began before one of the tags that it brings was invalidated.
    pub(super) fn overtook<T>(&self, load: u64, tagging: Option<&Tagging<T>>) -> bool {
        let tags = tagging.map(|tagging| &tagging.tags);
        let floors = self.tag_floors.as_ref().zip(tags);
        floors.is_some_and(|(floors, tags)| load < floors.of(tags))
            && !fault::planted("tag_floors_ignored")
    }
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// To be called before anything is written with tags: who sees such a write sees that there are any. Returns what is
    /// to be said once it is put.
    #[inline]
    pub(super) fn begin_tagging(
        &self,
        hash: u64,
        key: &K,
        tags: Option<&Tags>,
    ) -> Option<Tagging<K>> {
        let tags = tags?.clone();
        if !self.tagging.load(order::COUNT) {
            self.tagging.store(true, order::COUNT);
        }
        let key = Hashed::new(hash, key.clone());
        Some(Tagging { key, tags })
    }

    /// A value is about to be put in the place of another, of which it was made, under this number: it has its tags.
    /// `made_from` is the number of that one, if it is a write in an overlay, not below the active one. To be called
    /// before it is put, since who forgets what is under a tag must not find it without.
    #[inline]
    pub(super) fn keep_tags(
        &self,
        view: &View<K, V>,
        (hash, key): (u64, &K),
        number: u64,
        made_from: Option<u64>,
    ) {
        if self.tagging.load(order::COUNT) {
            self.keep_tags_there(view, (hash, key), number, made_from);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_tags_there(
        &self,
        view: &View<K, V>,
        (hash, key): (u64, &K),
        number: u64,
        made_from: Option<u64>,
    ) {
        if !fault::planted("tags_not_kept") {
            let made = made_from.map_or(Made::Below(view.current.epoch), Made::From);
            let key = Hashed::new(hash, key.clone());
            view.active.tags.say(key, number, Said::As(made));
        }
    }

    /// Takes out a key if what it has is tagged so, under this number or a higher one. Returns its tags,
    /// and whether it had a value.
    fn expel<'v>(
        &self,
        view: &'v View<K, V>,
        index: &TagIndex<K>,
        (tags, number): (&Tags, u64),
        (hash, key): (u64, &K),
    ) -> Option<(Tags, bool)> {
        loop {
            let seen: Option<&'v Write<V>> = view.active.get(hash, key);
            let tagged = match seen {
                Some(write) => {
                    write.content().value.as_ref()?;
                    let log = &view.active.tags;
                    index.origin(log, hash, key, write.number())?
                }
                None => index.standing(hash, key)?.clone(),
            };
            if !tagged.meet(tags) {
                return None;
            }
            let was_live = view.holds(hash, key);
            let above = seen.map_or(0, Write::number);
            let number = if above < number {
                number
            } else {
                self.numbers.draw()
            };
            let mut purse = Purse::of(view);
            purse.take_seen(view, seen, hash, key);
            mark(view, hash, key);
            let tombstone = Write::new(number, None.into(), self.times.moment());
            let identity = seen.map(Write::identity);
            let active = &view.active;
            let put = active.put_if(hash, key.clone(), tombstone, &mut purse, |there| {
                there.map(Write::identity) == identity || fault::planted("tags_over_writes")
            });
            if put {
                // The folder is who comes here, and looks by itself.
                let _ = nudge(view, &purse);
                return Some((tagged, was_live));
            }
        }
    }
}

impl<K: Key, V: Value> Folder<K, V> {
    /// Forgets all that is cached under one of these tags, and calls `each` with the tags of every value that went:
    /// in every snapshot all of them are gone, or none. A load that began before and brings one of them is not stored
    /// after this.
    ///
    /// May panic where `Clone`, `Eq` or `Hash` of the user does: then some are gone, and this is to be done again.
    pub(crate) fn invalidate_tags<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        tags: &Tags,
        mut each: impl FnMut(&Tags),
    ) {
        // What is sealed is in the table then, and in the index.
        self.finish_fold(store);
        self.finish_joints(store);
        let view = store.cell.load_full();
        if !view.caching {
            return;
        }
        let number = store.numbers.draw();
        // A load that is not seen here draws a higher one.
        let oldest = store.numbers.lowest_live();
        let raised = |oldest| TagFloors::raised(view.tag_floors.as_deref(), tags, number, oldest);
        let floored = View {
            gate: Gate::new(),
            tag_floors: oldest.map(raised).map(Arc::new),
            ..View::clone(&view)
        };
        self.replace(store, floored);
        view.gate.close();
        // Then all that was put by who does not know of it is there, with its tags.
        if !fault::planted("tags_do_not_wait") {
            view.gate.wait_sealed();
        }
        let view = store.cell.load_full();
        let mut keys = match fault::planted("tags_of_the_overlay_only") {
            false => self.tags.under(tags),
            true => Vec::new(),
        };
        let written = view.active.tags.all();
        // What was made from another has them from what is in the index, or from what is among these.
        let is_under = |record: &Record<K>| match &record.said {
            Said::Of(of) => of.meet(tags),
            Said::As(_) => false,
        };
        let under = written.iter().filter(|record| is_under(record));
        keys.extend(under.map(|record| (record.key.hash, record.key.key().clone())));
        for (hash, key) in &keys {
            let gone = store.expel(&view, &self.tags, (tags, number), (*hash, key));
            if let Some((tagged, true)) = gone {
                each(&tagged);
            }
        }
    }

    /// Takes note of what a fold changes. To be called before it is published.
    pub(super) fn plan_tags(&mut self, changes: &Changes<'_, K, V>, sealed: &Overlay<K, V>) {
        self.planned_tags = None;
        if !self.has_tags(Some(sealed)) {
            return;
        }
        let mut plan = TagPlan::new();
        for (hash, key, stays) in changes.of_keys() {
            match sealed.get(hash, key) {
                Some(write) => {
                    let tagged = self.tagged(sealed, hash, key, write);
                    plan.write(&self.tags, (hash, key), tagged, stays);
                }
                None => plan.leave_key(&self.tags, hash, key),
            }
        }
        self.planned_tags = Some(plan);
    }

    fn has_tags(&self, sealed: Option<&Overlay<K, V>>) -> bool {
        !self.tags.is_empty() || sealed.is_some_and(|sealed| !sealed.tags.is_empty())
    }

    /// The keys of what is laid over a dataset, as far as that matters to tags.
    pub(super) fn keys_to_tag(
        &self,
        changes: &Changes<'_, K, V>,
        sealed: Option<&Overlay<K, V>>,
    ) -> ByHash<K, ()> {
        let mut keys = ByHash::new();
        if self.has_tags(sealed) {
            for (hash, key) in changes.keys() {
                keys.add(Hashed::new(hash, key.clone()), ());
            }
        }
        keys
    }

    /// The same of a publication that replaces everything, but for keys of which `stays` says that what is there of them
    /// is what was there before, or was written.
    pub(super) fn plan_tags_of_all(
        &mut self,
        sealed: Option<&Overlay<K, V>>,
        stays: impl Fn(u64, &K) -> bool,
    ) {
        self.planned_tags = None;
        if !self.has_tags(sealed) {
            return;
        }
        let mut plan = TagPlan::new();
        if let Some(sealed) = sealed {
            sealed.for_each(|hash, key, write| {
                let tagged = self.tagged(sealed, hash, key, write);
                plan.write(&self.tags, (hash, key), tagged, stays(hash, key));
            });
        }
        for (place, key) in self.tags.keys() {
            let is_sealed = sealed.is_some_and(|sealed| sealed.get(place.0, key).is_some());
            match stays(place.0, key) {
                _ if is_sealed => {}
                true => plan.stay(place),
                false => plan.leave(place),
            }
        }
        self.planned_tags = Some(plan);
    }

    fn tagged(
        &self,
        sealed: &Overlay<K, V>,
        hash: u64,
        key: &K,
        write: &Write<V>,
    ) -> Option<Tagged> {
        write.content().value.as_ref()?;
        let tags = self.tags.origin(&sealed.tags, hash, key, write.number())?;
        Some(Tagged {
            number: write.number(),
            tags,
        })
    }

    /// What was planned is published.
    pub(super) fn enter_tags(&mut self, epoch: u64) {
        if let Some(plan) = self.planned_tags.take()
            && !fault::planted("tags_lost_in_a_fold")
        {
            // What leaves during a fetch may be laid over the dataset, and come back.
            let keep_leaving = self.since.is_some();
            self.tags.enter(plan, epoch, keep_leaving);
        }
    }

    /// Everything is gone.
    pub(super) fn forget_tags(&mut self) {
        self.planned_tags = None;
        self.tags.clear();
    }

    /// What of it is remembered.
    #[cfg(all(test, not(larder_shuttle)))]
    pub(crate) fn tagged_keys(&self) -> usize {
        self.tags.len()
    }

    /// How many tags there are in it.
    #[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
    pub(crate) fn known_tags(&self) -> usize {
        self.tags.known()
    }

    /// The floors that still matter to a load under way.
    pub(super) fn tag_floors_left<S: BuildHasher>(
        &self,
        store: &Store<K, V, S>,
        view: &View<K, V>,
    ) -> Option<Arc<TagFloors>> {
        let floors = view.tag_floors.as_deref()?;
        if fault::planted("tag_floors_of_one_view") {
            return None;
        }
        let oldest = store.numbers.lowest_live()?;
        let left = TagFloors::since(Some(floors), oldest);
        let is_any = left.all > 0 || !left.of.is_empty();
        is_any.then(|| Arc::new(left))
    }
}
