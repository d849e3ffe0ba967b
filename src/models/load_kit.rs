//! What the models of loading share: a loading side without a bucket, and a source that keeps count.

#![allow(dead_code, reason = "each of the two worlds uses a part of it")]

use std::future::Future;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::ManualClock;
use crate::config::Config;
use crate::error::{BoxError, Error, ErrorKind};
use crate::events::Events;
use crate::fetched::Fetched;
use crate::load::{Flight, Keep, Loads, Requested, Source, Sweep};
use crate::loader::{BulkLoader, Outcome};
use crate::stats::{Counters, Stats};
use crate::store::Store;
use crate::sync::{Arc, GlobalLock, Parker, atomic::AtomicU64, order};

pub(super) type KitLoads = Loads<u8, u64, Touchy>;
pub(super) type KitFlight = Arc<Flight<u8, u64>>;

/// Longer than any model's time gets without a thread that moves it.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// A key whose `Hash` panics.
const POISON: u8 = 99;

/// Said by a source, puts a key into its answer whose `Hash` panics.
pub(super) const SPOIL: u64 = u64::MAX;

/// A hasher without a seed, which panics at [`POISON`].
pub(super) type Touchy = BuildHasherDefault<TouchyHasher>;

#[derive(Clone, Copy, Default)]
pub(super) struct TouchyHasher(u64);

impl Hasher for TouchyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes == [POISON] {
            quiet_panic();
        }
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// A panic that prints nothing: thousands of executions have it.
pub(super) fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("planned"))
}

/// What a source does for one key.
type Says = dyn Fn(&Call<'_>, u8) -> Result<Outcome<u64>, BoxError> + Send + Sync;

/// What a source can see of the call it is in.
pub(super) struct Call<'a> {
    /// The loading side that called, for a source that calls it.
    pub(super) loads: &'a Arc<KitLoads>,
    /// How many keys were asked for before this one.
    pub(super) before: usize,
}

impl Call<'_> {
    /// The same as a task that the loader drives itself.
    pub(super) fn fetch_async(&self, key: u8) -> Result<Fetched<u64>, Error> {
        let loads = self.loads;
        block_on(loads.fetch_async(hash(key), &key, LONG, Keep::USUAL))
    }

    /// Asks for another key from inside the loader.
    pub(super) fn fetch(&self, key: u8) -> Result<Fetched<u64>, Error> {
        self.loads.fetch(hash(key), &key, LONG, Keep::USUAL)
    }
}

/// Drives a future on this thread, which sleeps in between.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let parker = Parker::new();
    let waker = parker.waker();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park_forever(),
        }
    }
}

fn hash(key: u8) -> u64 {
    Touchy::default().hash_one(key)
}

/// The source of a model: counts what it is asked for, and says what the model tells it to.
///
/// What goes wrong in here is recorded and asserted by [`Kit::at_rest`]: a panic in a loader is an
/// answer like any other and would pass unseen.
pub(super) struct Script {
    says: Box<Says>,
    loads: GlobalLock<Weak<KitLoads>>,
    /// Eight bits a key: how many loads of it are under way. A word of the model's, so that two loads
    /// of one key can meet here.
    inside: AtomicU64,
    asked: GlobalLock<Asked>,
}

#[derive(Default)]
struct Asked {
    keys: Vec<u8>,
    met: usize,
    doubled: usize,
}

impl BulkLoader<u8, u64> for Arc<Script> {
    fn bulk_load(&self, keys: &[u8]) -> Result<Vec<(u8, Outcome<u64>)>, BoxError> {
        let loads = self.loads.lock().upgrade();
        let loads = loads.expect("a loader is called by its loading side");
        let first = {
            let mut asked = self.asked.lock();
            for (at, key) in keys.iter().enumerate() {
                asked.doubled += usize::from(keys[..at].contains(key));
            }
            asked.keys.extend(keys);
            asked.keys.len() - keys.len()
        };
        let mut answers = Vec::new();
        for (at, &key) in keys.iter().enumerate() {
            let before = first + at;
            let loads = &loads;
            let _inside = Inside::enter(self, key);
            let outcome = (self.says)(&Call { loads, before }, key)?;
            if matches!(outcome, Outcome::Value(SPOIL)) {
                answers.push((POISON, Outcome::Absent));
            }
            answers.push((key, outcome));
        }
        Ok(answers)
    }
}

/// One load of one key under way.
struct Inside<'a>(&'a Script, u64);

impl<'a> Inside<'a> {
    fn enter(script: &'a Script, key: u8) -> Self {
        let one = 1 << (u64::from(key % 8) * 8);
        let before = script.inside.fetch_add(one, order::COUNT);
        if before & (one * 0xFF) != 0 {
            script.asked.lock().met += 1;
        }
        Self(script, one)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Less one: not every world's words subtract.
        let less = self.1.wrapping_neg();
        self.0.inside.fetch_add(less, order::COUNT);
    }
}

/// The parts of one loading side.
#[derive(Clone)]
pub(super) struct Kit {
    pub(super) store: Arc<Store<u8, u64, Touchy>>,
    pub(super) loads: Arc<KitLoads>,
    pub(super) source: Arc<Script>,
    pub(super) time: ManualClock,
    pub(super) stats: Arc<Counters>,
    pub(super) events: Arc<Events>,
}

/// Options of a model: batches of two, room for eight, no waiting for company.
pub(super) fn config() -> Config {
    Config {
        batch_size: 2,
        queue_capacity: 8,
        refresh_jitter: 0.0,
        ..Config::default()
    }
}

impl Kit {
    pub(super) fn new<F>(says: F) -> Self
    where
        F: Fn(&Call<'_>, u8) -> Result<Outcome<u64>, BoxError> + Send + Sync + 'static,
    {
        Self::with(&config(), says)
    }

    pub(super) fn with<F>(config: &Config, says: F) -> Self
    where
        F: Fn(&Call<'_>, u8) -> Result<Outcome<u64>, BoxError> + Send + Sync + 'static,
    {
        Self::build(config, Box::new(says), true)
    }

    /// A loading side that only knows loaders of its callers.
    pub(super) fn without_loader() -> Self {
        Self::build(&config(), Box::new(fresh), false)
    }

    fn build(config: &Config, says: Box<Says>, has_loader: bool) -> Self {
        let time = ManualClock::new();
        let store = Arc::new(Store::new(Touchy::default(), time.clock()));
        let stats = Arc::new(Counters::default());
        let events = Events::new(None);
        let source = Arc::new(Script {
            says,
            loads: GlobalLock::new(Weak::new()),
            inside: AtomicU64::new(0),
            asked: GlobalLock::new(Asked::default()),
        });
        let from = if has_loader {
            Source::Bulk(Box::new(Arc::clone(&source)))
        } else {
            Source::None
        };
        let loads = Arc::new(Loads::new(
            Arc::clone(&store),
            from,
            config,
            Arc::clone(&stats),
            Arc::clone(&events),
            time.clock(),
        ));
        *source.loads.lock() = Arc::downgrade(&loads);
        Self {
            store,
            loads,
            source,
            time,
            stats,
            events,
        }
    }

    /// A fetch by a caller that has looked and found nothing.
    pub(super) fn fetch(&self, key: u8) -> Result<Fetched<u64>, Error> {
        self.fetch_within(key, LONG)
    }

    pub(super) fn fetch_within(&self, key: u8, limit: Duration) -> Result<Fetched<u64>, Error> {
        self.loads.fetch(hash(key), &key, limit, Keep::USUAL)
    }

    /// The same by a task.
    pub(super) async fn fetch_async(&self, key: u8) -> Result<Fetched<u64>, Error> {
        let loads = &self.loads;
        loads.fetch_async(hash(key), &key, LONG, Keep::USUAL).await
    }

    /// The same by a caller that does not want the value stored.
    pub(super) fn fetch_unsaved(&self, key: u8) -> Result<Fetched<u64>, Error> {
        let keep = Keep {
            save: false,
            ttl: None,
        };
        self.loads.fetch(hash(key), &key, LONG, keep)
    }

    pub(super) fn fetch_many(&self, keys: &[u8]) -> Vec<Result<Fetched<u64>, Error>> {
        self.loads.fetch_many(keys.iter(), LONG, Keep::USUAL)
    }

    pub(super) fn fetch_with(
        &self,
        key: u8,
        mut load: impl FnMut(&u8) -> Outcome<u64>,
    ) -> Result<Fetched<u64>, Error> {
        let mut load = |key: &u8| {
            let _inside = Inside::enter(&self.source, *key);
            load(key)
        };
        self.loads
            .fetch_with(hash(key), &key, LONG, Keep::USUAL, |key| load(key).into())
    }

    pub(super) fn request(&self, keys: &[u8]) -> Requested<u8, u64> {
        self.loads.request(keys.iter().copied())
    }

    pub(super) fn wait(&self, flight: &KitFlight, limit: Duration) -> Result<Fetched<u64>, Error> {
        let deadline = self.loads.deadline(limit);
        let answer = self.loads.wait(flight, false, None, deadline);
        answer.expect("answered before a reset")
    }

    /// Has the loader threads reload these keys.
    pub(super) fn sweep(&self, keys: &[u8]) -> Arc<Sweep<u8, u64>> {
        let sweep = Sweep::within(keys.to_vec(), None, &self.time.clock());
        assert!(self.loads.start_sweep(Arc::clone(&sweep)));
        sweep
    }

    pub(super) fn peek(&self, key: u8) -> Option<u64> {
        Store::peek(&self.store.place(), || &*self.store, hash(key), &key)
    }

    pub(super) fn set(&self, key: u8, value: u64) {
        let _ = self.store.write(hash(key), key, Some(value));
    }

    pub(super) fn invalidate(&self, key: u8) {
        let _ = self.store.write(hash(key), key, None);
    }

    /// Every key that the source was asked for, in order.
    pub(super) fn asked(&self) -> Vec<u8> {
        self.source.asked.lock().keys.clone()
    }

    pub(super) fn stats(&self) -> Stats {
        self.stats.stats()
    }

    /// How many flights have ended, as the counters say.
    pub(super) fn ended(&self) -> u64 {
        let stats = self.stats();
        stats.loaded + stats.ignored + stats.absent + stats.failed + stats.found_late
    }

    /// Nothing is left behind, and no two loads of a key were ever under way at a time.
    pub(super) fn at_rest(&self) {
        self.drained();
        assert_eq!(
            self.source.asked.lock().met,
            0,
            "two loads of a key at once"
        );
    }

    /// Nothing is left behind. For models in which a load may be superseded by a younger one.
    pub(super) fn drained(&self) {
        assert_eq!(self.loads.queued(), 0, "queued");
        assert_eq!(self.loads.under_way(), 0, "in flight");
        assert_eq!(self.source.inside.load(order::COUNT), 0, "in the source");
        let doubled = self.source.asked.lock().doubled;
        assert_eq!(doubled, 0, "a key twice in one batch");
    }
}

/// What a source says that has a value for every key, and a new one each time: key and call can be read
/// off it.
pub(super) fn fresh(call: &Call<'_>, key: u8) -> Result<Outcome<u64>, BoxError> {
    Ok(Outcome::Value(value_of(key, call.before)))
}

pub(super) fn value_of(key: u8, before: usize) -> u64 {
    u64::from(key) * 1000 + before as u64
}

pub(super) fn kind<T>(result: &Result<T, Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

pub(super) fn value(result: &Result<Fetched<u64>, Error>) -> Option<u64> {
    result
        .as_ref()
        .ok()
        .and_then(|fetched| fetched.value().copied())
}
