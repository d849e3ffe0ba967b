//! What is replaced is freed by the folder, all of it and nobody else.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::thread::{self, ThreadId};

use super::support::{Data, run_model, spawn, store_of};
use crate::sync::{Arc, forget_swapped, slots_in_use};

/// A value that knows how many of its kind are alive, and who drops it.
struct Tracked {
    number: u8,
    book: Arc<Book>,
}

struct Book {
    folder: ThreadId,
    alive: AtomicUsize,
    /// Dropped by anybody but the folder. A panic in a drop would be contained.
    by_others: AtomicUsize,
}

impl Tracked {
    fn new(number: u8, book: &Arc<Book>) -> Self {
        book.alive.fetch_add(1, Relaxed);
        let book = Arc::clone(book);
        Self { number, book }
    }
}

impl Tracked {
    /// Is no more, and nobody dropped it.
    fn forget(self) {
        self.book.alive.fetch_sub(1, Relaxed);
        std::mem::forget(self);
    }
}

impl Clone for Tracked {
    fn clone(&self) -> Self {
        Self::new(self.number, &self.book)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.book.alive.fetch_sub(1, Relaxed);
        if thread::current().id() != self.book.folder {
            self.book.by_others.fetch_add(1, Relaxed);
        }
    }
}

/// Readers of all kinds come and go while the folder, which is also the writer, replaces the table twice.
fn freed_by_the_folder(read: fn(&Data<Tracked>)) -> impl Fn() {
    move || {
        forget_swapped::set(true);
        let book = Arc::new(Book {
            folder: thread::current().id(),
            alive: AtomicUsize::new(0),
            by_others: AtomicUsize::new(0),
        });
        let tracked = |number| Tracked::new(number, &book);
        let (data, mut folder) = store_of([(1, tracked(10))], tracked(0));
        let reader = spawn(&data, read);
        data.set(1, tracked(20));
        folder.fold(&data.0);
        folder.sweep(&data.0);
        data.set(1, tracked(30));
        folder.fold(&data.0);
        folder.sweep(&data.0);
        reader.join().unwrap();

        folder.sweep(&data.0);
        assert_eq!(book.by_others.load(Relaxed), 0, "dropped by a reader");
        assert!(folder.retired().is_empty(), "kept for nobody");
        // The dust and the last value, in the table. The overlay is empty.
        assert_eq!(book.alive.load(Relaxed), 2, "alive after all");
        forget_swapped::set(false);
    }
}

#[test]
fn tables_are_not_freed_by_a_read() {
    let model = freed_by_the_folder(|data| {
        let view = data.0.view();
        let value = view.hit(data.hash(1), &1);
        assert!(value.is_none_or(|value| value.number >= 10));
    });
    run_model("tables_are_not_freed_by_a_read", 1000, model);
}

#[test]
fn tables_are_not_freed_by_a_handle() {
    let model = freed_by_the_folder(|data| {
        let mut handle = data.0.reader();
        for _ in 0..2 {
            let value = handle.load().hit(data.hash(1), &1);
            assert!(value.is_none_or(|value| value.number >= 10));
        }
    });
    run_model("tables_are_not_freed_by_a_handle", 2600, model);
}

/// What a thread keeps that reads no more is taken from it.
#[test]
fn tables_are_not_freed_or_kept_by_a_peek() {
    let model = freed_by_the_folder(|data| {
        for _ in 0..2 {
            // A copy of the reader's own.
            if let Some(value) = data.peek(1) {
                assert!(value.number >= 10);
                value.forget();
            }
        }
    });
    run_model(
        "tables_are_not_freed_or_kept_by_a_peek",
        10_000,
        move || {
            slots_in_use::set(true);
            model();
            slots_in_use::set(false);
        },
    );
}

#[test]
fn tables_are_not_freed_by_a_snapshot() {
    let model = freed_by_the_folder(|data| {
        let snapshot = Arc::clone(&data.0.view().current);
        // Held across a step of its own, in which the folder may let go of everything else.
        drop(data.0.view());
        let value = snapshot.table.find_any(data.hash(1), &1);
        assert!(value.is_some_and(|value| value.number >= 10));
    });
    run_model("tables_are_not_freed_by_a_snapshot", 1000, model);
}
