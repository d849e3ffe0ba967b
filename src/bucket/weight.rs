//! The weight of what is cached: asked for, said, and refused.

use super::Bucket;
use crate::store::Content;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// What everything that is cached weighs; 0 in a bucket without a [limit](super::Builder::max_weight).
    ///
    /// It is what is held in memory: also what has expired, until a fold has removed it. While others write it may be
    /// from a moment ago.
    ///
    /// ```
    /// let pages = larder::Bucket::<u32, String>::builder("pages")
    ///     .max_weight(1_000_000)
    ///     .weigher(|_, page: &String| page.len() as u64)
    ///     .build()?;
    /// pages.set(1, "<html>".into());
    /// assert_eq!(pages.weight(), 6);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[must_use]
    #[doc(alias = "size")]
    pub fn weight(&self) -> u64 {
        self.core.store.weight()
    }

    /// Writes a value, and says if there is no room for it. As [`set`](Self::set) otherwise.
    ///
    /// # Errors
    ///
    /// The value, if the bucket has a [limit](super::Builder::max_weight) and is full. Then the key is removed: what it
    /// had before is not to be read any more.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, &str>::builder("two").max_weight(2).build()?;
    /// assert_eq!(bucket.try_set(1, "one"), Ok(()));
    /// assert_eq!(bucket.try_set(2, "two"), Ok(()));
    /// assert_eq!(bucket.try_set(3, "three"), Err("three"));
    /// assert_eq!(bucket.try_set(2, "zwei"), Ok(())); // no heavier than what was there
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn try_set(&self, key: K, value: V) -> Result<(), V> {
        let hash = self.core.store.hash(&key);
        let content = Content::until(value, self.core.expires());
        let written = self.core.write_weighed(hash, key, content);
        // There is none to return where the bucket is switched off, and nothing is stored by anybody.
        written.or_else(|refused| refused.map_or(Ok(()), Err))
    }

    /// Writes a value of so much weight, whatever the bucket's [weigher](super::Builder::weigher) would say. As
    /// [`try_set`](Self::try_set) otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_with_weight(&self, key: K, value: V, weight: u64) -> Result<(), V> {
        let hash = self.core.store.hash(&key);
        let content = Content::until(value, self.core.expires()).weighing(weight);
        let written = self.core.write_content(hash, key, content);
        written.or_else(|refused| refused.map_or(Ok(()), Err))
    }
}
