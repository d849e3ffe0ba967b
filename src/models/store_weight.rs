//! The weight limit: what is used is what is held, and no two writers pass the limit together. Values are weights.

use super::support::{Data, Plain, run_model, spawn};
use crate::clock::Clock;
use crate::store::fold::Folder;
use crate::store::{Check, Installed, Joined, Joint, Limits, Part, Store, Terms};
use crate::sync::Arc;
use crate::table::Table;

const LIMIT: u64 = 10;

/// Dead from the start, where values may die; all others live.
const DEAD: u8 = 7;

/// A store with a limit whose snapshot holds `pairs`, with something to fold that weighs nothing.
fn limited<const N: usize>(pairs: [(u8, u8); N]) -> (Arc<Data>, Folder<u8, u8>) {
    stocked(pairs, None)
}

fn stocked<const N: usize>(
    pairs: [(u8, u8); N],
    alive: Option<Check<u8, u8>>,
) -> (Arc<Data>, Folder<u8, u8>) {
    let limits = Limits::new(LIMIT, Some(Box::new(|_, &value| u64::from(value))), None);
    let terms = Terms {
        alive,
        limits: Some(limits),
        idle: None,
        count_reads: false,
    };
    let store = Store::holding(Table::empty(), 0, Plain::default(), Clock::system(), terms);
    let data = Arc::new(Data(Arc::new(store)));
    let mut folder = Folder::new();
    for (key, value) in pairs {
        data.set_weighed(key, value);
    }
    folder.fold(&data.0);
    data.set_weighed(0, 0);
    (data, folder)
}

/// What all keys weigh that have a value.
fn held(data: &Data) -> u64 {
    let values = (0..5).filter_map(|key| data.peek(key));
    values.map(u64::from).sum()
}

/// Nobody else writes any more.
fn is_exact(data: &Data, folder: &mut Folder<u8, u8>) {
    folder.fold(&data.0);
    assert_eq!(
        data.0.weight(),
        held(data),
        "what is used is not what is held"
    );
}

#[test]
fn weight_of_two_at_the_limit() {
    run_model("weight_of_two_at_the_limit", 60, || {
        let (data, mut folder) = limited([(1, 9)]);
        let other = spawn(&data, |data| data.set_weighed(2, 5));
        let mine = data.set_weighed(3, 5);
        let stored = [mine, other.join().unwrap()];
        assert_eq!(
            stored.iter().filter(|&&stored| stored).count(),
            1,
            "{stored:?}"
        );
        assert_eq!((data.0.weight(), held(&data)), (14, 14));
        is_exact(&data, &mut folder);
    });
}

/// A load and a write, and a fold meanwhile, which is no reason to pass the limit.
#[test]
fn weight_of_a_load_at_the_limit() {
    run_model("weight_of_a_load_at_the_limit", 1_000, || {
        let (data, mut folder) = limited([(1, 9)]);
        let load = data.0.begin_load();
        let number = load.number();
        let loader = spawn(&data, move |data| data.install_weighed(number, 2, 5));
        let writer = spawn(&data, |data| data.set_weighed(3, 5));
        folder.fold(&data.0);
        assert!(data.0.weight() <= 14, "both are held");
        let loaded = loader.join().unwrap();
        let written = writer.join().unwrap();
        assert_eq!(loaded == Installed::Refused, written, "{loaded:?}");
        is_exact(&data, &mut folder);
    });
}

/// Two replace one value: what it weighed is given back once.
#[test]
fn weight_given_back_once() {
    run_model("weight_given_back_once", 2_000, || {
        let (data, mut folder) = limited([(1, 10)]);
        let other = spawn(&data, |data| data.set_weighed(1, 4));
        data.set_weighed(1, 6);
        other.join().unwrap();
        assert_eq!(data.0.weight(), held(&data));
        is_exact(&data, &mut folder);
    });
}

/// The same with a fold in between.
#[test]
fn weight_of_two_and_a_fold() {
    run_model("weight_of_two_and_a_fold", 10_000, || {
        let (data, mut folder) = limited([(1, 10)]);
        let first = spawn(&data, |data| data.set_weighed(1, 4));
        let second = spawn(&data, |data| data.set_weighed(1, 6));
        folder.fold(&data.0);
        assert!(data.0.weight() <= 10, "both are held");
        first.join().unwrap();
        second.join().unwrap();
        is_exact(&data, &mut folder);
    });
}

/// What is replaced and removed while a fold builds and announces the next table.
#[test]
fn weight_across_a_fold() {
    run_model("weight_across_a_fold", 2_000, || {
        let (data, mut folder) = limited([(1, 3), (2, 4)]);
        data.set_weighed(2, 5);
        let writer = spawn(&data, |data| {
            data.set_weighed(1, 2);
            data.invalidate(2);
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        assert_eq!((data.0.weight(), held(&data)), (2, 2));
        is_exact(&data, &mut folder);
    });
}

/// Who writes under the old view while everything is cleared does not count under the new one.
#[test]
fn weight_across_a_clear() {
    run_model("weight_across_a_clear", 40, || {
        let (data, mut folder) = limited([(1, 9)]);
        let writer = spawn(&data, |data| {
            data.set_weighed(1, 3);
            data.set_weighed(2, 4);
        });
        folder.clear(&data.0);
        writer.join().unwrap();
        assert_eq!(data.0.weight(), held(&data));
        is_exact(&data, &mut folder);
    });
}

/// A value is removed for dead while it is folded, or while somebody writes over it: its weight is given back once.
#[test]
fn weight_of_the_dead() {
    run_model("weight_of_the_dead", 1_500, || {
        let (data, mut folder) = stocked([(1, DEAD)], Some(Box::new(|_, value| *value != DEAD)));
        let told = spawn(&data, |data| data.0.bury_if_dead(data.hash(1), &1));
        folder.fold(&data.0);
        assert!(told.join().unwrap());
        assert_eq!(data.0.weight(), 0, "what is dead counts");
        is_exact(&data, &mut folder);
    });
}

#[test]
fn weight_of_the_dead_against_set() {
    run_model("weight_of_the_dead_against_set", 600, || {
        let (data, mut folder) = stocked([(1, DEAD)], Some(Box::new(|_, value| *value != DEAD)));
        let told = spawn(&data, |data| data.0.bury_if_dead(data.hash(1), &1));
        data.set_weighed(1, 4);
        told.join().unwrap();
        assert_eq!((data.0.weight(), held(&data)), (4, 4));
        is_exact(&data, &mut folder);
    });
}

/// A joint write of what is heavier and what is lighter, while another replaces one of the two.
#[test]
fn weight_of_a_joint() {
    run_model("weight_of_a_joint", 2_300, || {
        let (data, mut folder) = limited([(1, 5), (2, 1)]);
        let keys = [1, 2].map(|key| (data.hash(key), key));
        let held_then = data.0.load_view();
        let (seen, _) = data
            .0
            .look_at_once(&held_then, &keys)
            .expect("nobody writes");
        let parts = keys.iter().zip(seen).zip([1, 5]);
        let parts = parts.map(|((&(hash, key), seen), value)| Part {
            hash,
            key,
            seen,
            had_value: false,
            content: Some(data.0.weighed(&key, Some(value).into())),
        });
        let joint = Joint::new(parts.collect());
        let writer = spawn(&data, |data| data.set_weighed(1, 3));
        let joined = folder.join(&data.0, vec![joint]).pop();
        let done = matches!(joined, Some(Ok(Joined::Done)));
        assert!(writer.join().unwrap(), "there is room for it");
        assert_eq!(data.peek(2), Some(if done { 5 } else { 1 }));
        assert_eq!(data.0.weight(), held(&data), "before a fold");
        is_exact(&data, &mut folder);
    });
}
