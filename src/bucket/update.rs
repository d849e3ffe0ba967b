//! Values made from the ones before.

use std::borrow::Borrow;
use std::hash::Hash;

use super::Bucket;
use crate::clock::Deadline;
use crate::error::Error;
use crate::store::{Content, inside_a_write};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Changes the value of a key to what `change` makes of it, in one step: nothing is written between. Returns the
    /// value after that; `None` removes the key, or leaves it absent.
    ///
    /// `change` is given the value, if the key is cached; a load is not asked for. It runs with nothing held and may
    /// use the bucket, and runs again if the key is written meanwhile. A value keeps its tags and the time that it has
    /// left; one for a key that was not cached has the bucket's [`ttl`](super::Builder::ttl). A load of the key that is
    /// under way will not overwrite it. Where a bucket with a [limit](super::Builder::max_weight) has no room for the
    /// value, the key is removed.
    ///
    /// ```
    /// let counts = larder::Bucket::<String, u64>::builder("counts").build()?;
    /// for word in ["tea", "tea", "salt"] {
    ///     counts.update(word, |count| Some(count.map_or(1, |count| count + 1)))?;
    /// }
    /// assert_eq!(counts.peek("tea"), Some(2));
    /// assert_eq!(counts.update("tea", |_| None)?, None);
    /// assert_eq!(counts.peek("tea"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A command with a result of its own leaves it in a variable. What counts is the last time that `change` ran.
    ///
    /// ```
    /// let lists = larder::Bucket::<String, Vec<u32>>::builder("lists").build()?;
    /// lists.set("odd".into(), vec![1, 3]);
    /// let mut popped = None;
    /// lists.update("odd", |list| {
    ///     popped = None;
    ///     let mut list = list?.clone();
    ///     popped = list.pop();
    ///     Some(list)
    /// })?;
    /// assert_eq!((popped, lists.peek("odd")), (Some(3), Some(vec![1])));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// For several keys in one step there is [`update_many`](Self::update_many).
    ///
    /// # Errors
    ///
    /// `Reentrant` in the middle of a write (see [`Bucket`]).
    ///
    /// # Panics
    ///
    /// If `change` does. Then nothing is changed.
    ///
    /// # Blocking
    ///
    /// As [`set_if_absent`](Self::set_if_absent).
    #[doc(alias = "get_and_update")]
    #[doc(alias = "invoke")]
    #[doc(alias = "compute")]
    pub fn update<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<&V>) -> Option<V>,
    ) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let written = self.rewrite(key, |value, expires| {
            let expires = match value {
                Some(_) => expires,
                None => self.core.expires(),
            };
            let changed = change(value);
            // Absent it is, and absent it stays.
            if changed.is_none() && value.is_none() {
                return None;
            }
            Some(match changed {
                Some(changed) => Content::until(changed, expires),
                None => None.into(),
            })
        })?;
        Ok(written.and_then(|content| content.value))
    }

    /// Forgets a key and returns the value that it had, in one step. As [`update`](Self::update) otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "remove")]
    #[doc(alias = "pop")]
    pub fn take<Q>(&self, key: &Q) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut taken = None;
        self.rewrite(key, |value, _| {
            taken = value.cloned();
            taken.is_some().then(|| None.into())
        })?;
        Ok(taken)
    }

    /// Forgets every key that is cached and of which `is_wanted` says so, as it looks; returns how many. One that is
    /// written meanwhile is asked for again.
    ///
    /// Goes through all that is cached. Each key goes by itself: see [`invalidate_many`](Self::invalidate_many) for
    /// all or nothing.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares").build()?;
    /// bucket.set_many((0..10).map(|key| (key, key * key)));
    /// assert_eq!(bucket.invalidate_if(|_, square| *square > 50)?, 2);
    /// assert_eq!(bucket.len(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn invalidate_if(&self, mut is_wanted: impl FnMut(&K, &V) -> bool) -> Result<usize, Error> {
        let mut gone = 0;
        for key in self.keys() {
            let mut went = false;
            self.rewrite(&key, |value, _| {
                went = value.is_some_and(|value| is_wanted(&key, value));
                went.then(|| None.into())
            })?;
            gone += usize::from(went);
        }
        Ok(gone)
    }

    fn rewrite<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<&V>, Deadline) -> Option<Content<V>>,
    ) -> Result<Option<Content<V>>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if inside_a_write() {
            return Err(Error::reentrant());
        }
        let store = &self.core.store;
        let (hash, key) = (store.hash(key), key.to_owned());
        let mut has_value = false;
        let written = store.update(u64::MAX, hash, &key, |value, expires, _| {
            let content = store.weighed(&key, change(value, expires)?);
            has_value = content.value.is_some();
            Some(content)
        });
        if has_value
            && written
                .as_ref()
                .is_some_and(|content| content.value.is_none())
        {
            self.core.loads.refused(1);
        }
        if written.is_some()
            && let Some(exists) = self.core.loads.exists()
        {
            exists.written(hash, &key);
        }
        Ok(written)
    }
}
