//! The real file system.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A directory of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-dump-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn dump(&self) -> DumpFile<u32, String> {
        DumpFile::new(&self.0.join("dump"), WHOSE.bucket, WHOSE.schema).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_dump_is_written_and_loaded_and_replaced() {
    let folder = Folder::new();
    let dump = folder.dump();
    dump.prepare().unwrap();
    assert_eq!(load(&dump).unwrap(), None);
    assert!(folder.names().is_empty());
    for word in ["one", "two"] {
        let entries = entries(5000, word);
        let report = save(&dump, &entries).unwrap();
        let size = fs::metadata(folder.0.join("dump")).unwrap().len();
        assert_eq!(
            (report.entries, report.expired, report.bytes),
            (5000, 0, size)
        );
        assert_eq!(load(&dump).unwrap(), Some(loaded(&entries)));
        assert_eq!(folder.names(), ["dump"]);
    }
    let report = dump
        .load(CREATED + 100, &mut |_, _, _| {})
        .unwrap()
        .unwrap();
    assert_eq!(
        (report.entries, report.expired, report.version),
        (4999, 1, 3)
    );
    let since = report.created_at.duration_since(std::time::UNIX_EPOCH);
    assert_eq!(since.unwrap().as_millis(), u128::from(CREATED));
}

#[cfg(unix)]
#[test]
fn a_dump_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    save(&folder.dump(), &entries(3, "x")).unwrap();
    let found = fs::metadata(folder.0.join("dump")).unwrap();
    assert_eq!(found.permissions().mode() & 0o077, 0);
}

#[test]
fn what_a_crash_has_left_is_swept_and_nothing_else_is() {
    let folder = Folder::new();
    for name in [
        "dump.tmp-0123456789abcdef",
        "dump.tmp-mine",
        "other.tmp-0123456789abcdef",
    ] {
        fs::write(folder.0.join(name), "x").unwrap();
    }
    folder.dump().prepare().unwrap();
    assert_eq!(
        folder.names(),
        ["dump.tmp-mine", "other.tmp-0123456789abcdef"]
    );
}

#[test]
fn a_refused_file_is_set_aside_and_the_next_dump_takes_its_place() {
    let folder = Folder::new();
    let dump = folder.dump();
    fs::write(
        folder.0.join("dump"),
        "no dump, but longer than a header would have to be",
    )
    .unwrap();
    let error = load(&dump).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::NotADump);
    assert_eq!(error.set_aside(), Some(&*folder.0.join("dump.refused-1")));
    assert_eq!(load(&dump).unwrap(), None);
    save(&dump, &entries(3, "x")).unwrap();
    assert_eq!(folder.names(), ["dump", "dump.refused-1"]);
    // Of another schema: the older release would still want it.
    let later = DumpFile::<u32, String>::new(&folder.0.join("dump"), WHOSE.bucket, 8).unwrap();
    let error = load(&later).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Schema);
    assert_eq!(folder.names(), ["dump.refused-1", "dump.refused-2"]);
}

#[test]
fn a_directory_in_its_place_is_an_error_and_stays() {
    let folder = Folder::new();
    let dump = folder.dump();
    fs::create_dir(folder.0.join("dump")).unwrap();
    for error in [
        dump.prepare().unwrap_err(),
        load(&dump).unwrap_err(),
        save(&dump, &entries(1, "x")).unwrap_err(),
    ] {
        assert_eq!(error.kind(), DumpErrorKind::NotAFile);
        assert_eq!(error.set_aside(), None);
    }
    assert_eq!(folder.names(), ["dump"]);
}

/// Reading it would never end, and a rename would replace it for the whole system.
#[cfg(unix)]
#[test]
fn a_device_is_neither_read_nor_replaced() {
    let folder = Folder::new();
    let path = folder.0.join("dump");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let dump = folder.dump();
    assert_eq!(load(&dump).unwrap_err().kind(), DumpErrorKind::NotAFile);
    assert_eq!(
        save(&dump, &[]).unwrap_err().kind(),
        DumpErrorKind::NotAFile
    );
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[test]
fn places_where_no_file_can_be_are_found_out_when_making_ready() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "x").unwrap();
    let long = "x".repeat(250);
    for path in ["none/dump", "file/dump", long.as_str()] {
        let path = folder.0.join(path);
        let dump = DumpFile::<u32, String>::new(&path, "words", 7).unwrap();
        let error = dump.prepare().unwrap_err();
        assert_eq!(error.kind(), DumpErrorKind::Io, "{error}");
        assert_eq!(save(&dump, &[]).unwrap_err().kind(), DumpErrorKind::Io);
    }
    assert_eq!(folder.names(), ["file"]);
}

#[cfg(unix)]
#[test]
fn no_permission_is_an_error_and_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let dump = folder.dump();
    save(&dump, &entries(3, "x")).unwrap();
    let may = |path: PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    may(folder.0.join("dump"), 0o000);
    if fs::read(folder.0.join("dump")).is_ok() {
        // The superuser may do everything.
        return;
    }
    let error = load(&dump).unwrap_err();
    assert_eq!((error.kind(), error.set_aside()), (DumpErrorKind::Io, None));
    may(folder.0.join("dump"), 0o600);
    may(folder.0.clone(), 0o500);
    let prepared = dump.prepare();
    let saved = save(&dump, &entries(4, "y"));
    may(folder.0.clone(), 0o700);
    assert_eq!(prepared.unwrap_err().kind(), DumpErrorKind::Io);
    assert_eq!(saved.unwrap_err().kind(), DumpErrorKind::Io);
    assert_eq!(load(&dump).unwrap(), Some(loaded(&entries(3, "x"))));
    assert_eq!(folder.names(), ["dump"]);
}

/// Each is whole, whichever comes last, and whatever a third removes as unfinished.
#[test]
fn writers_at_once_leave_the_dump_of_one_of_them() {
    let folder = Folder::new();
    let words = ["one", "two", "three"];
    save(&folder.dump(), &entries(300, "one")).unwrap();
    std::thread::scope(|scope| {
        for word in words {
            let folder = &folder;
            scope.spawn(move || {
                let entries = entries(300, word);
                for _ in 0..40 {
                    // It fails if its file was swept; then another's is there.
                    let _ = save(&folder.dump(), &entries);
                    folder.dump().prepare().unwrap();
                }
            });
        }
        for _ in 0..200 {
            let found = load(&folder.dump()).unwrap().unwrap();
            assert!(
                words
                    .iter()
                    .any(|word| found == loaded(&entries(300, word)))
            );
        }
    });
    folder.dump().prepare().unwrap();
    assert_eq!(folder.names(), ["dump"]);
}
