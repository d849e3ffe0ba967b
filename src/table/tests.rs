//! The table against `std`'s map, for good and bad hashers, sizes, types and panicking drops.

mod extended;

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use crate::clock::Tick;
use crate::table::{AT_ONCE, Change, First, Much, Recency, Table};

type HashOf = fn(&u64) -> u64;

impl<K, V> Table<K, V> {
    /// The value of a key that is here and not marked.
    fn live<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (value, marked) = self.find(hash, key)?;
        (!marked).then_some(value)
    }
}

fn ahash_of<Q: Hash + ?Sized>(key: &Q) -> u64 {
    ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(key)
}

fn identity(key: &u64) -> u64 {
    *key
}

fn constant(_: &u64) -> u64 {
    0xdead_beef
}

fn low_bits(key: &u64) -> u64 {
    ahash_of(key) & 0xf
}

fn high_bits(key: &u64) -> u64 {
    ahash_of(key) << 48
}

fn high_identity(key: &u64) -> u64 {
    key << 40
}

const HASHERS: [HashOf; 6] = [
    ahash_of,
    identity,
    constant,
    low_bits,
    high_bits,
    high_identity,
];

fn change<V>(hash_of: HashOf, key: u64, value: Option<V>) -> Change<u64, V> {
    Change {
        hash: hash_of(&key),
        key,
        value,
    }
}

/// Checks everything that a table says against a model, marked keys apart.
fn check<V>(table: &Table<u64, V>, model: &HashMap<u64, (V, bool)>, hash_of: HashOf, keys: u64)
where
    V: Clone + Debug + PartialEq,
{
    assert_eq!(table.len(), model.len());
    assert_eq!(table.is_empty(), model.is_empty());
    for key in 0..keys {
        let entry = model.get(&key);
        let live = entry.filter(|(_, marked)| !marked);
        let live = live.map(|(value, _)| value);
        assert_eq!(table.live(hash_of(&key), &key), live, "find {key}");
        let hit = table.hit(hash_of(&key), &key);
        assert!(hit.is_none() || hit == live, "hit {key}");
        let any = entry.map(|(value, _)| value);
        assert_eq!(table.find_any(hash_of(&key), &key), any, "find_any {key}");
    }
    let all: Vec<u64> = (0..keys).collect();
    let mut together = Vec::new();
    // Groups that are full, and one that is not.
    for group in all.chunks(AT_ONCE) {
        let asked: Vec<_> = group.iter().map(|key| (hash_of(key), key)).collect();
        table.hits(&asked, &mut together);
        let alone: Vec<_> = asked
            .iter()
            .map(|&(hash, key)| table.hit(hash, key))
            .collect();
        assert_eq!(together, alone, "hits {group:?}");
    }
    let mut seen = HashMap::new();
    for (&key, value) in table.iter() {
        assert_eq!(seen.insert(key, value), None, "key {key} twice in iter");
        assert_eq!(model.get(&key).map(|(value, _)| value), Some(value));
    }
    assert_eq!(seen.len(), model.len());
}

fn model_of(pairs: &[(u64, u32)]) -> HashMap<u64, (u32, bool)> {
    pairs
        .iter()
        .map(|&(key, value)| (key, (value, false)))
        .collect()
}

/// Miri is slower by some hundred times.
const KEYS: u64 = if cfg!(miri) { 24 } else { 300 };

/// As many keys as there are, and some twice.
const ALL: usize = KEYS as usize * 4 / 3;

/// The most entries that a test of several sizes builds a table of.
const MOST: u64 = if cfg!(miri) { 100 } else { 100_000 };

#[derive(Clone, Debug)]
enum Step {
    Mark(Vec<u64>),
    /// And whether new keys go beside the others.
    Patch(Vec<(u64, Option<u32>)>, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![0..20_u64, 0..KEYS];
    let mark = prop::collection::vec(key.clone(), 0..30).prop_map(Step::Mark);
    let few = prop::collection::vec((key.clone(), any::<Option<u32>>()), 0..12);
    let many = prop::collection::vec((key, any::<Option<u32>>()), 0..ALL);
    let fewer = prop::collection::vec(0..KEYS, 0..ALL)
        .prop_map(|keys| keys.into_iter().map(|key| (key, None)).collect());
    let changes = prop_oneof![4 => few, 1 => many, 1 => fewer];
    let patch = (changes, any::<bool>()).prop_map(|(changes, beside)| Step::Patch(changes, beside));
    prop::collection::vec(prop_oneof![mark, patch], 0..12)
}

fn agrees<V>(pairs: Vec<(u64, u32)>, steps: Vec<Step>, hash_of: HashOf, value: fn(u32) -> V)
where
    V: Clone + Debug + PartialEq,
{
    let pairs: Vec<(u64, V)> = pairs.into_iter().map(|(k, v)| (k, value(v))).collect();
    let mut model: HashMap<u64, (V, bool)> = HashMap::new();
    for (key, value) in &pairs {
        model.insert(*key, (value.clone(), false));
    }
    let mut table = Table::from_pairs(pairs, hash_of);
    check(&table, &model, hash_of, KEYS + 20);
    for step in steps {
        match step {
            Step::Mark(keys) => {
                for key in keys {
                    let here = model.get_mut(&key).map(|entry| entry.1 = true).is_some();
                    assert_eq!(table.mark(hash_of(&key), &key), here);
                }
            }
            Step::Patch(changes, beside) => {
                let changes: HashMap<u64, Option<u32>> = changes.into_iter().collect();
                let before = model.clone();
                model.values_mut().for_each(|entry| entry.1 = false);
                for (&key, &change) in &changes {
                    match change {
                        Some(change) => model.insert(key, (value(change), false)),
                        None => model.remove(&key),
                    };
                }
                let changes = changes.into_iter();
                let changes = changes.map(|(k, v)| change(hash_of, k, v.map(value)));
                let patched = match beside {
                    false => table.patched(changes.collect(), hash_of),
                    true => table.extended(changes.collect(), hash_of),
                };
                check(&table, &before, hash_of, KEYS + 20);
                table = patched;
            }
        }
        check(&table, &model, hash_of, KEYS + 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn table_agrees_with_std_map(
        pairs in prop::collection::vec((0..KEYS, any::<u32>()), 0..ALL),
        steps in steps(),
        hasher in 0..HASHERS.len(),
    ) {
        // Gaps hold copies where there is nothing to drop, and else nothing.
        agrees(pairs.clone(), steps.clone(), HASHERS[hasher], |value| value);
        agrees(pairs, steps, HASHERS[hasher], Box::new);
    }
}

#[test]
fn every_key_of_a_good_hasher_is_found_on_the_short_way() {
    for count in [1, 10, 100, 1000, 10_000, MOST] {
        let count = count.min(MOST);
        let table = Table::from_pairs((0..count).map(|key| (key, key)), ahash_of);
        let missed = (0..count).filter(|key| table.hit(ahash_of(key), key).is_none());
        let missed = missed.count() as u64;
        // In a block of any size one or two find that a key of their bucket has the same offset, by chance.
        assert!(missed <= 4 + count / 100, "{missed} of {count}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn a_hasher_that_changes_its_mind_breaks_nothing_but_lookups() {
    let calls = Cell::new(0_u64);
    let hash_of = |key: &u64| {
        calls.set(calls.get() + 1);
        ahash_of(&(key, calls.get() / 100))
    };
    let mut table = Table::from_pairs((0..20_000).map(|key| (key, key)), hash_of);
    for round in 0..8_u64 {
        let keys = round * 5000..round * 5000 + 9000;
        let changes = keys.map(|key| Change {
            hash: hash_of(&key),
            key,
            value: (round % 3 > 0).then_some(key),
        });
        table = table.patched(changes.collect(), hash_of);
        assert_eq!(table.iter().count(), table.len());
        assert!(table.iter().all(|(key, value)| key == value));
    }
}

/// The copies in the gaps of a block must not outlive the keys whose home it is.
#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn keys_of_emptied_blocks_are_gone_and_can_come_back() {
    const COUNT: u64 = 30_000;
    let mut table = Table::from_pairs((0..COUNT).map(|key| (key, key)), ahash_of);
    let shape = table.first.shape();
    assert!(shape.blocks() > 3);
    let mut model: HashMap<u64, (u64, bool)> = (0..COUNT).map(|key| (key, (key, false))).collect();
    // The first, the last, one between; then their neighbours, from which gaps may have been filled.
    for block in [0, shape.blocks() - 1, 2, 1, shape.blocks() - 2] {
        let homed = (0..COUNT).filter(|key| shape.block_of(ahash_of(key)) == block);
        let changes: Vec<_> = homed.map(|key| change(ahash_of, key, None)).collect();
        for change in &changes {
            model.remove(&change.key);
        }
        let again: Vec<_> = changes[..changes.len() / 2]
            .iter()
            .map(|gone| gone.key)
            .collect();
        table = table.patched(changes, ahash_of);
        check(&table, &model, ahash_of, COUNT);
        let mut with_some = model.clone();
        with_some.extend(again.iter().map(|&key| (key, (key + 1, false))));
        let again = again
            .into_iter()
            .map(|key| change(ahash_of, key, Some(key + 1)));
        let patched = table.patched(again.collect(), ahash_of);
        check(&patched, &with_some, ahash_of, COUNT);
    }
}

#[test]
fn table_of_any_size_holds_its_keys_and_no_others() {
    for hash_of in [ahash_of, identity, high_identity] {
        for count in [0, 1, 2, 5, 1000, MOST] {
            let count = count.min(MOST);
            let pairs: Vec<(u64, u32)> = (0..count).map(|key| (key, key as u32)).collect();
            let table = Table::from_pairs(pairs.iter().copied(), hash_of);
            check(&table, &model_of(&pairs), hash_of, count * 2 + 10);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn constant_hasher_with_many_keys_stays_correct() {
    let pairs: Vec<(u64, u32)> = (0..2000).map(|key| (key % 1500, key as u32)).collect();
    let table = Table::from_pairs(pairs.clone(), constant);
    check(&table, &model_of(&pairs), constant, 1600);
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn last_pair_of_a_key_wins_also_when_all_keys_come_often() {
    for hash_of in HASHERS {
        let pairs: Vec<(u64, u32)> = (0..20_000).map(|n| (n % 97, n as u32)).collect();
        let table = Table::from_pairs(pairs.iter().copied().filter(|_| true), hash_of);
        check(&table, &model_of(&pairs), hash_of, 120);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn size_hint_that_lies_is_survived() {
    struct Liar(std::ops::Range<u64>, usize);
    impl Iterator for Liar {
        type Item = (u64, u32);
        fn next(&mut self) -> Option<Self::Item> {
            self.0.next().map(|key| (key, key as u32))
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, Some(self.1))
        }
    }
    for told in [0, 3, 5000, 100_000] {
        let pairs: Vec<(u64, u32)> = Liar(0..5000, told).collect();
        let table = Table::from_pairs(Liar(0..5000, told), ahash_of);
        check(&table, &model_of(&pairs), ahash_of, 6000);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn patches_of_a_large_table_keep_it_right_while_it_grows_and_shrinks() {
    for hash_of in [ahash_of, identity, low_bits as HashOf] {
        let scale = if hash_of(&17) == low_bits(&17) {
            1000
        } else {
            60_000
        };
        let mut model: HashMap<u64, (u32, bool)> = HashMap::new();
        let mut table = Table::empty();
        for round in 0..14_u64 {
            let changes: Vec<_> = (0..scale / 4)
                .map(|n| ahash_of(&(round % 7, n)) % scale)
                .collect::<std::collections::BTreeSet<u64>>()
                .into_iter()
                .map(|key| (key, (round < 6 || key % 3 == 0).then_some(round as u32)))
                .collect();
            for &(key, value) in &changes {
                table.mark(hash_of(&key), &key);
                match value {
                    Some(value) => model.insert(key, (value, false)),
                    None => model.remove(&key),
                };
            }
            let changes = changes
                .into_iter()
                .map(|(k, v)| change(hash_of, k, v))
                .collect();
            table = table.patched(changes, hash_of);
            check(&table, &model, hash_of, scale + 100);
        }
        let all = model
            .keys()
            .map(|&key| change(hash_of, key, None))
            .collect();
        let table = table.patched(all, hash_of);
        check(&table, &HashMap::new(), hash_of, 100);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn patched_takes_marks_away_from_keys_that_did_not_change() {
    let pairs: Vec<(u64, u32)> = (0..5000).map(|key| (key, 1)).collect();
    let table = Table::from_pairs(pairs.clone(), ahash_of);
    for key in 0..5000_u64 {
        assert!(table.mark(ahash_of(&key), &key));
        assert!(table.mark(ahash_of(&key), &key), "marking twice");
        assert_eq!(table.live(ahash_of(&key), &key), None);
    }
    assert!(!table.mark(ahash_of(&5000_u64), &5000));
    let patched = table.patched(vec![change(ahash_of, 9, Some(2))], ahash_of);
    let mut model = model_of(&pairs);
    model.insert(9, (2, false));
    check(&patched, &model, ahash_of, 5100);
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn marks_from_many_threads_all_hold_while_others_find() {
    let pairs = (0..4000_u64).map(|key| (key, key));
    let table = Arc::new(Table::from_pairs(pairs, ahash_of));
    thread::scope(|scope| {
        for part in 0..4 {
            let table = &table;
            scope.spawn(move || {
                for key in (0..4000).filter(|key| key % 8 == part) {
                    assert!(table.mark(ahash_of(&key), &key));
                    assert_eq!(table.live(ahash_of(&key), &key), None);
                    let kept = key - part + 4 + part % 4;
                    assert_eq!(table.live(ahash_of(&kept), &kept), Some(&kept));
                }
            });
        }
    });
    for key in 0..4000_u64 {
        let live = (key % 8 >= 4).then_some(&key);
        assert_eq!(table.live(ahash_of(&key), &key), live);
        assert_eq!(table.find_any(ahash_of(&key), &key), Some(&key));
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many entries for Miri")]
fn string_keys_are_found_by_str() {
    let hash_of = |key: &String| ahash_of(key.as_str());
    let pairs = (0..3000).map(|n| (format!("key {n}"), Arc::new(n)));
    let table = Table::from_pairs(pairs, hash_of);
    let changes = (0..100)
        .map(|n| format!("key {}", n * 31))
        .map(|key| Change {
            hash: hash_of(&key),
            key,
            value: None,
        })
        .collect();
    let table = table.patched(changes, hash_of);
    for n in 0..4000 {
        let key = format!("key {n}");
        let found = table
            .live(ahash_of(key.as_str()), key.as_str())
            .map(|value| **value);
        assert_eq!(found, (n < 3000 && (n % 31 != 0 || n >= 3100)).then_some(n));
    }
}

#[test]
fn zero_sized_and_over_aligned_types_work() {
    #[derive(Clone, Debug, PartialEq)]
    #[repr(align(64))]
    struct Wide(u8);

    let table: Table<(), ()> = Table::from_pairs([((), ()), ((), ())], |()| 5);
    assert_eq!((table.len(), table.live(5, &())), (1, Some(&())));
    let table = table.patched(
        vec![Change {
            hash: 5,
            key: (),
            value: None,
        }],
        |()| 5,
    );
    assert_eq!((table.len(), table.live(5, &())), (0, None));

    let set = Table::from_pairs((0..700_u16).map(|n| (n, ())), ahash_of);
    assert!((0..700_u16).all(|n| set.live(ahash_of(&n), &n).is_some()));

    let wide = Table::from_pairs((0..700_u16).map(|n| (n, Wide(n as u8))), ahash_of);
    for n in 0..700_u16 {
        let found = wide.live(ahash_of(&n), &n);
        assert_eq!(found, Some(&Wide(n as u8)));
        assert_eq!(
            found.map_or(1, |wide| std::ptr::from_ref(wide).addr() % 64),
            0
        );
    }
}

/// Counts its drops; panics in them if told so.
#[derive(Clone)]
struct Counted {
    drops: Rc<Cell<usize>>,
    panics: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.panics {
            std::panic::panic_any("drop");
        }
    }
}

fn quietly<T>(act: impl FnOnce() -> T) -> T {
    // Hundreds of expected messages would bury an unexpected one.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"drop") {
            hook(info);
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(act));
    let _ = std::panic::take_hook();
    match result {
        Ok(result) => result,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many panics for Miri")]
fn every_value_is_dropped_once_even_when_drops_panic() {
    for hash_of in [ahash_of, constant as HashOf] {
        for panics in [false, true] {
            let drops = Rc::new(Cell::new(0));
            let value = || Counted {
                drops: Rc::clone(&drops),
                panics,
            };
            let dropped = quietly(|| {
                let table = Table::from_pairs((0..300_u64).map(|key| (key, value())), hash_of);
                assert_eq!(drops.get(), 0);
                let changes = (290..310).map(|key| change(hash_of, key, Some(value())));
                let changes = changes.chain((0..5).map(|key| change(hash_of, key, None)));
                let patched = table.patched(changes.collect(), hash_of);
                assert_eq!(drops.get(), 0);
                table.dispose();
                assert_eq!(drops.get(), 300);
                assert_eq!(patched.len(), 305);
                drop(patched);
                drops.get()
            });
            assert_eq!(dropped, 605);
            let pairs = (0..300_u64).map(|n| (n % 100, value()));
            let table = quietly(|| Table::from_pairs(pairs, hash_of));
            assert_eq!(drops.get(), 605 + 200);
            quietly(|| table.dispose());
            assert_eq!(drops.get(), 605 + 300);
        }
    }
}

#[test]
fn panics_of_user_code_leave_the_old_table_whole() {
    thread_local! {
        static IS_WHOLE: Cell<bool> = const { Cell::new(true) };
    }
    #[derive(Debug, Eq, PartialEq)]
    struct Fragile(u64);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(IS_WHOLE.get() || self.0 != 77, "clone");
            Fragile(self.0)
        }
    }
    impl Hash for Fragile {
        fn hash<H: Hasher>(&self, state: &mut H) {
            state.write_u64(self.0);
        }
    }
    let table = Table::from_pairs((0..200).map(|n| (Fragile(n), n)), ahash_of);
    IS_WHOLE.set(false);
    let many = |count: u64| -> Vec<_> {
        (300..300 + count)
            .map(|n| Change {
                hash: ahash_of(&Fragile(n)),
                key: Fragile(n),
                value: Some(n),
            })
            .collect()
    };
    for count in [1, 1000] {
        let patched = catch_unwind(AssertUnwindSafe(|| table.patched(many(count), ahash_of)));
        assert!(patched.is_err());
    }
    let built = catch_unwind(|| Table::from_pairs([(1, 1), (2, 2)], |_| panic!("hash")));
    assert!(built.is_err());
    assert_eq!(table.len(), 200);
    for n in 0..200 {
        assert_eq!(table.live(ahash_of(&Fragile(n)), &Fragile(n)), Some(&n));
    }
}

fn in_period(period: u64) -> Recency {
    Recency::Period {
        read: period,
        written: period,
    }
}

#[test]
fn a_read_of_what_was_touched_in_this_period_writes_nothing() {
    let first = Table::from_pairs((0..500).map(|n| (n, n)), ahash_of);
    let first = first.touched_now(Some(in_period(1)));
    let read = |table: &Table<u64, u64>, keys: std::ops::Range<u64>| {
        for key in keys {
            assert_eq!(table.live(ahash_of(&key), &key), Some(&key));
            assert_eq!(table.hit(ahash_of(&key), &key), Some(&key));
        }
    };
    read(&first, 0..500);
    assert_eq!(first.touches(), 0, "all was written in this period");
    let changed = vec![change(ahash_of, 900, Some(900))];
    let second = first.patched(changed, ahash_of);
    let new = std::iter::once((ahash_of(&900), &900, None));
    let second = second.touched_as(&first, new, Some(in_period(2)), ahash_of);
    assert_eq!(second.touches(), 0);
    read(&second, 0..100);
    assert_eq!(second.touches(), 100, "the first read of each");
    read(&second, 0..100);
    read(&second, 900..901);
    assert_eq!(second.touches(), 100, "a second one writes nothing");
}

/// For weights and stamps of all kinds: as if all had been sorted.
#[test]
fn the_least_recent_are_those_that_sorting_finds() {
    const COUNT: u64 = if cfg!(miri) { 200 } else { 5_000 };
    let spreads: [fn(u64) -> u64; 5] = [
        |_| 7,
        |n| n % 3,
        |n| n,
        |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1,
        |n| if n < 5 { n } else { (u64::MAX >> 1) - n % 9 },
    ];
    for spread in spreads {
        let weigh = |n: &u64| n % 4;
        let table = Table::from_pairs((0..COUNT).map(|n| (n, n)), ahash_of);
        let table = table.weighed_by(|key, _| weigh(key));
        let all: Vec<u64> = (0..COUNT).collect();
        let stamps = all.iter().map(|n| (ahash_of(n), n, Some(spread(*n))));
        let old = Table::empty();
        let table = table.touched_as(&old, stamps, Some(in_period(1)), ahash_of);
        assert_eq!(table.take_weight(ahash_of(&3), &3), 3, "superseded");
        let mut sorted: Vec<u64> = all
            .iter()
            .copied()
            .filter(|n| weigh(n) > 0 && *n != 3)
            .collect();
        sorted.sort_by_key(|n| spread(*n));
        for weight in [1, 2, 100, 3_333, 7_000, 1_000_000] {
            let victims =
                table.first_to_go(Much::Weight(weight), First::Untouched, Tick::default());
            let total: u64 = victims.iter().map(|n| weigh(n)).sum();
            let least = victims.iter().map(|n| weigh(n)).max().unwrap();
            assert!(total >= weight || victims.len() == sorted.len());
            assert!(total < weight + least, "more than need be");
            let last = victims.iter().map(|n| spread(**n)).max().unwrap();
            let earlier = sorted.iter().filter(|n| spread(**n) < last).count();
            let found = victims.iter().filter(|n| spread(***n) < last).count();
            assert_eq!(
                found, earlier,
                "all that were touched before the last of them"
            );
        }
    }
}
