//! What a thread keeps without a handle: its own, or the visitor's, and as fresh as any read.

use loom::thread;

use super::support::{run_model, spawn, store};
use crate::sync::{
    Arc, PerThread,
    atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
    slots_in_use,
};

/// A model in which reads without a handle keep what they read.
fn keeping(name: &str, floor: usize, model: impl Fn() + Send + Sync + 'static) {
    run_model(name, floor, move || {
        slots_in_use::set(true);
        model();
        slots_in_use::set(false);
    });
}

/// loom's cell checks that no two are in a slot at a time, and that each finds what the one before left.
#[test]
fn slot_is_used_by_one_at_a_time() {
    keeping("slot_is_used_by_one_at_a_time", 85, || {
        let slots = Arc::new(PerThread::<u8>::new());
        let owners = Arc::clone(&slots);
        let owner = thread::spawn(move || {
            for _ in 0..2 {
                if let Some(mut mine) = owners.enter(owners.place()) {
                    let value = mine.value().get_or_insert(0);
                    *value += 1;
                    assert!(owners.enter(owners.place()).is_none(), "entered twice");
                }
            }
        });
        slots.visit_idle(|value| *value = value.map(|value| value + 10));
        owner.join().unwrap();
        slots.visit_idle(|value| *value = None);
    });
}

#[test]
fn slot_two_visitors() {
    keeping("slot_two_visitors", 50, || {
        let slots = Arc::new(PerThread::<u8>::new());
        let visited = Arc::clone(&slots);
        let visitor = thread::spawn(move || {
            visited.visit_idle(|value| *value = Some(1));
        });
        if let Some(mut mine) = slots.enter(slots.place()) {
            *mine.value() = Some(2);
        }
        slots.visit_idle(|value| *value = Some(3));
        visitor.join().unwrap();
    });
}

#[test]
fn slot_read_sees_what_it_is_told_of() {
    keeping("slot_read_sees_what_it_is_told_of", 230000, || {
        let (data, mut folder) = store([(1, 10)]);
        let written = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&written);
        let reader = spawn(&data, move |data| {
            let first = data.peek(1);
            let told = told.load(Acquire);
            let second = data.peek(1);
            assert!(first <= second && (!told || second == Some(20)));
        });
        data.set(1, 20);
        written.store(true, Release);
        folder.fold(&data.0);
        reader.join().unwrap();
    });
}

/// A thread that reads now in one way and now in the other does not go back.
#[test]
fn slot_read_and_handle_never_go_back() {
    keeping("slot_read_and_handle_never_go_back", 230000, || {
        let (data, mut folder) = store([]);
        data.set(1, 10);
        let reader = spawn(&data, |data| {
            let first = data.peek(1);
            let second = data.0.view().value(data.hash(1), &1);
            let third = data.peek(1);
            assert!(
                first <= second && second <= third,
                "{first:?}, {second:?}, {third:?}"
            );
        });
        data.set(1, 20);
        folder.fold(&data.0);
        reader.join().unwrap();
    });
}
