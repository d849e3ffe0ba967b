//! When what is kept outside of the process expires, and how long it still has. Pure.

use std::time::Duration;

/// When an entry of a [`Storage`](crate::storage::Storage) expires: two moments by the time of day, in milliseconds
/// since the epoch. A storage keeps both as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expiry {
    /// From this moment on the entry is no more.
    pub expires_ms: u64,
    /// When this was written. If the clock shows an earlier time when it is read, it was put back, and the entry has no
    /// more time than it had then.
    pub written_ms: u64,
}

impl Expiry {
    /// What is left of the entry's time. `None` if it has expired.
    pub(crate) fn left(self, now_ms: u64) -> Option<Duration> {
        left(self.expires_ms, self.written_ms, now_ms)
    }
}

/// What is left of the time of an entry that is to go at `deadline`, at the time `now`, if it was written at
/// `created`; all in milliseconds since the epoch. `None` if it has expired.
///
/// The time outside counts. If the clock shows a time before the writing, it was put back, or was wrong then: no
/// entry has more time than it had when it was written.
pub(crate) fn left(deadline: u64, created: u64, now: u64) -> Option<Duration> {
    let now = now.max(created);
    (now < deadline).then(|| Duration::from_millis(deadline - now))
}

#[cfg(test)]
mod tests {
    use super::left;
    use std::time::Duration;

    fn ms(time: u64) -> Option<Duration> {
        Some(Duration::from_millis(time))
    }

    #[test]
    fn one_tick_each_side_of_the_deadline() {
        assert_eq!(left(1000, 400, 999), ms(1));
        assert_eq!(left(1000, 400, 1000), None);
        assert_eq!(left(1000, 400, 1001), None);
    }

    #[test]
    fn one_tick_each_side_of_the_creation() {
        assert_eq!(left(1000, 400, 401), ms(599));
        assert_eq!(left(1000, 400, 400), ms(600));
        assert_eq!(left(1000, 400, 399), ms(600));
        assert_eq!(left(1000, 400, 0), ms(600));
    }

    #[test]
    fn what_had_expired_when_it_was_written_does_not_come_back() {
        assert_eq!(left(400, 400, 0), None);
        assert_eq!(left(399, 400, 0), None);
        assert_eq!(left(401, 400, 0), ms(1));
        assert_eq!(left(0, 0, 0), None);
    }

    #[test]
    fn the_ends_of_time() {
        assert_eq!(left(u64::MAX, 0, 0), ms(u64::MAX));
        assert_eq!(left(u64::MAX, 0, u64::MAX), None);
        assert_eq!(left(u64::MAX, u64::MAX, 0), None);
        assert_eq!(left(0, u64::MAX, u64::MAX), None);
        assert_eq!(left(u64::MAX, u64::MAX - 1, 0), ms(1));
    }
}
