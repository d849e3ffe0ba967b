//! Keys that panic at each single place where the bucket calls them while it takes out what is stale.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use larder::{Bucket, ManualClock};

use crate::common::{PATIENCE, Task, settle};
use crate::panics::{Fuse, Touchy, Which};

const MOST: Duration = Duration::from_secs(60);

/// A source that is down for good. Returns whether the fuse has gone off.
fn run(which: Which, calls: i64, dataset: bool) -> bool {
    let left = AtomicI64::new(i64::MAX);
    let fuse = Arc::new(Fuse { which, left });
    let time = ManualClock::new();
    let builder = Bucket::<Touchy, u64>::builder("stale")
        .clock(time.clock())
        .max_stale(MOST)
        .wait_limit(PATIENCE)
        .batch_size(3)
        .bulk_load(|_: &[Touchy]| Err::<Vec<(Touchy, u64)>, _>("down"));
    let builder = match dataset {
        false => builder,
        true => builder.load_all(|| Err::<Vec<(Touchy, u64)>, _>("down")),
    };
    let bucket = builder.build().unwrap();
    let key = |id| Touchy {
        id,
        fuse: Arc::clone(&fuse),
    };
    bucket.set_many((0..8).map(|id| (key(id), id)));
    settle(&bucket);

    fuse.left.store(calls, SeqCst);
    let step = |step: &dyn Fn()| catch_unwind(AssertUnwindSafe(step)).is_ok();
    step(&|| drop(bucket.refresh().wait(PATIENCE)));
    step(&|| {
        let ticket = bucket.request_load([2, 3].map(key));
        assert!(ticket.wait(PATIENCE));
    });
    let written = step(&|| bucket.set(key(1), 100));
    step(&|| drop(bucket.publish()));
    step(&|| drop(bucket.refresh().wait(PATIENCE)));
    let written = step(&|| bucket.set(key(4), 400)) && written;
    time.advance(MOST);
    step(&|| drop(bucket.publish()));
    step(&|| drop(bucket.publish()));
    let gone_off = fuse.has_gone_off();
    fuse.put_out();

    // What was written after all failures is there, whatever the panic has interrupted.
    settle(&bucket);
    assert!(
        !written || bucket.peek(&key(4)) == Some(400),
        "{which:?} {calls}"
    );
    // And everything goes in the end.
    drop(bucket.refresh().wait(PATIENCE));
    time.advance(MOST);
    settle(&bucket);
    assert_eq!(bucket.len(), 0, "{which:?} {calls}");
    let told = bucket.stats().too_stale;
    assert!((6..=8).contains(&told), "{told} went, {which:?} {calls}");
    gone_off
}

fn at_every_place(which: Which) {
    for dataset in [false, true] {
        let mut places = 0;
        while Task::spawn(move || run(which, places, dataset)).join() {
            places += 1;
        }
        assert!(places >= 10, "{which:?} was called at {places} places");
    }
}

#[test]
fn a_hash_that_panics_keeps_nothing_stale() {
    at_every_place(Which::HashKey);
}

#[test]
fn an_eq_that_panics_keeps_nothing_stale() {
    at_every_place(Which::EqKey);
}

#[test]
fn a_clone_that_panics_keeps_nothing_stale() {
    at_every_place(Which::CloneKey);
}

#[test]
fn a_drop_that_panics_keeps_nothing_stale() {
    at_every_place(Which::DropKey);
}
