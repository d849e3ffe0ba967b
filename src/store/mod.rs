//! The store: reads, writes and folds of one bucket's data. DESIGN.md, "Form C".
//!
//! No thread, no queue and no loader here. A reader loads a view and looks; a writer enters the view's
//! gate, marks the tables, and puts into the active overlay; one folder (see [`fold`]) rotates, seals,
//! builds, announces, marks and publishes.

mod by_hash;
mod echo;
pub(crate) mod fold;
mod gate;
mod many;
mod number;
mod overlay;
mod retired;
mod since;
mod stale;
mod take_out;
mod view;

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use self::gate::Gate;
use self::number::Numbers;
use self::overlay::Overlay;

pub(crate) use self::gate::inside as inside_a_write;
pub(crate) use self::many::Groups;
pub(crate) use self::number::LiveLoad;
use self::overlay::Nudge;
pub(crate) use self::overlay::Write;
pub(crate) use self::stale::Failed;
pub(crate) use self::view::{Found, Generation, View};

use crate::sync::{Arc, Cell, CellReader, Mutex, Parker, Place, fault};
use crate::table::Table;
use crate::{Key, Value};

/// How many writes an overlay takes before a fold is due, at the least.
///
/// Below this a fold costs less than waking the folder is worth; chosen, not measured.
const LEAST_ROOM: usize = 4096;

/// The overlay is due for a fold when it has grown to an eighth of the table: then a write's share of
/// the copying is eight entries, however large the table is.
const SHARE: usize = 8;

/// The data of one bucket, as readers and writers see it.
pub(crate) struct Store<K: Key, V: Value, S> {
    cell: Cell<View<K, V>>,
    numbers: Numbers,
    hasher: S,
    /// Wakes whoever drives the folder.
    bell: Arc<Parker>,
    /// Reloads that failed and that the folder has not taken in.
    failed: Mutex<Vec<Failed<K>>>,
}

/// Whether a load's result went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    Stored,
    /// Something newer is there, or was.
    Superseded,
}

fn room_for(entries: usize) -> usize {
    (entries / SHARE).max(LEAST_ROOM)
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    pub(crate) fn new(hasher: S) -> Self {
        let numbers = Numbers::new();
        let view = View {
            current: Arc::new(Generation {
                table: Table::empty(),
                epoch: 0,
                published_at: crate::clock::wall_now(),
            }),
            active: Overlay::new(room_for(0), 0),
            sealed: None,
            next: None,
            gate: Gate::new(),
            floor: 0,
            echo: None,
        };
        Self {
            cell: Cell::new(Arc::new(view)),
            numbers,
            hasher,
            bell: Parker::new(),
            failed: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(crate) fn hasher(&self) -> &S {
        &self.hasher
    }

    #[inline]
    pub(crate) fn view(&self) -> impl Deref<Target = Arc<View<K, V>>> {
        self.cell.load()
    }

    /// The view, for whoever holds it for longer.
    pub(crate) fn load_view(&self) -> Arc<View<K, V>> {
        self.cell.load_full()
    }

    pub(crate) fn reader(&self) -> CellReader<View<K, V>> {
        self.cell.reader()
    }

    /// What to [`peek`](Self::peek) by.
    pub(crate) fn place(&self) -> Place {
        self.cell.place()
    }

    /// The value of a key, if it is cached.
    #[inline(always)]
    pub(crate) fn peek<Q>(&self, place: Place, hash: u64, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Not by `with`, which takes 73 instructions for what takes 59 here.
        self.cell.read(
            place,
            |view| view.unmarked(hash, key).cloned(),
            |view| view.value(hash, key),
        )
    }

    /// What `read` makes of the value of a key, if it is cached.
    #[inline(always)]
    pub(crate) fn with<Q, R>(
        &self,
        place: Place,
        hash: u64,
        key: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Both ways want it, and one is gone.
        let read = std::cell::Cell::new(Some(read));
        let once = |value: Option<&V>| value.and_then(|value| Some(read.take()?(value)));
        self.cell.read(
            place,
            |view| once(view.unmarked(hash, key)),
            |view| once(view.get(hash, key)),
        )
    }

    /// How many keys are cached: the table's, and what the overlays add and take away.
    pub(crate) fn len(&self) -> usize {
        let view = self.view();
        let mut len = view.current.table.len();
        view.for_each_overlaid(|hash, key, write| {
            let in_table = view.current.table.find_any(hash, key).is_some();
            match (in_table, write.value().is_some()) {
                (false, true) => len += 1,
                (true, false) => len = len.saturating_sub(1),
                _ => {}
            }
        });
        len
    }

    /// The keys that are cached.
    pub(crate) fn keys(&self) -> Vec<K> {
        let view = self.view();
        let table = view.current.table.iter();
        let mut keys: Vec<K> = table
            .filter(|&(key, _)| view.overlaid(self.hash(key), key).is_none())
            .map(|(key, _)| key.clone())
            .collect();
        view.for_each_overlaid(|_, key, write| {
            if write.value().is_some() {
                keys.push(key.clone());
            }
        });
        keys
    }

    /// Writes a value, or a tombstone.
    pub(crate) fn write(&self, hash: u64, key: K, value: Option<V>) {
        let nudge = self.inside(|view| self.put(view, hash, key, value));
        self.ring(nudge);
    }

    /// Writes all of them inside one gate: whole in every snapshot, or not at all.
    pub(crate) fn write_group(&self, group: Vec<(u64, K, Option<V>)>) {
        if fault::planted("group_in_pieces") {
            for (hash, key, value) in group {
                self.write(hash, key, value);
            }
            return;
        }
        let nudge = self.inside(move |view| {
            let mut nudge = Nudge::None;
            for (hash, key, value) in group {
                nudge = nudge.or(self.put(view, hash, key, value));
            }
            nudge
        });
        self.ring(nudge);
    }

    /// What the driver of the folder sleeps on. Rung when there is something to fold.
    pub(crate) fn bell(&self) -> &Arc<Parker> {
        &self.bell
    }

    /// Outside the gate: the folder may be waiting for us to leave it.
    fn ring(&self, nudge: Nudge) {
        if nudge != Nudge::None {
            self.bell.unpark();
        }
    }

    fn put(&self, view: &View<K, V>, hash: u64, key: K, value: Option<V>) -> Nudge {
        if !fault::planted("value_before_mark") {
            mark(view, hash, &key);
        }
        let write = Write::new(self.numbers.draw(), value);
        let again = fault::planted("value_before_mark").then(|| key.clone());
        view.active.put(hash, key, write, || self.numbers.draw());
        if let Some(key) = again {
            mark(view, hash, &key);
        }
        view.active.nudge()
    }

    /// Writes a value if the key has none; else returns the one that it has.
    ///
    /// Waits, in the moment between a rotation and its seal, for the writers of the sealed overlay.
    /// Not to be called in the middle of a write: see [`inside_a_write`].
    pub(crate) fn write_if_absent(&self, hash: u64, key: K, value: V) -> Result<(), V> {
        let nudge = self.inside(|view| {
            wait_sealed(view);
            let below = match view.under_active(hash, &key) {
                Some(write) => write.value().cloned(),
                None => view.current.table.find_any(hash, &key).cloned(),
            };
            mark(view, hash, &key);
            let write = Write::new(self.numbers.draw(), Some(value));
            let put = view
                .active
                .put_if_absent(hash, key, write, below.is_none(), || self.numbers.draw());
            match put {
                Ok(()) => Ok(view.active.nudge()),
                Err(there) => {
                    let present = there.map_or(below, |write| write.value().cloned());
                    // Always some, or it would have been put.
                    present.map_or(Ok(Nudge::None), Err)
                }
            }
        })?;
        self.ring(nudge);
        Ok(())
    }

    /// Draws the number of a load that begins now. The load's key must be looked up after this.
    pub(crate) fn begin_load(&self) -> LiveLoad<'_> {
        self.numbers.begin_load()
    }

    /// Stores what a load brought, unless the key was changed since the load began.
    ///
    /// `value` is `None` for a key that is gone at the source; `not_in` is the epoch of a table that has been
    /// seen not to hold the key, if there is one. Waits as [`write_if_absent`](Self::write_if_absent) does.
    pub(crate) fn install(
        &self,
        load: u64,
        hash: u64,
        key: K,
        value: Option<V>,
        not_in: Option<u64>,
    ) -> Installed {
        self.put_loaded(load, hash, key, value, not_in, |view| {
            let folded = view.echo.as_ref().and_then(|echo| echo.last(hash));
            folded.unwrap_or(0)
        })
    }

    /// Takes out a key that has not been folded since a load of it began which failed: as if that load
    /// had found it gone. Returns whether it went.
    ///
    /// The echo is not asked. It speaks for all keys of a hash, and one of them must not keep another.
    pub(crate) fn take_out(&self, load: u64, hash: u64, key: &K) -> bool {
        self.view().is_present(hash, key)
            && self.put_loaded(load, hash, key.clone(), None, None, |_| 0) == Installed::Stored
    }

    /// A reload failed. To be called before the load is over.
    pub(crate) fn refresh_failed(&self, failed: Failed<K>) {
        let is_first = {
            let mut waiting = self.failed.lock();
            waiting.push(failed);
            waiting.len() == 1
        };
        if is_first {
            self.bell.unpark();
        }
    }

    fn take_failed(&self) -> Vec<Failed<K>> {
        std::mem::take(&mut *self.failed.lock())
    }

    /// Puts what a load brought, unless something newer is there or, as `folded` says, has been folded.
    fn put_loaded(
        &self,
        load: u64,
        hash: u64,
        key: K,
        value: Option<V>,
        not_in: Option<u64>,
        folded: impl FnOnce(&View<K, V>) -> u64,
    ) -> Installed {
        let nudge = self.inside(|view| {
            wait_sealed(view);
            let below = view
                .under_active(hash, &key)
                .map_or(0, |write| write.number());
            let floor = if fault::planted("floor_ignored") {
                0
            } else {
                view.floor
            };
            if load < below.max(folded(view)).max(floor) {
                return None;
            }
            mark_but(not_in, view, hash, &key);
            let write = Write::new(load, value);
            let put = view.active.put_if(hash, key, write, |current| {
                current.is_none_or(|current| current.number() <= load)
                    || fault::planted("load_ignores_numbers")
            });
            put.then(|| view.active.nudge())
        });
        match nudge {
            Some(nudge) => {
                self.ring(nudge);
                Installed::Stored
            }
            None => Installed::Superseded,
        }
    }

    /// Runs `act` inside the gate of the current view.
    fn inside<R>(&self, act: impl FnOnce(&View<K, V>) -> R) -> R {
        loop {
            let view = self.view();
            // A closed gate means that a newer view is out; the next look finds it.
            if let Some(_inside) = view.gate.enter() {
                return act(&view);
            }
        }
    }
}

/// Marks the key in the tables of a view, before anything is put.
fn mark<K: Key, V>(view: &View<K, V>, hash: u64, key: &K) {
    mark_but(None, view, hash, key);
}

/// The same, but not in the table of epoch `not_in`, which does not hold the key: no table ever gets another
/// one, and the look for it may be a cache miss.
fn mark_but<K: Key, V>(not_in: Option<u64>, view: &View<K, V>, hash: u64, key: &K) {
    if not_in != Some(view.current.epoch) {
        view.current.table.mark(hash, key);
    }
    if let Some(next) = &view.next
        && !fault::planted("marks_one_table")
    {
        next.table.mark(hash, key);
    }
}

/// A conditional write decides on what is there, so nobody may still be writing underneath.
fn wait_sealed<K, V>(view: &View<K, V>) {
    if let Some(sealed) = &view.sealed
        && !fault::planted("conditional_does_not_wait")
    {
        sealed.gate.wait_sealed();
    }
}
