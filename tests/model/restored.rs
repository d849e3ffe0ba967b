//! A bucket that is dumped, read into and built anew at random, and a plain model of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::Bucket;
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: u8 = 10;
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u32),
    SetMany(Vec<(u8, u32)>),
    Invalidate(u8),
    Clear,
    Publish,
    Caching(bool),
    /// Writes a dump, and keeps a copy.
    Dump,
    /// Reads the copy.
    Read,
    /// Shuts the bucket down, and builds another one at the same path.
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, value) = (|| 0..KEYS, any::<u32>);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        2 => vec((key(), value()), 0..6).prop_map(Op::SetMany),
        2 => key().prop_map(Op::Invalidate),
        1 => Just(Op::Clear),
        2 => Just(Op::Publish),
        1 => any::<bool>().prop_map(Op::Caching),
        2 => Just(Op::Dump),
        3 => Just(Op::Read),
        1 => Just(Op::Reopen),
    ]
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-restored-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Bucket<u8, u32> {
    Bucket::builder("restored").dump(path, 1).build().unwrap()
}

fn run(ops: &[Op]) {
    let folder = Folder::new();
    let (own, copy) = (folder.0.join("own"), folder.0.join("copy"));
    let mut bucket = open(&own);
    let mut model: BTreeMap<u8, u32> = BTreeMap::new();
    let mut copied = None;
    for op in ops {
        let caching = bucket.is_caching();
        match op {
            Op::Set(key, value) => {
                bucket.set(*key, *value);
                model.extend(caching.then_some((*key, *value)));
            }
            Op::SetMany(pairs) => {
                bucket.set_many(pairs.iter().copied());
                model.extend(pairs.iter().copied().filter(|_| caching));
            }
            Op::Invalidate(key) => {
                bucket.invalidate(key);
                model.remove(key);
            }
            Op::Clear => {
                bucket.clear().unwrap();
                model.clear();
            }
            Op::Publish => drop(bucket.publish().unwrap()),
            Op::Caching(on) => {
                bucket.set_caching(*on).unwrap();
                if !on {
                    model.clear();
                }
            }
            Op::Dump => {
                let written = bucket.write_dump(LIMIT).unwrap().unwrap();
                assert_eq!(written.entries, model.len() as u64);
                std::fs::copy(&own, &copy).unwrap();
                copied = Some(model.clone());
            }
            Op::Read => match (bucket.read_dump(&copy, 1), &copied) {
                (Ok(read), Some(copied)) => {
                    let all = copied.len() as u64;
                    let expected = if caching { (all, 0) } else { (0, all) };
                    assert_eq!((read.entries, read.refused), expected);
                    model.extend(copied.iter().filter(|_| caching));
                }
                (read, copied) => assert!(read.is_err() && copied.is_none(), "{read:?}"),
            },
            Op::Reopen => {
                bucket.shutdown();
                bucket = open(&own);
            }
        }
        for key in 0..KEYS {
            assert_eq!(
                bucket.peek(&key),
                model.get(&key).copied(),
                "{key} after {op:?}"
            );
        }
        assert_eq!(bucket.len(), model.len(), "after {op:?}");
    }
    bucket.shutdown();
    let reopened = open(&own);
    let all: BTreeMap<u8, u32> = reopened.snapshot().iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(all, model, "at the end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_bucket_that_is_dumped_and_read_is_its_model(ops in vec(op(), 1..20)) {
        run(&ops);
    }
}
