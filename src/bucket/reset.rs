//! Resetting a bucket, and its version.

use super::Bucket;
use crate::error::Error;
use crate::refresh::{Parts, Reset};
use crate::store::inside_a_write;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Resets the bucket to a version, if that is higher than its own: forgets everything, as [`clear`](Self::clear)
    /// does, and has every load that is under way run again.
    ///
    /// For when the source has changed as a whole: who has asked before and is answered after this has returned gets a
    /// value that was computed after it, and not one of the old source. That concerns every load: what is queued; what
    /// a loader has under way, alone or in a batch, nested, for a call with its own loader, for a ticket or a refresh;
    /// what a [`get_many`](Self::get_many) had found before it began to wait. What an older load brings is neither
    /// answered nor stored, its errors neither. It runs out, and its keys are loaded again by the same thread then, so
    /// there is one load of a key at a time. A caller's time limit counts from its call, however often its key is
    /// loaded. A dataset that is being fetched is fetched again. What was remembered by
    /// [`exists`](super::Builder::exists) is forgotten.
    ///
    /// The same version does nothing, nor does a lower one: versions never go back. So any number of resets at once, of
    /// one bucket or of many that are told of each other's, end with the highest version everywhere. One takes effect
    /// after the other; [the callback](super::Builder::on_reset) is asked before, on the thread that resets.
    ///
    /// It may be called inside a loader, whose load is run again then: to reset to a new version each time would go on
    /// for ever.
    ///
    /// ```
    /// use larder::{Bucket, Reset};
    ///
    /// let bucket = Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// assert_eq!(bucket.get(&3), Some(9));
    /// assert_eq!(bucket.reset(7)?, Reset::Done);
    /// assert_eq!((bucket.version(), bucket.peek(&3)), (7, None));
    /// assert_eq!(bucket.reset(7)?, Reset::Current);
    /// assert_eq!(bucket.reset(6)?, Reset::Older);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Refused` or `Panicked` if the callback failed: the bucket is as it was, and a later reset to the same version
    /// asks again. `Closed` after a shutdown. `Timeout` if another reset's callback, or the refresher, holds it up for
    /// longer than the wait limit; in the second case it takes effect later. `Reentrant` in the middle of a write, and
    /// by the callback of a reset of the same bucket to a lower version.
    ///
    /// # Blocking
    ///
    /// Waits for a reset that is under way, for the callback, and for the refresher to end the fold that it is at. Not
    /// for loads.
    pub fn reset(&self, version: u64) -> Result<Reset, Error> {
        let core = &self.core;
        // The refresher itself gets here when it drops a value whose `Drop` calls the bucket.
        if inside_a_write() || core.is_refresher() {
            return Err(Error::reentrant());
        }
        let parts = Parts {
            store: &core.store,
            control: &core.control,
            stats: &core.stats,
            events: &core.events,
            clock: &core.clock,
            limit: core.config.wait_limit,
        };
        core.resets.reset(version, &parts)
    }

    /// The bucket's version: that of the last [`reset`](Self::reset), or the one it [began](super::Builder::version)
    /// with. Never goes back.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.core.store.view().current.version
    }
}
