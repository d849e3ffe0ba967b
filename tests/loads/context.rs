//! The context of whoever asks for a load, around the call of its loader.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{Bucket, Builder, ErrorKind, Event, Origin};

use crate::common::{Broken, Census, Door, Notes, PATIENCE, Task, bounded, eventually};

type Numbers = Bucket<u64, u64>;

thread_local! {
    /// Which request this thread is at.
    static REQUEST: Cell<u64> = const { Cell::new(0) };
}

/// Runs `act` as the work of a request.
fn within<T>(request: u64, act: impl FnOnce() -> T) -> T {
    let outer = REQUEST.replace(request);
    let result = act();
    REQUEST.set(outer);
    result
}

/// A bucket whose loader answers with the request that it is called within; the contexts of its calls, and how often
/// anything was captured.
fn requests(
    shape: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>,
) -> (Numbers, Notes<Vec<u64>>, Arc<AtomicU64>, Door) {
    let (calls, captured, door) = (Notes::new(), Arc::new(AtomicU64::new(0)), Door::open());
    let (noting, counting, at) = (calls.clone(), Arc::clone(&captured), door.clone());
    let builder = Numbers::builder("requests")
        .context(
            move || {
                counting.fetch_add(1, Ordering::SeqCst);
                REQUEST.get()
            },
            move |requests: &[&u64], load| {
                let mut all: Vec<u64> = requests.iter().map(|&&request| request).collect();
                all.sort_unstable();
                noting.add(all);
                within(*requests[0], load);
            },
        )
        .loader_threads(1)
        .bulk_load(move |keys: &[u64]| {
            at.pass();
            let request = REQUEST.get();
            Ok::<_, Broken>(keys.iter().map(|&key| (key, request)).collect::<Vec<_>>())
        });
    (shape(builder).build().unwrap(), calls, captured, door)
}

#[test]
fn a_loader_is_called_within_the_context_of_who_asks_and_a_hit_captures_nothing() {
    bounded(|| {
        let (bucket, calls, captured, door) = requests(|builder| builder);
        let count = || captured.load(Ordering::SeqCst);
        assert_eq!(within(42, || bucket.get(&1)), Some(42));
        assert_eq!((calls.take(), count()), (vec![vec![42]], 1));
        for _ in 0..10 {
            assert_eq!(within(43, || bucket.get(&1)), Some(42));
            assert_eq!(within(43, || bucket.peek(&2)), None);
        }
        assert_eq!(count(), 1);

        // While the loader is busy misses of several requests collect, and are one batch.
        door.close();
        let ask = |key: u64, request: u64| {
            let bucket = bucket.clone();
            Task::spawn(move || within(request, || bucket.get(&key)))
        };
        let first = ask(10, 50);
        door.await_waiting(1);
        let others = [(11, 51), (12, 52), (13, 53)].map(|(key, request)| ask(key, request));
        eventually("the misses", || bucket.stats().queued == 3);
        // Who joins a load adds nothing to it.
        let before = count();
        let joining = bucket.call().timeout(std::time::Duration::ZERO);
        let joined = within(99, || joining.fetch(&11));
        assert_eq!(joined.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(count(), before);
        door.release();
        assert_eq!(first.join(), Some(50));
        let values = others.map(|other| other.join().unwrap());
        assert!(values.iter().all(|value| (51..=53).contains(value)));
        assert_eq!(calls.take(), [vec![50], vec![51, 52, 53]]);

        // Many keys of one call are of one request each; and so are those that nobody waits for.
        within(60, || bucket.get_many([&20, &21]));
        within(61, || bucket.request_load([1, 30])).wait(PATIENCE);
        let mut all = calls.take();
        assert_eq!(all.remove(0), [60, 60]);
        assert_eq!(all.concat(), [61, 61]);
        assert_eq!(bucket.peek(&1), Some(61), "a reload that was asked for");
    });
}

#[test]
fn refreshes_are_nobody_s_and_a_loader_of_the_call_runs_on_its_own_thread() {
    bounded(|| {
        let (bucket, calls, captured, _) = requests(|builder| builder);
        bucket.set(1, 1000);
        within(70, || bucket.refresh().wait(PATIENCE)).unwrap();
        assert_eq!(bucket.peek(&1), Some(0));

        let thread = std::thread::current().id();
        let fetched = within(71, || {
            bucket.call().fetch_with(&2, |_| {
                assert_eq!(std::thread::current().id(), thread);
                // A miss of another key, in there, is loaded on this thread too.
                let other = within(72, || bucket.get(&3));
                assert_eq!(other, Some(72));
                Ok::<_, Broken>(REQUEST.get())
            })
        });
        let fetched = fetched.unwrap();
        assert_eq!(
            (fetched.value(), fetched.origin()),
            (Some(&71), Origin::Loaded)
        );
        assert_eq!(
            (calls.take(), captured.load(Ordering::SeqCst)),
            (vec![vec![72]], 1)
        );
    });
}

#[test]
fn no_load_depends_on_what_is_around_it() {
    bounded(|| {
        const ROUNDS: u64 = 3;
        type Around = fn(&mut dyn FnMut());
        let cases: [(&str, Around, u64); 5] = [
            ("not at all", |_| {}, 0),
            (
                "twice",
                |load| {
                    load();
                    load();
                },
                0,
            ),
            ("a panic before", |_| panic!("in around"), ROUNDS),
            (
                "a panic after",
                |load| {
                    load();
                    panic!("in around");
                },
                ROUNDS,
            ),
            ("on and on", |load| (0..10).for_each(|_| load()), 0),
        ];
        for (name, around, failed) in cases {
            let (calls, told) = (Notes::new(), Notes::new());
            let (noting, telling) = (calls.clone(), told.clone());
            let bucket = Numbers::builder(name)
                .context(|| (), move |_: &[&()], load| around(load))
                .observer(move |event| {
                    if let Event::ContextFailed { error } = event {
                        telling.add(error.kind());
                    }
                })
                .load(move |key: &u64| {
                    noting.add(*key);
                    Ok::<_, Broken>(key * 10)
                })
                .build()
                .unwrap();
            for key in 1..=ROUNDS {
                assert_eq!(bucket.get(&key), Some(key * 10), "{name}");
            }
            assert_eq!(calls.all(), [1, 2, 3], "{name}");
            assert_eq!(bucket.stats().contexts_failed, failed, "{name}");
            eventually("the events", || told.len() as u64 == failed);
            assert!(told.all().iter().all(|kind| *kind == ErrorKind::Panicked));
        }

        // Where nothing can be captured the key is loaded without.
        let asked = Notes::new();
        let asking = asked.clone();
        let bucket = Numbers::builder("capture")
            .context(
                || -> u64 { panic!("in capture") },
                move |contexts: &[&u64], load| {
                    asking.add(contexts.len());
                    load();
                },
            )
            .load(|key: &u64| Ok::<_, Broken>(key * 10))
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), Some(10));
        assert_eq!((asked.len(), bucket.stats().contexts_failed), (0, 1));
    });
}

#[test]
fn a_loader_that_panics_does_so_for_who_waits_and_not_for_what_is_around_it() {
    bounded(|| {
        let after = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&after);
        let bucket = Numbers::builder("panics")
            .context(
                || (),
                move |_: &[&()], load| {
                    load();
                    counting.fetch_add(1, Ordering::SeqCst);
                },
            )
            .load(|_: &u64| -> Result<u64, Broken> { panic!("in a loader") })
            .build()
            .unwrap();
        assert_eq!(bucket.fetch(&1).unwrap_err().kind(), ErrorKind::Panicked);
        assert_eq!(after.load(Ordering::SeqCst), 1);
        assert_eq!(bucket.stats().contexts_failed, 0);
    });
}

#[test]
fn what_was_captured_goes_with_the_load_and_outlives_a_reset() {
    bounded(|| {
        let (census, door, calls) = (Census::new(), Door::open(), Notes::new());
        let (captured, at, noting) = (census.clone(), door.clone(), calls.clone());
        let bucket = Numbers::builder("goes")
            .context(
                move || captured.citizen(REQUEST.get()),
                move |all: &[&crate::common::Citizen], load| {
                    noting.add(all[0].number);
                    load();
                },
            )
            .queue_capacity(1)
            .loader_threads(1)
            .load(move |key: &u64| {
                at.pass();
                match key {
                    0..=4 => Ok(key * 10),
                    _ => Err(Broken("no such")),
                }
            })
            .build()
            .unwrap();
        let nobody = |what| eventually(what, || census.alive() == 0);
        for key in 1..=9 {
            within(key, || bucket.get(&key));
        }
        // Well or badly, and though flights that have ended stay for a while.
        nobody("the end of each load");
        assert_eq!(calls.take(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);

        // One that runs, one that is queued, and one for which there is no room.
        door.close();
        let waiting = bucket.clone();
        let task = Task::spawn(move || within(80, || waiting.get(&0)));
        door.await_waiting(1);
        let requested = within(81, || bucket.request_load([11, 12]));
        assert_eq!(requested.rejected(), [12]);
        assert_eq!(census.alive(), 2);
        bucket.reset(1).unwrap();
        door.release();
        assert_eq!(task.join(), Some(0));
        assert!(requested.wait(PATIENCE));
        // The first was called again, within the same.
        assert_eq!(calls.take(), [80, 80, 81]);
        nobody("the end of all");

        // What never runs is dropped by the end of the bucket.
        door.close();
        let running = bucket.request_load([20]);
        door.await_waiting(1);
        let queued = bucket.request_load([21]);
        assert_eq!(census.alive(), 2);
        let closing = bucket.clone();
        let ending = Task::spawn(move || closing.shutdown());
        eventually("that it is closed", || queued.is_done());
        door.release();
        ending.join();
        assert!(running.is_done() && queued.is_done());
        nobody("the end of the bucket");
    });
}
