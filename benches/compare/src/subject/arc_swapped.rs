//! A map behind an atomically swapped pointer, loaded per get or through a per-thread cache.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::{Lane, Map, Subject};
use crate::workload::Key;

struct LoadEach<K>(ArcSwap<Map<K>>);

impl<K: Key> Subject<K> for LoadEach<K> {
    const NAME: &'static str = "ArcSwap::load + map";

    fn view(&self) -> impl FnMut(&K::Query) -> Option<u64> + '_ {
        |key| self.0.load().get(key).copied()
    }
}

struct Cached<K>(ArcSwap<Map<K>>);

impl<K: Key> Subject<K> for Cached<K> {
    const NAME: &'static str = "arc_swap::Cache + map (handle)";

    fn view(&self) -> impl FnMut(&K::Query) -> Option<u64> + '_ {
        let mut cache = Cache::new(&self.0);
        move |key| cache.load().get(key).copied()
    }
}

/// Returns both, over the same map.
pub(super) fn lanes<K: Key>(map: &Arc<Map<K>>) -> Vec<Box<dyn Lane<K>>> {
    vec![
        Box::new(Cached(ArcSwap::new(Arc::clone(map)))),
        Box::new(LoadEach(ArcSwap::new(Arc::clone(map)))),
    ]
}
