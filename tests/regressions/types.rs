//! Bugs with types: sizes, alignments, thread-safety, and keys that do not keep their word.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{
    Bucket, BuildError, Builder, Error, Event, Fetched, Outcome, Reader, RefreshTicket, Snapshot,
    Stats, Ticket,
};

use crate::common::{PATIENCE, bounded, together};

/// Writes, reads, folds, loads, refreshes and removes values of these types.
fn lives<K, V>(keys: Vec<K>, value: V)
where
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    V: Clone + PartialEq + Debug + Send + Sync + 'static,
{
    bounded(move || {
        let loaded = value.clone();
        let bucket = Bucket::<K, V>::builder("types")
            .load(move |_: &K| Ok::<_, String>(loaded.clone()))
            .build()
            .unwrap();
        let (first, rest) = keys.split_first().unwrap();
        let mut reader = bucket.reader();
        bucket.set_many(keys.iter().map(|key| (key.clone(), value.clone())));
        for _ in 0..3 {
            assert!(keys.iter().all(|key| reader.get(key) == Some(&value)));
            assert!(
                keys.iter()
                    .all(|key| bucket.get(key).as_ref() == Some(&value))
            );
            bucket.set(first.clone(), value.clone());
            bucket.publish().unwrap();
            let snapshot = bucket.snapshot();
            assert_eq!(snapshot.iter().count(), keys.len());
            assert!(
                snapshot
                    .iter()
                    .all(|(key, v)| keys.contains(key) && *v == value)
            );
        }
        bucket.invalidate(first);
        assert_eq!(reader.get(first), None);
        bucket.publish().unwrap();
        assert_eq!(bucket.len(), rest.len());
        assert_eq!(bucket.get(first), Some(value.clone()), "loaded");
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(
            bucket.set_if_absent(first.clone(), value.clone()),
            Err(value)
        );
        bucket.clear().unwrap();
        assert!(bucket.is_empty());
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(align(128))]
struct Wide(u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Nothing;

// ibraheemdev/papaya #63, PR #64: it kept flags in the low bits of pointers, and types of alignment one
// have no such bits. Keys and values of every size and alignment, down to none at all.
#[test]
fn papaya_63_keys_and_values_of_any_size_and_alignment() {
    lives((0..=u8::MAX).collect(), 7_u8);
    lives(vec![()], ());
    lives(vec![Nothing], Nothing);
    lives((0..99).map(|n| [n, 0, n]).collect(), [1_u8, 2, 3]);
    lives((0..99).map(Wide).collect(), Wide(9));
    lives((0..99).map(|n| (Wide(n), n)).collect(), (n_zst(), Wide(1)));
    lives(
        (0..99_u8).map(|n| n.to_string()).collect(),
        Box::<str>::from("text"),
    );
    lives((0..99_u32).collect(), ());
    lives(
        (0..9_u8).map(|n| vec![n; 9]).collect(),
        Some(Arc::new([0_u64; 99])),
    );
    lives((0..99_i128).collect(), [0_u128; 3]);
    lives(vec![false, true], None::<Box<u8>>);
    lives(('a'..='z').collect(), '\u{1d11e}');
}

fn n_zst() -> [Nothing; 1_000] {
    [Nothing; 1_000]
}

// ibraheemdev/papaya 0.1.7: `Send` and `Sync` that were promised for more types than they hold for.
// Handles go between threads; and what may not go between threads cannot be put into a bucket.
#[test]
fn papaya_0_1_7_thread_safety_is_promised_where_it_holds_and_only_there() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Bucket<String, u64>>();
    shared::<Builder<String, u64>>();
    shared::<Snapshot<String, u64, larder::DefaultHashBuilder>>();
    shared::<Reader<String, u64, larder::DefaultHashBuilder>>();
    shared::<larder::storage::MemoryStorage<String, u64>>();
    shared::<Ticket<String, u64>>();
    shared::<RefreshTicket>();
    shared::<(Error, BuildError, Event, Stats)>();
    shared::<(
        Fetched<u64>,
        Outcome<u64>,
        larder::ManualClock,
        larder::Clock,
    )>();

    // The inherent constant wins where its bound holds; where it does not, the trait's is found.
    struct Probe<T>(PhantomData<T>);
    trait Unfit {
        const FIT: bool = false;
    }
    impl<T> Unfit for Probe<T> {}
    impl<T: larder::Value> Probe<T> {
        const FIT: bool = true;
    }
    type NotSend = std::rc::Rc<u8>;
    type NotSync = std::cell::Cell<u8>;
    const { assert!(Probe::<u8>::FIT && Probe::<Arc<str>>::FIT) };
    const { assert!(!Probe::<NotSend>::FIT && !Probe::<NotSync>::FIT) };
    const { assert!(!Probe::<std::sync::MutexGuard<'static, u8>>::FIT) };
    const { assert!(!Probe::<AtomicU64>::FIT, "it cannot be cloned") };
}

/// A key whose `Eq` and `Hash` change their minds, if told to.
#[derive(Clone, Debug)]
struct Fickle {
    id: u64,
    mood: Arc<AtomicU64>,
}

impl Fickle {
    /// True about every third time, where it is fickle.
    fn whim(&self) -> bool {
        let mood = self.mood.load(Ordering::Relaxed);
        mood != 0 && self.mood.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
    }
}

impl PartialEq for Fickle {
    fn eq(&self, other: &Self) -> bool {
        (self.id == other.id) != self.whim()
    }
}

impl Eq for Fickle {}

impl Hash for Fickle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id + u64::from(self.whim())).hash(state);
    }
}

// jonhoo/left-right #74, PR #83, #78 (open): an `Eq` that is not the same each time led to a double
// free. Wrong answers are the user's own doing; memory is not at stake, and once it is calm all is well.
#[test]
fn left_right_74_keys_that_change_their_mind() {
    bounded(|| {
        let census = crate::common::Census::new();
        let mood = Arc::new(AtomicU64::new(1));
        let counting = census.clone();
        let bucket = Bucket::builder("fickle")
            .bulk_load(move |keys: &[Fickle]| {
                let pairs = keys
                    .iter()
                    .map(|key| (key.clone(), counting.citizen(key.id)));
                Ok::<_, String>(pairs.collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        let key = {
            let mood = Arc::clone(&mood);
            move |id| Fickle {
                id,
                mood: Arc::clone(&mood),
            }
        };
        let (using, of, counting) = (bucket.clone(), key.clone(), census.clone());
        together(3, move |thread| {
            let mut reader = using.reader();
            for round in 0..300_u64 {
                let id = round % 40;
                match round % 8 {
                    0 => drop(using.set_if_absent(of(id), counting.citizen(id))),
                    1 => using.invalidate(&of(id)),
                    2 => drop(using.fetch(&of(id))),
                    3 if thread == 0 => drop(using.publish()),
                    4 => drop(using.request_load([of(id)])),
                    5 => drop(reader.get(&of(id)).is_some()),
                    6 => drop(using.get_many(&[of(id), of(id + 1)])),
                    _ => using.set(of(id), counting.citizen(id)),
                }
            }
        });
        mood.store(0, Ordering::Relaxed);
        bucket.refresh().wait(PATIENCE).unwrap();
        bucket.clear().unwrap();
        assert!(bucket.is_empty());
        bucket.set(key(1), census.citizen(11));
        bucket.publish().unwrap();
        let number = |id| bucket.get(&key(id)).map(|citizen| citizen.number);
        assert_eq!((number(1), number(2)), (Some(11), Some(2)));
        assert_eq!(bucket.len(), 2);
        drop(bucket);
        assert_eq!(census.alive(), 0);
    });
}

// jonhoo/left-right #74 as well: a hasher that puts every key in one place, or says the same of all.
#[test]
fn left_right_74_a_hasher_of_no_use() {
    #[derive(Clone, Default)]
    struct Constant;
    impl Hasher for Constant {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, _: &[u8]) {}
    }
    impl std::hash::BuildHasher for Constant {
        type Hasher = Self;
        fn build_hasher(&self) -> Self {
            Self
        }
    }

    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("constant")
            .hasher(Constant)
            .bulk_load(|keys: &[u64]| {
                Ok::<_, String>(keys.iter().map(|&k| (k, k)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        bucket.set_many((0..200).map(|key| (key, key)));
        bucket.publish().unwrap();
        let more: Vec<u64> = (100..400).collect();
        assert!(bucket.get_many(&more).iter().all(Option::is_some));
        bucket.invalidate(&7);
        bucket.set(8, 88);
        bucket.publish().unwrap();
        let snapshot = bucket.snapshot();
        assert_eq!((snapshot.len(), bucket.len()), (399, 399));
        assert_eq!((snapshot.get(&7), snapshot.get(&8)), (None, Some(&88)));
        assert!((9..400).all(|key| snapshot.get(&key) == Some(&key)));
    });
}
