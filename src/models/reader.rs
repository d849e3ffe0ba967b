//! A reader's own handle sees what any other read sees.

use loom::thread;

use super::support::{Data, Plain, run_model, spawn, store};
use crate::store::View;
use crate::sync::{
    Arc, CellReader,
    atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

/// A handle that has used a view before the model begins.
struct Handle(CellReader<View<u8, u8>>);

impl Handle {
    fn of(data: &Data) -> Self {
        Self(data.0.reader())
    }

    fn get(&mut self, key: u8) -> Option<u8> {
        let hash = std::hash::BuildHasher::hash_one(&Plain::default(), key);
        self.0.load().value(hash, &key)
    }
}

#[test]
fn reader_handle_sees_its_own_write() {
    run_model("reader_handle_sees_its_own_write", 40000, || {
        let (data, mut folder) = store([(1, 10)]);
        let mut handle = Handle::of(&data);
        let writer = spawn(&data, move |data| {
            data.set(1, 20);
            assert_eq!(handle.get(1), Some(20));
        });
        folder.fold(&data.0);
        folder.fold(&data.0);
        writer.join().unwrap();
    });
}

#[test]
fn reader_handle_sees_what_it_is_told_of() {
    run_model("reader_handle_sees_what_it_is_told_of", 21000, || {
        let (data, mut folder) = store([(1, 10)]);
        let mut handle = Handle::of(&data);
        let written = Arc::new(AtomicBool::new(false));
        let writer = {
            let written = Arc::clone(&written);
            spawn(&data, move |data| {
                data.set(1, 20);
                written.store(true, Release);
            })
        };
        let reader = thread::spawn(move || {
            if written.load(Acquire) {
                assert_eq!(handle.get(1), Some(20));
            }
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

/// A handle that looks in the middle of a publication does not take what it finds for the last word.
#[test]
fn reader_handle_that_looked_meanwhile() {
    run_model("reader_handle_that_looked_meanwhile", 2100, || {
        let (data, mut folder) = store([(1, 10)]);
        let mut handle = Handle::of(&data);
        let folded = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&folded);
        let reader = thread::spawn(move || {
            handle.0.load();
            if told.load(Acquire) {
                assert!(handle.0.load().current.epoch >= 2);
            }
        });
        assert_eq!(folder.fold(&data.0), 2);
        folded.store(true, Release);
        reader.join().unwrap();
    });
}

/// Nor does a thread go back that reads now through its handle and now without.
#[test]
fn reader_handle_never_goes_back() {
    run_model("reader_handle_never_goes_back", 670000, || {
        let (data, mut folder) = store([]);
        data.set(1, 10);
        let mut handle = Handle::of(&data);
        let writer = spawn(&data, |data| data.set(1, 20));
        let reader = spawn(&data, move |data| {
            let first = data.peek(1);
            let second = handle.get(1);
            assert!(first <= second, "{first:?}, then {second:?}");
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        reader.join().unwrap();
    });
}
