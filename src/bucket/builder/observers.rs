//! Who is told of what happens.

use super::Builder;
use crate::config::refuse;
use crate::error::BuildError;
use crate::events::{Event, KeyEvent, KeyEvents, KeyObserver};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Is told of what no return value tells: failed loads, refreshes and folds.
    ///
    /// Runs on a thread of its own. A slow observer loses events, which are counted; a panic in it is
    /// contained. Default: none.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Is told of what happens to single keys, with the key: of failures, unless [`key_events`](Self::key_events) says
    /// otherwise. Default: none.
    ///
    /// Runs on a thread of its own, beside that of [`observer`](Self::observer), and from a queue of its own, as there
    /// may be a million misses to one failed refresh. A slow observer loses events, which are counted in
    /// [`Stats::events_dropped`](crate::Stats::events_dropped); a panic in it is contained. It may use the bucket.
    ///
    /// It costs hits nothing, ever. An event that is wanted costs a clone of the key and a short lock, where it happens;
    /// one that is not, a comparison.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use larder::KeyEvent;
    ///
    /// let (send, told) = mpsc::channel();
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>((*key < 100).then(|| key * key)))
    ///     .key_events([KeyEvent::Missed, KeyEvent::Absent])
    ///     .key_observer(move |event, key| send.send((event, *key)).unwrap_or_default())
    ///     .build()?;
    /// assert_eq!((bucket.get(&7), bucket.get(&7)), (Some(49), Some(49)));
    /// assert_eq!(bucket.get(&100), None);
    /// drop(bucket);
    /// let told: Vec<_> = told.iter().collect();
    /// assert_eq!(told, [(KeyEvent::Missed, 7), (KeyEvent::Missed, 100), (KeyEvent::Absent, 100)]);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "event_loggers")]
    #[doc(alias = "hooks")]
    pub fn key_observer(mut self, observer: impl Fn(KeyEvent, &K) + Send + Sync + 'static) -> Self {
        self.key_observer = Some(Box::new(observer));
        self
    }

    /// Counts hits and misses, in [`Stats::hits`](crate::Stats::hits) and [`misses`](crate::Stats::misses).
    ///
    /// Each key of each call is one or the other, once: what is cached when the call looks is a hit, also what it finds
    /// in the overlay, and everything else a miss, whatever becomes of its load: one that joins the load of another is a
    /// miss, as is one that is answered by what came meanwhile. Counted are [`get`](crate::Bucket::get),
    /// [`fetch`](crate::Bucket::fetch), [`peek`](crate::Bucket::peek), [`with`](crate::Bucket::with),
    /// [`contains`](crate::Bucket::contains), [`get_many`](crate::Bucket::get_many) and
    /// [`fetch_many`](crate::Bucket::fetch_many), by a [`Call`](crate::Call) as well, and what a
    /// [`Reader`](crate::Reader) reads. Not counted are writes, also those that look first; requests for loads,
    /// snapshots, and what a dump or a refresh goes through.
    ///
    /// Off, it costs nothing: a hit takes not one instruction more. On, hits take the longer way that leads to where they
    /// are counted, by some 200 instructions; threads count in places of their own, so that none waits for another,
    /// unless there are more than 64 of them. Default: off.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .count_reads(true)
    ///     .build()?;
    /// for _ in 0..4 {
    ///     assert_eq!(bucket.get(&3), Some(9));
    /// }
    /// let stats = bucket.stats();
    /// assert_eq!((stats.hits, stats.misses), (3, 1));
    /// assert_eq!(stats.hit_rate(), Some(0.75));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "stats")]
    pub fn count_reads(mut self, count: bool) -> Self {
        self.config.count_reads = count;
        self
    }

    /// Of which events of keys the [`key_observer`](Self::key_observer) is told. More tells more, and costs the paths
    /// where they happen more. Default: [`KeyEvent::FAILURES`].
    pub fn key_events(mut self, kinds: impl IntoIterator<Item = KeyEvent>) -> Self {
        self.key_events = Some(kinds.into_iter().collect());
        self
    }
}

/// Whoever is to be told of what happens to keys.
pub(super) fn key_events<K: Key>(
    observer: Option<KeyObserver<K>>,
    kinds: Option<Vec<KeyEvent>>,
) -> Result<Option<KeyEvents<K>>, BuildError> {
    let kinds_of = kinds.as_deref();
    match (observer, kinds_of) {
        (None, Some(_)) => refuse("key_events", "set", "left out without a key_observer")?,
        (Some(_), Some([])) => refuse("key_events", "empty", "at least one kind")?,
        (Some(observer), kinds) => {
            let kinds = kinds.unwrap_or(KeyEvent::FAILURES);
            return Ok(Some(KeyEvents::new(kinds, observer)));
        }
        (None, None) => {}
    }
    Ok(None)
}
