//! Where a dump is, and the names beside it: of one that is being written, and of those that were refused.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::{DumpErrorKind, Flaw};
use super::files::{Files, Place};

/// How many refused files are kept.
const KEPT: u32 = 3;

/// How often another name is tried for the file that is being written. They are random, so the second will do.
const TRIES: usize = 8;

/// A path that a dump may have.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    directory: PathBuf,
    name: OsString,
}

impl Target {
    /// # Errors
    ///
    /// That the path names no file.
    pub(crate) fn new(path: &Path) -> Result<Self, Flaw> {
        // A separator at the end, or one and a `.`, means a directory; `file_name` would look past it.
        let bytes = path.as_os_str().as_encoded_bytes();
        let names_directory = bytes
            .strip_suffix(b".")
            .unwrap_or(bytes)
            .last()
            .is_some_and(|&byte| std::path::is_separator(char::from(byte)));
        let Some(name) = path.file_name().filter(|_| !names_directory) else {
            return Err(Flaw::new(DumpErrorKind::NotAFile, "the path names no file"));
        };
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self {
            path: path.to_owned(),
            directory,
            name: name.to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(ending);
        self.directory.join(name)
    }

    /// What follows this one's name in that one.
    fn ending_of<'a>(&self, name: &'a OsStr) -> Option<&'a [u8]> {
        let own = self.name.as_encoded_bytes();
        name.as_encoded_bytes().strip_prefix(own)
    }

    /// Whether a name is one that [`unfinished`](Self::unfinished) gives.
    fn is_unfinished(&self, name: &OsStr) -> bool {
        self.ending_of(name)
            .and_then(|ending| ending.strip_prefix(b".tmp-"))
            .is_some_and(|id| {
                id.len() == 16 && id.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
            })
    }

    /// The number of a file that was refused.
    fn refused_number(&self, name: &OsStr) -> Option<u32> {
        let digits = self.ending_of(name)?.strip_prefix(b".refused-")?;
        // No sign and no zero in front, so that no two names have one number; and a next one is had.
        let plain = digits.len() <= 9 && !digits.starts_with(b"0");
        let all = plain && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits)
            .ok()
            .filter(|_| all)?
            .parse()
            .ok()
    }

    /// Creates the file that becomes the dump when it is whole. Its name is random: with one that two writers
    /// may share, what one has swept and created anew the other would move into the dump's place.
    pub(crate) fn unfinished<'f, F: Files>(
        &self,
        files: &'f F,
    ) -> io::Result<(Unfinished<'f, F>, F::Out)> {
        let mut tries = TRIES;
        loop {
            // Seeded at random, by the system, for each.
            let id = RandomState::new().hash_one(tries);
            let path = self.beside(&format!(".tmp-{id:016x}"));
            match files.create(&path) {
                Ok(out) => {
                    let path = Some(path);
                    return Ok((Unfinished { files, path }, out));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tries > 1 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes what writers have left that were ended in the middle.
    ///
    /// One that is still at it, in another process, finds its file gone and fails, the dump as it was.
    pub(crate) fn sweep(&self, files: &impl Files) -> io::Result<()> {
        let mut left = Vec::new();
        files.names(&self.directory, &mut |name| {
            if self.is_unfinished(&name) {
                left.push(name);
            }
        })?;
        for name in left {
            match files.remove(&self.directory.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the dump another name, under which it can be looked at, and removes those that were refused long
    /// ago. The new path, if it could be done.
    pub(crate) fn set_aside(&self, files: &impl Files) -> Option<PathBuf> {
        let mut numbers = Vec::new();
        files
            .names(&self.directory, &mut |name| {
                numbers.extend(self.refused_number(&name));
            })
            .ok()?;
        let number = numbers.iter().max().map_or(1, |highest| highest + 1);
        let refused = |number: u32| self.beside(&format!(".refused-{number}"));
        files.rename(&self.path, &refused(number)).ok()?;
        numbers.sort_unstable();
        // The newest tells most: the others have been there at earlier starts.
        let keep = numbers.len().min(KEPT as usize - 1);
        for old in &numbers[..numbers.len() - keep] {
            // What cannot be removed is tried again when the next one is refused.
            let _ = files.remove(&refused(*old));
        }
        Some(refused(number))
    }

    /// # Errors
    ///
    /// That something is at the path that must be neither read nor replaced; or what the system says.
    pub(crate) fn look(&self, files: &impl Files) -> Result<Place, Flaw> {
        match files.place(&self.path) {
            Ok(Place::Other) => Err(Flaw::new(
                DumpErrorKind::NotAFile,
                "what is at the path is no ordinary file",
            )),
            Ok(place) => Ok(place),
            Err(error) => Err(Flaw::io("look at the path", error)),
        }
    }
}

/// A file that is removed again unless it becomes the dump.
pub(crate) struct Unfinished<'f, F: Files> {
    files: &'f F,
    path: Option<PathBuf>,
}

impl<F: Files> Unfinished<'_, F> {
    /// Puts it in the place of the dump.
    pub(crate) fn become_dump(mut self, target: &Target) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.files.rename(path, &target.path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl<F: Files> Drop for Unfinished<'_, F> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // If this fails too, the sweep at the next start is left.
            let _ = self.files.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_name_no_file_are_refused() {
        for path in ["", "/", "..", "a/..", "a/", "/tmp/", "a/."] {
            assert!(Target::new(Path::new(path)).is_err(), "{path:?}");
        }
        let target = Target::new(Path::new("dump")).unwrap();
        assert_eq!(target.directory(), Path::new("."));
        let target = Target::new(Path::new("/dump")).unwrap();
        assert_eq!(target.directory(), Path::new("/"));
        let target = Target::new(Path::new("a/b/dump.bin")).unwrap();
        assert_eq!(target.directory(), Path::new("a/b"));
    }

    #[test]
    fn only_names_of_its_own_making_are_swept_and_counted() {
        let target = Target::new(Path::new("a/dump")).unwrap();
        let unfinished = |name: &str| target.is_unfinished(OsStr::new(name));
        assert!(unfinished("dump.tmp-0123456789abcdef"));
        for other in [
            "dump",
            "dump.tmp-",
            "dump.tmp-0123456789abcde",
            "dump.tmp-0123456789abcdef0",
            "dump.tmp-0123456789ABCDEF",
            "dump2.tmp-0123456789abcdef",
            "dum.tmp-0123456789abcdef",
            "dump.tmp-backup-of-friday",
        ] {
            assert!(!unfinished(other), "{other}");
        }
        let number = |name: &str| target.refused_number(OsStr::new(name));
        assert_eq!(number("dump.refused-1"), Some(1));
        assert_eq!(number("dump.refused-999999999"), Some(999_999_999));
        for other in ["0", "01", "+1", "-1", "1x", "", "1000000000"] {
            assert_eq!(number(&format!("dump.refused-{other}")), None, "{other}");
        }
    }
}
