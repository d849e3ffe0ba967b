//! G12 where a dump is read into a bucket that runs.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{Init, WhenFull};

fn two() -> String {
    "two".to_owned()
}

/// The dump of a bucket with these words, of which those with a time expire.
fn saved<const N: usize>(
    path: &Path,
    time: &ManualClock,
    words: [(u32, &str, Option<Duration>); N],
) {
    let bucket = super::words(path, time);
    for (key, word, ttl) in words {
        match ttl {
            None => bucket.set(key, word.to_owned()),
            Some(ttl) => bucket.set_with_ttl(key, word.to_owned(), ttl),
        }
    }
    bucket.shutdown();
}

/// A bucket of the same name, without a dump of its own.
fn running(time: &ManualClock) -> Builder<u32, String> {
    Words::builder("words").clock(time.clock())
}

#[test]
fn g12_what_is_read_is_merged_and_counted() {
    let (scratch, time) = (Scratch::new("merged"), ManualClock::new());
    saved(&scratch.file(), &time, [(1, "one", None), (2, "two", None)]);
    let bucket = running(&time).build().unwrap();
    bucket.set_many([(2, "zwei".to_owned()), (3, "drei".to_owned())]);
    bucket.publish().unwrap();
    bucket.set(1, "eins".to_owned());
    bucket.invalidate(&4);
    let report = bucket.read_dump(scratch.file(), 1).unwrap();
    assert_eq!((report.entries, report.expired, report.refused), (2, 0, 0));
    // At once, for every way to read, and in the snapshot that follows.
    let mut reader = bucket.reader();
    for published in [false, true] {
        let read = [1, 2, 3, 4].map(|key| bucket.peek(&key));
        assert_eq!(
            read,
            [Some(one()), Some(two()), Some("drei".to_owned()), None]
        );
        assert_eq!(reader.get(&2), Some(&two()));
        assert_eq!(bucket.len(), 3);
        if !published {
            bucket.publish().unwrap();
        }
    }
    assert_eq!(bucket.snapshot().get(&1), Some(&one()));
    // Later writes win.
    bucket.set(1, "uno".to_owned());
    assert_eq!(bucket.peek(&1), Some("uno".to_owned()));
    assert_eq!(scratch.names(), ["words.dump"], "nothing new on the disk");
}

#[test]
fn g12_what_is_read_is_in_a_snapshot_whole_or_not_at_all() {
    const KEYS: u32 = 20_000;
    let (scratch, time) = (Scratch::new("whole"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    bucket.set_many((0..KEYS).map(|key| (key, key.to_string())));
    bucket.shutdown();
    let bucket = running(&time).build().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let folds = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Acquire) {
                bucket.publish().unwrap();
                seen.push(bucket.snapshot().len());
            }
            seen
        });
        for _ in 0..5 {
            assert_eq!(bucket.read_dump(&path, 1).unwrap().entries, u64::from(KEYS));
            bucket.clear().unwrap();
        }
        done.store(true, Ordering::Release);
        for len in folds.join().unwrap() {
            assert!(len == 0 || len == KEYS as usize, "{len} of {KEYS}");
        }
    });
}

#[test]
fn g12_a_file_that_is_not_right_changes_nothing_and_stays() {
    let (scratch, time) = (Scratch::new("stays"), ManualClock::new());
    let path = scratch.file();
    saved(&path, &time, [(1, "one", None), (2, "two", Some(TTL))]);
    let good = fs::read(&path).unwrap();
    let mut broken = good.clone();
    broken[good.len() / 2] ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    let bucket = running(&time).build().unwrap();
    bucket.set(2, "zwei".to_owned());
    let others = Words::builder("others").build().unwrap();
    let cases: [(&[u8], &Words, u64, DumpErrorKind); 6] = [
        (&broken, &bucket, 1, DumpErrorKind::Corrupt),
        (&longer, &bucket, 1, DumpErrorKind::Corrupt),
        (
            &good[..good.len() - 1],
            &bucket,
            1,
            DumpErrorKind::Truncated,
        ),
        (&[b'x'; 200], &bucket, 1, DumpErrorKind::NotADump),
        (&good, &bucket, 2, DumpErrorKind::Schema),
        (&good, &others, 1, DumpErrorKind::Bucket),
    ];
    for (bytes, bucket, schema, kind) in cases {
        fs::write(&path, bytes).unwrap();
        let before = bucket.len();
        let error = bucket.read_dump(&path, schema).unwrap_err();
        assert_eq!((error.kind(), error.path()), (kind, &*path), "{error}");
        assert_eq!(error.set_aside(), None);
        assert_eq!((bucket.len(), bucket.peek(&1)), (before, None), "{kind:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{kind:?}");
        assert_eq!(scratch.names(), ["words.dump"], "{kind:?}");
    }
    // Wherever it is cut off, and whichever byte is another.
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        bucket.read_dump(&path, 1).unwrap_err();
        let mut spoilt = good.clone();
        spoilt[len] = !spoilt[len];
        fs::write(&path, &spoilt).unwrap();
        bucket.read_dump(&path, 1).unwrap_err();
        let read = (bucket.len(), bucket.peek(&1), bucket.peek(&2));
        assert_eq!(read, (1, None, Some("zwei".to_owned())), "at {len}");
    }
    fs::remove_file(&path).unwrap();
    for (path, kind) in [
        (&path, DumpErrorKind::Io),
        (&scratch.0, DumpErrorKind::NotAFile),
    ] {
        assert_eq!(bucket.read_dump(path, 1).unwrap_err().kind(), kind);
    }
    assert_eq!(
        bucket.read_dump("", 1).unwrap_err().kind(),
        DumpErrorKind::NotAFile
    );
    // And the bucket works as ever.
    fs::write(&path, &good).unwrap();
    assert_eq!(bucket.read_dump(&path, 1).unwrap().entries, 2);
    assert_eq!(
        (bucket.peek(&1), bucket.peek(&2)),
        (Some(one()), Some(two()))
    );
}

#[test]
fn g12_the_time_on_disk_counts_also_for_what_is_read() {
    for (rest, is_there) in [(MS, true), (Duration::ZERO, false)] {
        let (scratch, time) = (Scratch::new("read-expiry"), ManualClock::new());
        let path = scratch.file();
        saved(&path, &time, [(1, "one", Some(TTL)), (2, "two", None)]);
        time.advance(TTL - rest);
        // What was not to expire is not given the bucket's own time.
        let bucket = running(&time).ttl(TTL / 2).build().unwrap();
        bucket.set(1, "eins".to_owned());
        let report = bucket.read_dump(&path, 1).unwrap();
        let counted = (1 + u64::from(is_there), u64::from(!is_there));
        assert_eq!((report.entries, report.expired), counted);
        // What has expired on the disk is no write.
        let word = if is_there { one() } else { "eins".to_owned() };
        let left = if is_there { rest } else { TTL / 2 };
        assert_eq!(bucket.peek(&1), Some(word));
        assert_eq!(bucket.ttl(&1), Some(Ttl::Left(left)));
        assert_eq!(bucket.ttl(&2), Some(Ttl::Never));
        bucket.publish().unwrap();
        time.advance(left);
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(two())));
    }
}

#[test]
fn g10_what_is_read_is_weighed_and_refused_as_a_write_is() {
    let (scratch, time) = (Scratch::new("read-limit"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    bucket.set_many((0..10).map(|key| (key, one())));
    bucket.shutdown();
    for when_full in [WhenFull::Refuse, WhenFull::Evict] {
        let (send, told) = mpsc::channel();
        let bucket = running(&time)
            .max_weight(13)
            .weigher(|_, word| word.len() as u64)
            .when_full(when_full)
            .observer(move |event| drop(send.send(event.clone())))
            .build()
            .unwrap();
        bucket.set(0, "a".to_owned());
        bucket.set(77, "b".to_owned());
        let report = bucket.read_dump(&path, 1).unwrap();
        // 1 of the other word is held; what is written may pass the limit by the entry that crosses it.
        assert_eq!((report.entries, report.refused), (4, 6), "{when_full:?}");
        assert_eq!(bucket.stats().refused, 6);
        let event = told.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(event, Event::Full { limit: 13 }), "{event:?}");
        // What was to be overwritten is not there as it was before.
        assert!(bucket.peek(&0).is_none_or(|word| word == one()));
        // A fold evicts at once, where it does at all.
        if when_full == WhenFull::Refuse {
            let stored = (0..10).filter(|key| bucket.peek(key) == Some(one()));
            assert_eq!((stored.count(), bucket.weight()), (4, 13));
        }
        bucket.publish().unwrap();
        assert!(bucket.weight() <= 13);
    }
}

#[test]
fn g12_nothing_is_read_into_a_bucket_that_is_switched_off() {
    let (scratch, time) = (Scratch::new("read-off"), ManualClock::new());
    saved(&scratch.file(), &time, [(1, "one", None)]);
    let bucket = running(&time).build().unwrap();
    bucket.set_caching(false).unwrap();
    let report = bucket.read_dump(scratch.file(), 1).unwrap();
    assert_eq!((report.entries, report.refused), (0, 1));
    assert_eq!((bucket.len(), bucket.stats().refused), (0, 0));
    bucket.set_caching(true).unwrap();
    assert_eq!(bucket.peek(&1), None);
    assert_eq!(bucket.read_dump(scratch.file(), 1).unwrap().entries, 1);
    assert_eq!(bucket.peek(&1), Some(one()));
}

#[test]
fn g9_what_is_read_is_not_of_a_lower_version() {
    let (scratch, time) = (Scratch::new("read-version"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    bucket.reset(7).unwrap();
    bucket.set(1, one());
    bucket.shutdown();
    for (version, kind) in [(6, None), (7, None), (8, Some(DumpErrorKind::Version))] {
        let bucket = running(&time).version(version).build().unwrap();
        let read = bucket.read_dump(&path, 1);
        assert_eq!(read.as_ref().err().map(|error| error.kind()), kind);
        assert_eq!(bucket.peek(&1), kind.is_none().then(one));
        assert_eq!(bucket.version(), version);
        assert!(path.exists());
    }
    // Also if it is of a reset that comes while the file is read: here before it is written.
    let bucket = running(&time).build().unwrap();
    bucket.reset(8).unwrap();
    assert!(bucket.read_dump(&path, 1).is_err());
    assert!(bucket.is_empty());
}

#[test]
fn g4_a_load_that_began_before_does_not_overwrite_what_is_read() {
    let (scratch, time) = (Scratch::new("read-load"), ManualClock::new());
    saved(&scratch.file(), &time, [(1, "one", None)]);
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = crate::sync::Mutex::new(goes);
    let bucket = running(&time)
        .load(move |_: &u32| {
            begun.send(()).unwrap();
            goes.lock().recv().unwrap();
            Ok::<_, String>("loaded".to_owned())
        })
        .build()
        .unwrap();
    let ticket = bucket.request_load([1]);
    begins.recv_timeout(PATIENCE).unwrap();
    bucket.read_dump(scratch.file(), 1).unwrap();
    go.send(()).unwrap();
    assert!(ticket.wait(PATIENCE));
    assert_eq!(bucket.peek(&1), Some(one()));
    assert_eq!(bucket.stats().superseded, 1);
}

#[test]
fn g12_what_is_read_ends_what_was_known_of_absence() {
    let (scratch, time) = (Scratch::new("read-exists"), ManualClock::new());
    saved(&scratch.file(), &time, [(1, "one", Some(TTL))]);
    let bucket = running(&time)
        .load(|_: &u32| Ok::<_, String>("loaded".to_owned()))
        .exists(|_| Ok::<_, String>(false))
        .exists_absent_for(Duration::from_secs(3600))
        .build()
        .unwrap();
    assert_eq!(bucket.get(&1), None);
    bucket.read_dump(scratch.file(), 1).unwrap();
    assert_eq!(bucket.peek(&1), Some(one()));
    // Not removed by a write, which would end it too.
    time.advance(TTL);
    let asked = bucket.stats().exists_asked;
    assert_eq!(bucket.get(&1), None);
    assert_eq!(bucket.stats().exists_asked, asked + 1, "asked again");
}

#[test]
fn g12_what_is_read_is_in_the_bucket_s_own_dump_as_well() {
    let (scratch, time) = (Scratch::new("read-own"), ManualClock::new());
    let other = scratch.0.join("other.dump");
    saved(&other, &time, [(1, "one", None)]);
    let bucket = words(&scratch.file(), &time);
    bucket.set(2, two());
    bucket.read_dump(&other, 1).unwrap();
    bucket.shutdown();
    // Also one that has ended may be read into.
    assert_eq!(bucket.read_dump(&other, 1).unwrap().entries, 1);
    let bucket = words(&scratch.file(), &time);
    assert_eq!(
        (bucket.peek(&1), bucket.peek(&2)),
        (Some(one()), Some(two()))
    );
    // What the bucket begins with is not of the past: its dump can be read back into it.
    bucket.invalidate(&2);
    assert_eq!(bucket.read_dump(scratch.file(), 1).unwrap().entries, 2);
    assert_eq!(bucket.peek(&2), Some(two()));
}

#[test]
fn g12_a_deserialize_that_panics_leaves_the_bucket_and_the_file() {
    use serde::{Deserialize, Deserializer, Serialize};
    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(Clone, Serialize)]
    struct Shaky(u32);
    impl<'de> Deserialize<'de> for Shaky {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let read = u32::deserialize(from)?;
            assert!(
                read != 3 || !PANICS.load(Ordering::Relaxed),
                "a shaky value"
            );
            Ok(Self(read))
        }
    }
    let scratch = Scratch::new("read-panic");
    let path = scratch.file();
    let bucket = Bucket::<u32, Shaky>::builder("shaky");
    let bucket = bucket.dump(&path, 1).build().unwrap();
    bucket.set_many((0..5).map(|key| (key, Shaky(key))));
    bucket.write_dump(PATIENCE).unwrap().unwrap();
    let other = Bucket::<u32, Shaky>::builder("shaky")
        .init(|| Ok::<Init<_, _>, String>(Init::Ready))
        .build()
        .unwrap();
    PANICS.store(true, Ordering::Relaxed);
    let error = other.read_dump(&path, 1).unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Panicked, "{error}");
    assert!(other.is_empty());
    assert_eq!(scratch.names(), ["words.dump"]);
    PANICS.store(false, Ordering::Relaxed);
    assert_eq!(other.read_dump(&path, 1).unwrap().entries, 5);
}
