//! When the next refresh and the next fold are due. Pure.

use std::time::Duration;

/// The interval from the end of one refresh to the start of the next.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    every: Option<Duration>,
    jitter: f64,
    random: u64,
}

impl Schedule {
    /// `seed` keeps instances apart that start together.
    pub(super) fn new(every: Option<Duration>, jitter: f64, seed: u64) -> Self {
        Self {
            every,
            jitter,
            random: seed | 1,
        }
    }

    /// When to refresh next, if a refresh ended at `end`: after the interval, and a random part of the
    /// jitter's share of it.
    pub(super) fn after(&mut self, end: Duration) -> Option<Duration> {
        let every = self.every?;
        let late = every.mul_f64(self.jitter * self.draw());
        Some(end.saturating_add(every).saturating_add(late))
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
    let rested = last_end.saturating_add(last_cost.saturating_mul(IDLE_SHARE));
    dirty_since.saturating_add(delay).max(rested)
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
