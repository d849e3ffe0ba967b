//! What entries weigh, where what a bucket holds is limited.
//!
//! A table of any other bucket has nothing of this. A hit looks at none of it: weights are the business of those who
//! write and of the folder.

use std::borrow::Borrow;

use super::beside::Beside;
use super::{At, Table};
use crate::sync::{atomic::AtomicU64, fault, order, plain};

/// What one entry, or one write, weighs, until somebody takes that: who replaces or removes it.
///
/// It is taken once, whoever tries, and can still be read afterwards. A model need not switch threads here: whoever
/// takes a weight has looked up what it belongs to just before, and does something that others see just after.
#[derive(Default)]
pub(crate) struct Weight(plain::Word);

/// The uppermost bit: no weight is that large.
const TAKEN: u64 = 1 << 63;

/// What nothing weighs that is stored: as much, or more, says of a value that nobody knows how heavy it is.
pub(crate) const HEAVIEST: u64 = TAKEN - 1;

impl Weight {
    pub(crate) fn of(weight: u64) -> Self {
        Self(plain::Word::new(weight.min(HEAVIEST)))
    }

    /// What it is, taken or not.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(order::WEIGHT) & !TAKEN
    }

    /// The same, or nothing once it is taken.
    pub(crate) fn left(&self) -> u64 {
        match self.0.load(order::WEIGHT) {
            weight if weight & TAKEN == 0 => weight,
            _ => 0,
        }
    }

    /// Takes what is there to be taken; nothing for all but the first.
    pub(crate) fn take(&self) -> u64 {
        // The look spares nearly all writes of what weighs nothing, tombstones above all.
        let seen = self.0.load(order::WEIGHT);
        if seen == 0 || (seen & TAKEN != 0 && !fault::planted("weight_taken_twice")) {
            return 0;
        }
        match self.0.fetch_or(TAKEN, order::WEIGHT) {
            weight if fault::planted("weight_taken_twice") => weight & !TAKEN,
            weight if weight & TAKEN != 0 => 0,
            weight => weight,
        }
    }
}

/// A copy is there to be taken by itself.
impl Clone for Weight {
    fn clone(&self) -> Self {
        Self::of(self.get())
    }
}

/// The weights of a table's entries, by their places.
pub(super) struct Weighed {
    weights: Beside<Weight>,
    total: u64,
    /// How much of that has been taken.
    taken: AtomicU64,
}

impl Weighed {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.weights.bytes()
    }
}

impl<K, V> Table<K, V> {
    /// Whether it knows what its entries weigh.
    pub(crate) fn is_weighed(&self) -> bool {
        self.weighed.is_some()
    }

    /// What all entries weigh, taken or not.
    pub(crate) fn total_weight(&self) -> u64 {
        self.weighed.as_ref().map_or(0, |weighed| weighed.total)
    }

    /// How much of that has been taken.
    pub(crate) fn weight_taken(&self) -> u64 {
        self.weighed
            .as_ref()
            .map_or(0, |weighed| weighed.taken.load(order::WEIGHT))
    }

    /// Says that so much has been taken, or not after all if it is negative.
    pub(crate) fn add_weight_taken(&self, weight: u64) {
        if let Some(weighed) = &self.weighed {
            weighed.taken.fetch_add(weight, order::WEIGHT);
        }
    }

    /// What an entry weighs, taken or not; nothing where there is none.
    pub(crate) fn weight<Q>(&self, hash: u64, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.place_of(hash, key).map_or(0, |at| self.weight_at(at))
    }

    /// What an entry weighs, if nobody has taken that; nothing where there is none.
    pub(crate) fn weight_left<Q>(&self, hash: u64, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.place_of(hash, key);
        at.map_or(0, |at| self.weight_there(at))
    }

    /// All keys, with what their entries weigh.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&K, u64)> {
        let places = self.places();
        places.map(|(at, (key, _))| (key, self.weight_at(at)))
    }

    pub(super) fn weight_at(&self, at: At) -> u64 {
        let weighed = self.weighed.as_ref();
        weighed
            .and_then(|weighed| weighed.weights.at(at))
            .map_or(0, Weight::get)
    }

    /// What an entry weighs, if nobody has taken that.
    pub(super) fn weight_there(&self, at: At) -> u64 {
        let weighed = self.weighed.as_ref();
        weighed
            .and_then(|weighed| weighed.weights.at(at))
            .map_or(0, Weight::left)
    }

    /// Takes the weight of an entry, which is about to be superseded.
    pub(crate) fn take_weight<Q>(&self, hash: u64, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let weight = self.take_weight_apart(hash, key);
        self.add_weight_taken(weight);
        weight
    }

    /// The same, and does not count it as taken: the folder does that for many together.
    pub(crate) fn take_weight_apart<Q>(&self, hash: u64, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(weighed) = &self.weighed else {
            return 0;
        };
        let at = self.place_if_known(hash, key);
        at.and_then(|at| weighed.weights.at(at))
            .map_or(0, Weight::take)
    }

    /// Has each entry weigh what `weigh` says.
    pub(crate) fn weighed_by(mut self, weigh: impl Fn(&K, &V) -> u64) -> Self {
        let mut weights = Beside::new(&self, Weight::default);
        let mut total = 0_u64;
        for (at, (key, value)) in self.places() {
            let weight = weigh(key, value).min(HEAVIEST);
            total = total.saturating_add(weight);
            weights.set(at, Weight::of(weight));
        }
        self.weighed = Some(Box::new(Weighed {
            weights,
            total,
            taken: AtomicU64::new(0),
        }));
        self
    }

    /// Has entries weigh what `changed` says, of keys that it names, and others what they do in `old`.
    ///
    /// Where it says so of a key more than once, the last counts. What it names and is not here is passed over.
    pub(crate) fn weighed_as<'a, H>(
        mut self,
        old: &Self,
        changed: impl Iterator<Item = (u64, &'a K, u64)>,
        hash_of: H,
    ) -> Self
    where
        K: Eq + 'a,
        H: Fn(&K) -> u64,
    {
        let mut changed = changed.peekable();
        if old.weighed.is_none() && changed.peek().is_none() {
            return self;
        }
        let before = |at| Some(Weight::of(old.weight_at(at)));
        let before = old.weighed.is_some().then_some(before);
        let changed = changed.map(|(hash, key, weight)| (hash, key, Weight::of(weight)));
        let weights = self.beside_as(Weight::default, (old, before), changed, hash_of);
        let of = |at| weights.at(at).map_or(0, Weight::get);
        let total = self.places().map(|(at, _)| of(at)).sum();
        self.weighed = Some(Box::new(Weighed {
            weights,
            total,
            taken: AtomicU64::new(0),
        }));
        self
    }
}
