//! larder's three reads, over one bucket.

use std::convert::Infallible;
use std::time::Duration;

use larder::{Bucket, Reader};

use super::{Lane, Subject};
use crate::workload::{Copies, Dataset, Hasher, Key, hasher};

/// The bucket that is measured.
pub type Shelf<K> = Bucket<K, u64, Hasher>;

/// The name of the read through a handle.
pub const READER: &str = "larder Reader::get (handle)";
/// The name of the read without a handle.
pub const PEEK: &str = "larder peek";
/// The name of the read that would load.
pub const GET: &str = "larder get";

struct ByReader<K: Key>(Shelf<K>);

impl<K: Key> Subject<K> for ByReader<K> {
    const NAME: &'static str = READER;

    type Handle<'s> = Reader<K, u64, Hasher>;

    fn handle(&self) -> Self::Handle<'_> {
        self.0.reader()
    }

    #[inline(always)]
    fn get(reader: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        reader.get(key).copied()
    }
}

struct ByPeek<K: Key>(Shelf<K>);

impl<K: Key> Subject<K> for ByPeek<K> {
    const NAME: &'static str = PEEK;

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.peek(key)
    }
}

struct ByGet<K: Key>(Shelf<K>);

impl<K: Key> Subject<K> for ByGet<K> {
    const NAME: &'static str = GET;

    type Handle<'s> = &'s Self;

    fn handle(&self) -> Self::Handle<'_> {
        self
    }

    #[inline(always)]
    fn get(subject: &mut Self::Handle<'_>, key: &K::Query) -> Option<u64> {
        subject.0.get(key)
    }
}

/// Returns a bucket whose snapshot holds `data`. It has no loader for single keys, so that a
/// missing one costs `get` the lookup and the refusal.
///
/// # Panics
///
/// If the bucket cannot be built and filled.
pub fn shelf<K: Key>(name: &str, data: &Dataset<K>) -> Shelf<K> {
    let bucket = Bucket::builder(name)
        .hasher(hasher())
        .load_all(source(data))
        .build()
        .expect("the options are valid");
    bucket
        .refresh()
        .wait(Duration::from_secs(120))
        .expect("the source cannot fail");
    assert_eq!(bucket.len(), data.size());
    bucket
}

/// Returns a loader of the whole dataset out of memory.
pub fn source<K: Key>(
    data: &Dataset<K>,
) -> impl Fn() -> Result<Copies<K>, Infallible> + Send + Sync + use<K> + 'static {
    let data = data.clone();
    move || Ok(data.copies())
}

/// Returns the three rows.
pub(super) fn lanes<K: Key>(data: &Dataset<K>) -> Vec<Box<dyn Lane<K>>> {
    let bucket = shelf("reads", data);
    vec![
        Box::new(ByReader(bucket.clone())),
        Box::new(ByPeek(bucket.clone())),
        Box::new(ByGet(bucket)),
    ]
}
