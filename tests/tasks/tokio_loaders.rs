//! Loaders that are async code: driven on the bucket's threads, by a runtime of the user's.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder::tokio::{Bridge, bulk_loader, dataset_loader, loader};
use larder::{BoxError, Error, ErrorKind, Loaded, Loader, ManualClock, Origin, Outcome};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::common::{Broken, Door, Notes, Task, block_on, bounded, eventually};
use crate::kit::{Job, Numbers, is_at_rest, numbers, quiet_panic};

pub(crate) fn runtime(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_time()
        .build()
        .unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Goes over the runtime: what comes back was moved there.
async fn elsewhere<T: Send + 'static>(value: T) -> T {
    tokio::spawn(async move {
        tokio::task::yield_now().await;
        value
    })
    .await
    .unwrap()
}

/// The error of ours that is at the bottom.
fn innermost(error: &Error) -> ErrorKind {
    let mut error = error;
    while let Some(inner) = error.source().and_then(|source| source.downcast_ref()) {
        error = inner;
    }
    error.kind()
}

#[test]
fn an_async_loader_says_what_a_loader_may_say() {
    bounded(|| {
        let runtime = runtime(2);
        let bucket = numbers("async")
            .loader(loader(runtime.handle().clone(), async |key: &u64| {
                Ok::<Loaded<u64, u64>, BoxError>(match elsewhere(*key).await {
                    1 => Outcome::Absent.into(),
                    2 => return Err(Broken("two").into()),
                    3 => quiet_panic("an async panic"),
                    4 => Outcome::Ignore(40).into(),
                    5 => Loaded::with_pairs(50, [(5, 50), (6, 60)]),
                    key => Outcome::Value(key * 10).into(),
                })
            }))
            .build()
            .unwrap();
        let told = bucket.fetch(&7).unwrap();
        assert_eq!((told.value(), told.origin()), (Some(&70), Origin::Loaded));
        assert!(bucket.fetch(&1).unwrap().is_absent());
        let failed = bucket.fetch(&2).unwrap_err();
        let source = failed.source().unwrap().downcast_ref();
        assert_eq!(
            (failed.kind(), source),
            (ErrorKind::Load, Some(&Broken("two")))
        );
        let panicked = bucket.fetch(&3).unwrap_err();
        assert_eq!(panicked.kind(), ErrorKind::Panicked);
        assert!(
            panicked.to_string().contains("an async panic"),
            "{panicked}"
        );
        let ignored = bucket.fetch(&4).unwrap();
        assert_eq!((ignored.value(), bucket.peek(&4)), (Some(&40), None));
        assert_eq!((bucket.get(&5), bucket.peek(&6)), (Some(50), Some(60)));
        // The threads live on, and what the runtime runs may await the bucket as well.
        let asking = bucket.clone();
        let value = runtime
            .block_on(async move { tokio::spawn(async move { asking.get_async(&8).await }).await });
        assert_eq!(value.unwrap(), Some(80));
        eventually("the end", || is_at_rest(&bucket));
    });
}

#[test]
fn an_async_loader_of_batches_is_asked_for_batches() {
    bounded(|| {
        let (runtime, calls) = (runtime(1), Notes::new());
        let noting = calls.clone();
        let batches = bulk_loader(runtime.handle().clone(), async move |keys: &[u64]| {
            noting.add(keys.to_vec());
            let keys = elsewhere(keys.to_vec()).await;
            if keys.contains(&2) {
                return Err(Broken("two"));
            }
            Ok(keys
                .into_iter()
                .map(|key| (key, key * 10))
                .collect::<Vec<_>>())
        });
        let bucket = numbers("batches").bulk_loader(batches).build().unwrap();
        assert_eq!(
            block_on(bucket.get_many_async([&7, &8])),
            [Some(70), Some(80)]
        );
        let failed = bucket.fetch(&2).unwrap_err();
        assert_eq!(
            failed.source().unwrap().downcast_ref(),
            Some(&Broken("two"))
        );
        assert_eq!(calls.all(), [vec![7, 8], vec![2]]);
    });
}

#[test]
fn an_async_loader_of_datasets_replaces_the_bucket() {
    bounded(|| {
        let (runtime, calls) = (runtime(1), Notes::new());
        let noting = calls.clone();
        let whole = dataset_loader(runtime.handle().clone(), async move || {
            noting.add(());
            match elsewhere(noting.len() as u64).await {
                2 => Err(Broken("the second")),
                nth => Ok((0..5).map(move |key| (key, 10 * nth))),
            }
        });
        let bucket = numbers("dataset").dataset_loader(whole).build().unwrap();
        block_on(bucket.refresh().wait_async()).unwrap();
        assert_eq!((bucket.len(), bucket.peek(&4)), (5, Some(10)));
        let failed = block_on(bucket.refresh().wait_async()).unwrap_err();
        assert_eq!(
            (failed.kind(), bucket.peek(&4)),
            (ErrorKind::Load, Some(10))
        );
        block_on(bucket.refresh().wait_async()).unwrap();
        assert_eq!(bucket.peek(&4), Some(30));
    });
}

/// Told of what is cached.
struct Counts(Bridge);

impl Loader<u64, u64> for Counts {
    fn load(&self, key: &u64) -> Result<Outcome<u64>, BoxError> {
        let from = &self.0;
        from.run(async || Outcome::Value(elsewhere(*key).await))
    }

    fn refresh(&self, _: &u64, current: &u64) -> Result<Outcome<u64>, BoxError> {
        let from = &self.0;
        from.run(async || Outcome::Value(elsewhere(*current).await + 1))
    }
}

#[test]
fn a_loader_by_hand_runs_async_code_over_a_bridge() {
    bounded(|| {
        let runtime = runtime(1);
        let counts = Counts(Bridge::new(runtime.handle().clone()));
        let bucket = numbers("by hand").loader(counts).build().unwrap();
        assert_eq!(bucket.get(&7), Some(7));
        assert!(block_on(bucket.refresh_keys([7]).wait_async()));
        assert_eq!(bucket.peek(&7), Some(8));
        // In the middle of async code it takes another thread.
        let bridge = Bridge::new(runtime.handle().clone());
        let outer = Bridge::new(runtime.handle().clone());
        let nested = outer.run(async || {
            let inner = bridge.run(async || elsewhere(5).await).unwrap();
            inner + elsewhere(1).await
        });
        assert_eq!(nested.unwrap(), 6);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            outer.run(async || bridge.run(async || -> u64 { quiet_panic("nested") }))
        }));
        let panicked = panicked.unwrap_err();
        assert_eq!(panicked.downcast_ref(), Some(&"nested"));
    });
}

#[test]
fn a_runtime_that_is_shut_down_ends_its_loads_with_an_error() {
    for workers in [0, 2] {
        bounded(move || {
            let runtime = if workers == 0 {
                current_thread()
            } else {
                runtime(workers)
            };
            let (begun, noting) = (Notes::new(), Notes::new());
            let note = begun.clone();
            let bucket = numbers("shut down")
                .loader(loader(runtime.handle().clone(), async move |key: &u64| {
                    note.add(*key);
                    // Of no runtime: nothing of tokio's tells it of the end.
                    std::future::pending::<()>().await;
                    Ok::<_, Broken>(*key)
                }))
                .build()
                .unwrap();
            let job = Job::new();
            let mut waits = Box::pin(bucket.fetch_async(&7));
            assert!(job.poll(waits.as_mut()).is_none());
            eventually("the load has begun", || begun.len() == 1);
            runtime.shutdown_background();
            for answer in [block_on(waits), bucket.fetch(&8)] {
                let error = answer.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Load);
                noting.add(innermost(&error));
            }
            assert_eq!(noting.all(), [ErrorKind::Cancelled; 2]);
            assert_eq!(begun.all(), [7], "what comes after the end does not begin");
            bucket.shutdown();
        });
    }
}

/// A bucket whose loader awaits it: key 20 and more is made of the key ten less, down to 1000 more.
fn recursive(own: &Arc<OnceLock<Numbers>>, handle: Handle, seen: &Notes<ErrorKind>) -> Numbers {
    let (calling, noting) = (Arc::clone(own), seen.clone());
    let bucket = numbers("recursive")
        .loader_threads(1)
        .clock(ManualClock::new().clock())
        .loader(loader(handle, async move |key: &u64| {
            let own = calling.get().unwrap();
            let other = match *key {
                10..100 => own.fetch_async(&(key - 10)).await?,
                0..5 => {
                    let told = own.fetch_async(key).await;
                    told.inspect_err(|error| noting.add(innermost(error)))?
                }
                5..10 => own.fetch_async(&(key + 1000)).await?,
                _ => return Ok::<_, Error>(elsewhere(*key).await),
            };
            Ok(elsewhere(other.into_value().unwrap()).await + 1)
        }))
        .build()
        .unwrap();
    assert!(own.set(bucket.clone()).is_ok());
    bucket
}

#[test]
fn g7_an_async_loader_awaits_its_bucket_and_never_itself() {
    bounded(|| {
        let (own, seen, runtime) = (Arc::default(), Notes::new(), runtime(1));
        let bucket = recursive(&own, runtime.handle().clone(), &seen);
        // Over four keys on one loader thread and one worker.
        assert_eq!(bucket.get(&37), Some(1007 + 4));
        assert_eq!(bucket.peek(&17), Some(1007 + 2));
        // Its own key, and at one and two steps.
        for (asked, key) in [1, 12, 23].into_iter().enumerate() {
            let why = block_on(bucket.fetch_async(&key)).unwrap_err();
            assert_eq!(innermost(&why), ErrorKind::Recursion);
            assert_eq!(seen.len(), asked + 1);
        }
        assert_eq!(bucket.get(&500), Some(500));
        bucket.shutdown();
    });
}

#[test]
fn two_async_loaders_on_two_threads_in_a_circle_are_not_stuck() {
    bounded(|| {
        let (runtime, both) = (runtime(2), Arc::new(tokio::sync::Barrier::new(2)));
        let own: Arc<OnceLock<Numbers>> = Arc::default();
        let (calling, seen) = (Arc::clone(&own), Notes::new());
        let noting = seen.clone();
        let bucket = numbers("circle")
            .loader_threads(2)
            .clock(ManualClock::new().clock())
            .loader(loader(runtime.handle().clone(), async move |key: &u64| {
                both.wait().await;
                let other = calling.get().unwrap().fetch_async(&(3 - key)).await;
                noting.add(other.as_ref().map(|_| ()).map_err(Error::kind));
                Ok::<_, Error>(*key)
            }))
            .build()
            .unwrap();
        assert!(own.set(bucket.clone()).is_ok());
        assert_eq!(
            block_on(bucket.get_many_async([&1, &2])),
            [Some(1), Some(2)]
        );
        let mut seen = seen.all();
        seen.sort_by_key(Result::is_ok);
        assert_eq!(seen, [Err(ErrorKind::Recursion), Ok(())]);
        bucket.shutdown();
    });
}

#[test]
fn a_runtime_of_one_thread_serves_who_awaits_and_times_out_who_blocks_it() {
    bounded(|| {
        let runtime = current_thread();
        let asked = Arc::new(Notify::new());
        let asking = Arc::clone(&asked);
        let bucket = numbers("one thread")
            .loader(loader(runtime.handle().clone(), async move |key: &u64| {
                asking.notify_one();
                Ok::<_, Broken>(elsewhere(*key).await)
            }))
            .build()
            .unwrap();
        runtime.block_on(async {
            assert_eq!(bucket.get_async(&1).await, Some(1));
            asked.notified().await;
            // Blocks the one thread that its loader needs.
            let limit = Duration::from_millis(20);
            let late = bucket.call().timeout(limit).fetch(&2).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Timeout);
            // The load goes on.
            assert_eq!(bucket.get_async(&2).await, Some(2));
        });
    });
}

#[test]
fn async_code_is_not_waited_for_by_the_only_thread_of_its_runtime() {
    for workers in [0, 1, 2] {
        bounded(move || {
            let runtime = if workers == 0 {
                current_thread()
            } else {
                runtime(workers)
            };
            let door = Door::closed();
            let held = door.clone();
            let bucket = numbers("own thread")
                .loader_threads(1)
                .loader(loader(runtime.handle().clone(), async move |key: &u64| {
                    if *key == 100 {
                        held.pass();
                    }
                    Ok::<_, Broken>(elsewhere(*key).await)
                }))
                .build()
                .unwrap();
            // The loader thread is busy, so it does not take what the worker is about to run itself.
            let busy = bucket.request_load([100]);
            door.await_waiting(1);
            // A loader of the call's own, on a worker of the runtime, that misses another key: that is loaded there.
            let asking = bucket.clone();
            let on_the_runtime = async move {
                let own = |key: &u64| {
                    asking
                        .fetch(&(key + 1))
                        .map(|other| other.into_value().unwrap())
                };
                asking.call().fetch_with(&7, own)
            };
            let told = runtime.block_on(async { tokio::spawn(on_the_runtime).await.unwrap() });
            match workers {
                2 => assert_eq!(told.unwrap().value(), Some(&8)),
                _ => assert_eq!(innermost(&told.unwrap_err()), ErrorKind::Reentrant),
            }
            door.release();
            assert!(runtime.block_on(busy.wait_async()));
        });
    }
}

#[test]
fn tasks_of_a_runtime_share_loads_and_their_time_limits_are_the_runtime_s() {
    bounded(|| {
        let (runtime, calls) = (runtime(2), Notes::new());
        let (release, noting) = (Arc::new(Notify::new()), calls.clone());
        let released = Arc::clone(&release);
        let bucket = numbers("limits")
            .loader(loader(runtime.handle().clone(), async move |key: &u64| {
                noting.add(*key);
                released.notified().await;
                Ok::<_, Broken>(key * 10)
            }))
            .build()
            .unwrap();
        let given_up = runtime.block_on(async {
            let limit = Duration::from_millis(1);
            tokio::time::timeout(limit, bucket.get_async(&7)).await
        });
        assert!(given_up.is_err());
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let bucket = bucket.clone();
                runtime.spawn(async move { bucket.get_async(&7).await })
            })
            .collect();
        eventually("the load has begun", || calls.len() == 1);
        release.notify_one();
        for task in tasks {
            assert_eq!(runtime.block_on(task).unwrap(), Some(70));
        }
        assert_eq!(calls.all(), [7]);
        let ended = bucket.clone();
        Task::spawn(move || ended.shutdown()).join();
    });
}
