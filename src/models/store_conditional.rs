//! `set_if_absent` decides and writes in one step.

use super::support::{run_model, spawn, store};
use crate::store::Installed;

#[test]
fn set_if_absent_twice() {
    run_model("set_if_absent_twice", 39000, || {
        let (data, mut folder) = store([]);
        let first = spawn(&data, |data| data.set_if_absent(1, 20));
        let second = spawn(&data, |data| data.set_if_absent(1, 30));
        folder.fold(&data.0);
        let outcomes = (first.join().unwrap(), second.join().unwrap());
        match outcomes {
            (Ok(()), Err(20)) => assert_eq!(data.peek(1), Some(20)),
            (Err(30), Ok(())) => assert_eq!(data.peek(1), Some(30)),
            _ => panic!("not exactly one won: {outcomes:?}"),
        }
    });
}

#[test]
fn set_if_absent_against_set() {
    run_model("set_if_absent_against_set", 52000, || {
        let (data, mut folder) = store([]);
        let plain = spawn(&data, |data| data.set(1, 20));
        let conditional = spawn(&data, |data| {
            let outcome = data.set_if_absent(1, 30);
            assert!(matches!(outcome, Ok(()) | Err(20)), "{outcome:?}");
        });
        folder.fold(&data.0);
        plain.join().unwrap();
        conditional.join().unwrap();
        // It either came first, or found the other there.
        assert_eq!(data.peek(1), Some(20));
    });
}

#[test]
fn set_if_absent_against_invalidate() {
    run_model("set_if_absent_against_invalidate", 100000, || {
        let (data, mut folder) = store([]);
        data.set(1, 10);
        let gone = spawn(&data, |data| data.invalidate(1));
        let conditional = spawn(&data, |data| data.set_if_absent(1, 30));
        folder.fold(&data.0);
        gone.join().unwrap();
        match conditional.join().unwrap() {
            Ok(()) => assert_eq!(data.peek(1), Some(30)),
            Err(10) => assert_eq!(data.peek(1), None),
            Err(other) => panic!("found {other}"),
        }
    });
}

/// Who was told that there is a value finds it, also if it is the first write into an overlay.
#[test]
fn set_if_absent_told_of_a_first_write() {
    run_model("set_if_absent_told_of_a_first_write", 400, || {
        let (data, mut folder) = store([]);
        // The dust goes: the overlay is not touched.
        folder.fold(&data.0);
        let plain = spawn(&data, |data| data.set(1, 20));
        if data.set_if_absent(1, 30) == Err(20) {
            assert_eq!(data.peek(1), Some(20), "told of it");
        }
        plain.join().unwrap();
    });
}

/// The same with a load that was told that it came too late.
#[test]
fn load_told_of_a_first_write() {
    run_model("load_told_of_a_first_write", 300, || {
        let (data, mut folder) = store([]);
        folder.fold(&data.0);
        let load = data.0.begin_load();
        let plain = spawn(&data, |data| data.set(1, 20));
        if data.install(load.number(), 1, 30) == Installed::Superseded {
            assert_eq!(data.peek(1), Some(20), "told of it");
        }
        plain.join().unwrap();
    });
}
