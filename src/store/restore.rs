//! What is read back into a store that is in use.

use std::hash::BuildHasher;

use super::budget::Purse;
use super::overlay::Nudge;
use super::{Content, Store};
use crate::{Key, Value};

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// It is stored, but for so many that found no room.
    All { refused: usize },
    /// Nothing is stored under this view.
    Off,
    /// The bucket has a higher version.
    Outdated,
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Writes what is of this version, inside one gate: it is whole in every snapshot, or not there at all. Each entry
    /// pays for itself, and where there is no room for it its key is removed, as by [`write`](Self::write).
    ///
    /// Inside the gate, so that no reset comes between the look at the version and the writes: what it empties are the
    /// overlays of the view that was looked at.
    pub(crate) fn restore(&self, version: u64, mut entries: Vec<(u64, K, Content<V>)>) -> Restored {
        // Outlives the gate: values that are refused are dropped outside.
        let mut refused = Vec::new();
        let (nudge, restored) = self.inside(|view| {
            if version < view.current.version {
                return (Nudge::None, Restored::Outdated);
            }
            if !view.caching {
                return (Nudge::None, Restored::Off);
            }
            let mut nudge = Nudge::None;
            for (hash, key, mut content) in std::mem::take(&mut entries) {
                let mut purse = Purse::of(view);
                purse.take_shown(view, hash, &key);
                if !purse.pay(content.weight.get()) {
                    refused.push(content.value.take());
                    content = None.into();
                }
                nudge = nudge.or(self.put(view, hash, key, content, &mut purse).0);
            }
            let refused = refused.len();
            (nudge, Restored::All { refused })
        });
        self.ring(nudge);
        restored
    }
}
