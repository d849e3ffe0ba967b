//! Where options come from: the library, a loader, the builder, and a function of what that makes.

use super::Builder;
use crate::config::{Config, Options};
use crate::contain::contained;
use crate::error::BuildError;
use crate::load::Source;
use crate::loader::DatasetLoader;
use crate::{HashBuilder, Key, Value};

/// The user's function.
pub(super) type Configure = Box<dyn FnOnce(&mut Options) + Send + Sync>;

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Has `configure` see the options and change them, when the bucket is built: the last word, for what comes from a
    /// file or the environment. Default: nothing is changed.
    ///
    /// It is given the library's defaults, over them what the loader says in [`config`](crate::Loader::config), and over
    /// that what was said to this builder, in whatever order. If it is given more than once, the functions run in turn.
    /// What it makes is checked as if it had been said here.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let built = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .ttl(Duration::from_secs(60))
    ///     .configure(|options| {
    ///         options.ttl = options.ttl.map(|ttl| ttl / 2);
    ///         options.batch_size = Some(0);
    ///     })
    ///     .build();
    /// let refused = built.map(|_| ()).unwrap_err();
    /// assert_eq!(refused.to_string(), "option `batch_size` is 0, must be at least 1");
    /// ```
    #[doc(alias = "config_fn")]
    pub fn configure(
        mut self,
        configure: impl FnOnce(&mut Options) + Send + Sync + 'static,
    ) -> Self {
        self.configure.push(Box::new(configure));
        self
    }
}

/// What the loaders say; that of keys is over that of the dataset.
pub(super) fn of_loaders<K: Key, V: Value>(
    source: &Source<K, V>,
    dataset: Option<&dyn DatasetLoader<K, V>>,
) -> Result<Options, BuildError> {
    let said = contained(|| {
        let of_keys = match source {
            Source::None => Options::default(),
            Source::Single(loader) => loader.config(),
            Source::Bulk(loader) => loader.config(),
        };
        of_keys.over(dataset.map(DatasetLoader::config).unwrap_or_default())
    });
    said.map_err(|source| BuildError::Panicked { source })
}

/// All layers, the lowest first.
pub(super) fn in_layers(
    library: Config,
    of_loaders: Options,
    said: Options,
    configure: Vec<Configure>,
) -> Result<Config, BuildError> {
    let mut options = said.over(of_loaders).over(library.options());
    let configured = contained(|| {
        for configure in configure {
            configure(&mut options);
        }
        options
    });
    let options = configured.map_err(|source| BuildError::Panicked { source })?;
    Ok(library.with(options))
}
