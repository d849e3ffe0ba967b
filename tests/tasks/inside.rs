//! Tasks inside of loaders: nobody waits for himself. The clocks stand still, so no time limit comes to the rescue.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};

use larder::{Builder, Error, ErrorKind, ManualClock};

use crate::common::{Notes, block_on, bounded};
use crate::kit::{Numbers, numbers};

/// What is at the bottom of an error: loaders hand on the errors that they get.
fn innermost(error: &Error) -> ErrorKind {
    let mut error = error;
    while let Some(inner) = error.source().and_then(|source| source.downcast_ref()) {
        error = inner;
    }
    error.kind()
}

fn timeless(threads: usize) -> Builder<u64, u64> {
    numbers("inside")
        .loader_threads(threads)
        .clock(ManualClock::new().clock())
}

#[test]
fn g7_a_loader_that_drives_a_task_loads_what_that_misses_and_never_waits_for_itself() {
    type Ask = fn(&Numbers, u64) -> Result<Option<u64>, Error>;
    let asks: [(&str, Ask); 3] = [
        ("fetch", |bucket, key| {
            Ok(block_on(bucket.fetch_async(&key))?.into_value())
        }),
        ("fetch_many", |bucket, key| {
            let keys = [key, key + 100];
            let mut answers = block_on(bucket.fetch_many_async(&keys));
            assert_eq!(answers.pop().unwrap().unwrap().value(), Some(&(key + 100)));
            Ok(answers.pop().unwrap()?.into_value())
        }),
        ("ticket", |bucket, key| {
            let ticket = bucket.request_load([key]);
            match block_on(ticket.wait_async()) {
                true => Ok(bucket.peek(&key)),
                false => bucket.fetch(&key).map(|fetched| fetched.into_value()),
            }
        }),
    ];
    for (name, ask) in asks {
        for threads in [1, 2] {
            bounded(move || {
                let own: Arc<OnceLock<Numbers>> = Arc::default();
                let (calling, seen) = (Arc::clone(&own), Notes::new());
                let noting = seen.clone();
                let bucket = timeless(threads)
                    .load(move |key: &u64| {
                        let own = calling.get().unwrap();
                        match *key {
                            // Another key, one step or two away.
                            20..30 => ask(own, key - 10).map(|value| value.map_or(0, |v| v + 1)),
                            10..20 => ask(own, key + 1000).map(|value| value.map_or(0, |v| v + 1)),
                            // Its own.
                            0..10 => ask(own, *key)
                                .map(|value| value.unwrap_or(0))
                                .inspect_err(|error| noting.add(innermost(error))),
                            key => Ok(key),
                        }
                    })
                    .build()
                    .unwrap();
                assert!(own.set(bucket.clone()).is_ok());
                assert_eq!(block_on(bucket.get_async(&21)), Some(1013), "{name}");
                let why = block_on(bucket.fetch_async(&7)).unwrap_err();
                assert_eq!(innermost(&why), ErrorKind::Recursion, "{name}");
                assert_eq!(seen.all(), [ErrorKind::Recursion], "{name}");
                assert_eq!(block_on(bucket.get_async(&500)), Some(500), "{name}");
                bucket.shutdown();
            });
        }
    }
}
