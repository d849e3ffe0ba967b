//! Closures as loaders.

use std::marker::PhantomData;

use super::{BulkLoader, DatasetLoader, Loaded, Loader, Outcome};
use crate::error::BoxError;

/// A closure that loads one key, as a [`Loader`].
pub(crate) struct LoadFn<F, O, E>(F, Types<(O, E)>);

impl<F, O, E> LoadFn<F, O, E> {
    pub(crate) fn new(load: F) -> Self {
        Self(load, PhantomData)
    }
}

impl<K, V, F, O, E> Loader<K, V> for LoadFn<F, O, E>
where
    F: Fn(&K) -> Result<O, E> + Send + Sync + 'static,
    O: Into<Loaded<K, V>> + 'static,
    E: Into<BoxError> + 'static,
{
    fn load(&self, key: &K) -> Result<Outcome<V>, BoxError> {
        self.load_pairs(key, None).map(Loaded::into_outcome)
    }

    fn load_pairs(&self, key: &K, _: Option<&V>) -> Result<Loaded<K, V>, BoxError> {
        (self.0)(key).map(Into::into).map_err(Into::into)
    }
}

/// A closure that loads a batch, as a [`BulkLoader`].
pub(crate) struct BulkFn<F, I, O, E>(F, Types<(I, O, E)>);

/// What a closure returns; it holds none of it.
type Types<T> = PhantomData<fn() -> T>;

impl<F, I, O, E> BulkFn<F, I, O, E> {
    pub(crate) fn new(load: F) -> Self {
        Self(load, PhantomData)
    }
}

impl<K, V, F, I, O, E> BulkLoader<K, V> for BulkFn<F, I, O, E>
where
    F: Fn(&[K]) -> Result<I, E> + Send + Sync + 'static,
    I: IntoIterator<Item = (K, O)> + 'static,
    O: Into<Outcome<V>> + 'static,
    E: Into<BoxError> + 'static,
{
    fn bulk_load(&self, keys: &[K]) -> Result<Vec<(K, Outcome<V>)>, BoxError> {
        let answers = (self.0)(keys).map_err(Into::into)?;
        Ok(answers
            .into_iter()
            .map(|(key, answer)| (key, answer.into()))
            .collect())
    }
}

/// A closure that loads the whole dataset, as a [`DatasetLoader`].
pub(crate) struct DatasetFn<F, I, E>(F, Types<(I, E)>);

impl<F, I, E> DatasetFn<F, I, E> {
    pub(crate) fn new(load: F) -> Self {
        Self(load, PhantomData)
    }
}

impl<K, V, F, I, E> DatasetLoader<K, V> for DatasetFn<F, I, E>
where
    F: Fn() -> Result<I, E> + Send + Sync + 'static,
    I: IntoIterator<Item = (K, V)> + 'static,
    I::IntoIter: 'static,
    E: Into<BoxError> + 'static,
{
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (K, V)> + '_>, BoxError> {
        let pairs = (self.0)().map_err(Into::into)?;
        Ok(Box::new(pairs.into_iter()))
    }
}

/// A closure that loads the whole dataset as items, and one that tells an item's key, as a [`DatasetLoader`].
pub(crate) struct ItemsFn<F, D, I, E>(F, D, Types<(I, E)>);

impl<F, D, I, E> ItemsFn<F, D, I, E> {
    pub(crate) fn new(fetch: F, id: D) -> Self {
        Self(fetch, id, PhantomData)
    }
}

impl<K, V, F, D, I, E> DatasetLoader<K, V> for ItemsFn<F, D, I, E>
where
    F: Fn() -> Result<I, E> + Send + Sync + 'static,
    D: Fn(&V) -> K + Send + Sync + 'static,
    I: IntoIterator<Item = V> + 'static,
    I::IntoIter: 'static,
    E: Into<BoxError> + 'static,
{
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (K, V)> + '_>, BoxError> {
        let items = (self.0)().map_err(Into::into)?.into_iter();
        Ok(Box::new(items.map(|item| ((self.1)(&item), item))))
    }
}
