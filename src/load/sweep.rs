//! A refresh sweep: all keys of a bucket, reloaded a piece at a time.

use std::time::Duration;

use super::flight::Flight;
use crate::clock::Clock;
use crate::load::promise::Promise;
use crate::sync::{Arc, Mutex, fault};

/// The keys that are left to reload, and how it went so far.
///
/// Loader threads take pieces when nothing more urgent waits, so a sweep of a million keys fills no
/// queue and never stands in a miss's way for longer than one batch.
pub(crate) struct Sweep<K, V> {
    state: Mutex<State<K, V>>,
    /// How many there were.
    keys: usize,
    /// How long is waited for a piece, by this clock, if that has an end.
    limit: Option<(Duration, Clock)>,
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

struct State<K, V> {
    left: std::vec::IntoIter<K>,
    under_way: usize,
    failed: usize,
    /// The pieces under way, where there is a limit: each is ended by who takes it off, its loader's thread or who
    /// finds it late.
    pieces: Vec<Piece<K, V>>,
    /// How many pieces there have been.
    taken: u64,
    /// When a piece last began or ended.
    moved: Duration,
}

/// Keys that are being reloaded together.
pub(crate) struct Piece<K, V> {
    number: u64,
    since: Duration,
    pub(crate) keys: usize,
    /// Their flights, once they have begun.
    pub(crate) flights: Vec<Arc<Flight<K, V>>>,
}

/// What a sweep does not wait for any longer.
pub(crate) struct Late<K, V> {
    pub(crate) pieces: Vec<Piece<K, V>>,
    /// Keys that nobody has begun to reload.
    pub(crate) left: Vec<K>,
}

impl<K, V> Sweep<K, V> {
    /// A sweep that waits so long for each of its pieces, at most; without a limit, as long as they take.
    pub(crate) fn within(keys: Vec<K>, limit: Option<Duration>, clock: &Clock) -> Arc<Self> {
        let limit = limit.map(|limit| (limit, clock.clone()));
        let count = keys.len();
        let state = State {
            left: keys.into_iter(),
            under_way: 0,
            failed: 0,
            pieces: Vec::new(),
            taken: 0,
            moved: limit
                .as_ref()
                .map_or(Duration::ZERO, |(_, clock)| clock.now()),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            keys: count,
            limit,
            done: Promise::new(),
        })
    }

    fn now(&self) -> Duration {
        let clock = self.limit.as_ref();
        clock.map_or(Duration::ZERO, |(_, clock)| clock.now())
    }

    /// The next piece, of at most `most` keys, and its number; none at the end.
    pub(crate) fn take(&self, most: usize) -> Option<(u64, Vec<K>)> {
        let now = self.now();
        let mut state = self.state.lock();
        let keys: Vec<K> = state.left.by_ref().take(most).collect();
        if keys.is_empty() {
            return None;
        }
        state.under_way += 1;
        state.taken += 1;
        state.moved = now;
        let number = state.taken;
        if self.limit.is_some() {
            state.pieces.push(Piece {
                number,
                since: now,
                keys: keys.len(),
                flights: Vec::new(),
            });
        }
        Some((number, keys))
    }

    /// The loader is about to be asked for a piece: its time begins.
    pub(crate) fn begin_piece(&self, number: u64, flights: &[Arc<Flight<K, V>>]) {
        if self.limit.is_none() {
            return;
        }
        let (now, flights) = (self.now(), flights.to_vec());
        let mut state = self.state.lock();
        let piece = state.pieces.iter_mut().find(|piece| piece.number == number);
        if let Some(piece) = piece {
            (piece.since, piece.flights) = (now, flights);
        }
    }

    /// The loader's thread is through with a piece. Returns whether that is still waited for: then it has to be said
    /// [how it went](Self::done_with_piece).
    pub(crate) fn end_piece(&self, number: u64) -> bool {
        if self.limit.is_none() || fault::planted("late_ends_twice") {
            return true;
        }
        // Its flights are dropped after the lock.
        let ended = {
            let mut state = self.state.lock();
            let at = state.pieces.iter().position(|piece| piece.number == number);
            at.map(|at| state.pieces.swap_remove(at))
        };
        ended.is_some()
    }

    /// A piece is done. Returns whether it was the last.
    pub(crate) fn done_with_piece(&self, failed: usize) -> bool {
        let now = self.now();
        let over = {
            let mut state = self.state.lock();
            state.under_way -= 1;
            state.failed += failed;
            state.moved = now;
            (state.left.len() == 0 && state.under_way == 0).then_some(state.failed)
        };
        over.is_some_and(|failed| self.answer(failed))
    }

    /// Takes off what is late by now, which has to be said of each piece [as of one that has
    /// ended](Self::done_with_piece), and of [what is left](Self::fail_left).
    pub(crate) fn take_late(&self) -> Option<Late<K, V>> {
        let (limit, clock) = self.limit.as_ref()?;
        let now = clock.now();
        let is_late = |since: Duration| now >= since.saturating_add(*limit);
        let mut state = self.state.lock();
        let waits = state.under_way > 0;
        let late = |piece: &mut Piece<K, V>| is_late(piece.since);
        let pieces: Vec<_> = state.pieces.extract_if(.., late).collect();
        let left = match !waits && is_late(state.moved) {
            true => state.left.by_ref().collect(),
            false => Vec::new(),
        };
        Some(Late { pieces, left })
    }

    /// When something will be late, if nothing moves.
    pub(crate) fn next_late(&self) -> Option<Duration> {
        let (limit, _) = self.limit.as_ref()?;
        let state = self.state.lock();
        let first = state.pieces.iter().map(|piece| piece.since).min();
        Some(first.unwrap_or(state.moved).saturating_add(*limit))
    }

    /// So many keys that nobody has begun to reload have failed, and nothing is left.
    pub(crate) fn fail_left(&self, keys: usize) {
        let failed = {
            let mut state = self.state.lock();
            state.failed += keys;
            state.failed
        };
        self.answer(failed);
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

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const LIMIT: Duration = Duration::from_secs(3);
    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_nanos(1);

    fn late(sweep: &Sweep<u8, u8>) -> Option<(usize, Vec<u8>)> {
        let late = sweep.take_late()?;
        Some((late.pieces.len(), late.left))
    }

    #[test]
    fn it_is_known_when_something_will_be_late_and_not_a_tick_before() {
        let time = ManualClock::new();
        let sweep = Sweep::within(vec![1, 2, 3], Some(LIMIT), &time.clock());
        // Nobody has taken anything.
        assert_eq!(sweep.next_late(), Some(LIMIT));
        time.advance(SECOND);
        let (first, _) = sweep.take(1).unwrap();
        time.advance(SECOND);
        let (second, _) = sweep.take(1).unwrap();
        assert_eq!(sweep.next_late(), Some(SECOND + LIMIT));
        // The time of a piece begins when its loader is about to be asked.
        sweep.begin_piece(first, &[]);
        assert_eq!(sweep.next_late(), Some(2 * SECOND + LIMIT));
        assert!(sweep.end_piece(second));
        sweep.done_with_piece(0);

        time.advance(LIMIT - TICK);
        assert_eq!(late(&sweep), Some((0, vec![])));
        time.advance(TICK);
        assert_eq!(sweep.next_late(), Some(time.clock().now()));
        assert_eq!(late(&sweep), Some((1, vec![])));
        // Its loader's thread has nothing to say any more.
        assert!(!sweep.end_piece(first));
        sweep.done_with_piece(1);

        // What is left has as long again.
        assert_eq!(sweep.next_late(), Some(time.clock().now() + LIMIT));
        time.advance(LIMIT - TICK);
        assert_eq!(late(&sweep), Some((0, vec![])));
        time.advance(TICK);
        assert_eq!(late(&sweep), Some((0, vec![3])));
        sweep.fail_left(1);
        let swept = sweep.promise().peek().unwrap();
        assert_eq!((swept.keys, swept.failed), (3, 2));
        assert!(sweep.take(1).is_none());
    }

    #[test]
    fn without_a_limit_nothing_is_late() {
        let time = ManualClock::new();
        let sweep = Sweep::<u8, u8>::within(vec![1], None, &time.clock());
        let (piece, _) = sweep.take(1).unwrap();
        time.advance(1000 * LIMIT);
        assert!(sweep.next_late().is_none() && sweep.take_late().is_none());
        assert!(sweep.end_piece(piece));
    }
}
