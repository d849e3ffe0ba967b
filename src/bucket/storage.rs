//! The storage behind a bucket, as users see it.

use std::time::Duration;

use super::Bucket;
use super::core::{Core, EndOfBucket};
use crate::error::{BuildError, Error};
use crate::store::Batch;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    /// `lacks` is what the storage lacks of what the bucket begins with.
    pub(super) fn start_saver(&self, lacks: Option<Batch<K, V>>) -> Result<(), BuildError> {
        let Some(saver) = &self.saver else {
            return Ok(());
        };
        let (work, store) = (Arc::clone(saver), Arc::clone(&self.store));
        let (stats, limit) = (Arc::clone(&self.stats), self.config.shutdown_limit);
        let end = EndOfBucket(Arc::clone(&self.control), Arc::clone(&self.events));
        // Before it runs: a shutdown that comes first must leave the rest to it, and not else.
        saver.will_run(true);
        let spawned = self.threads.spawn("storage", move || {
            let EndOfBucket(control, events) = &end;
            work.work(lacks, &store, control, (&stats, events), limit);
        });
        spawned.inspect_err(|_| saver.will_run(false))
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// How many entries the bucket was built with from its [storage](super::Builder::storage). `None` if it has none, or
    /// one that could not be read.
    #[must_use]
    pub fn loaded_storage(&self) -> Option<usize> {
        self.core.saver.as_ref()?.loaded()
    }

    /// Has the [storage](super::Builder::storage) written to now, and waits for it. Returns the epoch of the snapshot that
    /// the storage is a copy of then: all that was written to the bucket before this call is in it.
    ///
    /// `None` if the bucket has no storage, was shut down, or if it has not been written to within `limit`: then it will
    /// be later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::{Bucket, storage::MemoryStorage};
    ///
    /// let storage = MemoryStorage::new();
    /// let bucket = Bucket::<u32, &str>::builder("words").storage(storage.clone()).build()?;
    /// bucket.set(1, "one");
    /// bucket.write_storage(Duration::from_secs(5)).expect("in time")?;
    /// assert_eq!(storage.pairs(), [(1, "one")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Storage` if the storage returned an error, `Panicked` if it panicked, or if a `Clone`, `Hash` or `Eq` of yours did
    /// in the fold. Nothing is lost; it is tried again.
    ///
    /// # Blocking
    ///
    /// Waits for a fold and for the storage. Not to be called by what these need: the storage itself, or `Clone` and the
    /// like.
    #[doc(alias = "flush")]
    pub fn write_storage(&self, limit: Duration) -> Option<Result<u64, Error>> {
        let deadline = self.core.loads.deadline(limit);
        let saved = self.core.saver.as_ref()?.ask()?;
        saved.wait(&self.core.clock, deadline).cloned()
    }
}
