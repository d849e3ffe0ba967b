//! A storage that is none: it lasts as long as the process.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use super::{Change, Entry, Expiry, Storage};
use crate::error::BoxError;
use crate::sync::{Arc, Mutex};

/// A [`Storage`] in memory, for tests and examples.
///
/// A clone is a handle on the same contents: to open it again is to clone it. It does all of a call or nothing, and
/// copies its contents for that. One bucket at a time may write to it.
///
/// ```
/// use larder::{Bucket, storage::MemoryStorage};
///
/// let storage = MemoryStorage::new();
/// let words = || Bucket::<u32, &str>::builder("words").storage(storage.clone()).build();
/// let bucket = words()?;
/// bucket.set(1, "one");
/// bucket.shutdown();
/// assert_eq!(storage.get(&1), Some("one"));
///
/// let bucket = words()?;
/// assert_eq!(bucket.peek(&1), Some("one"));
/// # Ok::<(), larder::BuildError>(())
/// ```
pub struct MemoryStorage<K, V>(Arc<Mutex<Arc<Contents<K, V>>>>);

struct Contents<K, V> {
    version: u64,
    entries: HashMap<K, (V, Option<Expiry>)>,
}

impl<K, V> MemoryStorage<K, V> {
    /// One that is empty.
    #[must_use]
    pub fn new() -> Self {
        let (version, entries) = (0, HashMap::new());
        let contents = Contents { version, entries };
        Self(Arc::new(Mutex::new(Arc::new(contents))))
    }

    /// How many entries are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.contents().entries.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version of the last [`replace`](Storage::replace).
    #[must_use]
    pub fn version(&self) -> u64 {
        self.contents().version
    }

    fn contents(&self) -> Arc<Contents<K, V>> {
        Arc::clone(&self.0.lock())
    }

    /// The lock is held for no code of the user's, and so for no drop of what was there.
    fn put(&self, contents: Contents<K, V>) {
        let old = std::mem::replace(&mut *self.0.lock(), Arc::new(contents));
        drop(old);
    }
}

impl<K: Hash + Eq + Clone, V: Clone> MemoryStorage<K, V> {
    /// The value of a key, as it is kept, expired or not.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let contents = self.contents();
        contents.entries.get(key).map(|(value, _)| value.clone())
    }

    /// All keys with their values, as they are kept at one moment, in no particular order.
    #[must_use]
    pub fn pairs(&self) -> Vec<(K, V)> {
        let contents = self.contents();
        let pairs = contents.entries.iter();
        pairs
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect()
    }
}

impl<K, V> Storage<K, V> for MemoryStorage<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn load(&mut self, each: &mut dyn FnMut(K, V, Option<Expiry>)) -> Result<u64, BoxError> {
        let contents = self.contents();
        for (key, (value, expiry)) in &contents.entries {
            each(key.clone(), value.clone(), *expiry);
        }
        Ok(contents.version)
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, K, V>>,
    ) -> Result<(), BoxError> {
        let before = self.contents();
        let mut entries = before.entries.clone();
        for change in changes {
            match change {
                Change::Put(Entry { key, value, expiry }) => {
                    entries.insert(key.clone(), (value.clone(), expiry));
                }
                Change::Remove(key) => {
                    entries.remove(key);
                }
            }
        }
        let version = before.version;
        self.put(Contents { version, entries });
        Ok(())
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, K, V>>,
    ) -> Result<(), BoxError> {
        let entries = entries.map(|Entry { key, value, expiry }| {
            let kept = (value.clone(), expiry);
            (key.clone(), kept)
        });
        let entries = entries.collect();
        self.put(Contents { version, entries });
        Ok(())
    }
}

impl<K, V> Clone for MemoryStorage<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for MemoryStorage<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for MemoryStorage<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("version", &self.version())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
