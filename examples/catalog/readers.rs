//! Those who read: hot paths that must not wait, and streams that ask ahead.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use larder::Origin;

use crate::catalog::Catalog;
use crate::histogram::Histogram;
use crate::ledger::{Ledger, Witness};
use crate::report::chain;

/// How many keys a stream asks for at once.
const CHUNK: u32 = 32;

/// What one hot path has seen.
pub struct Heat {
    /// Reads that the snapshot, or what was written since, answered.
    pub hits: Histogram,
    /// Reads that had to ask SQLite.
    pub misses: Histogram,
    /// Those among them that waited for the load of another reader.
    pub joined: u64,
    /// Answers checked.
    pub checked: u64,
}

/// Reads the keys of `deck` over and over, flat out, until `stop`, and times every read.
pub fn hot_path(catalog: &Catalog, ledger: &Ledger, deck: &[u32], stop: &AtomicBool) -> Heat {
    let mut reader = catalog.reader();
    let mut witness = Witness::new(ledger, "a hot path");
    let (mut hits, mut misses, mut joined) = (Histogram::new(), Histogram::new(), 0);
    for &index in deck.iter().cycle() {
        if stop.load(Relaxed) {
            break;
        }
        let key = ledger.key(index);
        let oldest = ledger.oldest(index);
        let start = Instant::now();
        if let Some(row) = reader.get(key) {
            hits.record(start.elapsed());
            witness.check(index, oldest, Some(row));
            continue;
        }
        match catalog.fetch(key) {
            Ok(fetched) => {
                misses.record(start.elapsed());
                joined += u64::from(fetched.origin() == Origin::Joined);
                witness.check(index, oldest, fetched.value().map(|row| &**row));
            }
            Err(error) => ledger.complain(format!("a hot path read '{key}': {}", chain(&error))),
        }
    }
    Heat {
        hits,
        misses,
        joined,
        checked: witness.checked(),
    }
}

/// What one stream has seen.
#[derive(Default)]
pub struct Flow {
    /// Chunks that were asked for.
    pub chunks: u64,
    /// Chunks that were there when their turn came.
    pub ready: u64,
    /// Answers checked.
    pub checked: u64,
}

/// Consumes the keys from `first` on in their order, asking for each chunk one chunk ahead.
pub fn stream(catalog: &Catalog, ledger: &Ledger, first: u32, stop: &AtomicBool) -> Flow {
    let mut witness = Witness::new(ledger, "a stream");
    let mut flow = Flow::default();
    let chunk_at = |at: u32| (at..at + CHUNK).map(|index| index % ledger.known());
    let ask = |at: u32| catalog.request_load(chunk_at(at).map(|index| ledger.key(index).clone()));
    let mut at = first;
    let mut asked = ask(at);
    while !stop.load(Relaxed) {
        let ahead = ask((at + CHUNK) % ledger.known());
        flow.chunks += 1;
        flow.ready += u64::from(asked.wait(Duration::ZERO));
        if !asked.rejected().is_empty() || !asked.wait(Duration::from_secs(5)) {
            ledger.complain(format!("a stream did not get what it asked for: {asked:?}"));
        }
        for index in chunk_at(at) {
            let oldest = ledger.oldest(index);
            witness.check(index, oldest, catalog.get(ledger.key(index)).as_deref());
        }
        // Work on the chunk: the time in which the next one is loaded.
        thread::sleep(Duration::from_millis(10));
        at = (at + CHUNK) % ledger.known();
        asked = ahead;
    }
    flow.checked = witness.checked();
    flow
}
