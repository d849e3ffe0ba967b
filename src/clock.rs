//! Time, as the bucket sees it.

use std::fmt;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::sync::{Arc, Mutex};

/// Where a bucket takes its time from.
///
/// All times inside a bucket are durations since its clock's origin, and never go back. The default
/// is the system's monotonic clock. Tests use a [`ManualClock`].
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { origin: Instant },
    Manual(Arc<Manual>),
}

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
        })
    }

    /// The time since the clock's origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual(manual) => *manual.now.lock(),
        }
    }

    /// How long a thread may really sleep before `deadline`, if real time leads there at all.
    pub(crate) fn real_time_until(&self, deadline: Duration) -> Option<Duration> {
        match &self.0 {
            Source::System { origin } => Some(deadline.saturating_sub(origin.elapsed())),
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
pub(crate) fn wall_now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
