#![allow(clippy::unwrap_used, reason = "a test may unwrap as it likes")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use proptest::prelude::*;

use super::{Ledger, WRITES_A_KEY};

/// Hashes of all qualities.
const HASHES: [fn(u64) -> u64; 5] = [
    |key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15),
    |key| key,
    |key| key << 48,
    |key| key % 3,
    |_| 7,
];

fn put<K: Eq, T>(ledger: &Ledger<K, T>, hash: u64, key: K, item: T) {
    ledger.put_over(hash, key, item, |_| (), |_, _| ());
}

proptest! {
    #[test]
    fn a_ledger_is_a_map(
        expected in 0_usize..200,
        hash in prop::sample::select(&HASHES[..]),
        writes in prop::collection::vec((0_u64..150, 0_u32..1000, any::<(bool, bool)>()), 0..600),
    ) {
        let ledger = Ledger::new(expected);
        let mut model = HashMap::new();
        for &(key, item, (overwrite, first)) in &writes {
            let there = model.get(&key).copied();
            if first {
                let mut over = None;
                let meanwhile = |&mine: &u64| assert_eq!(mine, key);
                ledger.put_over(hash(key), key, item, meanwhile, |&current, &mine| {
                    assert_eq!(mine, item);
                    over = Some(current);
                });
                prop_assert_eq!(over, there);
                model.insert(key, item);
                continue;
            }
            let put = ledger.put_if(hash(key), key, item, |current, mine| {
                assert_eq!((current.copied(), *mine), (there, item));
                overwrite || current.is_none()
            });
            if overwrite || there.is_none() {
                prop_assert_eq!(put, Ok(&item));
                model.insert(key, item);
            } else {
                prop_assert_eq!(put, Err(there.as_ref()));
            }
        }
        for key in 0..150 {
            prop_assert_eq!(ledger.get(hash(key), &key), model.get(&key));
        }
        let mut all = HashMap::new();
        ledger.for_each(|at, &key, &item| {
            assert_eq!(at, hash(key));
            assert_eq!(all.insert(key, item), None, "called twice for {key}");
        });
        prop_assert_eq!(ledger.keys(), model.len());
        let mut at_rest = HashMap::new();
        ledger.for_each_at_rest(|at, &key, &item| {
            assert_eq!(at, hash(key));
            assert_eq!(at_rest.insert(key, item), None, "called twice for {key}");
        });
        let mut appended: Vec<_> = Vec::new();
        ledger.for_each_appended(|at, &key| {
            assert_eq!(at, hash(key));
            appended.push(key);
        });
        appended.sort_unstable();
        appended.dedup();
        prop_assert!(appended.iter().all(|key| model.contains_key(key)));
        prop_assert_eq!(appended.len(), model.len());
        prop_assert_eq!(&at_rest, &model);
        prop_assert_eq!(all, model);
        prop_assert!(ledger.written() <= writes.len());
    }
}

/// Whether the entries are the last of their keys, or some were written over, or left behind: the walk of a ledger at rest
/// says the same as that of its words.
#[test]
fn a_ledger_at_rest_is_walked_as_any() {
    let walked = |ledger: &Ledger<u64, u64>| {
        let (mut any, mut at_rest) = (Vec::new(), Vec::new());
        ledger.for_each(|hash, &key, &item| any.push((hash, key, item)));
        ledger.for_each_at_rest(|hash, &key, &item| at_rest.push((hash, key, item)));
        let in_order = at_rest.is_sorted_by_key(|&(_, key, _)| key);
        any.sort_unstable();
        at_rest.sort_unstable();
        assert_eq!(any, at_rest);
        assert_eq!(ledger.keys(), at_rest.len());
        (at_rest.len(), in_order)
    };
    for keys in [0, 1, 15, 16, 17, 48, 1000, 40_000] {
        let ledger = Ledger::new(keys / 3);
        for key in 0..keys as u64 {
            put(&ledger, HASHES[0](key), key, key);
        }
        // As they lie: else there was no need to walk it so.
        assert_eq!(walked(&ledger), (keys, true));
        let index = ledger.prepare(HASHES[0](7), 7, 70);
        assert_eq!(walked(&ledger).0, keys, "what is not put is not there");
        assert!(ledger.link_if(index, |_| true));
        assert_eq!(walked(&ledger).0, keys + usize::from(keys < 8));
    }
}

/// Also what was written over, as long as that is not most of it; then each key once.
#[test]
fn what_was_appended_is_walked() {
    let ledger = Ledger::new(0);
    let appended = |ledger: &Ledger<u64, u64>| {
        let mut keys = Vec::new();
        ledger.for_each_appended(|hash, &key| {
            assert_eq!(hash, HASHES[0](key));
            keys.push(key);
        });
        keys
    };
    for _ in 0..WRITES_A_KEY {
        for key in 0..100 {
            put(&ledger, HASHES[0](key), key, 0);
        }
    }
    let keys = appended(&ledger);
    assert_eq!(keys.len(), 100 * WRITES_A_KEY);
    assert!(
        keys.iter()
            .zip((0..100).cycle())
            .all(|(&key, at)| key == at)
    );
    put(&ledger, HASHES[0](7), 7, 0);
    let mut keys = appended(&ledger);
    keys.sort_unstable();
    assert_eq!(keys, Vec::from_iter(0..100));
}

#[test]
fn more_than_was_expected_finds_room() {
    for hash in &HASHES[..3] {
        let ledger = Ledger::new(0);
        for key in 0..40_000_u64 {
            put(&ledger, hash(key), key, key + 1);
        }
        for key in 0..40_000_u64 {
            assert_eq!(ledger.get(hash(key), &key), Some(&(key + 1)));
        }
        assert_eq!(ledger.get(hash(40_000), &40_000), None);
    }
}

/// Keys of one hash are a list, and that list is dropped without a recursion.
#[test]
fn keys_of_one_hash_are_a_list() {
    let ledger = Ledger::new(0);
    for key in 0..2000_u64 {
        put(&ledger, 7, key, key);
    }
    assert!((0..2000).all(|key| ledger.get(7, &key) == Some(&key)));
    assert_eq!(ledger.get(7, &2000), None);
    let small = thread::Builder::new().stack_size(64 << 10);
    small.spawn(move || drop(ledger)).unwrap().join().unwrap();
}

#[test]
fn keys_are_asked_for_borrowed() {
    let ledger = Ledger::new(0);
    put(&ledger, 1, String::from("one"), 1);
    assert_eq!(ledger.get(1, "one"), Some(&1));
    assert_eq!(ledger.get(1, "two"), None);
    assert_eq!(ledger.get(2, "one"), None);
}

/// Threads that write the same keys lose none, and of each the last write stands.
#[test]
fn writers_of_the_same_keys_lose_none() {
    const KEYS: u64 = 1000;
    const ROUNDS: u64 = 10;
    for hash in HASHES {
        let keys = if hash(1) == hash(2) { 50 } else { KEYS };
        let ledger = Ledger::new(0);
        thread::scope(|scope| {
            for writer in 0..3 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        for key in 0..keys {
                            // Only ever upwards, as a sequence of numbers goes.
                            let item = round * 3 + writer;
                            let _ = ledger.put_if(hash(key), key, item, |current, &mine| {
                                current.is_none_or(|&current| current < mine)
                            });
                        }
                    }
                });
            }
            scope.spawn(|| {
                let mut last = vec![0; keys as usize];
                for _ in 0..10 {
                    for (key, last) in (0..).zip(&mut last) {
                        let now = ledger.get(hash(key), &key).copied().unwrap_or(0);
                        assert!(now >= *last, "{key} went back");
                        *last = now;
                    }
                }
            });
        });
        let mut found = 0;
        ledger.for_each(|_, _, &item| {
            assert_eq!(item, ROUNDS * 3 - 1);
            found += 1;
        });
        assert_eq!(found, keys);
    }
}

/// Nothing is dropped before the ledger is, and then each thing once.
#[test]
fn all_is_dropped_at_the_end_and_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let ledger = Ledger::new(0);
    for key in 0..100_u64 {
        for _ in 0..10 {
            put(&ledger, key, key, Counted(Arc::clone(&dropped)));
        }
    }
    assert_eq!(dropped.load(Relaxed), 0);
    let refused = ledger.put_if(0, 0, Counted(Arc::clone(&dropped)), |_, _| false);
    assert!(refused.is_err());
    assert_eq!(
        dropped.load(Relaxed),
        1,
        "who is refused keeps nothing here"
    );
    drop(ledger);
    assert_eq!(dropped.load(Relaxed), 1001);
}

/// A comparison that panics leaves the ledger as it was.
#[test]
fn an_eq_that_panics_does_no_harm() {
    #[derive(Debug)]
    struct Touchy(u8, bool);
    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            assert!(!self.1 && !other.1, "as the test wants it");
            self.0 == other.0
        }
    }
    impl Eq for Touchy {}
    let ledger = Ledger::new(0);
    put(&ledger, 1, Touchy(1, false), 10);
    let put_over = || put(&ledger, 1, Touchy(1, true), 20);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(put_over));
    assert!(caught.is_err());
    assert_eq!(ledger.get(1, &Touchy(1, false)), Some(&10));
    // It was appended first, and is not taken for what it did not become.
    assert_eq!((ledger.written(), ledger.keys()), (2, 1));
    let mut at_rest = Vec::new();
    ledger.for_each_at_rest(|_, _, &item| at_rest.push(item));
    assert_eq!(at_rest, [10]);
    let put_if = || ledger.put_if(1, Touchy(1, true), 20, |_, _| true).is_ok();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(put_if));
    assert!(caught.is_err());
    assert_eq!((ledger.written(), ledger.keys()), (2, 1), "looks first");
}

/// Also where the key that is on its way in panics in its own drop: two at once would abort the process.
#[test]
fn an_eq_that_panics_and_a_drop_that_does_so_too_do_no_harm() {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mood {
        Calm,
        Fierce,
    }
    struct Beast(Mood);
    impl PartialEq for Beast {
        fn eq(&self, other: &Self) -> bool {
            assert!(self.0 == other.0, "as the test wants it");
            true
        }
    }
    impl Eq for Beast {}
    impl Drop for Beast {
        fn drop(&mut self) {
            assert!(self.0 == Mood::Calm, "as the test wants it");
        }
    }
    let ledger = Ledger::new(0);
    put(&ledger, 1, Beast(Mood::Calm), 10);
    let put_over = || put(&ledger, 1, Beast(Mood::Fierce), 20);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(put_over));
    assert!(caught.is_err());
    // Refused: its drop is contained.
    let refused = ledger.put_if(2, Beast(Mood::Fierce), 30, |_, _| false);
    assert_eq!(refused, Err(None));
    assert_eq!(ledger.get(1, &Beast(Mood::Calm)), Some(&10));
}
