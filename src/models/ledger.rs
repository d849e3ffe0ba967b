//! The overlay's map: nothing is lost, seen half, or found twice.

use loom::thread;

use super::support::run_model;
use crate::ledger::Ledger;
use crate::sync::Arc;
use crate::sync::slot::Slot;

type Small = Ledger<u8, u8>;

/// A hash that leads key `n` to the first group at every level, as all the others.
const CROWDED: u64 = 0;

fn put(ledger: &Small, hash: u64, key: u8, item: u8) {
    ledger.put_over(hash, key, item, |_| (), |_, _| ());
}

fn ledger(full: u8) -> Arc<Small> {
    let ledger = Ledger::new(0);
    for key in 0..full {
        put(&ledger, CROWDED, key, 0);
    }
    Arc::new(ledger)
}

fn spawn<T: 'static>(
    ledger: &Arc<Small>,
    act: impl FnOnce(&Small) -> T + 'static,
) -> thread::JoinHandle<T> {
    let ledger = Arc::clone(ledger);
    thread::spawn(move || act(&ledger))
}

fn count(ledger: &Small) -> usize {
    let mut count = 0;
    ledger.for_each(|_, _, _| count += 1);
    count
}

/// What entries lie in, of which the other models have a stand-in. loom's cell checks that nobody looks before it is set.
#[test]
fn ledger_item_is_seen_whole() {
    run_model("ledger_item_is_seen_whole", 20, || {
        let slot = Arc::new(Slot::new());
        let other = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || assert_eq!(*slot.set(7), 7))
        };
        let seen = [slot.get().copied(), slot.look().copied()];
        assert!(matches!(seen, [None, None | Some(7)] | [Some(7), Some(7)]));
        other.join().unwrap();
        let mut slot = Arc::into_inner(slot).unwrap();
        assert_eq!((slot.take(), slot.take()), (Some(7), None));
    });
}

/// Two keys want one word. Who has put one finds it, and in the end both are there.
#[test]
fn ledger_two_keys_and_one_word() {
    run_model("ledger_two_keys_and_one_word", 22, || {
        let ledger = ledger(0);
        let other = spawn(&ledger, |ledger| {
            put(ledger, CROWDED, 1, 10);
            assert_eq!(ledger.get(CROWDED, &1), Some(&10));
        });
        put(&ledger, CROWDED, 2, 20);
        assert_eq!(ledger.get(CROWDED, &2), Some(&20));
        other.join().unwrap();
        assert_eq!(ledger.get(CROWDED, &1), Some(&10));
        assert_eq!(count(&ledger), 2);
    });
}

/// The same where the group is full and both link a block.
#[test]
fn ledger_two_keys_and_one_link() {
    run_model("ledger_two_keys_and_one_link", 90, || {
        let ledger = ledger(2);
        let other = spawn(&ledger, |ledger| put(ledger, CROWDED, 11, 10));
        put(&ledger, CROWDED, 12, 20);
        assert_eq!(ledger.get(CROWDED, &12), Some(&20));
        other.join().unwrap();
        assert_eq!(ledger.get(CROWDED, &11), Some(&10));
        assert_eq!(count(&ledger), 4);
    });
}

/// Puts a bit, and returns what was there.
type Add = fn(&Small, u8) -> u8;

/// Appends after a look.
fn add_if(ledger: &Small, bit: u8) -> u8 {
    // Set by the last call of `allow`, which is the one that counts.
    let mut under = 0;
    // The item is the bit alone: what was under it is known to its writer only.
    let put = ledger.put_if(CROWDED, 1, bit, |current, _| {
        under = current.copied().unwrap_or(0);
        true
    });
    assert!(put.is_ok());
    under
}

/// Appends before it looks.
fn add_over(ledger: &Small, bit: u8) -> u8 {
    let mut under = 0;
    ledger.put_over(CROWDED, 1, bit, |_| (), |&current, _| under = current);
    under
}

/// Two writers of one key, fresh or not: each sees what it is put over, and the last one stands.
fn one_key(known: bool, add: Add) -> impl Fn() {
    move || {
        let ledger = ledger(0);
        if known {
            put(&ledger, CROWDED, 1, 1);
        }
        let other = spawn(&ledger, move |ledger| add(ledger, 2));
        let under_four = add(&ledger, 4);
        let under_two = other.join().unwrap();
        let first = u8::from(known);
        let last = ledger.get(CROWDED, &1).copied();
        match last {
            Some(4) => assert_eq!((under_two, under_four), (first, 2)),
            Some(2) => assert_eq!((under_four, under_two), (first, 4)),
            _ => panic!("{last:?}"),
        }
        assert_eq!((count(&ledger), ledger.keys()), (1, 1));
        let mut at_rest = Vec::new();
        ledger.for_each_at_rest(|_, _, &item| at_rest.push(Some(item)));
        assert_eq!(at_rest, [last], "in the order of their coming");
    }
}

#[test]
fn ledger_two_writers_of_a_fresh_key() {
    run_model(
        "ledger_two_writers_of_a_fresh_key",
        12,
        one_key(false, add_if),
    );
}

#[test]
fn ledger_two_writers_of_a_known_key() {
    run_model(
        "ledger_two_writers_of_a_known_key",
        12,
        one_key(true, add_if),
    );
}

#[test]
fn ledger_two_writers_over_a_fresh_key() {
    run_model(
        "ledger_two_writers_over_a_fresh_key",
        12,
        one_key(false, add_over),
    );
}

#[test]
fn ledger_two_writers_over_a_known_key() {
    run_model(
        "ledger_two_writers_over_a_known_key",
        12,
        one_key(true, add_over),
    );
}

/// A reader and a walk meet whole entries, and the reader does not go back.
#[test]
fn ledger_reads_while_it_is_written() {
    run_model("ledger_reads_while_it_is_written", 120, || {
        let ledger = ledger(1);
        let writer = spawn(&ledger, |ledger| {
            put(ledger, CROWDED, 1, 10);
            put(ledger, CROWDED, 2, 20);
        });
        // Behind a link that is set meanwhile.
        let second = ledger.get(CROWDED, &2).copied();
        let first = ledger.get(CROWDED, &1).copied();
        assert!(second.is_none() || first.is_some(), "put before");
        assert!((1..=3).contains(&count(&ledger)));
        writer.join().unwrap();
        assert_eq!(count(&ledger), 3);
    });
}

/// A walk of what was appended meets all that was put before, and whole entries only.
#[test]
fn ledger_is_walked_while_it_is_written() {
    run_model("ledger_is_walked_while_it_is_written", 4, || {
        let ledger = ledger(1);
        let writer = spawn(&ledger, |ledger| {
            put(ledger, CROWDED, 1, 10);
            put(ledger, CROWDED, 2, 20);
        });
        let known = ledger.get(CROWDED, &1).is_some();
        let mut keys = Vec::new();
        ledger.for_each_appended(|hash, &key| keys.push((hash, key)));
        let expected = [(CROWDED, 0), (CROWDED, 1), (CROWDED, 2)];
        assert!(keys.len() > usize::from(known) && expected.starts_with(&keys));
        writer.join().unwrap();
        let mut at_rest = Vec::new();
        ledger.for_each_at_rest(|_, &key, &item| at_rest.push((key, item)));
        assert_eq!(at_rest, [(0, 0), (1, 10), (2, 20)]);
    });
}

/// Both need a segment that is not there yet.
#[test]
fn ledger_two_writers_and_one_segment() {
    run_model("ledger_two_writers_and_one_segment", 12, || {
        let ledger = ledger(4);
        // In another group: they meet in the segment only.
        let other = spawn(&ledger, |ledger| put(ledger, 1, 11, 10));
        put(&ledger, CROWDED, 12, 20);
        other.join().unwrap();
        assert_eq!(ledger.get(1, &11), Some(&10));
        assert_eq!(ledger.get(CROWDED, &12), Some(&20));
    });
}
