//! Those who change rows underneath the bucket, and those who watch how soon that is seen.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::catalog::Catalog;
use crate::histogram::Histogram;
use crate::ledger::{Ledger, Witness, seal};
use crate::mix::{Mix, Random};

/// The time between two changes.
const PACE: Duration = Duration::from_millis(5);

/// The time between two looks at what is not visible yet.
const LOOK: Duration = Duration::from_millis(1);

/// A change that takes longer to show than this has been lost: refreshes run every second.
const LOST: Duration = Duration::from_secs(10);

/// One row was written.
pub struct Change {
    index: u32,
    revision: u64,
    /// When the writing began: the same moment is stamped on the row.
    at: Instant,
    /// Whether the bucket was told by `invalidate`, and need not wait for a refresh.
    told: bool,
}

/// Changes rows until `stop`; tells the bucket of about half of the changes, and `watcher` of all.
pub fn change(
    catalog: &Catalog,
    ledger: &Ledger,
    mix: &Mix,
    db: &Connection,
    watcher: &Sender<Change>,
    stop: &AtomicBool,
) -> rusqlite::Result<()> {
    let (start, mut random) = (Instant::now(), Random::new(1));
    let sql = "UPDATE character SET revision = ?2, changed_us = ?3, seal = ?4 WHERE code = ?1";
    let mut update = db.prepare(sql)?;
    for turn in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let told = turn % 2 == 0;
        // By turns a popular row, which many are reading, and any row.
        let popular = turn % 4 < 2;
        let index = if popular {
            mix.draw(&mut random)
        } else {
            random.below(ledger.known())
        };
        // Twice at once, so that the second change comes while the first is being loaded.
        for _ in 0..if popular && told { 2 } else { 1 } {
            let (key, revision, at) = (ledger.key(index), ledger.begin(index), Instant::now());
            let (stamp, seal) = (at.duration_since(start).as_micros(), seal(key, revision));
            update.execute(params![&**key, revision as i64, stamp as i64, seal as i64])?;
            if told {
                catalog.invalidate(key);
                ledger.told(index, revision);
            }
            // The watcher stays until this end is dropped.
            let _ = watcher.send(Change {
                index,
                revision,
                at,
                told,
            });
        }
        thread::sleep(PACE);
    }
    Ok(())
}

/// Invalidates rows that it does not change, until `stop`: for databases that are not ours.
pub fn only_invalidate(catalog: &Catalog, ledger: &Ledger, mix: &Mix, stop: &AtomicBool) {
    let mut random = Random::new(1);
    while !stop.load(Relaxed) {
        catalog.invalidate(ledger.key(mix.draw(&mut random)));
        thread::sleep(PACE);
    }
}

/// How long it took until changes were seen.
pub struct Staleness {
    /// Those that the bucket was told of.
    pub told: Histogram,
    /// Those that a refresh, or a stream that asked for the key anyhow, had to find.
    pub untold: Histogram,
    /// Answers checked.
    pub checked: u64,
}

/// Reads every changed key until the change shows; returns when the writer is gone and all show.
pub fn watch(catalog: &Catalog, ledger: &Ledger, changes: &Receiver<Change>) -> Staleness {
    let mut reader = catalog.reader();
    let mut witness = Witness::new(ledger, "the watcher");
    let (mut told, mut untold) = (Histogram::new(), Histogram::new());
    let mut pending: Vec<Change> = Vec::new();
    let mut writing = true;
    while writing || !pending.is_empty() {
        match changes.recv_timeout(LOOK) {
            Ok(change) => pending.push(change),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                writing = false;
                thread::sleep(LOOK);
            }
        }
        pending.retain(|change| {
            let (index, key) = (change.index, ledger.key(change.index));
            let oldest = ledger.oldest(index);
            let seen = match reader.get(key) {
                Some(row) => {
                    witness.check(index, oldest, Some(row));
                    row.revision
                }
                // Invalidated, and not asked for since: load it, as any reader would.
                None => {
                    let row = catalog.get(key);
                    witness.check(index, oldest, row.as_deref());
                    row.map_or(0, |row| row.revision)
                }
            };
            if seen >= change.revision {
                let which = if change.told { &mut told } else { &mut untold };
                which.record(change.at.elapsed());
                return false;
            }
            let lost = change.at.elapsed() > LOST;
            if lost {
                let revision = change.revision;
                ledger.complain(format!(
                    "revision {revision} of '{key}' did not show in {LOST:?}"
                ));
            }
            !lost
        });
    }
    Staleness {
        told,
        untold,
        checked: witness.checked(),
    }
}
