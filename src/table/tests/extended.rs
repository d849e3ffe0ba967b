//! Tables with new keys beside the others.

use super::*;

const HELD: u64 = if cfg!(miri) { 300 } else { 10_000 };

fn new_keys(keys: std::ops::Range<u64>) -> Vec<Change<u64, u64>> {
    keys.map(|key| change(ahash_of, key, Some(key))).collect()
}

/// A table, and what it should have.
fn held() -> (Table<u64, u64>, HashMap<u64, (u64, bool)>) {
    let table = Table::from_pairs((0..HELD).map(|key| (key, key)), ahash_of);
    let model = (0..HELD).map(|key| (key, (key, false))).collect();
    (table, model)
}

fn slots(table: &Table<u64, u64>) -> *const () {
    table.first.entries().address()
}

#[test]
fn new_keys_leave_the_first_level_where_it_is_and_marks_do_not_come_along() {
    let (table, mut model) = held();
    for key in (0..HELD).step_by(7) {
        assert!(table.mark(ahash_of(&key), &key));
    }
    let new = HELD..HELD + HELD / 10;
    let extended = table.extended(new_keys(new.clone()), ahash_of);
    assert_eq!(slots(&extended), slots(&table));
    assert!(extended.is_extended() && !table.is_extended());
    model.extend(new.map(|key| (key, (key, false))));
    check(&extended, &model, ahash_of, HELD * 2);

    // And a mark in the one is none in the other.
    assert!(extended.mark(ahash_of(&1), &1) && extended.mark(ahash_of(&HELD), &HELD));
    assert_eq!(table.live(ahash_of(&1), &1), Some(&1));
    drop(table);
    for key in [1, HELD] {
        model.insert(key, (key, true));
    }
    check(&extended, &model, ahash_of, HELD * 2);
}

#[test]
fn a_change_of_what_is_there_copies_it_and_new_keys_stay_beside() {
    let (table, mut model) = held();
    let old = slots(&table);
    let mut changes = new_keys(HELD..HELD + HELD / 10);
    changes.push(change(ahash_of, 3, Some(33)));
    changes.push(change(ahash_of, 4, None));
    let extended = table.extended(changes, ahash_of);
    assert_ne!(slots(&extended), old);
    assert!(extended.is_extended());
    model.extend((HELD..HELD + HELD / 10).map(|key| (key, (key, false))));
    model.insert(3, (33, false));
    model.remove(&4);
    check(&extended, &model, ahash_of, HELD * 2);

    // What is beside is changed there.
    let changes = vec![
        change(ahash_of, HELD, Some(44)),
        change(ahash_of, HELD + 1, None),
    ];
    let again = extended.extended(changes, ahash_of);
    assert_eq!(slots(&again), slots(&extended));
    model.insert(HELD, (44, false));
    model.remove(&(HELD + 1));
    check(&again, &model, ahash_of, HELD * 2);

    // And found there whether the block that it would be in is copied or placed anew.
    let changes = vec![change(ahash_of, 5, Some(55)), change(ahash_of, 6, None)];
    let copied = again.extended(changes, ahash_of);
    assert_ne!(slots(&copied), slots(&again));
    model.insert(5, (55, false));
    model.remove(&6);
    check(&copied, &model, ahash_of, HELD * 2);
}

#[test]
fn pilots_say_where_keys_are_unless_these_were_put_beside() {
    let (table, _) = held();
    assert!(table.second.entries().len() > 0, "some find no place");
    assert!(!table.has_unsaid());
    let patched = table.patched(vec![change(ahash_of, 3, None)], ahash_of);
    assert!(!patched.has_unsaid());
    let extended = table.extended(new_keys(HELD..HELD + HELD / 10), ahash_of);
    assert!(extended.has_unsaid());
    assert!(!extended.patched(Vec::new(), ahash_of).has_unsaid());
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn what_is_beside_comes_home_when_it_is_too_much_and_when_asked() {
    let (mut table, mut model) = held();
    let step = HELD / 20;
    let mut homecomings = 0;
    for from in (HELD..HELD * 3).step_by(step as usize) {
        let before = table.second.entries().len();
        table = table.extended(new_keys(from..from + step), ahash_of);
        model.extend((from..from + step).map(|key| (key, (key, false))));
        let (first, second) = (table.first.entries().len(), table.second.entries().len());
        assert!(second * 2 <= first, "{second} beside {first}");
        homecomings += usize::from(second < before);
        check(&table, &model, ahash_of, from + 2 * step);
    }
    assert!((2..=4).contains(&homecomings), "{homecomings} times");

    table = table.extended(new_keys(HELD * 3..HELD * 3 + step), ahash_of);
    assert!(table.is_extended());
    model.extend((HELD * 3..HELD * 3 + step).map(|key| (key, (key, false))));
    let home = table.patched(Vec::new(), ahash_of);
    assert!(!home.is_extended() && home.second.entries().len() * 100 < home.len());
    check(&home, &model, ahash_of, HELD * 4);
}

/// Or a quiet bucket would copy its table for ever.
#[test]
fn what_was_brought_home_stays_there_whatever_the_hasher() {
    for hash_of in HASHERS {
        let pairs = (0..KEYS).map(|key| (key, key));
        let table = Table::from_pairs(pairs, hash_of);
        let new = KEYS..KEYS + KEYS / 3;
        let changes = new.map(|key| change(hash_of, key, Some(key))).collect();
        let extended = table.extended(changes, hash_of);
        let home = extended.patched(Vec::new(), hash_of);
        assert!(!home.is_extended());
        let model = (0..KEYS + KEYS / 3).map(|key| (key, (key, false)));
        check(&home, &model.collect(), hash_of, KEYS * 2);
    }
}

#[test]
fn what_two_tables_share_is_dropped_with_the_second_of_them() {
    let drops = Rc::new(Cell::new(0));
    let value = || Counted {
        drops: Rc::clone(&drops),
        panics: false,
    };
    let table = Table::from_pairs((0..100_u64).map(|key| (key, value())), ahash_of);
    let built = drops.get();
    let changes = (100..110).map(|key| Change {
        hash: ahash_of(&key),
        key,
        value: Some(value()),
    });
    let extended = table.extended(changes.collect(), ahash_of);
    assert_eq!(drops.get(), built, "nothing was copied");
    drop(table);
    assert_eq!(drops.get(), built);
    drop(extended);
    assert_eq!(drops.get(), built + 110);
}
