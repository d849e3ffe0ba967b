//! A load never overwrites what is newer than its begin.

use super::support::{Data, run_model, spawn, store};
use crate::store::Installed;
use crate::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

/// A load begins, then `act` changes its key, while its result comes in and the folder folds.
fn began_before(folds: usize, act: fn(&Data), left: Option<u8>) -> impl Fn() {
    move || {
        let (data, mut folder) = store([]);
        let load = data.0.begin_load();
        let writer = spawn(&data, move |data| {
            act(data);
            assert_eq!(data.peek(1), left, "its own write");
        });
        let number = load.number();
        let loader = spawn(&data, move |data| {
            data.install(number, 1, 99);
        });
        for _ in 0..folds {
            folder.fold(&data.0);
        }
        writer.join().unwrap();
        loader.join().unwrap();
        drop(load);
        assert_eq!(data.peek(1), left);
    }
}

#[test]
fn load_that_began_before_a_set() {
    let model = began_before(1, |data| data.set(1, 20), Some(20));
    run_model("load_that_began_before_a_set", 65000, model);
}

#[test]
fn load_that_began_before_an_invalidation() {
    let model = began_before(1, |data| data.invalidate(1), None);
    run_model("load_that_began_before_an_invalidation", 65000, model);
}

/// The write may be folded away, and that fold be followed by another, before the result comes in.
#[test]
fn load_over_two_folds() {
    run_model("load_over_two_folds", 5200, || {
        let (data, mut folder) = store([]);
        let load = data.0.begin_load();
        let number = load.number();
        data.set(1, 20);
        let loader = spawn(&data, move |data| data.install(number, 1, 99));
        folder.fold(&data.0);
        data.set(2, 2);
        folder.fold(&data.0);
        assert_eq!(loader.join().unwrap(), Installed::Superseded);
        drop(load);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// Whoever changes the source, and then sets, is never overwritten with what the source held before,
/// whenever the load begins.
#[test]
fn load_that_begins_meanwhile() {
    run_model("load_that_begins_meanwhile", 68000, || {
        let (data, mut folder) = store([]);
        let source = Arc::new(AtomicU64::new(10));
        let writer = {
            let source = Arc::clone(&source);
            spawn(&data, move |data| {
                source.store(20, Release);
                data.set(1, 20);
            })
        };
        let loader = spawn(&data, move |data| {
            let load = data.0.begin_load();
            if data.peek(1).is_none() {
                let loaded = source.load(Acquire);
                data.install(load.number(), 1, loaded as u8);
            }
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        loader.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
    });
}

/// Two sets at a time, of which the one with the lower number may come in last.
#[test]
fn load_against_a_late_set() {
    run_model("load_against_a_late_set", 52000, || {
        let (data, mut folder) = store([]);
        let late = spawn(&data, |data| data.set(1, 20));
        let loader = spawn(&data, |data| {
            let load = data.0.begin_load();
            data.set(1, 30);
            assert_eq!(data.install(load.number(), 1, 99), Installed::Superseded);
        });
        folder.fold(&data.0);
        late.join().unwrap();
        loader.join().unwrap();
        assert_ne!(data.peek(1), Some(99));
    });
}
