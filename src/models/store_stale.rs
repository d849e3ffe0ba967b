//! What failed to refresh is taken out, and nothing that was written since.

use std::time::Duration;

use loom::thread;

use super::support::{Data, run_model, spawn, store};
use crate::clock::Deadline;
use crate::store::fold::Folder;
use crate::store::{Failed, Retimed};
use crate::sync::Arc;

/// The time of everything here: what is stale is due at once.
const NOW: Duration = Duration::ZERO;

fn fail(data: &Data, load: u64, key: u8) {
    let failed = Failed::new(load, data.hash(key), key, NOW);
    data.0.refresh_failed(failed);
}

fn take_out(data: &Data, folder: &mut Folder<u8, u8>) -> usize {
    folder.take_in_failed(&data.0);
    folder.take_out_keys(&data.0, NOW, NOW, 8)
}

fn tracked<const N: usize>(pairs: [(u8, u8); N]) -> (Arc<Data>, Folder<u8, u8>) {
    let (data, mut folder) = store(pairs);
    folder.track_stale();
    (data, folder)
}

/// A key is written while its reload is under way, and the reload fails, while the folder folds: what was
/// written stays, whatever of it is known when.
#[test]
fn stale_is_not_what_was_written_meanwhile() {
    run_model("stale_is_not_what_was_written_meanwhile", 2900, || {
        let (data, mut folder) = tracked([(1, 10)]);
        let load = data.0.begin_load();
        let writer = spawn(&data, |data| data.set(1, 20));
        let folding = spawn(&data, move |data| {
            folder.fold(&data.0);
            folder
        });
        fail(&data, load.number(), 1);
        drop(load);
        writer.join().unwrap();
        let mut folder = folding.join().unwrap();
        assert_eq!(take_out(&data, &mut folder), 0);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// The same over two folds, of which the second may find the load over.
#[test]
fn stale_is_not_what_was_folded_twice() {
    run_model("stale_is_not_what_was_folded_twice", 20, || {
        let (data, mut folder) = tracked([(1, 10)]);
        let load = data.0.begin_load();
        data.set(1, 20);
        let folding = spawn(&data, move |data| {
            folder.fold(&data.0);
            data.set(2, 2);
            folder.fold(&data.0);
            folder
        });
        fail(&data, load.number(), 1);
        drop(load);
        let mut folder = folding.join().unwrap();
        assert_eq!(take_out(&data, &mut folder), 0);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// A key that nobody has written is taken out, whatever is folded meanwhile.
#[test]
fn stale_is_what_was_not_written() {
    run_model("stale_is_what_was_not_written", 1600, || {
        let (data, mut folder) = tracked([(1, 10)]);
        let load = data.0.begin_load();
        let writer = spawn(&data, |data| data.set(2, 20));
        let folding = spawn(&data, move |data| {
            folder.fold(&data.0);
            folder
        });
        fail(&data, load.number(), 1);
        drop(load);
        writer.join().unwrap();
        let mut folder = folding.join().unwrap();
        assert_eq!(take_out(&data, &mut folder), 1);
        assert_eq!((data.peek(1), data.peek(2)), (None, Some(20)));
        folder.fold(&data.0);
        assert_eq!((data.peek(1), data.peek(2)), (None, Some(20)));
    });
}

/// A key is written after its failure is known, and folded or not: it is not stale any more.
#[test]
fn stale_ends_with_a_write() {
    run_model("stale_ends_with_a_write", 17000, || {
        let (data, mut folder) = tracked([(1, 10)]);
        let load = data.0.begin_load();
        fail(&data, load.number(), 1);
        drop(load);
        folder.take_in_failed(&data.0);
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        folder.fold(&data.0);
        take_out(&data, &mut folder);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
    });
}

/// A key is written while it is taken out: the write stands, and who has seen it never misses again.
#[test]
fn stale_goes_while_it_is_written() {
    run_model("stale_goes_while_it_is_written", 38000, || {
        let (data, mut folder) = tracked([(1, 10)]);
        let load = data.0.begin_load();
        fail(&data, load.number(), 1);
        drop(load);
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        let reader = spawn(&data, |data| {
            if data.peek(1) == Some(20) {
                assert_eq!(data.peek(1), Some(20), "seen before");
            }
        });
        take_out(&data, &mut folder);
        writer.join().unwrap();
        reader.join().unwrap();
        folder.fold(&data.0);
        assert_eq!(data.peek(1), Some(20));
    });
}

/// A dataset fails while a key is written: all goes but that key, also if it was folded before.
#[test]
fn stale_by_a_dataset_is_not_what_was_written() {
    run_model("stale_by_a_dataset_is_not_what_was_written", 1700, || {
        let (data, mut folder) = tracked([(1, 10), (2, 2)]);
        folder.begin_dataset(&data.0);
        let writer = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        folder.fold(&data.0);
        folder.refresh_failed(&data.0, NOW);
        folder.forget_dataset();
        folder.fold(&data.0);
        assert!(folder.take_out_whole(&data.0, NOW).is_some());
        assert_eq!(data.peek(2), None);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(20));
        folder.fold(&data.0);
        assert_eq!((data.peek(1), data.peek(2)), (Some(20), None));
    });
}

/// What was written since stays while the rest is taken out, and has the time that it is given then.
#[test]
fn stale_goes_and_what_stays_has_its_new_time() {
    run_model("stale_goes_and_what_stays_has_its_new_time", 560, || {
        let (data, mut folder) = tracked([(1, 10), (2, 2)]);
        folder.begin_dataset(&data.0);
        data.set(1, 20);
        folder.fold(&data.0);
        folder.refresh_failed(&data.0, NOW);
        folder.forget_dataset();
        let late = Deadline::after(data.0.clock(), Duration::from_secs(1_000_000));
        let touch = spawn(&data, move |data| {
            while data.0.retime(data.hash(1), &1, late) == Retimed::NotYet {
                thread::yield_now();
            }
        });
        assert!(folder.take_out_whole(&data.0, NOW).is_some());
        touch.join().unwrap();
        for _ in 0..2 {
            let expires = data.0.view().deadline(data.hash(1), &1);
            assert_eq!((data.peek(1), expires), (Some(20), Some(late)));
            assert_eq!(data.peek(2), None);
            folder.fold(&data.0);
        }
    });
}
