//! Replacing everything: `clear`, and the publication of a dataset.

use super::support::{Data, run_model, spawn, store};
use crate::store::Installed;
use crate::table::Table;

fn dataset(data: &Data) -> Table<u8, u8> {
    Table::from_pairs([(1, 50)], |key| data.hash(*key))
}

/// Who has seen that the bucket was cleared is not cleared afterwards.
#[test]
fn clear_against_a_set() {
    run_model("clear_against_a_set", 30, || {
        let (data, mut folder) = store([(2, 2)]);
        let writer = spawn(&data, |data| {
            let cleared = data.peek(2).is_none();
            data.set(1, 20);
            if cleared {
                assert_eq!(data.peek(1), Some(20));
            }
            cleared
        });
        folder.clear(&data.0);
        assert_eq!(data.peek(2), None);
        if writer.join().unwrap() {
            assert_eq!(data.peek(1), Some(20));
        }
        let left = data.peek(1);
        folder.fold(&data.0);
        assert_eq!(data.peek(1), left);
    });
}

#[test]
fn clear_against_a_group() {
    run_model("clear_against_a_group", 20, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set_many([(1, 1), (2, 2)]));
        folder.clear(&data.0);
        writer.join().unwrap();
        assert_eq!(
            data.peek(1).is_some(),
            data.peek(2).is_some(),
            "half a group"
        );
    });
}

#[test]
fn clear_against_a_load() {
    run_model("clear_against_a_load", 15, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| {
            data.install(number, 1, 99);
        });
        folder.clear(&data.0);
        assert_eq!(data.peek(1), None);
        loader.join().unwrap();
        assert_eq!(data.peek(1), None);
    });
}

/// A set that the clear has swallowed still ends the loads that began before it.
#[test]
fn clear_against_a_load_and_a_set() {
    run_model("clear_against_a_load_and_a_set", 15, || {
        let (data, mut folder) = store([]);
        let loader = spawn(&data, |data| {
            let load = data.0.begin_load();
            data.set(1, 20);
            data.install(load.number(), 1, 99);
            assert_ne!(data.peek(1), Some(99));
        });
        folder.clear(&data.0);
        loader.join().unwrap();
        assert_ne!(data.peek(1), Some(99));
    });
}

/// What is written after a dataset's fetch began is laid over it.
#[test]
fn dataset_against_a_set() {
    run_model("dataset_against_a_set", 830, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.begin_dataset(&data.0);
        let dataset = dataset(&data);
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        folder.publish_dataset(&data.0, dataset);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
    });
}

/// Also if it is folded before the dataset comes.
#[test]
fn dataset_after_a_fold() {
    run_model("dataset_after_a_fold", 7300, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.begin_dataset(&data.0);
        data.set(2, 2);
        let dataset = dataset(&data);
        let writer = spawn(&data, |data| data.set(1, 20));
        folder.fold(&data.0);
        folder.publish_dataset(&data.0, dataset);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
        assert_eq!(data.peek(2), Some(2));
    });
}

/// What a load brings that began before the fetch is older than the dataset.
#[test]
fn dataset_against_an_older_load() {
    run_model("dataset_against_an_older_load", 400, || {
        let (data, mut folder) = store([(1, 10)]);
        let load = data.0.begin_load();
        let number = load.number();
        folder.begin_dataset(&data.0);
        let dataset = dataset(&data);
        let loader = spawn(&data, move |data| {
            data.install(number, 1, 99);
        });
        folder.publish_dataset(&data.0, dataset);
        loader.join().unwrap();
        assert_eq!(data.peek(1), Some(50));
    });
}

/// What a load brings that began after the fetch is newer.
#[test]
fn dataset_against_a_younger_load() {
    run_model("dataset_against_a_younger_load", 460, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.begin_dataset(&data.0);
        let dataset = dataset(&data);
        let loader = spawn(&data, |data| {
            let load = data.0.begin_load();
            assert_eq!(data.install(load.number(), 1, 99), Installed::Stored);
        });
        folder.publish_dataset(&data.0, dataset);
        loader.join().unwrap();
        assert_eq!(data.peek(1), Some(99));
    });
}
