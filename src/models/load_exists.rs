//! What is remembered of whether a key exists, against what changes that.

use std::time::Duration;

use loom::thread;

use super::support::run_model;
use crate::clock::ManualClock;
use crate::load::Exists;
use crate::sync::Arc;
use crate::sync::atomic::AtomicBool;
use crate::sync::order::COUNT;

const KEY: u8 = 1;
const HASH: u64 = 1;

/// A source, and a hook that asks it. The user's code is as little ordered as can be.
struct Kit {
    exists: Exists<u8>,
    has: Arc<AtomicBool>,
}

impl Kit {
    fn new() -> Arc<Self> {
        let has = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has);
        let ask = Box::new(move |_: &u8| Ok(asked.load(COUNT)));
        let long = Some(Duration::from_secs(1));
        let exists = Exists::new(ask, long, 10, ManualClock::new().clock());
        Arc::new(Self { exists, has })
    }

    fn ask(&self) {
        self.exists.ask(HASH, &KEY, 0).unwrap();
    }

    /// The key comes into being, and the bucket is told by a write, as far as this is concerned.
    fn write(&self) {
        self.has.store(true, COUNT);
        self.exists.written(HASH, &KEY);
        self.is_not_absent();
    }

    /// The same, and the bucket is told by a clear.
    fn clear(&self) {
        self.has.store(true, COUNT);
        self.exists.forget_all();
        self.is_not_absent();
    }

    fn is_not_absent(&self) {
        let remembered = self.exists.remembered(HASH, &KEY, 0);
        assert_ne!(remembered, Some(false), "an absence outlives what ended it");
    }
}

fn spawn(kit: &Arc<Kit>, act: fn(&Kit)) -> thread::JoinHandle<()> {
    let kit = Arc::clone(kit);
    thread::spawn(move || act(&kit))
}

#[test]
fn exists_against_a_write() {
    run_model("exists_against_a_write", 150, || {
        let kit = Kit::new();
        let asker = spawn(&kit, Kit::ask);
        kit.write();
        asker.join().unwrap();
        kit.is_not_absent();
    });
}

#[test]
fn exists_against_a_clear() {
    run_model("exists_against_a_clear", 45, || {
        let kit = Kit::new();
        let asker = spawn(&kit, Kit::ask);
        kit.clear();
        asker.join().unwrap();
        kit.is_not_absent();
    });
}

/// A flight that is outdated asks, and the one that has taken its place does as well.
#[test]
fn exists_against_a_write_with_two_askers() {
    run_model("exists_against_a_write_with_two_askers", 20_000, || {
        let kit = Kit::new();
        let (one, two) = (spawn(&kit, Kit::ask), spawn(&kit, Kit::ask));
        kit.write();
        one.join().unwrap();
        two.join().unwrap();
        kit.is_not_absent();
    });
}

/// What was asked after the end of an era is remembered.
#[test]
fn exists_asked_after_a_clear() {
    run_model("exists_asked_after_a_clear", 1, || {
        let kit = Kit::new();
        kit.ask();
        kit.exists.forget_all();
        kit.is_not_absent();
        kit.ask();
        let remembered = kit.exists.remembered(HASH, &KEY, 0);
        assert_eq!(remembered, Some(false), "nothing has ended it");
    });
}
