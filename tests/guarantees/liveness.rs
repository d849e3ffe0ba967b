//! Values that die: a dead one is never returned, counts as a miss, and is removed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder::{Bucket, Builder, ErrorKind, Event, LoadState, ManualClock, Origin, Outcome, Ttl};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, eventually, settle};

/// A value and its owner, who may go.
#[derive(Clone, Debug)]
struct Owned {
    number: u32,
    lives: Arc<AtomicBool>,
}

impl Owned {
    fn new(number: u32) -> Self {
        let lives = Arc::new(AtomicBool::new(true));
        Self { number, lives }
    }

    fn dead(number: u32) -> Self {
        let owned = Self::new(number);
        owned.die();
        owned
    }

    fn die(&self) {
        self.lives.store(false, Ordering::Relaxed);
    }

    fn lives(&self) -> bool {
        self.lives.load(Ordering::Relaxed)
    }
}

impl PartialEq for Owned {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

type Owners = Bucket<u32, Owned>;

fn owners() -> Builder<u32, Owned> {
    Owners::builder("owners").alive(|_, owned| owned.lives())
}

/// Every read that there is, of the only key.
fn sees(bucket: &Owners, key: u32, number: Option<u32>, when: &str) {
    let is_there = number.is_some();
    let of = |owned: &Owned| owned.number;
    assert_eq!(bucket.peek(&key).as_ref().map(of), number, "peek {when}");
    assert_eq!(bucket.with(&key, of), number, "with {when}");
    assert_eq!(bucket.contains(&key), is_there, "contains {when}");
    assert_eq!(bucket.get(&key).as_ref().map(of), number, "get {when}");
    let fetched = bucket
        .fetch(&key)
        .ok()
        .and_then(larder::Fetched::into_value);
    assert_eq!(fetched.as_ref().map(of), number, "fetch {when}");
    let many = bucket.get_many([&key, &key]);
    let many: Vec<_> = many.iter().map(|owned| owned.as_ref().map(of)).collect();
    assert_eq!(many, [number, number], "get_many {when}");
    let fetched = bucket.fetch_many([&key]).remove(0).ok();
    let fetched = fetched.and_then(larder::Fetched::into_value);
    assert_eq!(fetched.as_ref().map(of), number, "fetch_many {when}");
    let mut reader = bucket.reader();
    assert_eq!(reader.get(&key).map(of), number, "reader.get {when}");
    let many: Vec<_> = reader.get_many(&[key]);
    let many: Vec<_> = many.into_iter().map(|owned| owned.map(of)).collect();
    assert_eq!(many, [number], "reader.get_many {when}");
    assert_eq!(bucket.keys(), Vec::from_iter(number.map(|_| key)), "{when}");
    assert_eq!(bucket.len(), usize::from(is_there), "len {when}");
    assert_eq!(bucket.is_empty(), !is_there, "is_empty {when}");
    assert_eq!(bucket.ttl(&key).is_some(), is_there, "ttl {when}");
    let state = match is_there {
        true => LoadState::Cached,
        false => LoadState::Unknown,
    };
    assert_eq!(bucket.load_state(&key), state, "load_state {when}");
}

#[test]
fn liveness_no_read_returns_a_dead_value_of_overlay_or_snapshot() {
    bounded(|| {
        type Write = fn(&Owners, Owned);
        let writes: [(&str, Write); 5] = [
            ("set", |b, v| b.set(1, v)),
            ("set_with_ttl", |b, v| b.set_with_ttl(1, v, PATIENCE)),
            ("set_many", |b, v| b.set_many([(1, v)])),
            ("set_if_absent", |b, v| b.set_if_absent(1, v).unwrap()),
            ("update", |b, v| {
                b.update(&1, |_| Some(v.clone())).unwrap();
            }),
        ];
        for (name, write) in writes {
            for folded in [false, true] {
                let when = format!("by {name}, folded: {folded}");
                let bucket = owners().build().unwrap();
                let first = Owned::new(1);
                write(&bucket, first.clone());
                if folded {
                    bucket.publish().unwrap();
                }
                sees(&bucket, 1, Some(1), &when);
                first.die();
                sees(&bucket, 1, None, &when);
                // One that is written anew is another one.
                write(&bucket, Owned::new(2));
                sees(&bucket, 1, Some(2), &when);
                bucket.publish().unwrap();
                sees(&bucket, 1, Some(2), &when);
            }
        }
    });
}

#[test]
fn liveness_no_read_returns_a_dead_value_after_a_clear_or_a_switch() {
    bounded(|| {
        let bucket = owners().build().unwrap();
        bucket.set(1, Owned::new(1));
        bucket.clear().unwrap();
        bucket.set(1, Owned::dead(2));
        sees(&bucket, 1, None, "after a clear");
        bucket.publish().unwrap();
        sees(&bucket, 1, None, "after a clear, folded");
        bucket.set_caching(false).unwrap();
        bucket.set_caching(true).unwrap();
        bucket.set(1, Owned::dead(3));
        bucket.publish().unwrap();
        sees(&bucket, 1, None, "after a switch");
    });
}

#[test]
fn liveness_a_dead_value_is_a_miss_and_loaded_anew() {
    bounded(|| {
        for bulk in [false, true] {
            let count = Arc::new(AtomicUsize::new(0));
            let loads = Arc::clone(&count);
            let next = move || Owned::new(loads.fetch_add(1, Ordering::Relaxed) as u32);
            let bucket = match bulk {
                false => owners().load(move |_: &u32| Ok::<_, String>(next())),
                true => owners().bulk_load(move |keys: &[u32]| {
                    Ok::<_, String>(keys.iter().map(|&key| (key, next())).collect::<Vec<_>>())
                }),
            };
            let bucket = bucket.build().unwrap();
            let kill = || bucket.with(&1, Owned::die).unwrap();
            assert_eq!(bucket.get(&1).unwrap().number, 0);
            for folded in [false, true] {
                let begun = count.load(Ordering::Relaxed) as u32;
                if folded {
                    bucket.publish().unwrap();
                }
                kill();
                assert_eq!(bucket.get(&1).unwrap().number, begun);
                kill();
                let fetched = bucket.fetch(&1).unwrap();
                assert_eq!(fetched.origin(), Origin::Loaded);
                assert_eq!(fetched.into_value().unwrap().number, begun + 1);
                kill();
                let many = bucket.get_many([&1]).remove(0).unwrap();
                assert_eq!(many.number, begun + 2);
                kill();
                assert!(bucket.request_load([1]).wait(PATIENCE));
                assert_eq!(bucket.peek(&1).unwrap().number, begun + 3);
                kill();
                let own = bucket
                    .call()
                    .fetch_with(&1, |_| Ok::<_, String>(Owned::new(99)));
                assert_eq!(own.unwrap().into_value().unwrap().number, 99);
            }
        }
    });
}

#[test]
fn liveness_writes_take_a_dead_value_as_absent() {
    bounded(|| {
        for folded in [false, true] {
            let time = ManualClock::new();
            let bucket = owners().clock(time.clock()).build().unwrap();
            let dead = |number| {
                bucket.set_with_ttl(1, Owned::dead(number), Duration::from_secs(5));
                if folded {
                    bucket.publish().unwrap();
                }
            };
            dead(1);
            assert_eq!(bucket.set_if_absent(1, Owned::new(2)), Ok(()));
            assert_eq!(bucket.set_if_absent(1, Owned::new(3)), Err(Owned::new(2)));
            assert_eq!(bucket.ttl(&1), Some(Ttl::Never), "none of the dead one's");
            dead(4);
            let updated = bucket.update(&1, |there| {
                assert!(there.is_none());
                Some(Owned::new(5))
            });
            assert_eq!(updated.unwrap(), Some(Owned::new(5)));
            assert_eq!(bucket.ttl(&1), Some(Ttl::Never));
            dead(6);
            assert_eq!(bucket.take(&1).unwrap(), None);
            dead(7);
            let asked = bucket.invalidate_if(|_, _| panic!("asked about a dead value"));
            assert_eq!(asked.unwrap(), 0);
            assert!(!bucket.expire_in(&1, PATIENCE).unwrap());
            assert!(!bucket.persist(&1).unwrap());
            assert!(!bucket.touch(&1).unwrap());
        }
    });
}

#[test]
fn liveness_what_a_read_finds_dead_leaves_the_memory() {
    bounded(|| {
        for folded in [false, true] {
            let bucket = owners().build().unwrap();
            let owned = Owned::new(1);
            bucket.set_many([(1, owned.clone()), (2, Owned::new(2))]);
            if folded {
                bucket.publish().unwrap();
            }
            owned.die();
            assert!(Arc::strong_count(&owned.lives) > 1, "it is in there");
            assert_eq!(bucket.peek(&1), None);
            eventually("the removal", || bucket.stats().died == 1);
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().len(), 1);
            eventually("the end of the value", || {
                settle(&bucket);
                Arc::strong_count(&owned.lives) == 1
            });
            // There is nothing left to be found.
            assert_eq!(bucket.peek(&1), None);
            settle(&bucket);
            assert_eq!(bucket.stats().died, 1);
        }
    });
}

#[test]
fn liveness_a_newer_value_stays_where_the_old_one_was_found_dead() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Owners>::new());
        let writing = Arc::clone(&own);
        // As it comes between the look and the removal: the check writes, and then says of the old one that it is dead.
        let bucket = Owners::builder("owners").alive(move |&key, owned| {
            if !owned.lives() {
                writing
                    .get()
                    .unwrap()
                    .set(key, Owned::new(owned.number + 1));
            }
            owned.lives()
        });
        let bucket = bucket.build().unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        for (number, folded) in [(10, false), (20, true)] {
            bucket.set(1, Owned::dead(number));
            if folded {
                bucket.publish().unwrap();
            }
            assert_eq!(bucket.peek(&1), None, "it was dead when it was looked at");
            settle(&bucket);
            assert_eq!(bucket.peek(&1), Some(Owned::new(number + 1)));
            bucket.set(1, Owned::dead(number));
            assert!(!bucket.notify_dead(&1).unwrap(), "what is there now lives");
            assert_eq!(bucket.peek(&1), Some(Owned::new(number + 1)));
        }
        assert_eq!(bucket.stats().died, 0);
        bucket.shutdown();
    });
}

#[test]
fn liveness_notify_dead_removes_what_is_dead_and_nothing_else() {
    bounded(|| {
        for folded in [false, true] {
            let bucket = owners().build().unwrap();
            let owned = Owned::new(1);
            bucket.set(1, owned.clone());
            if folded {
                bucket.publish().unwrap();
            }
            assert!(!bucket.notify_dead(&1).unwrap(), "it lives");
            assert!(!bucket.notify_dead(&2).unwrap(), "there is none");
            owned.die();
            assert!(bucket.notify_dead(&1).unwrap());
            assert!(!bucket.notify_dead(&1).unwrap(), "it is gone");
            assert_eq!(bucket.stats().died, 1);
            bucket.publish().unwrap();
            assert!(bucket.snapshot().is_empty());
        }
        let bucket = Owners::builder("immortal").build().unwrap();
        bucket.set(1, Owned::dead(1));
        assert!(!bucket.notify_dead(&1).unwrap(), "nothing dies here");
        assert_eq!(bucket.peek(&1), Some(Owned::new(1)));
    });
}

#[test]
fn liveness_g4_a_removal_does_not_keep_a_load_from_being_stored() {
    bounded(|| {
        for folded in [false, true] {
            let door = Door::closed();
            let at = door.clone();
            let bucket = owners().load(move |_: &u32| {
                at.pass();
                Ok::<_, String>(Owned::new(2))
            });
            let bucket = bucket.build().unwrap();
            bucket.set(1, Owned::dead(1));
            if folded {
                bucket.publish().unwrap();
            }
            let loading = bucket.clone();
            let load = Task::spawn(move || loading.get(&1));
            door.await_waiting(1);
            // Found dead by the read, or here; removed while its load is under way.
            bucket.notify_dead(&1).unwrap();
            eventually("the removal", || bucket.stats().died == 1);
            bucket.publish().unwrap();
            door.release();
            assert_eq!(load.join(), Some(Owned::new(2)));
            assert_eq!(bucket.peek(&1), Some(Owned::new(2)), "it is stored");
            let stats = bucket.stats();
            assert_eq!((stats.superseded, stats.loader_calls), (0, 1));
        }
    });
}

#[test]
fn liveness_a_load_that_brings_a_dead_value_has_failed() {
    bounded(|| {
        let (says, told) = (Arc::new(AtomicUsize::new(0)), Notes::new());
        let (saying, noting) = (Arc::clone(&says), told.clone());
        let bucket = owners()
            .bulk_load(move |keys: &[u32]| {
                let key = keys[0];
                let answers = match saying.load(Ordering::Relaxed) {
                    0 => vec![
                        (key, Outcome::Value(Owned::dead(1))),
                        (9, Owned::dead(9).into()),
                    ],
                    1 => vec![(key, Outcome::Ignore(Owned::dead(1)))],
                    2 => vec![(key, Outcome::Expiring(Owned::dead(1), PATIENCE))],
                    _ => vec![(key, Outcome::Value(Owned::new(2)))],
                };
                Ok::<_, String>(answers)
            })
            .observer(move |event| {
                if let Event::LoadFailed { error, .. } = event {
                    noting.add(error.kind());
                }
            })
            .build()
            .unwrap();
        for case in 0..3 {
            says.store(case, Ordering::Relaxed);
            let error = bucket.fetch(&1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Dead, "{error}");
            sees_nothing_new(&bucket);
        }
        says.store(3, Ordering::Relaxed);
        assert_eq!(bucket.get(&1), Some(Owned::new(2)));
        // A reload leaves what lives.
        for case in 0..3 {
            says.store(case, Ordering::Relaxed);
            assert!(bucket.refresh_keys([1]).wait(PATIENCE));
            assert_eq!(bucket.peek(&1), Some(Owned::new(2)), "case {case}");
        }
        let own = |outcome: Outcome<Owned>| {
            let mut once = Some(outcome);
            let load = |_: &_| once.take().ok_or("asked twice");
            let fetched = bucket.call().fetch_with(&3, load);
            fetched
                .map(larder::Fetched::into_value)
                .map_err(|error| error.kind())
        };
        assert_eq!(own(Owned::dead(3).into()), Err(ErrorKind::Dead));
        assert_eq!(own(Owned::new(3).into()), Ok(Some(Owned::new(3))));
        bucket.shutdown();
        // Six loads, and the pair of nobody's twice; and a caller's own.
        assert_eq!(told.all(), [ErrorKind::Dead; 9]);
    });
}

/// The bucket never had any.
fn sees_nothing_new(bucket: &Owners) {
    assert!(bucket.is_empty());
    bucket.publish().unwrap();
    assert!(bucket.snapshot().is_empty());
}

#[test]
fn liveness_a_refresh_passes_by_what_is_dead() {
    bounded(|| {
        let asked = Notes::new();
        let asking = asked.clone();
        let bucket = owners().load(move |key: &u32| {
            asking.add(*key);
            Ok::<_, String>(Owned::new(*key))
        });
        let bucket = bucket.build().unwrap();
        bucket.set_many([(1, Owned::new(1)), (2, Owned::dead(2))]);
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(asked.all(), [1]);
        eventually("the removal", || bucket.stats().died == 1);
        assert_eq!(bucket.get(&2), Some(Owned::new(2)));
    });
}

#[test]
fn liveness_what_is_dead_in_a_dataset_is_not_read() {
    bounded(|| {
        let bucket = owners()
            .load_all(|| Ok::<_, String>([(1, Owned::new(1)), (2, Owned::dead(2))]))
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.keys(), [1]);
        assert_eq!(bucket.peek(&1), Some(Owned::new(1)));
        assert_eq!(bucket.peek(&2), None);
        eventually("the removal", || bucket.stats().died == 1);
        bucket.publish().unwrap();
        assert_eq!(bucket.snapshot().len(), 1);
    });
}

#[test]
fn liveness_g5_a_snapshot_does_not_change_when_its_values_die() {
    bounded(|| {
        let bucket = owners().build().unwrap();
        let owned = Owned::new(1);
        bucket.set(1, owned.clone());
        bucket.publish().unwrap();
        let snapshot = bucket.snapshot();
        owned.die();
        assert_eq!(bucket.peek(&1), None);
        eventually("the removal", || bucket.stats().died == 1);
        bucket.publish().unwrap();
        assert_eq!(snapshot.get(&1), Some(&Owned::new(1)));
        assert_eq!((snapshot.len(), snapshot.iter().count()), (1, 1));
        assert!(bucket.snapshot().is_empty());
    });
}

#[test]
fn liveness_expired_or_dead_is_both_gone() {
    bounded(|| {
        let (time, ttl) = (ManualClock::new(), Duration::from_secs(60));
        let bucket = owners().clock(time.clock()).ttl(ttl).build().unwrap();
        for folded in [false, true] {
            let (short, long) = (Owned::new(1), Owned::new(2));
            bucket.set(1, short);
            bucket.set_with_ttl(2, long.clone(), 2 * ttl);
            if folded {
                bucket.publish().unwrap();
            }
            assert_eq!(bucket.len(), 2);
            time.advance(ttl);
            assert_eq!((bucket.peek(&1), bucket.len()), (None, 1));
            assert_eq!(bucket.ttl(&2), Some(Ttl::Left(ttl)));
            long.die();
            assert_eq!((bucket.ttl(&2), bucket.len()), (None, 0));
        }
    });
}

#[test]
fn liveness_a_check_that_panics_hides_a_value_and_does_not_remove_it() {
    bounded(|| {
        let (panics, told) = (Arc::new(AtomicBool::new(false)), Notes::new());
        let (panicking, noting) = (Arc::clone(&panics), told.clone());
        let bucket = Owners::builder("owners")
            .alive(move |_, owned| {
                assert!(!panicking.load(Ordering::Relaxed), "no verdict");
                owned.lives()
            })
            .load(|key: &u32| match key {
                2 => Ok(Owned::new(2)),
                _ => Err("not there"),
            })
            .observer(move |event| {
                if let Event::AliveFailed { error } = event {
                    noting.add(error.kind());
                }
            })
            .build()
            .unwrap();
        bucket.set(1, Owned::new(1));
        bucket.publish().unwrap();
        let mut reader = bucket.reader();
        panics.store(true, Ordering::Relaxed);
        assert_eq!(reader.get(&1), None);
        assert_eq!((bucket.peek(&1), bucket.len()), (None, 0));
        assert!(!bucket.notify_dead(&1).unwrap());
        assert_eq!(bucket.get(&1), None, "it is loaded, which fails");
        let loaded = bucket.fetch(&2).map_err(|error| error.kind());
        assert_eq!(loaded, Err(ErrorKind::Panicked), "nobody vouches for it");
        eventually("the report", || bucket.stats().alive_failed >= 4);
        settle(&bucket);
        panics.store(false, Ordering::Relaxed);
        assert_eq!(reader.get(&1), Some(&Owned::new(1)), "it is still there");
        assert_eq!(
            (bucket.stats().died, bucket.get(&2)),
            (0, Some(Owned::new(2)))
        );
        bucket.shutdown();
        let told = told.all();
        assert!(!told.is_empty() && told.iter().all(|kind| *kind == ErrorKind::Panicked));
    });
}

#[test]
fn liveness_a_check_that_reads_its_own_value_comes_to_an_end() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Owners>::new());
        let (reading, asked) = (Arc::clone(&own), Arc::new(AtomicUsize::new(0)));
        let asking = Arc::clone(&asked);
        let bucket = Owners::builder("owners").alive(move |key, _| {
            asking.fetch_add(1, Ordering::Relaxed);
            let bucket = reading.get().unwrap();
            // What it says of itself; another key has a check as well.
            bucket.contains(key) || (*key == 1 && bucket.contains(&2))
        });
        let bucket = bucket.build().unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        bucket.set(1, Owned::new(1));
        assert_eq!(bucket.peek(&1), None);
        assert_eq!(asked.load(Ordering::Relaxed), 8);
        bucket.shutdown();
    });
}

#[test]
fn liveness_a_slow_check_holds_up_nobody_else() {
    bounded(|| {
        let door = Door::open();
        let at = door.clone();
        let bucket = Owners::builder("owners").alive(move |key, owned| {
            if *key == 1 {
                at.pass();
            }
            owned.lives()
        });
        let bucket = bucket.build().unwrap();
        bucket.set_many([(1, Owned::new(1)), (2, Owned::new(2))]);
        bucket.publish().unwrap();
        door.close();
        let slow = bucket.clone();
        type Slow = fn(&Owners) -> bool;
        let calls: [Slow; 5] = [
            |b| b.peek(&1).is_some(),
            |b| b.set_if_absent(1, Owned::new(3)).is_err(),
            |b| b.update(&1, |there| there.cloned()).unwrap().is_some(),
            |b| !b.notify_dead(&1).unwrap(),
            |b| b.expire_in(&1, PATIENCE).unwrap(),
        ];
        let tasks: Vec<_> = calls
            .into_iter()
            .map(|call| {
                let slow = slow.clone();
                Task::spawn(move || call(&slow))
            })
            .collect();
        door.await_waiting(tasks.len());
        // All of them are inside the check, and everything else goes on.
        bucket.set(2, Owned::new(4));
        assert_eq!(bucket.peek(&2), Some(Owned::new(4)));
        assert_eq!(bucket.set_if_absent(3, Owned::new(3)), Ok(()));
        let epoch = bucket.epoch();
        assert!(bucket.publish().unwrap() > epoch);
        door.release();
        for task in tasks {
            assert!(task.join());
        }
    });
}
