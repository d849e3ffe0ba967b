//! Storages that are written as async code.

use std::future::Future;

use tokio::runtime::Handle;

use super::Bridge;
use crate::error::{BoxError, Error, ErrorKind};
use crate::storage::{Change, Entry, Expiry, Storage};
use crate::{Key, Value};

/// A [`Storage`] whose operations are async. See there for what each is to do: it is the same, and so are the
/// [checks](crate::storage::conformance) to pass.
///
/// An implementation writes `async fn`. What it returns need not be `Send`.
///
/// ```
/// use std::collections::BTreeMap;
/// use larder::BoxError;
/// use larder::storage::{Change, Entry, Expiry, conformance};
/// use larder::tokio::AsyncStorage;
///
/// /// Stands in for a client of a database.
/// #[derive(Clone, Default)]
/// struct Rows(std::sync::Arc<std::sync::Mutex<(u64, BTreeMap<u32, (u32, Option<Expiry>)>)>>);
///
/// impl AsyncStorage<u32, u32> for Rows {
///     async fn load(&mut self, each: &mut dyn FnMut(u32, u32, Option<Expiry>)) -> Result<u64, BoxError> {
///         let (version, rows) = self.0.lock().unwrap().clone();
///         for (key, (value, expiry)) in rows {
///             tokio::task::yield_now().await;
///             each(key, value, expiry);
///         }
///         Ok(version)
///     }
///
///     async fn apply(
///         &mut self,
///         changes: &mut dyn Iterator<Item = Change<'_, u32, u32>>,
///     ) -> Result<(), BoxError> {
///         for change in changes {
///             tokio::task::yield_now().await;
///             let rows = &mut self.0.lock().unwrap().1;
///             match change {
///                 Change::Put(Entry { key, value, expiry }) => rows.insert(*key, (*value, expiry)),
///                 Change::Remove(key) => rows.remove(key),
///             };
///         }
///         Ok(())
///     }
///
///     async fn replace(
///         &mut self,
///         version: u64,
///         entries: &mut dyn Iterator<Item = Entry<'_, u32, u32>>,
///     ) -> Result<(), BoxError> {
///         let rows = entries.map(|entry| (*entry.key, (*entry.value, entry.expiry))).collect();
///         tokio::task::yield_now().await;
///         *self.0.lock().unwrap() = (version, rows);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
/// let rows = Rows::default();
/// let open = || larder::tokio::storage(runtime.handle().clone(), rows.clone());
/// conformance::check(open, |number| number, |number| number);
/// let bucket = larder::Bucket::<u32, u32>::builder("numbers").storage(open()).build()?;
/// # drop(bucket);
/// # Ok(())
/// # }
/// ```
pub trait AsyncStorage<K, V>: Send + 'static {
    /// As [`Storage::load`].
    ///
    /// # Errors
    ///
    /// As there.
    fn load(
        &mut self,
        each: &mut dyn FnMut(K, V, Option<Expiry>),
    ) -> impl Future<Output = Result<u64, BoxError>>;

    /// As [`Storage::apply`].
    ///
    /// # Errors
    ///
    /// As there.
    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, K, V>>,
    ) -> impl Future<Output = Result<(), BoxError>>;

    /// As [`Storage::replace`].
    ///
    /// # Errors
    ///
    /// As there.
    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, K, V>>,
    ) -> impl Future<Output = Result<(), BoxError>>;
}

/// An async storage as a [`Storage`], for [`Builder::storage`](crate::Builder::storage) and
/// [`conformance::check`](crate::storage::conformance::check).
///
/// It is driven on the bucket's storage thread, which holds up nobody; and read on the thread that builds the bucket. Where
/// it could not be asked to be read, it is not written to either, as what is there would be lost: each write is an error
/// then.
///
/// # Panics
///
/// As [`loader`](super::loader).
pub fn storage<K: Key, V: Value>(
    handle: Handle,
    storage: impl AsyncStorage<K, V>,
) -> impl Storage<K, V> {
    Driven {
        bridge: Bridge::new(handle),
        storage,
        not_asked: false,
    }
}

struct Driven<T> {
    bridge: Bridge,
    storage: T,
    /// It was to be read where that would have waited for itself.
    not_asked: bool,
}

impl<T> Driven<T> {
    fn may_write(&self) -> Result<(), BoxError> {
        if self.not_asked {
            let message =
                "the storage was not read: the bucket was built on the only thread of its runtime";
            return Err(Error::new(ErrorKind::Reentrant, message).into());
        }
        Ok(())
    }
}

/// An entry that a thread can be given.
type Owned<K, V> = (K, Option<(V, Option<Expiry>)>);

impl<K: Key, V: Value, T: AsyncStorage<K, V>> Storage<K, V> for Driven<T> {
    fn load(&mut self, each: &mut dyn FnMut(K, V, Option<Expiry>)) -> Result<u64, BoxError> {
        let must_not_block = self.bridge.must_not_block();
        self.not_asked = must_not_block.is_err();
        if !must_not_block? {
            return self.bridge.drive(self.storage.load(each))?;
        }
        let (storage, mut read) = (&mut self.storage, Vec::new());
        let reading = &mut read;
        let version = self.bridge.run(async move || {
            let mut each = |key, value, expiry| reading.push((key, value, expiry));
            storage.load(&mut each).await
        })?;
        for (key, value, expiry) in read {
            each(key, value, expiry);
        }
        version
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, K, V>>,
    ) -> Result<(), BoxError> {
        self.may_write()?;
        if !self.bridge.must_not_block()? {
            return self.bridge.drive(self.storage.apply(changes))?;
        }
        let owned: Vec<Owned<K, V>> = changes.map(own).collect();
        let storage = &mut self.storage;
        self.bridge
            .run(async move || storage.apply(&mut owned.iter().map(lend)).await)?
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, K, V>>,
    ) -> Result<(), BoxError> {
        self.may_write()?;
        if !self.bridge.must_not_block()? {
            return self.bridge.drive(self.storage.replace(version, entries))?;
        }
        let owned: Vec<Owned<K, V>> = entries.map(|entry| own(Change::Put(entry))).collect();
        let storage = &mut self.storage;
        self.bridge.run(async move || {
            let entries = owned.iter().map(lend);
            let mut entries = entries.filter_map(|change| match change {
                Change::Put(entry) => Some(entry),
                Change::Remove(_) => None,
            });
            storage.replace(version, &mut entries).await
        })?
    }
}

fn own<K: Clone, V: Clone>(change: Change<'_, K, V>) -> Owned<K, V> {
    match change {
        Change::Put(Entry { key, value, expiry }) => (key.clone(), Some((value.clone(), expiry))),
        Change::Remove(key) => (key.clone(), None),
    }
}

fn lend<K, V>((key, kept): &Owned<K, V>) -> Change<'_, K, V> {
    match kept {
        Some((value, expiry)) => Change::Put(Entry {
            key,
            value,
            expiry: *expiry,
        }),
        None => Change::Remove(key),
    }
}
