//! The store: reads, writes and folds of one bucket's data. DESIGN.md, "Form C".
//!
//! No thread, no queue and no loader here. A reader loads a view and looks; a writer enters the view's
//! gate, marks the tables, and puts into the active overlay; one folder (see [`fold`]) rotates, seals,
//! builds, announces, marks and publishes.

mod budget;
mod by_hash;
mod changes;
mod conditional;
mod derived;
mod echo;
mod empty;
pub(crate) mod fold;
mod gate;
mod idle;
mod limit;
mod liveness;
mod many;
mod number;
mod overlay;
mod read;
mod retired;
mod settle;
mod since;
mod stale;
mod take_out;
mod view;

use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use self::budget::{Budget, Purse};
use self::gate::Gate;
use self::liveness::Liveness;
use self::number::Numbers;
use self::overlay::Overlay;

pub(crate) use self::budget::{Limits, Weigher};
pub(crate) use self::conditional::{IfAbsent, Installed};
pub(crate) use self::derived::{Built, Derivations, Made};
pub(crate) use self::gate::inside as inside_a_write;
use self::limit::recency;
pub(crate) use self::liveness::Check;
pub(crate) use self::many::Groups;
pub(crate) use self::number::LiveLoad;
pub(crate) use self::overlay::{Content, Write};
use self::overlay::{Nudge, Times};
pub(crate) use self::stale::Failed;
pub(crate) use self::view::{Found, Generation, View};

use crate::clock::{Clock, Idle};
use crate::sync::{Arc, Cell, CellReader, Mutex, Parker, fault};
use crate::table::Table;
use crate::{Key, Value};

/// How many writes an overlay takes before a fold is due, at the least.
///
/// Below this a fold costs less than waking the folder is worth; chosen, not measured.
const LEAST_ROOM: usize = 4096;

/// The overlay is due for a fold when it has grown to an eighth of the table: then a write's share of
/// the copying is eight entries, however large the table is.
const SHARE: usize = 8;

/// On what terms values are in a bucket, besides what is said of each. By default they may all stay.
pub(crate) struct Terms<K, V> {
    /// Says of values whether they live, where they may die.
    pub(crate) alive: Option<Check<K, V>>,
    /// How much may be held, where that is limited: of what there is too much some goes.
    pub(crate) limits: Option<Limits<K, V>>,
    /// What is not touched for so long goes, if anything does.
    pub(crate) idle: Option<Idle>,
}

impl<K, V> Default for Terms<K, V> {
    fn default() -> Self {
        Self {
            alive: None,
            limits: None,
            idle: None,
        }
    }
}

/// The data of one bucket, as readers and writers see it.
pub(crate) struct Store<K: Key, V: Value, S> {
    cell: Cell<View<K, V>>,
    numbers: Numbers,
    hasher: S,
    /// By which values expire.
    times: Times,
    /// Wakes whoever drives the folder.
    bell: Arc<Parker>,
    /// Reloads that failed and that the folder has not taken in.
    failed: Mutex<Vec<Failed<K>>>,
    /// How much may be held, where that is limited.
    limits: Option<Limits<K, V>>,
    /// Says of values whether they live, where they may die.
    alive: Option<Arc<Liveness<K, V>>>,
}

fn room_for(entries: usize) -> usize {
    (entries / SHARE).max(LEAST_ROOM)
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    #[cfg(all(test, any(larder_loom, larder_shuttle)))]
    pub(crate) fn new(hasher: S, clock: Clock) -> Self {
        Self::holding(Table::empty(), 0, hasher, clock, Terms::default())
    }

    /// A store that begins with what is in a table, and in this version.
    pub(crate) fn holding(
        table: Table<K, V>,
        version: u64,
        hasher: S,
        clock: Clock,
        terms: Terms<K, V>,
    ) -> Self {
        let Terms {
            alive,
            limits,
            idle,
        } = terms;
        let (numbers, bell) = (Numbers::new(), Parker::new());
        let alive = alive.map(|check| Arc::new(Liveness::new(check, Arc::clone(&bell))));
        let times = Times { clock, idle };
        let recency = recency(&times, limits.as_ref(), 0);
        let table = match recency {
            None => table,
            recency => table.touched_now(recency),
        };
        let table = match &alive {
            Some(_) => table.guarded(&times.clock),
            None => table,
        };
        let room = room_for(table.len());
        let budget = limits
            .as_ref()
            .map(|limits| Budget::new(limits, table.total_weight()));
        let view = View {
            current: Arc::new(Generation {
                table,
                epoch: 0,
                floor: 0,
                derived: None,
                version,
                published_at: crate::clock::wall_now(),
            }),
            active: Overlay::new(room, 0),
            sealed: None,
            next: None,
            gate: Gate::new(),
            floor: 0,
            reset: 0,
            echo: None,
            caching: true,
            times: times.clone(),
            budget: budget.map(Arc::new),
            alive: alive.clone(),
        };
        Self {
            times,
            cell: Cell::new(Arc::new(view)),
            numbers,
            hasher,
            bell,
            failed: Mutex::new(Vec::new()),
            alive,
            limits,
        }
    }

    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(crate) fn hasher(&self) -> &S {
        &self.hasher
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.times.clock
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

    /// Writes a value, or a tombstone. Returns a value for which there is no room: then the key is removed.
    pub(crate) fn write(
        &self,
        hash: u64,
        key: K,
        content: impl Into<Content<V>>,
    ) -> Result<(), Option<V>> {
        let mut content = content.into();
        let (nudge, refused) = self.inside(|view| {
            if !view.caching && !fault::planted("writes_while_off") {
                return (Nudge::None, Err(None));
            }
            let mut purse = Purse::of(view);
            purse.take_shown(view, hash, &key);
            let mut refused = Ok(());
            if !purse.pay(content.weight.get()) {
                refused = Err(content.value.take());
                content = None.into();
            }
            (self.put(view, hash, key, content, &mut purse), refused)
        });
        self.ring(nudge);
        refused
    }

    /// Writes all of them inside one gate: whole in every snapshot, or not at all. Where there is no room for all of
    /// them, all keys are removed. Returns whether they are written.
    pub(crate) fn write_group(&self, mut group: Vec<(u64, K, Content<V>)>) -> bool {
        if fault::planted("group_in_pieces") {
            for (hash, key, content) in group {
                let _ = self.write(hash, key, content);
            }
            return true;
        }
        // Outlives the gate: values that are refused are dropped outside.
        let mut refused = Vec::new();
        let (nudge, written) = self.inside(|view| {
            if !view.caching && !fault::planted("writes_while_off") {
                return (Nudge::None, true);
            }
            let mut purse = Purse::of(view);
            for (hash, key, _) in &group {
                purse.take_shown(view, *hash, key);
            }
            let written = purse.pay_all(group.iter().map(|(.., content)| content.weight.get()));
            let mut nudge = Nudge::None;
            for (hash, key, mut content) in std::mem::take(&mut group) {
                if !written {
                    refused.push(content.value.take());
                    content = None.into();
                }
                nudge = nudge.or(self.put(view, hash, key, content, &mut purse));
            }
            (nudge, written)
        });
        self.ring(nudge);
        written
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

    /// Puts what the purse has paid for.
    fn put(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: K,
        content: Content<V>,
        purse: &mut Purse<'_>,
    ) -> Nudge {
        if !fault::planted("value_before_mark") {
            mark(view, hash, &key);
        }
        let write = Write::new(self.numbers.draw(), content, self.times.moment());
        let again = fault::planted("value_before_mark").then(|| key.clone());
        let draw = || self.numbers.draw();
        view.active.put(hash, key, write, purse, draw);
        if let Some(key) = again {
            mark(view, hash, &key);
        }
        nudge(view, purse)
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

    /// Runs `act` unless the bucket was reset since a load with this number began. A reset that comes meanwhile waits
    /// for its end. `act` is inside a gate, so it must not wait for anything.
    pub(crate) fn unless_reset<R>(&self, load: u64, act: impl FnOnce() -> R) -> Option<R> {
        if fault::planted("looks_before_the_gate") {
            let current = load >= self.view().reset;
            return current.then(act);
        }
        self.inside(|view| {
            let current = load >= view.reset || fault::planted("answers_what_is_older");
            current.then(act)
        })
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

/// What the folder has to be told after a write that was paid for from this purse, or was not.
#[inline]
fn nudge<K: Eq, V>(view: &View<K, V>, purse: &Purse<'_>) -> Nudge {
    let nudge = view.active.nudge();
    match purse.wants_room() {
        false => nudge,
        true => view.active.press().or(nudge),
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
