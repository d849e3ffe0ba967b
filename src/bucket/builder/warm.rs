//! Warmers: what is brought before anybody asks for it.

use std::fmt;
use std::time::Duration;

use super::Builder;
use crate::bucket::core::Core;
use crate::config::{Config, LONGEST, refuse};
use crate::error::{BoxError, BuildError, Error};
use crate::loader::{WarmFn, Warmed, Warmer, Warming};
use crate::refresh::warm::{Runs, Times, WarmerThread};
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

/// A [`Warmer`], and when it is run. See [`Builder::warmer`].
#[must_use]
pub struct Warm<K, V> {
    warmer: Box<dyn Warmer<K, V>>,
    every: Option<Duration>,
    retry: Option<(Duration, Duration)>,
    required: bool,
}

/// Those of one bucket, by their names.
pub(super) type Warmers<K, V> = Vec<(String, Warm<K, V>)>;

impl<K: Key, V: Value> Warm<K, V> {
    /// Runs `warmer` once when the bucket is built, and when somebody [asks](crate::Bucket::warm) for it.
    pub fn new(warmer: impl Warmer<K, V>) -> Self {
        Self {
            warmer: Box::new(warmer),
            every: None,
            retry: None,
            required: false,
        }
    }

    /// The same with a closure. See [`Warmed`] for what it may return.
    pub fn with<F, W, E>(warm: F) -> Self
    where
        F: Fn(&Warming<'_, K, V>) -> Result<W, E> + Send + Sync + 'static,
        W: Into<Warmed<K, V>> + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::new(WarmFn::new(warm))
    }

    /// Runs it also so long after the end of each run, whoever that was for, delayed by the bucket's
    /// [`refresh_jitter`](Builder::refresh_jitter). More than zero, at most 100 years. Default: never by itself.
    #[doc(alias = "interval")]
    pub fn every(mut self, time: Duration) -> Self {
        self.every = Some(time);
        self
    }

    /// How soon a run that failed is tried again, as [`refresh_retry`](Builder::refresh_retry) has it for refreshes: after
    /// `first`, twice as long with each further failure, and `most` at the most. It takes the place of the interval up to
    /// the first run that ends well. Default: at the next interval.
    #[doc(alias = "backoff")]
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        self.retry = Some((first, most));
        self
    }

    /// Has [`build`](Builder::build) wait for the first run, and fail if that fails. Default: it runs in the background,
    /// and reads find what is there.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

impl<K, V> fmt::Debug for Warm<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm")
            .field("every", &self.every)
            .field("retry", &self.retry)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Has `warmer` bring pairs before anybody asks for them: when the bucket is built, at its interval, and when it is
    /// [asked](crate::Bucket::warm) to. Any number may be given, each by a name of its own. Default: none.
    ///
    /// What a run brings is stored as one [`set_many`](crate::Bucket::set_many): all of it or nothing in any snapshot,
    /// and in a bucket that is full nothing. It is merged: what it does not bring stays. But it is as old as the begin of
    /// the run: a key that is written, invalidated or loaded while the warmer runs is left as that has it, and after a
    /// [clear](crate::Bucket::clear) nothing of it is stored. A run that a [reset](crate::Bucket::reset) overtakes is
    /// run again at once. While [caching](crate::Bucket::set_caching) is off, a run is over before it begins.
    ///
    /// Each warmer has a thread of its own, `larder-<bucket>-warm-<name>`. Its runs never overlap; those of different
    /// warmers do. An error or a panic ends the run and nothing else: it is told as
    /// [`Event::WarmerFailed`](crate::Event::WarmerFailed), counted in
    /// [`Stats::warmers_failed`](crate::Stats::warmers_failed), and the warmer is run again when its time comes.
    ///
    /// A warmer that is [required](Warm::required) holds up [`build`](Self::build) until its first run is over. All of
    /// them run side by side, the bucket's threads and observers being there already, and if one fails the bucket is not
    /// built. So with a [`warm_limit`](Self::warm_limit) if one takes longer. To wait for a while and then go on, leave it
    /// in the background, and wait with [`Bucket::warm`](crate::Bucket::warm).
    ///
    /// A shutdown does not wait longer for a warmer than for a loader: who waits for its run is answered with `Closed` at
    /// once, and its thread ends when it returns.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::{Bucket, Warm};
    ///
    /// let time = larder::ManualClock::new();
    /// let squares = Bucket::<u32, u32>::builder("squares")
    ///     .clock(time.clock())
    ///     .warmer(
    ///         "small",
    ///         Warm::with(|_| Ok::<_, std::io::Error>((0..10).map(|key| (key, key * key)).collect::<Vec<_>>()))
    ///             .every(Duration::from_secs(60))
    ///             .retry(Duration::from_secs(1), Duration::from_secs(30))
    ///             .required(),
    ///     )
    ///     .build()?;
    /// assert_eq!(squares.peek(&9), Some(81)); // there from the start
    ///
    /// squares.clear()?;
    /// squares.warm(["small"])?.wait(Duration::from_secs(5))?;
    /// assert_eq!(squares.peek(&9), Some(81));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "warmers")]
    pub fn warmer(mut self, name: impl Into<String>, warmer: Warm<K, V>) -> Self {
        self.warmers.push((name.into(), warmer));
        self
    }

    /// How long [`build`](Self::build) waits for the [required](Warm::required) warmers, all of them together. Then it
    /// fails with [`BuildError::NotWarm`], whose source is a `Timeout`. Default: as long as they take.
    ///
    /// A bucket that is not built is shut down, so `build` may take the [`shutdown_limit`](Self::shutdown_limit) longer.
    pub fn warm_limit(mut self, time: Duration) -> Self {
        self.config.warm_limit = Some(time);
        self
    }
}

/// # Errors
///
/// A warmer without a name or time that makes sense, or a limit without a warmer that it is for.
pub(super) fn check<K, V>(config: &Config, warmers: &Warmers<K, V>) -> Result<(), BuildError> {
    let mut names: Vec<&str> = warmers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let value = format!("`{}`, twice", twice[0]);
        refuse("warmer", value, "given once for each name")?;
    }
    for (name, warm) in warmers {
        if name.is_empty() {
            refuse("warmer", "``", "named by at least one character")?;
        }
        let retry = warm
            .retry
            .into_iter()
            .flat_map(|(first, most)| [first, most]);
        for time in warm.every.into_iter().chain(retry) {
            if time.is_zero() || time > LONGEST {
                let value = format!("`{name}`, with {time:?}");
                let range = "given times of more than zero, at most 100 years";
                refuse("warmer", value, range)?;
            }
        }
        if let Some((first, most)) = warm.retry
            && most < first
        {
            let value = format!("`{name}`, with {first:?}, {most:?}");
            let range = "given a first wait, and a longest that is no less";
            refuse("warmer", value, range)?;
        }
    }
    if config.warm_limit.is_some() && !warmers.iter().any(|(_, warm)| warm.required) {
        let range = "left out in a bucket without a required warmer";
        refuse("warm_limit", "set", range)?;
    }
    Ok(())
}

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    /// Starts the warmers, and waits for those that are required.
    pub(super) fn warm_up(mut self, warmers: Warmers<K, V>) -> Result<Self, BuildError> {
        let mut required = Vec::new();
        for (name, warm) in warmers {
            let runs = Runs::new(name.into());
            self.warmers.push(Arc::clone(&runs));
            if warm.required {
                required.push((Arc::clone(&runs), runs.ask()));
            }
            let role = format!("warm-{}", runs.name());
            let thread = WarmerThread {
                runs,
                warmer: warm.warmer,
                times: Times {
                    every: warm.every,
                    retry: warm.retry,
                    jitter: self.config.refresh_jitter,
                },
                store: Arc::clone(&self.store),
                loads: Arc::clone(&self.loads),
                stats: Arc::clone(&self.stats),
                events: Arc::clone(&self.events),
                clock: self.clock.clone(),
                ttl: self.config.ttl,
                wait_limit: self.config.wait_limit,
            };
            self.threads.spawn(&role, move || thread.work())?;
        }
        let limit = self.config.warm_limit.unwrap_or(LONGEST);
        let deadline = self.clock.now().saturating_add(limit);
        for (runs, reply) in required {
            let ended = reply.wait(&self.clock, deadline);
            let ended = ended.cloned().unwrap_or_else(|| Err(Error::timeout()));
            ended.map_err(|source| BuildError::NotWarm {
                warmer: runs.name().to_string(),
                source,
            })?;
        }
        Ok(self)
    }
}
