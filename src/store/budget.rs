//! How much a bucket may hold, and how much it does. DESIGN.md, "The weight limit".

use crossbeam_utils::CachePadded;

use super::evict::Policy;
use super::overlay::{Overlay, Write};
use super::{SHARE, View};
use crate::clock::Clock;
use crate::contain::contained;
use crate::sync::{
    atomic::{AtomicBool, AtomicU64},
    fault, order,
};
use crate::table::{Change, HEAVIEST, Table};
use crate::{Key, Value};

/// A user's own weigher.
pub(crate) type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;

/// What a bucket with a limit knows of it.
pub(crate) struct Limits<K, V> {
    pub(crate) limit: u64,
    pub(crate) weigher: Option<Weigher<K, V>>,
    /// Which others go to make room, or else what is new is refused.
    pub(crate) evicts: Option<Policy>,
    /// Whether anybody was told that it is full, since it last was not.
    pub(super) told: AtomicBool,
}

impl<K, V> Limits<K, V> {
    pub(crate) fn new(limit: u64, weigher: Option<Weigher<K, V>>, evicts: Option<Policy>) -> Self {
        Self {
            limit,
            weigher,
            evicts,
            told: AtomicBool::new(false),
        }
    }

    /// What a value weighs. As much as nothing may where the weigher panics: then nobody knows.
    pub(crate) fn weigh(&self, key: &K, value: &V) -> u64 {
        match &self.weigher {
            None => 1,
            Some(weigher) => contained(|| weigher(key, value)).unwrap_or(HEAVIEST),
        }
    }

    /// A table with the weights of its entries.
    pub(crate) fn weighed(&self, table: Table<K, V>) -> Table<K, V> {
        table.weighed_by(|key, value| self.weigh(key, value))
    }

    /// The same of a dataset: a weigher that panics spoils all of it.
    ///
    /// # Panics
    ///
    /// If the weigher does.
    pub(crate) fn weighed_all(&self, table: Table<K, V>) -> Table<K, V> {
        match &self.weigher {
            None => table.weighed_by(|_, _| 1),
            Some(weigher) => table.weighed_by(weigher),
        }
    }

    /// What of a weighed table fits into so much room, and how many entries do not. Which of them is left to chance.
    pub(crate) fn fitted(
        &self,
        table: Table<K, V>,
        room: u64,
        clock: &Clock,
        hash_of: impl Fn(&K) -> u64,
    ) -> (Table<K, V>, usize)
    where
        K: Key,
        V: Value,
    {
        if table.total_weight() <= room {
            return (table, 0);
        }
        let mut held = 0;
        let mut gone = Vec::new();
        for (key, weight) in table.weights() {
            if held < room && weight < HEAVIEST {
                held += weight;
            } else {
                gone.push(Change {
                    hash: hash_of(key),
                    key: key.clone(),
                    value: None,
                });
            }
        }
        let count = gone.len();
        let fitted = table.patched(gone, &hash_of);
        let none = std::iter::empty();
        let fitted = fitted.timed_as(&table, none, clock, &hash_of);
        let fitted = fitted.weighed_as(&table, std::iter::empty(), &hash_of);
        (fitted.numbered_as(&table, hash_of), count)
    }
}

/// What is held under a view and those that follow it, until everything is replaced at once.
pub(crate) struct Budget {
    limit: u64,
    /// With more than `from` a fold evicts, until `to` is left.
    evict: Option<Evict>,
    /// Something was refused since the last fold that evicted.
    pressed: AtomicBool,
    // Apart from everything else: each write changes it.
    used: CachePadded<AtomicU64>,
}

#[derive(Clone, Copy)]
struct Evict {
    from: u64,
    to: u64,
}

impl Budget {
    pub(super) fn new<K, V>(limits: &Limits<K, V>, used: u64) -> Self {
        let limit = limits.limit;
        // As a share of the limit a fold makes room for what is written until the next: then its copying is shared
        // by as many writes as elsewhere. Half of that is left when it begins, and nobody is refused meanwhile.
        let evict = limits.evicts.map(|_| Evict {
            from: limit - limit / (2 * SHARE as u64),
            to: limit - (limit / SHARE as u64).max(1),
        });
        Self {
            limit,
            evict,
            pressed: AtomicBool::new(false),
            used: CachePadded::new(AtomicU64::new(used)),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(order::WEIGHT)
    }

    /// Whether there is any room left.
    pub(crate) fn has_room(&self) -> bool {
        self.used() < self.limit
    }

    /// Reserves `weight` if there is still room after `before` of it: what crosses the limit may, as the last.
    fn reserve(&self, before: u64, weight: u64) -> bool {
        let fits = |used: u64| used.saturating_add(before) < self.limit;
        if fault::planted("room_looked_at_first") {
            let room = fits(self.used());
            if room {
                self.used.fetch_add(weight, order::WEIGHT);
            }
            return room;
        }
        let mut used = self.used();
        while fits(used) {
            let (relaxed, more) = (order::WEIGHT, used.saturating_add(weight));
            match self.used.compare_exchange(used, more, relaxed, relaxed) {
                Ok(_) => return true,
                Err(now) => used = now,
            }
        }
        false
    }

    fn give_back(&self, weight: u64) {
        if weight > 0 {
            self.used.fetch_sub(weight, order::WEIGHT);
        }
    }

    /// How much is to be evicted: nothing where others are refused, or while there is room enough.
    pub(super) fn excess(&self) -> u64 {
        let Some(evict) = self.evict else {
            return 0;
        };
        let used = self.used();
        match used > evict.from || self.pressed.load(order::CLAIM) {
            true => used.saturating_sub(evict.to),
            false => 0,
        }
    }

    /// Somebody is about to make room.
    pub(super) fn relieve(&self) {
        if self.evict.is_some() {
            self.pressed.store(false, order::CLAIM);
        }
    }

    /// For the folder: `more` is held, and `less` no more, in one step.
    pub(super) fn settle(&self, more: u64, less: u64) {
        self.used.fetch_add(more.wrapping_sub(less), order::WEIGHT);
    }
}

/// What a write has in hand: what it has reserved, and what it has taken from what it is to replace. All of it counts
/// as used. What is left in it when it goes is given back.
///
/// That of a bucket without a limit does nothing.
pub(crate) struct Purse<'a> {
    budget: Option<&'a Budget>,
    held: u64,
}

impl<'a> Purse<'a> {
    /// Of no bucket at all.
    pub(super) fn none() -> Self {
        Self {
            budget: None,
            held: 0,
        }
    }

    pub(super) fn of<K, V>(view: &'a View<K, V>) -> Self {
        Self {
            budget: view.budget.as_deref(),
            held: 0,
        }
    }

    /// Takes the weight of what a view shows of a key that is about to be written, whatever that is.
    #[inline]
    pub(super) fn take_shown<K: Eq, V>(&mut self, view: &View<K, V>, hash: u64, key: &K) {
        if self.budget.is_some() {
            self.take_seen(view, view.active.get(hash, key), hash, key);
        }
    }

    /// The same where the key is written only if what was `seen` in the active overlay is still there. If it is not,
    /// somebody else has replaced it, and it counts no more either way.
    ///
    /// What is below the active overlay is taken by who writes the key there first. As with marks, a table that was
    /// announced is the one that counts.
    pub(super) fn take_seen<K: Eq, V>(
        &mut self,
        view: &View<K, V>,
        seen: Option<&Write<V>>,
        hash: u64,
        key: &K,
    ) {
        if self.budget.is_some() {
            self.held += match seen {
                Some(write) => view.active.take_weight(write),
                None => taken_below(view, hash, key),
            };
        }
    }

    /// Takes the weight of a write that is about to be replaced in its overlay.
    pub(super) fn take<K: Eq, V>(&mut self, overlay: &Overlay<K, V>, write: &Write<V>) {
        if self.budget.is_some() {
            self.held += overlay.take_weight(write);
        }
    }

    /// Holds so much, whether there is room for it or not.
    pub(super) fn hold(&mut self, weight: u64) {
        if let Some(budget) = self.budget {
            budget.settle(weight, 0);
            self.held += weight;
        }
    }

    /// Sees to it that so much is in hand. Returns whether it is: what weighs no more than what it replaces always
    /// is, anything else while there is room.
    #[inline]
    pub(super) fn pay(&mut self, weight: u64) -> bool {
        let Some(budget) = self.budget else {
            return true;
        };
        self.pay_by(budget, weight, weight)
    }

    /// The same for several together, of which the last, the one that may cross the limit, weighs `last`.
    pub(super) fn pay_all(&mut self, weights: impl Iterator<Item = u64> + Clone) -> bool {
        let Some(budget) = self.budget else {
            return true;
        };
        let last = weights.clone().last().unwrap_or(0);
        if weights.clone().any(|weight| weight >= HEAVIEST) {
            return false;
        }
        let total = weights.fold(0_u64, u64::saturating_add);
        self.pay_by(budget, total, last)
    }

    fn pay_by(&mut self, budget: &Budget, weight: u64, last: u64) -> bool {
        if weight >= HEAVIEST {
            return false;
        }
        let Some(more) = weight.checked_sub(self.held).filter(|&more| more > 0) else {
            return true;
        };
        // Of several all but the last must fit: first those, then the one that may cross the limit.
        let before = more.saturating_sub(last);
        let paid = budget.reserve(before, more);
        if paid {
            self.held += more;
        } else if budget.evict.is_some() {
            budget.pressed.store(true, order::CLAIM);
        }
        paid
    }

    /// What of a key's weight is still to be taken, in the same places.
    pub(super) fn left<K: Eq, V>(
        &self,
        view: &View<K, V>,
        seen: Option<&Write<V>>,
        hash: u64,
        key: &K,
    ) -> u64 {
        match seen {
            _ if self.budget.is_none() => 0,
            Some(write) => write.content().weight.left(),
            None => left_below(view, hash, key),
        }
    }

    /// Reserves what several weigh together beyond what is there and will be taken for them. What crosses the limit may
    /// be the last of them.
    pub(super) fn pay_beyond(
        &mut self,
        weights: impl Iterator<Item = u64> + Clone,
        there: u64,
    ) -> bool {
        self.held += there;
        let paid = self.pay_all(weights);
        self.held -= there;
        paid
    }

    /// Sees to it that so much is in hand. It is, unless an `Eq` does not agree with itself.
    pub(super) fn make_up(&mut self, weight: u64) {
        self.hold(weight.saturating_sub(self.held));
    }

    /// Whether a fold is to make room.
    #[inline]
    pub(super) fn wants_room(&self) -> bool {
        self.budget.is_some_and(|budget| budget.excess() > 0)
    }

    /// What was paid for is in the overlay.
    #[inline]
    pub(super) fn spend<K: Eq, V>(&mut self, overlay: &Overlay<K, V>, weight: u64) {
        if self.budget.is_some() && weight > 0 {
            overlay.add_weight(weight);
            self.held -= weight;
        }
    }
}

impl Drop for Purse<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.budget {
            budget.give_back(self.held);
        }
    }
}

fn taken_below<K: Eq, V>(view: &View<K, V>, hash: u64, key: &K) -> u64 {
    if let Some(next) = &view.next
        && !fault::planted("weight_of_the_old_table")
    {
        return next.table.take_weight(hash, key);
    }
    if let Some(sealed) = &view.sealed
        && let Some(write) = sealed.overlay.get(hash, key)
    {
        return sealed.overlay.take_weight(write);
    }
    match is_going(view) {
        true => 0,
        false => view.current.table.take_weight(hash, key),
    }
}

/// Whether all of the table is about to be replaced. Then what is in it makes no room for what is to be written: as much
/// is held already for what comes in its place.
fn is_going<K, V>(view: &View<K, V>) -> bool {
    view.floor > view.current.floor
}

/// What [`taken_below`] would take.
fn left_below<K: Eq, V>(view: &View<K, V>, hash: u64, key: &K) -> u64 {
    if let Some(next) = &view.next {
        return next.table.weight_left(hash, key);
    }
    let sealed = view.sealed.as_ref();
    match sealed.and_then(|sealed| sealed.overlay.get(hash, key)) {
        Some(write) => write.content().weight.left(),
        None if is_going(view) => 0,
        None => view.current.table.weight_left(hash, key),
    }
}
