//! A write that has returned is seen, and nobody goes back.

use super::support::{Data, run_model, spawn, store};
use crate::sync::{
    Arc,
    atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

/// What `act` leaves behind is read back at once, whatever the folder does meanwhile.
fn own_write<const N: usize>(
    folds: usize,
    cached: [(u8, u8); N],
    act: fn(&Data),
    left: Option<u8>,
) -> impl Fn() {
    move || {
        let (data, mut folder) = store(cached);
        let writer = spawn(&data, move |data| {
            act(data);
            assert_eq!(data.peek(1), left, "its own write");
        });
        for _ in 0..folds {
            folder.fold(&data.0);
        }
        writer.join().unwrap();
        assert_eq!(data.peek(1), left, "after all");
        folder.fold(&data.0);
        assert_eq!(data.peek(1), left, "after a last fold");
    }
}

#[test]
fn own_write_of_a_present_key() {
    let model = own_write(1, [(1, 10)], |data| data.set(1, 20), Some(20));
    run_model("own_write_of_a_present_key", 900, model);
}

#[test]
fn own_write_of_a_fresh_key_over_two_folds() {
    let model = own_write(2, [], |data| data.set(1, 20), Some(20));
    run_model("own_write_of_a_fresh_key_over_two_folds", 1700, model);
}

#[test]
fn own_invalidation() {
    let model = own_write(1, [(1, 10)], |data| data.invalidate(1), None);
    run_model("own_invalidation", 900, model);
}

/// Of two reads of one thread the second is not the older one.
fn never_back(between: Option<u8>) -> impl Fn() {
    move || {
        let (data, mut folder) = store([(1, 10)]);
        if let Some(value) = between {
            data.set(1, value);
        }
        let writer = spawn(&data, |data| data.set(1, 30));
        let reader = spawn(&data, |data| {
            let first = data.peek(1);
            let second = data.peek(1);
            assert!(first <= second, "{first:?}, then {second:?}");
            assert!(first >= Some(10), "present throughout");
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(data.peek(1), Some(30));
    }
}

#[test]
fn never_back_on_a_clean_table() {
    run_model("never_back_on_a_clean_table", 170000, never_back(None));
}

#[test]
fn never_back_with_the_key_in_the_overlay() {
    run_model(
        "never_back_with_the_key_in_the_overlay",
        41000,
        never_back(Some(20)),
    );
}

/// Who is told of a value by somebody who saw it, sees it as well.
#[test]
fn a_value_passed_on_is_seen() {
    run_model("a_value_passed_on_is_seen", 71000, || {
        let (data, mut folder) = store([(1, 10)]);
        let writer = spawn(&data, |data| data.set(1, 20));
        let told = Arc::new(AtomicBool::new(false));
        let teller = {
            let told = Arc::clone(&told);
            spawn(&data, move |data| {
                if data.peek(1) == Some(20) {
                    told.store(true, Release);
                }
            })
        };
        let listener = spawn(&data, move |data| {
            if told.load(Acquire) {
                assert_eq!(data.peek(1), Some(20));
            }
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        teller.join().unwrap();
        listener.join().unwrap();
    });
}
