//! The dump, as users see it.

mod restore;

use std::time::Duration;

use super::Bucket;
use super::core::{Core, EndOfBucket};
use crate::dump::{DumpError, DumpReport};
use crate::error::BuildError;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    pub(super) fn start_dumper(&self) -> Result<(), BuildError> {
        let Some(dumper) = &self.dumper else {
            return Ok(());
        };
        let (work, store) = (Arc::clone(dumper), Arc::clone(&self.store));
        let (stats, limit) = (Arc::clone(&self.stats), self.config.shutdown_limit);
        let end = EndOfBucket(Arc::clone(&self.control), Arc::clone(&self.events));
        // Before it runs: a shutdown that comes first must leave the rest to it, and not else.
        dumper.will_run(true);
        let spawned = self.threads.spawn("dump", move || {
            let EndOfBucket(control, events) = &end;
            work.work(&store, control, (&stats, events), limit);
        });
        spawned.inspect_err(|_| dumper.will_run(false))
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// What was loaded from the [dump](super::Builder::dump) when the bucket was built; `None` if there was none,
    /// or none that could be loaded.
    #[must_use]
    pub fn loaded_dump(&self) -> Option<DumpReport> {
        self.core.dumper.as_ref()?.loaded()
    }

    /// Writes the [dump](super::Builder::dump) now, with all that is written by now, and waits for it.
    ///
    /// `None` if the bucket has none, was shut down, or has not written it within `limit`: then it will be written
    /// later.
    ///
    /// # Errors
    ///
    /// What went wrong; the dump before is as it was then.
    ///
    /// # Blocking
    ///
    /// Waits for a fold and for the disk. Not to be called by what these need: `Clone`, `Serialize` and the like.
    pub fn write_dump(&self, limit: Duration) -> Option<Result<DumpReport, DumpError>> {
        let deadline = self.core.loads.deadline(limit);
        let written = self.core.dumper.as_ref()?.ask()?;
        written.wait(&self.core.clock, deadline).cloned()
    }
}

#[cfg(test)]
mod tests;
