//! Where a bucket's contents are kept behind it: the trait to implement, one implementation, in memory, and the
//! [checks](conformance) that any other has to pass.
//!
//! No read goes through a storage, and no write waits for it. A bucket that is given one by
//! [`Builder::storage`](crate::Builder::storage) begins with what is in it, and writes to it from then on, behind
//! everybody's back.

pub mod conformance;
mod memory;

pub use self::memory::MemoryStorage;
pub use crate::expiry::Expiry;

use crate::error::BoxError;

/// A place where the contents of one bucket are kept: a table of a database, a directory of files, another service.
///
/// A bucket has it written to by one thread of its own, one call at a time, so that a storage needs no lock and may take
/// its time. All that the bucket asks is that what was written is there when it is read at the next start; it keeps no
/// order of its own, and is not asked for a single key.
///
/// What is given with a call is what changes a copy of one snapshot of the bucket into a copy of a later one. So a
/// storage that does all of a call or nothing, by a transaction say, is a consistent cut at any time, with a group of
/// writes ([`set_many`](crate::Bucket::set_many)) whole or not at all. One that does it piece by piece is so between
/// two calls.
///
/// An error, or a panic, is reported, and what was to be written is given again later, with what has changed by then.
/// Nothing is known of how much of it was done, so all of it must be possible twice.
///
/// Run [`conformance::check`] in the tests of an implementation.
///
/// ```
/// use std::collections::BTreeMap;
/// use larder::BoxError;
/// use larder::storage::{Change, Entry, Expiry, Storage};
///
/// /// Keeps what is written in a map. `MemoryStorage` shares it, and so has it when it is opened again.
/// #[derive(Default)]
/// struct Kept {
///     version: u64,
///     rows: BTreeMap<u32, (String, Option<Expiry>)>,
/// }
///
/// impl Storage<u32, String> for Kept {
///     fn load(
///         &mut self,
///         each: &mut dyn FnMut(u32, String, Option<Expiry>),
///     ) -> Result<u64, BoxError> {
///         for (key, (value, expiry)) in &self.rows {
///             each(*key, value.clone(), *expiry);
///         }
///         Ok(self.version)
///     }
///
///     fn apply(
///         &mut self,
///         changes: &mut dyn Iterator<Item = Change<'_, u32, String>>,
///     ) -> Result<(), BoxError> {
///         for change in changes {
///             match change {
///                 Change::Put(Entry { key, value, expiry }) => {
///                     self.rows.insert(*key, (value.clone(), expiry));
///                 }
///                 Change::Remove(key) => {
///                     self.rows.remove(key);
///                 }
///             }
///         }
///         Ok(())
///     }
///
///     fn replace(
///         &mut self,
///         version: u64,
///         entries: &mut dyn Iterator<Item = Entry<'_, u32, String>>,
///     ) -> Result<(), BoxError> {
///         self.rows = entries.map(|entry| (*entry.key, (entry.value.clone(), entry.expiry))).collect();
///         self.version = version;
///         Ok(())
///     }
/// }
///
/// let bucket = larder::Bucket::<u32, String>::builder("words").storage(Kept::default()).build()?;
/// # drop(bucket);
/// # Ok::<(), larder::BuildError>(())
/// ```
#[doc(alias = "backend")]
#[doc(alias = "Store")]
pub trait Storage<K, V>: Send + 'static {
    /// Calls `each` with every entry that is kept, each key once, in any order, and returns the version of the last
    /// [`replace`](Self::replace), 0 if there was none.
    ///
    /// Entries that have expired may be left out; the bucket leaves them out itself.
    ///
    /// # Errors
    ///
    /// Why it cannot be read. Then nothing of what `each` was given is used.
    fn load(&mut self, each: &mut dyn FnMut(K, V, Option<Expiry>)) -> Result<u64, BoxError>;

    /// Makes these changes, in this order: of several to one key the last counts. All of them have to be taken; when it
    /// returns, they are kept as safely as they are meant to be.
    ///
    /// # Errors
    ///
    /// Why not all of it could be done.
    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, K, V>>,
    ) -> Result<(), BoxError>;

    /// Keeps these entries, each key of which comes once, and nothing of what was there before; and the bucket's
    /// version, which only this changes.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, K, V>>,
    ) -> Result<(), BoxError>;
}

impl<K, V, T: Storage<K, V> + ?Sized> Storage<K, V> for Box<T> {
    fn load(&mut self, each: &mut dyn FnMut(K, V, Option<Expiry>)) -> Result<u64, BoxError> {
        (**self).load(each)
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, K, V>>,
    ) -> Result<(), BoxError> {
        (**self).apply(changes)
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, K, V>>,
    ) -> Result<(), BoxError> {
        (**self).replace(version, entries)
    }
}

/// What a [`Storage`] is to keep of one key.
#[derive(Debug)]
pub struct Entry<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// Its value.
    pub value: &'a V,
    /// When it expires; `None` if it does not.
    pub expiry: Option<Expiry>,
}

/// A change to what a [`Storage`] keeps.
#[derive(Debug)]
pub enum Change<'a, K, V> {
    /// The key has this value, whatever it had before.
    Put(Entry<'a, K, V>),
    /// The key has no value. It need not have had one.
    Remove(&'a K),
}
