//! What goes where others are to stay.

use super::beside::Beside;
use super::{At, Table};
use crate::clock::Tick;

/// How much is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Much {
    /// What weighs so much, what is gone anyway included.
    Weight(u64),
    /// So many keys, what is gone anyway not included.
    Keys(usize),
}

/// Which go first.
pub(crate) enum First<'a, K> {
    /// Those that were not touched for the longest time.
    Untouched,
    /// Those that were not written for the longest time.
    Unwritten,
    /// Those that are used the least, as this says of a key, at most 15; of these, those that were not touched for the
    /// longest time.
    Unused(&'a dyn Fn(&K) -> u8),
}

impl<K, V> Table<K, V> {
    /// The keys of what is to be evicted, or all that can be. Nothing that has been superseded, or is gone by `now`, is
    /// among them, and where weight is to go nothing without any.
    pub(crate) fn first_to_go(&self, much: Much, first: First<'_, K>, now: Tick) -> Vec<&K> {
        let (much, weigh): (u64, &dyn Fn(At) -> u64) = match much {
            Much::Weight(weight) => {
                let gone = self.places().filter(|&(at, _)| self.is_gone(at, now));
                let gone = gone.map(|(at, _)| self.weight_there(at));
                let weight = weight.saturating_sub(gone.fold(0, u64::saturating_add));
                (weight, &|at| self.weight_there(at))
            }
            Much::Keys(keys) => (keys as u64, &|at| {
                let is_current = |(_, _, is_marked): (&K, &V, bool)| !is_marked;
                u64::from(self.marked_entry(at).is_some_and(is_current))
            }),
        };
        if much == 0 {
            return Vec::new();
        }
        match first {
            First::Untouched => self.lowest(much, now, weigh, &|at| self.last_touched(at)),
            First::Unwritten => self.lowest(much, now, weigh, &|at| self.written(at)),
            First::Unused(uses) => {
                // Asked once of each, as it hashes keys.
                let mut counts = Beside::new(self, || 0_u8);
                let mut latest = 0;
                for (at, (key, _)) in self.places() {
                    counts.set(at, uses(key));
                    latest = self.last_touched(at).unwrap_or(0).max(latest);
                }
                // As few bits below the count as say all touches, so that few ranges of ranks are empty. A time has no
                // more than these within eighteen years.
                let (bits, most) = match u64::BITS - latest.leading_zeros() {
                    bits @ ..60 => (bits, latest),
                    _ => (59, (1 << 59) - 1),
                };
                self.lowest(much, now, weigh, &|at| {
                    let last = self.last_touched(at)?.min(most);
                    Some(u64::from(*counts.at(at)?) << bits | last)
                })
            }
        }
    }

    /// The entries with the lowest ranks, until so much of what each of them counts for is reached. What has no rank is not
    /// among them. Compiled once, whatever these are by: twice made all reads of such tables save six registers more.
    ///
    /// Goes through the table a few times, whatever the ranks are: it counts weights by ranges of them, then by
    /// ranges of the range in which the weight is reached, until few are left to be sorted.
    fn lowest(
        &self,
        weight: u64,
        now: Tick,
        weigh: &dyn Fn(At) -> u64,
        rank: &dyn Fn(At) -> Option<u64>,
    ) -> Vec<&K> {
        let candidates = || {
            self.places().filter_map(|(at, (key, _))| {
                let there = weigh(at);
                let rank = rank(at)?;
                (there > 0 && !self.is_gone(at, now)).then_some((rank, there, key))
            })
        };
        let ranks = candidates().map(|(rank, ..)| rank);
        let (mut low, mut high) = ranks.fold((u64::MAX, 0), |(low, high), rank| {
            (low.min(rank), high.max(rank))
        });
        if low > high {
            return Vec::new();
        }
        let mut needed = weight;
        loop {
            let width = (high - low) / RANGES + 1;
            let mut ranges = [(0_u64, 0_usize); RANGES as usize];
            for (rank, there, _) in candidates().filter(|(rank, ..)| (low..=high).contains(rank)) {
                let (weights, count) = &mut ranges[((rank - low) / width) as usize];
                *weights = weights.saturating_add(there);
                *count += 1;
            }
            let mut range = 0;
            while range + 1 < ranges.len() && ranges[range].0 < needed {
                needed -= ranges[range].0;
                range += 1;
            }
            low += range as u64 * width;
            high = high.min(low.saturating_add(width - 1));
            if width == 1 || ranges[range].1 <= FEW {
                break;
            }
        }
        let mut victims = Vec::new();
        let mut last_ones = Vec::new();
        for (rank, there, key) in candidates() {
            if rank < low {
                victims.push(key);
            } else if rank <= high {
                last_ones.push((rank, there, key));
            }
        }
        if low < high {
            last_ones.sort_unstable_by_key(|&(rank, ..)| rank);
        }
        let mut gone = 0;
        let last_ones = last_ones.into_iter().take_while(|&(_, there, _)| {
            let wanted = gone < needed;
            gone += there;
            wanted
        });
        victims.extend(last_ones.map(|(.., key)| key));
        victims
    }
}

/// Into so many parts a range of ranks is parted at a time.
const RANGES: u64 = 256;

/// So few are sorted.
const FEW: usize = 1024;
