//! What every [`Storage`] has to pass, for the tests of who implements one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Change, Entry, Expiry, Storage};

/// Puts a storage to the test: that what was written is there, and nothing else, also when it is opened again.
///
/// `open` opens the same storage each time, the one before it being closed, that is dropped. *Whatever is in it goes.*
/// `key` and `value` make keys and values by number, of which no two are the same for numbers below 20 000.
///
/// ```
/// use larder::storage::{MemoryStorage, conformance};
///
/// let storage = MemoryStorage::<String, u64>::new();
/// conformance::check(|| storage.clone(), |number| format!("key {number}"), u64::from);
/// ```
///
/// # Panics
///
/// If the storage does not pass, with the name of the check and what was wrong.
#[track_caller]
pub fn check<K, V, S>(open: impl FnMut() -> S, key: impl Fn(u32) -> K, value: impl Fn(u32) -> V)
where
    K: Hash + Eq + Clone + Debug,
    V: PartialEq + Clone + Debug,
    S: Storage<K, V>,
{
    if let Err((check, why)) = run(open, key, value) {
        panic!("the storage does not pass the check `{check}`: {why}");
    }
}

/// What is wrong, to be read by who looks for it.
type Outcome = Result<(), String>;

/// A check, and what it sees to.
type Check<'a, K, V, S> = (&'static str, fn(&mut Bench<'a, K, V, S>, S) -> Outcome);

/// How many there are.
const CHECKS: usize = 14;

/// The first check that fails, and why.
fn run<K, V, S>(
    mut open: impl FnMut() -> S,
    key: impl Fn(u32) -> K,
    value: impl Fn(u32) -> V,
) -> Result<(), (&'static str, String)>
where
    K: Hash + Eq + Clone + Debug,
    V: PartialEq + Clone + Debug,
    S: Storage<K, V>,
{
    let mut bench = Bench {
        open: &mut open,
        key: &key,
        value: &value,
    };
    let checks: [Check<'_, K, V, S>; CHECKS] = [
        ("replaced by nothing", Bench::replaced_by_nothing),
        ("put", Bench::put),
        ("loaded again", Bench::loaded_again),
        ("removed", Bench::removed),
        ("opened again", Bench::opened_again),
        ("put over", Bench::put_over),
        ("not there to be removed", Bench::not_there_to_be_removed),
        ("the last change counts", Bench::the_last_change_counts),
        ("replaced", Bench::replaced),
        ("version", Bench::version),
        ("expiry", Bench::expiry),
        ("no changes", Bench::no_changes),
        ("many", Bench::many),
        ("changes that panic", Bench::changes_that_panic),
    ];
    for (name, check) in checks {
        let mut storage = (bench.open)();
        let none = storage.replace(0, &mut std::iter::empty());
        let passed = none.map_err(|error| format!("`replace` failed: {error}"));
        let passed = passed.and_then(|()| check(&mut bench, storage));
        passed.map_err(|why| (name, why))?;
    }
    Ok(())
}

/// In the year 2100: no storage may have dropped it for having expired.
const FAR: Expiry = Expiry {
    expires_ms: 4_102_444_800_000,
    written_ms: 1_000_000_000_000,
};

/// What is kept of each key.
type Kept<K, V> = HashMap<K, (V, Option<Expiry>)>;

/// An entry by the numbers of its key and value.
type Row = (u32, u32, Option<Expiry>);

struct Bench<'a, K, V, S> {
    open: &'a mut dyn FnMut() -> S,
    key: &'a dyn Fn(u32) -> K,
    value: &'a dyn Fn(u32) -> V,
}

/// A change by numbers.
enum Do {
    Put(Row),
    Remove(u32),
}

use Do::{Put, Remove};

impl<K, V, S> Bench<'_, K, V, S>
where
    K: Hash + Eq + Clone + Debug,
    V: PartialEq + Clone + Debug,
    S: Storage<K, V>,
{
    fn apply(&self, storage: &mut S, changes: &[Do]) -> Outcome {
        let made: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Put((key, value, expiry)) => {
                    ((self.key)(*key), Some(((self.value)(*value), *expiry)))
                }
                Remove(key) => ((self.key)(*key), None),
            })
            .collect();
        let mut changes = made.iter().map(|(key, to)| match to {
            None => Change::Remove(key),
            Some((value, expiry)) => Change::Put(Entry {
                key,
                value,
                expiry: *expiry,
            }),
        });
        let applied = storage.apply(&mut changes);
        applied.map_err(|error| format!("`apply` failed: {error}"))?;
        match changes.next() {
            None => Ok(()),
            Some(left) => Err(format!("`apply` has not taken {left:?}")),
        }
    }

    fn replace(&self, storage: &mut S, version: u64, rows: &[Row]) -> Outcome {
        let made = self.made(rows);
        let mut entries = made.iter().map(|(key, (value, expiry))| Entry {
            key,
            value,
            expiry: *expiry,
        });
        let replaced = storage.replace(version, &mut entries);
        replaced.map_err(|error| format!("`replace` failed: {error}"))?;
        match entries.next() {
            None => Ok(()),
            Some(left) => Err(format!("`replace` has not taken {left:?}")),
        }
    }

    fn made(&self, rows: &[Row]) -> Kept<K, V> {
        let made = rows.iter().map(|&(key, value, expiry)| {
            let value = ((self.value)(value), expiry);
            ((self.key)(key), value)
        });
        made.collect()
    }

    /// What the storage says that it keeps.
    fn load(&self, storage: &mut S) -> Result<(u64, Kept<K, V>), String> {
        let (mut found, mut twice) = (HashMap::new(), None);
        let version = storage.load(&mut |key: K, value, expiry| {
            if found.insert(key.clone(), (value, expiry)).is_some() {
                twice = Some(key);
            }
        });
        let version = version.map_err(|error| format!("`load` failed: {error}"))?;
        match twice {
            None => Ok((version, found)),
            Some(key) => Err(format!("`load` has brought {key:?} twice")),
        }
    }

    /// That exactly this is there.
    fn expect(&self, storage: &mut S, version: u64, rows: &[Row]) -> Outcome {
        let (its, found) = self.load(storage)?;
        let wanted = self.made(rows);
        for (key, kept) in &found {
            match wanted.get(key) {
                None => return Err(format!("{key:?} is there, and is not to be")),
                Some(wanted) if wanted != kept => {
                    return Err(format!("{key:?} is {kept:?}, and not {wanted:?}"));
                }
                Some(_) => {}
            }
        }
        if let Some(missing) = wanted.keys().find(|&key| !found.contains_key(key)) {
            return Err(format!("{missing:?} is not there"));
        }
        if its != version {
            return Err(format!("the version is {its}, and not {version}"));
        }
        Ok(())
    }

    fn replaced_by_nothing(&mut self, mut storage: S) -> Outcome {
        self.apply(&mut storage, &[Put((1, 1, None)), Put((2, 2, Some(FAR)))])?;
        self.replace(&mut storage, 0, &[])?;
        self.expect(&mut storage, 0, &[])
    }

    fn put(&mut self, mut storage: S) -> Outcome {
        let rows = [(1, 1, None), (2, 2, Some(FAR)), (3, 3, None)];
        self.apply(&mut storage, &rows.map(Put))?;
        self.expect(&mut storage, 0, &rows)
    }

    fn loaded_again(&mut self, mut storage: S) -> Outcome {
        self.apply(&mut storage, &[Put((1, 1, None))])?;
        self.expect(&mut storage, 0, &[(1, 1, None)])?;
        self.expect(&mut storage, 0, &[(1, 1, None)])
    }

    fn removed(&mut self, mut storage: S) -> Outcome {
        let rows = [(1, 1, None), (2, 2, Some(FAR)), (3, 3, None)];
        self.apply(&mut storage, &rows.map(Put))?;
        self.apply(&mut storage, &[Remove(2), Remove(3)])?;
        self.expect(&mut storage, 0, &rows[..1])
    }

    fn opened_again(&mut self, mut storage: S) -> Outcome {
        self.replace(&mut storage, 3, &[(1, 1, None), (2, 2, Some(FAR))])?;
        self.apply(&mut storage, &[Put((3, 3, None)), Remove(1)])?;
        drop(storage);
        let rows = [(2, 2, Some(FAR)), (3, 3, None)];
        let mut storage = (self.open)();
        self.expect(&mut storage, 3, &rows)?;
        self.apply(&mut storage, &[Remove(2)])?;
        drop(storage);
        let mut storage = (self.open)();
        self.expect(&mut storage, 3, &rows[1..])
    }

    fn put_over(&mut self, mut storage: S) -> Outcome {
        let rows = [(1, 1, None), (2, 2, Some(FAR)), (3, 3, Some(FAR))];
        self.apply(&mut storage, &rows.map(Put))?;
        let later = Some(Expiry {
            expires_ms: FAR.expires_ms + 1000,
            written_ms: FAR.written_ms + 1000,
        });
        let over = [(1, 11, Some(FAR)), (2, 12, None), (3, 3, later)];
        self.apply(&mut storage, &over.map(Put))?;
        self.expect(&mut storage, 0, &over)
    }

    fn not_there_to_be_removed(&mut self, mut storage: S) -> Outcome {
        self.apply(&mut storage, &[Put((1, 1, None))])?;
        self.apply(&mut storage, &[Remove(2)])?;
        self.expect(&mut storage, 0, &[(1, 1, None)])
    }

    fn the_last_change_counts(&mut self, mut storage: S) -> Outcome {
        let changes = [
            Put((1, 1, None)),
            Put((2, 2, None)),
            Put((1, 11, None)),
            Remove(2),
            Remove(3),
            Put((3, 3, None)),
        ];
        self.apply(&mut storage, &changes)?;
        self.expect(&mut storage, 0, &[(1, 11, None), (3, 3, None)])
    }

    fn replaced(&mut self, mut storage: S) -> Outcome {
        self.apply(&mut storage, &[Put((1, 1, None)), Put((2, 2, None))])?;
        let rows = [(2, 12, Some(FAR)), (3, 3, None)];
        self.replace(&mut storage, 0, &rows)?;
        self.expect(&mut storage, 0, &rows)
    }

    fn version(&mut self, mut storage: S) -> Outcome {
        // Also one that is lower, and one that does not fit into fewer bits.
        for version in [7, u64::MAX, 2, 0] {
            self.replace(&mut storage, version, &[(1, 1, None)])?;
            self.expect(&mut storage, version, &[(1, 1, None)])?;
            self.apply(&mut storage, &[Remove(1)])?;
            self.expect(&mut storage, version, &[])?;
        }
        Ok(())
    }

    fn expiry(&mut self, mut storage: S) -> Outcome {
        let expiry = |expires_ms, written_ms| {
            Some(Expiry {
                expires_ms,
                written_ms,
            })
        };
        let rows = [
            (1, 1, expiry(FAR.expires_ms + 1, FAR.written_ms + 2)),
            (2, 2, expiry(u64::MAX, 0)),
            (3, 3, expiry(u64::MAX, u64::MAX)),
        ];
        let past = (4, 4, expiry(FAR.written_ms + 3, FAR.written_ms));
        self.apply(&mut storage, &rows.map(Put))?;
        self.expect(&mut storage, 0, &rows)?;
        self.apply(&mut storage, &[Put(past)])?;
        // It may be gone. If it is not, it has expired.
        let (_, found) = self.load(&mut storage)?;
        match found.contains_key(&(self.key)(past.0)) {
            true => self.expect(&mut storage, 0, &[rows[0], rows[1], rows[2], past]),
            false => self.expect(&mut storage, 0, &rows),
        }
    }

    fn no_changes(&mut self, mut storage: S) -> Outcome {
        self.replace(&mut storage, 5, &[(1, 1, None)])?;
        self.apply(&mut storage, &[])?;
        self.expect(&mut storage, 5, &[(1, 1, None)])
    }

    fn many(&mut self, mut storage: S) -> Outcome {
        let mut rows: Vec<Row> = (0..10_000).map(|n| (n, n, None)).collect();
        let put: Vec<_> = rows.iter().map(|row| Put(*row)).collect();
        self.apply(&mut storage, &put)?;
        self.expect(&mut storage, 0, &rows)?;
        let changes: Vec<_> = (0..10_000)
            .map(|n| match n % 2 {
                0 => Remove(n),
                _ => Put((n, n + 10_000, Some(FAR))),
            })
            .collect();
        self.apply(&mut storage, &changes)?;
        rows = (0..5_000)
            .map(|n| (2 * n + 1, 2 * n + 10_001, Some(FAR)))
            .collect();
        self.expect(&mut storage, 0, &rows)?;
        rows = (5_000..15_000).map(|n| (n, n, None)).collect();
        self.replace(&mut storage, 1, &rows)?;
        self.expect(&mut storage, 1, &rows)
    }

    /// As where an `Eq` of the user's panics: what was done of it is not known, and what comes next is.
    fn changes_that_panic(&mut self, mut storage: S) -> Outcome {
        let (key, value) = ((self.key)(1), (self.value)(1));
        let mut left = 2;
        let mut changes = std::iter::from_fn(|| {
            left -= 1;
            assert!(
                left > 0,
                "a change that panics, to see what the storage does"
            );
            Some(Change::Put(Entry {
                key: &key,
                value: &value,
                expiry: None,
            }))
        });
        let unwound = catch_unwind(AssertUnwindSafe(|| storage.apply(&mut changes)));
        if unwound.is_ok() {
            return Err("`apply` has kept a panic of the changes to itself".to_owned());
        }
        let rows = [(2, 2, None), (3, 3, Some(FAR))];
        self.replace(&mut storage, 4, &rows)?;
        self.expect(&mut storage, 4, &rows)?;
        self.apply(&mut storage, &[Remove(2)])?;
        drop(storage);
        let mut storage = (self.open)();
        self.expect(&mut storage, 4, &rows[1..])
    }
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;
