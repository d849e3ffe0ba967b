//! The bare map, a map behind a lock, and the concurrent maps.

use std::sync::{Arc, RwLock};

use super::{Lane, Map, Subject};
use crate::workload::{Dataset, Hasher, Key, hasher};

/// The name of the row that all ratios are against.
pub const BARE: &str = "bare hashbrown map";

struct Bare<K>(Arc<Map<K>>);

impl<K: Key> Subject<K> for Bare<K> {
    const NAME: &'static str = BARE;

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key).copied()
    }
}

struct Locked<K>(RwLock<Map<K>>);

impl<K: Key> Subject<K> for Locked<K> {
    const NAME: &'static str = "RwLock + map";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject
            .0
            .read()
            .expect("no reader panics")
            .get(key)
            .copied()
    }
}

struct Papaya<K>(papaya::HashMap<K, u64, Hasher>);

impl<K: Key> Subject<K> for Papaya<K> {
    const NAME: &'static str = "papaya";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.pin().get(key).copied()
    }
}

struct DashMap<K>(dashmap::DashMap<K, u64, Hasher>);

impl<K: Key> Subject<K> for DashMap<K> {
    const NAME: &'static str = "dashmap";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key).map(|value| *value)
    }
}

struct HashIndex<K: Key>(scc::HashIndex<K, u64, Hasher>);

impl<K: Key> Subject<K> for HashIndex<K> {
    const NAME: &'static str = "scc::HashIndex";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.peek_with(key, |_, &value| value)
    }
}

/// Returns the floor.
pub(super) fn bare<K: Key>(map: &Arc<Map<K>>) -> Box<dyn Lane<K>> {
    Box::new(Bare(Arc::clone(map)))
}

pub(super) fn locked<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    Box::new(Locked(RwLock::new(data.iter().collect())))
}

pub(super) fn papaya<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    let map = papaya::HashMap::builder()
        .capacity(data.size())
        .hasher(hasher())
        .build();
    data.iter().for_each(|(key, value)| {
        map.pin().insert(key, value);
    });
    Box::new(Papaya(map))
}

pub(super) fn dashmap<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    let map = dashmap::DashMap::with_capacity_and_hasher(data.size(), hasher());
    data.iter().for_each(|(key, value)| {
        map.insert(key, value);
    });
    Box::new(DashMap(map))
}

pub(super) fn hash_index<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    let index = scc::HashIndex::with_capacity_and_hasher(data.size(), hasher());
    for (key, value) in data.iter() {
        assert!(index.insert_sync(key, value).is_ok(), "the keys differ");
    }
    Box::new(HashIndex(index))
}
