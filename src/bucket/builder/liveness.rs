//! Values that die.

use super::Builder;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Asks `check` of a value whether it lives, before it is returned. For values that stand for something which may
    /// go without the bucket being told: a handle, a session, a [`Weak`](std::sync::Weak). Default: none, values do not
    /// die.
    ///
    /// A value that is dead is returned by no read. It counts as a miss, so that [`get`](crate::Bucket::get) loads the
    /// key, and writes that depend on what is there ([`set_if_absent`](crate::Bucket::set_if_absent),
    /// [`update`](crate::Bucket::update), [`take`](crate::Bucket::take)) take the key as absent. It leaves the memory
    /// soon after a read has found it, by the refresher, or when somebody says [`notify_dead`](
    /// crate::Bucket::notify_dead); only if it is still there: a newer value stays. What nobody reads and nobody
    /// speaks of stays in memory.
    ///
    /// What a loader brings is asked about as well. If it is dead already, the load has failed with an error of kind
    /// [`Dead`](crate::ErrorKind::Dead), and what was cached stays. A whole dataset is not gone through for it: what is
    /// dead there is found by the first read. [`len`](crate::Bucket::len) and [`keys`](crate::Bucket::keys) leave out
    /// what is dead, and so ask about everything; a dump does as well.
    ///
    /// A [`Snapshot`](crate::Snapshot) is not asked about: it never changes, and shows what was held when it was
    /// published, dead or not. And a value that was returned may die the next moment: only its user can see that.
    ///
    /// # What it costs
    ///
    /// A bucket without a check pays nothing. With one, a read has no short way: it finds the key, wherever it is, and
    /// asks the check.
    ///
    /// # Panics
    ///
    /// A panic of the check is contained, wherever it runs. The value is then not known to live: the read does not
    /// return it, and it is not removed, so that a check which works again finds it. It is counted in
    /// [`Stats::alive_failed`](crate::Stats::alive_failed) and told as
    /// [`Event::AliveFailed`](crate::Event::AliveFailed). For a loaded value it is a failed load.
    ///
    /// # Blocking
    ///
    /// The check runs on the thread that reads, with nothing of the bucket's held. A read takes as long as it does. It
    /// may read this bucket and others; where that asks it again, and again, the eighth time is not asked any more, and
    /// the value not returned. A read that finds a dead value takes a short lock, to have it removed.
    ///
    /// ```
    /// use std::sync::{Arc, Weak};
    ///
    /// let connections = larder::Bucket::<u32, Weak<String>>::builder("connections")
    ///     .alive(|_, connection| connection.strong_count() > 0)
    ///     .build()?;
    /// let connection = Arc::new("to the printer".to_owned());
    /// connections.set(7, Arc::downgrade(&connection));
    /// assert!(connections.contains(&7));
    /// drop(connection);
    /// assert!(!connections.contains(&7));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "alive?")]
    #[doc(alias = "is_alive")]
    #[doc(alias = "liveness")]
    pub fn alive(mut self, check: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.alive = Some(Box::new(check));
        self
    }
}
