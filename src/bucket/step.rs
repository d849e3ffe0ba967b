//! Several keys changed in one step.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::Bucket;
use crate::clock::Deadline;
use crate::error::{Error, ErrorKind};
use crate::store::{Content, Joined, Joint, Part, inside_a_write};
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

/// The keys of an [update of many](Bucket::update_many): what they have, and what they are to have. A key is known by
/// its place among those that the update was given, from 0 on.
///
/// A key of which nothing is said stays as it is. One that was named more than once is one key in several places.
#[derive(Debug)]
pub struct Step<'a, V> {
    /// Of each place, which key it is.
    places: &'a [usize],
    values: Vec<Option<&'a V>>,
    said: Vec<Said<V>>,
}

/// What is to become of a key.
#[derive(Debug)]
enum Said<V> {
    Nothing,
    Value(V, Option<Duration>),
    Removed,
}

impl<V> Step<'_, V> {
    /// The value of a key: what the step has said of it, else what is cached.
    ///
    /// # Panics
    ///
    /// If there is no such place, as the others do.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&V> {
        let key = self.places[place];
        match &self.said[key] {
            Said::Nothing => self.values[key],
            Said::Value(value, _) => Some(value),
            Said::Removed => None,
        }
    }

    /// Has a key get a value. It keeps the tags of the old one, and the time that it has left; where there is none, it has
    /// the bucket's own [`ttl`](super::Builder::ttl).
    pub fn set(&mut self, place: usize, value: V) {
        self.said[self.places[place]] = Said::Value(value, None);
    }

    /// Has a key get a value that expires after `ttl`.
    pub fn set_with_ttl(&mut self, place: usize, value: V, ttl: Duration) {
        self.said[self.places[place]] = Said::Value(value, Some(ttl));
    }

    /// Has a key removed.
    pub fn remove(&mut self, place: usize) {
        self.said[self.places[place]] = Said::Removed;
    }

    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no key was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Changes several keys as `change` says, in one step: all of it or nothing, and nothing is written to any of these
    /// keys between what `change` was shown and what it said. Returns what `change` returned.
    ///
    /// `change` is given the keys as a [`Step`], with the values that they have at one moment, if they are cached; loads
    /// are not asked for. It runs with nothing held and may use the bucket: a [`fetch`](Self::fetch) of one of the keys
    /// neither waits for the step nor the step for it. If one of the keys is written or loaded meanwhile, or
    /// folded, what it said is forgotten and it runs again. A
    /// key that it only reads counts as well: what the step writes is made of values that are there when it is written.
    ///
    /// ```
    /// let accounts = larder::Bucket::<String, u64>::builder("accounts").build()?;
    /// accounts.set_many([("ann".into(), 30), ("ben".into(), 0)]);
    ///
    /// let transfer = |amount| {
    ///     accounts.update_many(["ann", "ben"], |step| {
    ///         let from = step.get(0).copied().unwrap_or(0);
    ///         let to = step.get(1).copied().unwrap_or(0);
    ///         if from < amount {
    ///             return false;
    ///         }
    ///         step.set(0, from - amount);
    ///         step.set(1, to + amount);
    ///         true
    ///     })
    /// };
    /// assert!(transfer(20)?);
    /// assert!(!transfer(20)?);
    /// assert_eq!((accounts.peek("ann"), accounts.peek("ben")), (Some(10), Some(20)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Consistency
    ///
    /// With regard to everything that writes these keys, and to other steps, it takes effect at one moment. It is in a
    /// [snapshot](Self::snapshot) whole or not at all. Reads of single keys may see some of it before the rest. A load
    /// of one of the keys that is under way will not overwrite it.
    ///
    /// Where nothing is said of any key nothing is written, and nobody is waited for: a way to read several keys as they
    /// are at one moment. While the bucket is [switched off](Self::set_caching) no key has a value and nothing is
    /// stored, as with other writes.
    ///
    /// # Errors
    ///
    /// In each case nothing is changed. `Full` if the bucket has a [limit](super::Builder::max_weight) and no room for
    /// all that is to be written: unlike a [`set`](Self::set) that is refused, it leaves the keys what they have.
    /// `Timeout` if it has not come about within the wait limit, as the refresher is held up or the keys are changed
    /// all the time: by `change` itself, for instance. `Closed` after a shutdown. `Reentrant` in the middle of a write
    /// (see [`Bucket`]). `Panicked` if an `Eq` of the user did; if it did so in the middle of the last comparisons,
    /// the whole takes effect later.
    ///
    /// # Panics
    ///
    /// If `change` does, or the weigher. Then nothing is changed.
    ///
    /// # Blocking
    ///
    /// Waits for the refresher to end the fold that it is at, and for those who are writing at this moment. Others wait
    /// for nothing: who writes one of the keys first does so, and the step is tried again.
    #[doc(alias = "transaction")]
    #[doc(alias = "execute")]
    pub fn update_many<'q, Q, R>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut change: impl FnMut(&mut Step<'_, V>) -> R,
    ) -> Result<R, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        // The refresher itself gets here when it drops a value whose `Drop` calls the bucket.
        if inside_a_write() || self.core.is_refresher() {
            return Err(Error::reentrant());
        }
        let core = &self.core;
        let deadline = core.loads.deadline(core.config.wait_limit);
        let (keys, places) = self.distinct(keys);
        loop {
            if let Some((result, parts)) = self.ask(&keys, &places, &mut change) {
                if parts.iter().all(|part| part.content.is_none()) {
                    return Ok(result);
                }
                if self.join(&keys, parts, deadline)? {
                    return Ok(result);
                }
            }
            if core.clock.now() >= deadline {
                return Err(Error::timeout());
            }
        }
    }

    /// The keys, each once, and of each place which one it is.
    fn distinct<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> (Vec<(u64, K)>, Vec<usize>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let mut known: HashMap<&Q, usize, S> = HashMap::with_hasher(self.hasher.clone());
        let mut distinct = Vec::new();
        let places = keys.into_iter().map(|key| {
            *known.entry(key).or_insert_with(|| {
                distinct.push((self.hash(key), key.to_owned()));
                distinct.len() - 1
            })
        });
        let places = places.collect();
        (distinct, places)
    }

    /// What `change` says of what there is, with nothing held. `None` if it was not asked, as there was no one moment.
    fn ask<R>(
        &self,
        keys: &[(u64, K)],
        places: &[usize],
        change: impl FnOnce(&mut Step<'_, V>) -> R,
    ) -> Option<(R, Vec<Part<K, V>>)> {
        let store = &self.core.store;
        let held = store.load_view();
        let (seen, values) = store.look_at_once(&held, keys)?;
        let mut step = Step {
            places,
            said: keys.iter().map(|_| Said::Nothing).collect(),
            values,
        };
        let result = change(&mut step);
        let parts = keys.iter().zip(seen).zip(step.values.iter().zip(step.said));
        let parts = parts.map(|(((hash, key), seen), (value, said))| {
            let content = match said {
                Said::Nothing => None,
                Said::Removed => Some(Content::from(None)),
                Said::Value(new, ttl) => {
                    let kept = value.and_then(|_| held.deadline(*hash, key));
                    let expires = match ttl {
                        Some(ttl) => Deadline::after(&self.core.clock, ttl),
                        None => kept.unwrap_or_else(|| self.core.expires()),
                    };
                    Some(store.weighed(key, Content::until(new, expires)))
                }
            };
            Part {
                hash: *hash,
                key: key.clone(),
                seen,
                had_value: value.is_some(),
                content,
            }
        });
        let parts = parts.collect();
        Some((result, parts))
    }

    /// Has it written, if all is as it was seen. Returns whether it is.
    fn join(
        &self,
        keys: &[(u64, K)],
        parts: Vec<Part<K, V>>,
        deadline: Duration,
    ) -> Result<bool, Error> {
        let core = &self.core;
        let content =
            |part: &Part<K, V>| part.content.as_ref().map(|content| content.value.is_some());
        let written: Vec<Option<bool>> = parts.iter().map(content).collect();
        let joint = Joint::new(parts);
        let verdict = Arc::clone(joint.verdict());
        let reply = core.control.ask_joint(joint);
        let joined = match reply.wait(&core.clock, deadline) {
            Some(joined) => joined.clone()?,
            None if verdict.break_off() => return Err(Error::timeout()),
            // It is decided, and nobody has to be waited for: what is not put yet is put here.
            None => {
                core.store.help_with(keys);
                Joined::Done
            }
        };
        match joined {
            Joined::Changed => return Ok(false),
            Joined::Full => {
                let values = written.iter().filter(|value| **value == Some(true));
                core.loads.refused(values.count());
                let message = "the bucket has no room for what was to be written";
                return Err(Error::new(ErrorKind::Full, message));
            }
            Joined::Done => {}
        }
        if let Some(exists) = core.loads.exists() {
            for ((hash, key), _) in keys.iter().zip(written).filter(|(_, it)| it.is_some()) {
                exists.written(*hash, key);
            }
        }
        Ok(true)
    }
}
