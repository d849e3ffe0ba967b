//! The immutable hash table of a snapshot: built once, read by many, never changed but for marks.
//!
//! A table is two *levels* and a list. The first level holds nearly all entries, by the users' hashes. A
//! hash chooses a *bucket*, and the bucket's *pilot*, one byte, says how far from their hashes' own
//! offsets its keys are: a pilot is found, when the table is built, that gives each of them a slot of its
//! own. So a lookup loads a byte, computes one slot, and compares one key. No fingerprint is compared,
//! and nothing is searched. This is a perfect hash function, computed block by block; the slots are a
//! fifth more than the entries, so that it is found soon.
//!
//! What finds no place, one key in some thousands, is in the second level, which knows keys by a mixed hash. The pilot
//! of its bucket says so: no other absent key is looked for there.
//! All keys are there if the users' hasher is not fit for the first, and new ones for a while, see
//! [`Table::extended`]. Those that the second cannot part are in a sorted list, so that no hasher, not even a
//! constant one, breaks anything but its own speed.
//!
//! A *mark* says that an entry is superseded by something newer outside of the table. A hit asks whether
//! there is any mark in its level, and only then for that of its entry.

mod batch;
mod beside;
mod build;
mod bytes;
mod edits;
mod entries;
mod filter;
mod iterate;
mod level;
mod list;
mod pages;
mod patch;
mod place;
mod shape;
mod stamp;
#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests;
mod timed;
mod touched;
mod unsaid;
mod victims;
mod weighed;
mod written;

use std::borrow::Borrow;
use std::hint;

use crate::clock::Tick;
use crate::contain::drop_contained;
use crate::spread::spread;
use crate::sync::pace;
use crate::table::level::Level;
pub(crate) use crate::table::stamp::Stamp;
use crate::table::timed::Timed;
pub(crate) use crate::table::touched::Recency;
use crate::table::touched::Touched;
pub(crate) use crate::table::victims::{First, Much};
use crate::table::weighed::Weighed;
use crate::table::written::Written;

#[cfg_attr(
    not(feature = "dump"),
    allow(unused_imports, reason = "for what is read from a file")
)]
pub(crate) use crate::table::build::Gathering;
pub(crate) use crate::table::level::NoHit;
use crate::table::list::List;
pub(crate) use crate::table::weighed::{HEAVIEST, Weight};

/// As many keys can be looked up together: more than a processor waits for at a time.
pub(crate) const AT_ONCE: usize = 32;

/// One key's part in [`Table::patched`]: its new value, or that it goes.
#[derive(Clone, Debug)]
pub(crate) struct Change<K, V> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    /// `None` removes the key.
    pub(crate) value: Option<V>,
}

/// A pair on its way into a level, with the hash by which that level knows it.
struct Item<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K, V> Item<K, V> {
    /// As the second level knows it.
    fn mixed(self) -> Self {
        let hash = spread(self.hash);
        Item { hash, ..self }
    }

    fn into_pair(self) -> (K, V) {
        (self.key, self.value)
    }
}

/// An immutable hash table.
///
/// Hashes are the caller's: every method wants the hash of the key it is given, always from the
/// same hasher. Dropping a table survives panics of the keys' and values' own `Drop`.
pub(crate) struct Table<K, V> {
    /// Nearly all entries, by the users' hashes.
    first: Level<K, V>,
    /// What found no place there, by mixed hashes; all entries, if the users' hashes are not fit.
    second: Level<K, V>,
    /// What found no place there either, by mixed hashes.
    last: List<K, V>,
    /// So many keys were put into the second level because they were new, see [`extended`](Self::extended).
    apart: usize,
    /// When its entries expire, if any do.
    timed: Option<Box<Timed>>,
    /// What its entries weigh, if that is limited.
    weighed: Option<Box<Weighed>>,
    /// When its entries were last touched, if that matters.
    touched: Option<Box<Touched>>,
    /// Which writes its entries are of, if that matters.
    written: Option<Box<Written>>,
    /// What a read has to look at besides: one look, where that is nothing.
    watch: Watch,
}

/// What a read has to look at beside an entry. Where it is more than one thing, the last counts: it leads to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    Nothing,
    /// When it expires.
    Time,
    /// When it was touched, which it is by that.
    Touch,
    /// Whether it lives: somebody else is to be asked.
    Life,
    /// That it is read, or not there: somebody else counts.
    Count,
}

/// Where an entry is.
#[derive(Clone, Copy)]
enum At {
    First(usize),
    Second(usize),
    Last(usize),
}

impl<K, V> Table<K, V> {
    /// A table without entries.
    pub(crate) fn empty() -> Self {
        Self::of(Level::empty(), Level::empty(), List::empty())
    }

    /// A table of these, with nothing beside them.
    fn of(first: Level<K, V>, second: Level<K, V>, last: List<K, V>) -> Self {
        Table {
            first,
            second,
            last,
            apart: 0,
            timed: None,
            weighed: None,
            touched: None,
            written: None,
            watch: Watch::Nothing,
        }
    }

    /// Builds a table from pairs; of the pairs of one key, the last one wins.
    pub(crate) fn from_pairs<I, H>(pairs: I, hash_of: H) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        build::from_pairs(pairs.into_iter(), &hash_of)
    }

    /// Builds a table from about `count` pairs that come one by one; of the pairs of one key, the last one wins.
    #[cfg_attr(
        not(feature = "dump"),
        allow(dead_code, reason = "for what is read from a file")
    )]
    pub(crate) fn gather(count: usize) -> Gathering<K, V>
    where
        K: Clone + Eq,
        V: Clone,
    {
        Gathering::new(count)
    }

    /// Returns a table with the changes applied and no marks; this one stays as it is.
    ///
    /// The keys of the changes are distinct. Copies block by block what does not change, without
    /// hashing its keys, as long as the size suits the new number of entries.
    pub(crate) fn patched<H>(&self, changes: Vec<Change<K, V>>, hash_of: H) -> Self
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        patch::patched(self, changes, &hash_of)
    }

    /// The same, sooner: keys that are new go to the second level, as long as it stays small beside the first. Of the
    /// first nothing is copied if nothing in it changes.
    ///
    /// To find those keys takes a look more, and to find that a key is absent may. [`patched`](Self::patched) brings them
    /// home.
    pub(crate) fn extended<H>(&self, changes: Vec<Change<K, V>>, hash_of: H) -> Self
    where
        H: Fn(&K) -> u64,
        K: Clone + Eq,
        V: Clone,
    {
        patch::extended(self, changes, &hash_of)
    }

    /// Whether so many keys are in the second level only because they were new that to bring them home is worth a copy.
    pub(crate) fn is_extended(&self) -> bool {
        patch::is_extended(self)
    }

    /// The short way of a lookup: returns the value of nearly every key that is here and not marked. What
    /// it does not find is to be looked for with [`find`](Self::find).
    #[inline(always)]
    pub(crate) fn hit<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.hit_or(hash, key, Some, |why| {
            self.unmarked_after(why.slot(), hash, key)
        })
    }

    /// The same: what `found` makes of a value, and what `otherwise` says where there is none, which is told why. Called
    /// from inside, this makes for shorter code than a look at what is returned.
    #[inline(always)]
    pub(crate) fn hit_or<'a, Q, R>(
        &'a self,
        hash: u64,
        key: &Q,
        found: impl FnOnce(&'a V) -> R,
        otherwise: impl FnOnce(NoHit) -> R,
    ) -> R
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.first.hit(hash, key, found, otherwise)
    }

    /// Where something is marked, or all entries are in the second level. Not that rare, but a jump around it is one
    /// of the few instructions of the short way.
    #[cold]
    #[inline(never)]
    fn unmarked_after<Q>(&self, slot: Option<usize>, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        slot?;
        let (value, marked) = match self.watch {
            Watch::Nothing => self.find_after(slot, hash, key)?,
            Watch::Time | Watch::Touch => self.find_timed(hash, key)?,
            Watch::Life | Watch::Count => return None,
        };
        (!marked).then_some(value)
    }

    /// [`hit`](Self::hit) for [`AT_ONCE`] keys or fewer, each with its hash, in their order.
    pub(crate) fn hits<'a, Q>(&'a self, asked: &[(u64, &Q)], found: &mut Vec<Option<&'a V>>)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        found.clear();
        self.hits_or(
            asked,
            |asked| asked.0,
            |asked| asked.1,
            |hash, key, hit| {
                found.push(
                    hit.or_else(|why| self.unmarked_after(why.slot(), hash, key).ok_or(()))
                        .ok(),
                );
            },
        );
    }

    /// [`hit_or`](Self::hit_or) for [`AT_ONCE`] keys or fewer, in their order: `each` is told each one's hash, the key, and
    /// its value, or why there is none.
    #[inline(always)]
    pub(crate) fn hits_or<'a, 'q, Q, T>(
        &'a self,
        asked: &[T],
        hash_of: impl Fn(&T) -> u64,
        key_of: impl Fn(&T) -> &'q Q,
        each: impl FnMut(u64, &'q Q, Result<&'a V, NoHit>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized + 'q,
    {
        self.first.hits(asked, hash_of, key_of, each);
    }

    /// Returns the value of a key that is here, and whether it is marked.
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.is_watched() {
            return self.find_timed(hash, key);
        }
        let slot = self.first.slot(hash);
        self.find_after(Some(slot), hash, key)
    }

    /// [`find`](Self::find) after [`hit_or`](Self::hit_or), which knows where to look, or not to, already. Of a table
    /// in which nothing expires.
    #[inline]
    pub(crate) fn find_after<Q>(
        &self,
        slot: Option<usize>,
        hash: u64,
        key: &Q,
    ) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.find_first(slot, key) {
            None if self.first.may_have_spilled(hash) => self.find_late(hash, key),
            found => found,
        }
    }

    /// Whether there may be keys elsewhere of which [`NoHit::is_absent`] does not know.
    pub(crate) fn has_unsaid(&self) -> bool {
        !self.first.unsaid().is_empty()
    }

    /// The bucket of a hash.
    #[inline(always)]
    pub(crate) fn bucket_of(&self, hash: u64) -> usize {
        // Opaque, or a hit keeps for this what it knows of the hash by then: a register, and an instruction.
        self.first.bucket_of(hint::black_box(hash))
    }

    /// Whether the pilot of a bucket says that a key of it is elsewhere.
    #[inline(always)]
    pub(crate) fn has_spilled(&self, bucket: usize) -> bool {
        self.first.says(bucket)
    }

    /// Whether a key of a bucket is elsewhere though its pilot does not say so.
    #[inline(always)]
    pub(crate) fn has_beside(&self, bucket: usize) -> bool {
        self.first.unsaid().has(bucket)
    }

    /// [`find_after`](Self::find_after) in the first level only. What has expired is not asked for.
    #[inline]
    pub(crate) fn find_first<Q>(&self, slot: Option<usize>, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = slot?;
        let value = self.first.in_slot(slot, key)?;
        Some((value, self.first.is_marked(slot)))
    }

    /// What is not in the first level.
    #[cold]
    #[inline(never)]
    fn find_late<Q>(&self, hash: u64, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mixed = spread(hash);
        let slot = self.second.slot(mixed);
        if let Some(value) = self.second.in_slot(slot, key) {
            return Some((value, self.second.is_marked(slot)));
        }
        let index = self.last.position(mixed, key)?;
        let (_, value) = self.last.get(index)?;
        Some((value, self.last.marks.has(index)))
    }

    /// Returns the value of a key that is here, marked or not.
    #[inline]
    pub(crate) fn find_any<Q>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.is_watched() {
            return self.find_timed_at(hash, key, self.now());
        }
        let (slot, pilot) = self.first.place(hash);
        match self.first.in_slot(slot, key) {
            None if self.first.may_have_spilled_by(pilot, hash) => {
                self.find_late(hash, key).map(|(value, _)| value)
            }
            found => found,
        }
    }

    /// The same at another moment than now, of a table whose entries may expire.
    #[inline]
    pub(crate) fn find_at<Q>(&self, hash: u64, key: &Q, now: Tick) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.is_watched() {
            return self.find_timed_at(hash, key, now);
        }
        self.find_any(hash, key)
    }

    /// Has the processor fetch the entry of a key with this hash, which is about to be [marked](Self::mark).
    pub(crate) fn fetch_ahead(&self, hash: u64) {
        self.first.fetch_ahead(hash);
    }

    /// Marks a key's entry; returns whether the key is here.
    ///
    /// Any number of threads may mark and find at the same time. A mark is never taken back.
    pub(crate) fn mark<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(at) = self.place_if_known(hash, key) else {
            return false;
        };
        match at {
            At::First(slot) => self.first.mark(slot),
            At::Second(slot) => self.second.mark(slot),
            At::Last(index) => self.last.marks.set(index),
        }
        true
    }

    /// Where a key is that is here, marked or not, expired or not.
    #[inline]
    fn place_of<Q>(&self, hash: u64, key: &Q) -> Option<At>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if let Some(slot) = self.first.position(hash, key) {
            return Some(At::First(slot));
        }
        if !self.first.may_have_spilled(hash) {
            return None;
        }
        let mixed = spread(hash);
        if let Some(slot) = self.second.position(mixed, key) {
            return Some(At::Second(slot));
        }
        self.last.position(mixed, key).map(At::Last)
    }

    /// The same for who writes, and expects no less that the key is new.
    fn place_if_known<Q>(&self, hash: u64, key: &Q) -> Option<At>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is_known = self.first.may_know(hash);
        is_known.then(|| self.place_of(hash, key)).flatten()
    }

    #[inline]
    fn entry(&self, at: At) -> Option<(&K, &V)> {
        match at {
            At::First(slot) => self.first.entries().candidate(slot),
            At::Second(slot) => self.second.entries().candidate(slot),
            At::Last(index) => self.last.get(index),
        }
    }

    /// The level that holds nearly all entries.
    fn main(&self) -> &Level<K, V> {
        if self.first.entries().len() > 0 {
            &self.first
        } else {
            &self.second
        }
    }

    /// Moves all entries out, or copies of those that another table has as well.
    fn into_entries(self) -> impl Iterator<Item = (K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let levels = self.first.into_entries().chain(self.second.into_entries());
        let mut last = self.last;
        levels.chain(last.take())
    }

    /// Drops all entries here and now; a panic in one's `Drop` does not stop the others.
    pub(crate) fn dispose(self) {
        drop(self);
    }
}

/// Drops entries one by one, so that a panicking `Drop` neither stops the others nor, when a
/// second one panics, aborts the process.
fn discard<K, V>(entries: impl IntoIterator<Item = (K, V)>) {
    for (key, value) in pace::each(entries) {
        drop_contained(key);
        drop_contained(value);
    }
}
