//! How often what was read was there, and how often not, where that is counted. DESIGN.md, "Counted reads".

use std::borrow::Borrow;
use std::hash::BuildHasher;

use crossbeam_utils::CachePadded;

use super::{Store, View};
use crate::sync::{Arc, atomic::AtomicU64, fault, order, thread_number};
use crate::{Key, Value};

/// So many threads that begin one after another count in places of their own: more than there are processors in most
/// machines. Chosen, not measured. One in the models, so that threads meet there.
const PLACES: usize = if cfg!(larder_loom) { 1 } else { 64 };

/// Counts of reads, apart for each thread as far as there are places, so that none writes what another reads.
pub(crate) struct Reads([CachePadded<Place>; PLACES]);

#[derive(Default)]
struct Place {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| CachePadded::default()))
    }

    /// Compiled where it is called: else 22 instructions of a counted read depend on what else is in the crate.
    #[inline]
    fn add(&self, hits: usize, misses: usize) {
        let place = &self.0[thread_number() as usize % PLACES];
        for (count, more) in [(&place.hits, hits), (&place.misses, misses)] {
            // Other threads may count here as well.
            if fault::planted("counts_in_two_steps") {
                let before = count.load(order::COUNT);
                count.store(before + more as u64, order::COUNT);
            } else if more > 0 {
                count.fetch_add(more as u64, order::COUNT);
            }
        }
    }

    /// All hits and misses. Exact at rest.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let places = self.0.iter();
        places.fold((0, 0), |(hits, misses), place| {
            (
                hits + place.hits.load(order::COUNT),
                misses + place.misses.load(order::COUNT),
            )
        })
    }
}

impl<K: Eq + Clone, V> View<K, V> {
    /// The value of a key, for a reader who is counted.
    #[cold]
    #[inline(never)]
    pub(super) fn get_counted<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let value = self.beyond_hit(hash, key).value();
        if let Some(reads) = &self.reads {
            let hit = usize::from(value.is_some());
            reads.add(hit, 1 - hit);
        }
        value
    }

    /// The value of a key, if it is cached, for who reads it on a caller's behalf that is counted already, if at all.
    pub(crate) fn uncounted<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.look(hash, key).value()
    }

    /// [`get_many`](Self::get_many) where reads are counted. Apart, so that others are compiled as if there were no such
    /// thing.
    #[cold]
    #[inline(never)]
    pub(super) fn get_many_counted<'a, 'q, Q>(
        &'a self,
        reads: &Reads,
        keys: &[&'q Q],
        hash: &dyn Fn(&Q) -> u64,
        each: &mut dyn FnMut(&'q Q, Option<&'a V>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (mut hits, mut misses) = (0, 0);
        for &key in keys {
            let value = self.uncounted(hash(key), key);
            match value {
                Some(_) => hits += 1,
                None => misses += 1,
            }
            each(key, value);
        }
        reads.add(hits, misses);
    }
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// So many keys were read, and so many of them were there, by who looked without [`View::get`].
    pub(crate) fn count_reads(&self, keys: usize, hits: usize) {
        if let Some(reads) = &self.reads {
            reads.add(hits, keys - hits);
        }
    }

    /// How many reads found something, and how many nothing; 0 where they are not counted.
    pub(crate) fn reads(&self) -> (u64, u64) {
        self.reads.as_ref().map_or((0, 0), |reads| reads.sum())
    }

    pub(super) fn reads_of(count: bool) -> Option<Arc<Reads>> {
        count.then(|| Arc::new(Reads::new()))
    }
}
