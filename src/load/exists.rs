//! Whether a key exists, asked before it is loaded; and what is remembered of the answers. DESIGN.md, "Existence".

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::time::Duration;

use super::Loads;
use super::batch::Open;
use super::flight::Flight;
use super::runner::Running;
use crate::clock::{Clock, Deadline};
use crate::contain::contained;
use crate::error::{BoxError, Error};
use crate::events::Event;
use crate::loader::Outcome;
use crate::stats::Counters;
use crate::store::View;
use crate::sync::{Arc, Hashed, Keyed, Map, Mutex, atomic::AtomicU64, fault, order};
use crate::{HashBuilder, Key, Value};

/// The user's hook.
pub(crate) type Ask<K> = Box<dyn Fn(&K) -> Result<bool, BoxError> + Send + Sync>;

/// The hook, and its answers as far as they are remembered.
///
/// A note of a key is put before the hook is asked for it, and what is written looks for the note after it was
/// put: so an answer that was asked for before a write never outlives it. No lock is taken by who looks or writes.
pub(crate) struct Exists<K: Key> {
    ask: Ask<K>,
    /// How long a key is remembered to be absent; `None` if it is not.
    absent_for: Option<Duration>,
    /// How many keys are remembered at most, of those that are there and of those that are not.
    capacity: usize,
    notes: Map<Note<K>>,
    /// Goes up whenever all that is remembered is to be forgotten.
    era: AtomicU64,
    order: Mutex<Order<K>>,
    clock: Clock,
}

/// What is remembered, oldest first. Holds notes that were forgotten until they are the oldest.
struct Order<K> {
    present: VecDeque<Arc<Note<K>>>,
    absent: VecDeque<Arc<Note<K>>>,
}

struct Note<K> {
    key: Hashed<K>,
    era: u64,
    /// The number of the last reset when it was put: under another view it says nothing. The era goes up after a
    /// reset was published, and so too late for who has seen that.
    reset: u64,
    /// [`ASKING`], [`STRUCK`], [`PRESENT`], or until when the key is taken for absent.
    answer: AtomicU64,
}

/// The hook is being asked. No deadline: each is after the clock's origin.
const ASKING: u64 = 0;

/// Something was written of the key: the note says nothing, and will not.
const STRUCK: u64 = 1;

/// The key exists. No deadline either, as it stands for never.
const PRESENT: u64 = u64::MAX;

impl<K> Note<K> {
    fn become_if(&self, now: u64, then: u64) -> Result<u64, u64> {
        self.answer
            .compare_exchange(now, then, order::COUNT, order::COUNT)
    }
}

impl<K: Eq + Clone> Keyed for Note<K> {
    type Key = K;

    fn key(&self) -> &K {
        self.key.key()
    }
}

impl<K: Key> Exists<K> {
    pub(crate) fn new(
        ask: Ask<K>,
        absent_for: Option<Duration>,
        capacity: usize,
        clock: Clock,
    ) -> Self {
        Self {
            ask,
            absent_for,
            capacity,
            notes: Map::with_capacity(0),
            era: AtomicU64::new(0),
            order: Mutex::new(Order {
                present: VecDeque::new(),
                absent: VecDeque::new(),
            }),
            clock,
        }
    }

    /// What is remembered of a key: whether it exists. `reset` is the number of the last reset, as its asker knows.
    pub(crate) fn remembered<Q>(&self, hash: u64, key: &Q, reset: u64) -> Option<bool>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let note = self.notes.get(hash, key)?;
        let outdated = note.era != self.era.load(order::COUNT) || note.reset != reset;
        if outdated && !fault::planted("eras_do_not_end") {
            return None;
        }
        match note.answer.load(order::COUNT) {
            ASKING | STRUCK => None,
            PRESENT => Some(true),
            until => (!Deadline::from_word(until).is_over(&self.clock)).then_some(false),
        }
    }

    /// Something was written of the key: that it was absent says nothing any more. To be called after the write
    /// was put, and before it returns.
    pub(crate) fn written(&self, hash: u64, key: &K) {
        self.meet();
        let spared = |answer| answer == ASKING && fault::planted("spares_what_is_asked");
        self.strike(hash, key, |answer| answer != PRESENT && !spared(answer));
    }

    /// The source does not have the key, whatever the hook has said.
    fn gone(&self, hash: u64, key: &K) {
        self.strike(hash, key, |answer| answer == PRESENT);
    }

    fn strike(&self, hash: u64, key: &K, which: impl Fn(u64) -> bool) {
        if fault::planted("notes_are_not_struck") {
            return;
        }
        self.notes.remove_if(hash, key, |note| {
            let mut answer = note.answer.load(order::COUNT);
            while which(answer) && answer != STRUCK {
                match note.become_if(answer, STRUCK) {
                    Ok(_) => return true,
                    // Its asker has just been answered.
                    Err(now) => answer = now,
                }
            }
            which(answer)
        });
    }

    /// Nothing that was asked before says anything any more.
    pub(crate) fn forget_all(&self) {
        self.era.fetch_add(1, order::exists_meet());
    }

    /// Between what was changed, or noted, before this and what is looked for, or asked, after it: of two that come
    /// here the later one finds all that the earlier one did before.
    fn meet(&self) {
        self.era.fetch_add(0, order::exists_meet());
    }

    /// Asks the hook, and remembers what it says.
    pub(crate) fn ask(&self, hash: u64, key: &K, reset: u64) -> Result<bool, Error> {
        let early = fault::planted("asks_before_its_note").then(|| (self.ask)(key));
        let era = self.era.load(order::COUNT);
        let make = || {
            Arc::new(Note {
                key: Hashed::new(hash, key.clone()),
                era,
                reset,
                answer: AtomicU64::new(ASKING),
            })
        };
        // In place of one that says nothing any more, or that another load of the key is still asking for.
        let note = contained(|| self.notes.put_if(hash, key, |_| true, make))?;
        self.meet();
        let asked = contained(|| early.unwrap_or_else(|| (self.ask)(key)));
        let asked = asked.and_then(|asked| asked.map_err(Error::load));
        let Ok(note) = note else { return asked };
        let answer = match (&asked, self.absent_for) {
            (Ok(true), _) => PRESENT,
            (Ok(false), Some(time)) => Deadline::after(&self.clock, time).to_word(),
            _ => {
                self.drop_note(&note);
                return asked;
            }
        };
        if note.become_if(ASKING, answer).is_err() {
            return asked;
        }
        let oldest = {
            let mut order = self.order.lock();
            let kept = match answer {
                PRESENT => &mut order.present,
                _ => &mut order.absent,
            };
            kept.push_back(note);
            if kept.len() > self.capacity {
                kept.pop_front()
            } else {
                None
            }
        };
        if let Some(oldest) = oldest {
            self.drop_note(&oldest);
        }
        asked
    }

    fn drop_note(&self, note: &Note<K>) {
        // A key's `Eq` may panic. Then the note stays a little longer, and says what it said.
        let _ = contained(|| {
            self.notes
                .remove_if(note.key.hash, note.key.key(), |there| {
                    std::ptr::eq(there, note)
                });
        });
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// Whether the key is remembered to be absent, for who has missed it.
    pub(super) fn is_known_absent<Q>(&self, view: &View<K, V>, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(exists) = &self.exists else {
            return false;
        };
        if !view.caching {
            return false;
        }
        let absent = exists.remembered(hash, key, view.reset) == Some(false);
        Counters::add(&self.stats.exists_remembered, usize::from(absent));
        absent
    }

    /// The source has said that it does not have the key.
    pub(super) fn found_gone(&self, flight: &Flight<K, V>) {
        if let Some(exists) = &self.exists {
            exists.gone(flight.hash(), flight.key());
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Open<'_, K, V, S> {
    /// Answers the flights whose keys do not exist. A hook that fails is not asked again for this batch: what it
    /// has not answered is loaded, as its loader knows as well.
    pub(super) fn answer_absent(&mut self, number: u64, not_in: Option<u64>) {
        let loads = self.loads;
        let Some(exists) = &loads.exists else {
            return;
        };
        let Ok(_running) = Running::enter() else {
            // The loader will not be asked either, and says why.
            return;
        };
        let (remembers, reset) = {
            let view = loads.store.view();
            (view.caching, view.reset)
        };
        let mut works = true;
        for flight in std::mem::take(&mut self.flights) {
            // A cached key exists; the loader says if that has changed.
            if !works || flight.wants_reload() {
                self.flights.push(flight);
                continue;
            }
            let (hash, key) = (flight.hash(), flight.key());
            let known = contained(|| exists.remembered(hash, key, reset).filter(|_| remembers));
            let known = known.ok().flatten();
            let asked = match known {
                Some(known) => {
                    Counters::add(&loads.stats.exists_remembered, 1);
                    Ok(known)
                }
                None => {
                    Counters::add(&loads.stats.exists_asked, 1);
                    exists.ask(hash, key, reset)
                }
            };
            match asked {
                Ok(true) => self.flights.push(flight),
                Ok(false) => {
                    let end = loads.conclude(&flight, Outcome::Absent, None, number, not_in);
                    self.count(flight, end);
                }
                Err(error) => {
                    works = false;
                    Counters::add(&loads.stats.exists_failed, 1);
                    loads.events.send(Event::ExistsFailed { error });
                    self.flights.push(flight);
                }
            }
        }
    }
}
