//! The switch: what was under way when the bucket was switched off, or on again, is not in it afterwards.

use super::support::{run_model, spawn, store};
use crate::store::{Content, Installed};

/// A writer is inside the old gate, or comes to the new one.
#[test]
fn switch_off_against_a_set() {
    run_model("switch_off_against_a_set", 26, || {
        let (data, mut folder) = store([(1, 10)]);
        let writer = spawn(&data, |data| data.set(1, 20));
        folder.switch(&data.0, false);
        assert_eq!(data.peek(1), None, "it is off");
        writer.join().unwrap();
        assert_eq!(data.peek(1), None, "it is off");
        folder.fold(&data.0);
        folder.switch(&data.0, true);
        assert_eq!(data.peek(1), None, "it is back");
        data.set(1, 30);
        assert_eq!(data.peek(1), Some(30));
    });
}

#[test]
fn switch_off_against_a_group() {
    run_model("switch_off_against_a_group", 90, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set_many([(1, 1), (2, 2)]));
        folder.switch(&data.0, false);
        folder.switch(&data.0, true);
        writer.join().unwrap();
        let both = (data.peek(1).is_some(), data.peek(2).is_some());
        assert_eq!(both.0, both.1, "half a group");
    });
}

/// Writes that depend on what is there.
#[test]
fn switch_off_against_conditional_writes() {
    run_model("switch_off_against_conditional_writes", 650, || {
        let (data, mut folder) = store([]);
        let absent = spawn(&data, |data| data.set_if_absent(1, 20));
        let update = spawn(&data, |data| {
            data.0.update(u64::MAX, data.hash(2), &2, |_, _, _| {
                Some(Content::from(Some(20)))
            });
        });
        folder.switch(&data.0, false);
        assert_eq!((data.peek(1), data.peek(2)), (None, None));
        absent.join().unwrap().unwrap();
        update.join().unwrap();
        assert_eq!((data.peek(1), data.peek(2)), (None, None));
    });
}

/// The load began while it was on.
#[test]
fn switch_off_and_on_against_a_load() {
    run_model("switch_off_and_on_against_a_load", 80, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| {
            data.install(number, 1, 99);
        });
        folder.switch(&data.0, false);
        assert_eq!(data.peek(1), None);
        folder.switch(&data.0, true);
        assert_eq!(data.peek(1), None);
        loader.join().unwrap();
        assert_eq!(data.peek(1), None, "from before the switch");
    });
}

/// The load began while it was off.
#[test]
fn switch_on_against_a_load() {
    run_model("switch_on_against_a_load", 19, || {
        let (data, mut folder) = store([]);
        folder.switch(&data.0, false);
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| data.install(number, 1, 99));
        folder.switch(&data.0, true);
        let installed = loader.join().unwrap();
        assert_ne!(installed, Installed::Stored);
        assert_eq!(data.peek(1), None, "from before the switch");
        // One that begins now is stored.
        let load = data.0.begin_load();
        assert_eq!(data.install(load.number(), 1, 50), Installed::Stored);
        assert_eq!(data.peek(1), Some(50));
    });
}
