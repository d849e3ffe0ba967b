//! How much a bucket may hold.

use super::Builder;
use crate::config::{Config, EvictBy, WhenFull, refuse};
use crate::error::BuildError;
use crate::store::{Limits, Policy, Weigher};
use crate::table::HEAVIEST;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// The most that the bucket may hold, in whatever the [`weigher`](Self::weigher) counts; entries, if there is
    /// none. Default: no limit.
    ///
    /// The bucket is full once everything that is cached weighs as much as this or more. What is written while it is
    /// not full is stored, so the entry that crosses the limit is kept, and none after it, however many threads write.
    /// [`when_full`](Self::when_full) says what becomes of values then.
    ///
    /// * A new value that is no heavier than the one that it replaces is stored, unless another thread is writing the
    ///   same key: then it may be refused.
    /// * What is loaded is returned, with [`Origin::Ignored`](crate::Origin::Ignored), and not stored. There is still
    ///   one load of a key at a time.
    /// * What is [`set`](crate::Bucket::set) is not stored; [`try_set`](crate::Bucket::try_set) says so.
    /// * If the key had a value before, that goes: no read returns what something newer has replaced.
    /// * Of [`set_many`](crate::Bucket::set_many) all is stored or nothing.
    /// * A dataset that weighs more than the limit is [refused](crate::ErrorKind::Refused) as by a validator. What
    ///   [`init`](Self::init) or a dump brings, and what was written while a dataset was fetched, is kept as far as
    ///   there is room.
    ///
    /// A key that is invalidated or overwritten makes room at once, and so does all that a clear or a
    /// [reset](crate::Bucket::reset) takes; one that has expired with the fold that removes it, one that is
    /// [dead](Self::alive) when that is found. The limit is on what is cached, and not on what memory is used: while a snapshot is built there are two tables,
    /// and what was overwritten stays in memory up to the next fold.
    ///
    /// A hit costs what it costs without a limit. A write takes some hundred instructions more, an entry 8 bytes.
    ///
    /// ```
    /// use larder::{Bucket, Origin};
    ///
    /// let squares = Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .max_weight(2)
    ///     .build()?;
    /// assert_eq!((squares.get(&1), squares.get(&2)), (Some(1), Some(4)));
    /// let third = squares.fetch(&3)?;
    /// assert_eq!((third.value(), third.origin()), (Some(&9), Origin::Ignored));
    /// squares.invalidate(&1);
    /// assert_eq!(squares.fetch(&3)?.origin(), Origin::Loaded);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "memory_limit")]
    #[doc(alias = "max_capacity")]
    #[doc(alias = "limit")]
    pub fn max_weight(mut self, weight: u64) -> Self {
        self.options.max_weight = Some(weight);
        self
    }

    /// What an entry weighs, in bytes or in whatever [`max_weight`](Self::max_weight) is in. Default: 1, so that
    /// entries are counted.
    ///
    /// Asked once for each value that is to be stored, also for those of a dump, which holds no weights, on the thread
    /// that writes or loads it, with nothing held. What it says is kept beside the value, so it need not say the same
    /// again. A value for which it panics is not stored,
    /// as if the bucket were full; in a dataset it fails the refresh.
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigher));
        self
    }

    /// What becomes of new values while the bucket is full. Default: [`WhenFull::Refuse`].
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.options.when_full = Some(policy);
        self
    }

    /// Which entries go first where a full bucket [evicts](WhenFull::Evict), and where it is
    /// [pruned](crate::Bucket::prune). Default: [`EvictBy::LastTouch`].
    ///
    /// ```
    /// use larder::{Bucket, EvictBy, WhenFull};
    ///
    /// let bucket = Bucket::<u32, u32>::builder("numbers")
    ///     .max_weight(1_000)
    ///     .when_full(WhenFull::Evict)
    ///     .evict_by(EvictBy::LastWrite)
    ///     .build()?;
    /// for key in [1, 2, 3, 1] {
    ///     bucket.set(key, key);
    /// }
    /// assert_eq!(bucket.peek(&2), Some(2));
    /// bucket.prune(2)?;
    /// assert_eq!(bucket.get_many([&1, &2, &3]), [Some(1), None, Some(3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "eviction_policy")]
    #[doc(alias = "policy")]
    #[doc(alias = "lru")]
    #[doc(alias = "lrw")]
    #[doc(alias = "lfu")]
    #[doc(alias = "tiny_lfu")]
    pub fn evict_by(mut self, policy: EvictBy) -> Self {
        self.options.evict_by = Some(policy);
        self
    }
}

pub(super) fn limits<K, V>(
    config: &Config,
    weigher: Option<Weigher<K, V>>,
) -> Option<Limits<K, V>> {
    let limit = config.max_weight?;
    let policy = match config.evict_by.unwrap_or_default() {
        EvictBy::LastTouch => Policy::LastTouch,
        EvictBy::LastWrite => Policy::LastWrite,
        EvictBy::Frequency => Policy::Frequency,
    };
    let evicts = config.when_full == Some(WhenFull::Evict);
    Some(Limits::new(limit, weigher, evicts.then_some(policy)))
}

/// # Errors
///
/// A limit of nothing, or what says something of a limit, or of evictions, that there are not.
pub(super) fn check(config: &Config, has_weigher: bool) -> Result<(), BuildError> {
    match config.max_weight {
        Some(limit) if limit == 0 || limit >= HEAVIEST => {
            refuse("max_weight", limit, "1 to 2^63 - 2")
        }
        Some(_) if config.evict_by.is_some() && config.when_full != Some(WhenFull::Evict) => {
            let range = "left out in a bucket whose when_full is not Evict";
            refuse("evict_by", "set", range)
        }
        Some(_) => Ok(()),
        None if has_weigher => refuse("weigher", "set", "left out in a bucket without max_weight"),
        None if config.when_full.is_some() => {
            let range = "left out in a bucket without max_weight";
            refuse("when_full", "set", range)
        }
        None if config.evict_by.is_some() => {
            refuse("evict_by", "set", "left out in a bucket without max_weight")
        }
        None => Ok(()),
    }
}
