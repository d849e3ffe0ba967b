//! Time, as the bucket sees it.

use std::fmt;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use crate::sync::{Arc, Coarse, Mutex};

/// Where a bucket takes its time from.
///
/// All times inside a bucket are durations since its clock's origin, and never go back. The default
/// is the system's monotonic clock. Tests use a [`ManualClock`].
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System {
        origin: Instant,
        coarse: Option<Coarse>,
    },
    Manual(Arc<Manual>),
}

/// Some time in 2001, since the epoch: the time of day at a manual clock's origin.
const MANUAL_ORIGIN: Duration = Duration::from_secs(1_000_000_000);

struct Manual {
    now: Mutex<Duration>,
    /// Who waits for a deadline, and has to look again when the time is moved.
    sleepers: Mutex<Vec<Waker>>,
}

impl Clock {
    /// The system's monotonic clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the system's clock"
    )]
    pub fn system() -> Self {
        Self(Source::System {
            origin: Instant::now(),
            // After the other: a coarse clock is not to be early.
            coarse: Coarse::start(),
        })
    }

    /// The time since the clock's origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::System { origin, .. } => origin.elapsed(),
            Source::Manual(manual) => *manual.now.lock(),
        }
    }

    /// The time as of the last tick of a coarse clock, where there is one: late by some milliseconds, never early,
    /// and a fifth as dear. It does not go back, also from one thread to the next that is told of it.
    #[inline]
    pub(crate) fn coarse(&self) -> Tick {
        match &self.0 {
            Source::System {
                coarse: Some(coarse),
                ..
            } => Tick(coarse.elapsed()),
            _ => Tick(nanos(self.now())),
        }
    }

    /// The time of day; by a manual clock, one that goes with it.
    pub(crate) fn time_of_day(&self) -> SystemTime {
        match &self.0 {
            Source::System { .. } => wall_now(),
            Source::Manual(_) => {
                let since = MANUAL_ORIGIN.saturating_add(self.now());
                let time = SystemTime::UNIX_EPOCH.checked_add(since);
                time.unwrap_or(SystemTime::UNIX_EPOCH)
            }
        }
    }

    /// The same, in milliseconds since the epoch.
    pub(crate) fn wall_ms(&self) -> u64 {
        let since_epoch = self.time_of_day().duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a thread may really sleep before `deadline`, if real time leads there at all.
    pub(crate) fn real_time_until(&self, deadline: Duration) -> Option<Duration> {
        match &self.0 {
            Source::System { origin, .. } => Some(deadline.saturating_sub(origin.elapsed())),
            Source::Manual(_) => None,
        }
    }

    /// On a manual clock, has `waker` woken by the next advance.
    pub(crate) fn wake_on_advance(&self, waker: impl FnOnce() -> Waker) {
        let Source::Manual(manual) = &self.0 else {
            return;
        };
        let waker = waker();
        let mut sleepers = manual.sleepers.lock();
        if !sleepers.iter().any(|known| known.will_wake(&waker)) {
            sleepers.push(waker);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::System { .. } => "system",
            Source::Manual(_) => "manual",
        };
        f.debug_struct("Clock")
            .field("source", &source)
            .field("now", &self.now())
            .finish()
    }
}

/// A moment, by the [coarse](Clock::coarse) clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

/// When something expires: from this moment on it has. In nanoseconds since the clock's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// After this time from now on. By the precise clock, so never early by the coarse one.
    pub(crate) fn after(clock: &Clock, ttl: Duration) -> Self {
        Self(nanos(clock.now().saturating_add(ttl)))
    }

    /// The same where something may live for ever.
    #[inline]
    pub(crate) fn of(clock: &Clock, ttl: Option<Duration>) -> Self {
        ttl.map_or(Self::NEVER, |ttl| Self::after(clock, ttl))
    }

    /// The one rule of what is over and what is not.
    #[inline]
    pub(crate) fn is_past(self, now: Tick) -> bool {
        now.0 >= self.0
    }

    /// The same now. The clock is not read for what never expires.
    #[inline]
    pub(crate) fn is_over(self, clock: &Clock) -> bool {
        self != Self::NEVER && self.is_past(clock.coarse())
    }

    /// As a word: 0 only at the clock's origin, and the greatest of all for never.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    pub(crate) fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The time on the clock, if there is one.
    pub(crate) fn time(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| Duration::from_nanos(self.0))
    }
}

impl Tick {
    /// As a word, in nanoseconds since the clock's origin.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    /// As the deadline of what expires at this moment.
    pub(crate) fn to_deadline(self) -> Deadline {
        Deadline(self.0)
    }
}

/// How long something lives after it was last touched. A touch is noted if the last that was is at least a sixteenth
/// of that time ago; so it lives at least so long after its last touch, and at most a sixteenth longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    fresh: u64,
    over: u64,
}

impl Idle {
    pub(crate) fn after(time: Duration) -> Self {
        let fresh = nanos(time / 16);
        Self {
            fresh,
            over: fresh.saturating_add(nanos(time)),
        }
    }

    /// Whether a touch now need not be noted, where that of `last` was.
    #[inline]
    pub(crate) fn is_fresh(self, last: u64, now: Tick) -> bool {
        now.0 < last.saturating_add(self.fresh)
    }

    /// When it is over with what was last noted to be touched at `last`.
    pub(crate) fn end_of(self, last: u64) -> Tick {
        Tick(last.saturating_add(self.over))
    }

    /// The one rule of what is over and what is not.
    #[inline]
    pub(crate) fn is_over(self, last: u64, now: Tick) -> bool {
        now >= self.end_of(last)
    }

    /// How often it is worth looking for what is over.
    pub(crate) fn step(self) -> Duration {
        Duration::from_nanos(self.fresh.max(1))
    }
}

/// Some 584 years fit. What is beyond them is never, and one less than that is not.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX - 1)
}

/// A clock that stands still until it is told to move.
///
/// Timeouts, the refresh interval and every other delay of a bucket built with [`ManualClock::clock`]
/// pass only by [`ManualClock::advance`], so a test of them neither sleeps nor guesses.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let time = larder::ManualClock::new();
/// let clock = time.clock();
/// assert_eq!(clock.now(), Duration::ZERO);
/// time.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), Duration::from_secs(3));
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Manual>);

impl ManualClock {
    /// A clock at its origin.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Manual {
            now: Mutex::new(Duration::ZERO),
            sleepers: Mutex::new(Vec::new()),
        }))
    }

    /// The clock to build a bucket with. All clones show the same time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// The time of day, which goes with the clock: what is said in [`SystemTime`] is compared with this.
    #[must_use]
    pub fn time_of_day(&self) -> SystemTime {
        self.clock().time_of_day()
    }

    /// Moves the time forward and wakes whoever waits for a deadline.
    pub fn advance(&self, by: Duration) {
        {
            let mut now = self.0.now.lock();
            *now = now.saturating_add(by);
        }
        let sleepers = std::mem::take(&mut *self.0.sleepers.lock());
        for sleeper in sleepers {
            sleeper.wake();
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &*self.0.now.lock())
            .finish()
    }
}

/// The time of day, for the stamp of a snapshot only: nothing is decided by it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the time of day"
)]
pub(crate) fn wall_now() -> SystemTime {
    SystemTime::now()
}
