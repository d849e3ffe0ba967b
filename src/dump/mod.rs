//! The dump file: a bucket's contents on disk. Knows bytes, files and serde's traits, and no bucket, table or
//! thread; what the time is it is told.
//!
//! # Format 1
//!
//! All numbers are little-endian. A *sum* is the CRC-32 of all bytes from the start of the file up to it, but
//! for other sums. So each says that everything before it is of this very dump, in this order.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `89 6c 61 72 64 65 72 0a`: a byte that is no text, `larder`, a line end |
//! | | 2 | the format: 1 |
//! | | 2 | flags; 1: blocks may be compressed |
//! | | 4 | the length of the bucket's name |
//! | | 8 | the schema, which the user has numbered |
//! | | 8 | when it was made, by the wall clock, in milliseconds since the epoch |
//! | | 8 | the bucket's version |
//! | | 8 | how many entries the bucket had |
//! | | ... | the bucket's name, in UTF-8 |
//! | | 4 | sum |
//! | block, any number of times | 4 | its length; never 0 |
//! | | 4 | the length of its entries; if it is not the same, they are compressed, as an LZ4 block |
//! | | 4 | how many entries |
//! | | ... | the entries |
//! | | 4 | sum |
//! | trailer | 12 | zeros: a block without length |
//! | | 8 | how many entries the blocks have |
//! | | 8 | how many were left out, since they had expired |
//! | | 4 | sum |
//!
//! An entry is the key, the value and an optional deadline, one after the other in postcard's format; the
//! deadline is a number as in the header. Nothing comes after the trailer.

mod codec;
mod error;
mod files;
#[cfg(test)]
mod forge;
pub(crate) mod format;
mod place;
pub(crate) mod read;
pub(crate) mod sum;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;
mod whole;
pub(crate) mod write;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{DumpError, DumpErrorKind};
pub(crate) use format::Facts;
pub(crate) use read::Sink;

use crate::contain::{contained, drop_contained};
use crate::error::Error;
use error::Flaw;
use files::{Disk, Files, Place};
use format::Identity;
use place::Target;
use write::{Style, Writer};

/// What a dump had in it, when it was written or loaded.
///
/// ```
/// fn log(report: &larder::DumpReport) {
///     println!("{} entries of {:?}", report.entries, report.created_at);
/// }
/// # let _ = log;
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DumpReport {
    /// How many entries were written, or loaded.
    pub entries: u64,
    /// How many were left out, since they had expired: by the time of the dump, or of the load.
    pub expired: u64,
    /// How many [`Bucket::read_dump`](crate::Bucket::read_dump) found no room for, or was not to store.
    pub refused: u64,
    /// The size of the file.
    pub bytes: u64,
    /// When the dump was made, by the time of day.
    pub created_at: SystemTime,
    /// The bucket's version then.
    pub version: u64,
}

impl DumpReport {
    fn new(facts: Facts, entries: u64, expired: u64, bytes: u64) -> Self {
        Self {
            entries,
            expired,
            refused: 0,
            bytes,
            // Not every system has all the times that a number can name.
            created_at: UNIX_EPOCH
                .checked_add(Duration::from_millis(facts.created_ms))
                .unwrap_or(UNIX_EPOCH),
            version: facts.version,
        }
    }
}

/// A bucket's dump, wherever that is and whatever encodes it.
///
/// Code of the user's runs in all that have entries: `Serialize`, `Deserialize`, `Drop`. Its panics are errors.
pub(crate) trait Dump<K, V>: fmt::Debug + Send + Sync {
    /// Makes ready, at the start of a bucket: removes what an earlier process has left unfinished, and tries
    /// whether a dump can be written here at all.
    fn prepare(&self) -> Result<(), DumpError>;

    /// Writes a dump in the place of the one before. It is on the disk when this returns.
    ///
    /// An entry's third part is its deadline, in milliseconds since the epoch. The dump before stays whatever
    /// goes wrong, unless all that failed is to have the new one's name on the disk.
    fn save<'a>(
        &self,
        facts: Facts,
        entries: &mut dyn Iterator<Item = (&'a K, &'a V, Option<u64>)>,
    ) -> Result<DumpReport, DumpError>
    where
        K: 'a,
        V: 'a;

    /// About how many entries the dump has, as far as can be told before it is read; 0 if there is none. Never more
    /// than bytes.
    fn expected(&self) -> u64;

    /// What it is called when code of the user's panics that is given what was read.
    fn panicked(&self, panic: Error) -> DumpError;

    /// Reads the dump, if there is one. What the sink was given is to be dropped if this does not return
    /// `Ok`: `load_into`, below, does so. A file that is refused is set aside.
    fn load(&self, now_ms: u64, sink: &mut Sink<'_, K, V>)
    -> Result<Option<DumpReport>, DumpError>;
}

impl<K, V> dyn Dump<K, V> + '_ {
    /// Reads the dump, if there is one, into a collection that is handed over only if it is whole. `put` is
    /// given an entry and how long it has left; none, if it does not expire.
    pub(crate) fn load_into<C>(
        &self,
        now_ms: u64,
        mut collection: C,
        mut put: impl FnMut(&mut C, K, V, Option<Duration>),
    ) -> Result<Option<(C, DumpReport)>, DumpError> {
        let loaded = self.load(now_ms, &mut |key, value, left| {
            put(&mut collection, key, value, left);
        });
        match loaded {
            Ok(Some(report)) => Ok(Some((collection, report))),
            Ok(None) => Ok(None),
            Err(error) => {
                // It holds what is the user's.
                drop_contained(collection);
                Err(error)
            }
        }
    }
}

/// The dump of a bucket in a file.
pub(crate) struct DumpFile<K, V, F = Disk> {
    target: Target,
    bucket: String,
    schema: u64,
    style: Style,
    files: F,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> DumpFile<K, V> {
    /// # Errors
    ///
    /// That the path names no file. It is not looked at yet.
    pub(crate) fn new(path: &Path, bucket: &str, schema: u64) -> Result<Self, DumpError> {
        Self::on(Disk, path, bucket, schema)
    }
}

impl<K, V, F: Files> DumpFile<K, V, F> {
    pub(crate) fn on(files: F, path: &Path, bucket: &str, schema: u64) -> Result<Self, DumpError> {
        let target = Target::new(path).map_err(|flaw| DumpError::new(path, flaw, None))?;
        Ok(Self {
            target,
            bucket: bucket.to_owned(),
            schema,
            style: Style::default(),
            files,
            types: PhantomData,
        })
    }

    /// Compresses what is written. What is read need not be.
    #[cfg(feature = "dump-compression")]
    pub(crate) fn compressed(mut self, yes: bool) -> Self {
        self.style.packed = yes;
        self
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            bucket: &self.bucket,
            schema: self.schema,
        }
    }

    fn failed(&self, flaw: Flaw) -> DumpError {
        DumpError::new(self.target.path(), flaw, None)
    }

    fn try_prepare(&self) -> Result<(), Flaw> {
        self.target.look(&self.files)?;
        self.target
            .sweep(&self.files)
            .map_err(|error| Flaw::io("sweep the directory", error))?;
        match self.target.unfinished(&self.files) {
            Ok((unfinished, out)) => {
                // Closed first, as below.
                drop(out);
                drop(unfinished);
                Ok(())
            }
            Err(error) => Err(Flaw::io("create a file in the directory", error)),
        }
    }

    /// The order is what makes it safe: DESIGN.md, "The dump file".
    fn try_save<'a>(
        &self,
        facts: Facts,
        entries: &mut dyn Iterator<Item = (&'a K, &'a V, Option<u64>)>,
    ) -> Result<DumpReport, Flaw>
    where
        K: Serialize + DeserializeOwned + 'a,
        V: Serialize + DeserializeOwned + 'a,
    {
        self.target.look(&self.files)?;
        let (unfinished, out) = self
            .target
            .unfinished(&self.files)
            .map_err(|error| Flaw::io("create a file in the directory", error))?;
        let mut writer = Writer::begin(out, self.style, self.identity(), facts)?;
        for (key, value, deadline) in entries {
            writer.entry(key, value, deadline)?;
        }
        let (mut out, written) = writer.end()?;
        self.files
            .sync(&mut out)
            .map_err(|error| Flaw::io("have the file on the disk", error))?;
        // Closed first: there are systems on which an open file keeps its name.
        drop(out);
        unfinished
            .become_dump(&self.target)
            .map_err(|error| Flaw::io("put the file in place", error))?;
        self.files
            .sync_names(self.target.directory())
            .map_err(|error| Flaw::io("have the new file's name on the disk", error))?;
        Ok(DumpReport::new(
            facts,
            written.entries,
            written.expired,
            written.bytes,
        ))
    }

    fn try_load(&self, now_ms: u64, sink: &mut Sink<'_, K, V>) -> Result<Option<DumpReport>, Flaw>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        // Looked at before it is opened: to open a pipe is to wait for who writes to it.
        if self.target.look(&self.files)? == Place::Nothing {
            return Ok(None);
        }
        let (input, len) = self
            .files
            .open(self.target.path())
            .map_err(|error| Flaw::io("open the file", error))?;
        let found = read::read(input, len, self.identity(), now_ms, sink)?;
        Ok(Some(DumpReport::new(
            found.facts,
            found.entries,
            found.expired,
            len,
        )))
    }
}

impl<K, V, F> Dump<K, V> for DumpFile<K, V, F>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
    F: Files + Send + Sync,
{
    fn prepare(&self) -> Result<(), DumpError> {
        self.try_prepare().map_err(|flaw| self.failed(flaw))
    }

    fn save<'a>(
        &self,
        facts: Facts,
        entries: &mut dyn Iterator<Item = (&'a K, &'a V, Option<u64>)>,
    ) -> Result<DumpReport, DumpError>
    where
        K: 'a,
        V: 'a,
    {
        contained(|| self.try_save(facts, entries))
            .unwrap_or_else(|panic| Err(Flaw::panicked(panic)))
            .map_err(|flaw| self.failed(flaw))
    }

    fn expected(&self) -> u64 {
        let place = self.target.look(&self.files);
        if !matches!(place, Ok(Place::Nothing) | Err(_))
            && let Ok((input, len)) = self.files.open(self.target.path())
        {
            return read::expected(input, len, self.identity());
        }
        0
    }

    fn panicked(&self, panic: Error) -> DumpError {
        self.failed(Flaw::panicked(panic))
    }

    fn load(
        &self,
        now_ms: u64,
        sink: &mut Sink<'_, K, V>,
    ) -> Result<Option<DumpReport>, DumpError> {
        contained(|| self.try_load(now_ms, sink))
            .unwrap_or_else(|panic| Err(Flaw::panicked(panic)))
            .map_err(|flaw| {
                let aside = match flaw.kind().blames_the_file() {
                    true => self.target.set_aside(&self.files),
                    false => None,
                };
                DumpError::new(self.target.path(), flaw, aside)
            })
    }
}

impl<K, V, F> fmt::Debug for DumpFile<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DumpFile")
            .field("path", &self.target.path())
            .field("bucket", &self.bucket)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
