//! What a caller's thread had about it when it asked for a load, around the call of the loader.

use std::any::Any;

use super::Loads;
use super::flight::Flight;
use super::join::QUEUED;
use crate::contain::{contained, drop_contained};
use crate::error::Error;
use crate::events::Event;
use crate::stats::Counters;
use crate::sync::{Arc, Mutex};
use crate::{HashBuilder, Key, Value};

/// See [`Builder::context`](crate::Builder::context).
pub(crate) struct Context {
    capture: Box<dyn Fn() -> Captured + Send + Sync>,
    around: Box<Around>,
}

type Around = dyn Fn(&[Captured], &mut dyn FnMut()) + Send + Sync;

/// What was captured for one flight.
type Captured = Arc<dyn Any + Send + Sync>;

/// The same, in its flight, up to the end of the load. Behind a pointer, so that a flight without pays one word.
pub(super) type Carried = Box<Mutex<Option<Captured>>>;

impl Context {
    pub(crate) fn new<C: Send + Sync + 'static>(
        capture: impl Fn() -> C + Send + Sync + 'static,
        around: impl Fn(&[&C], &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Self {
        Self {
            capture: Box::new(move || Arc::new(capture())),
            around: Box::new(move |captured, load| {
                let contexts = captured.iter().filter_map(|one| one.downcast_ref::<C>());
                around(&contexts.collect::<Vec<_>>(), load);
            }),
        }
    }
}

impl<K, V> Flight<K, V> {
    fn captured(&self) -> Option<Captured> {
        self.context.as_ref()?.lock().clone()
    }

    /// The load is over: what was captured for it goes, and not only with the flight, which may stay for a while.
    pub(super) fn drop_context(&self) {
        if let Some(context) = &self.context {
            let captured = context.lock().take();
            drop_contained(captured);
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// The same, with a context for its loads.
    pub(crate) fn within(self, context: Option<Context>) -> Self {
        Self { context, ..self }
    }

    /// What there is about the current thread, for a flight that it is about to lead and that `runner` will run. None
    /// where that is this thread itself, or nobody has asked.
    pub(super) fn capture(&self, runner: u64) -> Option<Carried> {
        let context = self.context.as_ref().filter(|_| runner == QUEUED)?;
        match contained(|| (context.capture)()) {
            Ok(captured) => Some(Box::new(Mutex::new(Some(captured)))),
            Err(error) => {
                self.context_failed(error);
                None
            }
        }
    }

    /// Calls the loader for these flights, within what they carry. What is around it cannot keep it from being called,
    /// nor have it called twice.
    pub(super) fn call_within<T>(
        &self,
        flights: &[Arc<Flight<K, V>>],
        mut load: impl FnMut() -> T,
    ) -> T {
        let Some(context) = &self.context else {
            return load();
        };
        let captured = flights.iter().filter_map(|flight| flight.captured());
        let captured: Vec<_> = captured.collect();
        if captured.is_empty() {
            return load();
        }
        let mut loaded = None;
        let around = contained(|| {
            (context.around)(&captured, &mut || {
                loaded.get_or_insert_with(&mut load);
            });
        });
        drop_contained(captured);
        if let Err(error) = around {
            self.context_failed(error);
        }
        loaded.unwrap_or_else(load)
    }

    fn context_failed(&self, error: Error) {
        Counters::add(&self.stats.contexts_failed, 1);
        self.events.send(Event::ContextFailed { error });
    }
}
