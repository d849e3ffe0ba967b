//! A map behind an atomically swapped pointer, loaded per get or through a per-thread cache.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::{Lane, Map, Subject};
use crate::workload::Key;

struct LoadEach<K>(ArcSwap<Map<K>>);

impl<K: Key> Subject<K> for LoadEach<K> {
    const NAME: &'static str = "ArcSwap::load + map";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.load().get(key).copied()
    }
}

struct Cached<K>(ArcSwap<Map<K>>);

impl<K: Key> Subject<K> for Cached<K> {
    const NAME: &'static str = "arc_swap::Cache + map (handle)";

    type Handle<'s> = Cache<&'s ArcSwap<Map<K>>, Arc<Map<K>>>;

    fn handle(&self) -> Self::Handle<'_> {
        Cache::new(&self.0)
    }

    #[inline(always)]
    fn get(cache: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        cache.load().get(key).copied()
    }
}

/// Returns both, over the same map.
pub(super) fn lanes<K: Key>(map: &Arc<Map<K>>) -> Vec<Box<dyn Lane<K>>> {
    vec![
        Box::new(Cached(ArcSwap::new(Arc::clone(map)))),
        Box::new(LoadEach(ArcSwap::new(Arc::clone(map)))),
    ]
}
