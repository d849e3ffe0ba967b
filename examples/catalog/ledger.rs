//! What each key may be at this moment, and what is held against the bucket.
//!
//! The writer notes a revision here before SQLite can have it, and notes it again once the bucket
//! has been told. So whatever a reader gets must lie between the two: not older than what the
//! bucket was told before the read began, not newer than what the row has been given.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, PoisonError};

use crate::mix::mixed;
use crate::table::{Key, Row};

/// Every key, its bounds, and every complaint.
pub struct Ledger {
    keys: Vec<Key>,
    /// This many of `keys` have rows; the rest do not exist.
    known: usize,
    /// Per key, the newest revision that the row may have.
    newest: Vec<AtomicU64>,
    /// Per key, the oldest revision that may still be read.
    oldest: Vec<AtomicU64>,
    sealed: bool,
    complaints: Mutex<(u64, Vec<String>)>,
}

impl Ledger {
    /// Bounds for `keys`, then as many keys that do not exist; `sealed` if the rows are versioned.
    pub fn new(mut keys: Vec<Key>, unknown: usize, sealed: bool) -> Self {
        let known = keys.len();
        keys.sort_unstable();
        let free = |key: &Key| keys.binary_search(key).is_err();
        let made_up = (1..)
            .map(|n| Key::from(format!("no such key {n}")))
            .filter(free);
        let made_up: Vec<Key> = made_up.take(unknown).collect();
        keys.extend(made_up);
        let first = || (0..known).map(|_| AtomicU64::new(sealed.into())).collect();
        let (newest, oldest) = (first(), first());
        Self {
            keys,
            known,
            newest,
            oldest,
            sealed,
            complaints: Mutex::default(),
        }
    }

    /// How many keys have rows.
    pub fn known(&self) -> u32 {
        self.known as u32
    }

    /// The key of this index.
    pub fn key(&self, index: u32) -> &Key {
        &self.keys[index as usize]
    }

    /// Called before a row is changed: its next revision.
    pub fn begin(&self, index: u32) -> u64 {
        self.newest[index as usize].fetch_add(1, SeqCst) + 1
    }

    /// Called when the bucket has been told that there is a `revision`.
    pub fn told(&self, index: u32, revision: u64) {
        self.oldest[index as usize].fetch_max(revision, SeqCst);
    }

    /// Called before a read: the oldest revision that it may bring.
    pub fn oldest(&self, index: u32) -> u64 {
        self.oldest
            .get(index as usize)
            .map_or(0, |oldest| oldest.load(SeqCst))
    }

    /// Adds a complaint. A run with a single one fails.
    pub fn complain(&self, complaint: String) {
        let mut all = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.0 += 1;
        if all.1.len() < 10 {
            all.1.push(complaint);
        }
    }

    /// How many complaints there were, and the text of the first ten.
    pub fn complaints(&self) -> (u64, Vec<String>) {
        self.complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One reader's memory: a revision that it has seen never goes back.
pub struct Witness<'a> {
    ledger: &'a Ledger,
    who: &'static str,
    seen: Vec<u64>,
    checked: u64,
}

impl<'a> Witness<'a> {
    /// A reader that has seen nothing yet.
    pub fn new(ledger: &'a Ledger, who: &'static str) -> Self {
        Self {
            ledger,
            who,
            seen: vec![0; ledger.known],
            checked: 0,
        }
    }

    /// How many answers were checked.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// Checks what a read of `index` brought, `oldest` being [`Ledger::oldest`] from before the read.
    pub fn check(&mut self, index: u32, oldest: u64, found: Option<&Row>) {
        self.checked += 1;
        if let Some(fault) = self.fault(index, oldest, found) {
            let (who, key) = (self.who, self.ledger.key(index));
            self.ledger.complain(format!("{who} read '{key}': {fault}"));
        }
    }

    fn fault(&mut self, index: u32, oldest: u64, found: Option<&Row>) -> Option<String> {
        let known = (index as usize) < self.ledger.known;
        let row = match found {
            Some(row) if known => row,
            Some(row) => return Some(format!("it does not exist, and was {row:?}")),
            // Another program may delete rows of a table that is not ours.
            None if known && self.ledger.sealed => return Some("it exists, and was absent".into()),
            None => return None,
        };
        if row.key != *self.ledger.key(index) {
            return Some(format!("it was the row of '{}'", row.key));
        }
        if !self.ledger.sealed {
            return None;
        }
        let newest = self.ledger.newest[index as usize].load(SeqCst);
        let seen = std::mem::replace(&mut self.seen[index as usize], row.revision);
        let revision = row.revision;
        if revision > newest {
            return Some(format!(
                "revision {revision}, the row has had {newest} only"
            ));
        }
        if revision < oldest {
            return Some(format!("revision {revision}, after {oldest} was announced"));
        }
        if revision < seen {
            return Some(format!("revision {revision}, after it had read {seen}"));
        }
        (row.seal != seal(&row.key, revision)).then(|| format!("revision {revision} is torn"))
    }
}

/// A number that only this key at this revision has.
pub fn seal(key: &str, revision: u64) -> u64 {
    let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mixed(key.bytes().fold(0xcbf2_9ce4_8422_2325, fnv) ^ mixed(revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, revision: u64) -> Row {
        let seal = seal(key, revision);
        Row {
            key: key.into(),
            revision,
            seal,
            text: "".into(),
        }
    }

    fn ledger() -> Ledger {
        Ledger::new(
            vec!["b".into(), "a".into(), "no such key 1".into()],
            2,
            true,
        )
    }

    #[test]
    fn new_makes_up_keys_that_are_free() {
        let ledger = ledger();
        assert_eq!(ledger.known(), 3);
        assert_eq!(**ledger.key(3), *"no such key 2");
        assert_eq!(**ledger.key(4), *"no such key 3");
    }

    #[test]
    fn check_accepts_what_the_row_has_had() {
        let ledger = ledger();
        let mut witness = Witness::new(&ledger, "reader");
        witness.check(0, ledger.oldest(0), Some(&row("a", 1)));
        assert_eq!(ledger.begin(0), 2);
        witness.check(0, ledger.oldest(0), Some(&row("a", 1)));
        witness.check(0, ledger.oldest(0), Some(&row("a", 2)));
        witness.check(4, ledger.oldest(4), None);
        assert_eq!(ledger.complaints(), (0, vec![]));
        assert_eq!(witness.checked(), 4);
    }

    #[test]
    fn check_complains_of_every_wrong_answer() {
        let torn = Row {
            seal: 5,
            ..row("a", 2)
        };
        let cases = [
            (0, Some(row("b", 1)), "it was the row of 'b'"),
            (0, Some(row("a", 4)), "revision 4, the row has had 3 only"),
            (0, Some(row("a", 1)), "revision 1, after 2 was announced"),
            (0, Some(torn), "revision 2 is torn"),
            (0, None, "it exists, and was absent"),
            (3, Some(row("no such key 2", 1)), "it does not exist"),
        ];
        for (index, found, fault) in cases {
            let ledger = ledger();
            ledger.begin(0);
            ledger.told(0, 2);
            ledger.begin(0);
            let mut witness = Witness::new(&ledger, "reader");
            witness.check(index, ledger.oldest(index), found.as_ref());
            let (count, complaints) = ledger.complaints();
            assert_eq!(count, 1, "{fault}");
            assert!(complaints[0].contains(fault), "{complaints:?}");
        }
    }

    #[test]
    fn check_complains_of_a_revision_that_goes_back() {
        let ledger = ledger();
        ledger.begin(0);
        let mut witness = Witness::new(&ledger, "reader");
        for revision in [2, 1] {
            witness.check(0, ledger.oldest(0), Some(&row("a", revision)));
        }
        let complaint = "reader read 'a': revision 1, after it had read 2";
        assert_eq!(ledger.complaints(), (1, vec![complaint.into()]));
    }
}
