//! The bucket: the handle that users hold. It delegates.

mod awaited;
mod builder;
mod call;
mod core;
mod derived;
#[cfg(feature = "dump")]
mod dump;
mod expiry;
mod inspect;
mod liveness;
mod prune;
mod reader;
mod reset;
mod snapshot;
mod states;
mod step;
mod storage;
mod switch;
mod tags;
mod threads;
mod ticket;
mod update;
mod warm;
mod weight;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use self::core::Core;
use crate::error::Error;
use crate::fetched::Fetched;
use crate::load::{Keep, LoadState};
use crate::stats::Stats;
use crate::store::{Content, IfAbsent, Store, View, inside_a_write};
use crate::sync::{Arc, Place};
use crate::{DefaultHashBuilder, HashBuilder, Key, Value};

pub use self::builder::{Builder, Init, Warm};
pub use self::call::Call;
pub use self::derived::{Derived, Index, List};
pub use self::expiry::Ttl;
pub use self::inspect::{EntryInfo, Fold, Inspection};
pub use self::reader::Reader;
pub use self::snapshot::{Iter, Snapshot};
pub use self::step::Step;
pub use self::ticket::{RefreshTicket, Ticket};
pub use self::warm::WarmTicket;

/// A set of key-value data, kept in memory, stocked and fresh.
///
/// A bucket is a handle: clones share the data, and the last one that is dropped shuts it down. It can
/// be shared by reference as well, kept in a static, and used from any thread, with or without an
/// async runtime.
///
/// # Choosing a read
///
/// | | cost of a hit | a miss |
/// |---|---|---|
/// | [`reader()`](Self::reader) then [`Reader::get`] | a table lookup and one relaxed load; no clone | `None` |
/// | [`peek`](Self::peek) | the same, two stores, and a clone of the value | `None` |
/// | [`get`](Self::get), [`fetch`](Self::fetch) | as `peek` | loads, waits |
/// | [`get_async`](Self::get_async), [`fetch_async`](Self::fetch_async) | as `peek` | loads, waits as a task |
/// | [`get_many`](Self::get_many) | the lookups, overlapped | loads together, waits |
/// | [`snapshot()`](Self::snapshot) | a table lookup | `None`; never changes |
///
/// # Consistency
///
/// Operations on one key are linearizable: when a write or a load has returned, every later read of
/// the key sees it or something newer, whatever is folded, refreshed and published meanwhile. A load
/// that began before a write of its key never overwrites it. A [`Snapshot`] is a cut through all of
/// this: with a write it holds every write that had returned before that one began.
/// [`len`](Self::len), [`keys`](Self::keys), [`stats`](Self::stats) and
/// [`load_state`](Self::load_state) are weakly consistent.
///
/// # Loaders that call their bucket
///
/// They may, and any other bucket too. What a loader misses is loaded on its own thread. A loader that
/// asks for the very key it loads, or for one whose load waits for it over any number of steps, gets an
/// error of kind [`Recursion`](crate::ErrorKind::Recursion) at once.
///
/// # Code of yours that runs inside a write
///
/// `Eq` of a key, and `Clone` and `Drop` of a value that [`set_if_absent`](Self::set_if_absent) or a load
/// finds or brings in vain, may run in the middle of a write. There, reads and plain writes work. What may
/// have to wait (a miss, [`set_if_absent`](
/// Self::set_if_absent), [`update_many`](Self::update_many), [`publish`](Self::publish), [`clear`](Self::clear), [`reset`](Self::reset),
/// [`invalidate_tag`](Self::invalidate_tag)) is refused with
/// an error of kind [`Reentrant`](crate::ErrorKind::Reentrant).
///
/// # Examples
///
/// ```
/// use larder::Bucket;
///
/// let prices = Bucket::<String, u64>::builder("prices")
///     .bulk_load(|keys: &[String]| {
///         // One query for the whole batch would go here.
///         Ok::<_, std::io::Error>(keys.iter().map(|k| (k.clone(), k.len() as u64)).collect::<Vec<_>>())
///     })
///     .build()?;
///
/// assert_eq!(prices.peek("tea"), None); // not cached, and peek never loads
/// assert_eq!(prices.get("tea"), Some(3)); // loaded
/// assert_eq!(prices.peek("tea"), Some(3)); // cached
/// # Ok::<(), larder::BuildError>(())
/// ```
pub struct Bucket<K: Key, V: Value, S: HashBuilder = DefaultHashBuilder> {
    core: Arc<Core<K, V, S>>,
    /// Of the store's, as the hasher; here, so that a hit need not go there for them.
    place: Place<View<K, V>>,
    hasher: S,
}

impl<K: Key, V: Value> Bucket<K, V> {
    /// Options of a new bucket. The name is for threads and reports.
    pub fn builder(name: impl Into<String>) -> Builder<K, V> {
        Builder::new(name.into())
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    fn from_core(core: Core<K, V, S>) -> Self {
        Self {
            place: core.store.place(),
            hasher: core.store.hasher().clone(),
            core: Arc::new(core),
        }
    }

    #[inline(always)]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The name it was built with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The value of a key, if it is cached. Never loads.
    ///
    /// Wait-free; allocates nothing on a hit from the snapshot, but for a thread's first, and clones the value.
    /// Where reads do not wait for each other it takes up to 1.3 times as long as through a [`Reader`].
    #[doc(alias = "cached")]
    #[doc(alias = "direct_get")]
    #[inline(always)]
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Store::peek(&self.place, || &self.core.store, self.hash(key), key)
    }

    /// What `read` makes of the value of a key, if it is cached. As [`peek`](Self::peek), without the clone.
    ///
    /// The value stays as it is while `read` runs, whatever is written or published meanwhile, and a table that was
    /// replaced is kept in memory for as long. `read` may use the bucket.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, String>::builder("texts").build()?;
    /// bucket.set(1, "a long text".into());
    /// assert_eq!(bucket.with(&1, |text| text.len()), Some(11));
    /// assert_eq!(bucket.with(&2, |text| text.len()), None);
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `read` does.
    #[doc(alias = "with_value")]
    #[inline(always)]
    pub fn with<Q, R>(&self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Store::with(&self.place, || &self.core.store, self.hash(key), key, read)
    }

    /// Whether a key is cached. As [`peek`](Self::peek), without the clone.
    #[doc(alias = "exists?")]
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.with(key, |_| ()).is_some()
    }

    /// A handle for one thread: the fastest read.
    #[must_use]
    pub fn reader(&self) -> Reader<K, V, S> {
        Reader::new(self.core.store.reader(), self.core.store.hasher().clone())
    }

    /// The value of a key: cached, else loaded.
    ///
    /// `None` if the source has no such key, and also where [`fetch`](Self::fetch) would return an
    /// error; failed loads are told to the observer.
    ///
    /// # Blocking
    ///
    /// A hit never blocks. A miss waits for its load, for the bucket's wait limit at most.
    #[doc(alias = "get_pid")]
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        // Not by `Call::get`, which takes its limit along: three instructions for a hit, which needs none.
        match Store::peek(&self.place, || &self.core.store, hash, key) {
            Some(value) => Some(value),
            None => {
                let limit = self.core.config.wait_limit;
                let value = self.core.load(hash, key, limit, Keep::USUAL)?;
                // As in `Store::peek`.
                std::hint::black_box(());
                Some(value)
            }
        }
    }

    /// The value of a key, cached or loaded, and where it came from.
    ///
    /// # Errors
    ///
    /// [`Error`], whose [`kind`](Error::kind) says what went wrong. A load that failed, or was not
    /// waited for, leaves the bucket as it was; a late value is stored when it comes.
    ///
    /// # Blocking
    ///
    /// As [`get`](Self::get).
    #[inline]
    pub fn fetch<Q>(&self, key: &Q) -> Result<Fetched<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.call().fetch(key)
    }

    /// The values of many keys, in the order asked for. Hits come from one view; misses are loaded
    /// together. As [`get`](Self::get) otherwise.
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.call().get_many(keys)
    }

    /// The values of many keys, each with where it came from. As [`fetch`](Self::fetch) otherwise;
    /// the time limit is for all of them together.
    pub fn fetch_many<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        self.call().fetch_many(keys)
    }

    /// A call with options of its own: a time limit, a loader, what becomes of the value.
    pub fn call(&self) -> Call<'_, K, V, S> {
        Call::new(self)
    }

    /// Wants keys loaded, and returns at once. Keys that are cached are reloaded, without blocking
    /// readers; keys in flight are left to their flight. Misses go ahead of reloads.
    ///
    /// Keys that the queue has no room for are in [`Ticket::rejected`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let bucket = larder::Bucket::<u32, u32>::builder("squares")
    ///     .load(|key: &u32| Ok::<_, std::io::Error>(key * key))
    ///     .build()?;
    /// let ticket = bucket.request_load(1..=100);
    /// assert!(ticket.rejected().is_empty());
    /// assert!(ticket.wait(Duration::from_secs(5)));
    /// assert_eq!(bucket.peek(&9), Some(81));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "prefetch")]
    pub fn request_load(&self, keys: impl IntoIterator<Item = K>) -> Ticket<K, V> {
        let loads = Arc::clone(&self.core.loads);
        Ticket::new(loads, self.core.config.wait_limit, keys.into_iter())
    }

    /// Reloads keys in the background. The same as [`request_load`](Self::request_load), under the name
    /// that says why.
    pub fn refresh_keys(&self, keys: impl IntoIterator<Item = K>) -> Ticket<K, V> {
        self.request_load(keys)
    }

    /// Refreshes the whole bucket in the background: from the dataset loader where there is one, else by
    /// reloading every key that is cached.
    ///
    /// Readers never wait for it. Values whose reload fails are kept, for ever or up to
    /// [`max_stale`](Builder::max_stale). A refresh that is under way goes
    /// on, and another one follows for this call, since the first may have read the source already.
    #[doc(alias = "full_refresh")]
    pub fn refresh(&self) -> RefreshTicket {
        let reply = self.core.control.ask(|requests| &mut requests.refresh);
        RefreshTicket::new(reply, self.core.clock.clone())
    }

    /// Writes a value. Every later read sees it or something newer.
    ///
    /// Never blocks. A load of the key that is under way will not overwrite it.
    ///
    /// In a bucket with a [limit](Builder::max_weight) that is full the value is not stored, and what the key had
    /// before goes, as no read may return it any more. It is counted in [`Stats::refused`]; see
    /// [`try_set`](Self::try_set) for who wants to know.
    #[doc(alias = "insert")]
    #[doc(alias = "put")]
    #[doc(alias = "direct_set")]
    pub fn set(&self, key: K, value: V) {
        let hash = self.core.store.hash(&key);
        let content = Content::until(value, self.core.expires());
        let _ = self.core.write_weighed(hash, key, content);
    }

    /// Writes a value if the key has none.
    ///
    /// # Errors
    ///
    /// The value that is there. In the middle of a write (see [`Bucket`]) where it cannot be known
    /// without waiting, and in a bucket that is [full](Builder::max_weight), the value that was offered.
    ///
    /// # Blocking
    ///
    /// May wait, for the moment that other writers take to finish what they are writing.
    pub fn set_if_absent(&self, key: K, value: V) -> Result<(), V> {
        if inside_a_write() {
            return Err(value);
        }
        let hash = self.core.store.hash(&key);
        let copy = self.core.loads.exists().map(|exists| (exists, key.clone()));
        let content = Content::until(value, self.core.expires());
        match self.core.write_if_none_lives(hash, key, content) {
            Ok(()) => {}
            Err(IfAbsent::Present(there)) => return Err(there),
            Err(IfAbsent::Refused(offered)) => {
                self.core.loads.refused(1);
                return offered.map_or(Ok(()), Err);
            }
        }
        if let Some((exists, key)) = copy {
            exists.written(hash, &key);
        }
        Ok(())
    }

    /// Writes many values: all of them or none in any snapshot. Never blocks.
    ///
    /// Reads of single keys may see some before others. In a bucket with a [limit](Builder::max_weight) that has no
    /// room for all of them none is stored, and all of the keys are forgotten: each counts as
    /// [refused](Stats::refused).
    #[doc(alias = "put_many")]
    pub fn set_many(&self, pairs: impl IntoIterator<Item = (K, V)>) {
        self.write_many(pairs, self.core.expires());
    }

    /// Forgets a key. The next `get` of it loads; a load that is under way will not bring it back.
    ///
    /// Never blocks.
    #[doc(alias = "remove")]
    #[doc(alias = "uncache_key")]
    #[doc(alias = "del")]
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.core.store.hash(key);
        let _ = self.core.write(hash, key.to_owned(), None);
    }

    /// Forgets many keys: all of them or none in any snapshot. As [`invalidate`](Self::invalidate)
    /// otherwise.
    pub fn invalidate_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let store = &self.core.store;
        let group = keys
            .into_iter()
            .map(|key| (store.hash(key), key.to_owned(), None.into()))
            .collect();
        self.core.write_group(group);
    }

    /// Forgets everything. No load that began before will bring anything back.
    ///
    /// # Errors
    ///
    /// `Closed` after a shutdown; `Timeout` if the refresher is held up, by a `Clone` or `Drop` of the
    /// user that does not return, for longer than the wait limit (it is cleared later then);
    /// `Reentrant` in the middle of a write.
    ///
    /// # Blocking
    ///
    /// Waits for the refresher to end the fold that it is at.
    pub fn clear(&self) -> Result<(), Error> {
        self.ask_refresher(|requests| &mut requests.clear)
            .map(|_| ())
    }

    /// Folds everything written by now into a new snapshot, and returns its epoch.
    ///
    /// Reads see writes at once, folded or not; this is for [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    ///
    /// As [`clear`](Self::clear), and `Panicked` if a `Clone`, `Hash` or `Eq` of the user panicked in
    /// the fold; nothing is lost then.
    ///
    /// # Blocking
    ///
    /// Waits for the fold, which copies the table.
    pub fn publish(&self) -> Result<u64, Error> {
        self.ask_refresher(|requests| &mut requests.publish)
    }

    fn ask_refresher(
        &self,
        place: impl FnOnce(
            &mut crate::refresh::control::Requests<K, V>,
        ) -> &mut Vec<crate::refresh::control::Reply<u64>>,
    ) -> Result<u64, Error> {
        // The refresher itself gets here when it drops a value whose `Drop` calls the bucket.
        if inside_a_write() || self.core.is_refresher() {
            return Err(Error::reentrant());
        }
        // Before it is asked for: who asks may be put off by whom that wakes.
        let deadline = self.core.loads.deadline(self.core.config.wait_limit);
        let reply = self.core.control.ask(place);
        let published = reply.wait(&self.core.clock, deadline);
        published.cloned().unwrap_or_else(|| Err(Error::timeout()))
    }

    /// The current snapshot: a view that never changes, whatever happens to the bucket.
    ///
    /// It lacks what was written since the last fold; [`publish`](Self::publish) folds. While it is
    /// held, its table is kept in memory.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<K, V, S> {
        let current = Arc::clone(&self.core.store.view().current);
        Snapshot::new(current, self.core.store.hasher().clone())
    }

    /// The epoch of the current snapshot. Never goes back.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.core.store.view().current.epoch
    }

    /// How many keys are cached. Exact at rest; takes time in proportion to what was written since the
    /// last fold.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.store.len()
    }

    /// Whether nothing is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys that are cached, in no particular order. Each was cached at some moment of the call.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.core.store.keys()
    }

    /// Where a key stands between the cache and its loader. See [`load_states`](Self::load_states) for several keys, and
    /// [`load_counts`](Self::load_counts) for how many there are in each state.
    #[doc(alias = "peek_load_state")]
    pub fn load_state<Q>(&self, key: &Q) -> LoadState
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.loads.state(self.core.store.hash(key), key)
    }

    /// What the bucket has done so far, and has on its hands.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.core.stats.stats();
        let keys = self.core.loads.key_events();
        let keys = keys.map_or(0, |keys| keys.events().dropped());
        stats.events_dropped = self.core.events.dropped() + keys;
        (stats.hits, stats.misses) = self.core.store.reads();
        stats.weight = self.weight();
        stats.queued = self.core.loads.queued() as u64;
        stats.loading = self.core.loads.under_way() as u64;
        stats
    }

    /// Ends the bucket: its threads stop, and everybody who waits is answered with `Closed`. A dump and a
    /// [storage](Builder::storage) are written a last time.
    ///
    /// What is cached can still be read and written, but nothing is loaded, refreshed or folded any
    /// more. The drop of the last handle does the same.
    ///
    /// What is written after it is kept in memory until the bucket is dropped, each write of a key, as there is
    /// no fold any more.
    ///
    /// # Blocking
    ///
    /// Waits for the threads, for the shutdown limit at most: a loader that does not return keeps its
    /// thread. Called on one of the bucket's own threads, inside a loader for instance, it does not
    /// wait.
    pub fn shutdown(&self) {
        self.core.shutdown(self.core.config.shutdown_limit);
    }
}

impl<K: Key, V: Value, S: HashBuilder> Clone for Bucket<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            place: self.place.clone(),
            hasher: self.hasher.clone(),
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> fmt::Debug for Bucket<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.name())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
