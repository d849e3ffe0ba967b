//! Where a bucket's contents are kept behind it.

use std::time::Duration;

use super::Builder;
use crate::clock::Clock;
use crate::config::{Config, refuse};
use crate::error::BuildError;
use crate::events::Events;
use crate::refresh::saves::{Opened, Saver};
use crate::refresh::worker::Refresher;
use crate::stats::Counters;
use crate::storage::Storage;
use crate::store::{Batch, Store};
use crate::sync::{Arc, Mutex};
use crate::{HashBuilder, Key, Value};

/// A storage need not be shared between threads, and a builder may be.
pub(super) type Given<K, V> = Mutex<Option<Box<dyn Storage<K, V>>>>;

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Keeps what is cached in a storage of yours as well, behind the bucket. Default: nowhere.
    ///
    /// *At the start*, [`build`](Self::build) reads it on the caller's thread, and the bucket begins with what is there,
    /// in place of what [`init`](Self::init) says, which is asked only if nothing is. Each entry has the time left that it
    /// had, less the time that has passed since; what has expired is left out, and so is all of it if the bucket's
    /// [`version`](Self::version) is higher than that in the storage. If the storage returns an error or panics, that is
    /// reported and the bucket begins without. What is there is then not known, and could not be told from what is newer:
    /// the first change of the bucket has the storage replaced by what the bucket holds.
    ///
    /// *From then on* the storage follows. A thread of its own writes to it what has changed, a [while](
    /// Self::storage_delay) after it was published, so that neither a caller nor a fold ever waits for it: each key once,
    /// as it is in a snapshot by then. What is removed, expired or evicted is removed there too, and whatever replaces the
    /// whole bucket, a [`clear`](crate::Bucket::clear), a [reset](crate::Bucket::reset), a dataset, the
    /// [switch](crate::Bucket::set_caching), replaces what is there. After each write it is a copy of one snapshot of the
    /// bucket. What fails is reported and tried again, after waits that double up to a minute, with what has changed by
    /// then; meanwhile it costs memory for the keys that have changed, and never for more keys than the bucket has, or
    /// some thousands.
    ///
    /// *At the [shutdown](crate::Bucket::shutdown)*, or the drop of the last handle, everything is written a last time,
    /// once, also what was not folded. That waits for the storage, for the shutdown limit at most. What could not be
    /// written by then is lost with the bucket, and so is what was not written yet where the process ends otherwise.
    ///
    /// Reads never ask the storage: a miss asks the loader. For data that is read from elsewhere on a miss, a loader is
    /// the place; for contents in a file, the feature `dump` is less work.
    ///
    /// A storage may use the bucket, but one that has a handle of it keeps it from being dropped: then it is to be
    /// [shut down](crate::Bucket::shutdown).
    ///
    /// See [`Storage`] for an example of one, and [`Bucket::write_storage`](crate::Bucket::write_storage).
    #[doc(alias = "backend")]
    pub fn storage(mut self, storage: impl Storage<K, V>) -> Self {
        self.storage = Some(Mutex::new(Some(Box::new(storage))));
        self
    }

    /// How long what has changed waits for more before it is written to the [storage](Self::storage). More has keys that
    /// are written often written there less often. Default: 1 second.
    pub fn storage_delay(mut self, delay: Duration) -> Self {
        self.config.storage_delay = delay;
        self
    }
}

impl<K, V, S> Builder<K, V, S> {
    pub(super) fn is_dumped(&self) -> bool {
        #[cfg(feature = "dump")]
        return self.dump.is_some();
        #[cfg(not(feature = "dump"))]
        return false;
    }
}

/// Reads the storage, if there is one; where there is a dump as well there are two truths.
pub(super) fn open<K: Key, V: Value, S: HashBuilder>(
    given: Option<Given<K, V>>,
    is_dumped: bool,
    hasher: &S,
    (clock, config): (&Clock, &Config),
    report: (&Counters, &Events),
) -> Result<Option<Opened<K, V>>, BuildError> {
    let Some(storage) = given.and_then(|given| given.lock().take()) else {
        return Ok(None);
    };
    if is_dumped {
        refuse("storage", "set", "left out in a bucket with a dump")?;
    }
    Ok(Some(Saver::open(storage, config, hasher, clock, report)))
}

/// Says how what the bucket begins with is not what was `found`: so many entries of it, after so many were left out.
pub(super) fn differs<K: Key, V: Value>(
    opened: &mut Option<Opened<K, V>>,
    found: bool,
    entries: usize,
    left: usize,
) {
    let Some(opened) = opened else {
        return;
    };
    if !found && entries > 0 {
        opened.lacks.everything();
    } else if left > 0 {
        opened.lacks.everything_once_changed();
    }
}

/// The parts of a bucket that is about to be started.
type Begun<K, V, S> = (
    Refresher<K, V, S>,
    Option<Arc<Saver<K, V>>>,
    Option<Batch<K, V>>,
);

/// Has the refresher leave what it publishes to the thread that writes to the storage. Of a store that has only just been
/// made.
pub(super) fn begin<K: Key, V: Value, S: HashBuilder>(
    opened: Option<Opened<K, V>>,
    store: &Store<K, V, S>,
    refresher: Refresher<K, V, S>,
) -> Begun<K, V, S> {
    let Some(Opened { saver, lacks, .. }) = opened else {
        return (refresher, None, None);
    };
    let (now, later) = lacks.split(store);
    let refresher = refresher.saving_to(saver.unsaved(), later);
    (refresher, Some(Arc::new(saver)), now)
}
