//! The store: reads, writes and folds of one bucket's data. DESIGN.md, "Form C".
//!
//! No thread, no queue and no loader here. A reader loads a view and looks; a writer enters the view's
//! gate, marks the tables, and puts into the active overlay; one folder (see [`fold`]) rotates, seals,
//! builds, announces, marks and publishes.

mod budget;
mod by_hash;
mod changes;
mod conditional;
mod content;
mod dataset;
mod derived;
mod echo;
mod empty;
mod enter;
mod evict;
mod failures;
pub(crate) mod fold;
mod gate;
mod group;
mod idle;
mod inspect;
mod joint;
mod known;
mod limit;
mod liveness;
mod many;
mod number;
mod overlay;
mod prune;
mod reads;
#[cfg(feature = "dump")]
mod restore;
mod retime;
mod retired;
mod seen;
mod settle;
mod since;
mod sketch;
mod stale;
mod tags;
mod take_out;
mod tally;
mod terms;
mod unsaved;
mod view;
mod write;

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use self::budget::Budget;
use self::failures::Failures;
use self::gate::Gate;
use self::liveness::Liveness;
use self::number::Numbers;

pub(crate) use self::budget::{Limits, Weigher};
pub(crate) use self::conditional::{IfAbsent, Installed};
pub(crate) use self::content::Content;
pub(crate) use self::derived::{Built, Derivations, Made};
pub(crate) use self::evict::Policy;
pub(crate) use self::gate::inside as inside_a_write;
pub(crate) use self::joint::{Joined, Joint, Part};
use self::limit::recency;
pub(crate) use self::liveness::Check;
pub(crate) use self::number::LiveLoad;
use self::overlay::{Nudge, Times};
pub(crate) use self::overlay::{Overlay, Write};
use self::reads::Reads;
#[cfg(feature = "dump")]
pub(crate) use self::restore::Restored;
pub(crate) use self::retime::Retimed;
pub(crate) use self::stale::Failed;
pub(crate) use self::tags::TagFloors;
pub(crate) use self::tally::LastFold;
pub(crate) use self::terms::Terms;
pub(crate) use self::unsaved::{Batch, Dirty, Unsaved};
pub(crate) use self::view::{Found, Generation, View};
pub(crate) use crate::table::AT_ONCE;

use crate::clock::Clock;
use crate::sync::{Arc, Cell, CellReader, Mutex, Parker, Place, Stopped, plain};
use crate::table::Table;
use crate::{Key, Value};

/// How many writes an overlay takes before a fold is due, at the least.
///
/// Below this a fold costs less than waking the folder is worth; chosen, not measured.
const LEAST_ROOM: usize = 4096;

/// The overlay is due for a fold when it has grown to an eighth of the table: then a write's share of
/// the copying is eight entries at the most, however large the table is.
const SHARE: usize = 8;

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
    /// Why loads have failed, as far as some have.
    failures: Failures<K>,
    /// How much may be held, where that is limited.
    limits: Option<Limits<K, V>>,
    /// Says of values whether they live, where they may die.
    alive: Option<Arc<Liveness<K, V>>>,
    /// Counts what is read, where that is wanted.
    reads: Option<Arc<Reads>>,
    /// Something was written with tags, or is about to be.
    tagging: plain::Flag,
    /// What the folder has done last.
    last_fold: tally::Kept,
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
            count_reads,
        } = terms;
        let (numbers, bell) = (Numbers::new(), Parker::new());
        let alive = alive.map(|check| Arc::new(Liveness::new(check, Arc::clone(&bell))));
        let times = Times { clock, idle };
        let recency = recency(&times, limits.as_ref(), 0);
        let table = match recency {
            None => table,
            recency => table.touched_now(recency),
        };
        let evicts = limits.as_ref().and_then(|limits| limits.evicts);
        let table = match evicts {
            Some(Policy::LastWrite) => table.written_at(0),
            _ => table,
        };
        let table = match &alive {
            Some(_) => table.guarded(),
            None => table,
        };
        let reads = Self::reads_of(count_reads);
        let table = match &reads {
            Some(_) => table.counted(),
            None => table,
        };
        let budget = limits
            .as_ref()
            .map(|limits| Budget::new(limits, table.total_weight()));
        let active = Overlay::new(room_for(table.len()), 0);
        let view = View {
            current: Arc::new(Generation {
                table,
                epoch: 0,
                floor: 0,
                derived: None,
                version,
                published_at: crate::clock::wall_now(),
            }),
            beyond: active.begun(),
            active,
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
            joints: None,
            tag_floors: None,
            reads: reads.clone(),
        };
        Self {
            times,
            cell: Cell::new(Arc::new(view)),
            numbers,
            hasher,
            bell,
            failed: Mutex::new(Vec::new()),
            failures: Failures::new(),
            alive,
            limits,
            reads,
            tagging: plain::Flag::new(false),
            last_fold: tally::Kept::new(None),
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

    /// What to [`peek`](Self::peek) by.
    pub(crate) fn place(&self) -> Place<View<K, V>> {
        self.cell.place()
    }

    /// The value of a key, if it is cached.
    ///
    /// The store is asked for only where the short way finds nothing, so that this need not go through pointers to it.
    #[inline(always)]
    pub(crate) fn peek<'s, Q>(
        place: &Place<View<K, V>>,
        store: impl FnOnce() -> &'s Self,
        hash: u64,
        key: &Q,
    ) -> Option<V>
    where
        Self: 's,
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // One way for all that takes longer: then what follows a hit is compiled for that alone.
        match place.read(|view| view.at_once(hash, key, V::clone)) {
            Ok(value) => value,
            Err(stopped) => {
                let value = store().peek_on(place, stopped, hash, key)?;
                // Or the compiler makes one of both ways, and has a hit ask as well whether there is a value.
                std::hint::black_box(());
                Some(value)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn peek_on<Q>(
        &self,
        place: &Place<View<K, V>>,
        stopped: Stopped<'_>,
        hash: u64,
        key: &Q,
    ) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.cell
            .read_on(place, stopped, |view| view.value(hash, key))
    }

    /// What `read` makes of the value of a key, if it is cached.
    #[inline(always)]
    pub(crate) fn with<'s, Q, R>(
        place: &Place<View<K, V>>,
        store: impl FnOnce() -> &'s Self,
        hash: u64,
        key: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R>
    where
        Self: 's,
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Both ways want it, and one is gone.
        let mut read = Some(read);
        let short = place.read(|view| view.at_once(hash, key, |value| Some(read.take()?(value))));
        match short {
            Ok(made) => made.flatten(),
            Err(stopped) => {
                let made = store().with_on(place, stopped, hash, key, read.take()?)?;
                // As in `peek`.
                std::hint::black_box(());
                Some(made)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn with_on<Q, R>(
        &self,
        place: &Place<View<K, V>>,
        stopped: Stopped<'_>,
        hash: u64,
        key: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.cell
            .read_on(place, stopped, |view| view.get(hash, key).map(read))
    }

    /// How many keys are cached: the table's, and what the overlays add and take away.
    pub(crate) fn len(&self) -> usize {
        let view = self.view();
        if self.alive.is_some() {
            return self.count_living(&view);
        }
        let table = &view.current.table;
        let mut len = table.len_at(table.now());
        view.for_each_overlaid(|hash, key, write| {
            let in_table = table.find_any(hash, key).is_some();
            match (in_table, write.value(&self.times).is_some()) {
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
            .filter(|&(key, value)| self.lives(key, value))
            .map(|(key, _)| key.clone())
            .collect();
        view.for_each_overlaid(|_, key, write| {
            let value = write.value(&self.times);
            if value.is_some_and(|value| self.lives(key, value)) {
                keys.push(key.clone());
            }
        });
        keys
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
}
