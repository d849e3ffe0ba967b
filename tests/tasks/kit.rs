//! A task that counts how often it is woken, and a source behind a door.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use larder::{Bucket, Builder, Outcome};

use crate::common::{Broken, Door, Notes, PATIENCE};

pub(crate) type Numbers = Bucket<u64, u64>;

/// A builder with limits that no machine is too slow for: what hangs is found by the watchdog.
pub(crate) fn numbers(name: &str) -> Builder<u64, u64> {
    let builder = Numbers::builder(name).wait_limit(PATIENCE);
    builder.shutdown_limit(PATIENCE)
}

/// What a source says, by key; of others ten times the key.
pub(crate) const ABSENT: u64 = 1;
pub(crate) const ERROR: u64 = 2;
pub(crate) const PANIC: u64 = 3;
pub(crate) const IGNORE: u64 = 4;

/// A source behind a door, which notes what it is asked.
pub(crate) fn source(calls: &Notes<u64>, door: &Door) -> Numbers {
    let (calls, door) = (calls.clone(), door.clone());
    numbers("tasks")
        .loader_threads(2)
        .load(move |key: &u64| {
            calls.add(*key);
            door.pass();
            match *key {
                ABSENT => Ok(Outcome::Absent),
                ERROR => Err(Broken("source")),
                PANIC => quiet_panic("the loader's own"),
                IGNORE => Ok(Outcome::Ignore(40)),
                key => Ok(Outcome::Value(10 * key)),
            }
        })
        .build()
        .unwrap()
}

/// A task that is polled by hand.
#[derive(Default)]
pub(crate) struct Job(AtomicUsize);

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Job {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn poll<F: Future + ?Sized>(
        self: &Arc<Self>,
        future: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll(future, &Waker::from(Arc::clone(self)))
    }

    /// Whether anything holds a waker of it.
    pub(crate) fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }
}

pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Nothing is queued or under way.
pub(crate) fn is_at_rest(bucket: &Numbers) -> bool {
    let stats = bucket.stats();
    (stats.queued, stats.loading) == (0, 0)
}

/// A panic that prints nothing: a backtrace takes its time.
pub(crate) fn quiet_panic(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}
