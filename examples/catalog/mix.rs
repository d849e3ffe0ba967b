//! Which key is read next: a few keys very often, most of them hardly ever, some that do not exist.

/// The exponent of the usual Zipf benchmark: the hottest of 38 000 keys gets 9 % of all reads.
const EXPONENT: f64 = 0.99;

/// Only this many keys take part in the popularity contest; the others have none to speak of.
const RANKS: usize = 1 << 20;

/// A popularity order over the keys `0..known`, followed by `unknown` keys that do not exist.
pub struct Mix {
    /// The key of each rank, hottest first.
    key_of: Vec<u32>,
    /// For each rank, the share of reads that go to it or to a hotter one.
    share_up_to: Vec<f64>,
    known: u32,
    unknown: u32,
}

impl Mix {
    /// Orders `known` keys (at least one), the same in every run.
    pub fn new(known: u32, unknown: u32) -> Self {
        let mut key_of: Vec<u32> = (0..known).collect();
        let mut random = Random::new(known.into());
        // Hot keys lie anywhere in the table, not side by side at its start.
        for last in (1..key_of.len()).rev() {
            key_of.swap(last, random.below(last as u32 + 1) as usize);
        }
        key_of.truncate(RANKS);
        let mut sum = 0.0;
        let mut share_up_to: Vec<f64> = (1..=key_of.len())
            .map(|rank| {
                sum += (rank as f64).powf(-EXPONENT);
                sum
            })
            .collect();
        share_up_to.iter_mut().for_each(|share| *share /= sum);
        Self {
            key_of,
            share_up_to,
            known,
            unknown,
        }
    }

    /// Draws one of the known keys by popularity.
    pub fn draw(&self, random: &mut Random) -> u32 {
        let point = random.unit();
        let rank = self.share_up_to.partition_point(|&share| share <= point);
        self.key_of[rank.min(self.key_of.len() - 1)]
    }

    /// Draws `size` keys at once, `percent` of them unknown, so that a reader need not draw while it
    /// is being timed.
    pub fn deck(&self, size: usize, percent: u32, random: &mut Random) -> Vec<u32> {
        let unknown = |random: &mut Random| random.below(100) < percent;
        (0..size)
            .map(|_| match unknown(random) {
                true => self.known + random.below(self.unknown),
                false => self.draw(random),
            })
            .collect()
    }
}

/// A small generator of random numbers (SplitMix64), good enough to shuffle and to draw.
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(limit) * (self.next() >> 32)) >> 32) as u32
    }

    /// A number from 0 up to, but not, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }
}

/// Spreads every bit of `word` over all of the result.
pub fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draw_follows_zipf() {
        let mix = Mix::new(1000, 1);
        let mut random = Random::new(7);
        let mut counts = vec![0_u32; 1000];
        for _ in 0..1_000_000 {
            counts[mix.draw(&mut random) as usize] += 1;
        }
        let of_rank = |rank: usize| f64::from(counts[mix.key_of[rank - 1] as usize]);
        for rank in [2, 10, 50] {
            let ratio = of_rank(1) / of_rank(rank) / (rank as f64).powf(EXPONENT);
            assert!((0.9..1.1).contains(&ratio), "rank {rank}: {ratio}");
        }
        assert!(counts.iter().all(|&count| count > 0), "every key is read");
    }

    #[test]
    fn new_ranks_every_key_once() {
        let mut keys = Mix::new(5000, 1).key_of;
        assert_ne!(keys[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        keys.sort_unstable();
        assert!(keys.into_iter().eq(0..5000));
    }

    #[test]
    fn deck_has_its_share_of_unknown_keys() {
        let deck = Mix::new(100, 8).deck(100_000, 3, &mut Random::new(1));
        let unknown = deck.iter().filter(|&&key| key >= 100).count();
        assert!((2_700..3_300).contains(&unknown), "{unknown}");
        assert!(deck.iter().all(|&key| key < 108));
    }

    #[test]
    fn one_key_is_always_drawn() {
        assert_eq!(Mix::new(1, 1).draw(&mut Random::new(3)), 0);
    }
}
