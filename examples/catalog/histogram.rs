//! Counts durations in logarithmic buckets: three million of them cost 30 KB, not 24 MB.

use std::fmt;
use std::time::Duration;

/// Durations by size, each known to within 1/64 of itself.
///
/// Durations below 64 ns have a bucket each; above that, each power of two is cut into 64.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: Duration,
    max: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            counts: vec![0; bucket_of(u64::MAX) + 1],
            total: 0,
            sum: Duration::ZERO,
            max: 0,
        }
    }

    /// Counts one duration. Allocates nothing.
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(took);
        self.max = self.max.max(nanos);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The smallest duration that `share` (0 to 1) of all do not pass, rounded up to its bucket's
    /// end; zero when there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(last_of(bucket).min(self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    /// The largest duration, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total == 0 {
            return f.write_str("none");
        }
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            write!(f, "{name} {:<9}", short(self.quantile(share)))?;
        }
        write!(f, "max {}", short(self.max()))
    }
}

/// A duration in three digits and the unit that fits.
pub fn short(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match nanos {
        ..1e3 => return format!("{nanos:.0} ns"),
        ..1e6 => (nanos / 1e3, "us"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {unit}")
}

const FINE_BITS: u32 = 6;
const FINE: u64 = 1 << FINE_BITS;

fn bucket_of(nanos: u64) -> usize {
    let shift = (nanos | FINE).ilog2() - FINE_BITS;
    // Within its power of two, `nanos >> shift` runs from FINE to twice FINE, below the first from 0.
    ((u64::from(shift) << FINE_BITS) + (nanos >> shift)) as usize
}

/// The largest number of nanoseconds that falls into `bucket`.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> FINE_BITS).saturating_sub(1);
    let first = (bucket - (shift << FINE_BITS)) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_touch_and_never_overlap() {
        let buckets = bucket_of(u64::MAX) + 1;
        assert_eq!(bucket_of(0), 0);
        assert_eq!(last_of(buckets - 1), u64::MAX);
        for bucket in 0..buckets - 1 {
            let last = last_of(bucket);
            assert_eq!(bucket_of(last), bucket, "{last} ends its bucket");
            assert_eq!(
                bucket_of(last + 1),
                bucket + 1,
                "{last} + 1 begins the next"
            );
        }
    }

    #[test]
    fn quantile_of_a_ramp_is_right_within_a_bucket() {
        let mut ramp = Histogram::new();
        for nanos in 1..=100_000 {
            ramp.record(Duration::from_nanos(nanos));
        }
        for (share, exact) in [
            (0.5, 50_000),
            (0.99, 99_000),
            (0.999, 99_900),
            (1.0, 100_000),
        ] {
            let found = ramp.quantile(share).as_nanos() as u64;
            assert!(
                (exact..=exact + exact / FINE).contains(&found),
                "{share}: {found}"
            );
        }
        assert_eq!(ramp.total(), 100_000);
    }

    #[test]
    fn quantile_keeps_small_and_largest_exact() {
        let mut few = Histogram::new();
        for nanos in [3, 40, 1_000_003] {
            few.record(Duration::from_nanos(nanos));
        }
        assert_eq!(few.sum().as_nanos(), 1_000_046);
        assert_eq!(few.quantile(0.0).as_nanos(), 3);
        assert_eq!(few.quantile(0.5).as_nanos(), 40);
        assert_eq!(few.quantile(1.0).as_nanos(), 1_000_003);
        assert_eq!(Histogram::new().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn merge_counts_both() {
        let (mut left, mut right) = (Histogram::new(), Histogram::new());
        left.record(Duration::from_nanos(10));
        right.record(Duration::from_nanos(20));
        right.record(Duration::from_secs(400_000_000_000));
        left.merge(&right);
        assert_eq!(
            (left.total(), left.max().as_nanos()),
            (3, u128::from(u64::MAX))
        );
        assert_eq!(left.sum(), Duration::new(400_000_000_000, 30));
        assert_eq!(left.quantile(0.5).as_nanos(), 20);
    }

    #[test]
    fn short_keeps_three_digits() {
        let cases = [
            (Duration::from_nanos(7), "7 ns"),
            (Duration::from_nanos(1_234), "1.23 us"),
            (Duration::from_micros(12_345), "12.3 ms"),
            (Duration::from_millis(999), "999 ms"),
            (Duration::from_millis(2_500), "2.50 s"),
        ];
        for (time, text) in cases {
            assert_eq!(short(time), text);
        }
    }
}
