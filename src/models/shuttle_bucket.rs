//! Schedules of whole buckets, as users have them: built by the builder, with all their threads.

use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};
use std::time::Duration;

use super::load_kit::Touchy;
use super::shuttle_support::{KEYS, Seen, Truth, answered, draw, run_schedules};
use crate::error::{BoxError, Error, ErrorKind};
use crate::sync::{
    Arc, Mutex,
    thread::{self, JoinHandle},
};
use crate::{Bucket, Builder, ManualClock};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than the time of any test gets.
const LONG: Duration = Duration::from_secs(3600);

type Small = Bucket<u8, u64, Touchy>;

fn builder(time: &ManualClock) -> Builder<u8, u64, Touchy> {
    Bucket::<u8, u64>::builder("small")
        .hasher(Touchy::default())
        .clock(time.clock())
        .batch_size(2)
        .refresh_jitter(0.0)
        .shutdown_limit(LONG)
        .wait_limit(LONG)
}

fn bulk(truth: &Truth) -> impl Fn(&[u8]) -> Result<Vec<(u8, u64)>, BoxError> + use<> {
    let truth = truth.clone();
    move |keys| Ok(keys.iter().map(|&key| (key, truth.value(key))).collect())
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The bucket has ended: nothing is loaded any more.
fn is_over(bucket: &Small) {
    let fetched = bucket.fetch(&KEYS);
    assert_eq!(
        fetched.map_err(|error| error.kind()),
        Err(ErrorKind::Closed)
    );
}

fn is_expected(error: &Error) {
    assert!(
        [ErrorKind::Closed, ErrorKind::Timeout].contains(&error.kind()),
        "{error}"
    );
}

/// Reads, writes, publishes and refreshes of one thread. `mine` is the key that only this one writes.
fn use_bucket(bucket: &Small, truth: &Truth, seen: &mut Seen, mine: u8) {
    let key = draw(KEYS);
    match draw(10) {
        0 | 1 => {
            let answer = bucket.fetch(&key);
            seen.fetched(&answered(&[key], vec![answer], is_expected));
        }
        2 => {
            let keys = [key, mine];
            let answers = bucket.call().timeout(SECOND).fetch_many(&keys);
            seen.fetched(&answered(&keys, answers, is_expected));
        }
        3 => {
            let value = truth.change(mine);
            bucket.set(mine, value);
            seen.see(mine, value);
            if let Some(found) = bucket.peek(&mine) {
                seen.see(mine, found);
            }
        }
        4 => {
            let value = truth.change(mine);
            bucket.invalidate(&mine);
            seen.see(mine, value);
        }
        5 => {
            // What this thread has seen is in what it publishes, or in something newer.
            let held = bucket.peek(&mine);
            match bucket.publish() {
                Ok(epoch) => {
                    let snapshot = bucket.snapshot();
                    assert!(snapshot.epoch() >= epoch);
                    if let (Some(held), Some(found)) = (held, snapshot.get(&mine)) {
                        assert!(*found >= held, "{found} published after {held}");
                    }
                }
                Err(error) => is_expected(&error),
            }
        }
        6 => {
            if let Err(error) = bucket.refresh().wait(LONG) {
                is_expected(&error);
            }
        }
        7 => {
            let ticket = bucket.request_load([key, mine]);
            assert!(ticket.wait(LONG));
            assert!(ticket.is_done());
        }
        8 => {
            let value = truth.change(mine);
            match bucket.set_if_absent(mine, value) {
                Ok(()) => seen.see(mine, value),
                // Loaded after the source had changed, or before; it may be either.
                Err(there) => seen.see(mine, there),
            }
        }
        _ => {
            if draw(4) == 0 {
                if let Err(error) = bucket.clear() {
                    is_expected(&error);
                }
            } else if let Some(value) = bucket.reader().get(&key) {
                seen.see(key, *value);
            }
        }
    }
}

/// Four threads do anything that a bucket can do, while its clock moves and it is shut down, or its last
/// handle is dropped: everybody is answered, nobody sees a key go back, every thread of it ends.
#[test]
fn bucket_everything_at_once() {
    run_schedules("bucket_everything_at_once", || {
        let (truth, time) = (Truth::default(), ManualClock::new());
        let bucket = builder(&time)
            .bulk_load(bulk(&truth))
            .refresh_every(2 * SECOND)
            .build()
            .unwrap();
        let mut users = Vec::new();
        for mine in 0..KEYS {
            let (bucket, truth) = (bucket.clone(), truth.clone());
            users.push(thread::spawn(move || {
                let mut seen = Seen::default();
                for _ in 0..3 {
                    use_bucket(&bucket, &truth, &mut seen, mine);
                }
            }));
        }
        let moving = time.clone();
        users.push(thread::spawn(move || {
            for _ in 0..4 {
                moving.advance(SECOND);
            }
        }));
        match draw(3) {
            // Dropped by whichever thread is the last.
            0 => drop(bucket),
            1 => {
                bucket.shutdown();
                is_over(&bucket);
            }
            _ => {
                join(std::mem::take(&mut users));
                bucket.shutdown();
                is_over(&bucket);
                let stats = bucket.stats();
                assert_eq!((stats.queued, stats.loading), (0, 0), "{stats:?}");
            }
        }
        join(users);
    });
}

/// A bucket of a whole dataset that is refreshed by its clock and by hand, cleared and written to.
#[test]
fn bucket_of_a_dataset() {
    run_schedules("bucket_of_a_dataset", || {
        let (truth, time) = (Truth::default(), ManualClock::new());
        let dataset = {
            let truth = truth.clone();
            move || -> Result<Vec<(u8, u64)>, BoxError> {
                Ok((0..KEYS).map(|key| (key, truth.value(key))).collect())
            }
        };
        let bucket = builder(&time)
            .load_all(dataset)
            .refresh_every(SECOND)
            .build()
            .unwrap();
        let mut users = Vec::new();
        for mine in 0..3 {
            let (bucket, truth) = (bucket.clone(), truth.clone());
            users.push(thread::spawn(move || {
                let mut seen = Seen::default();
                for _ in 0..3 {
                    let key = draw(KEYS);
                    match draw(5) {
                        0 => match bucket.refresh().wait(LONG) {
                            // It began after it was asked for.
                            Ok(()) => {
                                assert!(bucket.peek(&mine).is_none_or(|v| v >= seen.of(mine)))
                            }
                            Err(error) => is_expected(&error),
                        },
                        1 => {
                            let value = truth.change(mine);
                            bucket.set(mine, value);
                            seen.see(mine, value);
                        }
                        2 => drop(bucket.publish()),
                        3 if draw(3) == 0 => drop(bucket.clear()),
                        _ => {
                            if let Some(value) = bucket.peek(&key) {
                                seen.see(key, value);
                            }
                        }
                    }
                }
            }));
        }
        users.push(thread::spawn(move || {
            time.advance(SECOND);
            time.advance(SECOND);
        }));
        if draw(2) == 0 {
            join(std::mem::take(&mut users));
            // Nothing else goes on: a refresh makes it the source's picture.
            bucket.refresh().wait(LONG).unwrap();
            for key in 0..KEYS {
                assert_eq!(bucket.peek(&key), Some(truth.value(key)));
            }
        }
        bucket.shutdown();
        join(users);
    });
}

/// A loader that shuts its own bucket down, and one that drops the last handle.
#[test]
fn bucket_ended_by_its_loader() {
    run_schedules("bucket_ended_by_its_loader", || {
        let time = ManualClock::new();
        let handle = Arc::new(Mutex::new(None::<Small>));
        let inside = Arc::clone(&handle);
        let bucket = builder(&time)
            .load(move |key: &u8| {
                let taken = inside.lock().take();
                if let Some(bucket) = taken {
                    if *key == 0 {
                        bucket.shutdown();
                    }
                    drop(bucket);
                }
                Ok::<_, BoxError>(7)
            })
            .build()
            .unwrap();
        *handle.lock() = Some(bucket.clone());
        let other = bucket.clone();
        let other = thread::spawn(move || {
            if let Err(error) = other.fetch(&1) {
                is_expected(&error);
            }
        });
        let key = draw(2);
        let ticket = bucket.request_load([key]);
        drop(bucket);
        assert!(ticket.wait(LONG));
        other.join().unwrap();
    });
}

/// Everybody resets, to one version or another, while others load, in whichever way. Nobody is told what is older than
/// the version that they knew when they asked; and the highest version stays.
#[test]
fn bucket_reset_by_everybody() {
    run_schedules("bucket_reset_by_everybody", || {
        // The version that the source is of by now.
        let source = Arc::new(Unseen::new(0));
        let (time, asked) = (ManualClock::new(), Arc::clone(&source));
        let bucket = builder(&time)
            .bulk_load(move |keys: &[u8]| {
                let version = asked.load(SeqCst);
                let answers = keys.iter().map(|&key| (key, version));
                Ok::<_, BoxError>(answers.collect::<Vec<_>>())
            })
            .build()
            .unwrap();
        let mut users = Vec::new();
        for _ in 0..4 {
            let (bucket, source) = (bucket.clone(), Arc::clone(&source));
            users.push(thread::spawn(move || {
                for _ in 0..3 {
                    let (key, other) = (draw(KEYS), draw(KEYS));
                    let known = bucket.version();
                    let found = match draw(6) {
                        0 => vec![bucket.peek(&key)],
                        1 => vec![bucket.get(&key)],
                        2 => bucket.get_many(&[key, other]),
                        3 => {
                            assert!(bucket.request_load([key, other]).wait(LONG));
                            vec![bucket.peek(&key)]
                        }
                        4 => {
                            let own = |_: &u8| Ok::<_, BoxError>(source.load(SeqCst));
                            let fetched = bucket.call().fetch_with(&key, own).unwrap();
                            vec![fetched.into_value()]
                        }
                        _ => {
                            let version = known + 1 + u64::from(draw(2));
                            source.fetch_max(version, SeqCst);
                            bucket.reset(version).unwrap();
                            assert!(bucket.version() >= version);
                            Vec::new()
                        }
                    };
                    let oldest = found.into_iter().flatten().min();
                    assert!(
                        oldest.is_none_or(|oldest| oldest >= known),
                        "{oldest:?} of {known}"
                    );
                }
            }));
        }
        join(users);
        assert_eq!(bucket.version(), source.load(SeqCst));
        let stats = bucket.stats();
        assert_eq!((stats.queued, stats.loading), (0, 0), "{stats:?}");
        bucket.shutdown();
    });
}
