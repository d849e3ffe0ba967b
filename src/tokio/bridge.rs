//! From a thread of a bucket's to a runtime, and back. DESIGN.md, "Async loaders and storages".

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::ops::AsyncFnOnce;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::{BoxError, Error, ErrorKind};
use crate::load::{Promise, StandIn};
use crate::sync::{Arc, per_thread, thread};

per_thread! {
    /// Whether this thread drives async code; then it is none of the runtime's own.
    static DRIVES: u64
}

/// Runs async code on a runtime, for sync code that waits for it: in a hand-written [`Loader`](crate::Loader) that is
/// told of what is cached, an [`exists`](crate::Builder::exists) hook, a [`Warmer`](crate::Warmer).
///
/// ```
/// use larder::{BoxError, Bucket, Loader, Outcome};
/// use larder::tokio::Bridge;
///
/// struct Pages(Bridge);
///
/// impl Loader<String, String> for Pages {
///     fn load(&self, key: &String) -> Result<Outcome<String>, BoxError> {
///         self.0.run(async || Ok(Outcome::Value(format!("page {key}"))))?
///     }
///
///     fn refresh(&self, key: &String, current: &String) -> Result<Outcome<String>, BoxError> {
///         self.0.run(async || {
///             // A request that says which version is there.
///             Ok(if current.contains(key) { Outcome::Unchanged } else { Outcome::Absent })
///         })?
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
/// let pages = Pages(Bridge::new(runtime.handle().clone()));
/// let bucket = Bucket::builder("pages").loader(pages).build()?;
/// assert_eq!(bucket.get("one"), Some("page one".into()));
/// # Ok(())
/// # }
/// ```
pub struct Bridge {
    handle: Handle,
    /// Answered when the runtime has been shut down.
    gone: Arc<Promise<()>>,
    /// A task that waits for that.
    watch: AbortHandle,
}

/// Answers when it is dropped: with the task that has it.
struct Ends(Arc<Promise<()>>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.answer(());
    }
}

impl Bridge {
    /// One to the runtime of this handle. It holds a task there that does nothing, up to its drop.
    ///
    /// # Panics
    ///
    /// As [`Handle::spawn`].
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        let gone = Arc::new(Promise::new());
        let ends = Ends(Arc::clone(&gone));
        // Nothing else tells of a shutdown: `Handle::block_on` goes on waiting for what will not come any more.
        let watch = handle.spawn(async move {
            let _ends = ends;
            pending::<()>().await;
        });
        Self {
            handle,
            gone,
            watch: watch.abort_handle(),
        }
    }

    /// What comes of this async code, which is run on the current thread in the context of the runtime: what it spawns,
    /// its sockets and its timers are the runtime's.
    ///
    /// To be called on threads of a bucket's, in its loaders and hooks. It may be called inside async code as well:
    /// then it starts a thread, and blocks the current one, which may be a worker of a runtime.
    ///
    /// # Errors
    ///
    /// An [`Error`], of kind [`Cancelled`](ErrorKind::Cancelled) if the runtime has been shut down, and of kind
    /// [`Reentrant`](ErrorKind::Reentrant) if the current thread is the only one of the runtime, so that nothing would
    /// move while it waits; or why a thread could not be started.
    ///
    /// # Panics
    ///
    /// If the async code does.
    pub fn run<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> Result<T, BoxError> {
        if !self.must_not_block()? {
            return self.drive(work());
        }
        let place = StandIn::of_this_thread();
        thread::scope(|scope| {
            let stands_in = thread::Builder::new().name("larder-nested".into());
            let done = stands_in.spawn_scoped(scope, || {
                place.take();
                self.drive(work())
            })?;
            match done.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Whether this thread is in the context of a runtime, where tokio refuses to block.
    ///
    /// # Errors
    ///
    /// `Reentrant` if it is the only thread of our own.
    pub(super) fn must_not_block(&self) -> Result<bool, BoxError> {
        let Ok(here) = Handle::try_current() else {
            return Ok(false);
        };
        let is_ours = here.id() == self.handle.id() && DRIVES.get() == 0;
        if is_ours && here.metrics().num_workers() == 1 {
            let message = "async code would be waited for by the only thread of its runtime";
            return Err(Error::new(ErrorKind::Reentrant, message).into());
        }
        Ok(true)
    }

    /// Runs it on this thread, which may block.
    pub(super) fn drive<T>(&self, work: impl Future<Output = T>) -> Result<T, BoxError> {
        let (mut work, mut gone) = (pin!(work), self.gone.answered());
        let _driving = Driving::begin();
        self.handle.block_on(poll_fn(|task| {
            // First: what is polled without its runtime may panic.
            if Pin::new(&mut gone).poll(task).is_ready() {
                let message = "the runtime has been shut down";
                return Poll::Ready(Err(Error::new(ErrorKind::Cancelled, message).into()));
            }
            work.as_mut().poll(task).map(Ok)
        }))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("runtime", &self.handle.id())
            .field("is_gone", &self.gone.is_answered())
            .finish_non_exhaustive()
    }
}

/// This thread drives async code, until it is dropped.
struct Driving(u64);

impl Driving {
    fn begin() -> Self {
        Self(DRIVES.replace(1))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVES.set(self.0);
    }
}
