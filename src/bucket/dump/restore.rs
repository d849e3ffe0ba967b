//! A dump read into a bucket that runs.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::super::Bucket;
use crate::clock::Deadline;
use crate::dump::{DumpError, DumpFile, DumpReport};
use crate::store::{Content, Restored};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Reads a [dump](super::super::Builder::dump) of a bucket of this name and schema into this one. What is in the
    /// file is written over what is cached; keys that are not in it stay as they are. The report says how many entries
    /// were stored.
    ///
    /// The file is read to its end before anything is stored, so one that is damaged or cut off changes nothing. It
    /// is a write like [`set_many`](Self::set_many): all of it is in a snapshot or nothing, later writes win over it, and
    /// loads that are under way do not overwrite it. The bucket need not have a dump of its own. If it has, the path may
    /// be that of another; its own is written as ever, with what was read.
    ///
    /// Each entry has the time left that it would have had, as the time on disk counts, and one that has expired is left
    /// out. One that was not to expire does not, whatever the bucket's [`ttl`](super::super::Builder::ttl). In a bucket
    /// with a [limit](super::super::Builder::max_weight) each is weighed anew; one that finds no room is
    /// [refused](DumpReport::refused), and its key forgotten, as by [`set`](Self::set). While caching is
    /// [off](Self::set_caching) nothing is stored, and all are refused.
    ///
    /// Needs memory for a list of all entries, beside the bucket, until they are written; and then, until the next fold,
    /// what so many writes need.
    ///
    /// ```
    /// # let path = std::env::temp_dir().join(format!("larder-doc-read-{}", std::process::id()));
    /// use std::time::Duration;
    /// use larder::Bucket;
    ///
    /// let prices = Bucket::<String, u64>::builder("prices").dump(&path, 1).build()?;
    /// prices.set("tea".into(), 3);
    /// let saved = prices.write_dump(Duration::from_secs(5)).expect("in time")?;
    /// assert_eq!(saved.entries, 1);
    ///
    /// prices.set_many([("tea".into(), 4), ("salt".into(), 5)]);
    /// let restored = prices.read_dump(&path, 1)?;
    /// assert_eq!(restored.entries, 1);
    /// assert_eq!((prices.peek("tea"), prices.peek("salt")), (Some(3), Some(5)));
    /// # prices.shutdown();
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the file, or the way to it; also that there is none. It stays where it is, whatever that is:
    /// only a file that is a bucket's own is [set aside](DumpError::set_aside), at the start. Of kind
    /// [`Version`](crate::DumpErrorKind::Version) if the bucket was [reset](Self::reset) to a higher version than it had
    /// when the dump was made. A higher one in the file is no error, and the bucket keeps its own.
    ///
    /// # Panics
    ///
    /// If `Hash` or `Eq` of a key does. In an `Eq` that may leave a part of the entries written.
    ///
    /// # Blocking
    ///
    /// Waits for the disk, with nothing held. While the entries are written, which takes some hundred nanoseconds for
    /// each, folds and conditional writes wait.
    #[doc(alias = "restore")]
    pub fn read_dump(&self, path: impl AsRef<Path>, schema: u64) -> Result<DumpReport, DumpError>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        let (store, clock) = (&self.core.store, &self.core.clock);
        let file = DumpFile::<K, V>::new(path.as_ref(), self.name(), schema)?;
        let (began, wall) = (clock.now(), clock.wall_ms());
        let (entries, mut report) = file.read_whole(wall)?;
        // What is left of their time is that of the beginning.
        let passed = clock.now().saturating_sub(began);
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(key, value, left)| {
                let left = left.map(|left| left.saturating_sub(passed));
                let content = Content::until(value, Deadline::of(clock, left));
                let content = store.weighed(&key, content);
                (store.hash(&key), key, content)
            })
            .collect();
        let known = self.core.loads.exists().map(|exists| {
            let keys = entries.iter().map(|(hash, key, _)| (*hash, key.clone()));
            (exists, keys.collect::<Vec<_>>())
        });
        let all = report.entries;
        report.refused = match store.restore(report.version, entries) {
            Restored::All { refused: 0 } => 0,
            Restored::All { refused } => {
                self.core.loads.refused(refused);
                refused as u64
            }
            Restored::Off => all,
            Restored::Outdated => return Err(file.outdated(report.version)),
        };
        report.entries = all - report.refused;
        if let Some((exists, keys)) = known {
            for (hash, key) in &keys {
                exists.written(*hash, key);
            }
        }
        Ok(report)
    }
}
