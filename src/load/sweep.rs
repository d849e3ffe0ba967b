//! A refresh sweep: all keys of a bucket, reloaded a piece at a time.

use crate::load::promise::Promise;
use crate::sync::{Arc, Mutex};

/// The keys that are left to reload, and how it went so far.
///
/// Loader threads take pieces when nothing more urgent waits, so a sweep of a million keys fills no
/// queue and never stands in a miss's way for longer than one batch.
pub(crate) struct Sweep<K> {
    state: Mutex<State<K>>,
    /// How many there were.
    keys: usize,
    /// Answered when the last piece is done.
    done: Promise<Swept>,
}

/// How a sweep went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    /// How many keys there were to reload.
    pub(crate) keys: usize,
    /// How many of them failed.
    pub(crate) failed: usize,
}

impl Swept {
    /// Whether there were keys, and each of them failed.
    pub(crate) fn is_lost(self) -> bool {
        self.failed > 0 && self.failed >= self.keys
    }
}

struct State<K> {
    left: std::vec::IntoIter<K>,
    under_way: usize,
    failed: usize,
}

impl<K> Sweep<K> {
    pub(crate) fn new(keys: Vec<K>) -> Arc<Self> {
        let count = keys.len();
        let state = State {
            left: keys.into_iter(),
            under_way: 0,
            failed: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            keys: count,
            done: Promise::new(),
        })
    }

    /// The next piece, of at most `most` keys; empty at the end.
    pub(crate) fn take(&self, most: usize) -> Vec<K> {
        let mut state = self.state.lock();
        let piece: Vec<K> = state.left.by_ref().take(most).collect();
        if !piece.is_empty() {
            state.under_way += 1;
        }
        piece
    }

    /// A piece is done. Returns whether it was the last.
    pub(crate) fn done_with_piece(&self, failed: usize) -> bool {
        let over = {
            let mut state = self.state.lock();
            state.under_way -= 1;
            state.failed += failed;
            (state.left.len() == 0 && state.under_way == 0).then_some(state.failed)
        };
        over.is_some_and(|failed| self.answer(failed))
    }

    /// Ends the sweep before its end.
    pub(crate) fn give_up(&self) {
        let (left, failed) = {
            let mut state = self.state.lock();
            (
                std::mem::replace(&mut state.left, Vec::new().into_iter()),
                state.failed,
            )
        };
        self.answer(failed);
        // Keys are dropped here, where no lock is held.
        drop(left);
    }

    fn answer(&self, failed: usize) -> bool {
        let keys = self.keys;
        self.done.answer(Swept { keys, failed })
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.state.lock().left.len() == 0
    }

    pub(crate) fn promise(&self) -> &Promise<Swept> {
        &self.done
    }
}
