//! Options on resets.

use super::Builder;
use crate::error::BoxError;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// The version that the bucket begins with, see [`Bucket::reset`](crate::Bucket::reset). Default: 0.
    ///
    /// A [dump](crate::Builder#method.dump) keeps the version of what is in it. One of a higher version is loaded and
    /// the bucket begins with that; one of a lower version is what a reset would have cleared, so it is not loaded.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, u32>::builder("prices").version(3).build()?;
    /// assert_eq!(bucket.version(), 3);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    pub fn version(mut self, version: u64) -> Self {
        self.config.version = version;
        self
    }

    /// Asks `callback` before the bucket is [reset](crate::Bucket::reset), with the version that it is to have.
    /// Default: nobody is asked.
    ///
    /// It runs on the thread that resets, once for each version that takes effect, while what is cached is still there,
    /// and with nothing held but the turn among resets: it may call the bucket, but for another reset, and may take its
    /// time. It should not wait for who resets the bucket as well, a loader for instance, as that one waits for its
    /// turn. An error or a panic of it refuses the reset, and is reported to the observer: the bucket keeps its version
    /// and its data, and the next reset to the same version asks again.
    ///
    /// ```
    /// use larder::{Bucket, ErrorKind};
    ///
    /// let bucket = Bucket::<u32, u32>::builder("prices")
    ///     .on_reset(|version| if version < 10 { Ok(()) } else { Err("not yet") })
    ///     .build()?;
    /// bucket.reset(9)?;
    /// assert_eq!(bucket.reset(10).unwrap_err().kind(), ErrorKind::Refused);
    /// assert_eq!(bucket.version(), 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "callback_module")]
    pub fn on_reset<F, E>(mut self, callback: F) -> Self
    where
        F: Fn(u64) -> Result<(), E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        self.on_reset = Some(Box::new(move |version| {
            callback(version).map_err(Into::into)
        }));
        self
    }
}
