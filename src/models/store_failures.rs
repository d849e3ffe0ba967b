//! What is remembered of loads that failed: nothing of a key that was written since its load began, whatever is folded
//! when.

use super::support::{Data, run_model, spawn, store};
use crate::error::{Error, ErrorKind};

fn fail(data: &Data, number: u64, key: u8) {
    let error = Error::new(ErrorKind::Load, "planned");
    // Of a reload, as all keys have values here, unless something else is said.
    data.0
        .load_failed((number, false), data.hash(key), &key, &error);
}

fn is_remembered(data: &Data, key: u8) -> bool {
    data.0.last_failure(data.hash(key), &key).is_some()
}

/// A key is written, and folded, while a load of it fails that began before: there is no failure to be told of then.
#[test]
fn failure_of_before_a_write_is_not_remembered() {
    run_model("failure_of_before_a_write_is_not_remembered", 100, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        let folding = spawn(&data, move |data| {
            data.set(1, 20);
            folder.fold(&data.0);
            folder
        });
        fail(&data, load.number(), 1);
        drop(load);
        let mut folder = folding.join().unwrap();
        assert!(!is_remembered(&data, 1), "and folded");
        data.set(2, 20);
        folder.fold(&data.0);
        assert!(!is_remembered(&data, 1), "and forgotten by all");
    });
}

/// A key is written after its failure is remembered: whoever knows of the write is told of no failure.
#[test]
fn failure_is_forgotten_with_a_write() {
    run_model("failure_is_forgotten_with_a_write", 2000, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        fail(&data, load.number(), 1);
        drop(load);
        assert!(is_remembered(&data, 1));
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert!(!is_remembered(data, 1), "its own write");
        });
        let folding = spawn(&data, move |data| {
            folder.fold(&data.0);
            folder
        });
        writer.join().unwrap();
        let mut folder = folding.join().unwrap();
        assert!(!is_remembered(&data, 1));
        folder.fold(&data.0);
        assert!(!is_remembered(&data, 1), "folded");
    });
}

/// A load begins while a write is under way, and fails: who has written is told of no failure, in whatever order the two
/// have drawn their numbers.
#[test]
fn failure_ends_with_a_write_that_is_late() {
    run_model("failure_ends_with_a_write_that_is_late", 25, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set(1, 20));
        let load = data.0.begin_load();
        if data.peek(1).is_none() {
            let error = Error::new(ErrorKind::Load, "planned");
            let missed = (load.number(), true);
            data.0.load_failed(missed, data.hash(1), &1, &error);
        }
        drop(load);
        writer.join().unwrap();
        assert!(!is_remembered(&data, 1), "written");
        folder.fold(&data.0);
        assert!(!is_remembered(&data, 1), "and folded");
    });
}

/// What is written of other keys, and folded, takes no failure away.
#[test]
fn failure_stays_where_others_are_written() {
    run_model("failure_stays_where_others_are_written", 120, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        data.set(2, 20);
        let folding = spawn(&data, move |data| {
            folder.fold(&data.0);
        });
        fail(&data, load.number(), 1);
        drop(load);
        assert!(is_remembered(&data, 1));
        folding.join().unwrap();
        assert!(is_remembered(&data, 1));
    });
}
