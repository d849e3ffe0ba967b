//! The view: what one atomic pointer publishes.

mod read;

use std::time::SystemTime;

use super::budget::Budget;
use super::derived::Derivations;
use super::echo::Echo;
use super::gate::Gate;
use super::joint::Placed;
use super::liveness::Liveness;
use super::overlay::{Begun, Overlay, Times};
use super::reads::Reads;
use super::tags::TagFloors;
use crate::sync::{Arc, Fronted, fault};
use crate::table::Table;
use crate::{Key, Value};

/// A table with its place in the order of publications.
pub(crate) struct Generation<K, V> {
    pub(crate) table: Table<K, V>,
    pub(crate) epoch: u64,
    /// The view's, when it was published. A view with a higher one is about to replace what is in the table.
    pub(crate) floor: u64,
    /// What was derived from the dataset that this is of, if it is of one. As that was fetched: what was written since
    /// is in the table only.
    pub(crate) derived: Option<Arc<Derivations>>,
    /// The bucket's version, which a reset gives it.
    pub(crate) version: u64,
    pub(crate) published_at: SystemTime,
}

/// What of a view answers nearly every read.
pub(crate) struct Front<K, V> {
    pub(crate) current: Arc<Generation<K, V>>,
    pub(crate) beyond: Begun,
}

impl<K, V> Clone for Front<K, V> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            beyond: self.beyond.clone(),
        }
    }
}

/// All that a read or a write needs to know, and nothing of it ever changes but marks and overlays.
///
/// Whatever a view names stays whole for as long as the view is held: overlays are sealed and
/// replaced, never drained.
pub(crate) struct View<K, V> {
    /// The snapshot.
    pub(crate) current: Arc<Generation<K, V>>,
    /// Where writes under this view go.
    pub(crate) active: Arc<Overlay<K, V>>,
    /// The overlay that is being folded, and the gate of those who may still write into it.
    pub(crate) sealed: Option<Sealed<K, V>>,
    /// Whether a key that is not where the table's first look leads may be elsewhere: the one look of a read that finds
    /// nothing there. The active overlay's, or set, where something is sealed or the table has [keys elsewhere](Table::has_unsaid) of
    /// which that look does not know.
    pub(crate) beyond: Begun,
    /// The table that follows, once it is built: writers mark it as well.
    pub(crate) next: Option<Arc<Generation<K, V>>>,
    /// The gate of those who write under this view.
    pub(crate) gate: Arc<Gate>,
    /// Results of loads with a lower number are not stored: the bucket was cleared, or replaced by a
    /// whole dataset, since they began.
    pub(crate) floor: u64,
    /// The number that the last reset drew, or 0. Loads with a lower one are not answered under this view either, but
    /// run again.
    pub(crate) reset: u64,
    /// What was folded away under the loads that are under way.
    pub(crate) echo: Option<Arc<Echo>>,
    /// Whether anything is stored under this view. If not, it holds nothing.
    pub(crate) caching: bool,
    /// By which values expire.
    pub(crate) times: Times,
    /// How much may be held, where that is limited, and how much is.
    pub(crate) budget: Option<Arc<Budget>>,
    /// Says of values whether they live, where they may die. Then all tables are guarded.
    pub(super) alive: Option<Arc<Liveness<K, V>>>,
    /// Joint writes that are being decided on, or were and are being put. See there what that asks of who writes.
    pub(super) joints: Option<Arc<Vec<Placed>>>,
    /// Which tags were invalidated since a load under way began, if any were.
    pub(crate) tag_floors: Option<Arc<TagFloors>>,
    /// Counts what is read, where that is wanted. Then all tables are counted.
    pub(super) reads: Option<Arc<Reads>>,
}

impl<K: Key, V: Value> Fronted for View<K, V> {
    type Front = Front<K, V>;

    fn front(&self) -> Front<K, V> {
        Front {
            current: Arc::clone(&self.current),
            beyond: self.beyond.clone(),
        }
    }
}

pub(crate) struct Sealed<K, V> {
    pub(crate) overlay: Arc<Overlay<K, V>>,
    pub(crate) gate: Arc<Gate>,
}

impl<K, V> Clone for Sealed<K, V> {
    fn clone(&self) -> Self {
        Self {
            overlay: Arc::clone(&self.overlay),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            active: Arc::clone(&self.active),
            sealed: self.sealed.clone(),
            beyond: self.beyond.clone(),
            next: self.next.clone(),
            gate: Arc::clone(&self.gate),
            floor: self.floor,
            reset: self.reset,
            echo: self.echo.clone(),
            caching: self.caching,
            times: self.times.clone(),
            budget: self.budget.clone(),
            alive: self.alive.clone(),
            joints: self.joints.clone(),
            tag_floors: self.tag_floors.clone(),
            reads: self.reads.clone(),
        }
    }
}

impl<K: Eq, V> View<K, V> {
    /// [`beyond`](Self::beyond) of a view with this table and the same active overlay, and nothing sealed.
    pub(in crate::store) fn beyond_of(&self, table: &Table<K, V>) -> Begun {
        match table.has_unsaid() && !fault::planted("unsaid_looks_absent") {
            true => Begun::new(true),
            false => self.active.begun(),
        }
    }
}

/// What a view holds for a key.
pub(crate) enum Found<'a, V> {
    /// In the table.
    Table(&'a V),
    /// In an overlay: a value, or none where it was removed or has expired.
    Overlay(Option<&'a V>),
    /// Anywhere, but its value is dead, or it is not known to live.
    Dead,
    /// Nowhere.
    Nothing,
}

impl<'a, V> Found<'a, V> {
    /// The value, if there is one: a tombstone has none.
    #[inline]
    pub(crate) fn value(&self) -> Option<&'a V> {
        match *self {
            Found::Table(value) => Some(value),
            Found::Overlay(value) => value,
            Found::Dead | Found::Nothing => None,
        }
    }
}
