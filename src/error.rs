//! What can go wrong in a call, and in building a bucket.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a loader reports when it fails: any error of its own.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Why a call has no answer.
///
/// One word to clone, since one failed batch answers many waiters. A loader's own error is its
/// [`source`](StdError::source).
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The load was given up before it ran. Or the runtime that ran async code for it has been shut down: see the feature
    /// `tokio`.
    Cancelled,
    /// The bucket has been shut down.
    Closed,
    /// The loader brought a value that is dead, as [`Builder::alive`](crate::Builder::alive) has it.
    Dead,
    /// The bucket has no room for what [`Bucket::update_many`](crate::Bucket::update_many) was to write.
    Full,
    /// The loader returned an error: see [`source`](StdError::source).
    Load,
    /// The bucket has no loader for what was asked.
    NoLoader,
    /// The bucket has no [warmer](crate::Builder::warmer) of that name.
    NoWarmer,
    /// A loader, or another part of the user's code that a load runs, panicked.
    Panicked,
    /// The load queue is full.
    QueueFull,
    /// A loader asked for a key whose load waits for that very loader.
    Recursion,
    /// The call would have to wait, and was made by code that the bucket runs in the middle of a
    /// write: an `Eq` or a `Drop` of a key or value. Or it was a reset, made by the callback of another one; or async code
    /// of a loader or a storage, on the only thread of the runtime that was to run it.
    Reentrant,
    /// A dataset was fetched and not taken, see
    /// [`Builder::validate_dataset`](crate::Builder::validate_dataset) and
    /// [`Derived::or_refuse`](crate::Derived::or_refuse); or a reset was not allowed, see
    /// [`Builder::on_reset`](crate::Builder::on_reset). The [`source`](StdError::source) says why. Or a bucket was to be
    /// [pruned](crate::Bucket::prune) that does not know what was touched when.
    Refused,
    /// The bucket's [storage](crate::storage::Storage) returned an error, or did less than it was to: see
    /// [`source`](StdError::source).
    Storage,
    /// The answer did not come in time. The load goes on, and its value is stored when it comes.
    Timeout,
}

impl Error {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn load(source: BoxError) -> Self {
        Self::by(ErrorKind::Load, "the loader failed", source)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refused(source: BoxError) -> Self {
        Self::by(ErrorKind::Refused, "the dataset was refused", source)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn reset_refused(source: BoxError) -> Self {
        Self::by(ErrorKind::Refused, "the reset was refused", source)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn storage(source: BoxError) -> Self {
        Self::by(ErrorKind::Storage, "the storage failed", source)
    }

    fn by(kind: ErrorKind, message: &str, source: BoxError) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: Some(source),
        }))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let said = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::new(ErrorKind::Panicked, format!("the loader panicked: {said}"))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn dead() -> Self {
        let message = "the loader brought a value that is dead";
        Self::new(ErrorKind::Dead, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the bucket has been shut down")
    }

    pub(crate) fn timeout() -> Self {
        Self::new(ErrorKind::Timeout, "no answer within the wait limit")
    }

    pub(crate) fn reload_timeout() -> Self {
        let message = "the reload did not end within the time limit of a refresh";
        Self::new(ErrorKind::Timeout, message)
    }

    pub(crate) fn reentrant() -> Self {
        Self::new(
            ErrorKind::Reentrant,
            "a call that has to wait, made in the middle of a write",
        )
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the answer did not come in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::Timeout
    }

    /// Whether the bucket has been shut down.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind() == ErrorKind::Closed
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.source {
            // The chain is for `source`; a log line that prints the error alone wants the cause too.
            Some(source) => write!(f, "{}: {source}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Why a bucket could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// An option has a value that makes no sense.
    Option {
        /// The builder's method.
        option: &'static str,
        /// The value it was given.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// The [`init`](crate::Builder::init) hook has said that the bucket is not to be built.
    Stopped {
        /// Why.
        reason: BoxError,
    },
    /// A loader's `config`, or what [`configure`](crate::Builder::configure) was given, panicked.
    Panicked {
        /// How.
        source: Error,
    },
    /// A [warmer](crate::Builder::warmer) that is required has failed, or was not done within the
    /// [limit](crate::Builder::warm_limit).
    NotWarm {
        /// Its name.
        warmer: String,
        /// Why.
        source: Error,
    },
    /// A thread could not be started.
    Spawn {
        /// The name the thread would have had.
        thread: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option {
                option,
                value,
                range,
            } => {
                write!(f, "option `{option}` is {value}, must be {range}")
            }
            Self::Stopped { reason } => write!(f, "stopped by the init hook: {reason}"),
            Self::Panicked { source } => write!(f, "no options to be had: {source}"),
            Self::NotWarm { warmer, source } => write!(f, "warmer `{warmer}`: {source}"),
            Self::Spawn { thread, source } => write!(f, "cannot start thread `{thread}`: {source}"),
        }
    }
}

impl StdError for BuildError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Option { .. } => None,
            Self::Stopped { reason } => Some(&**reason),
            Self::Panicked { source } | Self::NotWarm { source, .. } => Some(source),
            Self::Spawn { source, .. } => Some(source),
        }
    }
}
