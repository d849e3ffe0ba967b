//! What can go wrong with a dump.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{BoxError, Error};

/// Why a dump was not written, or not loaded.
///
/// One word to clone. What the system or the codec said is its [`source`](StdError::source). Whatever it
/// is, the bucket goes on: without what the dump held, or with the older dump left in its place.
///
/// ```
/// use larder::{DumpError, DumpErrorKind};
///
/// /// Whether somebody has to look at the file.
/// fn is_odd(error: &DumpError) -> bool {
///     match error.kind() {
///         // A new release has another kind of value.
///         DumpErrorKind::Schema => false,
///         _ => true,
///     }
/// }
/// # let _ = is_odd;
/// ```
#[derive(Clone)]
pub struct DumpError(Arc<Inner>);

struct Inner {
    kind: DumpErrorKind,
    path: PathBuf,
    message: String,
    source: Option<BoxError>,
    set_aside: Option<PathBuf>,
}

/// The kinds of [`DumpError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DumpErrorKind {
    /// The file is the dump of a bucket with another name.
    Bucket,
    /// What the file says does not agree with its checksums or with itself.
    Corrupt,
    /// The checksums are right, but an entry is not one of these types: the type of the keys or values has
    /// changed, and the schema has not.
    Decode,
    /// A key or value could not be encoded, or what it is encoded as cannot be read back.
    Encode,
    /// The file is a dump in another format: of another version of this crate, or compressed where the
    /// feature `dump-compression` is off.
    Format,
    /// The dump was given up before all its entries were written.
    Incomplete,
    /// The file system refused: see [`source`](StdError::source).
    Io,
    /// The file is no dump at all.
    NotADump,
    /// What is at the path is a directory, a device or the like, or the path names no file.
    NotAFile,
    /// Code of the user's, such as a `Serialize` or a `Deserialize`, panicked.
    Panicked,
    /// The file is a dump with another schema.
    Schema,
    /// An entry is larger than the format allows: 1 GiB, encoded.
    TooLarge,
    /// The file ends before the dump does.
    Truncated,
    /// The dump is of a lower version than the bucket has, and was read when that was known.
    Version,
}

impl DumpErrorKind {
    /// Whether the file at the path is at fault, and not the way to it.
    pub(super) fn blames_the_file(self) -> bool {
        match self {
            Self::Bucket
            | Self::Corrupt
            | Self::Decode
            | Self::Format
            | Self::NotADump
            | Self::Schema
            | Self::Truncated => true,
            // A panic may be the answer to what the file holds, and would be so at the next start too.
            Self::Panicked => true,
            Self::Encode
            | Self::Incomplete
            | Self::Io
            | Self::NotAFile
            | Self::TooLarge
            | Self::Version => false,
        }
    }
}

impl DumpError {
    #[cold]
    pub(super) fn new(path: &Path, flaw: Flaw, set_aside: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            kind: flaw.kind,
            path: path.to_owned(),
            message: flaw.message,
            source: flaw.source,
            set_aside,
        }))
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> DumpErrorKind {
        self.0.kind
    }

    /// The path of the dump, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where the file is now that was refused. `None` if there was none, or if it could not be moved: then
    /// the next dump takes its place.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.0.set_aside.as_deref()
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dump {}: {}", self.0.path.display(), self.0.message)?;
        if let Some(source) = &self.0.source {
            // As in `Error`: a log line that prints the error alone wants the cause too.
            write!(f, ": {source}")?;
        }
        match &self.0.set_aside {
            Some(aside) => write!(f, "; the file is now {}", aside.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DumpError")
            .field("kind", &self.0.kind)
            .field("path", &self.0.path)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .field("set_aside", &self.0.set_aside)
            .finish()
    }
}

impl StdError for DumpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// What is wrong, before it is known where.
#[derive(Debug)]
pub(crate) struct Flaw {
    kind: DumpErrorKind,
    message: String,
    source: Option<BoxError>,
}

impl Flaw {
    #[cold]
    pub(super) fn new(kind: DumpErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    #[cold]
    pub(super) fn because(
        kind: DumpErrorKind,
        message: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// The same, seen as another kind of failure.
    pub(super) fn blamed_on(self, kind: DumpErrorKind, message: &str) -> Self {
        Self {
            kind,
            message: message.to_owned(),
            source: self.source,
        }
    }

    /// What the file system said to an operation.
    #[cold]
    pub(super) fn io(doing: &str, source: io::Error) -> Self {
        Self::because(DumpErrorKind::Io, format!("cannot {doing}"), source)
    }

    #[cold]
    pub(super) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(DumpErrorKind::Corrupt, message)
    }

    #[cold]
    pub(super) fn panicked(error: Error) -> Self {
        Self::because(
            DumpErrorKind::Panicked,
            "code of the user's panicked",
            error,
        )
    }

    pub(crate) fn kind(&self) -> DumpErrorKind {
        self.kind
    }
}
