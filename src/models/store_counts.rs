//! Counted reads: none is lost, and none is counted twice, whatever is written and folded meanwhile.

use super::support::{Data, Plain, run_model, spawn};
use crate::clock::Clock;
use crate::store::fold::Folder;
use crate::store::{Store, Terms};
use crate::sync::Arc;
use crate::table::Table;

fn counted() -> (Arc<Data>, Folder<u8, u8>) {
    let terms = Terms {
        count_reads: true,
        ..Terms::default()
    };
    let store = Store::holding(Table::empty(), 0, Plain::default(), Clock::system(), terms);
    let data = Arc::new(Data(Arc::new(store)));
    let mut folder = Folder::new();
    data.set(1, 10);
    folder.fold(&data.0);
    data.set(0, 0);
    (data, folder)
}

/// Two threads that count in one place, and a fold under them.
#[test]
fn counts_are_all_there() {
    run_model("counts_are_all_there", 1200, || {
        let (data, mut folder) = counted();
        let folding = spawn(&data, move |data| folder.fold(&data.0));
        let other = spawn(&data, |data| {
            assert_eq!(data.peek(1), Some(10));
            assert_eq!(data.peek(2), None);
        });
        assert_eq!(data.peek(1), Some(10));
        other.join().unwrap();
        folding.join().unwrap();
        assert_eq!(data.0.reads(), (2, 1));
    });
}
