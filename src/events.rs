//! Events: what a bucket tells its observer.

mod keys;

use std::collections::VecDeque;
use std::fmt;

pub use self::keys::KeyEvent;
pub(crate) use self::keys::{KeyEvents, KeyObserver};

use crate::contain::{contained, drop_contained};
#[cfg(feature = "dump")]
use crate::dump::DumpError;
use crate::error::Error;
use crate::sync::{Arc, Mutex, Parker};

/// Something that happened in a bucket and that no return value tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The load of so many keys failed.
    LoadFailed {
        /// How many keys.
        keys: usize,
        /// Why.
        error: Error,
    },
    /// The [`exists`](crate::Builder::exists) hook failed, by an error or a panic. The keys that it was to be asked
    /// for were loaded all the same.
    ExistsFailed {
        /// Why.
        error: Error,
    },
    /// One of the hooks of a [context](crate::Builder::context) panicked. The load was made all the same.
    ContextFailed {
        /// How.
        error: Error,
    },
    /// The [`alive`](crate::Builder::alive) check panicked, since the last report perhaps more than once. The values
    /// that it was asked about were not returned, and not removed.
    AliveFailed {
        /// How, the last time.
        error: Error,
    },
    /// A refresh failed, as a whole or for some keys. The old values are kept, for
    /// [`max_stale`](crate::Builder::max_stale) if that is set. A dataset that was
    /// [refused](crate::ErrorKind::Refused) is one of them.
    RefreshFailed {
        /// Why, where the refresh failed as a whole.
        error: Option<Error>,
        /// How many keys failed, where it went by key.
        keys: usize,
    },
    /// Keys were taken out, because their refresh had failed
    /// [`max_stale`](crate::Builder::max_stale) ago and nothing had replaced their values since.
    TooStale {
        /// How many keys.
        keys: usize,
    },
    /// There was no room for a value in a bucket with a [limit](crate::Builder::max_weight), which was not stored. Told
    /// once, and again when it has had room meanwhile; [`Stats::refused`](crate::Stats::refused) counts all of them.
    Full {
        /// The limit.
        limit: u64,
    },
    /// Folding what was written into a new snapshot failed, because a `Clone`, `Hash` or `Eq` of the
    /// user panicked. Nothing is lost; it is tried again.
    FoldFailed {
        /// Why.
        error: Error,
    },
    /// The [callback](crate::Builder::on_reset) of a reset returned an error or panicked. The bucket is as it was.
    ResetRefused {
        /// The version that it was to be reset to.
        version: u64,
        /// Why.
        error: Error,
    },
    /// The [`init`](crate::Builder::init) hook returned an error or panicked. The bucket began empty.
    InitFailed {
        /// Why.
        error: Error,
    },
    /// What had changed could not be written to the [storage](crate::Builder::storage). Nothing is lost; it is tried
    /// again, with what has changed by then.
    StorageFailed {
        /// Why.
        error: Error,
    },
    /// The [storage](crate::Builder::storage) could not be read at the start. The bucket began without what is in it.
    StorageNotLoaded {
        /// Why.
        error: Error,
    },
    /// A [warmer](crate::Builder::warmer) returned an error or panicked. What is cached stays; it is run again when its
    /// time comes.
    WarmerFailed {
        /// Its name.
        warmer: Arc<str>,
        /// Why.
        error: Error,
    },
    /// A dump could not be written. The one before is as it was; it is tried again.
    #[cfg(feature = "dump")]
    DumpFailed {
        /// Why.
        error: DumpError,
    },
    /// The dump that was there at the start was refused, or could not be read. The bucket began empty.
    #[cfg(feature = "dump")]
    DumpNotLoaded {
        /// Why, and where the file is now.
        error: DumpError,
    },
}

pub(crate) type Observer<E = Event> = Box<dyn Fn(&E) + Send + Sync>;

/// The way from wherever something happens to the observer's own thread.
///
/// Bounded: an observer that cannot follow loses events, which are counted, and holds nobody up.
pub(crate) struct Events<E = Event> {
    observer: Option<Observer<E>>,
    waiting: Mutex<Waiting<E>>,
    parker: Arc<Parker>,
}

struct Waiting<E> {
    events: VecDeque<E>,
    dropped: u64,
    closed: bool,
}

/// How many events may wait for the observer. Enough for the failures of a burst of batches; chosen,
/// not measured.
const MOST_WAITING: usize = 1024;

impl<E> Events<E> {
    pub(crate) fn new(observer: Option<Observer<E>>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            waiting: Mutex::new(Waiting {
                events: VecDeque::new(),
                dropped: 0,
                closed: false,
            }),
            parker: Parker::new(),
        })
    }

    pub(crate) fn has_observer(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn send(&self, event: E) {
        if self.observer.is_none() {
            return;
        }
        let refused = {
            let mut waiting = self.waiting.lock();
            if waiting.events.len() < MOST_WAITING {
                waiting.events.push_back(event);
                None
            } else {
                waiting.dropped += 1;
                // Dropped after the lock: an error's source, or a key, is the user's.
                Some(event)
            }
        };
        drop_contained(refused);
        self.parker.unpark();
    }

    /// How many events no observer was told of.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting.lock().dropped
    }

    /// Tells the observer until closed and empty. The body of the observer's thread.
    pub(crate) fn deliver(&self) {
        let Some(observer) = &self.observer else {
            return;
        };
        loop {
            let (event, closed) = {
                let mut waiting = self.waiting.lock();
                (waiting.events.pop_front(), waiting.closed)
            };
            match event {
                Some(event) => {
                    let _ = contained(|| observer(&event));
                    drop_contained(event);
                }
                None if closed => return,
                None => self.parker.park_forever(),
            }
        }
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.parker.unpark();
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
