//! A file system in memory that fails when told to, and that can lose power: it knows what has been put on the
//! disk and what has not, and says what might be there afterwards.

#![expect(clippy::disallowed_types, reason = "a test's own state")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Cursor, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::dump::files::{Files, Place};

/// Files by name: what a disk holds.
pub(super) type Image = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An error of this kind.
    Fails(ErrorKind),
    /// Of what is to be written, only half is.
    Short,
    /// Of what is to be written, so many bytes are, and then there is an error.
    Torn(usize),
}

/// What the disk keeps to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lies {
    /// Says that bytes are on the disk which are not.
    pub(super) bytes: bool,
    /// The same of names.
    pub(super) names: bool,
}

#[derive(Clone, Default)]
pub(super) struct Shaky(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Bytes>,
    /// The names as programs see them, and as they are on the disk.
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// What was done to names and may not be on the disk.
    pending: Vec<Change>,
    lies: Lies,
    fault: Option<(usize, Fault, bool)>,
    crash: Option<usize>,
    log: Vec<&'static str>,
    /// How often in a row a writer was interrupted.
    interrupted: usize,
}

#[derive(Clone, Default)]
struct Bytes {
    all: Vec<u8>,
    /// Where each write begins that may not be on the disk.
    unsure: Vec<usize>,
}

#[derive(Clone)]
enum Change {
    Add(PathBuf, usize),
    Move(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl Change {
    fn make(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Add(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// One that lets a persistent interruption end sometime: callers try such a call again, and rightly.
const INTERRUPTIONS: usize = 20;

impl State {
    /// Counts an operation, and says what is to go wrong with it.
    fn step(&mut self, what: &'static str) -> io::Result<Option<Fault>> {
        let at = self.log.len();
        self.log.push(what);
        if self.crash.is_some_and(|crash| at >= crash) {
            return Err(io::Error::other("no power"));
        }
        let Some((when, fault, persists)) = self.fault else {
            return Ok(None);
        };
        let now = at == when || (persists && at > when);
        match fault {
            Fault::Fails(ErrorKind::Interrupted) if now && what == "write" => {
                self.interrupted += 1;
                match self.interrupted % INTERRUPTIONS {
                    0 => Ok(None),
                    _ => Err(ErrorKind::Interrupted.into()),
                }
            }
            Fault::Fails(kind) if now => Err(kind.into()),
            _ => Ok(now.then_some(fault)),
        }
    }
}

impl Shaky {
    pub(super) fn from_image(image: &Image) -> Self {
        let this = Self::default();
        {
            let mut state = this.state();
            for (path, bytes) in image {
                let file = state.files.len();
                state.files.push(Bytes {
                    all: bytes.clone(),
                    unsure: Vec::new(),
                });
                state.names.insert(path.clone(), file);
                state.durable.insert(path.clone(), file);
            }
        }
        this
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn lie(&self, lies: Lies) {
        self.state().lies = lies;
    }

    /// Has the operation of this number fail; those after it too, if it persists.
    pub(super) fn fail(&self, at: usize, fault: Fault, persists: bool) {
        let mut state = self.state();
        state.fault = Some((at, fault, persists));
        state.log.clear();
    }

    /// Cuts the power before the operation of this number.
    pub(super) fn crash(&self, at: usize) {
        let mut state = self.state();
        state.crash = Some(at);
        state.log.clear();
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.fault, state.crash) = (None, None);
        state.log.clear();
    }

    pub(super) fn log(&self) -> Vec<&'static str> {
        self.state().log.clone()
    }

    /// What programs see.
    pub(super) fn seen(&self) -> Image {
        let state = self.state();
        let bytes = |&file: &usize| state.files[file].all.clone();
        state
            .names
            .iter()
            .map(|(path, file)| (path.clone(), bytes(file)))
            .collect()
    }

    /// All that may be on the disk after the power is cut: any of the changes to names, and of each write that
    /// is not certain all, the first half, zeros, or nothing.
    pub(super) fn after_a_crash(&self) -> BTreeSet<Image> {
        let state = self.state();
        let contents: Vec<Vec<Vec<u8>>> = state.files.iter().map(Bytes::possible).collect();
        let mut images = BTreeSet::new();
        for made in 0..1_u32 << state.pending.len() {
            let mut names = state.durable.clone();
            for (at, change) in state.pending.iter().enumerate() {
                if made >> at & 1 == 1 {
                    change.make(&mut names);
                }
            }
            let mut these = vec![Image::new()];
            for (path, &file) in &names {
                these = these
                    .into_iter()
                    .flat_map(|image| {
                        contents[file].iter().map(move |bytes| {
                            let mut image = image.clone();
                            image.insert(path.clone(), bytes.clone());
                            image
                        })
                    })
                    .collect();
            }
            images.extend(these);
        }
        images
    }
}

impl Bytes {
    /// All that may have become of it.
    fn possible(&self) -> Vec<Vec<u8>> {
        let certain = self.unsure.first().copied().unwrap_or(self.all.len());
        let mut possible = BTreeSet::from([self.all[..certain].to_vec()]);
        for (at, &start) in self.unsure.iter().enumerate() {
            let end = self.unsure.get(at + 1).copied().unwrap_or(self.all.len());
            let written = &self.all[start..end];
            for before in possible.clone() {
                let with = |bytes: &[u8]| {
                    let mut whole = before.clone();
                    // What was not written and has something behind it is a hole.
                    whole.resize(start, 0);
                    whole.extend_from_slice(bytes);
                    whole
                };
                possible.insert(with(written));
                possible.insert(with(&written[..written.len() / 2]));
                possible.insert(with(&vec![0; written.len()]));
            }
        }
        possible.into_iter().collect()
    }
}

pub(super) struct Out {
    disk: Shaky,
    file: usize,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let (count, torn) = match state.step("write")? {
            Some(Fault::Short) => (bytes.len().div_ceil(2), false),
            Some(Fault::Torn(count)) => (count.min(bytes.len()), true),
            _ => (bytes.len(), false),
        };
        let file = &mut state.files[self.file];
        file.unsure.push(file.all.len());
        file.all.extend_from_slice(&bytes[..count]);
        match torn {
            true => Err(io::Error::other("torn")),
            false => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Files for Shaky {
    type Out = Out;
    type In = Cursor<Vec<u8>>;

    fn place(&self, path: &Path) -> io::Result<Place> {
        let mut state = self.state();
        state.step("place")?;
        Ok(match state.names.contains_key(path) {
            true => Place::File,
            false => Place::Nothing,
        })
    }

    fn create(&self, path: &Path) -> io::Result<Out> {
        let mut state = self.state();
        state.step("create")?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Bytes::default());
        state.names.insert(path.to_owned(), file);
        state.pending.push(Change::Add(path.to_owned(), file));
        let disk = self.clone();
        Ok(Out { disk, file })
    }

    fn sync(&self, file: &mut Out) -> io::Result<()> {
        let mut state = self.state();
        state.step("sync")?;
        if !state.lies.bytes {
            state.files[file.file].unsure.clear();
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("rename")?;
        let Some(&file) = state.names.get(from) else {
            return Err(ErrorKind::NotFound.into());
        };
        let change = Change::Move(from.to_owned(), to.to_owned(), file);
        change.make(&mut state.names);
        state.pending.push(change);
        Ok(())
    }

    fn sync_names(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("sync_names")?;
        if !state.lies.names {
            state.durable = state.names.clone();
            state.pending.clear();
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("remove")?;
        if !state.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let change = Change::Remove(path.to_owned());
        change.make(&mut state.names);
        state.pending.push(change);
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<(Cursor<Vec<u8>>, u64)> {
        let mut state = self.state();
        state.step("open")?;
        let file = state.names.get(path).ok_or(ErrorKind::NotFound)?;
        let bytes = state.files[*file].all.clone();
        let len = bytes.len() as u64;
        Ok((Cursor::new(bytes), len))
    }

    fn names(&self, directory: &Path, each: &mut dyn FnMut(OsString)) -> io::Result<()> {
        let mut state = self.state();
        state.step("names")?;
        for path in state.names.keys() {
            assert_eq!(path.parent(), Some(directory));
            each(path.file_name().unwrap().to_owned());
        }
        Ok(())
    }
}
