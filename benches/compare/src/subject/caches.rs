//! The caches that evict, with room for everything.

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::{Lane, Subject};
use crate::workload::{Dataset, Hasher, Key, hasher};

struct Quick<K>(Cache<K, u64, UnitWeighter, Hasher>);

impl<K: Key> Subject<K> for Quick<K> {
    const NAME: &'static str = "quick_cache";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key)
    }
}

struct Moka<K>(moka::sync::Cache<K, u64, Hasher>);

impl<K: Key> Subject<K> for Moka<K> {
    const NAME: &'static str = "moka (sync)";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key)
    }
}

pub(super) fn quick<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    // Its shards fill unevenly; with room for twice as many none of them evicts.
    let room = 2 * data.size() as u64;
    let cache = Cache::with(
        data.size(),
        room,
        UnitWeighter,
        hasher(),
        DefaultLifecycle::default(),
    );
    data.iter()
        .for_each(|(key, value)| cache.insert(key, value));
    Box::new(Quick(cache))
}

pub(super) fn moka<K: Key>(data: &Dataset<K>) -> Box<dyn Lane<K>> {
    let cache = moka::sync::Cache::builder()
        .initial_capacity(data.size())
        .build_with_hasher(hasher());
    data.iter()
        .for_each(|(key, value)| cache.insert(key, value));
    cache.run_pending_tasks();
    Box::new(Moka(cache))
}
