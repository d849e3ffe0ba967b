//! Medians and percentiles.

/// Returns the `q`-th percentile (`0.0..=100.0`) of `sorted` by nearest rank: the smallest sample
/// that at least `q` percent of the samples do not exceed.
///
/// # Panics
///
/// If there are no samples, or they are not sorted (checked in debug builds only).
pub fn percentile<T: Copy + PartialOrd>(sorted: &[T], q: f64) -> T {
    debug_assert!(sorted.is_sorted());
    // Without the rounding, 99.9 percent of 1000 is a little more than 999.
    let rank = (q / 100.0 * sorted.len() as f64 * 1e6).round() / 1e6;
    sorted[(rank.ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// What is kept of the rounds of one measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Sums up `samples`.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: median(&sorted),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_takes_the_nearest_rank() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.0), 1);
        assert_eq!(percentile(&hundred, 50.0), 50);
        assert_eq!(percentile(&hundred, 50.1), 51);
        assert_eq!(percentile(&hundred, 99.0), 99);
        assert_eq!(percentile(&hundred, 99.9), 100);
        assert_eq!(percentile(&hundred, 100.0), 100);
        let thousand: Vec<u32> = (1..=1000).collect();
        assert_eq!(percentile(&thousand, 99.9), 999);
        assert_eq!(percentile(&thousand, 99.99), 1000);
        assert_eq!(percentile(&[7_u32], 99.0), 7);
        assert_eq!(percentile(&[1_u32, 9], 50.0), 1);
    }

    #[test]
    fn summary_keeps_middle_and_ends() {
        let odd = Summary::of(&[5.0, 1.0, 3.0]);
        assert_eq!(
            odd,
            Summary {
                median: 3.0,
                min: 1.0,
                max: 5.0
            }
        );
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]).median, 2.5);
    }
}
