//! The refresher's work in slices.

use std::time::Duration;

use super::Builder;
use crate::config::{LONGEST, refuse};
use crate::error::BuildError;
use crate::refresh::Slices;
use crate::sync::Arc;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Has the refresher rest for `rest` after each `work` that it has worked, so that readers on the same core need not
    /// wait for it. For a process that has one core, or a share of one. Default: it works until it is done.
    ///
    /// A fold, or the table of a dataset, takes tens of milliseconds for a million entries. With a core to itself it
    /// disturbs nobody. On a core that it shares with a reader, the reader is away for a time slice of the system's, some
    /// milliseconds, again and again until the table is done. With rests it is away for about `work` at a time. 100
    /// microseconds for both are good to begin with.
    ///
    /// # What it costs
    ///
    /// Building, folding and freeing take (`work` + `rest`) / `work` times as long, and longer by what the system's timers are
    /// late for each rest: on Linux 50 microseconds or so. With 100 microseconds for both, a refresh of a million entries took
    /// twice as long beside a reader that never rests, and four times as long on a core that was idle otherwise. Whoever
    /// waits for it waits for as long: `publish`, `clear`, `reset`, `prune`, `update_many`, a refresh. What is written
    /// meanwhile stays in the overlay; and as folds are paced by what the last one took, rests included, they come less
    /// often.
    ///
    /// More reads wait, for a shorter time each: what is good for the slowest read of all may be bad for one in a thousand.
    /// A bucket without slices pays nothing.
    ///
    /// # What is in slices
    ///
    /// What the refresher does, and the table of a dataset as it is made: collecting, hashing, placing, copying, going
    /// through what was written, and dropping what was replaced, value by value. Between two looks at the clock there are
    /// a hundred entries or so.
    ///
    /// Not code of yours: a loader, a validator, what something is derived by, or a `Hash`, `Clone`, `Drop` that takes
    /// longer than `work`, are not interrupted. Nor are threads of loaders, nor reading a dump or a storage while the
    /// bucket is [built](Self::build). And one call of the system is as long as it is: to give back the memory of a large
    /// table may take as long as some `work`.
    ///
    /// A [shutdown](crate::Bucket::shutdown), or the drop of the last handle, ends a rest and all further ones. Nothing else
    /// does.
    ///
    /// Rests are in real time, whatever the bucket's [clock](Self::clock) is.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) refuses times of zero, or of more than 100 years.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let slice = Duration::from_micros(100);
    /// let prices = larder::Bucket::<u32, u32>::builder("prices")
    ///     .load_all(|| Ok::<_, std::io::Error>((0..10_000).map(|item| (item, 2 * item))))
    ///     .refresh_in_slices(slice, slice)
    ///     .build()?;
    /// prices.refresh().wait(Duration::from_secs(5))?;
    /// assert_eq!(prices.peek(&21), Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "pace")]
    #[doc(alias = "throttle")]
    pub fn refresh_in_slices(mut self, work: Duration, rest: Duration) -> Self {
        self.slices = Some(Slices::new(work, rest));
        self
    }
}

/// # Errors
///
/// Slices without work or rest.
pub(super) fn checked(slices: Option<Slices>) -> Result<Option<Arc<Slices>>, BuildError> {
    let Some(slices) = slices else {
        return Ok(None);
    };
    let (work, rest) = slices.times();
    if [work, rest]
        .iter()
        .any(|time| time.is_zero() || *time > LONGEST)
    {
        let range = "two times of more than zero, at most 100 years";
        refuse("refresh_in_slices", format!("{work:?}, {rest:?}"), range)?;
    }
    Ok(Some(Arc::new(slices)))
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;
