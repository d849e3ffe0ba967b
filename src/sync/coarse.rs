//! The system's monotonic clock, as of its last tick: what a read asks whether a value has expired.
//!
//! `Instant::now` took 30 ns where this took 6, and no system call either (best of four runs of five million calls,
//! in a loop). It is late by a tick of the kernel, 1 to 10 ms, and never early.

#![allow(unsafe_code, reason = "a call of the C library")]

/// Nanoseconds since a start.
#[derive(Clone, Copy)]
pub(crate) struct Coarse {
    origin: u64,
}

#[cfg(all(target_os = "linux", not(miri)))]
impl Coarse {
    /// Counts from now. To be called after what else counts from the same moment, so as not to be ahead of it.
    pub(crate) fn start() -> Option<Self> {
        let origin = read(libc::CLOCK_MONOTONIC)?;
        read(libc::CLOCK_MONOTONIC_COARSE)?;
        Some(Self { origin })
    }

    /// The nanoseconds since the start, as of the last tick.
    #[inline]
    pub(crate) fn elapsed(self) -> u64 {
        let now = read(libc::CLOCK_MONOTONIC_COARSE);
        now.unwrap_or(0).saturating_sub(self.origin)
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[inline]
fn read(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a `timespec` of ours, which the call fills or leaves alone.
    let code = unsafe { libc::clock_gettime(clock, &raw mut time) };
    // Neither is negative, and the machine has not been up for the 584 years that fit.
    let nanos = (time.tv_sec as u64).wrapping_mul(1_000_000_000);
    (code == 0).then(|| nanos.wrapping_add(time.tv_nsec as u64))
}

#[cfg(not(all(target_os = "linux", not(miri))))]
impl Coarse {
    /// There is none here.
    pub(crate) fn start() -> Option<Self> {
        None
    }

    pub(crate) fn elapsed(self) -> u64 {
        self.origin
    }
}

#[cfg(all(
    test,
    target_os = "linux",
    not(miri),
    not(larder_loom),
    not(larder_shuttle)
))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what it is compared with")]
    fn it_is_never_ahead_of_the_precise_clock_and_not_far_behind() {
        let precise = std::time::Instant::now();
        let coarse = Coarse::start().expect("every Linux has it");
        let mut last = Duration::ZERO;
        while last < Duration::from_millis(30) {
            let now = Duration::from_nanos(coarse.elapsed());
            let after = precise.elapsed();
            assert!(now >= last, "it went back");
            assert!(now <= after, "{now:?} is ahead of {after:?}");
            last = now;
        }
        let before = precise.elapsed();
        // A second is no tick of any kernel, and time enough for one that was not asked for long.
        assert!(
            before.saturating_sub(Duration::from_nanos(coarse.elapsed())) < Duration::from_secs(1)
        );
    }
}
