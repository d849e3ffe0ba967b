//! The other half of P4: no read frees a table, nor a value. Shown by values that count, on the
//! reading thread, how often they are cloned and dropped.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Plan;
use crate::report::{Report, Verdict, digits};
use crate::workload::{Key, Rng, hasher};

const ENTRIES: u64 = 200_000;

static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_READER: Cell<bool> = const { Cell::new(false) };
    static CLONES: Cell<u64> = const { Cell::new(0) };
    static DROPS: Cell<u64> = const { Cell::new(0) };
}

/// A value that knows who drops it.
#[derive(Debug)]
struct Witness(u64);

impl Clone for Witness {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if IS_READER.get() {
            DROPS.set(DROPS.get() + 1);
        } else {
            ELSEWHERE.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads while a writer and a publisher run. A read may drop the clone it was given, and nothing
/// else: drops beyond the clones are values that the reader freed.
pub(super) fn run(plan: &Plan, report: &mut Report) {
    let bucket = larder::Bucket::builder("witnesses")
        .hasher(hasher())
        .load_all(|| Ok::<_, Infallible>((0..ENTRIES).map(|i| (u64::nth(i), Witness(i)))))
        .build()
        .expect("the options are valid");
    bucket
        .refresh()
        .wait(Duration::from_secs(60))
        .expect("the source cannot fail");

    let stop = AtomicBool::new(false);
    let before = ELSEWHERE.load(Ordering::Relaxed);
    let is_running = || !stop.load(Ordering::Relaxed);
    let (reads, excess) = thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(11);
            while is_running() {
                let index = rng.below(ENTRIES);
                bucket.set(u64::nth(index), Witness(index));
            }
        });
        scope.spawn(|| {
            while is_running() {
                bucket.publish().expect("the bucket is open");
            }
        });
        let reader = scope.spawn(|| read(&bucket, 80 * plan.budget));
        let result = reader.join();
        stop.store(true, Ordering::Relaxed);
        result.expect("answers are right")
    });
    let elsewhere = ELSEWHERE.load(Ordering::Relaxed) - before;
    report.verdict(Verdict {
        target: "P4",
        what: format!(
            "values freed by the reader in {} reads ({} freed by others meanwhile)",
            digits(reads as f64),
            digits(elsewhere as f64)
        ),
        value: excess.to_string(),
        limit: "0".into(),
        // Nothing freed anywhere would mean that nothing was shown.
        met: Some(excess == 0 && elsewhere > 0),
    });
}

fn read(
    bucket: &larder::Bucket<u64, Witness, crate::workload::Hasher>,
    budget: Duration,
) -> (u64, i64) {
    IS_READER.set(true);
    let mut rng = Rng::new(12);
    let start = Instant::now();
    let mut reads = 0;
    let mut reader = bucket.reader();
    while start.elapsed() < budget {
        for _ in 0..256 {
            let index = rng.below(ENTRIES);
            let key = u64::nth(index);
            assert_eq!(
                reader.get(&key).map(|value| value.0),
                Some(index),
                "wrong answer"
            );
            assert_eq!(
                bucket.peek(&key).map(|value| value.0),
                Some(index),
                "wrong answer"
            );
            assert_eq!(
                bucket.get(&key).map(|value| value.0),
                Some(index),
                "wrong answer"
            );
            reads += 3;
        }
    }
    drop(reader);
    IS_READER.set(false);
    (reads, DROPS.get() as i64 - CLONES.get() as i64)
}
