//! What users have derived from a whole dataset, and how they get at it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use super::Snapshot;
use crate::error::BoxError;
use crate::refresh::Deriver;
use crate::{DefaultHashBuilder, HashBuilder, Key, Value};

/// Something that is derived from each dataset and published with it: a [list](Self::list) in the order of the source,
/// an [index](Self::index) by something else than the key, or [whatever](Self::new) a function makes of the dataset.
///
/// It is made first, given to [`Builder::derive`](super::Builder::derive), and kept: it is the handle by which its `T`
/// is found in a [`Snapshot`]. A clone is the same handle.
///
/// # Consistency
///
/// A dataset and what is derived from it are published in one swap, so a snapshot has both of one dataset. What is
/// derived stays as the dataset was when it was fetched, up to the next one that is published. What is written, loaded
/// or removed in between changes the bucket, and not this. So an index does not know of a key that was
/// [set](super::Bucket::set) since, and finds one whose value was changed since where it was before.
///
/// What is looked up by a key is as the snapshot has it: [`pairs`](Self::pairs) and [`find`](Self::find) give values
/// that were written since as they are now, and leave out what was removed or has expired.
///
/// There is none (`None`, or no pairs) before the first dataset is published, also where
/// [`init`](super::Builder::init) or a dump has filled the bucket; after the bucket was emptied; after what a failed
/// refresh left was [taken out](super::Builder::max_stale); and in the snapshots of a bucket that it was not given to.
///
/// # Cost
///
/// A hit pays nothing. Getting at a `T` takes no lock and allocates nothing. It is derived on the dataset's thread,
/// which nobody waits for; meanwhile all keys are in memory once more, and two words for each. It is freed with the
/// last table of its dataset, by the refresher.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use larder::{Bucket, Derived};
///
/// // Teas by their name; the second field is where they grow.
/// let by_country = Derived::index(|_name, country: &&str| [*country]);
/// let as_on_the_menu = Derived::list();
/// let teas = Bucket::<&str, &str>::builder("teas")
///     .load_all(|| Ok::<_, std::io::Error>([("sencha", "Japan"), ("assam", "India"), ("bancha", "Japan")]))
///     .derive(&by_country)
///     .derive(&as_on_the_menu)
///     .build()?;
/// assert!(as_on_the_menu.of(&teas.snapshot()).is_none());
/// teas.refresh().wait(Duration::from_secs(5))?;
///
/// let snapshot = teas.snapshot();
/// let names = |pair: (&&'static str, _)| *pair.0;
/// assert_eq!(by_country.find(&snapshot, "Japan").map(names).collect::<Vec<_>>(), ["sencha", "bancha"]);
/// assert_eq!(as_on_the_menu.pairs(&snapshot).map(names).collect::<Vec<_>>(), ["sencha", "assam", "bancha"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "view")]
#[doc(alias = "secondary index")]
pub struct Derived<K, V, T> {
    deriver: Deriver<K, V>,
    made: PhantomData<fn() -> T>,
}

impl<K: Key, V: Value, T: Send + Sync + 'static> Derived<K, V, T> {
    /// Derives what `derive` makes of the pairs of a dataset, which are in the order of their source. Of pairs with one
    /// key only the last is among them.
    ///
    /// A panic of it is contained: then the refresh has failed, and what is published stays.
    ///
    /// # Blocking
    ///
    /// It runs on the dataset's thread, after the [validators](super::Builder::validate_dataset), with no lock held,
    /// and may block: nobody waits for it but who waits for the refresh.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use std::time::Duration;
    /// use larder::{Bucket, Derived};
    ///
    /// // From what weight on which price holds: asked for by range, which no hash map can be.
    /// let prices = Derived::new(|pairs: &[(&u32, &u64)]| {
    ///     pairs.iter().map(|&(from, price)| (*from, *price)).collect::<BTreeMap<u32, u64>>()
    /// });
    /// let bucket = Bucket::<u32, u64>::builder("postage")
    ///     .load_all(|| Ok::<_, std::io::Error>([(0, 85), (50, 100), (500, 160)]))
    ///     .derive(&prices)
    ///     .build()?;
    /// bucket.refresh().wait(Duration::from_secs(5))?;
    /// let snapshot = bucket.snapshot();
    /// let prices = prices.of(&snapshot).ok_or("no prices yet")?;
    /// assert_eq!(prices.range(..=70).next_back(), Some((&50, &100)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(derive: impl Fn(&[(&K, &V)]) -> T + Send + Sync + 'static) -> Self {
        Self::or_refuse(move |pairs| Ok::<_, BoxError>(derive(pairs)))
    }

    /// As [`new`](Self::new), and an error refuses the dataset as a
    /// [validator](super::Builder::validate_dataset) does: what is published stays, the dataset before and what was
    /// derived from it.
    pub fn or_refuse<E: Into<BoxError>>(
        derive: impl Fn(&[(&K, &V)]) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        let derive = move |pairs: &[(&K, &V)]| match derive(pairs) {
            Ok(made) => Ok(Box::new(made) as _),
            Err(error) => Err(error.into()),
        };
        Self {
            deriver: Deriver::new(derive),
            made: PhantomData,
        }
    }

    /// What was derived from the dataset that a snapshot is of.
    #[must_use]
    pub fn of<'a, S: HashBuilder>(&self, snapshot: &'a Snapshot<K, V, S>) -> Option<&'a T> {
        snapshot.generation().derived(self.deriver.number())
    }

    pub(super) fn deriver(&self) -> &Deriver<K, V> {
        &self.deriver
    }
}

impl<K: Key, V: Value> Derived<K, V, List<K>> {
    /// The keys in the order of the source.
    #[must_use]
    pub fn list() -> Self {
        Self::new(|pairs| List(pairs.iter().map(|&(key, _)| key.clone()).collect()))
    }

    /// The pairs of a snapshot in the order of the source. See [`Derived`] for what is not among them.
    pub fn pairs<'a, S: HashBuilder>(
        &self,
        snapshot: &'a Snapshot<K, V, S>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, S> {
        let keys = self.of(snapshot).map_or(&[][..], List::keys);
        snapshot.among(keys)
    }
}

impl<K: Key, V: Value, I: Hash + Eq + Send + Sync + 'static> Derived<K, V, Index<I, K>> {
    /// An index of the pairs by whatever `by` says of each: no value, one or many. A pair of which it says the same
    /// twice is there once.
    #[must_use]
    pub fn index<F, L>(by: F) -> Self
    where
        F: Fn(&K, &V) -> L + Send + Sync + 'static,
        L: IntoIterator<Item = I>,
    {
        Self::new(move |pairs| {
            let mut index = HashMap::<I, Vec<K>, _>::default();
            for &(key, value) in pairs {
                for value in by(key, value) {
                    let keys = index.entry(value).or_default();
                    if keys.last() != Some(key) {
                        keys.push(key.clone());
                    }
                }
            }
            Index(index)
        })
    }

    /// The pairs of a snapshot that the index has under a value, in the order of the source. See [`Derived`] for what
    /// is not among them.
    pub fn find<'a, S, Q>(
        &self,
        snapshot: &'a Snapshot<K, V, S>,
        value: &Q,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, I, S, Q>
    where
        S: HashBuilder,
        I: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let index = self.of(snapshot);
        snapshot.among(index.map_or(&[][..], |index| index.keys(value)))
    }
}

impl<K, V, T> Clone for Derived<K, V, T> {
    fn clone(&self) -> Self {
        Self {
            deriver: self.deriver.clone(),
            made: PhantomData,
        }
    }
}

impl<K, V, T> fmt::Debug for Derived<K, V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derived").finish_non_exhaustive()
    }
}

/// The keys of a dataset in the order of its source. See [`Derived::list`].
#[derive(Debug)]
pub struct List<K>(Box<[K]>);

impl<K> List<K> {
    /// The keys. One that came more than once is where it came last.
    #[must_use]
    pub fn keys(&self) -> &[K] {
        &self.0
    }
}

/// The keys of a dataset by something else. See [`Derived::index`].
#[derive(Debug)]
pub struct Index<I, K>(HashMap<I, Vec<K>, DefaultHashBuilder>);

impl<I: Hash + Eq, K> Index<I, K> {
    /// The keys that have this value, in the order of the source.
    #[must_use]
    pub fn keys<Q>(&self, value: &Q) -> &[K]
    where
        I: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(value).map_or(&[], Vec::as_slice)
    }

    /// All values with their keys, in no particular order of the values.
    pub fn iter(&self) -> impl Iterator<Item = (&I, &[K])> {
        self.0.iter().map(|(value, keys)| (value, &**keys))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
