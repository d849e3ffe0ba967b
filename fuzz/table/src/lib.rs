//! The crate's private table, for what tests and measures it from outside: the fuzz target, and the
//! comparison of designs.
//!
//! A table has no public door, and is to have none. So its files are compiled here once more, with what they
//! know of the crate; the only thing that stands in for something else is the shim, of which they use the
//! atomics, and the clock a lock. The wrapper adds nothing but `pub`.

// What the table does not use of these files, and this crate not of the table.
#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    reason = "files of a larger crate, whose lints are its own"
)]

#[path = "../../../src/clock.rs"]
mod clock;
#[path = "../../../src/contain.rs"]
mod contain;
#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/spread.rs"]
mod spread;
mod sync;
#[path = "../../../src/table/mod.rs"]
mod table;

use std::borrow::Borrow;

/// As many keys can be given to [`Table::hits`].
pub const AT_ONCE: usize = table::AT_ONCE;

/// The immutable hash table of a snapshot.
pub struct Table<K, V>(table::Table<K, V>);

/// One key's part in [`Table::patched`]: its new value, or that it goes.
#[derive(Clone, Debug)]
pub struct Change<K, V> {
    /// The hash of the key.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// `None` removes the key.
    pub value: Option<V>,
}

/// The two are laid out alike, and this is done in place.
fn inner<K, V>(changes: Vec<Change<K, V>>) -> Vec<table::Change<K, V>> {
    let changes = changes.into_iter();
    changes
        .map(|Change { hash, key, value }| table::Change { hash, key, value })
        .collect()
}

impl<K, V> Table<K, V> {
    /// A table of these pairs, of which the last one of a key wins.
    pub fn from_pairs<H: Fn(&K) -> u64>(pairs: impl IntoIterator<Item = (K, V)>, hash_of: H) -> Self
    where
        K: Clone + Eq,
        V: Clone,
    {
        Self(table::Table::from_pairs(pairs, hash_of))
    }

    /// A table with changes of distinct keys applied, and no marks.
    pub fn patched<H: Fn(&K) -> u64>(&self, changes: Vec<Change<K, V>>, hash_of: H) -> Self
    where
        K: Clone + Eq,
        V: Clone,
    {
        Self(self.0.patched(inner(changes), hash_of))
    }

    /// The same with new keys beside the others, as long as they are few.
    pub fn extended<H: Fn(&K) -> u64>(&self, changes: Vec<Change<K, V>>, hash_of: H) -> Self
    where
        K: Clone + Eq,
        V: Clone,
    {
        Self(self.0.extended(inner(changes), hash_of))
    }

    /// The short way of a lookup, which finds nearly every key that is not marked.
    #[inline(always)]
    pub fn hit<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.hit(hash, key)
    }

    /// The short way, and what finds all the others where it finds nothing: a whole lookup.
    #[inline(always)]
    pub fn get<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0
            .hit_or(hash, key, Some, |why| self.unmarked(why, hash, key))
    }

    #[cold]
    #[inline(never)]
    fn unmarked<Q: Eq + ?Sized>(&self, why: table::NoHit, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (value, marked) = self.0.find_after(why.slot(), hash, key)?;
        (!marked).then_some(value)
    }

    /// [`hit`](Self::hit) for [`AT_ONCE`] keys or fewer.
    pub fn hits<'a, Q: Eq + ?Sized>(&'a self, asked: &[(u64, &Q)], found: &mut Vec<Option<&'a V>>)
    where
        K: Borrow<Q>,
    {
        self.0.hits(asked, found);
    }

    /// The value of a key that is here, and whether it is marked.
    pub fn find<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
    {
        self.0.find(hash, key)
    }

    /// The value of a key that is here, marked or not.
    pub fn find_any<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.find_any(hash, key)
    }

    /// Marks a key's entry; returns whether the key is here.
    pub fn mark<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.mark(hash, key)
    }

    /// All entries, also marked ones.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// The number of entries, also marked ones.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
