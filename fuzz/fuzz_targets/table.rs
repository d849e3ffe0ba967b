//! Operations on the table of a snapshot against `std`'s map, from bytes.
//!
//! The first bytes choose keys, values and a hasher, most of them bad. Under `cargo +nightly fuzz run table`
//! libFuzzer finds the bytes. Built plainly, this is a program that replays the corpus and a fixed number of
//! made inputs: `cargo run --bin table`.

#![cfg_attr(fuzzing, no_main)]

#[path = "../common/bytes.rs"]
mod bytes;
#[path = "../common/kinds.rs"]
mod kinds;
#[cfg(not(fuzzing))]
#[path = "../common/replay.rs"]
mod replay;

use bytes::Bytes;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kinds::{Fuse, Kind, Nothing, Small, Texts, Touchy, Wide, Words, arm, burn, check_alive};
use larder_table::{AT_ONCE, Change, Table};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz_one(bytes);
});

#[cfg(not(fuzzing))]
fn main() {
    replay::replay("table", 4_000, fuzz_one);
}

/// Reads operations off the bytes, to their end, and runs them.
fn fuzz_one(bytes: &[u8]) -> usize {
    let mut bytes = Bytes(bytes);
    match bytes.next() % 6 {
        0 => Run::<Small>::new(&mut bytes).run(&mut bytes),
        1 => Run::<Words>::new(&mut bytes).run(&mut bytes),
        2 => Run::<Texts>::new(&mut bytes).run(&mut bytes),
        3 => Run::<Nothing>::new(&mut bytes).run(&mut bytes),
        4 => Run::<Wide>::new(&mut bytes).run(&mut bytes),
        _ => Run::<Touchy>::new(&mut bytes).run(&mut bytes),
    }
}

impl Bytes<'_> {
    fn wide(&mut self) -> u16 {
        u16::from(self.next()) << 8 | u16::from(self.next())
    }
}

/// Where a hash has its entropy, if anywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hashing {
    Good,
    Constant,
    LowBits,
    HighBits,
    Identity,
    /// Changes its mind every fifty calls.
    Fickle,
}

/// Of a key: its value's number, and whether it is marked.
type Model = HashMap<u16, (u32, bool)>;

/// A table, and what it should say.
type Known<T> = (Table<<T as Kind>::Key, <T as Kind>::Value>, Model);

struct Run<T: Kind> {
    table: Table<T::Key, T::Value>,
    model: Model,
    /// Older tables, which nothing may change.
    kept: Vec<Known<T>>,
    hashing: Hashing,
    calls: Cell<u64>,
    /// How many keys there are.
    keys: u16,
    /// The number of the last value.
    fresh: u32,
    /// Whether new keys have gone beside the others.
    extended: bool,
}

impl<T: Kind> Run<T> {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let hashing = match bytes.next() % 7 {
            0 | 1 => Hashing::Good,
            2 => Hashing::Constant,
            3 => Hashing::LowBits,
            4 => Hashing::HighBits,
            5 => Hashing::Identity,
            _ => Hashing::Fickle,
        };
        // Less than a block, a block, a few; more take too long where all are in a list.
        let most = match bytes.next() % 4 {
            0 => 12,
            1 => 300,
            2 if matches!(hashing, Hashing::Constant | Hashing::LowBits) => 500,
            _ => 2_500,
        };
        Run {
            table: Table::from_pairs([], |_| 0),
            model: Model::new(),
            kept: Vec::new(),
            hashing,
            calls: Cell::new(0),
            keys: T::KEYS.min(most),
            fresh: 0,
            extended: false,
        }
    }

    /// Runs the operations that the bytes say. Many take long with many keys.
    fn run(mut self, bytes: &mut Bytes<'_>) -> usize {
        let most = if self.keys > 1_000 { 8 } else { 40 };
        let mut ops = 0;
        while !bytes.0.is_empty() && ops < most {
            self.op(bytes);
            arm(None);
            self.check(&self.table, &self.model);
            ops += 1;
        }
        for (table, model) in &self.kept {
            self.check(table, model);
        }
        self.kept.clear();
        check_alive(if is::<T, Touchy>() {
            2 * self.table.len()
        } else {
            0
        });
        drop(self);
        check_alive(0);
        ops
    }

    fn op(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.next() % 16 {
            0 | 1 => {
                // Round and round: some keys come twice.
                let (from, step, count) = (bytes.wide(), bytes.wide(), bytes.wide());
                let count = count % (2 * self.keys + 1);
                let numbers = (0..count).map(|i| from.wrapping_add(i.wrapping_mul(step)));
                let numbers = numbers.map(|number| number % self.keys).collect();
                self.fuse(bytes);
                self.build(numbers, bytes.next());
            }
            op @ 2..=9 => {
                let numbers = self.numbers(bytes, op % 2 == 0);
                let how = bytes.next();
                self.fuse(bytes);
                self.patch(&numbers, how);
            }
            op @ 10..=13 => {
                let numbers = self.numbers(bytes, op % 4 > 0);
                self.fuse(bytes);
                for number in numbers {
                    self.mark(number);
                }
            }
            14 => self.fused_look(bytes),
            _ => {
                if let Some(kept) = self.kept.pop() {
                    (self.table, self.model) = kept;
                }
            }
        }
    }

    /// A few keys, or every so many-th of a range.
    fn numbers(&self, bytes: &mut Bytes<'_>, few: bool) -> Vec<u16> {
        if few {
            let count = bytes.next() % 12;
            return (0..count).map(|_| bytes.wide() % self.keys).collect();
        }
        let (from, count) = (bytes.wide() % self.keys, bytes.wide() % self.keys + 1);
        let step = usize::from(bytes.next() % 8) + 1;
        let range = from..from.saturating_add(count).min(self.keys);
        range.step_by(step).collect()
    }

    /// Now and then, has the next operation's user code panic.
    fn fuse(&mut self, bytes: &mut Bytes<'_>) {
        let fuse = match bytes.next() % 12 {
            0 => Fuse::Hash,
            1 => Fuse::Eq,
            2 => Fuse::Clone,
            _ => return,
        };
        arm(Some((fuse, bytes.wide() % (self.keys + 2))));
    }

    /// What the users' hasher says.
    fn hash(&self, number: u16) -> u64 {
        self.calls.set(self.calls.get() + 1);
        let number = u64::from(number);
        match self.hashing {
            Hashing::Good => mix(number),
            Hashing::Constant => 0xdead_beef,
            Hashing::LowBits => mix(number) & 0xf,
            Hashing::HighBits => mix(number) << 48,
            Hashing::Identity => number,
            Hashing::Fickle => mix(number ^ (self.calls.get() / 50) << 16),
        }
    }

    /// The same, for the table: it may panic.
    fn hasher(&self) -> impl Fn(&T::Key) -> u64 {
        |key| {
            burn(Fuse::Hash);
            self.hash(T::number(key))
        }
    }

    /// A value that the key of this number has not had.
    fn value(&mut self) -> u32 {
        self.fresh += 1;
        self.fresh
    }

    fn build(&mut self, numbers: Vec<u16>, how: u8) {
        let mut model = Model::new();
        let mut pairs = Vec::new();
        for number in numbers {
            let value = self.value();
            model.insert(number, (value, false));
            pairs.push((T::key(number), T::value(value)));
        }
        let built = quietly(|| match how % 2 {
            0 => Table::from_pairs(pairs, self.hasher()),
            // Its length is not known beforehand.
            _ => Table::from_pairs(pairs.into_iter().filter(|_| true), self.hasher()),
        });
        if let Some(table) = built {
            (self.table, self.model) = (table, model);
        }
    }

    fn patch(&mut self, numbers: &[u16], how: u8) {
        let mut model = self.model.clone();
        model.values_mut().for_each(|entry| entry.1 = false);
        let mut wanted: HashMap<u16, Option<u32>> = HashMap::new();
        for (at, &number) in numbers.iter().enumerate() {
            let goes = match how % 4 {
                0 => false,
                1 => true,
                2 => at % 3 == 0,
                _ => model.contains_key(&number),
            };
            let value = (!goes).then(|| self.value());
            wanted.insert(number, value);
        }
        let changes = wanted.iter().map(|(&number, &value)| Change {
            hash: self.hash(number),
            key: T::key(number),
            value: value.map(T::value),
        });
        let changes = changes.collect();
        self.extended |= how & 4 != 0;
        let patched = quietly(|| match how & 4 {
            0 => self.table.patched(changes, self.hasher()),
            _ => self.table.extended(changes, self.hasher()),
        });
        arm(None);
        // The old one stays as it is, and with its marks.
        self.check(&self.table, &self.model);
        let Some(patched) = patched else {
            return;
        };
        for (number, value) in wanted {
            match value {
                Some(value) => model.insert(number, (value, false)),
                None => model.remove(&number),
            };
        }
        let old = std::mem::replace(&mut self.table, patched);
        let old = (old, std::mem::replace(&mut self.model, model));
        if self.kept.len() < 3 {
            self.kept.push(old);
        }
    }

    fn mark(&mut self, number: u16) {
        let key = T::key(number);
        let hash = self.hash(number);
        let here = self.model.contains_key(&number);
        match quietly(|| self.table.mark(hash, &key)) {
            Some(marked) if self.is_exact() => assert_eq!(marked, here, "mark {number}"),
            // The `Eq` has panicked, before anything was marked.
            None => return,
            _ => {}
        }
        if let Some(entry) = self.model.get_mut(&number) {
            entry.1 = true;
        }
    }

    /// Lookups in the middle of which an `Eq` panics harm nothing.
    fn fused_look(&mut self, bytes: &mut Bytes<'_>) {
        let number = bytes.wide() % self.keys;
        let (key, hash) = (T::key(number), self.hash(number));
        let expected = self.model.get(&number);
        for left in 0..2 {
            arm(Some((Fuse::Eq, left)));
            if let Some(Some(value)) = quietly(|| self.table.find_any(hash, &key)) {
                assert!(expected.is_some_and(|entry| T::is(value, entry.0)) || !self.is_exact());
            }
            arm(Some((Fuse::Eq, left)));
            let mut found = Vec::new();
            quietly(|| self.table.hits(&[(hash, &key), (hash, &key)], &mut found));
        }
    }

    fn is_exact(&self) -> bool {
        self.hashing != Hashing::Fickle
    }

    /// Checks everything that a table says against a model.
    fn check(&self, table: &Table<T::Key, T::Value>, model: &Model) {
        let mut seen = HashMap::new();
        for (key, value) in table.iter() {
            let number = T::number(key);
            let known = seen.insert(number, ()).is_none();
            let right = model
                .get(&number)
                .is_some_and(|entry| T::is(value, entry.0));
            assert!(known && right || !self.is_exact(), "iter {number}");
        }
        assert_eq!(table.is_empty(), seen.is_empty());
        if !self.is_exact() {
            // Keys may be there twice, and are found or not; each is whole.
            assert_eq!(table.iter().count(), table.len());
            self.check_lookups(table, |_, _, _| {});
            return;
        }
        assert_eq!((seen.len(), table.len()), (model.len(), model.len()));
        let mut missed = 0;
        self.check_lookups(table, |number, found, hit| {
            let entry = model.get(&number);
            let marked = found.map(|(_, marked)| marked);
            assert_eq!(marked, entry.map(|entry| entry.1), "find {number}");
            let right = found.is_none_or(|(value, _)| entry.is_some_and(|e| T::is(value, e.0)));
            assert!(right, "find {number}");
            match hit {
                Some(value) => {
                    let right = entry.is_some_and(|entry| !entry.1 && T::is(value, entry.0));
                    assert!(right, "hit {number}");
                }
                None => missed += usize::from(marked == Some(false)),
            }
        });
        // More in the second level, and it would have all of them, or be brought home: of those that are there because
        // they are new it has one for two of the others.
        let beside = usize::from(self.extended) * model.len() / 3;
        let most = model.len() / 8 + 4 + beside;
        assert!(missed <= most, "{missed} of {}", model.len());
    }

    /// Looks up all keys in each way, and tells what `find` and `hit` say.
    fn check_lookups<'a>(
        &self,
        table: &'a Table<T::Key, T::Value>,
        mut each: impl FnMut(u16, Option<(&'a T::Value, bool)>, Option<&'a T::Value>),
    ) {
        let ids: Vec<u16> = (0..self.keys.saturating_add(20).min(T::KEYS)).collect();
        let address = |value: Option<&T::Value>| value.map(std::ptr::from_ref);
        let mut together = Vec::new();
        for group in ids.chunks(AT_ONCE) {
            let keys: Vec<_> = group
                .iter()
                .map(|&id| (self.hash(id), T::key(id)))
                .collect();
            let asked: Vec<_> = keys.iter().map(|(hash, key)| (*hash, key)).collect();
            table.hits(&asked, &mut together);
            assert_eq!(together.len(), asked.len());
            for ((&number, &(hash, key)), &many) in group.iter().zip(&asked).zip(&together) {
                let (found, hit) = (table.find(hash, key), table.hit(hash, key));
                assert_eq!(address(many), address(hit), "hits {number}");
                let any = table.find_any(hash, key);
                assert_eq!(address(any), address(found.map(|found| found.0)));
                let live = found.and_then(|(value, marked)| (!marked).then_some(value));
                assert_eq!(address(table.get(hash, key)), address(live), "get {number}");
                each(number, found, hit);
            }
        }
    }
}

/// Whether a kind is that other one.
fn is<T: Kind, U: Kind>() -> bool {
    std::any::type_name::<T>() == std::any::type_name::<U>()
}

/// What the act returns, if it does not panic as it was told to.
fn quietly<R>(act: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => Some(result),
        Err(payload) if payload.downcast_ref::<&str>() == Some(&"scripted") => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Scrambles a number; no two give the same result.
fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
