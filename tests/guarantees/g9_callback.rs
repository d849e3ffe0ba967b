//! G9: the callback of a reset, resets at once, and resets from where one may not wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder::{Bucket, ErrorKind, Event, ManualClock, Reset};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually, together};

type Numbers = Bucket<u64, u64>;

/// A bucket whose callback has been told of these versions, and does `then`.
fn telling(
    then: impl Fn(u64) -> Result<(), Broken> + Send + Sync + 'static,
) -> (Numbers, Notes<u64>) {
    let told = Notes::new();
    let noting = told.clone();
    let bucket = Numbers::builder("callback")
        .load(|key: &u64| Ok::<_, Broken>(*key))
        .on_reset(move |version| {
            noting.add(version);
            then(version)
        })
        .build()
        .unwrap();
    (bucket, told)
}

#[test]
fn g9_the_callback_runs_once_and_before_anything_is_gone() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Numbers>::new());
        let (inner, found) = (Arc::clone(&own), Notes::new());
        let noting = found.clone();
        let (bucket, told) = telling(move |_| {
            if let Some(bucket) = inner.get() {
                noting.add((bucket.version(), bucket.peek(&1), bucket.get(&2)));
                // Nothing is held: what waits for the refresher works as well.
                bucket.publish().unwrap();
                bucket.set(3, 7);
            }
            Ok(())
        });
        assert!(own.set(bucket.clone()).is_ok());
        bucket.set(1, 7);
        assert_eq!(bucket.reset(4).unwrap(), Reset::Done);
        assert_eq!(found.take(), [(0, Some(7), Some(2))]);
        assert_eq!((bucket.version(), bucket.len()), (4, 0));
        assert_eq!(bucket.reset(4).unwrap(), Reset::Current);
        assert_eq!(bucket.reset(1).unwrap(), Reset::Older);
        assert_eq!(told.all(), [4]);
    });
}

#[test]
fn g9_a_callback_that_fails_refuses_the_reset() {
    bounded(|| {
        let (events, tries) = (Notes::new(), Arc::new(AtomicU64::new(0)));
        let (noting, counted) = (events.clone(), Arc::clone(&tries));
        let bucket = Numbers::builder("refuses")
            .load(|key: &u64| Ok::<_, Broken>(*key))
            .observer(move |event: &Event| {
                if let Event::ResetRefused { version, error } = event {
                    noting.add((*version, error.kind()));
                }
            })
            .on_reset(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Broken("not yet")),
                1 => panic!("the callback's own"),
                _ => Ok(()),
            })
            .build()
            .unwrap();
        bucket.set(1, 7);
        let epoch = bucket.publish().unwrap();
        let refused = bucket.reset(2).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let source = std::error::Error::source(&refused).unwrap().downcast_ref();
        assert_eq!(source, Some(&Broken("not yet")));
        let panicked = bucket.reset(2).unwrap_err();
        assert_eq!(panicked.kind(), ErrorKind::Panicked);
        assert!(
            panicked.to_string().contains("the callback's own"),
            "{panicked}"
        );
        // It lives on as it was.
        assert_eq!(
            (bucket.version(), bucket.epoch(), bucket.peek(&1)),
            (0, epoch, Some(7))
        );
        assert_eq!(bucket.get(&5), Some(5));
        assert_eq!(
            (bucket.stats().resets, bucket.stats().resets_refused),
            (0, 2)
        );
        assert_eq!(bucket.reset(2).unwrap(), Reset::Done);
        assert_eq!((bucket.version(), bucket.peek(&1)), (2, None));
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        eventually("two reports", || events.len() == 2);
        assert_eq!(
            events.all(),
            [(2, ErrorKind::Refused), (2, ErrorKind::Panicked)]
        );
    });
}

/// While the callback takes its time nothing else waits for it: reads, writes, loads, folds and clears go on.
#[test]
fn g9_a_slow_callback_holds_up_resets_only() {
    bounded(|| {
        let door = Door::closed();
        let at = door.clone();
        let (bucket, told) = telling(move |_| {
            at.pass();
            Ok(())
        });
        let resetting = bucket.clone();
        let slow = Task::spawn(move || resetting.reset(1));
        door.await_waiting(1);
        bucket.set(1, 7);
        assert_eq!((bucket.peek(&1), bucket.get(&2)), (Some(7), Some(2)));
        bucket.publish().unwrap();
        bucket.clear().unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        // The same and a higher one wait for it, and a lower one has nothing to wait for.
        let waits: Vec<_> = [1, 2]
            .map(|version| {
                let resetting = bucket.clone();
                Task::spawn(move || resetting.reset(version))
            })
            .into();
        assert_eq!(bucket.reset(0).unwrap(), Reset::Current);
        assert_eq!(bucket.version(), 0);
        door.release();
        assert_eq!(slow.join().unwrap(), Reset::Done);
        let [same, higher] = waits.try_into().ok().unwrap();
        let same = Task::join(same).unwrap();
        assert!([Reset::Current, Reset::Older].contains(&same), "{same:?}");
        assert_eq!(Task::join(higher).unwrap(), Reset::Done);
        assert_eq!(told.all(), [1, 2]);
    });
}

#[test]
fn g9_who_waits_for_another_reset_runs_out_of_time() {
    bounded(|| {
        let (door, time) = (Door::closed(), ManualClock::new());
        let at = door.clone();
        let bucket = Numbers::builder("waits")
            .clock(time.clock())
            .on_reset(move |_| {
                at.pass();
                Ok::<_, Broken>(())
            })
            .build()
            .unwrap();
        let resetting = bucket.clone();
        let slow = Task::spawn(move || resetting.reset(1));
        door.await_waiting(1);
        let (waiting, said) = (bucket.clone(), Notes::new());
        let noting = said.clone();
        let waits = Task::spawn(move || noting.add(waiting.reset(2).map_err(|e| e.kind())));
        eventually("out of time", || {
            time.advance(Duration::from_secs(60));
            said.len() == 1
        });
        waits.join();
        assert_eq!(said.all(), [Err(ErrorKind::Timeout)]);
        door.release();
        assert_eq!(slow.join().unwrap(), Reset::Done);
        assert_eq!(bucket.version(), 1);
    });
}

/// A value that can be held up where it is cloned, which a fold does.
struct Held(Door);

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.pass();
        Self(self.0.clone())
    }
}

/// The refresher is held up for longer than anybody waits. The reset takes effect when it goes on, and who resets again
/// meanwhile has the callback asked no second time.
#[test]
fn g9_a_reset_that_is_late_takes_effect_and_is_agreed_to_once() {
    bounded(|| {
        let (door, time, told) = (Door::open(), ManualClock::new(), Notes::new());
        let noting = told.clone();
        let bucket = Bucket::<u64, Held>::builder("late")
            .clock(time.clock())
            .on_reset(move |version| {
                noting.add(version);
                Ok::<_, Broken>(())
            })
            .build()
            .unwrap();
        bucket.set(1, Held(door.clone()));
        door.close();
        let folding = bucket.clone();
        let folded = Task::spawn(move || folding.publish().is_err());
        door.await_waiting(1);
        for _ in 0..2 {
            let (resetting, said) = (bucket.clone(), Notes::new());
            let noting = said.clone();
            let late = Task::spawn(move || noting.add(resetting.reset(5).map_err(|e| e.kind())));
            eventually("out of time", || {
                time.advance(Duration::from_secs(60));
                said.len() == 1
            });
            late.join();
            assert_eq!(said.all(), [Err(ErrorKind::Timeout)]);
        }
        assert_eq!((bucket.version(), told.all()), (0, vec![5]));
        // Its time is up as well; but an answer that comes before it has noticed would be taken.
        assert!(folded.join());
        door.release();
        eventually("the reset takes effect", || bucket.version() == 5);
        assert_eq!(bucket.reset(5).unwrap(), Reset::Current);
        assert!(bucket.is_empty());
        assert_eq!((told.all(), bucket.stats().resets), (vec![5], 1));
    });
}

/// Number 5 of what is easily left out: resets that race with each other end with the highest version, and end.
#[test]
fn g9_resets_racing_with_each_other_converge() {
    bounded(|| {
        let (bucket, told) = telling(|_| Ok(()));
        let racing = bucket.clone();
        let done = together(8, move |thread| {
            let mut done = Vec::new();
            for turn in 0..40_u64 {
                // Up and down, and the same by several at once.
                let version = 1 + (turn * 7 + thread as u64 * 3) % 60;
                if racing.reset(version).unwrap() == Reset::Done {
                    done.push(version);
                }
                assert!(racing.version() >= version);
            }
            done
        });
        let mut done: Vec<u64> = done.into_iter().flatten().collect();
        done.sort_unstable();
        let told = told.all();
        // One after the other, each higher than the one before, and each once.
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
        assert_eq!(told, done);
        assert_eq!((told.last(), bucket.version()), (Some(&60), 60));
        assert_eq!(bucket.stats().resets, told.len() as u64);
    });
}

/// Buckets that tell each other, as instances do: each callback passes its version on, around in a circle.
#[test]
fn g9_buckets_that_tell_each_other_converge() {
    bounded(|| {
        let all = Arc::new(OnceLock::<Vec<Numbers>>::new());
        let buckets: Vec<_> = (0..3_usize)
            .map(|index| {
                let all = Arc::clone(&all);
                let (bucket, _) = telling(move |version| {
                    let next = all.get().and_then(|all| all.get((index + 1) % 3));
                    if let Some(next) = next {
                        next.reset(version).map_err(|_| Broken("the next one"))?;
                    }
                    Ok(())
                });
                bucket
            })
            .collect();
        assert!(all.set(buckets.clone()).is_ok());
        for version in [3, 1, 4, 1, 5, 9, 2, 6] {
            buckets[usize::try_from(version).unwrap() % 3]
                .reset(version)
                .unwrap();
        }
        assert!(buckets.iter().all(|bucket| bucket.version() == 9));
    });
}

#[test]
fn g9_a_callback_may_not_reset_its_bucket_further() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Numbers>::new());
        let (inner, said) = (Arc::clone(&own), Notes::new());
        let noting = said.clone();
        let (bucket, _) = telling(move |version| {
            if let Some(bucket) = inner.get() {
                for asked in [version - 1, version, version + 1] {
                    noting.add(bucket.reset(asked).map_err(|error| error.kind()));
                }
            }
            Ok(())
        });
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!(bucket.reset(2).unwrap(), Reset::Done);
        let expected = [
            Ok(Reset::Current),
            Ok(Reset::Current),
            Err(ErrorKind::Reentrant),
        ];
        assert_eq!(said.all(), expected);
        assert_eq!(bucket.version(), 2);
    });
}

#[test]
fn g9_a_loader_may_reset_its_bucket() {
    bounded(|| {
        let own = Arc::new(OnceLock::<Numbers>::new());
        let (inner, told) = (Arc::clone(&own), Notes::new());
        let (noting, calls) = (told.clone(), Notes::new());
        let counting = calls.clone();
        let load = move |key: &u64| {
            counting.add(*key);
            if let Some(bucket) = inner.get() {
                // The source has told it that it is of this version.
                bucket.reset(3).unwrap();
            }
            Ok::<_, Broken>(*key)
        };
        let bucket = Numbers::builder("resets itself")
            .loader_threads(1)
            .load(load.clone())
            .on_reset(move |version| {
                noting.add(version);
                Ok::<_, Broken>(())
            })
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        bucket.set(9, 7);
        assert_eq!(bucket.fetch(&1).unwrap().into_value(), Some(1));
        assert_eq!((calls.take(), told.all()), (vec![1, 1], vec![3]));
        assert_eq!(
            (bucket.peek(&1), bucket.peek(&9), bucket.version()),
            (Some(1), None, 3)
        );
        // And the loader of a call.
        let again = bucket.call().fetch_with(&2, load).unwrap();
        assert_eq!((again.into_value(), calls.len()), (Some(2), 1));
    });
}

/// A key whose `Eq` resets the bucket that it is written to.
#[derive(Clone)]
struct Meddling(
    u64,
    Arc<OnceLock<Bucket<Meddling, u64>>>,
    Notes<Option<ErrorKind>>,
);

impl PartialEq for Meddling {
    fn eq(&self, other: &Self) -> bool {
        if let Some(bucket) = self.1.get() {
            let reset = bucket.reset(bucket.version() + 1);
            self.2.add(reset.err().map(|error| error.kind()));
        }
        self.0 == other.0
    }
}

impl Eq for Meddling {}

impl std::hash::Hash for Meddling {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn g9_a_reset_in_the_middle_of_a_write_is_refused() {
    bounded(|| {
        let (own, kinds) = (Arc::new(OnceLock::new()), Notes::new());
        let key = Meddling(1, Arc::clone(&own), kinds.clone());
        let bucket = Bucket::<Meddling, u64>::builder("meddling")
            .build()
            .unwrap();
        bucket.set(key.clone(), 7);
        assert!(own.set(bucket.clone()).is_ok());
        bucket.set(key, 8);
        let kinds = kinds.take();
        assert!(kinds.contains(&Some(ErrorKind::Reentrant)), "{kinds:?}");
        assert!(
            kinds.iter().all(|kind| *kind == Some(ErrorKind::Reentrant)),
            "{kinds:?}"
        );
        assert_eq!(bucket.version(), 0);
        bucket.shutdown();
        assert_eq!(bucket.reset(0).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(bucket.reset(1).unwrap_err().kind(), ErrorKind::Closed);
    });
}
