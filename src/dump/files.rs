//! The file system, as far as a dump needs it: a trait, so that a test can be one that fails and forgets.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nothing,
    File,
    /// A directory, a device, a pipe: what is neither to be read as a dump nor replaced by one.
    Other,
}

/// What is asked of a file system. Paths in one directory, all of them.
pub(crate) trait Files {
    type Out: Write;
    type In: Read;

    /// What is there, symbolic links followed.
    fn place(&self, path: &Path) -> io::Result<Place>;

    /// A new file. An error if there is one already.
    fn create(&self, path: &Path) -> io::Result<Self::Out>;

    /// Has the file's bytes on the disk. Once only: after a failure nobody knows what is there, and another
    /// call may say that all is well.
    fn sync(&self, file: &mut Self::Out) -> io::Result<()>;

    /// Gives a file another name, and replaces what has that name, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Has the names in a directory on the disk.
    fn sync_names(&self, directory: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// A file and its length.
    fn open(&self, path: &Path) -> io::Result<(Self::In, u64)>;

    /// All names in a directory.
    fn names(&self, directory: &Path, each: &mut dyn FnMut(OsString)) -> io::Result<()>;
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disk;

impl Files for Disk {
    type Out = File;
    type In = File;

    fn place(&self, path: &Path) -> io::Result<Place> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(Place::File),
            Ok(_) => Ok(Place::Other),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Place::Nothing),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Whoever may read what a program keeps in memory is not for this crate to widen.
            options.mode(0o600);
        }
        options.open(path)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        match File::open(directory)?.sync_all() {
            // There are file systems that cannot do it for a directory, and then nobody can.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    /// There is no such call elsewhere.
    #[cfg(not(unix))]
    fn sync_names(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn open(&self, path: &Path) -> io::Result<(File, u64)> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok((file, len))
    }

    fn names(&self, directory: &Path, each: &mut dyn FnMut(OsString)) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            each(entry?.file_name());
        }
        Ok(())
    }
}
