//! Switching a bucket off and on.

use super::Bucket;
use crate::error::Error;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Switches caching off, or on again. A new bucket caches.
    ///
    /// While it is off every [`get`](Self::get) and [`fetch`](Self::fetch) loads, with one load of a key at a time as
    /// ever, and what is loaded is answered with [`Origin::Ignored`](crate::Origin::Ignored). Nothing is stored:
    /// [`set`](Self::set) and the other writes do nothing, and a refresh, timed or asked for, is over at once without
    /// a load. So [`peek`](Self::peek), a [`Reader`](crate::Reader) and a new [`snapshot`](Self::snapshot) find
    /// nothing, whatever was cached before. [`exists`](super::Builder::exists) is asked, and not remembered.
    ///
    /// For a source whose answers have to be seen as they are, for a while. It costs reads nothing when it is on: the
    /// switch is one publication, in which the bucket is emptied, and a bucket that is off is one that stays empty.
    ///
    /// That publication is the moment of the switch. When the call has returned, nothing from before it is served. A
    /// load that is under way goes on and answers whoever waits; its value is not stored, neither if it began before
    /// the bucket was switched off nor if it began while it was off and ends when it is on again. A bucket that is
    /// switched on starts empty; [`refresh`](Self::refresh) fetches a dataset. Where nothing changes, nothing is done.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// assert_eq!(bucket.get(&3), Some(9));
    /// bucket.set_caching(false)?;
    /// assert_eq!((bucket.peek(&3), bucket.get(&3), bucket.get(&3)), (None, Some(9), Some(9)));
    /// assert_eq!(bucket.stats().keys_asked, 3);
    /// bucket.set_caching(true)?;
    /// assert_eq!((bucket.get(&3), bucket.peek(&3)), (Some(9), Some(9)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`clear`](Self::clear). After a `Timeout` it is switched later.
    ///
    /// # Blocking
    ///
    /// As [`clear`](Self::clear).
    #[doc(alias = "cache_enabled")]
    pub fn set_caching(&self, caching: bool) -> Result<(), Error> {
        let asked = self.ask_refresher(|requests| {
            let switch = &mut requests.switch;
            switch.caching = Some(caching);
            switch.off |= !caching;
            &mut switch.asked
        });
        asked.map(|_| ())
    }

    /// Whether anything is cached at all. See [`set_caching`](Self::set_caching).
    #[must_use]
    pub fn is_caching(&self) -> bool {
        self.core.store.view().caching
    }
}
