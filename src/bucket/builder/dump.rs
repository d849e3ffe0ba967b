//! Where a bucket's contents are kept while no process is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Builder;
use crate::dump::{Dump, DumpError, DumpFile};
use crate::error::BuildError;
use crate::{HashBuilder, Key, Value};

/// The dump's options.
pub(super) struct DumpOptions<K, V> {
    path: PathBuf,
    open: Open<K, V>,
    schema: u64,
}

/// Given the path, the bucket's name, the schema, and whether to compress.
type Open<K, V> = fn(&Path, &str, u64, bool) -> Result<Box<dyn Dump<K, V>>, DumpError>;

impl<K: Key, V: Value> DumpOptions<K, V> {
    /// Makes the dump ready, or says which option is at fault.
    pub(super) fn open(
        &self,
        bucket: &str,
        compressed: bool,
    ) -> Result<Box<dyn Dump<K, V>>, BuildError> {
        let opened = (self.open)(&self.path, bucket, self.schema, compressed);
        let opened = opened.and_then(|dump| dump.prepare().map(|()| dump));
        opened.map_err(|error| BuildError::Option {
            option: "dump",
            value: error.to_string(),
            range: "a path to a file, in a directory that can be written",
        })
    }
}

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Keeps what is cached in a file, and begins with what is in it. Default: nothing is kept.
    ///
    /// `schema` is a number of yours that says what keys and values look like: another one than that in the file
    /// refuses it. The file is that of one bucket, known by its name; two processes must not share it.
    ///
    /// *At the start*, [`build`](Self::build) reads the file on the caller's thread. What has expired meanwhile is
    /// left out: the time on disk counts. A file that is damaged, cut off, or of another bucket, schema or format
    /// is set aside under another name and reported, and the bucket begins empty; never with half of it. See
    /// [`Bucket::loaded_dump`](crate::Bucket::loaded_dump).
    ///
    /// *From then on*, a thread of its own writes what has changed, no more often than [`dump_delay`](
    /// Self::dump_delay) says, and once more at the [shutdown](crate::Bucket::shutdown), which waits for it. It
    /// writes another file, has it on the disk, and puts it in the place of the old: what is there is always whole.
    /// A symbolic link is replaced, not followed. What fails is reported, and tried again.
    ///
    /// Keys and values are encoded with postcard, so their types must have their shape by themselves: an untagged
    /// enum, or a `serde_json::Value`, cannot be read back, and is refused as it is written.
    ///
    /// ```
    /// # let directory = tempfile();
    /// # let path = directory.join("prices.dump");
    /// use larder::Bucket;
    ///
    /// let prices = || Bucket::<String, u64>::builder("prices").dump(&path, 1).build();
    /// let bucket = prices()?;
    /// bucket.set("tea".into(), 3);
    /// bucket.shutdown();
    ///
    /// let bucket = prices()?;
    /// assert_eq!(bucket.peek("tea"), Some(3));
    /// # bucket.shutdown();
    /// # std::fs::remove_dir_all(directory)?;
    /// # fn tempfile() -> std::path::PathBuf {
    /// #     let path = std::env::temp_dir().join(format!("larder-doc-{}", std::process::id()));
    /// #     std::fs::create_dir_all(&path).unwrap();
    /// #     path
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(mut self, path: impl Into<PathBuf>, schema: u64) -> Self
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.dump = Some(DumpOptions {
            path: path.into(),
            // The types' own code is known here, and nowhere else.
            open: |path, bucket, schema, _compressed| {
                let file = DumpFile::<K, V>::new(path, bucket, schema)?;
                #[cfg(feature = "dump-compression")]
                let file = file.compressed(_compressed);
                Ok(Box::new(file))
            },
            schema,
        });
        self
    }

    /// How often what has changed is [dumped](Self::dump), at the most: a change waits so long for others. Default: 10
    /// seconds.
    pub fn dump_delay(mut self, delay: Duration) -> Self {
        self.config.dump_delay = delay;
        self
    }

    /// Compresses [the dump](Self::dump): smaller, and slower to write. What is read need not be compressed.
    #[cfg(feature = "dump-compression")]
    pub fn compress_dump(mut self) -> Self {
        self.config.dump_compressed = true;
        self
    }
}
