//! How long values live.

use std::time::Duration;

use super::Builder;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// How long a value lives from when it is written or loaded, unless what writes or loads it says otherwise: see
    /// [`Bucket::set_with_ttl`](crate::Bucket::set_with_ttl) and [`Outcome::Expiring`](crate::Outcome::Expiring).
    /// Default: for ever.
    ///
    /// From `ttl` on, the value has expired: no read returns it, it counts as a miss, and writes take the key as
    /// absent. Reads go by a coarse clock, which costs no system call and is late by a tick of the kernel, 10
    /// milliseconds at the most, and never early. What has expired leaves the memory with a fold soon after.
    ///
    /// A hit on a table in which anything expires takes some 80 instructions more, and 8 bytes a key. A bucket in
    /// which nothing does pays nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let time = larder::ManualClock::new();
    /// let sessions = larder::Bucket::<u32, &str>::builder("sessions")
    ///     .clock(time.clock())
    ///     .ttl(Duration::from_secs(60))
    ///     .build()?;
    /// sessions.set(1, "ann");
    /// time.advance(Duration::from_secs(59));
    /// assert_eq!(sessions.peek(&1), Some("ann"));
    /// time.advance(Duration::from_secs(1));
    /// assert_eq!(sessions.peek(&1), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "expires_after")]
    #[doc(alias = "time_to_live")]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(ttl);
        self
    }

    /// How long a value lives that is neither read nor written. Default: for ever.
    ///
    /// A value lives at least so long after its last read, and at most a sixteenth longer: a read within a sixteenth of
    /// the time after the last that was noted is not noted, so that it writes nothing. From then on no read returns it,
    /// as if it had [expired](Self::ttl), by the same clock; where there is a `ttl` as well, what is earlier counts.
    /// What is idle leaves the memory with a fold, a sixteenth of the time later at the most where the bucket is quiet.
    ///
    /// All reads by the bucket, a [`Call`](crate::Call) or a [`Reader`](crate::Reader) count, those of a
    /// [`Snapshot`](crate::Snapshot), [`len`](crate::Bucket::len), [`keys`](crate::Bucket::keys),
    /// [`ttl`](crate::Bucket::ttl), [`load_state`](crate::Bucket::load_state) and
    /// [`notify_dead`](crate::Bucket::notify_dead) do not. A reload counts as a write, so
    /// with a shorter [`refresh_every`](Self::refresh_every) nothing is ever idle. A read that is under way in the moment
    /// in which a snapshot is published may not count.
    ///
    /// A hit takes some 95 instructions more, and those of a look at the clock; an entry 8 bytes. A bucket without
    /// pays nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let time = larder::ManualClock::new();
    /// let sessions = larder::Bucket::<u32, &str>::builder("sessions")
    ///     .clock(time.clock())
    ///     .time_to_idle(Duration::from_secs(160))
    ///     .build()?;
    /// sessions.set(1, "ann");
    /// time.advance(Duration::from_secs(150));
    /// assert_eq!(sessions.peek(&1), Some("ann")); // and so it lives on
    /// time.advance(Duration::from_secs(160));
    /// assert_eq!(sessions.peek(&1), Some("ann"));
    /// time.advance(Duration::from_secs(170));
    /// assert_eq!(sessions.peek(&1), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "tti")]
    #[doc(alias = "expires_after_access")]
    #[doc(alias = "cache_duration")]
    pub fn time_to_idle(mut self, time: Duration) -> Self {
        self.options.time_to_idle = Some(time);
        self
    }
}
