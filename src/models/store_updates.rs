//! Updates: a value made from the one before, with nothing lost between.

use super::support::{Data, run_model, spawn, store};
use crate::store::{Content, Installed};
use crate::sync::Arc;

fn add(data: &Data, by: u8) {
    data.0.update(u64::MAX, data.hash(1), &1, |value, _, _| {
        let sum = value.copied().unwrap_or(0) + by;
        Some(Content::from(Some(sum)))
    });
}

#[test]
fn updates_of_two() {
    run_model("updates_of_two", 10_000, || {
        let (data, mut folder) = store([(1, 10)]);
        let other = spawn(&data, |data| add(data, 1));
        let fold = Arc::clone(&data);
        add(&data, 2);
        folder.fold(&fold.0);
        other.join().unwrap();
        assert_eq!(data.peek(1), Some(13), "one of them is lost");
    });
}

#[test]
fn update_against_set() {
    run_model("update_against_set", 10_000, || {
        let (data, mut folder) = store([]);
        let other = spawn(&data, |data| add(data, 1));
        let set = spawn(&data, |data| data.set(1, 20));
        folder.fold(&data.0);
        other.join().unwrap();
        set.join().unwrap();
        let value = data.peek(1);
        assert!(
            matches!(value, Some(20 | 21)),
            "{value:?} is no order of the two"
        );
    });
}

/// A load that began before the update and is stored is what it was made from; else it came too late.
#[test]
fn update_against_load() {
    run_model("update_against_load", 10_000, || {
        let (data, mut folder) = store([]);
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| data.install(number, 1, 20));
        let other = spawn(&data, |data| add(data, 1));
        folder.fold(&data.0);
        other.join().unwrap();
        let expected = match loader.join().unwrap() {
            Installed::Stored => 21,
            Installed::Superseded => 1,
            Installed::Off | Installed::Refused => panic!("it is on, and has no limit"),
        };
        assert_eq!(data.peek(1), Some(expected));
    });
}
