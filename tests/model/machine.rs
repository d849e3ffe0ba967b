//! A bucket and a plain model of it, driven by the same operations and compared after each.
//!
//! One thread asks; the bucket's own threads load, fold and refresh behind its back, which must not show.
//! Shared with the fuzz target `ops`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::storage::MemoryStorage;
use larder::{
    Bucket, Derived, ErrorKind, List, LoadState, ManualClock, Origin, Outcome, Reader, Reset,
    Snapshot, Ttl, Warm,
};

/// So few keys that every operation meets the others.
pub(crate) const KEYS: u8 = 12;

/// How long a key is remembered to be absent.
const ABSENT_FOR: Duration = Duration::from_millis(900);

/// Real time; only a bug takes so long.
const LIMIT: Duration = Duration::from_secs(20);

/// How long what failed to refresh is served. Two or three steps of the clock.
const MAX_STALE: Duration = Duration::from_millis(600);

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Set(u8, u32),
    /// With a time to live, in milliseconds.
    SetWithTtl(u8, u32, u16),
    SetManyWithTtl(Vec<(u8, u32)>, u16),
    ExpireIn(u8, u16),
    /// By the time of day, so many milliseconds from now.
    ExpireAt(u8, u16),
    Persist(u8),
    Touch(u8),
    /// Under the tags of this number.
    SetWithTags(u8, u32, u8),
    InvalidateTag(u8),
    SetIfAbsent(u8, u32),
    /// Adds to a value; what has none is left alone, or begins with this.
    Update(u8, u32, bool),
    Take(u8),
    /// Several keys at once; what is said of one last counts.
    Step(Vec<(u8, Change)>),
    /// Of values with this many zeros at their end.
    InvalidateIf(u8),
    SetMany(Vec<(u8, u32)>),
    /// What a warmer brings in one run, and what it sets meanwhile.
    Warm(Vec<(u8, u32)>, Vec<(u8, u32)>),
    Invalidate(u8),
    InvalidateMany(Vec<u8>),
    Clear,
    /// To this version.
    Reset(u8),
    /// With a loader of the call's own that resets the bucket in its first run.
    FetchThroughReset(u8, Said),
    Publish,
    Fetch(u8),
    FetchMany(Vec<u8>),
    FetchWith(u8, Said),
    RequestLoad(Vec<u8>),
    Refresh,
    /// Keep a snapshot, and look at it after each later step.
    Keep,
    Forget,
    Advance(u16),
    /// Switches caching off or on.
    Caching(bool),
    /// What the hook says of a key from now on, where there is one.
    Exists(u8, bool),
    /// What a key has dies, and so does the same value of other keys. Only where values die.
    Die(u8),
    /// The same, and the bucket is told of it.
    DieAndTell(u8),
    /// What the source says of a key from now on.
    Source(u8, Said),
    /// How the source answers as a whole from now on.
    Mood(Mood),
}

/// What a step says of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Keep,
    Set(u32),
    /// With a time to live, in milliseconds.
    SetWithTtl(u32, u16),
    Remove,
}

/// What a loader says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Value(u32),
    /// With a time to live, in milliseconds.
    Expiring(u32, u16),
    Ignore(u32),
    Absent,
    Error,
}

impl Said {
    fn outcome(self) -> Outcome<u32> {
        match self {
            Self::Value(value) => Outcome::Value(value).tagged(tags(tags_of(value))),
            Self::Expiring(value, ttl) => {
                Outcome::Expiring(value, millis(ttl)).tagged(tags(tags_of(value)))
            }
            Self::Ignore(value) => Outcome::Ignore(value),
            Self::Absent => Outcome::Absent,
            Self::Error => Outcome::Failed("scripted".into()),
        }
    }
}

/// Two tags, each a bit.
const TAGS: [&str; 2] = ["odd", "even"];

/// Those under which a loader brings a value.
fn tags_of(value: u32) -> u8 {
    (value % 4) as u8
}

fn tags(bits: u8) -> Vec<&'static str> {
    let is_one = |at: &usize| bits & (1 << at) != 0;
    (0..2).filter(is_one).map(|at| TAGS[at]).collect()
}

fn millis(count: u16) -> Duration {
    Duration::from_millis(u64::from(count))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Fails,
    Panics,
}

/// How the bucket is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Single,
    Bulk,
    Dataset,
}

/// What is known of a bucket besides its loaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Its values may die.
    pub(crate) mortal: bool,
    /// It asks whether a key exists before it loads it.
    pub(crate) asks: bool,
    /// It counts what is read.
    pub(crate) counts: bool,
    /// Its refresher rests wherever it may.
    pub(crate) sliced: bool,
}

/// What the loaders ask.
struct Source {
    says: BTreeMap<u8, Said>,
    mood: Mood,
}

impl Source {
    fn ask(&self, key: u8) -> Outcome<u32> {
        let said = self.says.get(&key).copied().unwrap_or(Said::Absent);
        said.outcome()
    }

    fn whole(&self) -> Result<(), String> {
        match self.mood {
            Mood::Well => Ok(()),
            Mood::Fails => Err("scripted".to_owned()),
            // Past the hook: libFuzzer's ends the process.
            Mood::Panics => std::panic::resume_unwind(Box::new("scripted")),
        }
    }
}

/// Pairs that a warmer brings, and those that it sets.
type Warms = (Vec<(u8, u32)>, Vec<(u8, u32)>);

/// A snapshot, its epoch, and the pairs and the list that it held when it was taken.
type Kept<S> = (Snapshot<u8, u32, S>, u64, Vec<(u8, u32)>, Option<Vec<u8>>);

pub(crate) struct Machine<S: BuildHasher + Clone + Send + Sync + 'static> {
    bucket: Bucket<u8, u32, S>,
    reader: Reader<u8, u32, S>,
    clock: ManualClock,
    storage: MemoryStorage<u8, u32>,
    source: Arc<Mutex<Source>>,
    /// What the warmer brings, and what it sets meanwhile.
    warms: Arc<Mutex<Warms>>,
    shape: Shape,
    ttl: Option<Duration>,
    traits: Traits,
    /// Values that are dead, whoever has them.
    dead: Arc<Mutex<BTreeSet<u32>>>,
    /// Keys of which the hook says that they do not exist.
    missing: Arc<Mutex<BTreeSet<u8>>>,
    /// Keys that are remembered to exist, and until when others are not to.
    known: BTreeSet<u8>,
    absent: BTreeMap<u8, Duration>,
    caching: bool,
    /// When what is cached expires, if it does.
    expires: BTreeMap<u8, Duration>,
    /// What must be cached.
    cached: BTreeMap<u8, u32>,
    /// The tags of what is cached, as bits.
    tags: BTreeMap<u8, u8>,
    /// Why the last load failed, of what was neither loaded nor written since.
    failures: BTreeMap<u8, ErrorKind>,
    /// Until when, of what has failed to refresh since it was written.
    stale: BTreeMap<u8, Duration>,
    list: Derived<u8, u32, List<u8>>,
    /// The keys of the dataset that is published, in the order of the source.
    listed: Option<Vec<u8>>,
    /// Until when, if a dataset has failed since.
    listed_until: Option<Duration>,
    kept: Vec<Kept<S>>,
    epoch: u64,
    version: u64,
}

impl<S: BuildHasher + Clone + Send + Sync + 'static> Machine<S> {
    /// `loaders`: one where keys share a hash. Of two batches at a time the later one's keys, folded meanwhile, may
    /// have those of the other refused, which is right and not what this is to compare.
    pub(crate) fn new(shape: Shape, hasher: S, loaders: usize, ttl: Option<Duration>) -> Self {
        Self::with(shape, hasher, loaders, ttl, Traits::default())
    }

    pub(crate) fn with(
        shape: Shape,
        hasher: S,
        loaders: usize,
        ttl: Option<Duration>,
        traits: Traits,
    ) -> Self {
        let source = Arc::new(Mutex::new(Source {
            says: BTreeMap::new(),
            mood: Mood::Well,
        }));
        let (clock, storage) = (ManualClock::new(), MemoryStorage::new());
        let builder = Bucket::builder("model")
            .hasher(hasher)
            .clock(clock.clock())
            .storage(storage.clone())
            .max_stale(MAX_STALE)
            .loader_threads(loaders)
            .count_reads(traits.counts)
            .batch_size(3);
        let builder = match ttl {
            Some(ttl) => builder.ttl(ttl),
            None => builder,
        };
        let (work, rest) = (Duration::from_nanos(1), Duration::from_nanos(1));
        let builder = match traits.sliced {
            true => builder.refresh_in_slices(work, rest),
            false => builder,
        };
        let dead = Arc::new(Mutex::new(BTreeSet::new()));
        let asked = Arc::clone(&dead);
        let builder = match traits.mortal {
            true => builder.alive(move |_, value| !asked.lock().unwrap().contains(value)),
            false => builder,
        };
        let missing = Arc::new(Mutex::new(BTreeSet::new()));
        let hook = Arc::clone(&missing);
        let builder = match traits.asks {
            true => builder
                .exists(move |key: &u8| Ok::<_, String>(!hook.lock().unwrap().contains(key)))
                .exists_absent_for(ABSENT_FOR),
            false => builder,
        };
        let (one, many, all) = (
            Arc::clone(&source),
            Arc::clone(&source),
            Arc::clone(&source),
        );
        let builder = match shape {
            Shape::Single => builder.load(move |key: &u8| {
                // A panic in here must not poison the script.
                let (whole, answer) = Self::peek_at(&one, |source| (source.mood, source.ask(*key)));
                Source {
                    says: BTreeMap::new(),
                    mood: whole,
                }
                .whole()
                .map(|()| answer)
            }),
            Shape::Bulk | Shape::Dataset => builder.bulk_load(move |keys: &[u8]| {
                let (whole, answers) = Self::peek_at(&many, |source| {
                    let answers: Vec<_> = keys.iter().map(|&key| (key, source.ask(key))).collect();
                    (source.mood, answers)
                });
                Source {
                    says: BTreeMap::new(),
                    mood: whole,
                }
                .whole()
                .map(|()| answers)
            }),
        };
        let list = Derived::list();
        let builder = match shape {
            Shape::Dataset => builder.derive(&list).load_all(move || {
                let (whole, pairs) = Self::peek_at(&all, |source| {
                    let value = |(&key, said): (&u8, &Said)| match *said {
                        Said::Value(value) => Some((key, value)),
                        _ => None,
                    };
                    let from_the_last = source.says.iter().rev();
                    (
                        source.mood,
                        from_the_last.filter_map(value).collect::<Vec<_>>(),
                    )
                });
                Source {
                    says: BTreeMap::new(),
                    mood: whole,
                }
                .whole()
                .map(|()| pairs)
            }),
            Shape::Single | Shape::Bulk => builder,
        };
        let asked = Arc::clone(&source);
        let builder = builder.on_reset(move |_| {
            let mood = Self::peek_at(&asked, |source| source.mood);
            let says = BTreeMap::new();
            Source { says, mood }.whole()
        });
        let warms = Arc::new(Mutex::new(Warms::default()));
        let (script, asked) = (Arc::clone(&warms), Arc::clone(&source));
        let builder = builder.warmer(
            "script",
            Warm::with(move |bucket| {
                let (brings, sets) = script.lock().unwrap().clone();
                for (key, value) in sets {
                    bucket.set(key, value);
                }
                let mood = Self::peek_at(&asked, |source| source.mood);
                let says = BTreeMap::new();
                Source { says, mood }.whole().map(|()| brings)
            })
            .required(),
        );
        let bucket = builder.build().unwrap();
        let reader = bucket.reader();
        let cached = BTreeMap::new();
        Self {
            bucket,
            reader,
            clock,
            storage,
            source,
            warms,
            shape,
            ttl,
            traits,
            dead,
            missing,
            known: BTreeSet::new(),
            absent: BTreeMap::new(),
            caching: true,
            expires: BTreeMap::new(),
            cached,
            tags: BTreeMap::new(),
            failures: BTreeMap::new(),
            stale: BTreeMap::new(),
            list,
            listed: None,
            listed_until: None,
            kept: Vec::new(),
            epoch: 0,
            version: 0,
        }
    }

    fn peek_at<R>(source: &Mutex<Source>, look: impl FnOnce(&Source) -> R) -> R {
        look(&source.lock().unwrap())
    }

    pub(crate) fn run(&mut self, ops: &[Op]) {
        for (step, op) in ops.iter().enumerate() {
            self.apply(op);
            self.compare(&format!("after step {step}: {op:?}"));
        }
        self.bucket.shutdown();
        self.compare_storage("at the end");
    }

    /// What a run of the warmer brings is older than what is set while it runs.
    fn warm(&mut self, brings: &[(u8, u32)], sets: &[(u8, u32)]) {
        // So that nothing is folded while it runs: where keys share a hash, what is set then speaks for all of them.
        self.bucket.publish().unwrap();
        *self.warms.lock().unwrap() = (brings.to_vec(), sets.to_vec());
        let mood = Self::peek_at(&self.source, |source| source.mood);
        let ended = self.bucket.warm(["script"]).unwrap().wait(LIMIT);
        assert_eq!(ended.is_ok(), mood == Mood::Well || !self.caching);
        if !self.caching {
            // Then it is not run.
            return;
        }
        for (key, value) in sets {
            self.change(*key, Some(*value));
        }
        if mood != Mood::Well {
            return;
        }
        for (key, value) in brings {
            let is_newer = sets.iter().any(|(set, _)| set == key);
            if !is_newer && !self.is_dead(*value) {
                self.change(*key, Some(*value));
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Set(key, value) => {
                self.bucket.set(*key, *value);
                self.change(*key, Some(*value));
            }
            Op::SetWithTtl(key, value, ttl) => {
                self.bucket.set_with_ttl(*key, *value, millis(*ttl));
                self.change_for(*key, *value, Some(millis(*ttl)));
            }
            Op::SetManyWithTtl(pairs, ttl) => {
                let all = pairs.iter().copied();
                self.bucket.set_many_with_ttl(all, millis(*ttl));
                for (key, value) in pairs {
                    self.change_for(*key, *value, Some(millis(*ttl)));
                }
            }
            Op::ExpireIn(key, ttl) => {
                let there = self.bucket.expire_in(key, millis(*ttl)).unwrap();
                self.retime(*key, there, Some(millis(*ttl)));
            }
            Op::ExpireAt(key, ttl) => {
                let time = self.clock.time_of_day() + millis(*ttl);
                let there = self.bucket.expire_at(key, time).unwrap();
                self.retime(*key, there, Some(millis(*ttl)));
            }
            Op::Persist(key) => {
                let there = self.bucket.persist(key).unwrap();
                self.retime(*key, there, None);
            }
            Op::Touch(key) => {
                let there = self.bucket.touch(key).unwrap();
                self.retime(*key, there, self.ttl);
            }
            Op::SetWithTags(key, value, bits) => {
                self.bucket.set_with_tags(*key, *value, tags(*bits));
                self.change(*key, Some(*value));
                self.tag(*key, *bits);
            }
            Op::InvalidateTag(at) => {
                let under = |(_, bits): &(&u8, &u8)| **bits & (1 << at) != 0;
                let under: Vec<u8> = self
                    .tags
                    .iter()
                    .filter(under)
                    .map(|(&key, _)| key)
                    .collect();
                let gone = self.bucket.invalidate_tag(TAGS[usize::from(*at)]).unwrap();
                // What is dead and was not found so yet counts.
                let dead = if self.traits.mortal {
                    gone
                } else {
                    under.len()
                };
                assert!(
                    gone >= under.len() && gone <= dead,
                    "{op:?}: {gone}, not {under:?}"
                );
                self.failures_went_with_the_dead(gone - under.len());
                for key in under {
                    self.change(key, None);
                }
            }
            Op::SetIfAbsent(key, value) => {
                let expected = self.cached.get(key).copied().map_or(Ok(()), Err);
                assert_eq!(self.bucket.set_if_absent(*key, *value), expected, "{op:?}");
                if expected.is_ok() {
                    self.change(*key, Some(*value));
                }
            }
            Op::Update(key, by, begins) => {
                let begin = begins.then_some(*by);
                let change = |value: Option<u32>| value.map(|v| v.wrapping_add(*by)).or(begin);
                let updated = self.bucket.update(key, |value| change(value.copied()));
                let there = self.cached.get(key).copied();
                assert_eq!(updated.unwrap(), change(there), "{op:?}");
                match (there, change(there)) {
                    (Some(_), Some(value)) if self.is_dead(value) => self.change(*key, None),
                    // It keeps its time.
                    (Some(_), Some(value)) => {
                        self.cached.insert(*key, value);
                        self.failures.remove(key);
                        self.stale.remove(key);
                    }
                    (None, Some(value)) => self.change(*key, Some(value)),
                    (_, None) => {}
                }
            }
            Op::Take(key) => {
                let there = self.cached.get(key).copied();
                assert_eq!(self.bucket.take(key).unwrap(), there, "{op:?}");
                // Where nothing is taken nothing is written.
                if there.is_some() {
                    self.change(*key, None);
                }
            }
            Op::Step(changes) => self.step(changes),
            Op::InvalidateIf(zeros) => {
                let is_wanted = |value: &u32| value.trailing_zeros() >= u32::from(*zeros);
                let wanted = self.cached.iter().filter(|(_, value)| is_wanted(value));
                let wanted: Vec<u8> = wanted.map(|(&key, _)| key).collect();
                let gone = self.bucket.invalidate_if(|_, value| is_wanted(value));
                assert_eq!(gone.unwrap(), wanted.len(), "{op:?}");
                for key in wanted {
                    self.change(key, None);
                }
            }
            Op::SetMany(pairs) => {
                self.bucket.set_many(pairs.iter().copied());
                for (key, value) in pairs {
                    self.change(*key, Some(*value));
                }
            }
            Op::Warm(brings, sets) => self.warm(brings, sets),
            Op::Invalidate(key) => {
                self.bucket.invalidate(key);
                self.change(*key, None);
            }
            Op::InvalidateMany(keys) => {
                self.bucket.invalidate_many(keys);
                for key in keys {
                    self.change(*key, None);
                }
            }
            Op::Clear => {
                self.bucket.clear().unwrap();
                self.forget_all();
            }
            Op::Reset(version) => self.reset(u64::from(*version)),
            Op::FetchThroughReset(key, said) => self.fetch_through_reset(*key, *said),
            Op::Publish => {
                let epoch = self.bucket.publish().unwrap();
                let snapshot = self.bucket.snapshot();
                assert_eq!(snapshot.epoch(), epoch);
                let mut pairs: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
                pairs.sort_unstable();
                // What has not been found dead yet may still be in it.
                pairs.retain(|(_, value)| !self.is_dead(*value));
                assert_eq!(
                    pairs,
                    self.pairs(),
                    "a published snapshot holds all that was written"
                );
                self.bucket.write_storage(LIMIT).unwrap().unwrap();
                self.compare_storage("when it was written");
            }
            Op::Fetch(key) => self.fetch(*key),
            Op::FetchMany(keys) => self.fetch_many(keys),
            Op::FetchWith(key, said) => self.fetch_with(*key, *said),
            Op::RequestLoad(keys) => {
                let ticket = self.bucket.request_load(keys.iter().copied());
                assert!(ticket.rejected().is_empty());
                // The clock stands still, so this waits for the loads alone.
                assert!(ticket.wait(LIMIT));
                // The second of two equal ones joins the first.
                for key in keys.iter().collect::<BTreeSet<_>>() {
                    if self.cached.contains_key(key) || self.ask(*key).is_none() {
                        self.model_load(*key);
                    }
                }
            }
            Op::Refresh => self.refresh(),
            Op::Keep => {
                let snapshot = self.bucket.snapshot();
                let pairs = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
                let listed = self.listed.clone();
                self.kept
                    .push((snapshot.clone(), snapshot.epoch(), pairs, listed));
            }
            Op::Forget => {
                self.kept.pop();
            }
            // Folds that are due happen behind our back.
            Op::Caching(caching) => {
                self.bucket.set_caching(*caching).unwrap();
                assert_eq!(self.bucket.is_caching(), *caching);
                if self.caching != *caching {
                    self.forget_all();
                }
                self.caching = *caching;
            }
            Op::Exists(key, true) => drop(self.missing.lock().unwrap().remove(key)),
            Op::Exists(key, false) => drop(self.missing.lock().unwrap().insert(*key)),
            Op::Die(key) => drop(self.die(*key)),
            Op::DieAndTell(key) => {
                let died = self.die(*key);
                let gone = self.bucket.notify_dead(key).unwrap();
                // It may be that a value which died earlier is still there.
                assert!(gone || !died, "{op:?}");
                assert!(!self.bucket.notify_dead(key).unwrap(), "{op:?}");
            }
            Op::Advance(millis) => self.advance(Duration::from_millis(u64::from(*millis))),
            Op::Source(key, said) => {
                self.source.lock().unwrap().says.insert(*key, *said);
            }
            Op::Mood(mood) => self.source.lock().unwrap().mood = *mood,
        }
    }

    /// Everything is replaced, by nothing to begin with.
    fn forget_all(&mut self) {
        self.cached.clear();
        self.tags.clear();
        self.expires.clear();
        self.failures.clear();
        self.stale.clear();
        self.known.clear();
        self.absent.clear();
        (self.listed, self.listed_until) = (None, None);
    }

    /// The hook is asked about a key that is missed, where it is not remembered. Returns what the call is answered
    /// with, if that is the end of it.
    fn ask(&mut self, key: u8) -> Option<Origin> {
        if !self.traits.asks {
            return None;
        }
        let exists = !self.missing.lock().unwrap().contains(&key);
        if !self.caching {
            if !exists {
                self.failures.remove(&key);
            }
            return (!exists).then_some(Origin::Loaded);
        }
        let now = self.clock.clock().now();
        if self.absent.get(&key).is_some_and(|until| now < *until) {
            return Some(Origin::Hit);
        }
        if self.known.contains(&key) {
            return None;
        }
        if exists {
            self.known.insert(key);
            return None;
        }
        self.absent.insert(key, now + ABSENT_FOR);
        self.failures.remove(&key);
        Some(Origin::Loaded)
    }

    /// What a write or a load does to a key: it is not stale after that, and has not failed.
    fn change(&mut self, key: u8, value: Option<u32>) {
        self.absent.remove(&key);
        match value {
            Some(value) => self.change_for(key, value, self.ttl),
            None => {
                if self.caching {
                    self.failures.remove(&key);
                }
                self.cached.remove(&key);
                self.tags.remove(&key);
                self.expires.remove(&key);
                self.stale.remove(&key);
            }
        }
    }

    /// The same with a value that lives so long.
    fn change_for(&mut self, key: u8, value: u32, ttl: Option<Duration>) {
        self.absent.remove(&key);
        if !self.caching {
            return;
        }
        self.cached.insert(key, value);
        self.tags.remove(&key);
        self.failures.remove(&key);
        self.stale.remove(&key);
        match ttl {
            Some(ttl) => drop(self.expires.insert(key, self.clock.clock().now() + ttl)),
            None => drop(self.expires.remove(&key)),
        }
        if ttl == Some(Duration::ZERO) || self.is_dead(value) {
            self.change(key, None);
        }
    }

    /// What was just written of a key, if it is there, has these tags.
    fn tag(&mut self, key: u8, bits: u8) {
        if self.cached.contains_key(&key) {
            self.tags.insert(key, bits);
        }
    }

    fn step(&mut self, changes: &[(u8, Change)]) {
        let keys: Vec<u8> = changes.iter().map(|(key, _)| *key).collect();
        let found = self.bucket.update_many(&keys, |step| {
            let places = 0..step.len();
            let found: Vec<_> = places.map(|place| step.get(place).copied()).collect();
            for (place, (_, change)) in changes.iter().enumerate() {
                match *change {
                    Change::Keep => {}
                    Change::Set(value) => step.set(place, value),
                    Change::SetWithTtl(value, ttl) => step.set_with_ttl(place, value, millis(ttl)),
                    Change::Remove => step.remove(place),
                }
            }
            found
        });
        let expected: Vec<_> = keys
            .iter()
            .map(|key| self.cached.get(key).copied())
            .collect();
        assert_eq!(found.unwrap(), expected, "{changes:?}");
        let said = |(_, change): &&(u8, Change)| !matches!(change, Change::Keep);
        let last: BTreeMap<u8, Change> = changes.iter().filter(said).copied().collect();
        for (key, change) in last {
            match change {
                Change::Keep => {}
                Change::Remove => self.change(key, None),
                // It keeps its tags.
                Change::SetWithTtl(value, ttl) => {
                    let bits = self.tags.get(&key).copied().unwrap_or(0);
                    self.change_for(key, value, Some(millis(ttl)));
                    self.tag(key, bits);
                }
                // It keeps its time.
                Change::Set(value) if self.cached.contains_key(&key) && !self.is_dead(value) => {
                    self.cached.insert(key, value);
                    self.failures.remove(&key);
                    self.stale.remove(&key);
                }
                Change::Set(value) => self.change(key, Some(value)),
            }
        }
    }

    fn is_dead(&self, value: u32) -> bool {
        self.dead.lock().unwrap().contains(&value)
    }

    /// Returns whether there was something to die.
    fn die(&mut self, key: u8) -> bool {
        if !self.traits.mortal {
            return false;
        }
        let Some(&value) = self.cached.get(&key) else {
            return false;
        };
        self.dead.lock().unwrap().insert(value);
        let failures = self.failures.clone();
        let all = self.cached.iter().filter(|(_, there)| **there == value);
        for key in all.map(|(&key, _)| key).collect::<Vec<_>>() {
            self.change(key, None);
        }
        self.failures = failures;
        true
    }

    /// So many values were taken out that were dead and not found so yet, of keys that the model does not know. That is a
    /// write, so it ends a failure of such a key.
    fn failures_went_with_the_dead(&mut self, mut taken: usize) {
        for key in 0..KEYS {
            let kept = self.bucket.last_failure(&key).is_some();
            if taken > 0 && !kept && !self.cached.contains_key(&key) {
                taken -= usize::from(self.failures.remove(&key).is_some());
            }
        }
    }

    /// What a change of a value's time does. It is as stale as before.
    fn retime(&mut self, key: u8, there: bool, ttl: Option<Duration>) {
        let value = self.cached.get(&key).copied();
        assert_eq!(there, value.is_some());
        if let Some(value) = value {
            let stale = self.stale.get(&key).copied();
            let failures = self.failures.clone();
            let bits = self.tags.get(&key).copied().unwrap_or(0);
            self.change_for(key, value, ttl);
            self.tag(key, bits);
            self.failures = failures;
            if let (Some(until), true) = (stale, self.cached.contains_key(&key)) {
                self.stale.insert(key, until);
            }
        }
    }

    /// The refresh of a key failed.
    fn fail(&mut self, key: u8) {
        if self.cached.contains_key(&key) {
            let until = self.clock.clock().now() + MAX_STALE;
            self.stale.entry(key).or_insert(until);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        let now = self.clock.clock().now();
        let due = self.stale.iter().filter(|(_, until)| **until <= now);
        let due: Vec<u8> = due.map(|(&key, _)| key).collect();
        // Nothing of this is a write.
        let failures = self.failures.clone();
        for &key in &due {
            self.change(key, None);
        }
        let list_goes = self.listed_until.is_some_and(|until| until <= now);
        if list_goes {
            (self.listed, self.listed_until) = (None, None);
        }
        if !due.is_empty() || list_goes {
            // A turn of the refresher, which takes them out.
            self.bucket.publish().unwrap();
        }
        let over = self.expires.iter().filter(|(_, at)| **at <= now);
        for key in over.map(|(&key, _)| key).collect::<Vec<_>>() {
            self.change(key, None);
        }
        self.failures = failures;
    }

    fn said(&self, key: u8) -> (Mood, Said) {
        let source = self.source.lock().unwrap();
        (
            source.mood,
            source.says.get(&key).copied().unwrap_or(Said::Absent),
        )
    }

    /// What a load of the key does to the cache.
    fn model_load(&mut self, key: u8) {
        match self.kind_of_failure(key) {
            Some(kind) => self.failures.insert(key, kind),
            None => self.failures.remove(&key),
        };
        let failures = self.failures.clone();
        self.store_load(key);
        self.failures = failures;
    }

    /// How a load of the key fails, if it does.
    fn kind_of_failure(&self, key: u8) -> Option<ErrorKind> {
        match self.said(key) {
            (Mood::Fails, _) | (Mood::Well, Said::Error) => Some(ErrorKind::Load),
            (Mood::Panics, _) => Some(ErrorKind::Panicked),
            (Mood::Well, Said::Value(value) | Said::Expiring(value, _) | Said::Ignore(value)) => {
                self.is_dead(value).then_some(ErrorKind::Dead)
            }
            (Mood::Well, Said::Absent) => None,
        }
    }

    fn store_load(&mut self, key: u8) {
        match self.said(key) {
            (Mood::Well, Said::Value(value) | Said::Expiring(value, _) | Said::Ignore(value))
                if self.is_dead(value) =>
            {
                self.fail(key);
            }
            (Mood::Well, Said::Value(value)) => {
                self.change(key, Some(value));
                self.tag(key, tags_of(value));
            }
            (Mood::Well, Said::Expiring(value, ttl)) => {
                self.change_for(key, value, Some(millis(ttl)));
                self.tag(key, tags_of(value));
            }
            (Mood::Well, Said::Absent) => {
                self.known.remove(&key);
                self.change(key, None);
            }
            (Mood::Well, Said::Ignore(_)) => {}
            _ => self.fail(key),
        }
    }

    /// What a fetch of the key says, as value and origin or as an error.
    fn expected(&self, key: u8) -> Result<(Option<u32>, Origin), ErrorKind> {
        if let Some(&value) = self.cached.get(&key) {
            return Ok((Some(value), Origin::Hit));
        }
        let loaded = match self.caching {
            true => Origin::Loaded,
            false => Origin::Ignored,
        };
        match self.said(key) {
            (Mood::Fails, _) | (Mood::Well, Said::Error) => Err(ErrorKind::Load),
            (Mood::Panics, _) => Err(ErrorKind::Panicked),
            (Mood::Well, Said::Value(value) | Said::Expiring(value, _) | Said::Ignore(value))
                if self.is_dead(value) =>
            {
                Err(ErrorKind::Dead)
            }
            (Mood::Well, Said::Value(value) | Said::Expiring(value, _)) => {
                Ok((Some(value), loaded))
            }
            (Mood::Well, Said::Ignore(value)) => Ok((Some(value), Origin::Ignored)),
            (Mood::Well, Said::Absent) => Ok((None, Origin::Loaded)),
        }
    }

    fn fetch(&mut self, key: u8) {
        let expected = self.expected(key);
        let told = match self.cached.contains_key(&key) {
            true => None,
            false => self.ask(key),
        };
        let expected = told.map_or(expected, |origin| Ok((None, origin)));
        let fetched = self.bucket.fetch(&key);
        let fetched = fetched
            .map(|f| (f.value().copied(), f.origin()))
            .map_err(|e| e.kind());
        assert_eq!(fetched, expected, "fetch of {key}");
        if !self.cached.contains_key(&key) && told.is_none() {
            self.model_load(key);
        }
    }

    fn fetch_many(&mut self, keys: &[u8]) {
        // Asked once for each key, and before any of them is loaded.
        let mut told = BTreeMap::new();
        for &key in keys {
            if !self.cached.contains_key(&key)
                && !told.contains_key(&key)
                && let Some(origin) = self.ask(key)
            {
                told.insert(key, origin);
            }
        }
        let expected = keys.iter().map(|key| match told.get(key) {
            Some(&origin) => Ok((None, origin)),
            None => self.expected(*key),
        });
        let mut expected: Vec<_> = expected.collect();
        // The second of two equal misses joins the first.
        for at in 0..keys.len() {
            if keys[..at].contains(&keys[at])
                && let Ok((_, origin @ Origin::Loaded)) = &mut expected[at]
            {
                *origin = Origin::Joined;
            }
        }
        let fetched: Vec<_> = self
            .bucket
            .fetch_many(keys)
            .into_iter()
            .map(|f| {
                f.map(|f| (f.value().copied(), f.origin()))
                    .map_err(|e| e.kind())
            })
            .collect();
        assert_eq!(fetched, expected, "fetch of {keys:?}");
        for &key in keys {
            if !self.cached.contains_key(&key) && !told.contains_key(&key) {
                self.model_load(key);
            }
        }
    }

    fn reset(&mut self, version: u64) {
        let mood = self.source.lock().unwrap().mood;
        let expected = match (version.cmp(&self.version), mood) {
            (Ordering::Less, _) => Ok(Reset::Older),
            (Ordering::Equal, _) => Ok(Reset::Current),
            (Ordering::Greater, Mood::Well) => Ok(Reset::Done),
            (Ordering::Greater, Mood::Fails) => Err(ErrorKind::Refused),
            (Ordering::Greater, Mood::Panics) => Err(ErrorKind::Panicked),
        };
        let done = self.bucket.reset(version).map_err(|error| error.kind());
        assert_eq!(done, expected, "reset to {version}");
        if done == Ok(Reset::Done) {
            self.version = version;
            self.forget_all();
        }
    }

    fn fetch_through_reset(&mut self, key: u8, said: Said) {
        let (bucket, version) = (self.bucket.clone(), self.version + 1);
        let well = self.source.lock().unwrap().mood == Mood::Well;
        let mut runs = 0;
        let fetched = self.bucket.call().fetch_with(&key, |_| {
            runs += 1;
            if runs == 1 {
                let reset = bucket.reset(version);
                assert_eq!(reset.is_ok(), well);
                // What it says then is nobody's, if it was reset.
                if well {
                    return Err("of before");
                }
            }
            match said {
                Said::Error => Err("scripted"),
                said => Ok(said.outcome()),
            }
        });
        let there = self.cached.get(&key).copied();
        let expected = match (there, said) {
            (Some(value), _) => Ok(Some(value)),
            (None, Said::Value(value) | Said::Expiring(value, _) | Said::Ignore(value)) => {
                Ok(Some(value))
            }
            (None, Said::Absent) => Ok(None),
            (None, Said::Error) => Err(ErrorKind::Load),
        };
        let fetched = fetched.map(|fetched| fetched.into_value());
        assert_eq!(fetched.map_err(|e| e.kind()), expected, "{key}, {said:?}");
        if there.is_some() {
            assert_eq!(runs, 0);
            return;
        }
        assert_eq!(runs, 1 + usize::from(well));
        if well {
            self.version = version;
            self.forget_all();
        }
        match said {
            Said::Error => drop(self.failures.insert(key, ErrorKind::Load)),
            _ => drop(self.failures.remove(&key)),
        }
        match said {
            Said::Value(value) => {
                self.change(key, Some(value));
                self.tag(key, tags_of(value));
            }
            Said::Expiring(value, ttl) => {
                self.change_for(key, value, Some(millis(ttl)));
                self.tag(key, tags_of(value));
            }
            _ => {}
        }
    }

    fn fetch_with(&mut self, key: u8, said: Said) {
        let fetched = self.bucket.call().fetch_with(&key, |_| match said {
            Said::Error => Err("scripted"),
            said => Ok(said.outcome()),
        });
        let fetched = fetched
            .map(|f| (f.value().copied(), f.origin()))
            .map_err(|e| e.kind());
        let expected = match (self.cached.get(&key), said) {
            (Some(&value), _) => Ok((Some(value), Origin::Hit)),
            (None, Said::Value(value) | Said::Expiring(value, _) | Said::Ignore(value))
                if self.is_dead(value) =>
            {
                Err(ErrorKind::Dead)
            }
            (None, Said::Value(value) | Said::Expiring(value, _)) => match self.caching {
                true => Ok((Some(value), Origin::Loaded)),
                false => Ok((Some(value), Origin::Ignored)),
            },
            (None, Said::Ignore(value)) => Ok((Some(value), Origin::Ignored)),
            (None, Said::Absent) => Ok((None, Origin::Loaded)),
            (None, Said::Error) => Err(ErrorKind::Load),
        };
        assert_eq!(
            fetched, expected,
            "fetch of {key} with a loader that says {said:?}"
        );
        if !self.cached.contains_key(&key) {
            match fetched {
                Err(kind) => self.failures.insert(key, kind),
                Ok(_) => self.failures.remove(&key),
            };
        }
        let failures = self.failures.clone();
        match (said, self.cached.get(&key)) {
            (Said::Value(value), None) => {
                self.change(key, Some(value));
                self.tag(key, tags_of(value));
            }
            (Said::Expiring(value, ttl), None) => {
                self.change_for(key, value, Some(millis(ttl)));
                self.tag(key, tags_of(value));
            }
            // It is not in the source of this loader, of which the hook knows nothing; but it is taken for absent.
            (Said::Absent, None) => drop(self.known.remove(&key)),
            _ => {}
        }
        self.failures = failures;
    }

    fn refresh(&mut self) {
        let ended = self
            .bucket
            .refresh()
            .wait(LIMIT)
            .map_err(|error| error.kind());
        let mood = self.source.lock().unwrap().mood;
        if !self.caching {
            assert_eq!(ended, Ok(()), "there is nothing to refresh");
            return;
        }
        match (self.shape, mood) {
            (Shape::Dataset, Mood::Well) => {
                assert_eq!(ended, Ok(()));
                let source = self.source.lock().unwrap();
                let value = |(&key, said): (&u8, &Said)| match *said {
                    Said::Value(value) => Some((key, value)),
                    _ => None,
                };
                let pairs: Vec<_> = source.says.iter().rev().filter_map(value).collect();
                drop(source);
                self.forget_all();
                self.listed = Some(pairs.iter().map(|&(key, _)| key).collect());
                self.listed_until = None;
                for (key, value) in pairs {
                    self.change(key, Some(value));
                }
            }
            (Shape::Dataset, mood) => {
                let kind = match mood {
                    Mood::Fails => ErrorKind::Load,
                    _ => ErrorKind::Panicked,
                };
                assert_eq!(ended, Err(kind));
                let until = self.clock.clock().now() + MAX_STALE;
                self.listed_until.get_or_insert(until);
                for key in self.cached.keys().copied().collect::<Vec<_>>() {
                    self.fail(key);
                }
            }
            (Shape::Single | Shape::Bulk, _) => {
                assert_eq!(ended, Ok(()), "failed keys are kept, and no error");
                for key in self.cached.keys().copied().collect::<Vec<_>>() {
                    self.model_load(key);
                }
            }
        }
    }

    fn pairs(&self) -> Vec<(u8, u32)> {
        self.cached
            .iter()
            .map(|(&key, &value)| (key, value))
            .collect()
    }

    /// The storage is a copy.
    fn compare_storage(&self, when: &str) {
        let mut pairs = self.storage.pairs();
        pairs.sort_unstable();
        assert_eq!(pairs, self.pairs(), "the storage {when}");
        assert_eq!(self.storage.version(), self.version, "its version {when}");
    }

    /// Every way to read says the same.
    fn compare(&mut self, when: &str) {
        let before = self.bucket.stats();
        for key in 0..KEYS {
            let expected = self.cached.get(&key).copied();
            assert_eq!(self.bucket.peek(&key), expected, "peek({key}) {when}");
            assert_eq!(
                self.reader.get(&key).copied(),
                expected,
                "reader.get({key}) {when}"
            );
            let with = self.bucket.with(&key, |value| *value);
            assert_eq!(with, expected, "with({key}) {when}");
            assert_eq!(
                self.bucket.contains(&key),
                expected.is_some(),
                "contains({key}) {when}"
            );
            let now = self.clock.clock().now();
            let left = self.expires.get(&key).map(|&at| Ttl::Left(at - now));
            let ttl = expected.map(|_| left.unwrap_or(Ttl::Never));
            assert_eq!(self.bucket.ttl(&key), ttl, "ttl({key}) {when}");
            let failure = self.bucket.last_failure(&key).map(|error| error.kind());
            let failed = self.failures.get(&key).copied();
            // What takes out what a dataset has left stale may forget it sooner.
            if self.shape != Shape::Dataset || failure.is_some() {
                assert_eq!(failure, failed, "last_failure({key}) {when}");
            }
            let state = self.bucket.load_state(&key);
            let rest = match (expected, failure) {
                (Some(_), _) => LoadState::Cached,
                (None, Some(_)) => LoadState::Failed,
                (None, None) => LoadState::Unknown,
            };
            assert_eq!(state, rest, "load_state({key}) {when}");
        }
        let reads = self.bucket.stats();
        let reads = (reads.hits - before.hits, reads.misses - before.misses);
        let hits = 4 * self.cached.len() as u64;
        let expected = (hits, 4 * u64::from(KEYS) - hits);
        let counted = if self.traits.counts { expected } else { (0, 0) };
        assert_eq!(reads, counted, "reads {when}");
        let keys: Vec<u8> = (0..KEYS).collect();
        let states = self.bucket.load_states(&keys);
        let counts = self.bucket.load_counts();
        for state in [LoadState::Cached, LoadState::Failed] {
            let count = states.iter().filter(|&&there| there == state).count();
            assert_eq!(counts.of(state), count as u64, "load_counts {when}");
        }
        let others = [counts.requested, counts.loading, counts.reload_requested];
        assert_eq!((others, counts.reloading), ([0; 3], 0), "at rest {when}");
        // More than are looked up together, and some twice.
        let keys: Vec<u8> = (0..KEYS).cycle().take(5 * usize::from(KEYS) / 2).collect();
        let expected: Vec<_> = keys.iter().map(|key| self.cached.get(key)).collect();
        assert_eq!(
            self.reader.get_many(&keys),
            expected,
            "reader.get_many {when}"
        );
        let cached: Vec<u8> = self.cached.keys().copied().collect();
        let many: Vec<_> = self
            .bucket
            .get_many(&cached)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(
            many,
            self.cached.values().copied().collect::<Vec<_>>(),
            "get_many {when}"
        );
        for (key, value) in &self.cached {
            assert_eq!(self.bucket.get(key), Some(*value), "get({key}) {when}");
        }
        let mut keys = self.bucket.keys();
        keys.sort_unstable();
        assert_eq!(keys, cached, "keys {when}");
        assert_eq!(self.bucket.len(), cached.len(), "len {when}");
        let epoch = self.bucket.epoch();
        assert!(epoch >= self.epoch, "epoch {when}");
        self.epoch = epoch;
        assert_eq!(self.bucket.version(), self.version, "version {when}");
        let snapshot = self.bucket.snapshot();
        assert_eq!(snapshot.version(), self.version, "snapshot.version {when}");
        self.compare_list(&snapshot, self.listed.as_deref(), when);
        for (snapshot, epoch, pairs, listed) in &self.kept {
            self.compare_list(snapshot, listed.as_deref(), when);
            let now: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
            assert_eq!(
                (snapshot.epoch(), &now),
                (*epoch, pairs),
                "a kept snapshot {when}"
            );
            for (key, value) in pairs {
                assert_eq!(snapshot.get(key), Some(value), "snapshot.get({key}) {when}");
            }
        }
    }

    /// What was derived is as the dataset was, and its values are as the snapshot has them.
    fn compare_list(&self, snapshot: &Snapshot<u8, u32, S>, listed: Option<&[u8]>, when: &str) {
        let now = self.list.of(snapshot).map(List::keys);
        assert_eq!(now, listed, "a list {when}");
        let keys = listed.unwrap_or_default().iter();
        let pairs = keys.filter_map(|key| snapshot.get(key).map(|value| (key, value)));
        assert!(self.list.pairs(snapshot).eq(pairs), "its pairs {when}");
    }
}
