//! G12, by what a user can see. The format and the steps on the disk are tested in `src/dump/`.

mod restore;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::{Bucket, BuildError, Builder, DumpErrorKind, Event, ManualClock, Ttl};

type Words = Bucket<u32, String>;

const PATIENCE: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

/// A directory that goes when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let name = format!("larder-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("words.dump")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn builder(path: &Path, time: &ManualClock) -> Builder<u32, String> {
    Words::builder("words").clock(time.clock()).dump(path, 1)
}

fn words(path: &Path, time: &ManualClock) -> Words {
    builder(path, time).build().unwrap()
}

fn one() -> String {
    "one".to_owned()
}

#[test]
fn g12_what_was_cached_comes_back_also_what_was_not_folded() {
    let (scratch, time) = (Scratch::new("back"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    assert!(bucket.loaded_dump().is_none());
    bucket.set_many((0..5000).map(|key| (key, key.to_string())));
    bucket.publish().unwrap();
    bucket.set(1, one());
    bucket.invalidate(&2);
    drop(bucket);
    assert_eq!(scratch.names(), ["words.dump"]);

    let bucket = words(&path, &time);
    let report = bucket.loaded_dump().unwrap();
    assert_eq!((report.entries, report.expired), (4999, 0));
    assert_eq!(bucket.len(), 4999);
    assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(one()), None));
    assert_eq!(bucket.reader().get(&4999), Some(&"4999".to_owned()));
    // And the state after that is not lost at the next start.
    bucket.set(2, "two".to_owned());
    bucket.invalidate(&3);
    bucket.shutdown();
    assert_eq!(bucket.stats().dumps, 1);
    let bucket = words(&path, &time);
    assert_eq!(bucket.loaded_dump().unwrap().entries, 4999);
    assert_eq!(
        (bucket.peek(&2), bucket.peek(&3)),
        (Some("two".to_owned()), None)
    );
    // Nothing has changed: the file is left alone.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    bucket.shutdown();
    assert_eq!(bucket.stats().dumps, 0);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}

#[test]
fn g12_what_init_brings_is_dumped_and_not_asked_for_again() {
    let (scratch, time) = (Scratch::new("init"), ManualClock::new());
    let build = |word: &str| {
        let pairs = vec![(1, word.to_owned())];
        let builder = builder(&scratch.file(), &time);
        builder.init(|| Ok::<_, String>(pairs)).build().unwrap()
    };
    assert_eq!(build("one").peek(&1), Some(one()));
    assert_eq!(build("other").peek(&1), Some(one()), "from the dump");
    fs::remove_file(scratch.file()).unwrap();
    assert_eq!(build("other").peek(&1), Some("other".to_owned()));
}

#[test]
fn g12_the_time_on_disk_counts() {
    for (rest, is_there) in [(MS, true), (Duration::ZERO, false)] {
        let (scratch, time) = (Scratch::new("expiry"), ManualClock::new());
        let path = scratch.file();
        let bucket = words(&path, &time);
        bucket.set_with_ttl(1, one(), TTL);
        bucket.set(2, "two".to_owned());
        time.advance(TTL / 2);
        drop(bucket);
        time.advance(TTL / 2 - rest);
        let bucket = words(&path, &time);
        let report = bucket.loaded_dump().unwrap();
        assert_eq!(
            (report.entries, report.expired),
            (1 + u64::from(is_there), u64::from(!is_there))
        );
        assert_eq!(bucket.contains(&1), is_there);
        assert_eq!(bucket.ttl(&1), is_there.then_some(Ttl::Left(rest)));
        assert_eq!(bucket.ttl(&2), Some(Ttl::Never));
        time.advance(rest);
        assert_eq!((bucket.peek(&1), bucket.len()), (None, 1));
    }
}

#[test]
fn g12_a_file_that_is_not_right_is_set_aside_and_reported() {
    let (scratch, time) = (Scratch::new("aside"), ManualClock::new());
    let path = scratch.file();
    words(&path, &time).set(1, one());
    let good = fs::read(&path).unwrap();
    let mut broken = good.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    type Other = fn(Builder<u32, String>, &Path) -> Builder<u32, String>;
    let same: Other = |builder, _| builder;
    let cases: [(&[u8], Other, DumpErrorKind); 4] = [
        (&broken, same, DumpErrorKind::Corrupt),
        (&good[..good.len() - 1], same, DumpErrorKind::Truncated),
        (&[b'x'; 200], same, DumpErrorKind::NotADump),
        (
            &good,
            |builder, path| builder.dump(path, 2),
            DumpErrorKind::Schema,
        ),
    ];
    for (bytes, other, kind) in cases {
        fs::write(&path, bytes).unwrap();
        let (send, told) = mpsc::channel();
        let bucket = other(builder(&path, &time), &path)
            .observer(move |event| drop(send.send(event.clone())))
            .build()
            .unwrap();
        assert!(bucket.loaded_dump().is_none());
        assert!(bucket.is_empty(), "half of {kind:?}");
        let Event::DumpNotLoaded { error } = told.recv_timeout(PATIENCE).unwrap() else {
            panic!("another event");
        };
        assert_eq!(error.kind(), kind);
        assert_eq!(fs::read(error.set_aside().unwrap()).unwrap(), bytes);
        assert_eq!(bucket.stats().dumps_failed, 1);
        // The bucket goes on, and dumps.
        bucket.set(7, "seven".to_owned());
        bucket.shutdown();
        let bucket = other(builder(&path, &time), &path).build().unwrap();
        assert_eq!(bucket.peek(&7), Some("seven".to_owned()));
        bucket.shutdown();
    }
    let other = Words::builder("others").dump(&path, 2).build().unwrap();
    assert!(other.is_empty(), "a file of another bucket");
}

#[test]
fn g12_a_dump_is_debounced_and_only_of_what_has_changed() {
    let (scratch, time) = (Scratch::new("debounced"), ManualClock::new());
    let path = scratch.file();
    let delay = Duration::from_secs(10);
    let bucket = builder(&path, &time).dump_delay(delay).build().unwrap();
    let dumps = || bucket.stats().dumps;
    // Turns of the dump's thread, which the clock makes: each look is a delay after the last at the most.
    let eventually = |what: &str, step: Duration, done: &dyn Fn() -> bool| {
        for _ in 0..1_000_000 {
            if done() {
                return;
            }
            time.advance(step);
            std::thread::yield_now();
        }
        panic!("{what}");
    };
    for turn in 0..3 {
        bucket.set(turn, one());
        bucket.publish().unwrap();
        let written = dumps();
        let start = time.clock().now();
        eventually("a dump is written", delay / 4, &|| dumps() > written);
        let waited = time.clock().now() - start;
        assert!(waited >= delay, "after {waited:?}");
        assert_eq!(dumps(), u64::from(turn) + 1, "one dump for a change");
    }
    for _ in 0..100 {
        time.advance(delay);
        std::thread::yield_now();
    }
    assert_eq!(dumps(), 3, "nothing has changed");
    bucket.set(9, one());
    let report = bucket.write_dump(PATIENCE).unwrap().unwrap();
    assert_eq!((report.entries, dumps()), (4, 4));
    bucket.shutdown();
    assert_eq!(dumps(), 4);
    assert!(bucket.write_dump(PATIENCE).is_none(), "after the end");
}

#[test]
fn g12_what_cannot_be_written_is_reported_and_tried_again() {
    let (scratch, time) = (Scratch::new("again"), ManualClock::new());
    let path = scratch.0.join("below").join("words.dump");
    let error = builder(&path, &time).build().map(|_| ()).unwrap_err();
    assert!(
        matches!(error, BuildError::Option { option: "dump", .. }),
        "{error}"
    );
    let below = path.parent().unwrap();
    fs::create_dir(below).unwrap();
    let (send, told) = mpsc::channel();
    let bucket = builder(&path, &time)
        .observer(move |event| drop(send.send(event.clone())))
        .build()
        .unwrap();
    bucket.set(1, one());
    bucket.write_dump(PATIENCE).unwrap().unwrap();
    fs::remove_dir_all(below).unwrap();
    bucket.set(2, one());
    let error = bucket.write_dump(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.kind(), DumpErrorKind::Io);
    let event = told.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(event, Event::DumpFailed { .. }), "{event:?}");
    assert_eq!(bucket.peek(&2), Some(one()), "the bucket goes on");
    fs::create_dir(below).unwrap();
    bucket.shutdown();
    assert_eq!(words(&path, &time).len(), 2);
}

/// Values whose `Clone` counts: a dump makes none.
#[test]
fn g12_a_dump_copies_no_value() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static CLONES: AtomicUsize = AtomicUsize::new(0);
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Counted(u64, String);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            CLONES.fetch_add(1, Ordering::Relaxed);
            Self(self.0, self.1.clone())
        }
    }
    let scratch = Scratch::new("copies");
    let build = || {
        let builder = Bucket::<u32, Counted>::builder("counted");
        builder.dump(scratch.file(), 1).build().unwrap()
    };
    let bucket = build();
    bucket.set_many((0..1000).map(|key| (key, Counted(u64::from(key), key.to_string()))));
    bucket.publish().unwrap();
    let before = CLONES.load(Ordering::Relaxed);
    bucket.write_dump(PATIENCE).unwrap().unwrap();
    bucket.shutdown();
    let bucket = Arc::new(build());
    assert_eq!(bucket.len(), 1000);
    assert_eq!(bucket.with(&7, |value| value.0), Some(7));
    assert_eq!(CLONES.load(Ordering::Relaxed), before);
}

#[test]
fn g12_liveness_what_is_dead_is_not_dumped() {
    let (scratch, time) = (Scratch::new("dead"), ManualClock::new());
    let path = scratch.file();
    let mortal = || builder(&path, &time).alive(|_, word| word != "dead");
    let bucket = mortal().build().unwrap();
    bucket.set_many([(1, one()), (2, "dead".to_owned()), (3, "three".to_owned())]);
    let report = bucket.write_dump(PATIENCE).unwrap().unwrap();
    assert_eq!(report.entries, 2);
    drop(bucket);
    // Read by one in which nothing dies: it is really not there.
    let bucket = words(&path, &time);
    assert_eq!(bucket.loaded_dump().unwrap().entries, 2);
    assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(one()), None));
    bucket.set(2, "dead".to_owned());
    drop(bucket);
    // What is dead in a file is dead in the bucket.
    let bucket = mortal().build().unwrap();
    assert_eq!(bucket.loaded_dump().unwrap().entries, 3);
    assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(one()), None));
    assert_eq!(bucket.len(), 2);
}

#[test]
fn g10_a_dump_is_weighed_anew_and_what_does_not_fit_is_left() {
    let (scratch, time) = (Scratch::new("weighed"), ManualClock::new());
    let path = scratch.file();
    let limited = |limit| {
        let bucket = builder(&path, &time).max_weight(limit);
        let bucket = bucket.weigher(|_, word| word.len() as u64);
        bucket.build().unwrap()
    };
    let bucket = limited(10);
    bucket.set_many((0..3).map(|key| (key, one())));
    // Its own weight is not in the file, and what is refused is not either.
    assert_eq!(bucket.set_with_weight(3, one(), 1), Ok(()));
    assert_eq!(
        (bucket.weight(), bucket.try_set(4, one())),
        (10, Err(one()))
    );
    drop(bucket);
    let bucket = limited(20);
    assert_eq!(bucket.loaded_dump().unwrap().entries, 4);
    assert_eq!((bucket.weight(), bucket.len()), (12, 4));
    drop(bucket);
    let bucket = limited(5);
    assert_eq!((bucket.weight(), bucket.len()), (6, 2));
    assert_eq!(bucket.stats().evicted, 2);
    drop(bucket);
    // Nothing was written, and so the file is still the old one.
    let bucket = limited(5);
    assert_eq!((bucket.weight(), bucket.stats().evicted), (6, 2));
    bucket.invalidate(&77);
    assert_eq!(bucket.write_dump(PATIENCE).unwrap().unwrap().entries, 2);
    drop(bucket);
    let bucket = limited(20);
    assert_eq!((bucket.weight(), bucket.stats().evicted), (6, 0));
}

#[test]
fn g9_a_dump_keeps_the_version_and_what_it_holds_is_of_it() {
    let (scratch, time) = (Scratch::new("version"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    bucket.set(1, one());
    bucket.reset(7).unwrap();
    bucket.set(2, "two".to_owned());
    drop(bucket);

    let bucket = words(&path, &time);
    assert_eq!(
        (bucket.version(), bucket.loaded_dump().unwrap().version),
        (7, 7)
    );
    assert_eq!(
        (bucket.peek(&1), bucket.peek(&2)),
        (None, Some("two".to_owned()))
    );
    assert_eq!(bucket.snapshot().version(), 7);
    drop(bucket);
    // A lower version to begin with says nothing: the dump's is higher.
    let bucket = builder(&path, &time).version(3).build().unwrap();
    assert_eq!((bucket.version(), bucket.len()), (7, 1));
    drop(bucket);
    // A higher one: what was dumped is what a reset would have cleared.
    let build = |version| {
        let builder = builder(&path, &time).version(version);
        builder.init(|| Ok::<_, std::io::Error>(vec![(3, one())]))
    };
    let bucket = build(8).build().unwrap();
    assert!(bucket.loaded_dump().is_none());
    assert_eq!(
        (bucket.version(), bucket.peek(&2), bucket.peek(&3)),
        (8, None, Some(one()))
    );
    drop(bucket);
    let bucket = build(8).build().unwrap();
    assert_eq!(bucket.loaded_dump().unwrap().version, 8);
    assert_eq!((bucket.version(), bucket.len()), (8, 1));
}

/// Also where there is nothing to dump: an old dump does not come back at the next start.
#[test]
fn g9_a_dump_of_a_lower_version_is_replaced() {
    let (scratch, time) = (Scratch::new("lower"), ManualClock::new());
    let path = scratch.file();
    let bucket = words(&path, &time);
    bucket.set(1, one());
    drop(bucket);
    let bucket = builder(&path, &time).version(1).build().unwrap();
    assert!(bucket.is_empty());
    drop(bucket);
    let bucket = words(&path, &time);
    assert_eq!((bucket.version(), bucket.len()), (1, 0));
}

/// There would be two truths to begin with.
#[test]
fn g12_a_dump_and_a_storage_are_not_for_one_bucket() {
    let (scratch, time) = (Scratch::new("two"), ManualClock::new());
    let storage = crate::storage::MemoryStorage::new();
    let built = builder(&scratch.file(), &time).storage(storage).build();
    let error = built.map(|_| ()).unwrap_err();
    let is_named = matches!(
        error,
        BuildError::Option {
            option: "storage",
            ..
        }
    );
    assert!(is_named, "{error}");
    assert_eq!(scratch.names(), [""; 0]);
}
