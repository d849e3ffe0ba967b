//! Asking again, where the bucket was reset between an answer and the moment in which its caller took it. DESIGN.md,
//! "Reset".

use std::borrow::Borrow;
use std::time::Duration;

use super::Loads;
use super::flight::{Flight, Keep};
use crate::error::Error;
use crate::fetched::{Fetched, Origin};
use crate::store::View;
use crate::sync::fault;
use crate::{HashBuilder, Key, Value};

/// The answers for many keys.
pub(super) struct Round<'q, Q: ?Sized, V> {
    /// The keys, with their hashes.
    pub(super) asked: Vec<(u64, &'q Q)>,
    pub(super) answers: Vec<Result<Fetched<V>, Error>>,
    /// Which of the answers are older than a reset.
    pub(super) again: Vec<usize>,
    /// How many of the keys were cached.
    pub(super) cached: usize,
}

impl<Q: ?Sized, V> Round<'_, Q, V> {
    /// An answer was waited for; there is none where it was older than a reset.
    pub(super) fn took(&mut self, at: usize, answer: Option<Result<Fetched<V>, Error>>) {
        match answer {
            Some(answer) => self.answers[at] = answer,
            None => self.again.push(at),
        }
    }
}

impl<K: Key, V: Value, S: HashBuilder> Loads<K, V, S> {
    /// The values of many keys: hits from one view, all misses together in one request. Counts who reads.
    pub(crate) fn fetch_many<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        limit: Duration,
        keep: Keep,
    ) -> Vec<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let (answers, cached) = self.fetch_all(keys, limit, keep);
        self.store.count_reads(answers.len(), cached);
        answers
    }

    /// The same without counting. Also how many of the keys were cached to begin with.
    pub(super) fn fetch_all<'q, Q>(
        &self,
        keys: impl Iterator<Item = &'q Q>,
        limit: Duration,
        keep: Keep,
    ) -> (Vec<Result<Fetched<V>, Error>>, usize)
    where
        K: Borrow<Q>,
        Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized + 'q,
    {
        let mut until = None;
        let Round {
            asked,
            mut answers,
            mut again,
            cached,
        } = self.fetch_round(keys, (limit, &mut until), keep);
        while !again.is_empty() {
            if until.is_some_and(|until| self.clock.now() >= until) {
                for at in again {
                    let (hash, key) = asked[at];
                    let known = self.known_again(&self.store.view(), hash, key, until);
                    answers[at] = known.unwrap_or_else(|| Err(Error::timeout()));
                }
                break;
            }
            let keys: Vec<&Q> = again.iter().map(|&at| asked[at].1).collect();
            let round = self.fetch_round(keys.into_iter(), (limit, &mut until), keep);
            let outdated = round.again.into_iter().map(|at| again[at]).collect();
            for (at, answer) in again.into_iter().zip(round.answers) {
                answers[at] = answer;
            }
            again = outdated;
        }
        (answers, cached)
    }

    /// What a caller is told at once who has to ask again, as its answer was older than a reset: what is cached by
    /// now, or that its time is up. It is asking again if it waits `until` some time already.
    pub(super) fn known_again<Q>(
        &self,
        view: &View<K, V>,
        hash: u64,
        key: &Q,
        until: Option<Duration>,
    ) -> Option<Result<Fetched<V>, Error>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let until = until?;
        if let Some(value) = view.uncounted(hash, key).cloned() {
            return Some(Ok(Fetched::new(Some(value), Origin::Hit)));
        }
        (self.clock.now() >= until).then(|| {
            self.stats.timed_out();
            Err(Error::timeout())
        })
    }

    /// Whether what a flight was answered with is older than the last reset.
    pub(super) fn is_outdated(&self, flight: &Flight<K, V>) -> bool {
        // One that has not begun has loaded nothing: its answer is an error of the bucket's.
        let number = flight.number();
        number != 0 && number < self.store.view().reset && !fault::planted("takes_what_was_told")
    }
}
