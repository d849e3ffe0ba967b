//! Reading a dump that somebody names, into a list, for a bucket that runs.

use std::io::ErrorKind;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::{DumpErrorKind, Flaw};
use super::files::Files;
use super::{DumpError, DumpFile, DumpReport};
use crate::contain::{contained, drop_contained};

/// Keys and values, and how long each has left; none, if it does not expire.
pub(crate) type Entries<K, V> = Vec<(K, V, Option<Duration>)>;

impl<K: DeserializeOwned, V: DeserializeOwned, F: Files> DumpFile<K, V, F> {
    /// All entries of the dump, once it is known to be whole.
    ///
    /// A file that is refused stays where it is: it need not be one that this bucket has made, and who has named it is
    /// told what is wrong with it.
    pub(crate) fn read_whole(&self, now_ms: u64) -> Result<(Entries<K, V>, DumpReport), DumpError> {
        let mut entries = Vec::new();
        let read = contained(|| {
            self.try_load(now_ms, &mut |key, value, left| {
                entries.push((key, value, left));
            })
        });
        let read = read.unwrap_or_else(|panic| Err(Flaw::panicked(panic)));
        // At a start there need not be a file. Here there was to be one.
        let nothing = || Flaw::io("open the file", ErrorKind::NotFound.into());
        match read.and_then(|report| report.ok_or_else(nothing)) {
            Ok(report) => Ok((entries, report)),
            Err(flaw) => {
                drop_contained(entries);
                Err(self.failed(flaw))
            }
        }
    }

    /// That what was read is of a lower version than the bucket is by now.
    pub(crate) fn outdated(&self, version: u64) -> DumpError {
        let message =
            format!("it is of version {version}, and the bucket was reset to a higher one");
        self.failed(Flaw::new(DumpErrorKind::Version, message))
    }
}
