//! Values that expire: a new time for one against a write, and what is swept against what is written anew.

use std::time::Duration;

use loom::thread;

use super::support::{Data, run_model, spawn, store, store_by};
use crate::clock::{Deadline, ManualClock};
use crate::store::fold::Folder;
use crate::store::{Content, Found, Installed, Retimed};
use crate::sync::Arc;
use crate::table::Table;

const SOON: Duration = Duration::from_secs(1);

/// A store whose snapshot holds an expired value of key 1.
fn expired() -> (Arc<Data>, Folder<u8, u8>) {
    let time = ManualClock::new();
    let (data, mut folder) = store_by(time.clock(), [], 0);
    let soon = Deadline::after(&time.clock(), SOON);
    let _ = data.0.write(data.hash(1), 1, Content::until(10, soon));
    folder.fold(&data.0);
    assert_eq!(data.peek(1), Some(10));
    time.advance(SOON);
    (data, folder)
}

#[test]
fn retime_against_set() {
    run_model("retime_against_set", 10_000, || {
        let (data, mut folder) = store([(1, 10)]);
        let later = Deadline::NEVER;
        let touch = spawn(&data, move |data| data.0.retime(data.hash(1), &1, later));
        let set = spawn(&data, |data| data.set(1, 20));
        folder.fold(&data.0);
        assert_eq!(touch.join().unwrap(), Retimed::Yes);
        set.join().unwrap();
        assert_eq!(data.peek(1), Some(20), "the old value is back");
    });
}

/// What was updated keeps the time that the value has by then.
#[test]
fn retime_against_update() {
    run_model("retime_against_update", 50_000, || {
        let (data, mut folder) = store([]);
        // In the overlay, where it is the same write with another time.
        data.set(1, 10);
        let late = Deadline::after(data.0.clock(), Duration::from_secs(1_000_000));
        let touch = spawn(&data, move |data| data.0.retime(data.hash(1), &1, late));
        let update = spawn(&data, |data| {
            data.0
                .update(u64::MAX, data.hash(1), &1, |value, expires, _| {
                    Some(Content::until(value.copied()? + 1, expires))
                });
        });
        folder.fold(&data.0);
        assert_eq!(touch.join().unwrap(), Retimed::Yes);
        update.join().unwrap();
        assert_eq!(data.peek(1), Some(11));
        let expires = data.0.view().deadline(data.hash(1), &1);
        assert_eq!(expires, Some(late), "the new time is lost");
    });
}

#[test]
fn retime_against_invalidate() {
    run_model("retime_against_invalidate", 10_000, || {
        let (data, mut folder) = store([(1, 10)]);
        let later = Deadline::NEVER;
        let touch = spawn(&data, move |data| data.0.retime(data.hash(1), &1, later));
        let gone = spawn(&data, |data| data.invalidate(1));
        folder.fold(&data.0);
        touch.join().unwrap();
        gone.join().unwrap();
        assert_eq!(data.peek(1), None, "what was removed is back");
    });
}

/// The load began first, and found something newer than what is there.
#[test]
fn retime_against_load() {
    run_model("retime_against_load", 10_000, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        let touch = spawn(&data, |data| {
            data.0.retime(data.hash(1), &1, Deadline::NEVER);
        });
        let number = load.number();
        let loader = spawn(&data, move |data| data.install(number, 1, 20));
        folder.fold(&data.0);
        touch.join().unwrap();
        let stored = loader.join().unwrap();
        assert_eq!(stored, Installed::Stored, "a new time is no newer value");
        assert_eq!(
            data.peek(1),
            Some(20),
            "the value from before the load is back"
        );
    });
}

/// A dataset replaces what a new time is set for.
#[test]
fn retime_against_dataset() {
    run_model("retime_against_dataset", 400, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.begin_dataset(&data.0);
        let touch = spawn(&data, |data| {
            data.0.retime(data.hash(1), &1, Deadline::NEVER);
        });
        let table = Table::from_pairs([(1, 20)], |key| data.hash(*key));
        folder.publish_dataset(&data.0, table);
        touch.join().unwrap();
        assert_eq!(
            data.peek(1),
            Some(20),
            "the value from before the dataset is back"
        );
    });
}

/// What was written since a dataset's start stays, and so does a new time of it, before or while the dataset is published.
#[test]
fn retime_of_what_is_kept() {
    run_model("retime_of_what_is_kept", 570, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.begin_dataset(&data.0);
        data.set(1, 20);
        folder.fold(&data.0);
        let late = Deadline::after(data.0.clock(), Duration::from_secs(1_000_000));
        let touch = spawn(&data, move |data| {
            while data.0.retime(data.hash(1), &1, late) == Retimed::NotYet {
                thread::yield_now();
            }
            let expires = data.0.view().deadline(data.hash(1), &1);
            assert_eq!(expires, Some(late), "its own");
        });
        let table = Table::from_pairs([(1, 30)], |key| data.hash(*key));
        folder.publish_dataset(&data.0, table);
        touch.join().unwrap();
        let expires = data.0.view().deadline(data.hash(1), &1);
        assert_eq!((data.peek(1), expires), (Some(20), Some(late)));
    });
}

#[test]
fn sweep_against_set() {
    run_model("sweep_against_set", 2000, || {
        let (data, mut folder) = expired();
        let set = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "own write");
        });
        folder.fold(&data.0);
        folder.fold(&data.0);
        set.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
    });
}

/// A load finds nothing, for what is there has expired, and does not mark the table that it did not find it in.
#[test]
fn sweep_against_load() {
    run_model("sweep_against_load", 2300, || {
        let (data, mut folder) = expired();
        let load = spawn(&data, |data| {
            let load = data.0.begin_load();
            let (hash, view) = (data.hash(1), data.0.load_view());
            assert!(matches!(view.look(hash, &1), Found::Nothing));
            let epoch = Some(view.current.epoch);
            let stored = data.0.install(load.number(), hash, 1, Some(20), epoch);
            assert_eq!(stored, Installed::Stored);
            assert_eq!(data.peek(1), Some(20), "what was loaded");
        });
        folder.fold(&data.0);
        folder.fold(&data.0);
        load.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
    });
}

#[test]
fn set_if_absent_where_the_value_has_expired() {
    run_model("set_if_absent_where_the_value_has_expired", 4000, || {
        let (data, mut folder) = expired();
        let first = spawn(&data, |data| data.set_if_absent(1, 20));
        folder.fold(&data.0);
        let second = data.set_if_absent(1, 30);
        match (first.join().unwrap(), second) {
            (Ok(()), Err(20)) => assert_eq!(data.peek(1), Some(20)),
            (Err(30), Ok(())) => assert_eq!(data.peek(1), Some(30)),
            outcomes => panic!("not exactly one won: {outcomes:?}"),
        }
    });
}
