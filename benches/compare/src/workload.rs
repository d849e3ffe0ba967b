//! Keys, values and streams of queries, all made from one index.
//!
//! Entry `i` has the key `K::nth(i)` and the value [`value`]`(i)`. A [`Stream`] is a sequence of
//! queries laid out one after the other, with the sum of the right answers of each chunk.

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

/// The hasher of every subject.
pub type Hasher = ahash::RandomState;

/// Queries between two looks at the clock.
pub const CHUNK: usize = 1024;

/// What a miss adds to the sum of the answers. Its top bit is clear, like that of every value.
pub const MISS: u64 = 0x2545_f491_4f6c_dd1d;

/// Returns the hasher that all subjects share, the same in every run.
pub fn hasher() -> Hasher {
    Hasher::with_seeds(1, 2, 3, 4)
}

/// Returns the value of entry `index`. The top bit is clear: see [`Queries::with`].
pub fn value(index: u64) -> u64 {
    mix(index ^ 0x9e6c_63d0_876a_68ee) >> 1
}

/// Scrambles `x`; no two numbers give the same result.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A small generator of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Returns a generator whose numbers depend on `seed` only.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// Returns a number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Returns a number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A type of keys, and of the borrowed form they are asked by.
pub trait Key: Clone + Eq + Hash + Ord + Send + Sync + Borrow<Self::Query> + 'static {
    /// What a subject is asked with.
    type Query: ?Sized + Eq + Hash + Ord + Sync + ToOwned<Owned = Self>;
    /// Many queries, one after the other.
    type Queries: Queries<Query = Self::Query>;
    /// The name in tables.
    const NAME: &'static str;

    /// Returns the key of entry `index`.
    fn nth(index: u64) -> Self;
}

/// Queries in the order in which they are asked, so that reading them is not what is measured.
pub trait Queries: Send + Sync {
    /// One of them.
    type Query: ?Sized;

    /// Lays out the queries for these entries. One more is added for [`Queries::with`].
    fn lay_out(indices: &[u64]) -> Self;

    /// Calls `f` with each query in `range`.
    fn each(&self, range: Range<usize>, f: impl FnMut(&Self::Query));

    /// Calls `f` with query `i`. `salt` is always 0, which the processor cannot know: the query
    /// depends on it, so a salt taken from the last answer makes a chain of reads.
    fn with<R>(&self, i: usize, salt: u64, f: impl FnOnce(&Self::Query) -> R) -> R;
}

impl Key for u64 {
    type Query = Self;
    type Queries = Vec<Self>;
    const NAME: &'static str = "u64";

    fn nth(index: u64) -> Self {
        mix(index)
    }
}

impl Queries for Vec<u64> {
    type Query = u64;

    fn lay_out(indices: &[u64]) -> Self {
        indices
            .iter()
            .chain(indices.last())
            .map(|&i| u64::nth(i))
            .collect()
    }

    #[inline(always)]
    fn each(&self, range: Range<usize>, f: impl FnMut(&u64)) {
        self[range].iter().for_each(f);
    }

    #[inline(always)]
    fn with<R>(&self, i: usize, salt: u64, f: impl FnOnce(&u64) -> R) -> R {
        f(&(self[i] ^ salt))
    }
}

impl Key for String {
    type Query = str;
    type Queries = Vec<&'static str>;
    const NAME: &'static str = "String";

    fn nth(index: u64) -> Self {
        format!("key-{:020}", mix(index))
    }
}

impl Queries for Vec<&'static str> {
    type Query = str;

    // Leaked: one block for all of them, and the process ends soon. Slices of a block that the
    // stream owned would cost a check of two character boundaries in every measured read.
    fn lay_out(indices: &[u64]) -> Self {
        let all: String = indices
            .iter()
            .chain(indices.last())
            .map(|&i| String::nth(i))
            .collect();
        let all: &'static str = Box::leak(all.into_boxed_str());
        (0..=indices.len()).map(|i| &all[i * 24..][..24]).collect()
    }

    #[inline(always)]
    fn each(&self, range: Range<usize>, mut f: impl FnMut(&str)) {
        self[range].iter().for_each(|query| f(query));
    }

    #[inline(always)]
    fn with<R>(&self, i: usize, salt: u64, f: impl FnOnce(&str) -> R) -> R {
        f(self[i + salt as usize])
    }
}

/// The entries that every subject is filled with.
#[derive(Clone, Debug)]
pub struct Dataset<K> {
    /// Entry `i` at position `i`.
    pub pairs: Arc<Vec<(K, u64)>>,
}

impl<K: Key> Dataset<K> {
    /// Returns entries `0..size`.
    pub fn new(size: usize) -> Self {
        let pairs = (0..size as u64).map(|i| (K::nth(i), value(i))).collect();
        Self {
            pairs: Arc::new(pairs),
        }
    }

    /// Returns how many there are.
    pub fn size(&self) -> usize {
        self.pairs.len()
    }

    /// Returns copies of all entries.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (K, u64)> + '_ {
        self.pairs.iter().cloned()
    }

    /// Returns copies of all entries, as an iterator that keeps the dataset alive.
    pub fn copies(&self) -> Copies<K> {
        Copies {
            pairs: Arc::clone(&self.pairs),
            next: 0,
        }
    }
}

/// See [`Dataset::copies`].
#[derive(Clone, Debug)]
pub struct Copies<K> {
    pairs: Arc<Vec<(K, u64)>>,
    next: usize,
}

impl<K: Key> Iterator for Copies<K> {
    type Item = (K, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.get(self.next)?;
        self.next += 1;
        Some(pair.clone())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.pairs.len() - self.next;
        (left, Some(left))
    }
}

impl<K: Key> ExactSizeIterator for Copies<K> {}

/// Which entries are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Present ones, each as often as every other.
    Uniform,
    /// Present ones, by Zipf's law with exponent 0.99.
    Zipf,
    /// Ones that are not there.
    Missing,
}

impl Asked {
    /// Returns the name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform hits",
            Self::Zipf => "Zipf 0.99 hits",
            Self::Missing => "misses",
        }
    }
}

/// A sequence of queries with the right answers.
pub struct Stream<K: Key> {
    /// The queries; their number is a multiple of [`CHUNK`].
    pub queries: K::Queries,
    /// For each chunk, the sum of the values, or of [`MISS`] for each miss.
    pub sums: Vec<u64>,
}

impl<K: Key> Stream<K> {
    /// Draws queries over entries `0..size`; enough to touch most of a table of that size.
    pub fn draw(size: usize, asked: Asked, seed: u64) -> Self {
        let indices = draw_indices(size as u64, asked, Self::length(size), seed);
        Self::of(&indices, |index| {
            if asked == Asked::Missing {
                MISS
            } else {
                value(index)
            }
        })
    }

    /// How many queries are drawn over so many entries.
    pub fn length(size: usize) -> usize {
        size.clamp(1 << 16, 1 << 22).next_multiple_of(CHUNK)
    }

    /// Lays out queries for these entries, as many as [`length`](Self::length) says; `answer` is what each
    /// adds to its sum.
    pub fn of(indices: &[u64], answer: impl Fn(u64) -> u64) -> Self {
        let sum = |chunk: &[u64]| {
            chunk
                .iter()
                .fold(0, |sum: u64, &index| sum.wrapping_add(answer(index)))
        };
        Self {
            queries: K::Queries::lay_out(indices),
            sums: indices.chunks(CHUNK).map(sum).collect(),
        }
    }

    /// Returns the number of chunks.
    pub fn chunks(&self) -> usize {
        self.sums.len()
    }
}

/// Draws `len` indices of entries among the first `size`.
pub fn draw_indices(size: u64, asked: Asked, len: usize, seed: u64) -> Vec<u64> {
    let mut rng = Rng::new(seed);
    match asked {
        Asked::Uniform => (0..len).map(|_| rng.below(size)).collect(),
        Asked::Missing => (0..len).map(|_| size + rng.below(size)).collect(),
        Asked::Zipf => {
            let zipf = Zipf::new(size);
            // Ranks are spread over the entries, or the popular ones would be neighbours in the
            // memory that their keys were allocated in.
            (0..len)
                .map(|_| (zipf.rank(&mut rng) * SPREAD) % size)
                .collect()
        }
    }
}

/// A prime that divides no size in use, so multiplying by it permutes the entries.
const SPREAD: u64 = 2_654_435_761;

/// Ranks by Zipf's law with exponent 0.99, by the method of Gray and others (1994).
struct Zipf {
    size: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    const THETA: f64 = 0.99;
    const ALPHA: f64 = 1.0 / (1.0 - Self::THETA);

    fn new(size: u64) -> Self {
        let zeta: f64 = (1..=size).map(|i| (i as f64).powf(-Self::THETA)).sum();
        let two = 1.0 + 0.5_f64.powf(Self::THETA);
        let n = size as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - Self::THETA)) / (1.0 - two / zeta);
        Self { size: n, zeta, eta }
    }

    fn rank(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(Self::THETA) {
            return 1;
        }
        let rank = self.size * (self.eta * unit - self.eta + 1.0).powf(Self::ALPHA);
        (rank as u64).min(self.size as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_is_skewed_as_the_law_says() {
        let size = 1000_u64;
        let zipf = Zipf::new(size);
        let mut rng = Rng::new(7);
        let mut counts = vec![0_u32; size as usize];
        for _ in 0..400_000 {
            counts[zipf.rank(&mut rng) as usize] += 1;
        }
        let expected = |rank: f64| 400_000.0 / zipf.zeta / rank.powf(Zipf::THETA);
        for rank in [1_usize, 2, 10, 100] {
            let got = f64::from(counts[rank - 1]);
            let want = expected(rank as f64);
            assert!(
                (got / want - 1.0).abs() < 0.25,
                "rank {rank}: {got} for {want}"
            );
        }
    }

    #[test]
    fn streams_know_their_answers() {
        for asked in [Asked::Uniform, Asked::Zipf, Asked::Missing] {
            let data = Dataset::<String>::new(1000);
            let map: std::collections::HashMap<_, _> = data.iter().collect();
            let stream = Stream::<String>::draw(1000, asked, 3);
            for (chunk, &expected) in stream.sums.iter().enumerate() {
                let mut sum = 0_u64;
                stream
                    .queries
                    .each(chunk * CHUNK..(chunk + 1) * CHUNK, |query| {
                        sum = sum.wrapping_add(map.get(query).copied().unwrap_or(MISS));
                    });
                assert_eq!(sum, expected, "{} chunk {chunk}", asked.name());
            }
        }
    }

    #[test]
    fn values_leave_the_top_bit_clear() {
        assert!((0..10_000).map(value).all(|v| v >> 63 == 0));
        assert_eq!(MISS >> 63, 0);
    }
}
