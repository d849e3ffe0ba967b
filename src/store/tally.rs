//! What folds do, counted: for who asks what a bucket has been up to.

use std::hash::BuildHasher;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

use super::Store;
use super::fold::Folder;
use super::overlay::{Overlay, Write};
use crate::sync::GlobalLock;
use crate::{Key, Value};

/// How many keys folds have found so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Written, each once a fold.
    pub(crate) written: usize,
    /// Removed.
    pub(crate) removed: usize,
    /// Expired or idle, and left out.
    pub(crate) expired: usize,
    /// Evicted.
    pub(crate) evicted: usize,
}

impl Tally {
    /// The last write of a key was folded. It may have expired before that.
    pub(super) fn note<V>(&mut self, write: &Write<V>, lives: bool) {
        let is_value = write.content().value.is_some();
        self.written += usize::from(is_value);
        self.removed += usize::from(!is_value);
        self.expired += usize::from(is_value && !lives);
    }

    /// The same of all that is in an overlay, where it is not known what has expired.
    pub(super) fn note_all<K: Eq, V>(&mut self, sealed: &Overlay<K, V>) {
        sealed.for_each(|_, _, write| self.note(write, true));
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.written += more.written;
        self.removed += more.removed;
        self.expired += more.expired;
        self.evicted += more.evicted;
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            written: self.written - before.written,
            removed: self.removed - before.removed,
            expired: self.expired - before.expired,
            evicted: self.evicted - before.evicted,
        }
    }
}

impl<K, V> Folder<K, V> {
    /// What was done since this was last asked.
    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }
}

/// The last fold that has published something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastFold {
    /// When it had ended, by the bucket's clock.
    pub(crate) ended: Duration,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
}

/// A fold that has begun.
pub(super) struct Begun {
    at: Duration,
    epoch: u64,
    tally: Tally,
}

/// Where it is kept. No model switches threads at it.
pub(super) type Kept = GlobalLock<Option<LastFold>>;

impl LastFold {
    pub(super) fn begin<K: Key, V: Value, S: BuildHasher>(
        store: &Store<K, V, S>,
        tally: &Tally,
    ) -> Begun {
        Begun {
            at: store.times.clock.now(),
            epoch: store.view().current.epoch,
            tally: *tally,
        }
    }
}

impl Begun {
    pub(super) fn end<K: Key, V: Value, S: BuildHasher>(
        self,
        store: &Store<K, V, S>,
        tally: &Tally,
        epoch: u64,
    ) {
        if epoch == self.epoch {
            return;
        }
        let ended = store.times.clock.now();
        *store.last_fold.lock() = Some(LastFold {
            ended,
            took: ended.saturating_sub(self.at),
            tally: *tally - self.tally,
        });
    }
}
