//! Whether to look out for an answer before going to sleep for it.

use std::time::Duration;

use crate::clock::Clock;
use crate::sync::{order, plain, processors, spin, thread};

/// A call of the loader that took no longer is *quick*.
const QUICK: Duration = Duration::from_micros(10);

/// For so long an answer is looked out for: what it may take to wake a loader thread, and some more.
const MOST: Duration = Duration::from_micros(50);

/// Looks between two in which the processor is offered to others.
const LOOKS: u32 = 16;

/// What the bucket knows of how fast its loader is.
///
/// To put a caller to sleep and to wake it again takes longer than a quick load. So while loads are quick, it
/// looks out for its answer for a moment; but not where loads take their time, and not more than one caller
/// for each two processors at once, as the loader needs one too.
pub(super) struct Haste {
    /// The last call of the loader was quick.
    quick: plain::Flag,
    /// How many look out now.
    looking: plain::Word,
    most_looking: u64,
}

impl Haste {
    pub(super) fn new() -> Self {
        Self {
            quick: plain::Flag::new(false),
            looking: plain::Word::new(0),
            most_looking: processors() as u64 / 2,
        }
    }

    /// Runs one call of the loader. By the system's clock: a processor's time is meant, not the bucket's.
    pub(super) fn time<R>(&self, load: impl FnOnce() -> R) -> R {
        let clock = Clock::system();
        let loaded = load();
        self.quick.store(clock.now() <= QUICK, order::COUNT);
        loaded
    }

    /// Returns as soon as `done` says so, and else when it is time to sleep. `left` is how long the caller
    /// may wait at all.
    pub(super) fn look_out(&self, left: impl FnOnce() -> Duration, done: impl Fn() -> bool) {
        if self.most_looking == 0 || !self.quick.load(order::COUNT) {
            return;
        }
        if self.looking.fetch_add(1, order::COUNT) < self.most_looking {
            let (clock, most) = (Clock::system(), left().min(MOST));
            // Once in any case: of a thread that is not let run for a while, all its time may have passed by now.
            while !most.is_zero() && !(0..LOOKS).any(|_| done() || rest()) && clock.now() < most {
                thread::yield_now();
            }
        }
        self.looking.fetch_sub(1, order::COUNT);
    }
}

/// Between two looks. Never done by itself.
fn rest() -> bool {
    spin();
    false
}

#[cfg(all(test, not(any(larder_loom, larder_shuttle))))]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn on_two_processors() -> Haste {
        Haste {
            most_looking: 1,
            ..Haste::new()
        }
    }

    /// How often it looks while nothing comes.
    fn looks(haste: &Haste, left: Duration) -> u32 {
        let looks = Cell::new(0);
        haste.look_out(
            || left,
            || {
                looks.set(looks.get() + 1);
                false
            },
        );
        looks.get()
    }

    #[test]
    fn nobody_looks_out_before_a_load_was_quick() {
        let haste = on_two_processors();
        assert_eq!(looks(&haste, LONG), 0);
        haste.quick.store(true, order::COUNT);
        assert!(looks(&haste, LONG) > 0);
    }

    #[test]
    fn a_slow_load_ends_it() {
        let haste = on_two_processors();
        haste.quick.store(true, order::COUNT);
        haste.time(|| {
            let clock = Clock::system();
            while clock.now() <= 2 * QUICK {}
        });
        assert_eq!(looks(&haste, LONG), 0);
    }

    #[test]
    fn nobody_looks_out_where_no_time_is_left_or_another_does() {
        let haste = on_two_processors();
        haste.quick.store(true, order::COUNT);
        assert_eq!(looks(&haste, Duration::ZERO), 0);
        haste.look_out(
            || LONG,
            || {
                assert_eq!(looks(&haste, LONG), 0);
                true
            },
        );
        assert!(looks(&haste, LONG) > 0);
    }

    #[test]
    fn nobody_looks_out_on_one_processor() {
        let haste = Haste {
            quick: plain::Flag::new(true),
            looking: plain::Word::new(0),
            most_looking: 0,
        };
        assert_eq!(looks(&haste, LONG), 0);
    }

    #[test]
    fn the_look_out_ends_as_the_answer_comes() {
        let haste = on_two_processors();
        haste.quick.store(true, order::COUNT);
        let looks = Cell::new(0);
        haste.look_out(
            || LONG,
            || {
                looks.set(looks.get() + 1);
                looks.get() == 3
            },
        );
        assert_eq!(looks.get(), 3);
    }
}
