#![allow(clippy::unwrap_used, reason = "a test may unwrap as it likes")]

mod bytes;
mod disk;
mod faults;
mod shaky;

use std::path::Path;
use std::time::Duration;

use super::codec;
use super::error::Flaw;
use super::format::{Facts, Identity};
use super::read::{Found, read};
use super::write::{Style, Writer};
use super::{Dump, DumpError, DumpErrorKind, DumpFile, DumpReport};

/// Key, value, deadline.
type Entry = (u32, String, Option<u64>);

/// Key, value, time left.
type Loaded = Vec<(u32, String, Option<Duration>)>;

const CREATED: u64 = 1_000_000;

const WHOSE: Identity<'static> = Identity {
    bucket: "words",
    schema: 7,
};

/// Some blocks of several entries.
fn small(packed: bool) -> Style {
    Style {
        block: 40,
        packed,
        ..Style::default()
    }
}

fn facts(entries: usize) -> Facts {
    Facts {
        created_ms: CREATED,
        version: 3,
        entries: entries as u64,
    }
}

/// So many entries; every third expires, all at other times.
fn entries(count: u32, word: &str) -> Vec<Entry> {
    (0..count)
        .map(|n| {
            let deadline = (n % 3 == 1).then(|| CREATED + 100 * u64::from(n));
            (n * 1000, format!("{word} {n}"), deadline)
        })
        .collect()
}

/// What is loaded of these at the time of the dump.
fn loaded(entries: &[Entry]) -> Loaded {
    entries
        .iter()
        .map(|(key, value, deadline)| {
            let left = deadline.map(|at| Duration::from_millis(at - CREATED));
            (*key, value.clone(), left)
        })
        .collect()
}

fn written(style: Style, whose: Identity<'_>, entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), style, whose, facts(entries.len())).unwrap();
    for (key, value, deadline) in entries {
        writer.entry(key, value, *deadline).unwrap();
    }
    let (bytes, written) = writer.end().unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.entries, entries.len() as u64);
    bytes
}

fn read_as(bytes: &[u8], whose: Identity<'_>, now: u64) -> Result<(Loaded, Found), Flaw> {
    let mut found = Loaded::new();
    let len = bytes.len() as u64;
    let report = read(bytes, len, whose, now, &mut |key, value, left| {
        found.push((key, value, left));
    })?;
    assert_eq!(report.entries, found.len() as u64);
    Ok((found, report))
}

fn read_back(bytes: &[u8]) -> Result<Loaded, Flaw> {
    read_as(bytes, WHOSE, CREATED).map(|(found, _)| found)
}

fn save(dump: &dyn Dump<u32, String>, entries: &[Entry]) -> Result<DumpReport, DumpError> {
    let mut all = entries.iter().map(|(key, value, at)| (key, value, *at));
    dump.save(facts(entries.len()), &mut all)
}

fn load(dump: &dyn Dump<u32, String>) -> Result<Option<Loaded>, DumpError> {
    let loaded = dump.load_into(CREATED, Loaded::new(), |all, key, value, left| {
        all.push((key, value, left));
    })?;
    Ok(loaded.map(|(all, report)| {
        assert_eq!(report.entries, all.len() as u64);
        all
    }))
}

#[test]
fn entries_come_back_as_they_were() {
    for packed in [false, cfg!(feature = "dump-compression")] {
        for count in [0, 1, 2, 3, 100, 5000] {
            let entries = entries(count, "some word or other");
            for style in [
                small(packed),
                Style {
                    packed,
                    ..Style::default()
                },
            ] {
                let bytes = written(style, WHOSE, &entries);
                assert_eq!(read_back(&bytes).unwrap(), loaded(&entries));
            }
        }
    }
}

#[test]
fn entries_have_what_is_left_of_their_time_or_are_counted_as_expired() {
    let entries = [
        (1, String::new(), None),
        (2, String::new(), Some(CREATED + 500)),
        (3, String::new(), Some(CREATED + 501)),
    ];
    let bytes = written(small(false), WHOSE, &entries);
    let left = |now| {
        let (found, report) = read_as(&bytes, WHOSE, now).unwrap();
        assert_eq!(report.expired, 3 - report.entries);
        let left = |key| {
            let (_, _, left) = found.iter().find(|(k, _, _)| *k == key)?;
            Some(left.map(|left| left.as_millis() as u64))
        };
        [left(1), left(2), left(3)]
    };
    assert_eq!(
        left(CREATED),
        [Some(None), Some(Some(500)), Some(Some(501))]
    );
    assert_eq!(
        left(CREATED + 499),
        [Some(None), Some(Some(1)), Some(Some(2))]
    );
    assert_eq!(left(CREATED + 500), [Some(None), None, Some(Some(1))]);
    assert_eq!(left(CREATED + 501), [Some(None), None, None]);
    // A clock that was put back gives nobody more time.
    assert_eq!(left(CREATED - 1), left(CREATED));
    assert_eq!(left(0), left(CREATED));
}

#[test]
fn what_has_expired_is_not_dumped() {
    let mut writer = Writer::begin(Vec::new(), small(false), WHOSE, facts(3)).unwrap();
    for (key, at) in [(1_u32, CREATED - 1), (2, CREATED), (3, CREATED + 1)] {
        writer.entry(&key, &String::from("x"), Some(at)).unwrap();
    }
    let (bytes, written) = writer.end().unwrap();
    assert_eq!((written.entries, written.expired), (1, 2));
    let (found, report) = read_as(&bytes, WHOSE, 0).unwrap();
    assert_eq!(
        found,
        [(3, String::from("x"), Some(Duration::from_millis(1)))]
    );
    assert_eq!((report.entries, report.expired), (1, 0));
}

#[test]
fn an_iterator_of_another_length_makes_no_dump() {
    for said in [0, 2, 4] {
        let mut writer = Writer::begin(Vec::new(), small(false), WHOSE, facts(said)).unwrap();
        for (key, value, at) in entries(3, "x") {
            writer.entry(&key, &value, at).unwrap();
        }
        let flaw = writer.end().map(|_| ()).unwrap_err();
        assert_eq!(flaw.kind(), DumpErrorKind::Incomplete);
    }
}

#[test]
fn an_entry_that_is_too_large_is_refused_wherever_it_falls() {
    let style = Style {
        most_entry: 100,
        ..Style::default()
    };
    // A byte each for the key, the length and the deadline.
    for before in [0, 1, 7] {
        for (len, fits) in [(97, true), (98, false), (500, false)] {
            let mut writer = Writer::begin(Vec::new(), style, WHOSE, facts(before + 1)).unwrap();
            for key in 0..before {
                writer.entry(&(key as u32), &"x".repeat(50), None).unwrap();
            }
            let last = writer.entry(&9_u32, &"x".repeat(len), None);
            assert_eq!(last.is_ok(), fits, "{len} after {before}");
            if let Err(flaw) = last {
                assert_eq!(flaw.kind(), DumpErrorKind::TooLarge);
            }
        }
    }
}

#[test]
fn an_entry_larger_than_a_block_is_one() {
    let large = vec![(1, "x".repeat(300_000), None), (2, "y".into(), None)];
    for packed in [false, cfg!(feature = "dump-compression")] {
        let style = Style {
            packed,
            ..Style::default()
        };
        let bytes = written(style, WHOSE, &large);
        assert_eq!(read_back(&bytes).unwrap(), loaded(&large));
        assert!(!packed || bytes.len() < 10_000, "{}", bytes.len());
    }
}

/// Is written as a number, and asks what comes next when it is read, which the codec does not know.
#[derive(Clone, Debug)]
struct Asking;

impl serde::Serialize for Asking {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(1)
    }
}

impl<'de> serde::Deserialize<'de> for Asking {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(serde::de::IgnoredAny).map(|_| Self)
    }
}

/// Reads less than it has written.
#[derive(Clone, Debug)]
struct Short;

impl serde::Serialize for Short {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // The second byte is taken for the deadline, and what was the deadline stays.
        serde::Serialize::serialize(&(1_u8, 0_u8), to)
    }
}

impl<'de> serde::Deserialize<'de> for Short {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u8::deserialize(from).map(|_| Self)
    }
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let mut writer = Writer::begin(Vec::new(), small(false), WHOSE, facts(1)).unwrap();
    let flaw = writer.entry(&1_u32, &Asking, None).unwrap_err();
    assert_eq!(flaw.kind(), DumpErrorKind::Encode);
    let mut writer = Writer::begin(Vec::new(), small(false), WHOSE, facts(1)).unwrap();
    let flaw = writer.entry(&1_u32, &Short, None).unwrap_err();
    assert_eq!(flaw.kind(), DumpErrorKind::Encode);
}

#[test]
fn another_type_under_the_same_schema_is_refused() {
    let bytes = written(small(false), WHOSE, &entries(5, "long enough"));
    let mut sink = |_: String, _: Vec<u64>, _: Option<Duration>| {};
    let flaw = read(&bytes[..], bytes.len() as u64, WHOSE, 0, &mut sink).unwrap_err();
    assert_eq!(flaw.kind(), DumpErrorKind::Decode);
}

#[test]
fn the_codec_needs_a_byte_for_the_smallest_entry() {
    // The bound on a block's entries rests on it.
    let mut block = Vec::new();
    codec::encode(&mut block, 10, &(), &(), None).unwrap();
    assert_eq!(block.len(), 1);
}

#[test]
fn a_name_that_is_too_long_is_refused_and_one_that_just_fits_is_not() {
    for (len, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let name = "n".repeat(len);
        let whose = Identity {
            bucket: &name,
            schema: 0,
        };
        match Writer::begin(Vec::new(), small(false), whose, facts(0)) {
            Ok(writer) => {
                assert!(fits);
                let (bytes, _) = writer.end().unwrap();
                assert!(read_as(&bytes, whose, 0).is_ok());
            }
            Err(flaw) => {
                assert!(!fits);
                assert_eq!(flaw.kind(), DumpErrorKind::TooLarge);
            }
        }
    }
}

/// `None` where there is none; and what a user sees of an error.
#[test]
fn errors_name_path_kind_and_cause() {
    let dump = DumpFile::<u32, String>::new(Path::new("/no/such/place/dump"), "words", 7).unwrap();
    assert_eq!(load(&dump).unwrap(), None);
    let error = save(&dump, &[]).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Io);
    assert_eq!(error.path(), Path::new("/no/such/place/dump"));
    assert_eq!(error.set_aside(), None);
    let source = std::error::Error::source(&error).unwrap();
    let source = source.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such/place/dump"), "{error}");
    assert_eq!(error.clone().to_string(), error.to_string());
    let error = DumpFile::<u32, String>::new(Path::new("/"), "words", 7).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::NotAFile);
}
