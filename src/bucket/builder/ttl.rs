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
}
