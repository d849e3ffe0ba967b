//! The options of a bucket: plain data, each default with its reason.

mod options;

use std::time::Duration;

pub use self::options::Options;

use crate::error::BuildError;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Most keys in one call of a batch loader. 500 is what batch interfaces (SQL `IN` lists,
    /// `MGET`, DynamoDB and the like) commonly take without complaint.
    pub(crate) batch_size: usize,
    /// An idle loader starts at once: waiting for company costs every lone miss.
    pub(crate) linger: Duration,
    /// Two, so that a refresh sweep and a miss do not wait for each other.
    pub(crate) loader_threads: usize,
    /// Enough for a burst, small enough that a dead source is noticed before memory is.
    pub(crate) queue_capacity: usize,
    /// How long a caller waits. A hot path that waits longer has failed already.
    pub(crate) wait_limit: Duration,
    /// None: a bucket refreshes when told to.
    pub(crate) refresh_every: Option<Duration>,
    /// A tenth of the interval, so that fifty instances do not ask the source at once.
    pub(crate) refresh_jitter: f64,
    /// None: the interval is what the source was said to bear.
    pub(crate) refresh_retry: Option<(Duration, Duration)>,
    /// None: a loader that is slow is better than values that are old.
    pub(crate) refresh_timeout: Option<Duration>,
    /// None: a value lives until something else is said.
    pub(crate) ttl: Option<Duration>,
    /// None: data that fits needs no limit.
    pub(crate) max_weight: Option<u64>,
    /// Refusal, where nothing is said: see there.
    pub(crate) when_full: Option<WhenFull>,
    /// By the last touch, where nothing is said: see there.
    pub(crate) evict_by: Option<EvictBy>,
    /// None: what is not read now may be read later.
    pub(crate) time_to_idle: Option<Duration>,
    /// None: a value that is old is better than none, until the user says otherwise.
    pub(crate) max_stale: Option<Duration>,
    /// None: an absence that is wrong is seen by nobody, so it is not remembered unasked.
    pub(crate) exists_absent_for: Option<Duration>,
    /// As many as the queue takes, where nothing is said.
    pub(crate) exists_capacity: Option<usize>,
    /// None of both: an empty dataset may be right.
    pub(crate) dataset_min_count: Option<usize>,
    pub(crate) dataset_max_change: Option<f64>,
    /// No: a hit that is counted writes something.
    pub(crate) count_reads: bool,
    /// Zero, below every version that anybody resets to.
    pub(crate) version: u64,
    /// How long a write may wait in the overlay before it is folded. Reads see it at once anyway.
    pub(crate) fold_delay: Duration,
    /// Long enough that a restless bucket is not written all the time, short enough that little is lost.
    #[cfg(feature = "dump")]
    pub(crate) dump_delay: Duration,
    #[cfg(feature = "dump")]
    pub(crate) dump_compressed: bool,
    /// Long enough that keys which are written often are written there once, short enough that little is lost.
    pub(crate) storage_delay: Duration,
    /// None: what is required is waited for.
    pub(crate) warm_limit: Option<Duration>,
    /// How long a shutdown waits for a loader that does not return.
    pub(crate) shutdown_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_size: 500,
            linger: Duration::ZERO,
            loader_threads: 2,
            queue_capacity: 100_000,
            wait_limit: Duration::from_secs(5),
            refresh_every: None,
            refresh_jitter: 0.1,
            refresh_retry: None,
            refresh_timeout: None,
            ttl: None,
            max_weight: None,
            when_full: None,
            evict_by: None,
            time_to_idle: None,
            max_stale: None,
            exists_absent_for: None,
            dataset_min_count: None,
            dataset_max_change: None,
            exists_capacity: None,
            count_reads: false,
            version: 0,
            fold_delay: Duration::from_millis(100),
            #[cfg(feature = "dump")]
            dump_delay: Duration::from_secs(10),
            #[cfg(feature = "dump")]
            dump_compressed: false,
            storage_delay: Duration::from_secs(1),
            warm_limit: None,
            shutdown_limit: Duration::from_secs(5),
        }
    }
}

/// Longer than any wait that is meant, short enough that no sum of two overflows.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Config {
    /// # Errors
    ///
    /// The first option whose value makes no sense.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let count = |option, value: usize, range| match value {
            0 => refuse(option, "0", range),
            _ => Ok(()),
        };
        count("batch_size", self.batch_size, "at least 1")?;
        count("queue_capacity", self.queue_capacity, "at least 1")?;
        if self.loader_threads == 0 || self.loader_threads > MOST_THREADS {
            return refuse("loader_threads", self.loader_threads, "1 to 1024");
        }
        let range = "more than zero, at most 100 years";
        let time = |option, value: Duration, zero_allowed: bool| {
            if value > LONGEST || (value.is_zero() && !zero_allowed) {
                return refuse(option, format!("{value:?}"), range);
            }
            Ok(())
        };
        time("wait_limit", self.wait_limit, false)?;
        if let Some(interval) = self.refresh_every {
            time("refresh_every", interval, false)?;
        }
        if let Some((first, most)) = self.refresh_retry {
            time("refresh_retry", first, false)?;
            time("refresh_retry", most, false)?;
            if most < first {
                let range = "a first wait, and a longest that is no less";
                return refuse("refresh_retry", format!("{first:?}, {most:?}"), range);
            }
        }
        if let Some(limit) = self.refresh_timeout {
            time("refresh_timeout", limit, false)?;
        }
        if let Some(ttl) = self.ttl {
            time("ttl", ttl, false)?;
        }
        if let Some(idle) = self.time_to_idle {
            time("time_to_idle", idle, false)?;
        }
        if let Some(most) = self.max_stale {
            time("max_stale", most, false)?;
        }
        time("storage_delay", self.storage_delay, false)?;
        if let Some(limit) = self.warm_limit {
            time("warm_limit", limit, false)?;
        }
        #[cfg(feature = "dump")]
        time("dump_delay", self.dump_delay, false)?;
        if let Some(time_absent) = self.exists_absent_for {
            time("exists_absent_for", time_absent, false)?;
        }
        count(
            "exists_capacity",
            self.exists_capacity.unwrap_or(1),
            "at least 1",
        )?;
        time("linger", self.linger, true)?;
        time("fold_delay", self.fold_delay, true)?;
        time("shutdown_limit", self.shutdown_limit, true)?;
        count(
            "dataset_min_count",
            self.dataset_min_count.unwrap_or(1),
            "at least 1",
        )?;
        if let Some(most) = self.dataset_max_change
            && !(most.is_finite() && most >= 0.0)
        {
            return refuse("dataset_max_change", most, "0.0 or more, and finite");
        }
        // Written so that a NaN is refused as well.
        if !(0.0..=1.0).contains(&self.refresh_jitter) {
            return refuse("refresh_jitter", self.refresh_jitter, "0.0 to 1.0");
        }
        Ok(())
    }
}

/// What becomes of new values while a bucket is [full](crate::Builder::max_weight).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// They are refused: returned to whoever asked for them, and not stored. What is cached stays until it is removed
    /// or expires.
    ///
    /// The default: a bucket is for data that fits. What it was stocked with is not to be pushed out by what happens
    /// to be asked for, and that there is too little room is to be seen.
    #[default]
    Refuse,
    /// Others are evicted to make room for them, by a fold: those that were read or written the longest ago, or those that
    /// another [policy](crate::Builder::evict_by) chooses. What has expired goes first.
    ///
    /// A fold begins to evict when more than fifteen sixteenths of the limit are used, and leaves seven eighths; so there
    /// is room for what is written meanwhile. Where more than that is written before the fold is done, what comes then
    /// is refused, as by [`Refuse`](Self::Refuse): the limit holds here too.
    Evict,
}

/// Which entries go first where some are [evicted](WhenFull::Evict). See [`Builder::evict_by`](crate::Builder::evict_by).
///
/// Hit ratios on 914,145 accesses to the disks of a database ("OLTP", of the paper on ARC), with room for 1,000 of 186,880
/// blocks: 27% by the last write, 31% by the last touch, 39% by frequency, 33% by an exact LRU. Other uses differ:
/// measure yours, with [`Builder::count_reads`](crate::Builder::count_reads).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictBy {
    /// Those that were neither read nor written for the longest time: nearly LRU.
    ///
    /// That is told by snapshots: whether an entry was read since the last was published, or the last but one, and so on.
    /// So only the first read of an entry in each snapshot notes anything, and only for entries in the snapshot; what is
    /// written counts as read by the fold that takes it in. A hit takes some 95 instructions more, and an entry 8 bytes
    /// more. In a bucket with a [`time_to_idle`](crate::Builder::time_to_idle) it is told by the time, as there.
    ///
    /// The default: what is read is kept, and it is soon seen what is read now.
    #[default]
    LastTouch,
    /// Those that were not written for the longest time: LRW, or FIFO where nothing is written twice.
    ///
    /// Reads note nothing, so a hit costs what it costs in a bucket that evicts nothing; an entry takes 8 bytes more. What
    /// is loaded is written when its load begins. A new time to live is no write. What a dataset brings was written when
    /// its fetch began.
    LastWrite,
    /// Those that were used in the fewest snapshots, as far back as that is remembered, and of these those that were
    /// not touched for the longest time: after TinyLFU. What is used often stays, whatever else comes by once; what is no
    /// longer used goes after a while.
    ///
    /// A key is used in a snapshot if it was read there, or written or loaded though it was not there. That is noted as by
    /// [`LastTouch`](Self::LastTouch), and a hit costs the same. A fold counts it in a sketch that knows hashes of keys, so
    /// it is known of evicted keys as well: what is loaded again and again gets in for good. Now and then all counts are
    /// halved. A new key is safe from the fold that takes it in, and so has a sixteenth of the limit or so to itself to be
    /// used once more.
    ///
    /// The sketch takes 8 to 16 bytes for each key that there was at a time, on top of the 8 of an entry. A fold hashes the
    /// keys that were read since the last, and one that evicts hashes them all. In a bucket with a
    /// [`time_to_idle`](crate::Builder::time_to_idle) a key counts as read once in a sixteenth of that time, at the most.
    Frequency,
}

/// A process of so many threads has another problem.
const MOST_THREADS: usize = 1024;

#[cold]
pub(crate) fn refuse(
    option: &'static str,
    value: impl ToString,
    range: &'static str,
) -> Result<(), BuildError> {
    Err(BuildError::Option {
        option,
        value: value.to_string(),
        range,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn each_impossible_value_is_refused_by_name() {
        type Spoil = fn(&mut Config);
        let cases: [(&str, Spoil); 29] = [
            ("batch_size", |c| c.batch_size = 0),
            ("queue_capacity", |c| c.queue_capacity = 0),
            ("loader_threads", |c| c.loader_threads = 0),
            ("loader_threads", |c| c.loader_threads = 100_000),
            ("wait_limit", |c| c.wait_limit = Duration::ZERO),
            ("wait_limit", |c| c.wait_limit = Duration::MAX),
            ("refresh_every", |c| c.refresh_every = Some(Duration::ZERO)),
            ("refresh_retry", |c| {
                c.refresh_retry = Some((Duration::ZERO, Duration::from_secs(1)));
            }),
            ("refresh_retry", |c| {
                c.refresh_retry = Some((Duration::from_secs(1), Duration::MAX));
            }),
            ("refresh_retry", |c| {
                c.refresh_retry = Some((Duration::from_secs(2), Duration::from_secs(1)));
            }),
            ("refresh_timeout", |c| {
                c.refresh_timeout = Some(Duration::ZERO);
            }),
            ("refresh_timeout", |c| {
                c.refresh_timeout = Some(Duration::MAX);
            }),
            ("max_stale", |c| c.max_stale = Some(Duration::ZERO)),
            ("max_stale", |c| c.max_stale = Some(Duration::MAX)),
            ("time_to_idle", |c| c.time_to_idle = Some(Duration::ZERO)),
            ("time_to_idle", |c| c.time_to_idle = Some(Duration::MAX)),
            ("ttl", |c| c.ttl = Some(Duration::ZERO)),
            ("ttl", |c| c.ttl = Some(Duration::MAX)),
            ("exists_absent_for", |c| {
                c.exists_absent_for = Some(Duration::ZERO);
            }),
            ("storage_delay", |c| c.storage_delay = Duration::ZERO),
            ("storage_delay", |c| c.storage_delay = Duration::MAX),
            ("exists_capacity", |c| c.exists_capacity = Some(0)),
            ("dataset_min_count", |c| c.dataset_min_count = Some(0)),
            ("dataset_max_change", |c| c.dataset_max_change = Some(-0.1)),
            ("dataset_max_change", |c| {
                c.dataset_max_change = Some(f64::NAN);
            }),
            ("dataset_max_change", |c| {
                c.dataset_max_change = Some(f64::INFINITY);
            }),
            ("linger", |c| c.linger = Duration::MAX),
            ("refresh_jitter", |c| c.refresh_jitter = f64::NAN),
            ("refresh_jitter", |c| c.refresh_jitter = 1.5),
        ];
        for (name, spoil) in cases {
            let mut config = Config::default();
            spoil(&mut config);
            let error = config.check().err().map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|e| e.contains(name)),
                "{name}: {error:?}"
            );
        }
    }
}
