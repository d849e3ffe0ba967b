//! When the next refresh and the next fold are due. Pure.

use std::time::Duration;

/// The interval from the end of one refresh to the start of the next, and the wait after one that failed.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    every: Option<Duration>,
    /// The wait after the first failure, and the longest.
    retry: Option<(Duration, Duration)>,
    /// How many have failed since one that did not.
    failures: u32,
    jitter: f64,
    random: u64,
}

impl Schedule {
    /// `seed` keeps instances apart that start together.
    pub(super) fn new(every: Option<Duration>, jitter: f64, seed: u64) -> Self {
        Self {
            every,
            retry: None,
            failures: 0,
            jitter,
            random: seed | 1,
        }
    }

    /// After a failure, waits these times and not the interval.
    pub(super) fn retrying(mut self, retry: Option<(Duration, Duration)>) -> Self {
        self.retry = retry;
        self
    }

    /// When to refresh next, if a refresh ended at `end`: after the interval, and a random part of the
    /// jitter's share of it.
    pub(super) fn after(&mut self, end: Duration) -> Option<Duration> {
        self.failures = 0;
        let every = self.every?;
        Some(self.late(end, every))
    }

    /// The same if it failed: after a wait that doubles from failure to failure.
    pub(super) fn after_failure(&mut self, end: Duration) -> Option<Duration> {
        let Some((first, most)) = self.retry else {
            return self.after(end);
        };
        let times = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        Some(self.late(end, first.saturating_mul(times).min(most)))
    }

    fn late(&mut self, end: Duration, wait: Duration) -> Duration {
        let late = wait.mul_f64(self.jitter * self.draw());
        end.saturating_add(wait).saturating_add(late)
    }

    /// Uniform in 0..1: xorshift64 (Marsaglia 2003), whose quality is ample for spreading timers.
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // 53 bits are what a double holds exactly.
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The share of a core that folds of a quiet bucket may take: one part in so many.
const IDLE_SHARE: u32 = 32;

/// When an overlay that is not full is to be folded: after the delay, but not so often that copying
/// the table takes more than a small share of a core.
pub(super) fn quiet_fold_due(
    dirty_since: Duration,
    delay: Duration,
    last_end: Duration,
    last_cost: Duration,
) -> Duration {
    let rested = rested(last_end, last_cost);
    dirty_since.saturating_add(delay).max(rested)
}

/// When what ended then and took so long may be done again.
pub(super) fn rested(last_end: Duration, last_cost: Duration) -> Duration {
    last_end.saturating_add(last_cost.saturating_mul(IDLE_SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_next_refresh_counts_from_the_end_and_jitter_only_delays() {
        let mut schedule = Schedule::new(Some(10 * SECOND), 0.1, 7);
        let mut seen = Vec::new();
        for _ in 0..1000 {
            let due = schedule.after(5 * SECOND).unwrap();
            assert!((15 * SECOND..=16 * SECOND).contains(&due), "{due:?}");
            seen.push(due);
        }
        seen.dedup();
        assert!(seen.len() > 900, "jitter is random");
        assert_eq!(Schedule::new(None, 0.1, 7).after(SECOND), None);
        assert_eq!(
            Schedule::new(Some(SECOND), 0.0, 7).after(SECOND),
            Some(2 * SECOND)
        );
    }

    #[test]
    fn waits_after_failures_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let waits = |schedule: &mut Schedule, failures: usize| {
            let wait = |_| schedule.after_failure(5 * SECOND).unwrap() - 5 * SECOND;
            (0..failures).map(wait).collect::<Vec<_>>()
        };
        for every in [None, Some(SECOND / 2), Some(10 * SECOND)] {
            let mut schedule = Schedule::new(every, 0.0, 7).retrying(Some((SECOND, 6 * SECOND)));
            for _ in 0..2 {
                assert_eq!(
                    waits(&mut schedule, 5),
                    [1, 2, 4, 6, 6].map(|times| times * SECOND)
                );
                assert_eq!(schedule.after(SECOND), every.map(|every| SECOND + every));
            }
            // Whatever is doubled, nothing overflows.
            let last = waits(&mut schedule, 100).pop();
            assert_eq!(last, Some(6 * SECOND));
        }
        let mut schedule = Schedule::new(None, 0.0, 7).retrying(Some((SECOND, Duration::MAX)));
        assert_eq!(waits(&mut schedule, 40)[31], SECOND * (1 << 31));
        // Without waits of its own a failure is followed by the interval.
        let mut schedule = Schedule::new(Some(10 * SECOND), 0.0, 7);
        assert_eq!(waits(&mut schedule, 2), [10 * SECOND; 2]);
        assert_eq!(Schedule::new(None, 0.0, 7).after_failure(SECOND), None);
    }

    #[test]
    fn jitter_only_delays_the_wait_after_a_failure_by_its_share_of_it() {
        let mut seen = Vec::new();
        let mut schedule = Schedule::new(None, 0.5, 7).retrying(Some((2 * SECOND, 2 * SECOND)));
        for _ in 0..1000 {
            let due = schedule.after_failure(SECOND).unwrap();
            assert!((3 * SECOND..=4 * SECOND).contains(&due), "{due:?}");
            seen.push(due);
        }
        seen.dedup();
        assert!(seen.len() > 900, "jitter is random");
    }

    #[test]
    fn quiet_folds_rest_in_proportion_to_their_cost() {
        let delay = Duration::from_millis(100);
        assert_eq!(
            quiet_fold_due(SECOND, delay, Duration::ZERO, Duration::ZERO),
            SECOND + delay
        );
        let cost = Duration::from_millis(50);
        assert_eq!(
            quiet_fold_due(SECOND, delay, SECOND, cost),
            SECOND + 32 * cost
        );
    }
}
