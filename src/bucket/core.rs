//! The parts of one bucket, and its end.

use std::borrow::Borrow;
use std::time::Duration;

use super::threads::Threads;
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Events;
use crate::load::{Keep, Loads};
use crate::refresh::control::Control;
use crate::refresh::dataset::Fetcher;
#[cfg(feature = "dump")]
use crate::refresh::dumps::Dumper;
use crate::refresh::saves::Saver;
use crate::refresh::warm::Runs;
use crate::refresh::{OnReset, Resets, Slices};
use crate::stats::Counters;
use crate::store::{Content, Store};
use crate::sync::{Arc, Mutex};
use crate::tags::Tags;
use crate::{HashBuilder, Key, Value};

pub(super) struct Core<K: Key, V: Value, S: HashBuilder> {
    pub(super) name: String,
    pub(super) store: Arc<Store<K, V, S>>,
    pub(super) loads: Arc<Loads<K, V, S>>,
    pub(super) control: Arc<Control<K, V>>,
    pub(super) fetcher: Option<Arc<Fetcher<K, V>>>,
    pub(super) stats: Arc<Counters>,
    pub(super) events: Arc<Events>,
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) threads: Threads,
    pub(super) resets: Resets,
    /// The runs of each warmer.
    pub(super) warmers: Vec<Arc<Runs>>,
    #[cfg(feature = "dump")]
    pub(super) dumper: Option<Arc<Dumper<K, V>>>,
    pub(super) saver: Option<Arc<Saver<K, V>>>,
    slices: Option<Arc<Slices>>,
    ended: Mutex<bool>,
}

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one bucket, put together once"
    )]
    pub(super) fn new(
        name: String,
        store: Arc<Store<K, V, S>>,
        loads: Arc<Loads<K, V, S>>,
        control: Arc<Control<K, V>>,
        fetcher: Option<Arc<Fetcher<K, V>>>,
        stats: Arc<Counters>,
        events: Arc<Events>,
        clock: Clock,
        config: Config,
    ) -> Self {
        let threads = Threads::new(&name);
        let ended = Mutex::new(false);
        Self {
            name,
            store,
            loads,
            control,
            fetcher,
            stats,
            events,
            clock,
            config,
            threads,
            resets: Resets::new(None),
            warmers: Vec::new(),
            #[cfg(feature = "dump")]
            dumper: None,
            saver: None,
            slices: None,
            ended,
        }
    }

    /// The same, where somebody is asked before a reset.
    pub(super) fn asking_to_reset(mut self, callback: Option<OnReset>) -> Self {
        self.resets = Resets::new(callback);
        self
    }

    #[cfg(feature = "dump")]
    pub(super) fn dumped_by(mut self, dumper: Option<Arc<Dumper<K, V>>>) -> Self {
        self.dumper = dumper;
        self
    }

    pub(super) fn saved_by(mut self, saver: Option<Arc<Saver<K, V>>>) -> Self {
        self.saver = saver;
        self
    }

    pub(super) fn in_slices(mut self, slices: Option<Arc<Slices>>) -> Self {
        self.slices = slices;
        self
    }

    /// The value of a key that was not found, loaded. Apart from where it was not found, to keep hits short.
    #[cold]
    #[inline(never)]
    pub(super) fn load<Q>(&self, hash: u64, key: &Q, limit: Duration, keep: Keep) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.loads.fetch(hash, key, limit, keep).ok()?.into_value()
    }

    /// Writes a value, or a tombstone.
    #[inline(always)]
    pub(super) fn write(
        &self,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
    ) -> Result<(), Option<V>> {
        let Some(exists) = self.loads.exists() else {
            return self.store.write(hash, key, content);
        };
        let copy = key.clone();
        let written = self.store.write(hash, key, content);
        exists.written(hash, &copy);
        written
    }

    /// The same of a value with tags.
    pub(super) fn write_tagged(&self, hash: u64, key: K, content: Content<V>, tags: &Tags) {
        let copy = self.loads.exists().map(|exists| (exists, key.clone()));
        let written = self.store.write_tagged(hash, key, content, Some(tags));
        if let Some((exists, key)) = copy {
            exists.written(hash, &key);
        }
        if let Err(Some(_)) = written {
            self.loads.refused(1);
        }
    }

    /// Writes a value of the weight that the bucket's weigher says. If there is no room for it, returns it.
    #[inline(always)]
    pub(super) fn write_weighed(
        &self,
        hash: u64,
        key: K,
        content: Content<V>,
    ) -> Result<(), Option<V>> {
        let content = self.store.weighed(&key, content);
        self.write_content(hash, key, content)
    }

    /// The same of a weight that is known.
    #[inline(always)]
    pub(super) fn write_content(
        &self,
        hash: u64,
        key: K,
        content: Content<V>,
    ) -> Result<(), Option<V>> {
        let written = self.write(hash, key, content);
        if let Err(Some(_)) = &written {
            self.loads.refused(1);
        }
        written
    }

    /// Writes all of them or none in any snapshot.
    pub(super) fn write_group(&self, group: Vec<(u64, K, Content<V>)>) {
        let count = group.len();
        let known = self.loads.exists().map(|exists| {
            let keys = group.iter().map(|(hash, key, _)| (*hash, key.clone()));
            (exists, keys.collect::<Vec<_>>())
        });
        if !self.store.write_group(group) {
            self.loads.refused(count);
        }
        let Some((exists, keys)) = known else {
            return;
        };
        for (hash, key) in &keys {
            exists.written(*hash, key);
        }
    }

    /// Has the last dump written, or the storage, if there is one.
    fn is_saved_last(&self) -> bool {
        #[cfg(feature = "dump")]
        if let Some(dumper) = &self.dumper {
            return dumper.stop();
        }
        self.saver.as_ref().is_some_and(|saver| saver.stop())
    }

    /// Whether the current thread is the refresher, which must not wait for itself.
    pub(super) fn is_refresher(&self) -> bool {
        self.threads.is_first()
    }

    /// Ends the bucket's threads and answers everybody who waits. Waits `limit` at most.
    pub(super) fn shutdown(&self, limit: Duration) {
        let first = !std::mem::replace(&mut *self.ended.lock(), true);
        if first {
            // What is left to be done is waited for.
            if let Some(slices) = &self.slices {
                slices.end();
            }
            if let Some(fetcher) = &self.fetcher {
                fetcher.stop();
            }
            for warmer in &self.warmers {
                warmer.stop();
            }
            self.loads.close();
            if let Some(keys) = self.loads.key_events() {
                keys.events().close();
            }
            // The last dump is of all that was written, which the refresher folds for it; and it may fail, which
            // the observer is told. So where there is one, or a storage, its thread ends these two.
            if !self.is_saved_last() {
                self.control.stop();
                self.events.close();
            }
        }
        if !self.threads.join(limit) {
            // Or that thread is held up, by a disk or a storage that hangs, and is not waited for any more.
            self.control.stop();
            self.events.close();
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Drop for Core<K, V, S> {
    fn drop(&mut self) {
        self.shutdown(self.config.shutdown_limit);
    }
}

/// Ends the refresher and the observer when all is saved, or the thread that does so unwinds.
pub(super) struct EndOfBucket<K, V>(pub(super) Arc<Control<K, V>>, pub(super) Arc<Events>);

impl<K, V> Drop for EndOfBucket<K, V> {
    fn drop(&mut self) {
        self.0.stop();
        self.1.close();
    }
}
