//! G1, by a counting allocator: a hit allocates nothing and frees nothing. In a binary of its own, since
//! an allocator is the whole process's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use larder::{Bucket, Derived, ManualClock};

const KEYS: u64 = 1_000;

/// A bucket with all keys in the snapshot, and a few more in the overlay that no fold will take.
fn stocked() -> Bucket<u64, u64> {
    let bucket = Bucket::<u64, u64>::builder("stocked")
        .clock(ManualClock::new().clock())
        .load(|key: &u64| Ok::<_, String>(*key))
        .build()
        .unwrap();
    bucket.set_many((0..KEYS).map(|key| (key, key)));
    bucket.publish().unwrap();
    bucket.set_many((KEYS..2 * KEYS).map(|key| (key, key)));
    bucket
}

/// What this thread allocates and frees in two rounds over the keys, the first of which warms up.
fn counted(mut read: impl FnMut(u64) -> Option<u64>) -> AllocationInfo {
    let mut round = || {
        for key in 0..KEYS {
            assert_eq!(read(black_box(key)), Some(key));
        }
    };
    round();
    measure(round)
}

#[track_caller]
fn assert_nothing(what: &str, counts: AllocationInfo) {
    // The current count would be negative if anything were freed.
    assert_eq!(
        (counts.count_total, counts.count_current),
        (0, 0),
        "{what}: {counts:?}"
    );
}

/// What is ready at the first poll.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn the_allocator_counts() {
    let counts = measure(|| drop(black_box(Box::new(1))));
    assert_eq!((counts.count_total, counts.count_current), (1, 0));
    let mut kept = None;
    assert_eq!(
        measure(|| kept = Some(black_box(Box::new(1)))).count_current,
        1
    );
    assert_eq!(measure(|| kept = None).count_current, -1);
}

#[test]
fn g1_a_hit_allocates_and_frees_nothing() {
    let bucket = stocked();
    let mut reader = bucket.reader();
    assert_nothing("Reader::get", counted(|key| reader.get(&key).copied()));
    assert_nothing("peek", counted(|key| bucket.peek(&key)));
    assert_nothing("get", counted(|key| bucket.get(&key)));
    assert_nothing(
        "fetch",
        counted(|key| bucket.fetch(&key).unwrap().into_value()),
    );
    assert_nothing("with", counted(|key| bucket.with(&key, |value| *value)));
    assert_nothing(
        "contains",
        counted(|key| bucket.contains(&key).then_some(key)),
    );
    let snapshot = bucket.snapshot();
    assert_nothing("Snapshot::get", counted(|key| snapshot.get(&key).copied()));
    let call = bucket.call();
    assert_nothing("Call::get", counted(|key| call.get(&key)));
    let never = |_: &u64| Ok::<u64, String>(0);
    assert_nothing(
        "fetch_with",
        counted(|key| call.fetch_with(&key, never).unwrap().into_value()),
    );
    assert_nothing(
        "snapshot",
        counted(|key| bucket.snapshot().get(&key).copied()),
    );
    assert_nothing(
        "get_async",
        counted(|key| at_once(bucket.get_async(&key)).flatten()),
    );
    assert_nothing(
        "fetch_async",
        counted(|key| at_once(bucket.fetch_async(&key))?.unwrap().into_value()),
    );
    assert_nothing("epoch", counted(|key| (bucket.epoch() > 0).then_some(key)));
}

#[test]
fn g1_what_is_derived_is_got_at_without_allocating() {
    let index = Derived::index(|_, value: &u64| [*value]);
    let bucket = Bucket::<u64, u64>::builder("derived")
        .load_all(|| Ok::<_, String>((0..KEYS).map(|key| (key, key))))
        .derive(&index)
        .build()
        .unwrap();
    let refreshed = bucket.refresh().wait(std::time::Duration::from_secs(60));
    refreshed.unwrap();
    let by_index = counted(|key| {
        let snapshot = bucket.snapshot();
        index.find(&snapshot, &key).next().map(|(key, _)| *key)
    });
    assert_nothing("Derived::find", by_index);
    let mut reader = bucket.reader();
    let by_reader = counted(|key| reader.derived(&index)?.keys(&key).first().copied());
    assert_nothing("Reader::derived", by_reader);
}

#[test]
fn g1_a_look_for_what_is_not_there_allocates_nothing() {
    let bucket = stocked();
    let mut reader = bucket.reader();
    let missing = |key: u64| key + 10 * KEYS;
    let none = |found: Option<u64>, key: u64| found.is_none().then_some(key);
    assert_nothing("peek", counted(|key| none(bucket.peek(&missing(key)), key)));
    let mut look = |key| none(reader.get(&missing(key)).copied(), key);
    assert_nothing("Reader::get", counted(&mut look));
    let snapshot = bucket.snapshot();
    let look = |key| none(snapshot.get(&missing(key)).copied(), key);
    assert_nothing("Snapshot::get", counted(look));
}

#[test]
fn g1_a_hit_of_borrowed_keys_and_shared_values_allocates_nothing() {
    let bucket = Bucket::<String, std::sync::Arc<str>>::builder("strings")
        .build()
        .unwrap();
    let names: Vec<String> = (0..KEYS).map(|key| format!("key number {key}")).collect();
    bucket.set_many(
        names
            .iter()
            .map(|name| (name.clone(), name.as_str().into())),
    );
    bucket.publish().unwrap();
    let mut reader = bucket.reader();
    let name = |key: u64| names[key as usize].as_str();
    let by_reader = counted(|key| (reader.get(name(key))? as &str == name(key)).then_some(key));
    assert_nothing("Reader::get", by_reader);
    let by_peek = counted(|key| (&*bucket.peek(name(key))? == name(key)).then_some(key));
    assert_nothing("peek", by_peek);
}

#[test]
fn g1_a_hit_frees_nothing_right_after_what_it_read_was_replaced() {
    let bucket = stocked();
    let mut reader = bucket.reader();
    assert_eq!(reader.get(&1), Some(&1));
    // A thread's first one makes the thread known to the bucket.
    assert_eq!(bucket.peek(&1), Some(1));
    for round in 0..20 {
        // The reader holds the table that is replaced, alone but for the bucket's own list.
        bucket.set(KEYS - 1, round);
        bucket.publish().unwrap();
        let counts = measure(|| {
            assert_eq!(reader.get(&1), Some(&1));
            assert_eq!(bucket.peek(&1), Some(1));
        });
        assert_nothing("the first read after a publication", counts);
    }
}

#[test]
fn g1_a_hit_of_what_was_just_written_allocates_nothing() {
    let bucket = stocked();
    let mut reader = bucket.reader();
    let overlaid = |key: u64| key + KEYS;
    assert_nothing(
        "peek",
        counted(|key| Some(bucket.peek(&overlaid(key))? - KEYS)),
    );
    assert_nothing(
        "Reader::get",
        counted(|key| Some(*reader.get(&overlaid(key))? - KEYS)),
    );
}
