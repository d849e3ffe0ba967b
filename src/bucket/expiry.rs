//! Values that expire: writes with a time of their own, and what can be asked and changed of it.

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use super::Bucket;
use super::core::Core;
use crate::clock::Deadline;
use crate::error::Error;
use crate::store::{Content, Retimed, inside_a_write};
use crate::{HashBuilder, Key, Value};

/// How long a value will live. See [`Bucket::ttl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ttl {
    /// For so long from now on.
    Left(Duration),
    /// For ever.
    Never,
}

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    /// When a value expires that is written now and nothing is said of.
    #[inline]
    pub(super) fn expires(&self) -> Deadline {
        Deadline::of(&self.clock, self.config.ttl)
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Writes a value that expires after `ttl`, whatever the bucket's own. As [`set`](Self::set) otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, &str>::builder("codes").clock(time.clock()).build()?;
    /// bucket.set_with_ttl(1, "4711", Duration::from_secs(30));
    /// time.advance(Duration::from_secs(30));
    /// assert_eq!(bucket.peek(&1), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn set_with_ttl(&self, key: K, value: V, ttl: Duration) {
        let hash = self.core.store.hash(&key);
        let expires = Deadline::after(&self.core.clock, ttl);
        let content = Content::until(value, expires);
        let _ = self.core.write_weighed(hash, key, content);
    }

    /// Writes many values that expire at one moment, after `ttl`. As [`set_many`](Self::set_many) otherwise.
    pub fn set_many_with_ttl(&self, pairs: impl IntoIterator<Item = (K, V)>, ttl: Duration) {
        let expires = Deadline::after(&self.core.clock, ttl);
        self.write_many(pairs, expires);
    }

    /// How long the value of a key will live; `None` if the key is not cached.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Ttl;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, &str>::builder("codes").clock(time.clock()).build()?;
    /// bucket.set(1, "for ever");
    /// bucket.set_with_ttl(2, "4711", Duration::from_secs(30));
    /// time.advance(Duration::from_secs(10));
    /// assert_eq!(bucket.ttl(&1), Some(Ttl::Never));
    /// assert_eq!(bucket.ttl(&2), Some(Ttl::Left(Duration::from_secs(20))));
    /// assert_eq!(bucket.ttl(&3), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn ttl<Q>(&self, key: &Q) -> Option<Ttl>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let store = &self.core.store;
        let hash = store.hash(key);
        let expires = store.view().deadline(hash, key)?;
        Some(Ttl::until(expires, self.core.clock.now()))
    }

    /// Has the value of a key expire after `ttl` from now on. Returns whether the key is cached.
    ///
    /// The value is written again, unless somebody else writes the key at the same time: then that stands.
    ///
    /// # Errors
    ///
    /// In each case the time is what it was. `Reentrant` in the middle of a write (see [`Bucket`]). Where it has to wait
    /// for the refresher: `Timeout` if that takes longer than the wait limit, `Closed` after a shutdown.
    ///
    /// # Blocking
    ///
    /// As [`set_if_absent`](Self::set_if_absent). In the moment in which a [dataset](super::Builder::load_all) is
    /// published, or what is [too stale](super::Builder::max_stale) taken out, it waits for that: only then is it known
    /// which value the key has.
    #[doc(alias = "expire")]
    pub fn expire_in<Q>(&self, key: &Q, ttl: Duration) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.retime(key, Deadline::after(&self.core.clock, ttl))
    }

    /// Has the value of a key expire at a time of day; at once, if that is past. As [`expire_in`](Self::expire_in)
    /// otherwise.
    ///
    /// The time that is left is taken once, now. What becomes of the system's clock afterwards, if somebody sets it or
    /// it leaps, makes the value expire neither sooner nor later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::Ttl;
    ///
    /// let time = larder::ManualClock::new();
    /// let bucket = larder::Bucket::<u32, &str>::builder("codes").clock(time.clock()).build()?;
    /// bucket.set(1, "4711");
    /// let midnight = time.time_of_day() + Duration::from_secs(3600);
    /// assert!(bucket.expire_at(&1, midnight)?);
    /// assert_eq!(bucket.ttl(&1), Some(Ttl::Left(Duration::from_secs(3600))));
    /// assert!(bucket.expire_at(&1, time.time_of_day())?);
    /// assert_eq!(bucket.peek(&1), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn expire_at<Q>(&self, key: &Q, time: SystemTime) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let clock = &self.core.clock;
        let left = time.duration_since(clock.time_of_day()).unwrap_or_default();
        self.retime(
            key,
            match left {
                // By the clock that reads go by, which may be late.
                Duration::ZERO => clock.coarse().to_deadline(),
                left => Deadline::after(clock, left),
            },
        )
    }

    /// Has the value of a key never expire. As [`expire_in`](Self::expire_in) otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn persist<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.retime(key, Deadline::NEVER)
    }

    /// Has the value of a key live as long again as one that is written now, by the bucket's own
    /// [`ttl`](super::Builder::ttl). As [`expire_in`](Self::expire_in) otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn touch<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.retime(key, self.core.expires())
    }

    fn retime<Q>(&self, key: &Q, expires: Deadline) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if inside_a_write() {
            return Err(Error::reentrant());
        }
        let store = &self.core.store;
        let (hash, owned) = (store.hash(key), key.to_owned());
        let deadline = self.core.loads.deadline(self.core.config.wait_limit);
        loop {
            // The check is not run in the middle of a write.
            if store.is_guarded() && !store.view().is_present(hash, key) {
                return Ok(false);
            }
            match store.retime(hash, &owned, expires) {
                Retimed::Yes => return Ok(true),
                Retimed::Absent => return Ok(false),
                // The refresher is in the middle of what is not published yet. Its next turn is after that.
                Retimed::NotYet => self.await_turn(deadline)?,
            }
        }
    }

    /// Waits for the refresher to begin a turn.
    fn await_turn(&self, deadline: Duration) -> Result<(), Error> {
        if self.core.is_refresher() {
            return Err(Error::reentrant());
        }
        let reply = self.core.control.ask(|requests| &mut requests.turn);
        let turn = reply.wait(&self.core.clock, deadline);
        turn.cloned().unwrap_or_else(|| Err(Error::timeout()))
    }

    pub(super) fn write_many(&self, pairs: impl IntoIterator<Item = (K, V)>, expires: Deadline) {
        let store = &self.core.store;
        // Collected first: the iterator is the caller's code, and must not run inside a write.
        let group = pairs
            .into_iter()
            .map(|(key, value)| {
                let content = store.weighed(&key, Content::until(value, expires));
                (store.hash(&key), key, content)
            })
            .collect();
        self.core.write_group(group);
    }
}
