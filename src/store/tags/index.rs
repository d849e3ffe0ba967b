//! The folder's account of which tags the entries of the table have.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Made, Said, TagLog};
use crate::Key;
use crate::store::by_hash::{ByHash, Place};
use crate::sync::{Hashed, fault};
use crate::tags::{Tag, Tags};

/// What an entry is tagged with.
pub(super) struct Tagged {
    /// Of the write that the entry is from.
    pub(super) number: u64,
    pub(super) tags: Tags,
}

/// Which entries of the table have tags. Only the folder has it.
pub(in crate::store) struct TagIndex<K> {
    keys: ByHash<K, Tagged>,
    places: BTreeMap<Tag, BTreeSet<Place>>,
    /// What left the table by itself, expired or evicted or with all the rest. A write that was made from it may come
    /// until the next seal, and has its tags. With the first epoch without it: there may be another value of the key in
    /// that.
    leaving: BTreeMap<Place, u64>,
}

/// What a publication changes in it: made before, since that calls code of the user's, and entered after.
pub(in crate::store) struct Plan<K> {
    known: Vec<(Place, Tagged)>,
    new: Vec<(Hashed<K>, Tagged)>,
    gone: Vec<Place>,
    leaving: Vec<Place>,
    /// What stays, though it may have left before.
    staying: Vec<Place>,
    /// What is new and has left already.
    passing: Vec<(Hashed<K>, Tagged)>,
}

impl<K: Key> TagIndex<K> {
    pub(in crate::store) fn new() -> Self {
        Self {
            keys: ByHash::new(),
            places: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    #[cfg(all(test, not(larder_shuttle)))]
    pub(in crate::store) fn len(&self) -> usize {
        self.keys.len()
    }

    #[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
    pub(super) fn known(&self) -> usize {
        self.places.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// The tags of an entry of the table.
    pub(super) fn standing(&self, hash: u64, key: &K) -> Option<&Tags> {
        let place = self.keys.find(hash, key)?;
        if self.leaving.contains_key(&place) {
            return None;
        }
        self.keys.at(place).map(|tagged| &tagged.tags)
    }

    /// The keys with one of these tags, also of what has left.
    pub(super) fn under(&self, tags: &Tags) -> Vec<(u64, K)> {
        let places = tags.iter().filter_map(|tag| self.places.get(tag));
        let places: BTreeSet<&Place> = places.flatten().collect();
        let keys = places.into_iter().filter_map(|place| {
            let key = self.keys.key_at(*place)?;
            Some((place.0, key.clone()))
        });
        keys.collect()
    }

    /// All keys with any.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Place, &K)> {
        self.keys.iter()
    }

    /// The tags of a write in an overlay that lies over this.
    pub(super) fn origin(&self, log: &TagLog<K>, hash: u64, key: &K, number: u64) -> Option<Tags> {
        let mut records = log.of(hash);
        records.retain(|record| record.key.key() == key);
        let tags_of = |tagged: &Tagged| tagged.tags.clone();
        let mut at = number;
        loop {
            // Of two writes of one load the later stands.
            let said = records.iter().rev().find(|record| record.number == at);
            match said.map(|record| &record.said) {
                Some(Said::Of(tags)) => return Some(tags.clone()),
                Some(Said::As(Made::From(before))) if *before < at => at = *before,
                Some(Said::As(Made::From(_))) => return None,
                Some(Said::As(Made::Below(epoch))) => {
                    let place = self.keys.find(hash, key)?;
                    let left = self.leaving.get(&place);
                    let is_it = left.is_none_or(|left| epoch < left);
                    return is_it.then(|| self.keys.at(place))?.map(tags_of);
                }
                // What nothing is said of has none, unless it is what was folded.
                None if at == number => return None,
                None => {
                    let tagged = self.keys.get(hash, key);
                    return tagged.filter(|tagged| tagged.number == at).map(tags_of);
                }
            }
        }
    }

    /// Enters what was planned and is published with this epoch. What has left before is forgotten, if no write can
    /// come any more that was made from it. Calls nothing of the user's but the `Drop` of keys.
    pub(super) fn enter(&mut self, plan: Plan<K>, epoch: u64, keep_leaving: bool) {
        let mut left = std::mem::take(&mut self.leaving);
        for (place, tagged) in plan.known {
            left.remove(&place);
            self.retag(place, tagged);
        }
        for (key, tagged) in plan.new {
            self.add(key, tagged);
        }
        for place in plan.gone {
            left.remove(&place);
            self.remove(place);
        }
        for place in plan.staying {
            left.remove(&place);
        }
        for place in plan.leaving {
            left.remove(&place);
            self.leaving.insert(place, epoch);
            if fault::planted("tags_leave_at_once") {
                left.insert(place, epoch);
            }
        }
        for (key, tagged) in plan.passing {
            let place = self.add(key, tagged);
            self.leaving.insert(place, epoch);
        }
        if keep_leaving {
            self.leaving.append(&mut left);
        } else if !fault::planted("tags_never_leave") {
            left.into_keys().for_each(|place| self.remove(place));
        }
    }

    fn add(&mut self, key: Hashed<K>, tagged: Tagged) -> Place {
        let tagged = self.shared(tagged);
        let tags = tagged.tags.clone();
        let place = self.keys.add(key, tagged);
        self.place(place, &tags);
        place
    }

    fn retag(&mut self, place: Place, tagged: Tagged) {
        let before = self.keys.at(place).map(|before| before.tags.clone());
        let tagged = self.shared(tagged);
        let tags = tagged.tags.clone();
        self.keys.set(place, tagged);
        if before.as_ref() != Some(&tags) {
            self.displace(place, before.as_ref());
            self.place(place, &tags);
        }
    }

    fn remove(&mut self, place: Place) {
        if let Some((_, tagged)) = self.keys.take(place) {
            self.displace(place, Some(&tagged.tags));
        }
    }

    /// Each tag is held once, however many values a loader makes it anew for.
    fn shared(&self, tagged: Tagged) -> Tagged {
        let held = |tag: &Tag| {
            let held = self.places.get_key_value(tag);
            held.map_or(tag, |(held, _)| held).clone()
        };
        let is_shared = |tag: &Tag| held(tag).is_same(tag);
        if tagged.tags.iter().all(is_shared) {
            return tagged;
        }
        let tags = tagged.tags.iter().map(held).collect();
        Tagged { tags, ..tagged }
    }

    fn place(&mut self, place: Place, tags: &Tags) {
        for tag in tags {
            self.places.entry(tag.clone()).or_default().insert(place);
        }
    }

    fn displace(&mut self, place: Place, tags: Option<&Tags>) {
        for tag in tags.into_iter().flatten() {
            if let Some(places) = self.places.get_mut(tag) {
                places.remove(&place);
                if places.is_empty() {
                    self.places.remove(tag);
                }
            }
        }
    }
}

impl<K: Key> Plan<K> {
    pub(super) fn new() -> Self {
        Self {
            known: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
            leaving: Vec::new(),
            staying: Vec::new(),
            passing: Vec::new(),
        }
    }

    /// A key is written anew, with these tags or none; and stays, or has left already.
    pub(super) fn write(
        &mut self,
        index: &TagIndex<K>,
        (hash, key): (u64, &K),
        tagged: Option<Tagged>,
        stays: bool,
    ) {
        match (index.keys.find(hash, key), tagged) {
            (Some(place), Some(tagged)) => {
                self.known.push((place, tagged));
                if !stays {
                    self.leaving.push(place);
                }
            }
            (None, Some(tagged)) => {
                let key = Hashed::new(hash, key.clone());
                match stays {
                    true => self.new.push((key, tagged)),
                    false => self.passing.push((key, tagged)),
                }
            }
            (Some(place), None) => self.gone.push(place),
            (None, None) => {}
        }
    }

    /// A key leaves the table by itself.
    pub(super) fn leave(&mut self, place: Place) {
        self.leaving.push(place);
    }

    /// A key is in the table that is published, as it was written before.
    pub(super) fn stay(&mut self, place: Place) {
        self.staying.push(place);
    }

    pub(super) fn leave_key(&mut self, index: &TagIndex<K>, hash: u64, key: &K) {
        if let Some(place) = index.keys.find(hash, key) {
            self.leave(place);
        }
    }
}
