//! A look into a bucket, for who wants to know why it is as it is: memory, what has expired and is still there, single
//! entries, the last fold.

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

use super::{Bucket, Ttl};
use crate::clock::Deadline;
use crate::store::LastFold;
use crate::{HashBuilder, Key, Value};

/// What a bucket holds, and what its last fold has done. See [`Bucket::inspect`].
///
/// [`Stats`](crate::Stats) has what it has done so far, and [`Snapshot`](super::Snapshot) when that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The epoch of the snapshot that all of this is of.
    pub epoch: u64,
    /// Entries in the snapshot's table, also those that were superseded since, or have expired.
    pub table_entries: usize,
    /// Bytes of that table: its slots, gaps included, and what is beside them. Not what keys and values own elsewhere, as
    /// a `String` does.
    pub table_bytes: usize,
    /// Keys that were written or removed since that snapshot.
    pub overlay_keys: usize,
    /// Writes since then, which stay in memory until the fold; at the most.
    pub overlay_writes: usize,
    /// Bytes that these take, as of [`table_bytes`](Self::table_bytes).
    pub overlay_bytes: usize,
    /// Entries that have expired, or were idle for too long, and that no fold has removed yet. No read finds them.
    pub expired: usize,
    /// A fold is under way.
    pub is_folding: bool,
    /// The last fold that has published a snapshot; `None` before the first.
    pub last_fold: Option<Fold>,
}

/// A fold that has published a snapshot, in an [`Inspection`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fold {
    /// How long ago it ended, by the bucket's clock.
    pub ago: Duration,
    /// How long it took.
    pub took: Duration,
    /// Keys that it found written, each once.
    pub written: usize,
    /// Keys that it found removed.
    pub removed: usize,
    /// Entries that it found expired, or idle for too long.
    pub expired: usize,
    /// Entries that it evicted.
    pub evicted: usize,
}

impl Fold {
    fn of(last: LastFold, now: Duration) -> Self {
        Self {
            ago: now.saturating_sub(last.ended),
            took: last.took,
            written: last.tally.written,
            removed: last.tally.removed,
            expired: last.tally.expired,
            evicted: last.tally.evicted,
        }
    }
}

/// What is known of one entry besides its value. See [`Bucket::entry`].
///
/// When it was written is not: nothing else needs it, and it would be eight bytes more for each entry. In a bucket with a
/// [`ttl`](super::Builder::ttl) of its own, that less [`ttl`](Self::ttl) is how long ago it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryInfo {
    /// How long it will live; nothing is left of that if it has expired.
    pub ttl: Ttl,
    /// It has expired, or was idle for too long, and no fold has removed it yet. No read finds it.
    pub is_expired: bool,
    /// What it weighs, in a bucket with a [limit](super::Builder::max_weight).
    pub weight: Option<u64>,
    /// For how long it was not touched, in a bucket with a [`time_to_idle`](super::Builder::time_to_idle); by up to a
    /// sixteenth of that too long, as not every touch is noted.
    pub untouched: Option<Duration>,
    /// Over how many snapshots it was not touched, in a bucket that [evicts](crate::EvictBy) by the last touch or by
    /// frequency: 0 if it was since the last one.
    pub untouched_snapshots: Option<u64>,
    /// It is in the snapshot as it is, and not in the overlay.
    pub is_folded: bool,
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// What the bucket holds, in entries and in bytes, and what its last fold has done: for a log, or a page for whoever
    /// is on call.
    ///
    /// Goes through all writes since the last fold, and through the snapshot where something in it has expired or may
    /// be idle. Changes nothing, and keeps no read and no write waiting.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u64>::builder("squares").build()?;
    /// bucket.set_many((0..100).map(|key| (key, u64::from(key) * 2)));
    /// bucket.publish()?;
    /// bucket.set(1, 1);
    /// let inspection = bucket.inspect();
    /// assert_eq!((inspection.table_entries, inspection.overlay_keys), (100, 1));
    /// assert!(inspection.table_bytes > 100 * 16);
    /// assert_eq!(inspection.last_fold.map(|fold| fold.written), Some(100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        let store = &self.core.store;
        let view = store.load_view();
        let overlays = [Some(&view.active), view.sealed.as_ref().map(|s| &s.overlay)];
        let sum = |of: fn(&crate::store::Overlay<K, V>) -> usize| {
            let each = overlays.iter().flatten().map(|overlay| of(overlay));
            each.sum::<usize>()
        };
        let mut overlay_keys = 0;
        view.for_each_overlaid(|_, _, _| overlay_keys += 1);
        Inspection {
            epoch: view.current.epoch,
            table_entries: view.current.table.len(),
            table_bytes: view.current.table.bytes(),
            overlay_keys,
            overlay_writes: sum(|overlay| overlay.written()),
            overlay_bytes: sum(|overlay| overlay.bytes()),
            expired: store.count_over(&view),
            is_folding: view.sealed.is_some(),
            last_fold: store
                .last_fold()
                .map(|last| Fold::of(last, self.core.clock.now())),
        }
    }

    /// What is known of the entry of a key, also if it has expired and is still there; `None` if nothing is held of it.
    ///
    /// It is no read: nothing is touched, counted or loaded, and nobody is [asked](super::Builder::alive) whether the
    /// value lives.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Ttl;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, &str>::builder("codes").clock(time.clock()).build()?;
    /// bucket.set_with_ttl(1, "4711", Duration::from_secs(30));
    /// let entry = bucket.entry(&1).expect("it is there");
    /// assert_eq!((entry.ttl, entry.is_folded), (Ttl::Left(Duration::from_secs(30)), false));
    /// assert_eq!(bucket.entry(&2), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn entry<Q>(&self, key: &Q) -> Option<EntryInfo>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let store = &self.core.store;
        let view = store.load_view();
        let held = view.held_of(store.hash(key), key)?;
        let idle = view.times.idle.is_some();
        let now = self.core.clock.now();
        let untouched = held.touched.filter(|_| idle);
        let untouched = untouched.map(|last| now.saturating_sub(Duration::from_nanos(last)));
        // What is in the overlay counts as touched by the fold that takes it in.
        let by_snapshots = !idle && store.notes_periods();
        let untouched_snapshots = by_snapshots.then(|| match held.touched {
            Some(last) => (view.current.epoch + 1).saturating_sub(last),
            None => 0,
        });
        Some(EntryInfo {
            ttl: Ttl::until(held.expires, now),
            is_expired: held.is_over,
            weight: held.weight,
            untouched,
            untouched_snapshots,
            is_folded: held.is_folded,
        })
    }

    /// The keys of what has expired, or was idle for too long, and no fold has removed yet; in no particular order. No
    /// read finds them, and [`keys`](Self::keys) is without them. As [`inspect`](Self::inspect) otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, &str>::builder("codes").clock(time.clock()).build()?;
    /// bucket.shutdown(); // Nothing is folded any more.
    /// bucket.set_with_ttl(1, "4711", Duration::from_secs(30));
    /// time.advance(Duration::from_secs(30));
    /// assert_eq!((bucket.keys(), bucket.expired_keys()), (vec![], vec![1]));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[must_use]
    pub fn expired_keys(&self) -> Vec<K> {
        let store = &self.core.store;
        store.keys_over(&store.load_view())
    }
}

impl Ttl {
    /// What is left at a moment until a deadline.
    pub(super) fn until(expires: Deadline, now: Duration) -> Self {
        match expires.time() {
            None => Self::Never,
            Some(time) => Self::Left(time.saturating_sub(now)),
        }
    }
}
