//! How a model is run, and what the models share.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loom::thread::{self, JoinHandle};

use crate::clock::Clock;
use crate::store::fold::Folder;
use crate::store::{Content, IfAbsent, Installed, Store};
use crate::sync::Arc;

/// Runs `model` in every order of events that the bounds allow, prints how many there were, and fails
/// if there were fewer than `floor`: a model that quietly stopped exploring is no proof.
///
/// `LARDER_PREEMPTIONS` is how often a thread may be interrupted, 2 if not given, `none` for no bound.
/// `LARDER_MODEL_SECONDS` ends the search early, and says so.
#[expect(
    clippy::disallowed_methods,
    reason = "the time of a run, not of a model"
)]
pub(super) fn run_model(name: &str, floor: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions();
    builder.max_branches = 10_000;
    builder.max_duration = seconds();
    // How often loom looks at the time; 20,000 executions can be minutes.
    builder.checkpoint_interval = 500;

    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    let on_panic = Red {
        name,
        executions: &executions,
    };
    let start = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    drop(on_panic);
    let took = start.elapsed();
    let executions = executions.load(Relaxed);

    let cut = builder.max_duration.is_some_and(|most| took >= most);
    let end = if cut { ", cut by time" } else { "" };
    println!("model {name}: {executions} executions in {took:.2?}{end}");
    // With a fault planted, passing is what must not happen, and `scripts/weaken` sees it.
    let faulty = std::env::var_os("LARDER_FAULT").is_some();
    assert!(
        cut || faulty || executions >= floor,
        "{name} explored {executions} executions, expected at least {floor}"
    );
}

/// Says in which execution a model failed.
struct Red<'a> {
    name: &'a str,
    executions: &'a AtomicUsize,
}

impl Drop for Red<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let executions = self.executions.load(Relaxed);
            println!("model {}: red in execution {executions}", self.name);
        }
    }
}

fn preemptions() -> Option<usize> {
    match std::env::var("LARDER_PREEMPTIONS") {
        Ok(none) if none == "none" => None,
        Ok(number) => Some(
            number
                .parse()
                .expect("LARDER_PREEMPTIONS: a number or none"),
        ),
        Err(_) => Some(2),
    }
}

fn seconds() -> Option<Duration> {
    let seconds = std::env::var("LARDER_MODEL_SECONDS").ok()?;
    let seconds = seconds.parse().expect("LARDER_MODEL_SECONDS: a number");
    Some(Duration::from_secs(seconds))
}

/// A hasher without a seed: a model must meet the same tables in every execution.
pub(super) type Plain = BuildHasherDefault<PlainHasher>;

#[derive(Clone, Copy, Default)]
pub(super) struct PlainHasher(u64);

impl Hasher for PlainHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// The store of a model, and what a caller does with it.
pub(super) struct Data<V: crate::Value = u8>(pub(super) Arc<Store<u8, V, Plain>>);

impl<V: crate::Value> Data<V> {
    pub(super) fn hash(&self, key: u8) -> u64 {
        self.0.hash(&key)
    }

    pub(super) fn peek(&self, key: u8) -> Option<V> {
        Store::peek(&self.0.place(), || &*self.0, self.hash(key), &key)
    }

    pub(super) fn set(&self, key: u8, value: V) {
        let _ = self.0.write(self.hash(key), key, Some(value));
    }

    pub(super) fn invalidate(&self, key: u8) {
        let _ = self.0.write(self.hash(key), key, None);
    }

    pub(super) fn set_many<const N: usize>(&self, pairs: [(u8, V); N]) {
        let group = pairs.map(|(key, value)| (self.hash(key), key, Some(value).into()));
        self.0.write_group(group.into());
    }

    pub(super) fn set_if_absent(&self, key: u8, value: V) -> Result<(), V> {
        let content = Content::from(Some(value));
        match self.0.write_if_absent(self.hash(key), key, content) {
            Ok(()) => Ok(()),
            Err(IfAbsent::Present(there)) => Err(there),
            Err(IfAbsent::Refused(_)) => panic!("there is no limit"),
        }
    }

    /// Writes a value that weighs what the store says. Returns whether it is stored.
    pub(super) fn set_weighed(&self, key: u8, value: V) -> bool {
        let content = self.0.weighed(&key, Some(value).into());
        self.0.write(self.hash(key), key, content).is_ok()
    }

    pub(super) fn install_weighed(&self, load: u64, key: u8, value: V) -> Installed {
        let content = self.0.weighed(&key, Some(value).into());
        self.0.install(load, self.hash(key), key, content, None)
    }

    pub(super) fn install(&self, load: u64, key: u8, value: V) -> Installed {
        self.0.install(load, self.hash(key), key, Some(value), None)
    }

    /// Stores what one load brought of several keys.
    pub(super) fn install_group<const N: usize>(&self, load: u64, pairs: [(u8, V); N]) {
        let group = pairs.map(|(key, value)| (self.hash(key), key, Some(value).into(), None));
        let _ = self.0.install_group(load, group.into());
    }

    /// What the snapshot holds of a key.
    pub(super) fn folded(&self, key: u8) -> Option<V> {
        let generation = Arc::clone(&self.0.view().current);
        generation.table.find_any(self.hash(key), &key).cloned()
    }
}

/// Written before a model begins, so that the overlay is touched and every fold is one.
const DUST: u8 = 0;

/// A store whose snapshot holds `pairs`, with something to fold, and its folder.
pub(super) fn store<const N: usize>(pairs: [(u8, u8); N]) -> (Arc<Data>, Folder<u8, u8>) {
    store_of(pairs, 0)
}

pub(super) fn store_of<V: crate::Value, const N: usize>(
    pairs: [(u8, V); N],
    dust: V,
) -> (Arc<Data<V>>, Folder<u8, V>) {
    store_by(Clock::system(), pairs, dust)
}

pub(super) fn store_by<V: crate::Value, const N: usize>(
    clock: Clock,
    pairs: [(u8, V); N],
    dust: V,
) -> (Arc<Data<V>>, Folder<u8, V>) {
    let data = Arc::new(Data(Arc::new(Store::new(Plain::default(), clock))));
    let mut folder = Folder::new();
    data.set_many(pairs);
    folder.fold(&data.0);
    data.set(DUST, dust);
    (data, folder)
}

/// Runs `act` on the store in a thread of the model.
pub(super) fn spawn<V, T>(
    data: &Arc<Data<V>>,
    act: impl FnOnce(&Data<V>) -> T + 'static,
) -> JoinHandle<T>
where
    V: crate::Value,
    T: 'static,
{
    let data = Arc::clone(data);
    thread::spawn(move || act(&data))
}
