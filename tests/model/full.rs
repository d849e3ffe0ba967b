//! A bucket with a limit, which is full most of the time, and a plain model of it that knows the weights. In half of the
//! runs its values may die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{Bucket, ManualClock, Origin, Outcome, Reset};
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: u8 = 10;
const LIMIT: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u32),
    SetWithWeight(u8, u32, u64),
    SetIfAbsent(u8, u32),
    SetMany(Vec<(u8, u32)>),
    Update(u8, u32),
    Take(u8),
    /// Several keys at once: these values, or none for who is removed.
    Step(BTreeMap<u8, Option<u32>>),
    ExpireIn(u8),
    Invalidate(u8),
    InvalidateMany(Vec<u8>),
    Clear,
    /// To the next version.
    Reset,
    /// The value of a key dies, and somebody says so, or reads it.
    Die(u8, bool),
    /// The same, and it is written over before anybody has looked.
    DieUnseen(u8, u32),
    Publish,
    Fetch(u8),
    Reload(u8),
    /// What the source says of a key from now on, and of what weight, if it says that.
    Source(u8, u32, Option<u64>),
    Advance(u16),
}

fn weight_of(value: u32) -> u64 {
    u64::from(value % 8)
}

/// What the source says of its keys, and of what weight, if it says that.
type Source = BTreeMap<u8, (u32, Option<u64>)>;

struct Machine {
    bucket: Bucket<u8, u32>,
    clock: ManualClock,
    source: Arc<Mutex<Source>>,
    /// The key whose value is dead, at this moment, if values may die.
    dead: Option<Arc<Mutex<Option<u8>>>>,
    /// What must be cached, and what it weighs.
    cached: BTreeMap<u8, (u32, u64)>,
    refused: u64,
}

impl Machine {
    fn new(mortal: bool) -> Self {
        let source = Arc::new(Mutex::new(BTreeMap::new()));
        let says = Arc::clone(&source);
        let clock = ManualClock::new();
        let dead = mortal.then(|| Arc::new(Mutex::new(None)));
        let builder = Bucket::builder("full")
            .clock(clock.clock())
            .max_weight(LIMIT)
            .weigher(|_, value: &u32| weight_of(*value))
            .load(move |key: &u8| {
                let said: Option<(u32, Option<u64>)> = says.lock().unwrap().get(key).copied();
                Ok::<_, String>(
                    said.map_or(Outcome::Absent, |(value, weight)| match weight {
                        None => Outcome::Value(value),
                        weight => Outcome::Stored {
                            value,
                            ttl: None,
                            weight,
                        },
                    }),
                )
            });
        let builder = match dead.clone() {
            Some(dead) => builder.alive(move |key, _| *dead.lock().unwrap() != Some(*key)),
            None => builder,
        };
        Self {
            bucket: builder.build().unwrap(),
            clock,
            source,
            dead,
            cached: BTreeMap::new(),
            refused: 0,
        }
    }

    fn used(&self) -> u64 {
        self.cached.values().map(|(_, weight)| weight).sum()
    }

    fn weight(&self, key: u8) -> u64 {
        self.cached.get(&key).map_or(0, |(_, weight)| *weight)
    }

    fn change(&mut self, key: u8, value: Option<(u32, u64)>) {
        match value {
            Some(value) => drop(self.cached.insert(key, value)),
            None => drop(self.cached.remove(&key)),
        }
    }

    /// A value comes. Returns whether there is room for it.
    fn store(&mut self, key: u8, value: u32, weight: u64) -> bool {
        let stored = weight <= self.weight(key) || self.used() < LIMIT;
        self.refused += u64::from(!stored);
        self.change(key, stored.then_some((value, weight)));
        stored
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Set(key, value) => {
                let set = self.bucket.try_set(*key, *value);
                let stored = self.store(*key, *value, weight_of(*value));
                assert_eq!(set, stored.then_some(()).ok_or(*value), "{op:?}");
            }
            Op::SetWithWeight(key, value, weight) => {
                let set = self.bucket.set_with_weight(*key, *value, *weight);
                assert_eq!(set.is_ok(), self.store(*key, *value, *weight), "{op:?}");
            }
            Op::SetIfAbsent(key, value) => {
                let set = self.bucket.set_if_absent(*key, *value);
                let expected = match self.cached.get(key).copied() {
                    Some((there, _)) => Err(there),
                    None if self.store(*key, *value, weight_of(*value)) => Ok(()),
                    None => Err(*value),
                };
                assert_eq!(set, expected, "{op:?}");
            }
            Op::SetMany(pairs) => {
                self.bucket.set_many(pairs.iter().copied());
                self.store_many(pairs);
            }
            Op::Update(key, by) => {
                let change = |value: Option<u32>| value.unwrap_or(0).wrapping_add(*by);
                let updated = self
                    .bucket
                    .update(key, |value| Some(change(value.copied())));
                let value = change(self.cached.get(key).map(|(value, _)| *value));
                let stored = self.store(*key, value, weight_of(value));
                assert_eq!(updated.unwrap(), stored.then_some(value), "{op:?}");
            }
            Op::Take(key) => {
                let there = self.cached.remove(key).map(|(value, _)| value);
                assert_eq!(self.bucket.take(key).unwrap(), there, "{op:?}");
            }
            Op::Step(changes) => {
                let stepped = self.bucket.update_many(changes.keys(), |step| {
                    for (place, value) in changes.values().enumerate() {
                        match value {
                            Some(value) => step.set(place, *value),
                            None => step.remove(place),
                        }
                    }
                });
                assert_eq!(stepped.is_ok(), self.step(changes), "{op:?}");
            }
            Op::ExpireIn(key) => {
                let there = self.bucket.expire_in(key, PATIENCE).unwrap();
                assert_eq!(there, self.cached.contains_key(key), "{op:?}");
                let _ = self.bucket.persist(key).unwrap();
            }
            Op::Invalidate(key) => {
                self.bucket.invalidate(key);
                self.change(*key, None);
            }
            Op::InvalidateMany(keys) => {
                self.bucket.invalidate_many(keys);
                self.cached.retain(|key, _| !keys.contains(key));
            }
            Op::Clear => {
                self.bucket.clear().unwrap();
                self.cached.clear();
            }
            Op::Reset => {
                let next = self.bucket.version() + 1;
                assert_eq!(self.bucket.reset(next).unwrap(), Reset::Done);
                self.cached.clear();
            }
            Op::Die(key, told) => {
                self.dies(Some(*key));
                let there = self.dead.is_some() && self.cached.contains_key(key);
                if *told {
                    assert_eq!(self.bucket.notify_dead(key).unwrap(), there, "{op:?}");
                } else if self.dead.is_some() {
                    // No fold is under way then, which would give it another place: there it would have to be found again.
                    self.bucket.publish().unwrap();
                    assert_eq!(self.bucket.peek(key), None, "{op:?}");
                    // It is removed before that.
                    self.bucket.publish().unwrap();
                }
                if there {
                    self.change(*key, None);
                }
                self.dies(None);
            }
            Op::DieUnseen(key, value) => {
                self.dies(Some(*key));
                let set = self.bucket.try_set(*key, *value);
                let stored = self.store(*key, *value, weight_of(*value));
                assert_eq!(set.is_ok(), stored, "{op:?}");
                self.dies(None);
            }
            Op::Publish => {
                self.bucket.publish().unwrap();
                let snapshot = self.bucket.snapshot();
                let mut pairs: Vec<_> = snapshot.iter().map(|(&k, &v)| (k, v)).collect();
                pairs.sort_unstable();
                let cached = self.cached.iter().map(|(&key, &(value, _))| (key, value));
                assert_eq!(pairs, cached.collect::<Vec<_>>());
            }
            Op::Fetch(key) => {
                let fetched = self.bucket.fetch(key).unwrap();
                let expected = match (self.cached.get(key).copied(), self.said(*key)) {
                    (Some((value, _)), _) => (Some(value), Origin::Hit),
                    (None, None) => (None, Origin::Loaded),
                    (None, Some((value, weight))) => match self.store(*key, value, weight) {
                        true => (Some(value), Origin::Loaded),
                        false => (Some(value), Origin::Ignored),
                    },
                };
                let fetched = (fetched.value().copied(), fetched.origin());
                assert_eq!(fetched, expected, "{op:?}");
            }
            Op::Reload(key) => {
                assert!(self.bucket.request_load([*key]).wait(PATIENCE));
                match self.said(*key) {
                    Some((value, weight)) => drop(self.store(*key, value, weight)),
                    None => self.change(*key, None),
                }
            }
            Op::Source(key, value, weight) => {
                self.source.lock().unwrap().insert(*key, (*value, *weight));
            }
            Op::Advance(millis) => self
                .clock
                .advance(Duration::from_millis(u64::from(*millis))),
        }
    }

    fn dies(&self, key: Option<u8>) {
        if let Some(dead) = &self.dead {
            *dead.lock().unwrap() = key;
        }
    }

    /// What the source says of a key, and what that weighs.
    fn said(&self, key: u8) -> Option<(u32, u64)> {
        let (value, weight) = self.source.lock().unwrap().get(&key).copied()?;
        Some((value, weight.unwrap_or(weight_of(value))))
    }

    fn store_many(&mut self, pairs: &[(u8, u32)]) {
        let weights = || pairs.iter().map(|(_, value)| weight_of(*value));
        let mut keys: Vec<u8> = pairs.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        let before: u64 = keys.iter().map(|&key| self.weight(key)).sum();
        let more = weights().sum::<u64>().saturating_sub(before);
        let last = weights().next_back().unwrap_or(0);
        let stored = more == 0 || self.used() + more.saturating_sub(last) < LIMIT;
        for &(key, value) in pairs {
            self.change(key, stored.then_some((value, weight_of(value))));
        }
        self.refused += if stored { 0 } else { pairs.len() as u64 };
    }

    /// All of it, or nothing and all stays. Returns whether there is room.
    fn step(&mut self, changes: &BTreeMap<u8, Option<u32>>) -> bool {
        let weights = || changes.values().map(|value| value.map_or(0, weight_of));
        let before: u64 = changes.keys().map(|&key| self.weight(key)).sum();
        let more = weights().sum::<u64>().saturating_sub(before);
        let last = weights().next_back().unwrap_or(0);
        let stored = more == 0 || self.used() + more.saturating_sub(last) < LIMIT;
        if !stored {
            self.refused += changes.values().flatten().count() as u64;
            return false;
        }
        for (&key, value) in changes {
            self.change(key, value.map(|value| (value, weight_of(value))));
        }
        true
    }

    fn compare(&self, when: &str) {
        for key in 0..KEYS {
            let expected = self.cached.get(&key).map(|(value, _)| *value);
            assert_eq!(self.bucket.peek(&key), expected, "peek({key}) {when}");
        }
        assert_eq!(self.bucket.len(), self.cached.len(), "len {when}");
        assert_eq!(self.bucket.weight(), self.used(), "weight {when}");
        assert_eq!(self.bucket.stats().refused, self.refused, "refused {when}");
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let value = || 0..1000_u32;
    prop_oneof![
        6 => (key(), value()).prop_map(|(k, v)| Op::Set(k, v)),
        1 => (key(), value(), 0..15_u64).prop_map(|(k, v, w)| Op::SetWithWeight(k, v, w)),
        2 => (key(), value()).prop_map(|(k, v)| Op::SetIfAbsent(k, v)),
        2 => vec((key(), value()), 0..5).prop_map(Op::SetMany),
        2 => (key(), value()).prop_map(|(k, by)| Op::Update(k, by)),
        1 => key().prop_map(Op::Take),
        3 => proptest::collection::btree_map(key(), proptest::option::of(value()), 0..5)
            .prop_map(Op::Step),
        1 => key().prop_map(Op::ExpireIn),
        1 => key().prop_map(Op::Invalidate),
        1 => vec(key(), 0..4).prop_map(Op::InvalidateMany),
        1 => Just(Op::Clear),
        1 => Just(Op::Reset),
        3 => (key(), any::<bool>()).prop_map(|(k, told)| Op::Die(k, told)),
        1 => (key(), value()).prop_map(|(k, v)| Op::DieUnseen(k, v)),
        3 => Just(Op::Publish),
        4 => key().prop_map(Op::Fetch),
        2 => key().prop_map(Op::Reload),
        3 => (key(), value(), proptest::option::of(0..12_u64))
            .prop_map(|(k, v, w)| Op::Source(k, v, w)),
        2 => (0..500_u16).prop_map(Op::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_bucket_with_a_limit_is_its_model(
        mortal in any::<bool>(),
        ops in vec(op(), 1..60),
    ) {
        let mut machine = Machine::new(mortal);
        for (step, op) in ops.iter().enumerate() {
            machine.apply(op);
            machine.compare(&format!("after step {step}: {op:?}"));
        }
    }
}
