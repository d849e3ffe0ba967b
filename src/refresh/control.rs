//! What callers ask of the refresher.

use crate::error::Error;
use crate::load::Promise;
use crate::store::{Built, Joined, Joint};
use crate::sync::{Arc, Mutex, Parker, fault};
use crate::tags::Tags;

/// An answer that comes later.
pub(crate) type Reply<T> = Arc<Promise<Result<T, Error>>>;

/// A dataset, ready to be published, or why there is none.
pub(crate) type Fetched<K, V> = Result<Built<K, V>, Error>;

/// Requests to the refresher, and the bell that wakes it.
pub(crate) struct Control<K, V> {
    requests: Mutex<Requests<K, V>>,
    bell: Arc<Parker>,
}

/// What is asked for at a time. Equal requests share an answer.
pub(crate) struct Requests<K, V> {
    pub(crate) publish: Vec<Reply<u64>>,
    pub(crate) clear: Vec<Reply<u64>>,
    pub(crate) switch: Switch,
    pub(crate) reset: ResetTo,
    pub(crate) prune: Prune,
    pub(crate) untag: Untag,
    pub(crate) refresh: Vec<Reply<()>>,
    /// Answered as soon as a turn begins, for who waits for the end of one.
    pub(crate) turn: Vec<Reply<()>>,
    pub(crate) joints: Vec<(Joint<K, V>, Reply<Joined>)>,
    /// A dataset that has been fetched, or why not, and the number of the fetch.
    pub(crate) dataset: Option<(u64, Fetched<K, V>)>,
    pub(crate) stop: bool,
}

/// The switch of the bucket, as it is asked to be set.
#[derive(Default)]
pub(crate) struct Switch {
    /// The last word on it.
    pub(crate) caching: Option<bool>,
    /// It was to be off in between, so what is cached has to go.
    pub(crate) off: bool,
    pub(crate) asked: Vec<Reply<u64>>,
}

/// The version that the bucket is to be reset to.
#[derive(Default)]
pub(crate) struct ResetTo {
    pub(crate) version: u64,
    pub(crate) asked: Vec<Reply<u64>>,
}

/// To how many keys the bucket is to be brought down.
#[derive(Default)]
pub(crate) struct Prune {
    /// For each that asks, how many are to be left.
    pub(crate) to: Vec<usize>,
    pub(crate) asked: Vec<Reply<u64>>,
}

/// The tags under which all is to be forgotten.
#[derive(Default)]
pub(crate) struct Untag {
    /// For each that asks, its own.
    pub(crate) tags: Vec<Tags>,
    pub(crate) asked: Vec<Reply<u64>>,
}

impl<K, V> Default for Requests<K, V> {
    fn default() -> Self {
        Self {
            publish: Vec::new(),
            clear: Vec::new(),
            switch: Switch::default(),
            reset: ResetTo::default(),
            prune: Prune::default(),
            untag: Untag::default(),
            refresh: Vec::new(),
            turn: Vec::new(),
            joints: Vec::new(),
            dataset: None,
            stop: false,
        }
    }
}

impl<K, V> Control<K, V> {
    pub(crate) fn new(bell: Arc<Parker>) -> Self {
        Self {
            requests: Mutex::new(Requests::default()),
            bell,
        }
    }

    pub(crate) fn bell(&self) -> &Arc<Parker> {
        &self.bell
    }

    /// Asks for something, unless the refresher has been stopped.
    pub(crate) fn ask<T: Clone>(
        &self,
        place: impl FnOnce(&mut Requests<K, V>) -> &mut Vec<Reply<T>>,
    ) -> Reply<T> {
        self.ask_by(|requests, reply| place(requests).push(reply))
    }

    /// Asks for a joint write.
    pub(crate) fn ask_joint(&self, joint: Joint<K, V>) -> Reply<Joined> {
        // Where it is not placed it is dropped outside of the lock: it holds the user's values.
        let mut joint = Some(joint);
        self.ask_by(|requests, reply| {
            let asked = joint.take().map(|joint| (joint, reply));
            requests.joints.extend(asked);
        })
    }

    fn ask_by<T: Clone>(&self, place: impl FnOnce(&mut Requests<K, V>, Reply<T>)) -> Reply<T> {
        let reply = Arc::new(Promise::new());
        let stopped = {
            let mut requests = self.requests.lock();
            if !requests.stop || fault::planted("asks_after_stop") {
                place(&mut requests, Arc::clone(&reply));
            }
            requests.stop && !fault::planted("asks_after_stop")
        };
        if stopped {
            reply.answer(Err(Error::closed()));
        } else {
            self.bell.unpark();
        }
        reply
    }

    /// Hands over a dataset that has been fetched.
    pub(crate) fn deliver(&self, fetch: u64, dataset: Fetched<K, V>) {
        let old = self.requests.lock().dataset.replace((fetch, dataset));
        // Dropped here, where no lock is held: it holds the user's values.
        drop(old);
        self.bell.unpark();
    }

    /// Everything asked for by now.
    pub(crate) fn take(&self) -> Requests<K, V> {
        let mut requests = self.requests.lock();
        let stop = requests.stop;
        let taken = std::mem::take(&mut *requests);
        requests.stop = stop;
        Requests { stop, ..taken }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.requests.lock().stop
    }

    /// No more requests; those that wait are answered by the refresher.
    pub(crate) fn stop(&self) {
        self.requests.lock().stop = true;
        self.bell.unpark();
    }
}
