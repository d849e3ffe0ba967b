//! Tags: what brings them, what keeps them, and what goes when one is invalidated.

use std::time::Duration;

use larder::{
    Bucket, Builder, Error, ErrorKind, Loaded, ManualClock, Outcome, Tag, Tags, Ttl, Warm, Warmed,
    WhenFull,
};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded};

type Numbers = Bucket<u64, u64>;

const TTL: Duration = Duration::from_secs(60);

fn numbers() -> Builder<u64, u64> {
    Numbers::builder("tags")
}

/// Even keys under `even`, those that three divides under `three`; the others under nothing.
fn tagged(key: u64, value: u64) -> Outcome<u64> {
    let mut tags = Vec::new();
    if key.is_multiple_of(2) {
        tags.push("even");
    }
    if key.is_multiple_of(3) {
        tags.push("three");
    }
    Outcome::from(value).tagged(tags)
}

fn loading() -> Builder<u64, u64> {
    numbers().bulk_load(|keys: &[u64]| {
        let pairs = keys.iter().map(|&key| (key, tagged(key, key)));
        Ok::<_, Broken>(pairs.collect::<Vec<_>>())
    })
}

/// The keys that are cached, whatever way one looks.
#[track_caller]
fn cached(bucket: &Numbers, keys: std::ops::Range<u64>) -> Vec<u64> {
    let mut reader = bucket.reader();
    let held: Vec<u64> = keys.filter(|key| bucket.peek(key).is_some()).collect();
    for key in &held {
        assert_eq!(reader.get(key).copied(), bucket.peek(key));
        assert!(bucket.with(key, |_| ()).is_some());
    }
    let mut all = bucket.keys();
    all.sort_unstable();
    assert_eq!(all, held);
    assert_eq!(bucket.len(), held.len());
    bucket.publish().unwrap();
    let snapshot = bucket.snapshot();
    let mut folded: Vec<u64> = snapshot.iter().map(|(key, _)| *key).collect();
    folded.sort_unstable();
    assert_eq!(folded, held, "in the snapshot");
    held
}

/// Runs a test in which writes are folded at `fold`, or are not.
fn folded_or_not(test: impl Fn(&dyn Fn(&Numbers)) + Copy + Send + 'static) {
    bounded(move || test(&|_| ()));
    bounded(move || {
        test(&|bucket| {
            bucket.publish().unwrap();
        });
    });
}

#[test]
fn what_is_under_a_tag_goes_and_the_rest_stays() {
    folded_or_not(|fold| {
        let bucket = loading().build().unwrap();
        let keys: Vec<u64> = (0..12).collect();
        assert_eq!(bucket.get_many(&keys[..6]).len(), 6);
        fold(&bucket);
        // Some are in the table, some in the overlay.
        assert_eq!(bucket.get_many(&keys).len(), 12);
        let held = bucket.snapshot();
        assert_eq!(bucket.invalidate_tag("no such").unwrap(), 0);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 6);
        assert_eq!(cached(&bucket, 0..12), [1, 3, 5, 7, 9, 11]);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
        assert_eq!(bucket.invalidate_tag("three").unwrap(), 2);
        assert_eq!(cached(&bucket, 0..12), [1, 5, 7, 11]);
        assert!(held.len() == 6 || held.is_empty(), "it never changes");
        // The next call loads, with the tag.
        assert_eq!(bucket.get(&6), Some(6));
        fold(&bucket);
        assert_eq!(bucket.invalidate_tags(["three", "even"]).unwrap(), 1);
        assert_eq!(bucket.peek(&6), None);
    });
}

#[test]
fn every_load_can_bring_tags() {
    folded_or_not(|fold| {
        let with = |shape: &dyn Fn(Builder<u64, u64>) -> Builder<u64, u64>| {
            shape(numbers()).build().unwrap()
        };
        let gone = |bucket: &Numbers, keys: &[u64], left: &[u64]| {
            fold(bucket);
            assert_eq!(bucket.invalidate_tag("even").unwrap(), keys.len());
            for key in keys {
                assert_eq!(bucket.peek(key), None, "{key}");
            }
            assert_eq!(cached(bucket, 0..100), left);
        };
        let single = with(&|b| b.load(|key: &u64| Ok::<_, Broken>(tagged(*key, 1))));
        assert_eq!(single.get_many(&[1, 2, 4]), [Some(1); 3]);
        gone(&single, &[2, 4], &[1]);
        let pairs = with(&|b| {
            b.load(|key: &u64| {
                let pairs = (*key..key + 4).map(|key| (key, tagged(key, 1)));
                Ok::<_, Broken>(Loaded::with_pairs(1, pairs))
            })
        });
        assert_eq!(pairs.get(&2), Some(1));
        gone(&pairs, &[2, 4], &[3, 5]);
        let extra = with(&|b| {
            b.bulk_load(|keys: &[u64]| {
                let extra = [tagged(50, 1), Outcome::from(2).tagged("odd")];
                let keys = keys.iter().map(|key| (*key, tagged(*key, 1)));
                Ok::<_, Broken>(
                    keys.chain([50, 51].into_iter().zip(extra))
                        .collect::<Vec<_>>(),
                )
            })
        });
        assert_eq!(extra.get(&8), Some(1));
        gone(&extra, &[8, 50], &[51]);
        let own = with(&|b| b);
        let load = |key: &u64| Ok::<_, Broken>(tagged(*key, 1));
        assert_eq!(own.call().get_with(&4, load), Some(1));
        assert_eq!(own.call().get_with(&5, load), Some(1));
        gone(&own, &[4], &[5]);
        let warm = with(&|b| {
            let warm = |_: &larder::Warming<'_, u64, u64>| {
                let pairs = (0..4).map(|key| (key, tagged(key, 1)));
                Ok::<_, Broken>(Warmed::pairs(pairs))
            };
            b.warmer("some", Warm::with(warm).required())
        });
        gone(&warm, &[0, 2], &[1, 3]);
        let reloaded = with(&|b| b.load(|key: &u64| Ok::<_, Broken>(tagged(*key, 7))));
        reloaded.set(2, 1);
        assert!(reloaded.request_load([2]).wait(PATIENCE));
        assert_eq!(reloaded.peek(&2), Some(7));
        gone(&reloaded, &[2], &[]);
        let direct = with(&|b| b);
        direct.set_with_tags(1, 1, "even");
        direct.set_with_tags(2, 1, ["odd", "even"]);
        direct.set_with_tags(3, 1, Vec::<Tag>::new());
        gone(&direct, &[1, 2], &[3]);
    });
}

#[test]
fn tags_go_with_a_time_and_a_weight() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = numbers()
            .clock(time.clock())
            .ttl(TTL)
            .max_weight(10)
            .load(|key: &u64| {
                Ok::<_, Broken>(match key {
                    1 => Outcome::Expiring(1, 2 * TTL).tagged("a"),
                    2 => Outcome::Stored {
                        value: 2,
                        ttl: None,
                        weight: Some(7),
                    }
                    .tagged("a")
                    .tagged("b"),
                    _ => Outcome::Value(3).tagged("a"),
                })
            })
            .build()
            .unwrap();
        assert_eq!(bucket.get_many(&[1, 2, 3]), [Some(1), Some(2), Some(3)]);
        assert_eq!(bucket.ttl(&1), Some(Ttl::Left(2 * TTL)));
        assert_eq!(bucket.ttl(&2), Some(Ttl::Left(TTL)));
        assert_eq!(bucket.weight(), 9);
        assert_eq!(bucket.invalidate_tag("b").unwrap(), 1);
        assert_eq!(bucket.weight(), 2, "there is room again at once");
        time.advance(TTL);
        assert_eq!(bucket.peek(&3), None);
        assert_eq!(
            bucket.invalidate_tag("a").unwrap(),
            1,
            "what has expired is none"
        );
        assert_eq!(bucket.weight(), 0);
    });
}

#[test]
fn what_was_written_without_the_tag_stays() {
    folded_or_not(|fold| {
        let bucket = loading().build().unwrap();
        let keys = [0, 2, 4, 6, 8, 10];
        bucket.get_many(&keys);
        fold(&bucket);
        bucket.set(0, 100);
        bucket.set_many([(2, 100)]);
        bucket.invalidate(&4);
        bucket.set_if_absent(4, 100).unwrap();
        let untagged = |_: &u64| Ok::<_, Broken>(100);
        bucket.invalidate(&6);
        assert_eq!(bucket.call().get_with(&6, untagged), Some(100));
        bucket.take(&8).unwrap();
        bucket.update(&8, |_| Some(100)).unwrap();
        bucket.set_with_tags(10, 100, "other");
        fold(&bucket);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
        assert_eq!(bucket.get_many(&keys), [Some(100); 6]);
        assert_eq!(bucket.invalidate_tag("other").unwrap(), 1);
        assert_eq!(cached(&bucket, 0..12), [0, 2, 4, 6, 8]);
    });
}

#[test]
fn what_is_made_of_a_value_has_its_tags() {
    folded_or_not(|fold| {
        let bucket = loading().build().unwrap();
        let keys = [0, 2, 4, 6, 8, 10, 12];
        bucket.get_many(&keys);
        fold(&bucket);
        assert_eq!(bucket.update(&0, |v| v.map(|v| v + 1)).unwrap(), Some(1));
        assert!(bucket.expire_in(&2, TTL).unwrap());
        assert!(bucket.persist(&2).unwrap());
        assert!(bucket.touch(&4).is_ok());
        bucket
            .update_many([&6, &8], |step| {
                step.set(0, 60);
                step.set(1, 80);
            })
            .unwrap();
        fold(&bucket);
        // Once more, of what has them at second hand.
        assert_eq!(bucket.update(&0, |v| v.map(|v| v + 1)).unwrap(), Some(2));
        assert!(bucket.expire_in(&2, TTL).unwrap());
        assert_eq!(bucket.update(&6, |v| v.map(|v| v + 1)).unwrap(), Some(61));
        // And of what was written without.
        bucket.set(12, 1);
        fold(&bucket);
        bucket.update(&12, |v| v.map(|v| v + 1)).unwrap();
        assert!(bucket.expire_in(&12, TTL).unwrap());
        fold(&bucket);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 6);
        assert_eq!(cached(&bucket, 0..20), [12]);
    });
}

#[test]
fn what_is_found_unchanged_keeps_its_tags() {
    folded_or_not(|fold| {
        struct Same;
        impl larder::Loader<u64, u64> for Same {
            fn load(&self, key: &u64) -> Result<Outcome<u64>, larder::BoxError> {
                Ok(tagged(*key, *key))
            }

            fn refresh(&self, _: &u64, _: &u64) -> Result<Outcome<u64>, larder::BoxError> {
                Ok(Outcome::Unchanged.tagged("not this"))
            }
        }
        let time = ManualClock::new();
        let bucket = numbers()
            .clock(time.clock())
            .ttl(TTL)
            .loader(Same)
            .build()
            .unwrap();
        bucket.get_many(&[1, 2, 4]);
        bucket.set(6, 6);
        fold(&bucket);
        time.advance(TTL / 2);
        assert!(bucket.request_load([1, 2, 6]).wait(PATIENCE));
        fold(&bucket);
        assert!(bucket.request_load([2]).wait(PATIENCE));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.ttl(&2), Some(Ttl::Left(TTL)), "it was reloaded");
        fold(&bucket);
        assert_eq!(bucket.invalidate_tag("not this").unwrap(), 0);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 2);
        assert_eq!(cached(&bucket, 0..10), [1, 6]);
    });
}

/// A load is held up in its loader while its tag is invalidated.
fn overtaken(
    shape: impl Fn(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Door, Notes<u64>) {
    let (door, calls) = (Door::closed(), Notes::new());
    let (at, noting) = (door.clone(), calls.clone());
    let builder = numbers().loader_threads(2).load(move |key: &u64| {
        noting.add(*key);
        let version = noting.len() as u64;
        at.pass();
        Ok::<_, Broken>(tagged(*key, version))
    });
    (shape(builder).build().unwrap(), door, calls)
}

#[test]
fn a_load_of_before_is_answered_and_not_stored() {
    bounded(|| {
        let (bucket, door, calls) = overtaken(|b| b);
        let caller = bucket.clone();
        let early = Task::spawn(move || caller.get(&2));
        door.await_waiting(1);
        assert_eq!(bucket.invalidate_tag("odd").unwrap(), 0);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
        // Folds do not have it forgotten.
        bucket.set(9, 9);
        bucket.publish().unwrap();
        door.release();
        assert_eq!(early.join(), Some(1), "who asked before is answered");
        assert_eq!(bucket.peek(&2), None);
        assert_eq!(bucket.stats().superseded, 1);
        assert_eq!(bucket.get(&2), Some(2), "loaded anew");
        assert_eq!(bucket.peek(&2), Some(2));
        assert_eq!(calls.len(), 2);
    });
}

#[test]
fn a_load_of_before_that_brings_another_tag_is_stored() {
    bounded(|| {
        let (bucket, door, calls) = overtaken(|b| b);
        let caller = bucket.clone();
        let early = Task::spawn(move || caller.get_many(&[3, 5]));
        door.await_waiting(2);
        assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
        let late = bucket.clone();
        let late = Task::spawn(move || late.get(&3));
        crate::common::eventually("it joins", || bucket.stats().joined == 1);
        door.release();
        let told = early.join();
        assert_eq!(late.join(), told[0]);
        assert_eq!(bucket.get_many(&[3, 5]), told);
        assert_eq!(calls.len(), 2);
    });
}

#[test]
fn who_asks_after_it_is_not_told_what_a_load_of_before_brought() {
    type Ask = fn(&Numbers) -> Option<u64>;
    let ways: [Ask; 4] = [
        |bucket| bucket.get(&2),
        |bucket| bucket.fetch(&2).unwrap().into_value(),
        |bucket| bucket.get_many(&[2])[0],
        |bucket| bucket.call().get_with(&2, |_| Ok::<_, Broken>(2)),
    ];
    for way in ways {
        for skip_save in [false, true] {
            bounded(move || {
                let (bucket, door, _) = overtaken(|b| b);
                let caller = bucket.clone();
                let early = Task::spawn(move || {
                    let call = caller.call();
                    let call = if skip_save { call.skip_save() } else { call };
                    call.get(&2)
                });
                door.await_waiting(1);
                bucket.invalidate_tag("even").unwrap();
                let caller = bucket.clone();
                let late = Task::spawn(move || way(&caller));
                crate::common::eventually("it joins", || bucket.stats().joined == 1);
                door.release();
                assert_eq!(early.join(), Some(1));
                assert_eq!(late.join(), Some(2));
            });
        }
    }
}

#[test]
fn a_snapshot_has_all_that_is_under_a_tag_or_none() {
    bounded(|| {
        let bucket = numbers().build().unwrap();
        for round in 0..100 {
            for key in 0..40 {
                bucket.set_with_tags(key, round, "all");
            }
            bucket.publish().unwrap();
            // Half of them are in the table, half in the overlay.
            for key in 0..20 {
                bucket.set_with_tags(key, round + 1, "all");
            }
            let publisher = bucket.clone();
            let publishing = Task::spawn(move || {
                let lens = std::iter::repeat_with(|| {
                    publisher.publish().unwrap();
                    publisher.snapshot().len()
                });
                lens.take_while(|len| *len > 0).find(|len| *len != 40)
            });
            assert_eq!(bucket.invalidate_tag("all").unwrap(), 40);
            assert_eq!(publishing.join(), None, "torn");
        }
    });
}

#[test]
fn tags_are_gone_with_all_else() {
    type Empty = fn(&Numbers);
    let ways: [Empty; 3] = [
        |bucket| bucket.clear().unwrap(),
        |bucket| {
            bucket.reset(1).unwrap();
        },
        |bucket| {
            bucket.set_caching(false).unwrap();
            bucket.set_with_tags(2, 2, "even");
            assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
            bucket.set_caching(true).unwrap();
        },
    ];
    for empty in ways {
        folded_or_not(move |fold| {
            let bucket = loading().build().unwrap();
            bucket.get_many(&[2, 4]);
            fold(&bucket);
            empty(&bucket);
            bucket.set(2, 100);
            fold(&bucket);
            assert_eq!(bucket.update(&2, |v| v.map(|v| v + 1)).unwrap(), Some(101));
            assert_eq!(bucket.invalidate_tag("even").unwrap(), 0);
            assert_eq!(cached(&bucket, 0..10), [2]);
        });
    }
}

#[test]
fn a_dataset_has_no_tags_and_what_is_laid_over_it_keeps_its_own() {
    folded_or_not(|fold| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = numbers()
            .load_all(move || {
                at.pass();
                Ok::<_, Broken>((0..6).map(|key| (key, 100)).collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        for key in [0, 1, 2, 20] {
            bucket.set_with_tags(key, 1, "old");
        }
        let refresh = bucket.refresh();
        door.await_waiting(1);
        bucket.set_with_tags(1, 2, "new");
        fold(&bucket);
        bucket.update(&1, |v| v.map(|v| v + 1)).unwrap();
        bucket.set_with_tags(2, 2, "new");
        bucket.set_with_tags(21, 2, "new");
        fold(&bucket);
        bucket.set_with_tags(3, 2, "gone");
        bucket.set(2, 3);
        assert_eq!(bucket.invalidate_tag("gone").unwrap(), 1);
        door.release();
        refresh.wait(PATIENCE).unwrap();
        // What is made of a value of the dataset has no tags either.
        assert_eq!(bucket.update(&0, |v| v.map(|v| v + 1)).unwrap(), Some(101));
        assert_eq!(cached(&bucket, 0..30), [0, 1, 2, 4, 5, 21]);
        assert_eq!(bucket.invalidate_tag("old").unwrap(), 0);
        assert_eq!(bucket.invalidate_tag("new").unwrap(), 2);
        assert_eq!(cached(&bucket, 0..30), [0, 2, 4, 5]);
    });
}

#[test]
fn what_was_evicted_and_comes_back_is_as_it_comes() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = numbers()
            .clock(time.clock())
            .max_weight(1_000)
            .when_full(WhenFull::Evict)
            .build()
            .unwrap();
        for key in 0..10 {
            bucket.set_with_tags(key, key, "all");
        }
        bucket.publish().unwrap();
        bucket.set_many((10..15).map(|key| (key, key)));
        bucket.publish().unwrap();
        assert_eq!(bucket.prune(5).unwrap(), 10);
        bucket.set(3, 30);
        bucket.set_with_tags(4, 40, "all");
        bucket.publish().unwrap();
        assert_eq!(bucket.invalidate_tag("all").unwrap(), 1);
        assert_eq!(bucket.peek(&3), Some(30));
    });
}

/// What is evicted while a dataset is fetched may be laid over it: with its tags, if it is.
#[test]
fn what_comes_back_with_a_dataset_has_its_tags() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let bucket = numbers()
            .max_weight(1_000)
            .when_full(WhenFull::Evict)
            .load_all(move || {
                at.pass();
                Ok::<_, Broken>(vec![(1, 100)])
            })
            .build()
            .unwrap();
        let refresh = bucket.refresh();
        door.await_waiting(1);
        bucket.set_with_tags(7, 7, "new");
        bucket.publish().unwrap();
        assert_eq!(bucket.prune(0).unwrap(), 1);
        for key in 20..23 {
            bucket.set(key, key);
            bucket.publish().unwrap();
        }
        door.release();
        refresh.wait(PATIENCE).unwrap();
        let is_back = bucket.contains(&7);
        assert_eq!(bucket.invalidate_tag("new").unwrap(), usize::from(is_back));
        assert_eq!(bucket.peek(&7), None);
    });
}

#[test]
fn it_cannot_be_asked_for_where_it_would_wait_for_itself_or_for_ever() {
    bounded(|| {
        let kind = |error: Result<usize, Error>| error.map_err(|error| error.kind());
        let bucket = numbers().build().unwrap();
        bucket.set_with_tags(1, 1, "a");
        bucket.shutdown();
        assert_eq!(kind(bucket.invalidate_tag("a")), Err(ErrorKind::Closed));
        assert_eq!(bucket.peek(&1), Some(1));
    });
}

#[test]
fn tags_are_what_they_are_made_of() {
    let tag = Tag::from("a");
    assert_eq!(
        (tag.to_string(), format!("{tag:?}")),
        ("a".into(), "\"a\"".into())
    );
    for other in [
        Tag::from(&tag),
        "a".to_owned().into(),
        (&"a".to_owned()).into(),
    ] {
        assert_eq!(tag, other);
    }
    let tags = Tags::from(["b", "a", "b"]);
    assert_eq!((tags.len(), tags.is_empty()), (2, false));
    assert!(tags.contains("a") && tags.contains("b") && !tags.contains("c"));
    assert_eq!(format!("{tags:?}"), "{\"a\", \"b\"}");
    assert_eq!(Tags::from(tag), Tags::from("a"));
    let outcome = Outcome::from(1).tagged("b").tagged(["a"]);
    assert!(matches!(&outcome, Outcome::Tagged(value, both)
        if matches!(**value, Outcome::Value(1)) && *both == tags));
    for plain in [Outcome::Ignore(1), Outcome::Unchanged, Outcome::Absent] {
        let (before, after) = (format!("{plain:?}"), format!("{:?}", plain.tagged("a")));
        assert_eq!(before, after);
    }
}
