//! A storage that notes what it is given, and fails, panics or hangs where a test wants it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::storage::{Change, Entry, Expiry, MemoryStorage, Storage};
use larder::{BoxError, Bucket, Builder, ManualClock};

use crate::common::{Broken, Door, Notes, lock};

pub(crate) type Numbers = Bucket<u64, u64>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a storage was asked to do; keys in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Load,
    Apply(Vec<(u64, Option<u64>)>),
    Replace(u64, Vec<(u64, u64)>),
}

/// What it does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Does nothing, and says so.
    Fails,
    /// Does a part, and says that it has failed.
    FailsHalfway,
    /// Does a part, and says nothing.
    LeavesHalf,
    Panics,
}

/// All clones are the same storage.
#[derive(Clone)]
pub(crate) struct Noting {
    pub(crate) inner: MemoryStorage<u64, u64>,
    pub(crate) calls: Notes<Call>,
    /// Every call but a load passes here, once it is noted.
    pub(crate) door: Door,
    mood: Arc<Mutex<Mood>>,
}

impl Noting {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryStorage::new(),
            calls: Notes::new(),
            door: Door::open(),
            mood: Arc::new(Mutex::new(Mood::Well)),
        }
    }

    pub(crate) fn holding(rows: &[(u64, u64, Option<Expiry>)]) -> Self {
        let storage = Self::new();
        let mut entries = rows.iter().map(|(key, value, expiry)| Entry {
            key,
            value,
            expiry: *expiry,
        });
        let mut inner = storage.inner.clone();
        inner.replace(0, &mut entries).unwrap();
        storage
    }

    pub(crate) fn is(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub(crate) fn pairs(&self) -> Vec<(u64, u64)> {
        let mut pairs = self.inner.pairs();
        pairs.sort_unstable();
        pairs
    }

    /// What it was asked to write since the last time.
    pub(crate) fn writes(&self) -> Vec<Call> {
        let mut calls = self.calls.take();
        calls.retain(|call| *call != Call::Load);
        calls
    }

    /// What is to be done of so much, or that it goes wrong.
    fn share(&self, all: usize) -> usize {
        self.door.pass();
        match *lock(&self.mood) {
            Mood::Well => all,
            Mood::Fails | Mood::Panics => 0,
            Mood::FailsHalfway | Mood::LeavesHalf => all / 2,
        }
    }

    fn end(&self) -> Result<(), BoxError> {
        let mood = *lock(&self.mood);
        match mood {
            Mood::Well | Mood::LeavesHalf => Ok(()),
            Mood::Fails | Mood::FailsHalfway => Err(Broken("the storage").into()),
            Mood::Panics => panic!("the storage"),
        }
    }
}

impl Storage<u64, u64> for Noting {
    fn load(&mut self, each: &mut dyn FnMut(u64, u64, Option<Expiry>)) -> Result<u64, BoxError> {
        self.calls.add(Call::Load);
        let version = self.inner.load(each)?;
        self.end()?;
        Ok(version)
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        let all: Vec<_> = match *lock(&self.mood) {
            // It takes no more than it does.
            Mood::LeavesHalf => changes.take(1).collect(),
            _ => changes.collect(),
        };
        let mut noted: Vec<_> = all
            .iter()
            .map(|change| match change {
                Change::Put(entry) => (*entry.key, Some(*entry.value)),
                Change::Remove(key) => (**key, None),
            })
            .collect();
        noted.sort_unstable();
        self.calls.add(Call::Apply(noted));
        let share = self.share(all.len());
        self.inner.apply(&mut all.into_iter().take(share))?;
        self.end()
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, u64, u64>>,
    ) -> Result<(), BoxError> {
        let all: Vec<_> = entries.collect();
        let mut noted: Vec<_> = all.iter().map(|entry| (*entry.key, *entry.value)).collect();
        noted.sort_unstable();
        self.calls.add(Call::Replace(version, noted));
        let share = self.share(all.len());
        if share == all.len() {
            self.inner.replace(version, &mut all.into_iter())?;
        }
        self.end()
    }
}

pub(crate) fn builder(storage: &Noting, time: &ManualClock) -> Builder<u64, u64> {
    Numbers::builder("stored")
        .clock(time.clock())
        .storage(storage.clone())
}

/// Moves the time on, step by step, until it is so: whoever waits for a time comes by it.
#[track_caller]
pub(crate) fn in_time(time: &ManualClock, step: Duration, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if is_so() {
            return;
        }
        time.advance(step);
        std::thread::yield_now();
    }
    panic!("never came: {what}");
}

/// What is in the bucket, whatever way it came there.
pub(crate) fn contents(bucket: &Numbers) -> Vec<(u64, u64)> {
    bucket.publish().unwrap();
    let snapshot = bucket.snapshot();
    let mut pairs: Vec<_> = snapshot.iter().map(|(key, value)| (*key, *value)).collect();
    pairs.sort_unstable();
    pairs
}
