//! A write that has returned is seen, and nobody goes back.

use loom::thread;

use super::support::{Data, folded, run_model};
use crate::sync::{Arc, atomic::AtomicBool, order};

/// What `act` leaves behind is read back at once, whatever the folder does meanwhile.
fn own_write(
    name: &str,
    floor: usize,
    folds: usize,
    cached: bool,
    act: fn(&Data),
    left: Option<u8>,
) {
    run_model(name, floor, move || {
        let (data, mut folder) = folded(if cached { &[(1, 10)] } else { &[] });
        let writer = {
            let data = Arc::clone(&data);
            thread::spawn(move || {
                act(&data);
                assert_eq!(data.peek(1), left, "its own write");
            })
        };
        for _ in 0..folds {
            folder.fold(&data.0);
        }
        writer.join().unwrap();
        assert_eq!(data.peek(1), left, "after all");
        folder.fold(&data.0);
        assert_eq!(data.peek(1), left, "after a last fold");
    });
}

#[test]
fn own_write_of_a_present_key() {
    own_write(
        "own_write_of_a_present_key",
        100,
        1,
        true,
        |data| data.set(1, 20),
        Some(20),
    );
}
#[test]
fn own_write_of_a_fresh_key_over_two_folds() {
    own_write(
        "own_write_of_a_fresh_key_over_two_folds",
        100,
        2,
        false,
        |data| data.set(1, 20),
        Some(20),
    );
}
#[test]
fn own_invalidation() {
    own_write(
        "own_invalidation",
        100,
        1,
        true,
        |data| data.invalidate(1),
        None,
    );
}

/// Of `sync::watched`: loom by itself explores one execution here, and never the one in which the
/// thread is first.
#[test]
fn a_change_is_tried_before_every_load() {
    let found = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let finder = Arc::clone(&found);
    run_model("a_change_is_tried_before_every_load", 2, move || {
        let flag = Arc::new(AtomicBool::new(false));
        let changer = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || {
                flag.load(order::COUNT);
                flag.swap(true, order::COUNT);
            })
        };
        finder.fetch_or(flag.load(order::COUNT), std::sync::atomic::Ordering::SeqCst);
        changer.join().unwrap();
    });
    assert!(found.load(std::sync::atomic::Ordering::SeqCst));
}
