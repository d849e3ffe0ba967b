//! How often keys were used, about: a count-min sketch of four rows of small counters, all of which are halved from time to
//! time. Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017.
//!
//! It knows hashes only, so it knows as much of keys that are cached no more, or not yet. It never says too little of what
//! was counted since the last halving; too much of a key that shares all four of its counters with others.

use crate::spread::spread;
use crate::sync::pace;

/// The counters of a few keys: one line of a cache, so that a look costs one miss.
type Block = [u64; 8];

/// As many keys share a block: 16 counters for each.
const KEYS: usize = 8;

/// Where nobody knows how many keys there will be: 2 KiB.
const LEAST: usize = 32;

/// All counters are halved once so many uses were counted for each key that there is a place for. As in the paper.
const USES: usize = 10;

/// The most that a counter says.
pub(super) const MOST: u8 = 15;

/// The lowest bits of all counters but those.
const HALVED: u64 = 0x7777_7777_7777_7777;

pub(super) struct Sketch {
    blocks: Vec<Block>,
    /// So many uses were counted; half of them, since they were halved.
    uses: usize,
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self {
            blocks: vec![[0; KEYS]; LEAST],
            uses: 0,
        }
    }

    /// Has a place for so many keys. What it knows it knows still: a block that is doubled says in both what it said.
    pub(super) fn make_room(&mut self, keys: usize) {
        while self.blocks.len() * KEYS < keys {
            self.blocks = pace::collect(self.blocks.iter().flat_map(|&b| [b, b]));
        }
    }

    /// A key with this hash was used.
    ///
    /// Only its lowest counters are raised: the others say more than that already, and of another key.
    pub(super) fn add(&mut self, hash: u64) {
        self.uses += 1;
        let least = self.count(hash);
        if least == MOST {
            return;
        }
        let (at, counters) = self.place(hash);
        for (word, shift) in counters {
            let word = &mut self.blocks[at][word];
            if nibble(*word, shift) == least {
                *word += 1 << shift;
            }
        }
    }

    /// How often keys with this hash were used, the long past counting for less; [`MOST`] at the most.
    pub(super) fn count(&self, hash: u64) -> u8 {
        let (at, counters) = self.place(hash);
        let block = &self.blocks[at];
        let counts = counters.map(|(word, shift)| nibble(block[word], shift));
        counts.into_iter().fold(MOST, u8::min)
    }

    /// Forgets half of all, if enough was counted.
    pub(super) fn age(&mut self) {
        while self.uses >= USES * KEYS * self.blocks.len() {
            for word in pace::each(&mut self.blocks).flatten() {
                *word = (*word >> 1) & HALVED;
            }
            self.uses /= 2;
        }
    }

    /// The block of a hash, and its counter in each row: the word, and by how much it is to be shifted.
    fn place(&self, hash: u64) -> (usize, [(usize, u32); 4]) {
        let spread = spread(hash);
        let at = ((u128::from(spread) * self.blocks.len() as u128) >> 64) as usize;
        // From below the bits that choose the block, in all but huge ones.
        let counters = std::array::from_fn(|row| {
            let counter = (spread >> (20 + 5 * row)) as usize % 32;
            (2 * row + counter / 16, (counter % 16) as u32 * 4)
        });
        (at, counters)
    }
}

fn nibble(word: u64, shift: u32) -> u8 {
    (word >> shift) as u8 & MOST
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    /// Of as many keys as it has places for, used up to five times: nothing too low, and nearly nothing too high. For
    /// hashers that spread and for one that does not.
    #[test]
    fn nothing_is_counted_too_low_and_nearly_nothing_too_high() {
        let hashers: [fn(u64) -> u64; 4] = [
            |n| n,
            |n| n << 16,
            |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            |n| ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(n),
        ];
        for (hasher, hash) in hashers.into_iter().enumerate() {
            let (mut sketch, keys) = (Sketch::new(), 4_096);
            sketch.make_room(keys);
            for round in 0..5 {
                let used = (0..keys as u64).filter(|n| n % 5 >= round);
                used.for_each(|n| sketch.add(hash(n)));
            }
            let counts = (0..keys as u64).map(|n| (n % 5 + 1, u64::from(sketch.count(hash(n)))));
            let counts: Vec<_> = counts.collect();
            assert!(counts.iter().all(|(used, said)| said >= used));
            let high = counts.iter().filter(|(used, said)| said > used).count();
            assert!(high * 50 < keys, "hasher {hasher}: {high} too high");
        }
    }

    #[test]
    fn what_was_counted_is_known_in_a_larger_one() {
        let mut sketch = Sketch::new();
        (0..7).for_each(|_| sketch.add(42));
        sketch.make_room(100_000);
        assert_eq!((sketch.count(42), sketch.count(43)), (7, 0));
        (0..100).for_each(|_| sketch.add(42));
        assert_eq!(sketch.count(42), MOST);
    }

    #[test]
    fn all_is_halved_when_enough_was_counted() {
        let mut sketch = Sketch::new();
        (0..5).for_each(|_| sketch.add(1));
        sketch.add(2);
        let enough = USES * KEYS * LEAST;
        (6..enough - 1).for_each(|_| sketch.add(3));
        sketch.age();
        let counts = |sketch: &Sketch| [1, 2, 3].map(|hash| sketch.count(hash));
        assert_eq!(counts(&sketch), [5, 1, MOST]);
        sketch.add(3);
        sketch.age();
        assert_eq!(counts(&sketch), [2, 0, MOST / 2]);
        assert_eq!(sketch.uses, enough / 2);
    }
}
