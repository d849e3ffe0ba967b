//! Folds that put new keys beside the others and share what does not change with the table before.

use super::support::{run_model, spawn, store};

/// A mark is of one table, though its entries are also another's: it is not lost by the fold, and does not outlast it.
#[test]
fn beside_against_a_set() {
    run_model("beside_against_a_set", 400, || {
        let (data, mut folder) = store([(1, 1), (2, 2), (3, 3), (4, 4)]);
        let writer = spawn(&data, |data| {
            data.set(1, 10);
            assert_eq!(data.peek(1), Some(10), "its own write");
        });
        folder.put_beside();
        folder.fold(&data.0);
        assert!(data.0.view().current.table.is_extended());
        assert_eq!(data.peek(0), Some(0), "what is beside");
        let seen = data.peek(1);
        assert!(seen != Some(10) || data.peek(1) == seen, "new, then old");
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(10));
        folder.put_beside();
        folder.fold(&data.0);
        assert_eq!((data.folded(1), data.folded(2)), (Some(10), Some(2)));
        assert_eq!(data.peek(1), Some(10));
    });
}

/// What is beside is brought home while it is written over.
#[test]
fn beside_and_home_against_a_set() {
    run_model("beside_and_home_against_a_set", 400, || {
        let (data, mut folder) = store([(1, 1), (2, 2), (3, 3), (4, 4)]);
        folder.put_beside();
        folder.fold(&data.0);
        let writer = spawn(&data, |data| {
            data.set(0, 10);
            assert_eq!(data.peek(0), Some(10), "its own write");
        });
        folder.bring_home();
        folder.fold(&data.0);
        assert!(!data.0.view().current.table.is_extended());
        let seen = data.peek(0);
        assert!(seen != Some(10) || data.peek(0) == seen, "new, then old");
        writer.join().unwrap();
        assert_eq!(data.peek(0), Some(10));
        folder.fold(&data.0);
        assert_eq!((data.folded(0), data.folded(1)), (Some(10), Some(1)));
    });
}
