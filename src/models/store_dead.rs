//! Values that die: what was found dead is removed, and nothing that was written, loaded or published since.

use super::support::{Data, Plain, run_model, spawn};
use crate::clock::{Clock, Deadline};
use crate::store::fold::Folder;
use crate::store::{Installed, Store, Terms};
use crate::sync::Arc;
use crate::table::Table;

/// Dead from the start; all others live.
const DEAD: u8 = 10;

/// A store whose snapshot holds a dead value of key 1, with something to fold.
fn store() -> (Arc<Data>, Folder<u8, u8>) {
    let terms = Terms {
        alive: Some(Box::new(|_, value| *value != DEAD)),
        ..Terms::default()
    };
    let store = Store::holding(Table::empty(), 0, Plain::default(), Clock::system(), terms);
    let (data, mut folder) = (Arc::new(Data(Arc::new(store))), Folder::new());
    data.set(1, DEAD);
    folder.fold(&data.0);
    data.set(0, 0);
    (data, folder)
}

/// A read finds it, and the refresher removes it.
#[test]
fn dead_found_against_set() {
    run_model("dead_found_against_set", 10_000, || {
        let (data, mut folder) = store();
        let set = spawn(&data, |data| data.set(1, 20));
        let read = spawn(&data, |data| {
            let value = data.peek(1);
            assert!(matches!(value, None | Some(20)), "{value:?}");
            let (dead, failed, _) = data.0.take_dead();
            assert_eq!(failed, 0);
            for dead in &dead {
                data.0.bury(dead);
            }
        });
        folder.fold(&data.0);
        read.join().unwrap();
        set.join().unwrap();
        assert_eq!(data.peek(1), Some(20), "the newer value is gone");
    });
}

/// The same by who knows of the death.
#[test]
fn dead_told_against_set() {
    run_model("dead_told_against_set", 10_000, || {
        let (data, mut folder) = store();
        let set = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "own write");
        });
        let told = spawn(&data, |data| data.0.bury_if_dead(data.hash(1), &1));
        folder.fold(&data.0);
        told.join().unwrap();
        set.join().unwrap();
        assert_eq!(data.peek(1), Some(20), "the newer value is gone");
    });
}

/// The load began before, and brings the next value.
#[test]
fn dead_told_against_load() {
    run_model("dead_told_against_load", 10_000, || {
        let (data, mut folder) = store();
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| data.install(number, 1, 20));
        let told = spawn(&data, |data| data.0.bury_if_dead(data.hash(1), &1));
        folder.fold(&data.0);
        told.join().unwrap();
        let stored = loader.join().unwrap();
        assert_eq!(stored, Installed::Stored, "a death is no newer value");
        assert_eq!(data.peek(1), Some(20));
    });
}

#[test]
fn dead_told_against_dataset() {
    run_model("dead_told_against_dataset", 200, || {
        let (data, mut folder) = store();
        folder.begin_dataset(&data.0);
        let told = spawn(&data, |data| data.0.bury_if_dead(data.hash(1), &1));
        let table = Table::from_pairs([(1, 20)], |key| data.hash(*key));
        folder.publish_dataset(&data.0, table);
        told.join().unwrap();
        assert_eq!(data.peek(1), Some(20), "the dataset's value is gone");
    });
}

/// A new time is the same value again, and must not bring back what was removed meanwhile.
#[test]
fn dead_told_against_retime() {
    run_model("dead_told_against_retime", 150, || {
        let (data, mut folder) = store();
        data.set(1, DEAD);
        let later = Deadline::NEVER;
        let touch = spawn(&data, move |data| data.0.retime(data.hash(1), &1, later));
        let gone = data.0.bury_if_dead(data.hash(1), &1);
        touch.join().unwrap();
        folder.fold(&data.0);
        assert!(gone);
        assert_eq!(data.folded(1), None, "the dead value is back");
    });
}
