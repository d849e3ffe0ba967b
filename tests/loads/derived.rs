//! What is derived from a dataset: always of the dataset that it is published with.

use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use larder::{Bucket, BuildError, Builder, Derived, ErrorKind, Index, List, ManualClock, Snapshot};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually, lock, settle};

type Teas = Bucket<u64, &'static str>;
type Tea = (u64, &'static str);
type Menu = Derived<u64, &'static str, List<u64>>;
type ByInitial = Derived<u64, &'static str, Index<char, u64>>;

const SECOND: Duration = Duration::from_secs(1);

/// A source that says what it was told to.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<Vec<Tea>>>);

impl Source {
    fn says(&self, pairs: impl Into<Vec<Tea>>) {
        *lock(&self.0) = pairs.into();
    }

    fn bucket(
        &self,
        shape: impl FnOnce(Builder<u64, &'static str>) -> Builder<u64, &'static str>,
    ) -> Teas {
        let source = self.clone();
        let builder = Teas::builder("teas").load_all(move || {
            let said = lock(&source.0).clone();
            Ok::<_, Broken>(said)
        });
        shape(builder).build().unwrap()
    }
}

fn by_initial() -> ByInitial {
    Derived::index(|_, name: &&str| name.chars().next())
}

fn pairs(menu: &Menu, snapshot: &Snapshot<u64, &'static str>) -> Vec<Tea> {
    menu.pairs(snapshot)
        .map(|(&key, &tea)| (key, tea))
        .collect()
}

fn found(index: &ByInitial, snapshot: &Snapshot<u64, &'static str>, initial: char) -> Vec<Tea> {
    let found = index.find(snapshot, &initial);
    found.map(|(&key, &tea)| (key, tea)).collect()
}

#[track_caller]
fn refresh(bucket: &Teas) {
    bucket.refresh().wait(PATIENCE).unwrap();
}

#[test]
fn a_list_is_in_the_order_of_the_source_and_an_index_as_well() {
    bounded(|| {
        let (source, menu, index) = (Source::default(), Menu::list(), by_initial());
        let bucket = source.bucket(|b| b.derive(&menu).derive(&index));
        let first = [(9, "sencha"), (3, "assam"), (7, "sikkim"), (5, "")];
        source.says(first);
        refresh(&bucket);
        let old = bucket.snapshot();
        // Of two with one key the last counts, in its place.
        source.says([(3, "keemun"), (1, "nilgiri"), (3, "sencha"), (1, "kukicha")]);
        refresh(&bucket);
        let new = bucket.snapshot();

        assert_eq!(pairs(&menu, &old), first);
        assert_eq!(menu.of(&old).unwrap().keys(), [9, 3, 7, 5]);
        assert_eq!(found(&index, &old, 's'), [(9, "sencha"), (7, "sikkim")]);
        assert_eq!(found(&index, &old, 'k'), []);
        assert_eq!(pairs(&menu, &new), [(3, "sencha"), (1, "kukicha")]);
        assert_eq!(found(&index, &new, 's'), [(3, "sencha")]);
        assert_eq!(found(&index, &new, 'a'), []);
        let of_new = index.of(&new).unwrap();
        let mut all: Vec<_> = of_new.iter().collect();
        all.sort_unstable();
        assert_eq!(all, [(&'k', &[1][..]), (&'s', &[3][..])]);
        assert_eq!((of_new.len(), of_new.is_empty()), (2, false));
        // Datasets that are empty have lists and indexes as well.
        source.says([]);
        refresh(&bucket);
        let none = bucket.snapshot();
        assert!(menu.of(&none).unwrap().keys().is_empty());
        assert!(index.of(&none).unwrap().is_empty());
    });
}

#[test]
fn an_index_has_a_pair_under_each_value_once() {
    bounded(|| {
        let source = Source::default();
        let by_letter = Derived::index(|_, name: &&'static str| name.chars());
        let bucket = source.bucket(|b| b.derive(&by_letter));
        source.says([(1, "assam"), (2, "mate"), (3, "")]);
        refresh(&bucket);
        let snapshot = bucket.snapshot();
        let letters = by_letter.of(&snapshot).unwrap();
        for (letter, keys) in [('a', &[1, 2][..]), ('m', &[1, 2]), ('s', &[1]), ('t', &[2])] {
            assert_eq!(letters.keys(&letter), keys, "{letter}");
        }
        assert_eq!(letters.len(), 5);
    });
}

/// What is derived is as the dataset was, and what is looked up by it as the snapshot is.
#[test]
fn writes_after_a_dataset_change_values_and_not_what_is_derived() {
    bounded(|| {
        let (source, menu, index) = (Source::default(), Menu::list(), by_initial());
        let time = ManualClock::new();
        let clock = time.clock();
        let bucket = source.bucket(|b| b.clock(clock).derive(&menu).derive(&index));
        source.says([(1, "assam"), (2, "bancha"), (3, "ceylon"), (4, "assam 2")]);
        refresh(&bucket);
        bucket.set(1, "darjeeling");
        bucket.invalidate(&2);
        bucket.set_with_ttl(3, "chai", SECOND);
        bucket.set(9, "a new one");
        settle(&bucket);
        for (expired, left) in [
            (false, &[(1, "darjeeling"), (3, "chai"), (4, "assam 2")][..]),
            (true, &[(1, "darjeeling"), (4, "assam 2")]),
        ] {
            if expired {
                time.advance(SECOND);
            }
            let snapshot = bucket.snapshot();
            assert_eq!(menu.of(&snapshot).unwrap().keys(), [1, 2, 3, 4]);
            assert_eq!(pairs(&menu, &snapshot), left);
            // Not under its new initial, and under its old one.
            assert_eq!(found(&index, &snapshot, 'd'), []);
            let of_a = found(&index, &snapshot, 'a');
            assert_eq!(of_a, [(1, "darjeeling"), (4, "assam 2")]);
            assert_eq!(snapshot.get(&9), Some(&"a new one"));
        }
    });
}

#[test]
fn what_is_written_during_a_fetch_is_in_the_table_and_not_in_what_is_derived() {
    bounded(|| {
        let (menu, door) = (Menu::list(), Door::closed());
        let at = door.clone();
        let bucket = Teas::builder("meanwhile")
            .load_all(move || {
                at.pass();
                Ok::<_, Broken>([(1, "one"), (2, "two"), (3, "three")])
            })
            .derive(&menu)
            .build()
            .unwrap();
        let ticket = bucket.refresh();
        door.await_waiting(1);
        bucket.set(1, "uno");
        bucket.invalidate(&2);
        settle(&bucket);
        bucket.set(4, "four");
        assert!(menu.of(&bucket.snapshot()).is_none(), "not published yet");
        door.release();
        ticket.wait(PATIENCE).unwrap();
        let snapshot = bucket.snapshot();
        assert_eq!(menu.of(&snapshot).unwrap().keys(), [1, 2, 3]);
        assert_eq!(pairs(&menu, &snapshot), [(1, "uno"), (3, "three")]);
        assert_eq!(snapshot.get(&4), Some(&"four"));
    });
}

#[test]
fn what_cannot_be_derived_refuses_the_dataset() {
    bounded(|| {
        let (source, menu) = (Source::default(), Menu::list());
        let strict = Derived::or_refuse(|pairs: &[(&u64, &&'static str)]| match pairs.len() {
            1 => Err(Broken("one is too few")),
            2 => panic!("two"),
            count => Ok(count),
        });
        let bucket = source.bucket(|b| b.derive(&menu).derive(&strict));
        source.says([(1, "a"), (2, "b"), (3, "c")]);
        refresh(&bucket);
        for (says, kind) in [
            (&[(7, "x")][..], ErrorKind::Refused),
            (&[(7, "x"), (8, "y")], ErrorKind::Panicked),
        ] {
            source.says(says);
            let error = bucket.refresh().wait(PATIENCE).unwrap_err();
            assert_eq!(error.kind(), kind);
            if kind == ErrorKind::Refused {
                let why = error.source().unwrap().downcast_ref::<Broken>();
                assert_eq!(why, Some(&Broken("one is too few")));
            }
            // All of the old one, and nothing of the new.
            let snapshot = bucket.snapshot();
            assert_eq!(pairs(&menu, &snapshot), [(1, "a"), (2, "b"), (3, "c")]);
            assert_eq!((snapshot.len(), strict.of(&snapshot)), (3, Some(&3)));
        }
        let stats = bucket.stats();
        assert_eq!((stats.datasets_refused, stats.refreshes_failed), (1, 2));
        source.says([]);
        refresh(&bucket);
        assert_eq!(strict.of(&bucket.snapshot()), Some(&0));
    });
}

#[test]
fn there_is_none_before_the_first_dataset_and_after_the_bucket_was_emptied() {
    bounded(|| {
        let (source, menu, time) = (Source::default(), Menu::list(), ManualClock::new());
        let clock = time.clock();
        let bucket = source.bucket(|b| {
            b.clock(clock)
                .max_stale(SECOND)
                .init(|| Ok::<_, Broken>(vec![(8, "of before")]))
                .dataset_min_count(1)
                .derive(&menu)
        });
        let none = |bucket: &Teas, len| {
            let snapshot = bucket.snapshot();
            assert!(menu.of(&snapshot).is_none());
            assert_eq!((menu.pairs(&snapshot).count(), snapshot.len()), (0, len));
        };
        let there = |bucket: &Teas| {
            refresh(bucket);
            assert_eq!(pairs(&menu, &bucket.snapshot()), [(1, "assam")]);
        };
        none(&bucket, 1);
        source.says([(1, "assam")]);
        there(&bucket);
        bucket.clear().unwrap();
        none(&bucket, 0);
        there(&bucket);
        bucket.set_caching(false).unwrap();
        none(&bucket, 0);
        bucket.set_caching(true).unwrap();
        none(&bucket, 0);
        there(&bucket);
        // Served for as long as the dataset is that it was derived from.
        source.says([]);
        bucket.refresh().wait(PATIENCE).unwrap_err();
        time.advance(SECOND - Duration::from_nanos(1));
        settle(&bucket);
        assert_eq!(pairs(&menu, &bucket.snapshot()), [(1, "assam")]);
        bucket.set(2, "bancha");
        time.advance(Duration::from_nanos(1));
        settle(&bucket);
        none(&bucket, 1);
        source.says([(1, "assam")]);
        there(&bucket);
    });
}

#[test]
fn a_reader_never_sees_what_was_derived_from_another_dataset() {
    bounded(|| {
        let (round, sum) = (Notes::new(), {
            Derived::new(|pairs: &[(&u64, &u64)]| pairs.iter().map(|pair| *pair.1).sum::<u64>())
        });
        let bucket = Bucket::<u64, u64>::builder("rounds")
            .load_all(move || {
                round.add(());
                let round = round.len() as u64;
                Ok::<_, Broken>((0..50).map(move |key| (key, round)))
            })
            .derive(&sum)
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (bucket, sum) = (bucket.clone(), sum.clone());
                Task::spawn(move || {
                    let mut seen = 0;
                    let mut reader = bucket.reader();
                    while seen < 50 * 200 {
                        let snapshot = bucket.snapshot();
                        let (derived, value) = (*sum.of(&snapshot).unwrap(), snapshot.get(&7));
                        assert_eq!(Some(&(derived / 50)), value);
                        assert!(derived >= seen, "one of before");
                        seen = *reader.derived(&sum).unwrap();
                        assert!(seen >= derived, "one of before, by a reader");
                    }
                })
            })
            .collect();
        for _ in 1..200 {
            bucket.refresh().wait(PATIENCE).unwrap();
            // A fold, which carries on what was derived.
            bucket.set(1_000, 0);
            bucket.publish().unwrap();
        }
        readers.into_iter().for_each(Task::join);
    });
}

/// Says who drops it, and panics then.
struct Dropped(Notes<String>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let thread = std::thread::current();
        self.0.add(thread.name().unwrap_or_default().to_owned());
        std::panic::panic_any("a drop");
    }
}

#[test]
fn what_was_derived_is_freed_with_its_last_table_and_by_the_refresher() {
    bounded(|| {
        let (source, dropped) = (Source::default(), Notes::new());
        let noting = dropped.clone();
        let derived = Derived::new(move |_: &[(&u64, &&'static str)]| Dropped(noting.clone()));
        let second = derived.clone();
        let bucket = source.bucket(|b| b.derive(&second));
        refresh(&bucket);
        let snapshot = bucket.snapshot();
        // Folds carry it on, and a dataset that follows leaves it to who still holds its table.
        for key in 0..3 {
            bucket.set(key, "folded");
            settle(&bucket);
        }
        refresh(&bucket);
        settle(&bucket);
        assert_eq!(dropped.len(), 0);
        assert!(derived.of(&snapshot).is_some());
        drop(snapshot);
        eventually("its end", || {
            settle(&bucket);
            dropped.len() == 1
        });
        // A bucket that is emptied leaves it as well.
        bucket.clear().unwrap();
        eventually("its end", || {
            settle(&bucket);
            dropped.len() == 2
        });
        let by: Vec<_> = dropped.take();
        assert!(by.iter().all(|name| name.contains("refresh")), "{by:?}");
        refresh(&bucket);
        drop(bucket);
        eventually("its end", || dropped.len() == 1);
    });
}

#[test]
fn nobody_waits_for_what_is_being_derived_and_it_may_call_the_bucket() {
    bounded(|| {
        let (door, slot) = (Door::closed(), Arc::new(OnceLock::<Teas>::new()));
        let (at, inside) = (door.clone(), Arc::clone(&slot));
        let derived = Derived::new(move |_: &[(&u64, &&'static str)]| {
            at.pass();
            inside.get().unwrap().get(&50)
        });
        let source = Source::default();
        let bucket =
            source.bucket(|b| b.load(|_: &u64| Ok::<_, Broken>("loaded")).derive(&derived));
        assert!(slot.set(bucket.clone()).is_ok());
        let ticket = bucket.refresh();
        door.await_waiting(1);
        bucket.set(1, "set");
        assert_eq!(
            (bucket.peek(&1), bucket.get(&2)),
            (Some("set"), Some("loaded"))
        );
        bucket.publish().unwrap();
        assert!(derived.of(&bucket.snapshot()).is_none());
        door.release();
        ticket.wait(PATIENCE).unwrap();
        assert_eq!(derived.of(&bucket.snapshot()), Some(&Some("loaded")));
        // A bucket in what it derives never ends by itself.
        bucket.shutdown();
    });
}

#[test]
fn a_handle_is_good_for_the_buckets_that_it_was_given_to() {
    bounded(|| {
        let (menu, other) = (Menu::list(), Menu::list());
        let (one, two) = (Source::default(), Source::default());
        one.says([(1, "one")]);
        two.says([(2, "two")]);
        let (one, two) = (
            one.bucket(|b| b.derive(&menu)),
            two.bucket(|b| b.derive(&menu).derive(&other)),
        );
        refresh(&one);
        refresh(&two);
        assert_eq!(pairs(&menu, &one.snapshot()), [(1, "one")]);
        assert_eq!(pairs(&menu, &two.snapshot()), [(2, "two")]);
        assert_eq!(pairs(&other.clone(), &two.snapshot()), [(2, "two")]);
        assert!(other.of(&one.snapshot()).is_none());
        assert!(one.reader().derived(&other).is_none());
    });
}

#[test]
fn what_cannot_be_is_refused_when_the_bucket_is_built() {
    let menu = Menu::list();
    let refused = |builder: Builder<u64, &'static str>| match builder.build().unwrap_err() {
        BuildError::Option { option, value, .. } => (option, value),
        other => panic!("{other:?}"),
    };
    let none = Teas::builder("no dataset").derive(&menu);
    assert_eq!(refused(none), ("derive", "set".to_owned()));
    let twice = Teas::builder("twice")
        .load_all(|| Ok::<_, Broken>([(1, "one")]))
        .derive(&menu)
        .derive(&Menu::list())
        .derive(&menu.clone());
    assert_eq!(refused(twice), ("derive", "the same twice".to_owned()));
}
