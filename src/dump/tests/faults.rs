//! A file system that fails, and one that loses power.

use std::io::ErrorKind;
use std::path::PathBuf;

use proptest::prelude::*;

use super::shaky::{Fault, Image, Lies, Shaky};
use super::*;

const PATH: &str = "data/dump";

fn dump_on(files: &Shaky) -> DumpFile<u32, String, Shaky> {
    let mut dump =
        DumpFile::on(files.clone(), Path::new(PATH), WHOSE.bucket, WHOSE.schema).unwrap();
    dump.style = small(false);
    dump
}

fn old() -> Vec<Entry> {
    entries(3, "old")
}

fn new() -> Vec<Entry> {
    entries(6, "new")
}

/// A disk with a dump on it, and what it looks like.
fn with_old() -> (Shaky, Image) {
    let files = Shaky::default();
    save(&dump_on(&files), &old()).unwrap();
    (files.clone(), files.seen())
}

/// What a save asks of the file system.
fn operations() -> Vec<&'static str> {
    let (files, _) = with_old();
    files.heal();
    save(&dump_on(&files), &new()).unwrap();
    files.log()
}

fn unfinished(image: &Image) -> usize {
    let temp = |path: &&PathBuf| path.to_string_lossy().contains(".tmp-");
    image.keys().filter(temp).count()
}

#[test]
fn the_order_of_operations_is_the_one_that_is_argued_for() {
    let operations = operations();
    let (start, rest) = operations.split_at(2);
    assert_eq!(start, ["place", "create"]);
    let (writes, end) = rest.split_at(rest.len() - 3);
    assert!(writes.len() >= 4 && writes.iter().all(|&what| what == "write"));
    assert_eq!(end, ["sync", "rename", "sync_names"]);
}

#[test]
fn whatever_fails_the_old_dump_stays_and_the_next_one_succeeds() {
    let operations = operations();
    let kinds = [
        // EIO has no kind of its own.
        ErrorKind::Other,
        ErrorKind::StorageFull,
        ErrorKind::PermissionDenied,
        ErrorKind::Interrupted,
        ErrorKind::WriteZero,
    ];
    let mut faults: Vec<Fault> = kinds.map(Fault::Fails).to_vec();
    faults.push(Fault::Short);
    faults.extend((0..80).map(Fault::Torn));
    let mut failed = 0;
    for (at, what) in operations.iter().enumerate() {
        for &fault in &faults {
            for persists in [false, true] {
                let (files, before) = with_old();
                let dump = dump_on(&files);
                files.fail(at, fault, persists);
                let saved = save(&dump, &new());
                let told = files.log();
                files.heal();
                let case = format!("{what} {fault:?} {persists} {saved:?}");
                match &saved {
                    Ok(_) => assert_eq!(load(&dump).unwrap(), Some(loaded(&new())), "{case}"),
                    Err(error) => {
                        failed += 1;
                        assert_eq!(error.kind(), DumpErrorKind::Io, "{case}");
                        assert!(std::error::Error::source(error).is_some(), "{case}");
                        if *what == "sync_names" {
                            // Renamed, and nobody knows for how long.
                            assert_eq!(load(&dump).unwrap(), Some(loaded(&new())), "{case}");
                        } else {
                            let seen = files.seen();
                            assert_eq!(seen.get(Path::new(PATH)), before.get(Path::new(PATH)));
                            assert!(unfinished(&seen) <= usize::from(persists), "{case}");
                            assert_eq!(load(&dump).unwrap(), Some(loaded(&old())), "{case}");
                        }
                        // A second sync of a file whose first has failed may say what it likes.
                        let syncs = told.iter().filter(|&&what| what == "sync").count();
                        assert!(syncs <= 1, "{case}");
                    }
                }
                dump.prepare().unwrap();
                assert_eq!(unfinished(&files.seen()), 0, "{case}");
                let newer = entries(2, "newer");
                save(&dump, &newer).unwrap();
                assert_eq!(load(&dump).unwrap(), Some(loaded(&newer)), "{case}");
                assert_eq!(files.seen().len(), 1, "{case}");
            }
        }
    }
    assert!(failed > operations.len() * 8, "{failed} saves failed");
}

#[test]
fn loading_survives_a_file_system_that_fails() {
    for bad in [false, true] {
        for at in 0..4 {
            for persists in [false, true] {
                let (files, mut image) = with_old();
                if bad {
                    image.insert(PATH.into(), vec![0; 100]);
                }
                let files = match bad {
                    true => Shaky::from_image(&image),
                    false => files,
                };
                let dump = dump_on(&files);
                files.fail(at, Fault::Fails(ErrorKind::Other), persists);
                match load(&dump) {
                    Ok(found) => assert_eq!(found, Some(loaded(&old()))),
                    Err(error) => {
                        // A file that could not be moved is no reason for another error.
                        let kind = if at < 2 {
                            DumpErrorKind::Io
                        } else {
                            DumpErrorKind::NotADump
                        };
                        assert_eq!(error.kind(), kind);
                        // What could not be read may be as good as ever.
                        assert!(kind == DumpErrorKind::NotADump || error.set_aside().is_none());
                    }
                }
                files.heal();
                save(&dump, &new()).unwrap();
                assert_eq!(load(&dump).unwrap(), Some(loaded(&new())));
            }
        }
    }
}

/// What a start finds: the dump's entries, or the kind of the refusal. Then everything goes on.
fn restart(image: &Image) -> Result<Option<Loaded>, DumpErrorKind> {
    let files = Shaky::from_image(image);
    let dump = dump_on(&files);
    dump.prepare().unwrap();
    assert_eq!(unfinished(&files.seen()), 0);
    let found = load(&dump);
    if let Err(error) = &found {
        let aside = error.set_aside().unwrap();
        assert_eq!(files.seen().get(aside), image.get(Path::new(PATH)));
        assert!(!files.seen().contains_key(Path::new(PATH)));
    }
    // Two starts: what the second finds was written after the first.
    let newest = entries(4, "newest");
    save(&dump, &newest).unwrap();
    let again = dump_on(&Shaky::from_image(&files.seen()));
    again.prepare().unwrap();
    assert_eq!(load(&again).unwrap(), Some(loaded(&newest)));
    found.map_err(|error| error.kind())
}

/// Every image that a crash may leave, before each operation and after the last.
fn crashes(lies: Lies, mut each: impl FnMut(usize, &Image)) {
    let count = operations().len();
    for at in 0..=count {
        let (files, _) = with_old();
        files.lie(lies);
        files.crash(at);
        let saved = save(&dump_on(&files), &new());
        assert_eq!(saved.is_ok(), at == count);
        for image in files.after_a_crash() {
            each(at, &image);
        }
    }
}

#[test]
fn a_crash_leaves_the_old_dump_or_the_new_one() {
    let (old, new) = (Some(loaded(&old())), Some(loaded(&new())));
    let (mut olds, mut news, count) = (0, 0, operations().len());
    crashes(Lies::default(), |at, image| {
        let found = restart(image).unwrap();
        assert!(found == old || found == new, "{at}: {found:?}");
        // Who was told that it is on the disk finds it there.
        assert!(at < count || found == new);
        olds += usize::from(found == old);
        news += usize::from(found == new);
    });
    assert!(olds > 100 && news > 1, "{olds} {news}");
}

/// The rename is on the disk, and what it gave a name is not, or in part.
#[test]
fn a_disk_that_lies_about_bytes_leaves_a_whole_dump_or_one_that_is_refused() {
    let (old, new) = (Some(loaded(&old())), Some(loaded(&new())));
    let mut refused = std::collections::HashMap::new();
    let lies = Lies {
        bytes: true,
        names: false,
    };
    crashes(lies, |at, image| match restart(image) {
        Ok(found) => assert!(found == old || found == new, "{at}: {found:?}"),
        Err(kind) => *refused.entry(kind).or_insert(0) += 1,
    });
    let count = |kind| refused.get(&kind).copied().unwrap_or(0);
    assert!(count(DumpErrorKind::Truncated) > 3, "{refused:?}");
    assert!(count(DumpErrorKind::Corrupt) > 3, "{refused:?}");
    assert!(count(DumpErrorKind::NotADump) > 3, "{refused:?}");
}

#[test]
fn a_disk_that_lies_about_names_leaves_the_old_dump_or_the_new_one() {
    let (old, new) = (Some(loaded(&old())), Some(loaded(&new())));
    let lies = Lies {
        bytes: false,
        names: true,
    };
    crashes(lies, |at, image| {
        let found = restart(image).unwrap();
        assert!(found == old || found == new, "{at}: {found:?}");
    });
}

#[test]
fn the_first_dump_of_all_is_whole_or_not_there() {
    let whole = Some(loaded(&new()));
    for at in 0..30 {
        let files = Shaky::default();
        files.crash(at);
        let _ = save(&dump_on(&files), &new());
        for image in files.after_a_crash() {
            let found = restart(&image).unwrap();
            assert!(found.is_none() || found == whole, "{at}: {found:?}");
        }
    }
}

#[test]
fn refused_files_are_kept_the_newest_three() {
    // A stranger's.
    let stranger = PathBuf::from("data/dump.refused-old");
    let mut image = Image::from([(stranger.clone(), vec![])]);
    for number in 1..10_u8 {
        image.insert(PATH.into(), vec![number; 60]);
        let files = Shaky::from_image(&image);
        let error = load(&dump_on(&files)).unwrap_err();
        let aside = PathBuf::from(format!("{PATH}.refused-{number}"));
        assert_eq!(error.set_aside(), Some(aside.as_path()));
        assert!(error.to_string().contains("refused-"), "{error}");
        image = files.seen();
        let mut kept = Image::from([(stranger.clone(), vec![])]);
        for number in number.saturating_sub(2).max(1)..=number {
            let path = PathBuf::from(format!("{PATH}.refused-{number}"));
            kept.insert(path, vec![number; 60]);
        }
        assert_eq!(image, kept);
    }
}

/// What a user's `Serialize`, `Deserialize` and iterator may do in the middle.
#[derive(Debug, PartialEq)]
struct Bomb(bool);

impl serde::Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        assert!(!self.0, "bomb");
        to.serialize_bool(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bomb = bool::deserialize(from)?;
        assert!(!bomb, "bomb");
        Ok(Self(bomb))
    }
}

#[test]
fn a_panic_of_the_users_ends_the_dump_and_nothing_else() {
    let files = Shaky::default();
    let dump = DumpFile::<u32, Bomb, Shaky>::on(files.clone(), Path::new(PATH), "b", 0).unwrap();
    let save = |values: &[Bomb]| {
        let mut all = values.iter().map(|value| (&1_u32, value, None));
        dump.save(facts(values.len()), &mut all)
    };
    save(&[Bomb(false), Bomb(false)]).unwrap();
    let before = files.seen();
    let error = save(&[Bomb(false), Bomb(true)]).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Panicked);
    assert!(error.to_string().contains("bomb"), "{error}");
    assert_eq!(files.seen(), before, "the old dump, and no other file");

    let mut panicking = std::iter::from_fn(|| -> Option<(&u32, &Bomb, Option<u64>)> {
        panic!("bomb");
    });
    let error = dump.save(facts(1), &mut panicking).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Panicked);
    assert_eq!(files.seen(), before);

    // The same type in another life wrote one that this one cannot read.
    let identity = Identity {
        bucket: "b",
        schema: 0,
    };
    let mut writer = Writer::begin(Vec::new(), small(false), identity, facts(1)).unwrap();
    writer.entry(&1_u32, &true, None).unwrap();
    let bytes = writer.end().unwrap().0;
    let files = Shaky::from_image(&Image::from([(PATH.into(), bytes)]));
    let dump = DumpFile::<u32, Bomb, Shaky>::on(files.clone(), Path::new(PATH), "b", 0).unwrap();
    let error = dump.load(0, &mut |_, _, _| {}).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Panicked);
    assert!(error.set_aside().is_some(), "it would panic at each start");
    assert_eq!(dump.load(0, &mut |_, _, _| {}).unwrap().map(|_| ()), None);
}

/// Read back as it was written, and no less than a nuisance to drop.
#[derive(Debug)]
struct Sticky(u8);

impl serde::Serialize for Sticky {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Sticky {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u8::deserialize(from).map(Self)
    }
}

impl Drop for Sticky {
    fn drop(&mut self) {
        assert!(self.0 != 9, "sticky");
    }
}

#[test]
fn values_that_panic_when_they_are_dropped_are_dumped_and_loaded() {
    let files = Shaky::default();
    let dump = DumpFile::<u32, Sticky, Shaky>::on(files.clone(), Path::new(PATH), "b", 0).unwrap();
    let values = std::mem::ManuallyDrop::new([Sticky(9), Sticky(1)]);
    let mut all = values
        .iter()
        .map(|value| (&1_u32, value, Some(CREATED + 5)));
    dump.save(facts(2), &mut all).unwrap();
    let report = dump.load(CREATED + 5, &mut |_, _, _| {}).unwrap().unwrap();
    assert_eq!((report.entries, report.expired), (0, 2));

    // What was collected of a dump that has no end goes without a word.
    let mut image = files.seen();
    image.get_mut(Path::new(PATH)).unwrap().pop();
    let files = Shaky::from_image(&image);
    let dump = DumpFile::<u32, Sticky, Shaky>::on(files, Path::new(PATH), "b", 0).unwrap();
    let dump: &dyn Dump<u32, Sticky> = &dump;
    let loaded = dump.load_into(0, Vec::new(), |all, _, value, _| all.push(value));
    assert_eq!(loaded.unwrap_err().kind(), DumpErrorKind::Truncated);
}

#[derive(Clone, Debug)]
enum Step {
    Save,
    Fail(usize, bool),
    /// Cuts the power at an operation; what is on the disk then is drawn.
    Crash(usize, prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Save),
        (0..12_usize, any::<bool>()).prop_map(|(at, persists)| Step::Fail(at, persists)),
        (0..12_usize, any::<prop::sample::Index>()).prop_map(|(at, image)| Step::Crash(at, image)),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// After any number of dumps, failures and crashes, what is loaded is the last dump that was said to be
    /// on the disk, or one that was tried after it, to the letter.
    #[test]
    fn no_history_leaves_anything_but_a_dump_that_may_be_there(
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut files = Shaky::default();
        let mut may_be = vec![None];
        for (number, step) in steps.iter().enumerate() {
            let count = number as u32 % 5;
            let now = entries(count, &format!("dump {number}"));
            let dump = dump_on(&files);
            match step {
                Step::Fail(at, persists) => files.fail(*at, Fault::Fails(ErrorKind::Other), *persists),
                Step::Crash(at, _) => files.crash(*at),
                Step::Save => {}
                Step::Restart => {
                    dump.prepare().unwrap();
                    prop_assert_eq!(unfinished(&files.seen()), 0);
                    continue;
                }
            }
            match save(&dump, &now) {
                Ok(_) => may_be = vec![Some(loaded(&now))],
                Err(_) => may_be.push(Some(loaded(&now))),
            }
            if let Step::Crash(_, drawn) = step {
                let images: Vec<Image> = files.after_a_crash().into_iter().collect();
                files = Shaky::from_image(drawn.get(&images));
            }
            files.heal();
            let found = load(&dump_on(&files)).unwrap();
            prop_assert!(may_be.contains(&found), "{number}: {found:?}");
        }
    }
}
