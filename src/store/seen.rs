//! By what to tell that a key is as it was.

use super::{View, Write};
use crate::Key;
use crate::clock::Deadline;
use crate::sync::fault;

/// A write's number, whether it brings a value, and when that expires. What is once more the same write has its number:
/// with another time, or without its value where that is dead.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Identity {
    pub(super) number: u64,
    is_value: bool,
    expires: Deadline,
}

impl<V> Write<V> {
    /// By what it is told from all other writes of the key.
    pub(super) fn identity(&self) -> Identity {
        let content = self.content();
        Identity {
            number: self.number(),
            is_value: content.value.is_some() || fault::planted("identity_without_kind"),
            expires: match fault::planted("identity_without_time") {
                false => content.expires,
                true => Deadline::NEVER,
            },
        }
    }
}

/// What there is of a key: it is as it was, if these are the same.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// The identity of the newest write in the overlays, if there is one.
    pub(super) write: Option<Identity>,
    /// Else, what there is is in the table of this epoch.
    pub(super) epoch: Option<u64>,
}

impl Seen {
    pub(super) fn of<K: Key, V>(view: &View<K, V>, hash: u64, key: &K) -> Self {
        let write = view.overlaid(hash, key).map(Write::identity);
        let epoch = write.is_none().then_some(view.current.epoch);
        Self { write, epoch }
    }
}
