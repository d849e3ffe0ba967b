//! What a bucket begins with.

use super::Builder;
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::contain::contained;
use crate::error::{BoxError, BuildError, Error};
use crate::events::{Event, Events};
use crate::table::Table;
use crate::{HashBuilder, Key, Value};

/// What an [`init`](Builder::init) hook says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Init<K, V> {
    /// The bucket begins empty.
    Ready,
    /// It begins with these; of two pairs with one key the last counts.
    Seed(Vec<(K, V)>),
    /// It is not to be built, for this reason.
    Stop(BoxError),
}

impl<K, V> From<()> for Init<K, V> {
    fn from((): ()) -> Self {
        Self::Ready
    }
}

impl<K, V> From<Vec<(K, V)>> for Init<K, V> {
    fn from(pairs: Vec<(K, V)>) -> Self {
        Self::Seed(pairs)
    }
}

/// The hook, once it has a common shape.
pub(super) type InitFn<K, V> = Box<dyn FnOnce() -> Result<Init<K, V>, BoxError> + Send + Sync>;

impl<K: Key, V: Value, S: HashBuilder> Builder<K, V, S> {
    /// Asks `init` what the bucket is to begin with, when it is built. Default: nothing.
    ///
    /// It runs on the thread that calls [`build`](Self::build), which waits for it, and not at all where a
    /// [dump](crate::Builder#method.dump) was loaded, or anything from a [storage](Self::storage). An error or a panic of it is reported to the observer, and the
    /// bucket begins empty; only [`Init::Stop`] keeps it from being built.
    ///
    /// ```
    /// let bucket = larder::Bucket::<u32, &str>::builder("words")
    ///     .init(|| Ok::<_, std::io::Error>(vec![(1, "one"), (2, "two")]))
    ///     .build()?;
    /// assert_eq!(bucket.peek(&2), Some("two"));
    /// # Ok::<(), larder::BuildError>(())
    /// ```
    #[doc(alias = "seed")]
    pub fn init<F, I, E>(mut self, init: F) -> Self
    where
        F: FnOnce() -> Result<I, E> + Send + Sync + 'static,
        I: Into<Init<K, V>>,
        E: Into<BoxError>,
    {
        self.init = Some(Box::new(|| init().map(Into::into).map_err(Into::into)));
        self
    }
}

/// The table that the hook asks for.
pub(super) fn begin<K: Key, V: Value, S: HashBuilder>(
    init: InitFn<K, V>,
    hasher: &S,
    (clock, config): (&Clock, &Config),
    events: &Events,
) -> Result<Table<K, V>, BuildError> {
    let begun = contained(|| {
        Ok(match init()? {
            Init::Ready => Ok(Table::empty()),
            Init::Seed(pairs) => {
                let table = Table::from_pairs(pairs, |key| hasher.hash_one(key));
                Ok(table.until(Deadline::of(clock, config.ttl), clock))
            }
            Init::Stop(reason) => Err(BuildError::Stopped { reason }),
        })
    });
    begun
        .and_then(|begun: Result<_, BoxError>| begun.map_err(Error::load))
        .unwrap_or_else(|error| {
            events.send(Event::InitFailed { error });
            Ok(Table::empty())
        })
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::{Bucket, ErrorKind, ManualClock};

    type Words = Bucket<u32, &'static str>;
    type Answer = Result<Init<u32, &'static str>, BoxError>;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn the_four_answers_and_a_panic() {
        type Case = (fn() -> Answer, usize, Option<ErrorKind>);
        let cases: [Case; 4] = [
            (|| Ok(Init::Ready), 0, None),
            (
                || Ok(Init::Seed(vec![(1, "no"), (2, "two"), (1, "one")])),
                2,
                None,
            ),
            (|| Err("no source".into()), 0, Some(ErrorKind::Load)),
            (
                || std::panic::panic_any("init"),
                0,
                Some(ErrorKind::Panicked),
            ),
        ];
        for (init, entries, told) in cases {
            let (send, events) = mpsc::channel();
            let bucket = Words::builder("begins")
                .init(init)
                .observer(move |event| drop(send.send(event.clone())))
                .build()
                .unwrap();
            assert_eq!((bucket.len(), bucket.snapshot().len()), (entries, entries));
            if entries > 0 {
                assert_eq!(
                    (bucket.peek(&1), bucket.peek(&2)),
                    (Some("one"), Some("two"))
                );
            }
            if let Some(kind) = told {
                let event = events.recv_timeout(PATIENCE).unwrap();
                assert!(matches!(&event, Event::InitFailed { error } if error.kind() == kind));
            }
            // It works like any other.
            bucket.set(3, "three");
            bucket.publish().unwrap();
            assert_eq!(bucket.snapshot().len(), entries + 1);
            drop(bucket);
            assert!(events.try_recv().is_err(), "one event at the most");
        }
    }

    #[test]
    fn stop_keeps_it_from_being_built() {
        let built = Words::builder("stopped")
            .init(|| Ok::<Init<_, _>, BoxError>(Init::Stop("no licence".into())))
            .build();
        let error = built.map(|_| ()).unwrap_err();
        assert!(matches!(error, BuildError::Stopped { .. }), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(error.to_string().contains("no licence"));
    }

    #[test]
    fn seeds_expire_as_what_is_written() {
        let (time, ttl) = (ManualClock::new(), Duration::from_secs(60));
        let bucket = Words::builder("seeds")
            .clock(time.clock())
            .ttl(ttl)
            .init(|| Ok::<_, BoxError>(vec![(1, "one")]))
            .build()
            .unwrap();
        time.advance(ttl - Duration::from_nanos(1));
        assert_eq!(bucket.peek(&1), Some("one"));
        time.advance(Duration::from_nanos(1));
        assert_eq!(bucket.peek(&1), None);
    }
}
