//! That each check is failed by somebody.

#![allow(clippy::unwrap_used, reason = "a test may unwrap as it likes")]

use std::collections::HashMap;

use super::{CHECKS, Expiry, run};
use crate::BoxError;
use crate::storage::{Change, Entry, MemoryStorage, Storage};

type Kept = MemoryStorage<u32, String>;

/// What a storage may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    KeepsWhatNothingReplaces,
    LosesTheLast,
    BringsKeysTwice,
    LeavesChanges,
    EmptiesWhatIsLoaded,
    ForgetsWhenClosed,
    ForgetsTheVersionWhenClosed,
    KeepsTheFirst,
    KeepsTheFirstExpiry,
    RemovesNothing,
    RefusesToRemoveNothing,
    GoesBackwards,
    Merges,
    LosesTheVersion,
    CutsTheVersion,
    CountsSeconds,
    ForgetsWhenWritten,
    RefusesNoChanges,
    KeepsAThousand,
    IsPoisoned,
    KeepsAPanic,
}

use Wrong::*;

/// Which check is to find it. In the order of the checks, so that those before pass.
const FOUND_BY: [(Wrong, &str); 21] = [
    (KeepsWhatNothingReplaces, "replaced by nothing"),
    (LosesTheLast, "put"),
    (BringsKeysTwice, "put"),
    (LeavesChanges, "replaced by nothing"),
    (EmptiesWhatIsLoaded, "loaded again"),
    (ForgetsWhenClosed, "opened again"),
    (ForgetsTheVersionWhenClosed, "opened again"),
    (KeepsTheFirst, "put over"),
    (KeepsTheFirstExpiry, "put over"),
    (RemovesNothing, "removed"),
    (RefusesToRemoveNothing, "not there to be removed"),
    (GoesBackwards, "the last change counts"),
    (Merges, "replaced"),
    (LosesTheVersion, "opened again"),
    (CutsTheVersion, "version"),
    (CountsSeconds, "expiry"),
    (ForgetsWhenWritten, "put"),
    (RefusesNoChanges, "no changes"),
    (KeepsAThousand, "many"),
    (IsPoisoned, "changes that panic"),
    (KeepsAPanic, "changes that panic"),
];

struct Spoilt {
    inner: Kept,
    wrong: Wrong,
    busy: bool,
}

type Row = (u32, String, Option<Expiry>);

impl Spoilt {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn rows(&mut self) -> (u64, HashMap<u32, (String, Option<Expiry>)>) {
        let mut rows = HashMap::new();
        let version = self.inner.load(&mut |key, value, expiry| {
            rows.insert(key, (value, expiry));
        });
        (version.unwrap(), rows)
    }

    fn keep(&mut self, version: u64, rows: HashMap<u32, (String, Option<Expiry>)>) {
        let mut entries = rows.iter().map(|(key, (value, expiry))| Entry {
            key,
            value,
            expiry: *expiry,
        });
        self.inner.replace(version, &mut entries).unwrap();
    }

    fn expiry(&self, expiry: Option<Expiry>) -> Option<Expiry> {
        expiry.map(|expiry| Expiry {
            expires_ms: match self.is(CountsSeconds) {
                true => expiry.expires_ms / 1000 * 1000,
                false => expiry.expires_ms,
            },
            written_ms: match self.is(ForgetsWhenWritten) {
                true => 0,
                false => expiry.written_ms,
            },
        })
    }
}

impl Storage<u32, String> for Spoilt {
    fn load(&mut self, each: &mut dyn FnMut(u32, String, Option<Expiry>)) -> Result<u64, BoxError> {
        let (version, rows) = self.rows();
        for (key, (value, expiry)) in rows {
            if self.is(BringsKeysTwice) {
                each(key, value.clone(), expiry);
            }
            each(key, value, expiry);
        }
        if self.is(EmptiesWhatIsLoaded) {
            self.keep(version, HashMap::new());
        }
        Ok(version)
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, u32, String>>,
    ) -> Result<(), BoxError> {
        if self.is(IsPoisoned) && std::mem::replace(&mut self.busy, true) {
            return Err("poisoned".into());
        }
        let mut list: Vec<(u32, Option<Row>)> = Vec::new();
        let mut take = || {
            for change in &mut *changes {
                list.push(match change {
                    Change::Put(Entry { key, value, expiry }) => {
                        (*key, Some((*key, value.clone(), expiry)))
                    }
                    Change::Remove(key) => (*key, None),
                });
                if self.wrong == LeavesChanges {
                    break;
                }
            }
        };
        if self.wrong == KeepsAPanic {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(take));
        } else {
            take();
        }
        self.busy = false;
        match self.wrong {
            RefusesNoChanges if list.is_empty() => return Err("nothing to do".into()),
            LosesTheLast => drop(list.pop()),
            GoesBackwards => list.reverse(),
            _ => {}
        }
        let (mut version, mut rows) = self.rows();
        for (key, change) in list {
            let before = rows.get(&key).cloned();
            match change {
                Some((_, value, expiry)) => {
                    let expiry = self.expiry(expiry);
                    match (self.wrong, before) {
                        (KeepsTheFirst, Some(_)) => {}
                        (KeepsTheFirstExpiry, Some((_, first))) => {
                            rows.insert(key, (value, first));
                        }
                        (KeepsAThousand, None) if rows.len() >= 1000 => {}
                        _ => drop(rows.insert(key, (value, expiry))),
                    }
                }
                None if self.is(RemovesNothing) => {}
                None if self.is(RefusesToRemoveNothing) && before.is_none() => {
                    return Err("no such key".into());
                }
                None => drop(rows.remove(&key)),
            }
        }
        if self.is(LosesTheVersion) {
            version = 0;
        }
        self.keep(version, rows);
        Ok(())
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, u32, String>>,
    ) -> Result<(), BoxError> {
        let (_, before) = self.rows();
        let new = entries.map(|Entry { key, value, expiry }| {
            let kept = (value.clone(), self.expiry(expiry));
            (*key, kept)
        });
        let mut new: HashMap<_, _> = new.collect();
        if new.is_empty() && self.is(KeepsWhatNothingReplaces) {
            return Ok(());
        }
        if !new.is_empty() && self.is(Merges) {
            new = before.into_iter().chain(new).collect();
        }
        let version = match self.is(CutsTheVersion) {
            true => version & u64::from(u32::MAX),
            false => version,
        };
        self.keep(version, new);
        Ok(())
    }
}

#[test]
fn each_check_is_failed_by_who_does_that_wrong() {
    let mut green = vec![];
    let mut red = std::collections::HashSet::new();
    for (wrong, check) in FOUND_BY {
        let kept = Kept::new();
        let mut opened = 0;
        let open = || {
            let mut inner = kept.clone();
            opened += 1;
            match wrong {
                ForgetsWhenClosed => inner = Kept::new(),
                ForgetsTheVersionWhenClosed => {
                    let mut closed = Spoilt {
                        inner,
                        wrong,
                        busy: false,
                    };
                    let (_, rows) = closed.rows();
                    closed.keep(0, rows);
                    inner = closed.inner;
                }
                _ => {}
            }
            Spoilt {
                inner,
                wrong,
                busy: false,
            }
        };
        match run(open, |key| key, |value| value.to_string()) {
            Err((by, why)) if by == check => {
                println!("{wrong:?} by `{by}`: {why}");
                red.insert(by);
            }
            other => green.push(format!("{wrong:?}: {other:?}, and not `{check}`")),
        }
    }
    assert!(green.is_empty(), "{}", green.join("\n"));
    assert_eq!(red.len(), CHECKS, "one that nobody fails: {red:?}");
}

#[test]
fn the_storage_in_memory_passes() {
    let storage = MemoryStorage::new();
    super::check(|| storage.clone(), |key| key, |value| value.to_string());
    // Also where it is not known which one it is.
    let boxed = || Box::new(storage.clone()) as Box<dyn Storage<u32, String>>;
    super::check(boxed, |key| key, |value| value.to_string());
}

#[test]
#[should_panic(expected = "does not pass the check `opened again`")]
fn who_does_not_pass_is_told_by_which_check() {
    super::check(Kept::new, |key| key, |value| value.to_string());
}
