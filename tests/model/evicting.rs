//! A bucket that evicts, by each policy, and a plain model of it that knows what was used when. Which of several equals goes
//! is for the bucket to say; that no other does is for the model.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use larder::{Bucket, DefaultHashBuilder, EvictBy, ManualClock, WhenFull};
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: u8 = 40;

/// A fold evicts with more than 23 entries, and leaves 21.
const LIMIT: u64 = 24;
const MOST: usize = 23;
const LEFT: usize = 21;

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u32),
    SetIfAbsent(u8, u32),
    Fetch(u8, u32),
    Peek(u8),
    Invalidate(u8),
    Publish,
    Prune(u8),
}

/// What is cached of a key.
#[derive(Clone, Copy, Debug)]
struct Entry {
    value: u32,
    written: u64,
    /// The epoch in which it was last touched.
    touched: u64,
    is_folded: bool,
}

struct Machine {
    policy: EvictBy,
    bucket: Bucket<u8, u32>,
    cached: BTreeMap<u8, Entry>,
    writes: u64,
    epoch: u64,
    /// The keys of the snapshot, and which of them were read there.
    table: BTreeSet<u8>,
    read: BTreeSet<u8>,
    /// Of all keys that ever were used.
    uses: BTreeMap<u8, u64>,
}

impl Machine {
    fn new(policy: EvictBy) -> Self {
        let bucket = Bucket::builder("evicting")
            // So that no two of so few keys share all that is counted of them.
            .hasher(DefaultHashBuilder::with_seeds(1, 2, 3, 4))
            .clock(ManualClock::new().clock())
            .max_weight(LIMIT)
            .when_full(WhenFull::Evict)
            .evict_by(policy)
            .build()
            .unwrap();
        Self {
            policy,
            bucket,
            cached: BTreeMap::new(),
            writes: 0,
            epoch: 0,
            table: BTreeSet::new(),
            read: BTreeSet::new(),
            uses: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Set(key, value) => {
                self.bucket.set(key, value);
                self.write(key, value);
            }
            Op::SetIfAbsent(key, value) => {
                let set = self.bucket.set_if_absent(key, value);
                match self.cached.get(&key) {
                    Some(there) => assert_eq!(set, Err(there.value), "{op:?}"),
                    None => {
                        assert_eq!(set, Ok(()), "{op:?}");
                        self.write(key, value);
                    }
                }
            }
            Op::Fetch(key, value) => {
                let load = |_: &u8| Ok::<_, Infallible>(value);
                let got = self.bucket.call().get_with(&key, load);
                match self.peek(key) {
                    Some(there) => assert_eq!(got, Some(there), "{op:?}"),
                    None => {
                        assert_eq!(got, Some(value), "{op:?}");
                        self.write(key, value);
                    }
                }
            }
            Op::Peek(key) => assert_eq!(self.bucket.peek(&key), self.peek(key), "{op:?}"),
            Op::Invalidate(key) => {
                self.bucket.invalidate(&key);
                self.cached.remove(&key);
            }
            Op::Publish => self.fold(),
            Op::Prune(most) => {
                self.fold();
                let most = usize::from(most);
                let expected = self.cached.len().saturating_sub(most);
                assert_eq!(self.bucket.prune(most).unwrap(), expected, "{op:?}");
                self.folded(self.bucket.snapshot().epoch(), expected);
            }
        }
        assert!(self.bucket.weight() <= LIMIT);
    }

    fn write(&mut self, key: u8, value: u32) {
        self.writes += 1;
        let entry = Entry {
            value,
            written: self.writes,
            touched: 0,
            is_folded: false,
        };
        self.cached.insert(key, entry);
        if self.cached.len() > MOST {
            // The bucket is about to do so itself.
            self.fold();
        }
    }

    fn peek(&mut self, key: u8) -> Option<u32> {
        // Also what is superseded there, or removed: it was asked for.
        if self.table.contains(&key) {
            self.read.insert(key);
        }
        let entry = self.cached.get_mut(&key)?;
        if entry.is_folded {
            entry.touched = self.epoch;
        }
        Some(entry.value)
    }

    fn fold(&mut self) {
        let excess = |used: usize| match used {
            ..=MOST => 0,
            used => used - LEFT,
        };
        let used = self.cached.len();
        let old = self.cached.values().filter(|entry| entry.is_folded);
        let at_once = excess(used).min(old.count());
        // What is taken in can go with the next fold, which comes at once if there is still too much.
        let evicted = at_once + excess(used - at_once);
        let epoch = self.bucket.publish().unwrap();
        self.folded(epoch, evicted);
    }

    /// There was a fold, if it is another epoch, and so many were evicted.
    fn folded(&mut self, epoch: u64, evicted: usize) {
        if epoch == self.epoch {
            assert_eq!(evicted, 0);
            return;
        }
        let new = self.cached.iter().filter(|(_, entry)| !entry.is_folded);
        let new = new
            .map(|(key, _)| *key)
            .filter(|key| !self.table.contains(key));
        for key in self.read.iter().copied().chain(new) {
            *self.uses.entry(key).or_default() += 1;
        }
        // The entries that can go before those do that the fold takes in.
        let (old, new): (Vec<_>, Vec<_>) = self.cached.iter().partition(|(_, e)| e.is_folded);
        let is_there = |key: &u8| self.bucket.entry(key).is_some();
        let ranks_of = |of: &[(&u8, &Entry)], there: bool| -> Vec<(u64, u64)> {
            let of = of.iter().filter(|(key, _)| is_there(key) == there);
            of.map(|(key, entry)| self.rank(**key, **entry)).collect()
        };
        for of in [&old, &new] {
            let (gone, left) = (ranks_of(of, false), ranks_of(of, true));
            let in_order = gone.iter().max() <= left.iter().min() || left.is_empty();
            assert!(in_order, "{gone:?} went, and {left:?} did not");
        }
        let gone = |of: &[(&u8, &Entry)]| ranks_of(of, false).len();
        assert_eq!(gone(&old) + gone(&new), evicted);
        assert_eq!(gone(&old), evicted.min(old.len()));
        let bucket = &self.bucket;
        self.cached.retain(|key, _| bucket.entry(key).is_some());
        let taken_in = match self.policy {
            EvictBy::LastTouch => self.epoch + 1,
            _ => self.epoch,
        };
        for entry in self.cached.values_mut().filter(|entry| !entry.is_folded) {
            (entry.is_folded, entry.touched) = (true, taken_in);
        }
        self.table = self.cached.keys().copied().collect();
        self.read.clear();
        self.epoch = epoch;
    }

    /// What goes first has the lowest.
    fn rank(&self, key: u8, entry: Entry) -> (u64, u64) {
        match self.policy {
            EvictBy::LastWrite => (0, entry.written),
            EvictBy::LastTouch => (0, entry.touched),
            _ => (
                self.uses.get(&key).copied().unwrap_or(0).min(15),
                entry.touched,
            ),
        }
    }

    fn compare(&self, when: &str) {
        let mut keys = self.bucket.keys();
        keys.sort_unstable();
        let cached: Vec<u8> = self.cached.keys().copied().collect();
        assert_eq!(keys, cached, "{when}");
        for (key, entry) in self.cached.iter().filter(|(_, entry)| entry.is_folded) {
            let untouched = self.bucket.entry(key).unwrap().untouched_snapshots;
            let expected = self.epoch - entry.touched;
            let expected = (self.policy != EvictBy::LastWrite).then_some(expected);
            assert_eq!(untouched, expected, "{key} {when}");
        }
        assert_eq!(self.bucket.weight(), cached.len() as u64, "weight {when}");
        assert_eq!(self.bucket.stats().refused, 0, "refused {when}");
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => (key(), any::<u32>()).prop_map(|(key, value)| Op::Set(key, value)),
        6 => (key(), any::<u32>()).prop_map(|(key, value)| Op::Fetch(key, value)),
        2 => (key(), any::<u32>()).prop_map(|(key, value)| Op::SetIfAbsent(key, value)),
        12 => key().prop_map(Op::Peek),
        1 => key().prop_map(Op::Invalidate),
        3 => Just(Op::Publish),
        1 => (10..30_u8).prop_map(Op::Prune),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_bucket_that_evicts_is_its_model(
        policy in prop_oneof![
            Just(EvictBy::LastTouch),
            Just(EvictBy::LastWrite),
            Just(EvictBy::Frequency),
        ],
        ops in vec(op(), 1..150),
    ) {
        let mut machine = Machine::new(policy);
        for (step, op) in ops.iter().enumerate() {
            machine.apply(op);
            machine.compare(&format!("after step {step}: {op:?}"));
        }
    }
}
