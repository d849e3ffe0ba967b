//! Writing dumps, on a thread of its own: neither a caller nor the refresher waits for a disk.

use std::time::Duration;

use super::control::Control;
use super::inbox::Inbox;
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::contain::{contained, drop_contained};
use crate::dump::{Dump, DumpError, DumpReport, Facts};
use crate::events::{Event, Events};
use crate::load::Promise;
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::{Arc, Parker};
use crate::table::{Gathering, Table};
use crate::{HashBuilder, Key, Value};

/// An answer that comes when a dump is written, or not.
pub(crate) type Written = Arc<Promise<Result<DumpReport, DumpError>>>;

/// Most entries that memory is made ready for at once, whatever a file says; more grow it as they come.
const MOST_READY: usize = 1 << 20;

/// The dump of one bucket, and when it is due.
pub(crate) struct Dumper<K, V> {
    dump: Box<dyn Dump<K, V>>,
    /// How long after one dump, or a look that found nothing to do, the next look comes.
    delay: Duration,
    inbox: Inbox<Result<DumpReport, DumpError>>,
    loaded: Option<DumpReport>,
    /// What is in the file was not loaded, as it is of a lower version.
    outdated: bool,
}

impl<K: Key, V: Value> Dumper<K, V> {
    /// Reads the dump, and returns what was in it, if there was one, and not of a lower version than the bucket is to
    /// begin with. One that is refused, or cannot be read, is reported.
    pub(crate) fn open<S: HashBuilder>(
        dump: Box<dyn Dump<K, V>>,
        config: &Config,
        hasher: &S,
        clock: &Clock,
        (stats, events): (&Counters, &Events),
    ) -> (Self, Option<Table<K, V>>) {
        let mut table = None;
        let mut loaded = None;
        let read = dump.load_into(
            clock.wall_ms(),
            Reading::new(dump.expected()),
            |reading, key, value, left| {
                let expires = left.map(|left| Deadline::after(clock, left));
                reading.push(hasher.hash_one(&key), key, value, expires);
            },
        );
        let read = read.and_then(|read| {
            // Code of the user's runs in here as well.
            let built = read.map(|(reading, report)| {
                contained(|| reading.build(hasher, clock)).map(|table| (table, report))
            });
            built.transpose().map_err(|panic| dump.panicked(panic))
        });
        let mut outdated = false;
        match read {
            Ok(Some((read, report))) if report.version < config.version => {
                drop_contained(read);
                outdated = true;
            }
            Ok(Some((read, report))) => {
                table = Some(read);
                loaded = Some(report);
            }
            Ok(None) => {}
            Err(error) => {
                Counters::add(&stats.dumps_failed, 1);
                events.send(Event::DumpNotLoaded { error });
            }
        }
        let dumper = Self {
            dump,
            delay: config.dump_delay,
            outdated,
            inbox: Inbox::new(Parker::new()),
            loaded,
        };
        (dumper, table)
    }

    /// What was loaded at the start.
    pub(crate) fn loaded(&self) -> Option<DumpReport> {
        self.loaded
    }

    /// Wants a dump of all that is written by now.
    pub(crate) fn ask(&self) -> Option<Written> {
        self.inbox.ask()
    }

    /// To be called before the thread is started that works.
    pub(crate) fn will_run(&self, yes: bool) {
        self.inbox.will_run(yes);
    }

    /// Has the last dump written, if there is a thread to do so.
    pub(crate) fn stop(&self) -> bool {
        self.inbox.stop()
    }

    /// The body of the thread. `limit` is how long it waits for the last fold.
    pub(crate) fn work<S: HashBuilder>(
        &self,
        store: &Store<K, V, S>,
        control: &Control<K, V>,
        (stats, events): (&Counters, &Events),
        limit: Duration,
    ) {
        let clock = store.clock();
        let mut dumped = {
            let current = &store.view().current;
            // What it was begun with otherwise is in no file yet. Nor is what was published before this thread ran.
            let is_in_file = self.loaded.is_some() || (current.table.is_empty() && !self.outdated);
            (is_in_file && current.epoch == 0).then_some(current.epoch)
        };
        // Nobody rings for a publication: a look at the epoch now and then is all that it takes.
        let mut look_at = clock.now().saturating_add(self.delay);
        loop {
            let (asked, stop) = self.inbox.take();
            if stop || !asked.is_empty() {
                // By the system's clock: one that stands still must not hold up a shutdown.
                let published = control.ask(|requests| &mut requests.publish);
                let _ = published.wait(&Clock::system(), limit);
            }
            let epoch = store.view().current.epoch;
            let looks = clock.now() >= look_at;
            if !asked.is_empty() || ((looks || stop) && dumped != Some(epoch)) {
                let written = self.write(store, (stats, events));
                if written.is_ok() {
                    dumped = Some(epoch);
                }
                for reply in asked {
                    reply.answer(written.clone());
                }
                look_at = clock.now().saturating_add(self.delay);
            } else if looks {
                look_at = clock.now().saturating_add(self.delay);
            }
            if stop {
                return;
            }
            self.inbox.bell().park(clock, Some(look_at));
        }
    }

    /// Writes what is in the current snapshot.
    fn write<S: HashBuilder>(
        &self,
        store: &Store<K, V, S>,
        (stats, events): (&Counters, &Events),
    ) -> Result<DumpReport, DumpError> {
        let clock = store.clock();
        let current = Arc::clone(&store.view().current);
        let (table, now) = (&current.table, current.table.now());
        let (wall, precise) = (clock.wall_ms(), clock.now());
        let deadline_ms = |deadline: Deadline| {
            let left = deadline.time()?.saturating_sub(precise);
            // Never later than it is: what is left of a millisecond is dropped.
            Some(wall.saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
        };
        // Their number comes first, so where it is to be asked of each whether it lives, it is asked now.
        let living: Option<Vec<_>> = store.is_guarded().then(|| {
            let lives = |&(key, value, _): &(_, _, _)| store.lives(key, value);
            table.entries_at(now).filter(lives).collect()
        });
        let facts = |entries: usize| Facts {
            created_ms: wall,
            version: current.version,
            entries: entries as u64,
        };
        let at = |(key, value, deadline)| (key, value, deadline_ms(deadline));
        let written = match living {
            None => {
                let mut entries = table.entries_at(now).map(at);
                self.dump.save(facts(table.len_at(now)), &mut entries)
            }
            Some(living) => {
                let facts = facts(living.len());
                self.dump.save(facts, &mut living.into_iter().map(at))
            }
        };
        match &written {
            Ok(_) => Counters::add(&stats.dumps, 1),
            Err(error) => {
                Counters::add(&stats.dumps_failed, 1);
                events.send(Event::DumpFailed {
                    error: error.clone(),
                });
            }
        }
        written
    }
}

/// A dump on its way into a table.
struct Reading<K, V> {
    table: Gathering<K, V>,
    /// Of those that expire only.
    deadlines: Vec<(u64, K, Deadline)>,
}

impl<K: Key, V: Value> Reading<K, V> {
    fn new(expected: u64) -> Self {
        let expected = usize::try_from(expected).unwrap_or(MOST_READY);
        Self {
            table: Table::gather(expected),
            deadlines: Vec::new(),
        }
    }

    fn push(&mut self, hash: u64, key: K, value: V, expires: Option<Deadline>) {
        if let Some(expires) = expires {
            self.deadlines.push((hash, key.clone(), expires));
        }
        self.table.push(hash, key, value);
    }

    fn build<S: HashBuilder>(self, hasher: &S, clock: &Clock) -> Table<K, V> {
        let hash_of = |key: &K| hasher.hash_one(key);
        let deadlines = self.deadlines.iter();
        let deadlines = deadlines.map(|(hash, key, deadline)| (*hash, key, *deadline));
        let table = self.table.build(hash_of);
        table.timed_as(&Table::empty(), deadlines, clock, hash_of)
    }
}
