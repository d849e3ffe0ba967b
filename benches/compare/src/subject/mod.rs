//! What is measured: one [`Subject`] per row of the tables, one file per family.

mod arc_swapped;
mod caches;
pub mod larder;
mod maps;
pub mod shapes;

use std::sync::Arc;
use std::time::Duration;

use crate::measure::{self, Mode, Reading};
use crate::workload::{Dataset, Hasher, Key, Stream};

pub use self::maps::BARE;

/// Something that answers reads.
pub trait Subject<K: Key>: Send + Sync {
    /// The name in tables.
    const NAME: &'static str;

    /// What one thread reads with.
    type Handle<'s>
    where
        Self: 's;

    /// Made once for each thread.
    fn handle(&self) -> Self::Handle<'_>;

    /// One read. Always inlined, so that every subject's read is compiled into the measured loop, as a
    /// caller's own loop would have it, and none pays for a call because its code is a bit longer.
    fn get(handle: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64>;
}

/// A [`Subject`] among others: the calls are dynamic, the loops behind them are not.
pub trait Lane<K: Key>: Send + Sync {
    /// Returns the name in tables.
    fn name(&self) -> &'static str;

    /// Reads `stream` from `chunk` on, first to warm the processor's caches, then for `budget`.
    fn read(&self, stream: &Stream<K>, mode: Mode, chunk: usize, budget: Duration) -> Reading;

    /// Reads one key on the threads pinned to `cores`, for `budget`. Returns ns a read for each.
    fn hot(&self, key: &K::Query, value: u64, cores: &[usize], budget: Duration) -> Vec<f64>;
}

impl<K: Key, S: Subject<K>> Lane<K> for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn read(&self, stream: &Stream<K>, mode: Mode, chunk: usize, budget: Duration) -> Reading {
        measure::read(self, stream, mode, chunk, budget)
    }

    fn hot(&self, key: &K::Query, value: u64, cores: &[usize], budget: Duration) -> Vec<f64> {
        measure::hot(cores, budget, || {
            let mut handle = self.handle();
            move || S::get(&mut handle, std::hint::black_box(key)) == Some(value)
        })
    }
}

/// The map that some subjects wrap.
pub type Map<K> = hashbrown::HashMap<K, u64, Hasher>;

/// Returns all subjects, each filled with `data`; the bare map first.
pub fn all<K: Key>(data: &Dataset<K>) -> Vec<Box<dyn Lane<K>>> {
    let map: Arc<Map<K>> = Arc::new(data.iter().collect());
    let mut lanes = vec![maps::bare(&map)];
    lanes.extend(larder::lanes(data));
    lanes.extend(arc_swapped::lanes(&map));
    lanes.extend(rivals().map(|fill| fill(data)));
    lanes
}

/// Returns the subjects that are worth their memory where there is much of everything; the bare map first.
pub fn few<K: Key>(data: &Dataset<K>) -> Vec<Box<dyn Lane<K>>> {
    let map: Arc<Map<K>> = Arc::new(data.iter().collect());
    let mut lanes = vec![maps::bare(&map)];
    lanes.extend(larder::lanes(data));
    lanes.extend(arc_swapped::lanes(&map));
    lanes.extend([maps::papaya(data), maps::dashmap(data)]);
    lanes
}

/// Fills one subject with a dataset.
pub type Fill<K> = fn(&Dataset<K>) -> Box<dyn Lane<K>>;

/// Returns what fills each subject that has memory of its own, other than larder and the floor.
pub fn rivals<K: Key>() -> impl Iterator<Item = Fill<K>> {
    let fills: [Fill<K>; 6] = [
        maps::papaya,
        maps::hash_index,
        maps::dashmap,
        caches::quick,
        caches::moka,
        maps::locked,
    ];
    fills.into_iter()
}
