//! Values of several shapes, and the reads of each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use larder::{Bucket, Reader};

use super::{Lane, Subject};
use crate::workload::{Hasher, Key, hasher, value};

/// A type of values, each made from a number and leading back to one.
pub trait Shape: Clone + Send + Sync + 'static {
    /// The name in tables.
    const NAME: &'static str;

    /// Returns the value of entry `index`.
    fn of(index: u64) -> Self;

    /// Returns a number that takes a look at what the value holds. Its top bit is clear.
    fn look(&self) -> u64;
}

impl Shape for u64 {
    const NAME: &'static str = "u64";

    fn of(index: u64) -> Self {
        value(index)
    }

    #[inline(always)]
    fn look(&self) -> u64 {
        *self
    }
}

impl Shape for String {
    const NAME: &'static str = "String of 24 bytes";

    fn of(index: u64) -> Self {
        format!("val-{:020}", value(index))
    }

    #[inline(always)]
    fn look(&self) -> u64 {
        // The last digits. ASCII has the top bit of each byte clear.
        self.as_bytes()
            .last_chunk()
            .map_or(0, |&digits| u64::from_le_bytes(digits))
    }
}

impl Shape for Arc<[u8; 32]> {
    const NAME: &'static str = "Arc of 32 bytes";

    fn of(index: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&value(index).to_le_bytes());
        Self::new(bytes)
    }

    #[inline(always)]
    fn look(&self) -> u64 {
        self.first_chunk()
            .map_or(0, |&bytes| u64::from_le_bytes(bytes))
    }
}

/// A plain struct of a cache line.
#[derive(Clone, Debug)]
pub struct Line([u64; 8]);

impl Shape for Line {
    const NAME: &'static str = "struct of 64 bytes";

    fn of(index: u64) -> Self {
        let mut words = [index; 8];
        (words[0], words[7]) = (value(index) >> 1, value(index) & 1);
        Self(words)
    }

    #[inline(always)]
    fn look(&self) -> u64 {
        self.0[0] << 1 | self.0[7]
    }
}

type Shelf<V> = Bucket<u64, V, Hasher>;
type Map<V> = hashbrown::HashMap<u64, V, Hasher>;

struct Bare<V>(Map<V>);

impl<V: Shape> Subject<u64> for Bare<V> {
    const NAME: &'static str = "bare hashbrown map, by reference";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &u64) -> Option<u64> {
        subject.0.get(key).map(V::look)
    }
}

struct ByReader<V: Shape>(Shelf<V>);

impl<V: Shape> Subject<u64> for ByReader<V> {
    const NAME: &'static str = "larder Reader::get, by reference";

    type Handle<'s> = Reader<u64, V, Hasher>;

    fn handle(&self) -> Self::Handle<'_> {
        self.0.reader()
    }

    #[inline(always)]
    fn get(reader: &mut Self::Handle<'_>, key: &u64) -> Option<u64> {
        reader.get(key).map(V::look)
    }
}

struct ByWith<V: Shape>(Shelf<V>);

impl<V: Shape> Subject<u64> for ByWith<V> {
    const NAME: &'static str = "larder with, by reference";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &u64) -> Option<u64> {
        subject.0.with(key, V::look)
    }
}

struct ByPeek<V: Shape>(Shelf<V>);

impl<V: Shape> Subject<u64> for ByPeek<V> {
    const NAME: &'static str = "larder peek, a clone";

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &u64) -> Option<u64> {
        subject.0.peek(key).map(|value| value.look())
    }
}

/// Returns the bare map and larder's reads, filled with entries `0..size`.
///
/// # Panics
///
/// If the bucket cannot be built and filled.
pub fn lanes<V: Shape>(size: usize) -> Vec<Box<dyn Lane<u64>>> {
    let pairs = move || (0..size as u64).map(|index| (u64::nth(index), V::of(index)));
    let bucket = Bucket::builder("shapes")
        .hasher(hasher())
        .load_all(move || Ok::<_, Infallible>(pairs()))
        .build()
        .expect("the options are valid");
    bucket
        .refresh()
        .wait(Duration::from_secs(120))
        .expect("the source cannot fail");
    let mut map = Map::with_capacity_and_hasher(size, hasher());
    map.extend(pairs());
    vec![
        Box::new(Bare(map)),
        Box::new(ByReader(bucket.clone())),
        Box::new(ByWith(bucket.clone())),
        Box::new(ByPeek(bucket)),
    ]
}
