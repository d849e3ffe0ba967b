//! What must hold of a dataset before it is published.

use std::fmt;

use crate::error::{BoxError, Error};
use crate::table::Table;

/// A dataset that has been fetched and is not published yet, as a
/// [validator](crate::Builder::validate_dataset) sees it.
pub struct Dataset<'a, K, V> {
    pub(super) table: &'a Table<K, V>,
    /// How many pairs the loader brought.
    pub(super) pairs: usize,
    pub(super) previous: Option<usize>,
}

impl<'a, K, V> Dataset<'a, K, V> {
    /// How many keys it has. Pairs with one key count once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the pairs that the loader brought do not count, as their keys came again after them. More than none
    /// is often the sign of a wrong key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::{Dataset, ErrorKind};
    ///
    /// let names = larder::Bucket::<usize, &str>::builder("names")
    ///     .dataset(|| Ok::<_, std::io::Error>(["ann", "bob"]), |name| name.len())
    ///     .validate_dataset(|names: &Dataset<usize, &str>| match names.repeated() {
    ///         0 => Ok(()),
    ///         repeated => Err(format!("{repeated} keys came again")),
    ///     })
    ///     .build()?;
    /// let refused = names.refresh().wait(Duration::from_secs(5)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Refused);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.pairs.saturating_sub(self.len())
    }

    /// How many keys the bucket has now: of the last dataset, and of what was written and loaded since. `None` for
    /// the first dataset of the bucket, and where nothing is cached, as after a clear.
    #[must_use]
    pub fn previous(&self) -> Option<usize> {
        self.previous
    }

    /// Its pairs, in no particular order; of two with one key only the last.
    pub fn iter(&self) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        self.table.iter()
    }
}

impl<K, V> fmt::Debug for Dataset<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("len", &self.len())
            .field("repeated", &self.repeated())
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

/// A user's own validator.
pub(crate) type Validate<K, V> =
    Box<dyn Fn(&Dataset<'_, K, V>) -> Result<(), BoxError> + Send + Sync>;

/// All that a bucket asks of its datasets.
pub(crate) struct Validators<K, V> {
    pub(crate) min_count: Option<usize>,
    pub(crate) max_change: Option<f64>,
    pub(crate) own: Vec<Validate<K, V>>,
}

impl<K, V> Default for Validators<K, V> {
    fn default() -> Self {
        Self {
            min_count: None,
            max_change: None,
            own: Vec::new(),
        }
    }
}

impl<K, V> Validators<K, V> {
    /// # Errors
    ///
    /// `Refused`, by the first of them that does not hold.
    ///
    /// # Panics
    ///
    /// If one of the user's does.
    pub(super) fn check(&self, dataset: &Dataset<'_, K, V>) -> Result<(), Error> {
        let (count, previous) = (dataset.len(), dataset.previous);
        if let Some(least) = self.min_count
            && count < least
        {
            let why = format!("it has {count} keys, and must have {least} at least");
            return Err(Error::refused(why.into()));
        }
        if let (Some(most), Some(previous)) = (self.max_change, previous)
            && change(count, previous) > most
        {
            let why = format!(
                "it has {count} keys after {previous}, and may change by {most} of them at most"
            );
            return Err(Error::refused(why.into()));
        }
        self.own
            .iter()
            .try_for_each(|own| own(dataset))
            .map_err(Error::refused)
    }
}

/// By how much of what there was before a count has changed. There was something.
#[expect(
    clippy::cast_precision_loss,
    reason = "more than 2^53 keys fit no memory"
)]
fn change(count: usize, previous: usize) -> f64 {
    count.abs_diff(previous) as f64 / previous as f64
}
