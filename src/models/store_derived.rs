//! What is derived from a dataset: published with its table, and freed with it.

use super::support::{Data, run_model, spawn, store};
use crate::store::{Built, Derivations};
use crate::sync::Arc;
use crate::table::Table;

/// By which these models find what was derived.
const NUMBER: u64 = 7;

/// A dataset that says `round`, and what was derived from it says so too.
fn dataset(data: &Data, round: u8) -> Built<u8, u8> {
    let mut derived = Derivations::default();
    derived.add(NUMBER, Box::new(round));
    Built {
        table: Table::from_pairs([(1, round)], |key| data.hash(*key)),
        derived: Some(Arc::new(derived)),
    }
}

/// What a snapshot that is taken now says of its dataset, in its table and beside it.
fn look(data: &Data) -> (Option<u8>, Option<u8>) {
    let snapshot = Arc::clone(&data.0.view().current);
    // A step of its own, in which the folder may publish.
    drop(data.0.view());
    let value = snapshot.table.find_any(data.hash(1), &1).copied();
    (value, snapshot.derived(NUMBER).copied())
}

/// Whoever takes a snapshot has one dataset, whatever is published and folded meanwhile.
#[test]
fn derived_is_of_its_dataset() {
    run_model("derived_is_of_its_dataset", 4000, || {
        let (data, mut folder) = store([]);
        folder.begin_dataset(&data.0);
        folder.publish_dataset(&data.0, dataset(&data, 50));
        let reader = spawn(&data, |data| {
            let mut last = 0;
            for _ in 0..2 {
                let (value, derived) = look(data);
                assert_eq!(value, derived, "of two datasets");
                let round = derived.unwrap();
                assert!(round >= last, "of an older one than before");
                last = round;
            }
        });
        data.set(2, 2);
        folder.fold(&data.0);
        folder.begin_dataset(&data.0);
        folder.publish_dataset(&data.0, dataset(&data, 60));
        reader.join().unwrap();
        assert_eq!(look(&data), (Some(60), Some(60)));
        assert_eq!(data.peek(2), None);
    });
}

/// Emptied in one step as well.
#[test]
fn derived_goes_with_a_clear() {
    run_model("derived_goes_with_a_clear", 60, || {
        let (data, mut folder) = store([]);
        folder.begin_dataset(&data.0);
        folder.publish_dataset(&data.0, dataset(&data, 50));
        let reader = spawn(&data, |data| {
            let (value, derived) = look(data);
            assert_eq!(value, derived, "of a bucket that is empty");
            data.set(1, 70);
            assert_eq!(
                look(data).1.filter(|_| derived.is_none()),
                None,
                "back again"
            );
        });
        folder.clear(&data.0);
        reader.join().unwrap();
        folder.fold(&data.0);
        assert_eq!(look(&data).1, None);
    });
}
