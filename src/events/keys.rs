//! Events of single keys: what happened, and to which.

use std::fmt;

use super::Events;
use crate::Key;
use crate::contain::contained;
use crate::sync::Arc;

/// Something that happened to one key. See [`Builder::key_observer`](crate::Builder::key_observer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyEvent {
    /// A call did not find the key cached, and has it loaded.
    Missed,
    /// A call did not find the key cached, and waits for a load of it that is wanted or under way already.
    Blocked,
    /// A call, or a [refresh](crate::Builder::refresh_timeout), did not wait any longer for a load, which goes on.
    TimedOut,
    /// A load of the key failed, or found no room in the queue. Once for each load, however many wait for it; not for
    /// one that the end of the bucket has ended.
    Failed,
    /// The source does not have the key: a load has found so, or a call was answered with what is
    /// [remembered](crate::Builder::exists_absent_for).
    Absent,
    /// The key was cached and is not any more, and nobody has asked for that: a reload found it gone at the source, or
    /// its value was [dead](crate::Builder::alive) and has been removed. Of what expires, is idle or is evicted nothing is
    /// told.
    Disappeared,
}

impl KeyEvent {
    /// All that there are.
    pub const ALL: &[Self] = &[
        Self::Missed,
        Self::Blocked,
        Self::TimedOut,
        Self::Failed,
        Self::Absent,
        Self::Disappeared,
    ];

    /// What is told where nothing is said: what somebody may have to see to.
    pub const FAILURES: &[Self] = &[Self::TimedOut, Self::Failed];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The user's observer of keys.
pub(crate) type KeyObserver<K> = Box<dyn Fn(KeyEvent, &K) + Send + Sync>;

/// The way to the observer of keys. Its queue is its own: misses, of which there may be many, must not take the places
/// of the failures that [`Event`](super::Event) tells of.
pub(crate) struct KeyEvents<K> {
    /// A bit for each kind that is wanted.
    wanted: u32,
    events: Arc<Events<(KeyEvent, K)>>,
}

impl<K: Key> KeyEvents<K> {
    pub(crate) fn new(wanted: &[KeyEvent], observer: KeyObserver<K>) -> Self {
        let observer = move |(event, key): &(KeyEvent, K)| observer(*event, key);
        Self {
            wanted: wanted.iter().fold(0, |wanted, kind| wanted | kind.bit()),
            events: Events::new(Some(Box::new(observer))),
        }
    }

    /// Tells of an event, if its kind is wanted; else costs a comparison. `key` may be the user's code.
    #[inline]
    pub(crate) fn tell(&self, event: KeyEvent, key: impl FnOnce() -> K) {
        if self.wanted & event.bit() != 0
            && let Ok(key) = contained(key)
        {
            self.events.send((event, key));
        }
    }

    pub(crate) fn events(&self) -> &Arc<Events<(KeyEvent, K)>> {
        &self.events
    }
}

impl<K> fmt::Debug for KeyEvents<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEvents").finish_non_exhaustive()
    }
}
