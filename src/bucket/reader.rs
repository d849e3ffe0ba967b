//! The reader: a handle for one thread, and the fastest read.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use super::Derived;
use crate::store::View;
use crate::sync::CellReader;
use crate::{DefaultHashBuilder, HashBuilder, Key, Value};

/// A handle for one thread's reads. See [`Bucket::reader`](super::Bucket::reader).
///
/// It keeps the view that it used last, and takes a newer one whenever there is one: a read through it
/// is as fresh as any other. While it is idle it holds that view in memory, the table included, so a
/// thread that stops reading should drop it. It never frees a table, and stays usable after the bucket
/// is gone, showing what the bucket held last.
///
/// # Examples
///
/// ```
/// let bucket = larder::Bucket::<String, String>::builder("names").build()?;
/// bucket.set("de".into(), "Germany".into());
///
/// let mut reader = bucket.reader();
/// assert_eq!(reader.get("de").map(String::as_str), Some("Germany"));
/// assert_eq!(reader.get("xx"), None);
/// # Ok::<(), larder::BuildError>(())
/// ```
pub struct Reader<K: Key, V: Value, S: HashBuilder = DefaultHashBuilder> {
    view: CellReader<View<K, V>>,
    hasher: S,
}

impl<K: Key, V: Value, S: HashBuilder> Reader<K, V, S> {
    pub(super) fn new(view: CellReader<View<K, V>>, hasher: S) -> Self {
        Self { view, hasher }
    }

    /// The value of a key, if it is cached. Never loads.
    ///
    /// Wait-free. A hit from the snapshot is a table lookup after one relaxed load and a comparison: no
    /// clone, no reference count, nothing that another thread writes.
    #[inline(always)]
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let (front, view) = self.view.load_front();
        View::get_by(front, || view(), hash, key)
    }

    /// The values of many keys, in their order, all from one view: of a large table much faster than one by one.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, &str>::builder("words").build()?;
    /// bucket.set_many([(1, "one"), (2, "two")]);
    /// let mut reader = bucket.reader();
    /// assert_eq!(reader.get_many(&[2, 3, 1]), [Some(&"two"), None, Some(&"one")]);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn get_many<'q, Q>(&mut self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<&V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'q,
    {
        let keys: Vec<&Q> = keys.into_iter().collect();
        let mut values = Vec::with_capacity(keys.len());
        let hash = |key: &Q| self.hasher.hash_one(key);
        let view = self.view.load();
        view.get_many(&keys, hash, |_, value| values.push(value));
        values
    }

    /// What was [derived](Derived) from the dataset that the bucket holds. As [`Derived::of`], without the reference
    /// count of a [`Snapshot`](super::Snapshot), but also without one: what the reader gives next may be of another
    /// dataset.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Derived;
    ///
    /// let highest = Derived::new(|pairs: &[(&u32, &u64)]| pairs.iter().map(|pair| *pair.1).max());
    /// let bucket = larder::Bucket::<u32, u64>::builder("offers")
    ///     .load_all(|| Ok::<_, std::io::Error>([(1, 20), (2, 30)]))
    ///     .derive(&highest)
    ///     .build()?;
    /// bucket.refresh().wait(Duration::from_secs(5))?;
    /// let mut reader = bucket.reader();
    /// assert_eq!(reader.derived(&highest), Some(&Some(30)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn derived<T: Send + Sync + 'static>(&mut self, derived: &Derived<K, V, T>) -> Option<&T> {
        let number = derived.deriver().number();
        self.view.load().current.derived(number)
    }

    /// The epoch of the snapshot that the next read would use.
    pub fn epoch(&mut self) -> u64 {
        self.view.load().current.epoch
    }
}

impl<K: Key, V: Value, S: HashBuilder> Clone for Reader<K, V, S> {
    fn clone(&self) -> Self {
        Self::new(self.view.clone(), self.hasher.clone())
    }
}

impl<K: Key, V: Value, S: HashBuilder> fmt::Debug for Reader<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
