//! What is cached under a tag that is invalidated, against loads, writes, and what is made of values, and across folds.

use std::time::Duration;

use super::load_kit::{Kit, value};
use super::support::{Data, run_model, spawn, store, store_by};
use crate::clock::{Deadline, ManualClock};
use crate::loader::Outcome;
use crate::store::fold::Folder;
use crate::store::{Content, Installed};
use crate::sync::{Arc, atomic::AtomicU64, order, thread};
use crate::tags::Tags;

fn tags() -> Tags {
    "a".into()
}

fn set_tagged(data: &Data, key: u8, content: impl Into<Content<u8>>) {
    let written = data
        .0
        .write_tagged(data.hash(key), key, content, Some(&tags()));
    assert!(written.is_ok());
}

fn install_tagged(data: &Data, load: u64, key: u8, value: u8) -> Installed {
    let (hash, content) = (data.hash(key), Some(value));
    data.0
        .install_tagged(load, hash, key, content, Some(&tags()), None)
}

fn invalidate(data: &Data, folder: &mut Folder<u8, u8>) {
    folder.invalidate_tags(&data.0, &tags(), |_| ());
}

/// Key 1 has 10 under the tag, in the snapshot.
fn tagged() -> (Arc<Data>, Folder<u8, u8>) {
    let (data, mut folder) = store([]);
    set_tagged(&data, 1, Some(10));
    folder.fold(&data.0);
    (data, folder)
}

/// A load that began before brings the tag at any moment, while the folder folds before and after.
fn against_a_load(name: &'static str, floor: usize, folds: [bool; 2]) {
    run_model(name, floor, move || {
        let (data, mut folder) = store([(1, 5)]);
        let load = data.0.begin_load();
        let number = load.number();
        let loading = spawn(&data, move |data| {
            install_tagged(data, number, 1, 10);
        });
        if folds[0] {
            folder.fold(&data.0);
        }
        invalidate(&data, &mut folder);
        assert_ne!(data.peek(1), Some(10), "right after it");
        if folds[1] {
            folder.fold(&data.0);
            assert_ne!(data.peek(1), Some(10), "after a fold");
        }
        loading.join().unwrap();
        assert_ne!(data.peek(1), Some(10), "after the load");
        drop(load);
        folder.fold(&data.0);
        assert_ne!(data.peek(1), Some(10), "in the end");
    });
}

#[test]
fn tag_against_a_load() {
    against_a_load("tag_against_a_load", 40, [false, false]);
}

#[test]
fn tag_after_a_fold_against_a_load() {
    against_a_load("tag_after_a_fold_against_a_load", 1200, [true, false]);
}

#[test]
fn tag_before_a_fold_against_a_load() {
    against_a_load("tag_before_a_fold_against_a_load", 1400, [false, true]);
}

/// What is written without the tag stays, whenever it comes, and its writer reads it.
#[test]
fn tag_against_a_write_without() {
    run_model("tag_against_a_write_without", 60_000, || {
        let (data, mut folder) = tagged();
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        invalidate(&data, &mut folder);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
        folder.fold(&data.0);
        invalidate(&data, &mut folder);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// The same of what is written with the tag, and then without, while the folder folds.
#[test]
fn tag_against_a_write_without_over_one_with() {
    run_model("tag_against_a_write_without_over_one_with", 6500, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| {
            set_tagged(data, 1, Some(10));
            data.set(1, 20);
        });
        folder.fold(&data.0);
        invalidate(&data, &mut folder);
        writer.join().unwrap();
        folder.fold(&data.0);
        invalidate(&data, &mut folder);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// What is made of a value that has the tag goes with it, whenever it is made.
fn against_what_is_made(
    name: &'static str,
    floor: usize,
    begin: fn() -> (Arc<Data>, Folder<u8, u8>),
    make: fn(&Data),
) {
    run_model(name, floor, move || {
        let (data, mut folder) = begin();
        let making = spawn(&data, move |data| make(data));
        invalidate(&data, &mut folder);
        assert_eq!(data.peek(1), None, "right after it");
        making.join().unwrap();
        assert_eq!(data.peek(1), None);
        folder.fold(&data.0);
        assert_eq!(data.peek(1), None);
    });
}

fn update(data: &Data) {
    data.0
        .update(u64::MAX, data.hash(1), &1, |value, expires, _| {
            Some(Content::until(value? + 1, expires))
        });
}

fn retime(data: &Data) {
    let late = Deadline::after(data.0.clock(), Duration::from_secs(1_000_000));
    let _ = data.0.retime(data.hash(1), &1, late);
}

/// Key 1 has 10 under the tag, in the overlay.
fn tagged_in_the_overlay() -> (Arc<Data>, Folder<u8, u8>) {
    let (data, folder) = store([]);
    set_tagged(&data, 1, Some(10));
    (data, folder)
}

#[test]
fn tag_against_an_update() {
    against_what_is_made("tag_against_an_update", 100, tagged, update);
}

#[test]
fn tag_against_an_update_in_the_overlay() {
    let name = "tag_against_an_update_in_the_overlay";
    against_what_is_made(name, 4800, tagged_in_the_overlay, update);
}

#[test]
fn tag_against_a_new_time() {
    against_what_is_made("tag_against_a_new_time", 100, tagged, retime);
}

/// The same while the folder folds before.
#[test]
fn tag_after_a_fold_against_an_update() {
    run_model("tag_after_a_fold_against_an_update", 1000, || {
        let (data, mut folder) = tagged_in_the_overlay();
        let making = spawn(&data, update);
        folder.fold(&data.0);
        invalidate(&data, &mut folder);
        assert_eq!(data.peek(1), None, "right after it");
        making.join().unwrap();
        folder.fold(&data.0);
        assert_eq!(data.peek(1), None);
    });
}

/// A value expires in the middle of a fold, and is found so by that, while it gets a new time from who still has found
/// it: it has its tag.
#[test]
fn tag_of_what_expires_and_is_kept() {
    const SOON: Duration = Duration::from_secs(1);
    run_model("tag_of_what_expires_and_is_kept", 100, || {
        let time = ManualClock::new();
        let (data, mut folder) = store_by(time.clock(), [], 0);
        let soon = Deadline::after(&time.clock(), SOON);
        set_tagged(&data, 1, Content::until(10, soon));
        folder.fold(&data.0);
        let keeping = spawn(&data, |data| {
            let _ = data.0.retime(data.hash(1), &1, Deadline::NEVER);
        });
        let passing = spawn(&data, move |_| time.advance(SOON));
        data.set(2, 0);
        folder.fold(&data.0);
        passing.join().unwrap();
        keeping.join().unwrap();
        data.set(2, 1);
        folder.fold(&data.0);
        if data.peek(1).is_some() {
            assert_eq!(folder.tagged_keys(), 1);
        }
        invalidate(&data, &mut folder);
        assert_eq!(data.peek(1), None);
        // What left by itself is remembered until the fold after.
        for dust in 2..4 {
            data.set(2, dust);
            folder.fold(&data.0);
        }
        assert_eq!(folder.tagged_keys(), 0, "nothing is left of it");
    });
}

/// A caller joins a load of before, after the tag was invalidated: it is told what is as new as that.
#[test]
fn tag_against_who_joins() {
    run_model("tag_against_who_joins", 3500, || {
        let kit = Kit::without_loader();
        let source = Arc::new(AtomicU64::new(1));
        let early = (kit.clone(), Arc::clone(&source));
        let early = thread::spawn(move || {
            let (kit, source) = early;
            let load = |_: &u8| Outcome::from(source.load(order::CLAIM)).tagged("a");
            value(&kit.fetch_with(1, load)).unwrap()
        });
        let mut folder = Folder::new();
        source.store(2, order::CLAIM);
        folder.invalidate_tags(&kit.store, &tags(), |_| ());
        let load = |_: &u8| Outcome::from(source.load(order::CLAIM)).tagged("a");
        let told = kit.fetch_with(1, load);
        assert_eq!(value(&told), Some(2));
        assert!([1, 2].contains(&early.join().unwrap()));
        assert_ne!(kit.peek(1), Some(1));
        kit.drained();
    });
}
