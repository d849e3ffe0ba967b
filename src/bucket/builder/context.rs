//! The context of whoever asks for a load, around the call of its loader.

use super::Builder;
use crate::load::Context;
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Has the loader called within the context of those who have asked for the load: a request's number, a span, a
    /// deadline. Default: it sees nothing of them, as it runs on a thread of the bucket's.
    ///
    /// `capture` runs on the caller's thread when a call misses a key and is about to have it loaded, or
    /// [asks for a load](crate::Bucket::request_load): never for a hit, and not for who joins a load. (Where two do so at
    /// the same moment it may have run in vain for one of them.) What it returns goes with the load.
    ///
    /// `around` runs on the thread that calls the loader. It is given what was captured for the keys of the batch, one for
    /// each, in no order that means anything, and the call, which it has to make. One batch is of many callers: what is to
    /// be made of several contexts, only `around` knows. Where nothing was captured, as in a refresh, it is not asked. A
    /// loader that a [reset](crate::Bucket::reset) has called again is within the same context again. The
    /// [`exists`](Self::exists) hook is not within it.
    ///
    /// A loader given to [a call](crate::Call::fetch_with) runs on the caller's own thread, and sees what is there by
    /// itself. [Warmers](Self::warmer) and [datasets](Self::load_all) are nobody's.
    ///
    /// No load depends on it: if `around` does not make the call, or panics before it does, the call is made after it;
    /// made twice, it is one call; a panic after it changes nothing. A panic of `capture` has that key loaded without. Each
    /// panic is told as [`Event::ContextFailed`](crate::Event::ContextFailed) and counted in
    /// [`Stats::contexts_failed`](crate::Stats::contexts_failed). A panic of the loader is the load's, as ever, and does not
    /// reach `around`. What was captured is dropped when the load is over, just after those who wait have been answered.
    ///
    /// It costs each load that is led two allocations; a hit, and a bucket without, nothing.
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// thread_local! {
    ///     /// Which request this thread is at.
    ///     static REQUEST: Cell<u64> = const { Cell::new(0) };
    /// }
    ///
    /// let bucket = larder::Bucket::<u32, u64>::builder("by request")
    ///     .context(
    ///         || REQUEST.get(),
    ///         |requests: &[&u64], load| {
    ///             REQUEST.set(*requests[0]); // of several, the first does
    ///             load();
    ///             REQUEST.set(0);
    ///         },
    ///     )
    ///     .load(|_: &u32| Ok::<_, std::io::Error>(REQUEST.get()))
    ///     .build()?;
    /// REQUEST.set(42);
    /// assert_eq!(bucket.get(&7), Some(42));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    ///
    /// With the `tracing` crate, a span is captured as it is, and the loader's own follows from all of them:
    ///
    /// ```text
    /// .context(tracing::Span::current, |callers: &[&tracing::Span], load| {
    ///     let span = tracing::info_span!("load", keys = callers.len());
    ///     for caller in callers {
    ///         span.follows_from(*caller);
    ///     }
    ///     span.in_scope(load);
    /// })
    /// ```
    #[doc(alias = "callers")]
    #[doc(alias = "span")]
    pub fn context<C: Send + Sync + 'static>(
        mut self,
        capture: impl Fn() -> C + Send + Sync + 'static,
        around: impl Fn(&[&C], &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Self {
        self.context = Some(Context::new(capture, around));
        self
    }
}
