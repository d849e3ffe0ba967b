//! Options in layers: the library's defaults, a loader's, the builder's, and a function of what that makes.

use std::time::Duration;

use super::{Config, EvictBy, WhenFull};

/// One table of the options that have layers: those that always have a value, and those that may have none.
macro_rules! options {
    (
        always { $($(#[$doc:meta])* $name:ident: $type:ty,)* }
        perhaps { $($(#[$may_doc:meta])* $may:ident: $may_type:ty,)* }
    ) => {
        /// Options of a bucket as a [loader's defaults](crate::Loader::config), or as
        /// [`Builder::configure`](crate::Builder::configure) may change them. Each is described at the builder's
        /// method of its name; `None` says nothing, or, to `configure`, that the option has no value.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let options = larder::Options::default().batch_size(50).ttl(Duration::from_secs(60));
        /// assert_eq!((options.batch_size, options.linger), (Some(50), None));
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Options {
            $($(#[$doc])* pub $name: Option<$type>,)*
            $($(#[$may_doc])* pub $may: Option<$may_type>,)*
        }

        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = Some($name);
                self
            })*
            $($(#[$may_doc])*
            #[must_use]
            pub fn $may(mut self, $may: $may_type) -> Self {
                self.$may = Some($may);
                self
            })*

            /// As they are, and as those say where they say nothing.
            pub(crate) fn over(self, lower: Self) -> Self {
                Self {
                    $($name: self.$name.or(lower.$name),)*
                    $($may: self.$may.or(lower.$may),)*
                }
            }
        }

        impl Config {
            /// The options among these.
            pub(crate) fn options(&self) -> Options {
                Options {
                    $($name: Some(self.$name),)*
                    $($may: self.$may,)*
                }
            }

            /// The same with these options: what always has a value, and has none there, stays.
            pub(crate) fn with(mut self, options: Options) -> Self {
                $(self.$name = options.$name.unwrap_or(self.$name);)*
                $(self.$may = options.$may;)*
                self
            }
        }
    };
}

options! {
    always {
        /// See [`Builder::batch_size`](crate::Builder::batch_size).
        batch_size: usize,
        /// See [`Builder::linger`](crate::Builder::linger).
        linger: Duration,
        /// See [`Builder::loader_threads`](crate::Builder::loader_threads).
        loader_threads: usize,
        /// See [`Builder::queue_capacity`](crate::Builder::queue_capacity).
        queue_capacity: usize,
        /// See [`Builder::wait_limit`](crate::Builder::wait_limit).
        wait_limit: Duration,
        /// See [`Builder::refresh_jitter`](crate::Builder::refresh_jitter).
        refresh_jitter: f64,
        /// See [`Builder::fold_delay`](crate::Builder::fold_delay).
        fold_delay: Duration,
        /// See [`Builder::shutdown_limit`](crate::Builder::shutdown_limit).
        shutdown_limit: Duration,
    }
    perhaps {
        /// See [`Builder::refresh_every`](crate::Builder::refresh_every).
        refresh_every: Duration,
        /// See [`Builder::ttl`](crate::Builder::ttl).
        ttl: Duration,
        /// See [`Builder::time_to_idle`](crate::Builder::time_to_idle).
        time_to_idle: Duration,
        /// See [`Builder::max_weight`](crate::Builder::max_weight).
        max_weight: u64,
        /// See [`Builder::when_full`](crate::Builder::when_full).
        when_full: WhenFull,
        /// See [`Builder::evict_by`](crate::Builder::evict_by).
        evict_by: EvictBy,
        /// See [`Builder::max_stale`](crate::Builder::max_stale).
        max_stale: Duration,
        /// See [`Builder::exists_absent_for`](crate::Builder::exists_absent_for).
        exists_absent_for: Duration,
        /// See [`Builder::exists_capacity`](crate::Builder::exists_capacity).
        exists_capacity: usize,
        /// See [`Builder::dataset_min_count`](crate::Builder::dataset_min_count).
        dataset_min_count: usize,
        /// See [`Builder::dataset_max_change`](crate::Builder::dataset_max_change).
        dataset_max_change: f64,
    }
}
