//! Counters, and what they add up to. Nothing is counted on a hit, unless it is [asked for](crate::Builder::count_reads).

use std::time::Duration;

use crate::sync::{atomic::AtomicU64, order, plain};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One relaxed word a counter.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            tables_retired: AtomicU64,
            /// Calls of loaders, for one key or for a batch.
            pub(crate) loader: Times,
            /// Calls of the loader of the dataset.
            pub(crate) dataset: Times,
            pub(crate) joined: plain::Word,
            pub(crate) written: plain::Word,
            pub(crate) removed: plain::Word,
            pub(crate) expired: plain::Word,
        }

        /// What a bucket has done so far, and what it has on its hands.
        ///
        /// Each number is exact at rest; read while the bucket works, they may be from slightly
        /// different moments.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Reads that found something cached, where they are [counted](crate::Builder::count_reads); else 0.
            pub hits: u64,
            /// Reads that did not, where they are counted.
            pub misses: u64,
            /// Keys that a call found under way already, and waited for the load of another.
            pub joined: u64,
            /// How long loaders took, all calls together: those in [`loader_calls`](Self::loader_calls) that have
            /// ended, by a value, an error or a panic. By the bucket's [clock](crate::Builder::clock).
            pub loader_time: Duration,
            /// The longest of them.
            pub loader_longest: Duration,
            /// Datasets that were fetched, or were to be: calls of the loader of the dataset that have ended.
            pub dataset_calls: u64,
            /// How long these took, all together, with what it takes to go through the pairs.
            pub dataset_time: Duration,
            /// The longest of them.
            pub dataset_longest: Duration,
            /// Keys that folds found written, by a call or a load. One that is written again before it is folded counts
            /// once; what is emptied by a clear or a reset before it is folded, or replaced by a dataset, does not.
            pub written: u64,
            /// Keys that folds found removed: invalidated, taken, gone at the source, dead or refused.
            pub removed: u64,
            /// Entries that folds found expired, or idle for too long, and left out.
            pub expired: u64,
            /// Events that no observer was told of.
            pub events_dropped: u64,
            /// What everything that is cached weighs; 0 in a bucket without a limit.
            pub weight: u64,
            /// Keys that are queued for a load.
            pub queued: u64,
            /// Keys that are being loaded.
            pub loading: u64,
            /// Replaced tables that a reader or a snapshot still holds.
            pub tables_retired: u64,
        }

        impl Counters {
            pub(crate) fn stats(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(order::COUNT),)*
                    tables_retired: self.tables_retired.load(order::COUNT),
                    joined: self.joined.load(order::COUNT),
                    loader_time: self.loader.total(),
                    loader_longest: self.loader.longest(),
                    dataset_calls: self.dataset.calls.load(order::COUNT),
                    dataset_time: self.dataset.total(),
                    dataset_longest: self.dataset.longest(),
                    written: self.written.load(order::COUNT),
                    removed: self.removed.load(order::COUNT),
                    expired: self.expired.load(order::COUNT),
                    ..Stats::default()
                }
            }
        }
    };
}

counters! {
    /// Calls of a loader, for one key or for a batch.
    loader_calls,
    /// Keys that loaders were asked for.
    keys_asked,
    /// Keys answered with a value.
    loaded,
    /// Keys answered with a value that is not to be stored.
    ignored,
    /// Keys that the source does not have.
    absent,
    /// Keys whose load failed, by an error or a panic.
    failed,
    /// Keys that turned out to be cached when their load was about to begin.
    found_late,
    /// Keys that the `exists` hook was asked for.
    exists_asked,
    /// Keys of which an earlier answer of the `exists` hook was remembered.
    exists_remembered,
    /// Times that the `exists` hook failed, by an error or a panic; its key was loaded all the same.
    exists_failed,
    /// Panics of the hooks of a context; the loads were made all the same.
    contexts_failed,
    /// Loads run again, since the bucket was reset while they ran.
    run_again,
    /// Resets that took effect.
    resets,
    /// Resets that the callback refused, by an error or a panic.
    resets_refused,
    /// Results that were not stored, because their key was changed after the load began.
    superseded,
    /// Waits that ended without an answer.
    timeouts,
    /// Snapshots published.
    publications,
    /// Folds that failed, and were tried again.
    folds_failed,
    /// Refreshes completed.
    refreshes,
    /// Refreshes that failed, as a whole or for some keys.
    refreshes_failed,
    /// Keys of whose reload a refresh did not wait for the end.
    reloads_timed_out,
    /// Datasets that were refused; each is a refresh that failed.
    datasets_refused,
    /// Values that were not stored, because the bucket was full.
    refused,
    /// Entries that were evicted, to make room for others.
    evicted,
    /// Keys taken out, because their refresh had failed too long ago.
    too_stale,
    /// Values removed, because they were found dead.
    died,
    /// Times that the check of values that may die panicked.
    alive_failed,
    /// Runs of warmers that ended well.
    warmer_runs,
    /// Runs of warmers that failed, by an error or a panic.
    warmers_failed,
    /// Dumps written.
    dumps,
    /// Dumps that could not be written, or not be loaded.
    dumps_failed,
    /// Times that what had changed was written to the storage.
    storage_writes,
    /// Times that the storage failed, by an error or a panic: in a write, which is tried again, or when it was read.
    storage_failed,
}

impl Stats {
    /// What part of the reads found something cached, from 0.0 to 1.0; `None` where none was
    /// [counted](crate::Builder::count_reads).
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let reads = self.hits + self.misses;
        (reads > 0).then(|| self.hits as f64 / reads as f64)
    }
}

/// How often something was called, and how long that took. Nothing that a model explores.
#[derive(Debug, Default)]
pub(crate) struct Times {
    calls: plain::Word,
    total: plain::Word,
    longest: plain::Word,
}

impl Times {
    /// Makes a call and takes its time, also where it panics.
    pub(crate) fn time<R>(&self, now: impl Fn() -> Duration, call: impl FnOnce() -> R) -> R {
        if cfg!(any(larder_loom, larder_shuttle)) {
            // A manual clock is one more lock, and what is counted here is nothing that a model asks for.
            return call();
        }
        let _ends = Ends {
            since: now(),
            now,
            times: self,
        };
        call()
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.total.load(order::COUNT))
    }

    fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(order::COUNT))
    }
}

struct Ends<'a, F: Fn() -> Duration> {
    times: &'a Times,
    now: F,
    since: Duration,
}

impl<F: Fn() -> Duration> Drop for Ends<'_, F> {
    fn drop(&mut self) {
        let took = (self.now)().saturating_sub(self.since);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.times.calls.fetch_add(1, order::COUNT);
        self.times.total.fetch_add(took, order::COUNT);
        self.times.longest.fetch_max(took, order::COUNT);
    }
}

impl Counters {
    pub(crate) fn note(counter: &plain::Word, by: usize) {
        counter.fetch_add(by as u64, order::COUNT);
    }

    pub(crate) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, order::COUNT);
    }

    pub(crate) fn tables_held(&self, tables: usize) {
        self.tables_retired.store(tables as u64, order::COUNT);
    }

    pub(crate) fn batch(&self, keys: usize) {
        Self::add(&self.loader_calls, 1);
        Self::add(&self.keys_asked, keys);
    }

    pub(crate) fn superseded(&self) {
        Self::add(&self.superseded, 1);
    }

    pub(crate) fn timed_out(&self) {
        Self::add(&self.timeouts, 1);
    }
}
