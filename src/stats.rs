//! Counters, and what they add up to. Nothing is counted on a hit.

use crate::sync::{atomic::AtomicU64, order};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One relaxed word a counter.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            tables_retired: AtomicU64,
        }

        /// What a bucket has done so far, and what it has on its hands.
        ///
        /// Each number is exact at rest; read while the bucket works, they may be from slightly
        /// different moments.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
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

impl Counters {
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
