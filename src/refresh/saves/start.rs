//! What a bucket begins with that has a storage, and what that lacks then.

use super::Saver;
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::contain::{contained, drop_contained};
use crate::error::Error;
use crate::events::{Event, Events};
use crate::expiry::Expiry;
use crate::refresh::inbox::Inbox;
use crate::stats::Counters;
use crate::storage::Storage;
use crate::store::{Batch, Dirty, Store, Unsaved};
use crate::sync::{Arc, Hashed, Mutex};
use crate::table::Table;
use crate::{HashBuilder, Key, Value};

/// What was read from a storage.
pub(crate) struct Opened<K, V> {
    pub(crate) saver: Saver<K, V>,
    /// `None` if there was nothing, or nothing that may be used.
    pub(crate) table: Option<Table<K, V>>,
    /// The bucket's.
    pub(crate) version: u64,
    pub(crate) lacks: Lacks<K>,
}

/// In what a storage differs from the bucket that begins.
pub(crate) struct Lacks<K> {
    dirty: Dirty<K>,
    /// It is not written before the bucket is.
    waits: bool,
}

impl<K: Key> Lacks<K> {
    /// The bucket begins with something else.
    pub(crate) fn everything(&mut self) {
        self.dirty = Dirty::everything();
    }

    /// The bucket could not take all of what is there. What it could not is not to go because of a limit that was too
    /// small for a moment: it goes with the first change.
    pub(crate) fn everything_once_changed(&mut self) {
        self.waits |= !self.dirty.is_everything();
        self.everything();
    }

    /// What the thread begins with, of a store that has only just been made, and what the folder notes with its first
    /// publication.
    pub(crate) fn split<V: Value, S: HashBuilder>(
        self,
        store: &Store<K, V, S>,
    ) -> (Option<Batch<K, V>>, Dirty<K>) {
        if self.waits {
            return (None, self.dirty);
        }
        let upto = Arc::clone(&store.view().current);
        let dirty = self.dirty;
        (Some(Batch { dirty, upto }), Dirty::nothing())
    }
}

/// What a storage was read into.
struct Reading<K, V> {
    pairs: Vec<(K, V)>,
    /// Of those that expire.
    deadlines: Vec<(u64, K, Deadline)>,
    expired: Vec<Hashed<K>>,
}

impl<K: Key, V: Value> Saver<K, V> {
    /// Reads the storage. An error, or a panic, is reported, and then nothing of what was read is used.
    pub(crate) fn open<S: HashBuilder>(
        mut storage: Box<dyn Storage<K, V>>,
        config: &Config,
        hasher: &S,
        clock: &Clock,
        (stats, events): (&Counters, &Events),
    ) -> Opened<K, V> {
        let mut reading = Reading {
            pairs: Vec::new(),
            deadlines: Vec::new(),
            expired: Vec::new(),
        };
        let read = contained(|| {
            storage.load(&mut |key, value, expiry| {
                reading.push(key, value, expiry, hasher, clock);
            })
        });
        let read = read.and_then(|read| read.map_err(Error::storage));
        let read = match read {
            Ok(version) => contained(|| (version, reading.build(hasher, clock))),
            Err(error) => {
                drop_contained(reading);
                Err(error)
            }
        };
        let mut lacks = Lacks {
            dirty: Dirty::nothing(),
            waits: false,
        };
        let (mut table, mut loaded, mut version) = (None, None, config.version);
        match read {
            Ok((its, (read, _))) if its < version => {
                // What a reset would have removed.
                drop_contained(read);
                loaded = Some(0);
                lacks.everything();
            }
            Ok((its, (read, expired))) => {
                version = its;
                loaded = Some(read.len());
                lacks.dirty = expired;
                table = Some(read).filter(|read| !read.is_empty());
            }
            Err(error) => {
                lacks.everything_once_changed();
                Counters::add(&stats.storage_failed, 1);
                events.send(Event::StorageNotLoaded { error });
            }
        }
        let unsaved = Arc::new(Unsaved::new());
        let saver = Self {
            storage: Mutex::new(Some(storage)),
            delay: config.storage_delay,
            // The folder rings it as well.
            inbox: Inbox::new(Arc::clone(unsaved.bell())),
            unsaved,
            loaded,
        };
        Opened {
            saver,
            table,
            version,
            lacks,
        }
    }
}

impl<K: Key, V: Value> Reading<K, V> {
    fn push<S: HashBuilder>(
        &mut self,
        key: K,
        value: V,
        expiry: Option<Expiry>,
        hasher: &S,
        clock: &Clock,
    ) {
        if let Some(expiry) = expiry {
            let hash = hasher.hash_one(&key);
            let Some(left) = expiry.left(clock.wall_ms()) else {
                self.expired.push(Hashed::new(hash, key));
                return;
            };
            let deadline = Deadline::after(clock, left);
            self.deadlines.push((hash, key.clone(), deadline));
        }
        self.pairs.push((key, value));
    }

    /// The table, and the keys of what has expired.
    fn build<S: HashBuilder>(self, hasher: &S, clock: &Clock) -> (Table<K, V>, Dirty<K>) {
        let hash_of = |key: &K| hasher.hash_one(key);
        let deadlines = self.deadlines.iter();
        let deadlines = deadlines.map(|(hash, key, deadline)| (*hash, key, *deadline));
        let table = Table::from_pairs(self.pairs, hash_of);
        let table = table.timed_as(&Table::empty(), deadlines, clock, hash_of);
        (table, Dirty::of(self.expired.into_iter()))
    }
}
