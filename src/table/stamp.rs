//! When something was last touched: one word, which anybody may raise.

use crate::clock::{Idle, Tick};
use crate::sync::{atomic::AtomicU64, fault, order};

/// When something was last touched: the number of a period, or a moment.
#[derive(Default)]
pub(crate) struct Stamp(AtomicU64);

/// The uppermost bit: nobody has touched it for too long, and nobody may any more.
const OVER: u64 = 1 << 63;

impl Stamp {
    pub(crate) fn at(moment: u64) -> Self {
        Self(AtomicU64::new(moment & !OVER))
    }

    /// The number or moment of the last touch.
    pub(crate) fn last(&self) -> u64 {
        self.0.load(order::STAMP) & !OVER
    }

    /// It is touched in this period. Returns whether it had not been yet: only then something is written.
    #[inline]
    pub(super) fn touch_in(&self, period: u64) -> bool {
        if self.0.load(order::STAMP) == period {
            return false;
        }
        self.0.store(period, order::STAMP);
        true
    }

    /// It is touched now, unless it was idle for too long. Returns whether it was not.
    ///
    /// Who finds it idle says so in it: then nobody has it live again, who looked at the clock before.
    pub(crate) fn touch(&self, now: Tick, idle: Idle) -> bool {
        let seen = self.0.load(order::STAMP);
        if seen & OVER != 0 {
            return false;
        }
        if idle.is_fresh(seen, now) {
            return true;
        }
        let then = match idle.is_over(seen, now) {
            true => seen | OVER,
            false => now.to_word() & !OVER,
        };
        if fault::planted("touched_too_late") {
            self.0.store(then, order::STAMP);
            return then & OVER == 0;
        }
        let put = self
            .0
            .compare_exchange(seen, then, order::STAMP, order::STAMP);
        // Else somebody has touched it, or ended it.
        put.map_or_else(|there| there, |_| then) & OVER == 0
    }

    /// Whether it was idle for too long by then. Leaves it as it is.
    pub(crate) fn is_over(&self, now: Tick, idle: Idle) -> bool {
        idle.is_over(self.last(), now)
    }

    /// Ends it, if it was idle for too long by now. Returns whether it is over.
    pub(crate) fn end(&self, now: Tick, idle: Idle) -> bool {
        let seen = self.0.load(order::STAMP);
        if seen & OVER != 0 || !idle.is_over(seen, now) {
            return seen & OVER != 0;
        }
        let put = self
            .0
            .compare_exchange(seen, seen | OVER, order::STAMP, order::STAMP);
        put.map_or_else(|there| there & OVER != 0, |_| true)
    }

    /// What was touched where this comes from counts here too.
    pub(super) fn raise(&self, last: u64) {
        let mut seen = self.0.load(order::STAMP);
        while seen & OVER == 0 && seen < last {
            match self
                .0
                .compare_exchange(seen, last, order::STAMP, order::STAMP)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}
