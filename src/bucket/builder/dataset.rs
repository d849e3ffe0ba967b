//! What must hold of a dataset before it is published, and what is derived from it.

use super::Builder;
use crate::bucket::Derived;
use crate::config::{Config, refuse};
use crate::error::{BoxError, BuildError};
use crate::refresh::{Dataset, Deriver};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Refuses a dataset with fewer keys, at least 1: a source that is empty by mistake does not empty the bucket.
    /// Default: none is refused.
    ///
    /// What a refusal is, is said at [`validate_dataset`](Self::validate_dataset).
    pub fn dataset_min_count(mut self, keys: usize) -> Self {
        self.options.dataset_min_count = Some(keys);
        self
    }

    /// Refuses a dataset whose number of keys differs by more than this share from how many the bucket has: with
    /// 0.25, 1000 keys may become 750 to 1250. 0.0 or more. Less finds mistakes that are smaller, and refuses more of
    /// what is right. Default: none is refused.
    ///
    /// Not asked of the first dataset of a bucket, nor while nothing is cached. What was written and loaded since the
    /// last dataset counts as what the bucket has.
    ///
    /// What a refusal is, is said at [`validate_dataset`](Self::validate_dataset). A source that has really changed by
    /// more is refused each time, until the bucket is [cleared](crate::Bucket::clear).
    pub fn dataset_max_change(mut self, share: f64) -> Self {
        self.options.dataset_max_change = Some(share);
        self
    }

    /// Has `validate` look at each dataset before it is published. More than one may be given: all of them must
    /// agree, and are asked in turn, after [`dataset_min_count`](Self::dataset_min_count) and
    /// [`dataset_max_change`](Self::dataset_max_change). Default: none.
    ///
    /// An error refuses the dataset: what is cached stays, for ever or up to [`max_stale`](Self::max_stale), and the
    /// refresh has failed with [`ErrorKind::Refused`](crate::ErrorKind::Refused) and with this error as its source.
    /// It is counted in [`Stats::datasets_refused`](crate::Stats::datasets_refused), told as
    /// [`Event::RefreshFailed`](crate::Event::RefreshFailed), and tried again at the next interval, or when
    /// [`refresh_retry`](Self::refresh_retry) says. The first dataset of a bucket may be refused as well: then the bucket is as it was.
    ///
    /// A panic is contained, and the refresh has failed with [`ErrorKind::Panicked`](crate::ErrorKind::Panicked).
    ///
    /// # Blocking
    ///
    /// It runs on the dataset's thread, with no lock held, and may block: neither reads nor loads nor folds wait for
    /// it. The refresh takes as much longer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder::{Dataset, ErrorKind};
    ///
    /// let bucket = larder::Bucket::<u32, &str>::builder("flags")
    ///     .load_all(|| Ok::<_, std::io::Error>([(1, "on"), (2, "")]))
    ///     .validate_dataset(|flags: &Dataset<u32, &str>| match flags.iter().find(|(_, text)| text.is_empty()) {
    ///         Some((key, _)) => Err(format!("{key} has no text")),
    ///         None => Ok(()),
    ///     })
    ///     .build()?;
    /// let refused = bucket.refresh().wait(Duration::from_secs(5)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Refused);
    /// assert_eq!(refused.to_string(), "the dataset was refused: 2 has no text");
    /// assert!(bucket.is_empty());
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "validator")]
    pub fn validate_dataset<F, E>(mut self, validate: F) -> Self
    where
        F: Fn(&Dataset<'_, K, V>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        let validate = move |dataset: &Dataset<'_, K, V>| validate(dataset).map_err(Into::into);
        self.validators.push(Box::new(validate));
        self
    }

    /// Has `derived` made of each dataset, and published with it in one swap. Any number may be given, each once; one
    /// may be given to several buckets. Default: none.
    ///
    /// All of it is said at [`Derived`].
    #[doc(alias = "view")]
    #[doc(alias = "index_by")]
    pub fn derive<T: Send + Sync + 'static>(mut self, derived: &Derived<K, V, T>) -> Self {
        self.derivers.push(derived.deriver().clone());
        self
    }
}

/// # Errors
///
/// An option without what it is for, or given twice.
pub(super) fn check<K, V>(
    config: &Config,
    (has_own, derivers): (bool, &[Deriver<K, V>]),
    given: bool,
) -> Result<(), BuildError> {
    let mut numbers: Vec<_> = derivers.iter().map(Deriver::number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        refuse("derive", "the same twice", "given once for each")?;
    }
    let options = [
        ("dataset_min_count", config.dataset_min_count.is_some()),
        ("dataset_max_change", config.dataset_max_change.is_some()),
        ("validate_dataset", has_own),
        ("derive", !derivers.is_empty()),
    ];
    for (option, _) in options.into_iter().filter(|(_, is_set)| *is_set && !given) {
        let range = "left out in a bucket without a dataset loader";
        refuse(option, "set", range)?;
    }
    Ok(())
}
