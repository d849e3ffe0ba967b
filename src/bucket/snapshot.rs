//! The snapshot, as users hold it.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::time::SystemTime;

use super::Ttl;
use crate::clock::Tick;
use crate::store::Generation;
use crate::sync::Arc;
use crate::{DefaultHashBuilder, HashBuilder, Key, Value};

/// A view of a bucket that never changes: the same answers, the same order of iteration, also after the
/// bucket is gone. See [`Bucket::snapshot`](super::Bucket::snapshot).
///
/// What had expired when it was taken is not in it; nothing expires in it. What is dead, as
/// [`Builder::alive`](super::Builder::alive) has it, is in it: whether a value lives is asked by reads of the bucket.
///
/// It holds its table in memory, beside the one that the bucket has by then. A clone is one reference
/// count.
///
/// # Examples
///
/// ```
/// let bucket = larder::Bucket::<u32, &str>::builder("words").build()?;
/// bucket.set_many([(1, "one"), (2, "two")]);
/// let epoch = bucket.publish()?;
///
/// let snapshot = bucket.snapshot();
/// bucket.set(1, "uno");
/// bucket.publish()?;
/// assert_eq!(snapshot.get(&1), Some(&"one"));
/// assert_eq!((snapshot.len(), snapshot.epoch()), (2, epoch));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Snapshot<K: Key, V: Value, S: HashBuilder = DefaultHashBuilder> {
    generation: Arc<Generation<K, V>>,
    hasher: S,
    /// What had expired by then is not in it, and nothing expires later.
    taken: Tick,
}

impl<K: Key, V: Value, S: HashBuilder> Snapshot<K, V, S> {
    pub(super) fn new(generation: Arc<Generation<K, V>>, hasher: S) -> Self {
        let taken = generation.table.now();
        Self {
            generation,
            hasher,
            taken,
        }
    }

    /// The value of a key in this snapshot.
    #[must_use]
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.generation.table.find_at(hash, key, self.taken)
    }

    /// Those of these keys that are in it, with their values.
    pub(super) fn among<'a>(&'a self, keys: &'a [K]) -> impl Iterator<Item = (&'a K, &'a V)> {
        keys.iter()
            .filter_map(|key| self.get(key).map(|value| (key, value)))
    }

    pub(super) fn generation(&self) -> &Generation<K, V> {
        &self.generation
    }

    /// All pairs, in an order that is the same at each call.
    #[doc(alias = "stream")]
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            pairs: Box::new(self.generation.table.iter_at(self.taken)),
            left: self.len(),
        }
    }

    /// All pairs, each with how long its value was to live from the moment on in which the snapshot was taken. In the
    /// order of [`iter`](Self::iter).
    ///
    /// With the iterator's own adaptors this is a query by key, by value and by time; what has expired is not in a
    /// snapshot, but its keys can be [asked for](super::Bucket::expired_keys).
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Ttl;
    ///
    /// let minute = Duration::from_secs(60);
    /// let bucket = larder::Bucket::<&str, u32>::builder("stock").build()?;
    /// bucket.set("salt", 7);
    /// bucket.set_with_ttl("milk", 2, minute);
    /// bucket.set_with_ttl("eggs", 12, 60 * minute);
    /// bucket.publish()?;
    /// let snapshot = bucket.snapshot();
    /// let soon = snapshot.iter_with_ttl().filter(|(.., ttl)| *ttl < Ttl::Left(2 * minute));
    /// assert_eq!(soon.map(|(key, ..)| *key).collect::<Vec<_>>(), ["milk"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter_with_ttl(&self) -> impl Iterator<Item = (&K, &V, Ttl)> {
        let taken = self.taken.to_deadline().time().unwrap_or_default();
        let entries = self.generation.table.entries_at(self.taken);
        entries.map(move |(key, value, expires)| (key, value, Ttl::until(expires, taken)))
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generation.table.len_at(self.taken)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its number. Later snapshots of the same bucket have higher ones.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.generation.epoch
    }

    /// The bucket's [version](super::Bucket::version) when it was built. All that it holds is of that version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.generation.version
    }

    /// When it was built, by the time of day.
    #[must_use]
    pub fn published_at(&self) -> SystemTime {
        self.generation.published_at
    }
}

impl<K: Key, V: Value, S: HashBuilder> Clone for Snapshot<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            generation: Arc::clone(&self.generation),
            hasher: self.hasher.clone(),
            taken: self.taken,
        }
    }
}

impl<'a, K: Key, V: Value, S: HashBuilder> IntoIterator for &'a Snapshot<K, V, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Key, V: Value, S: HashBuilder> fmt::Debug for Snapshot<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("epoch", &self.epoch())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The pairs of a [`Snapshot`].
pub struct Iter<'a, K, V> {
    pairs: Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a>,
    left: usize,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next()?;
        self.left -= 1;
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
