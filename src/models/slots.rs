//! What a thread keeps without a handle: let go when it is not read any more, and as fresh as any read.

use loom::thread;

use super::support::{run_model, spawn, store};
use crate::sync::{
    Arc, Cell, Place,
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

fn read(place: &Place<u8>, cell: &Cell<u8>) -> u8 {
    place
        .read(|value| Some(*value))
        .unwrap_or_else(|stopped| cell.read_on(place, stopped, |value| *value))
}

/// loom's cell checks that nobody reads what is let go, and that who lets go finds what the other has done.
#[test]
fn slot_is_let_go_once_it_is_left() {
    keeping("slot_is_let_go_once_it_is_left", 500, || {
        let first = Arc::new(1);
        let cell = Arc::new(Cell::new(Arc::clone(&first)));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let place = cell.place();
                let values = [(); 3].map(|()| read(&place, &cell));
                assert!(values.is_sorted(), "{values:?}");
            })
        };
        drop(cell.swap(Arc::new(2)));
        cell.let_go();
        drop(cell.swap(Arc::new(3)));
        cell.let_go();
        reader.join().unwrap();
        cell.let_go();
        // The stand-in for arc-swap keeps one.
        assert_eq!(Arc::strong_count(&first), 2, "kept for nobody");
    });
}

/// A read inside of another: a `Clone` of the user's that reads what it is a clone of.
#[test]
fn slot_stays_inside_until_the_outer_read_ends() {
    keeping("slot_stays_inside_until_the_outer_read_ends", 30, || {
        let cell = Arc::new(Cell::new(Arc::new(1)));
        let place = cell.place();
        read(&place, &cell);
        let outer = place.read(|outer| {
            drop(cell.swap(Arc::new(2)));
            let folder = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.let_go())
            };
            // After the first of these the second is one more moment in which the outer one is inside.
            let inner = [(); 2].map(|()| read(&place, &cell));
            Some((*outer, inner, folder))
        });
        let Ok((1, [2, 2], folder)) = outer else {
            panic!("not what was published");
        };
        folder.join().unwrap();
        cell.let_go();
    });
}

/// A thread takes up what it has loaded while something else is published.
#[test]
fn slot_keeps_nothing_that_was_replaced() {
    keeping("slot_keeps_nothing_that_was_replaced", 20, || {
        let cell = Arc::new(Cell::new(Arc::new(1)));
        let place = cell.place();
        // From here on its slot is known.
        assert_eq!(read(&place, &cell), 1);
        drop(cell.swap(Arc::new(2)));
        let publisher = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || drop(cell.swap(Arc::new(3))))
        };
        read(&place, &cell);
        publisher.join().unwrap();
        assert_eq!(read(&place, &cell), 3, "kept");
    });
}

#[test]
fn slot_two_threads_have_two() {
    keeping("slot_two_threads_have_two", 350, || {
        let cell = Arc::new(Cell::new(Arc::new(1)));
        let reads = |cell: &Arc<Cell<u8>>| {
            let cell = Arc::clone(cell);
            thread::spawn(move || {
                let place = cell.place();
                let values = [(); 2].map(|()| read(&place, &cell));
                assert!(values.is_sorted(), "{values:?}");
            })
        };
        let readers = [reads(&cell), reads(&cell)];
        drop(cell.swap(Arc::new(2)));
        cell.let_go();
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn slot_read_sees_what_it_is_told_of() {
    keeping("slot_read_sees_what_it_is_told_of", 16_000, || {
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
    keeping("slot_read_and_handle_never_go_back", 8_000, || {
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
