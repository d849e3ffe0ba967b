//! A barrier between two threads of which one pays for both.

#![allow(unsafe_code, reason = "a system call")]

use std::sync::atomic::{Ordering::SeqCst, compiler_fence, fence};

/// Whether [`heavy`] is to be relied on: where not, [`light`] is no barrier either.
pub(crate) fn works() -> bool {
    asymmetric::works()
}

/// The side that is passed often. Orders this thread's stores before its loads, seen by another thread that passes
/// the other side between its own: not both miss what the other has stored before.
///
/// Where the system allows, this side is a word to the compiler, and the heavy one makes it up: it has every running
/// thread of the process pass a full fence (Linux, `membarrier(2)`).
#[inline(always)]
pub(crate) fn light() {
    if asymmetric::IS {
        compiler_fence(SeqCst);
    } else {
        fence(SeqCst);
    }
}

/// The side that is passed seldom. Returns whether it was passed; the caller must not rely on it if not.
#[must_use]
pub(crate) fn heavy() -> bool {
    fence(SeqCst);
    asymmetric::pass()
}

#[cfg(all(target_os = "linux", not(miri)))]
mod asymmetric {
    use std::sync::OnceLock;

    pub(super) const IS: bool = true;

    /// Makes the process one whose threads can be made to pass a fence. False where the kernel, or what
    /// guards it, does not know the call.
    pub(super) fn works() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED
            .get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && pass())
    }

    pub(super) fn pass() -> bool {
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }

    fn membarrier(command: libc::c_int) -> bool {
        let none: libc::c_uint = 0;
        // SAFETY: the call takes three numbers and no pointer, changes nothing in this process's memory, and
        // where it does not exist it returns an error.
        unsafe { libc::syscall(libc::SYS_membarrier, command, none, none) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod asymmetric {
    pub(super) const IS: bool = false;

    pub(super) fn works() -> bool {
        true
    }

    pub(super) fn pass() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::thread;
    use std::time::{Duration, Instant};

    use crossbeam_utils::CachePadded;

    use super::*;

    /// What the models take for granted: that the system's barrier is one. Each side stores and then looks for what the
    /// other has stored, over and over. Without the heavy side, on two processors, both miss it within some thousand
    /// turns; the light side is a word to the compiler.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "where both take turns on one processor, a turn takes long and shows little"
    )]
    fn one_of_two_sides_sees_the_other() {
        const TURNS: usize = if cfg!(miri) { 20 } else { 150_000 };
        const OVER: usize = usize::MAX;
        if !works() {
            return;
        }
        let flags = || -> Vec<CachePadded<AtomicBool>> {
            (0..TURNS).map(|_| CachePadded::default()).collect()
        };
        let (light_was_here, heavy_was_here) = (flags(), flags());
        let until = Instant::now() + Duration::from_secs(2);
        let turn = CachePadded::new(AtomicUsize::new(0));
        let wait_for = |at| {
            let mut looks = 0;
            while turn.load(Relaxed) < at {
                looks += 1;
                if looks > 10_000 {
                    thread::yield_now();
                }
            }
        };
        let (by_light, by_heavy): (Vec<bool>, Vec<bool>) = thread::scope(|scope| {
            let lights = scope.spawn(|| {
                let turns = (0..TURNS).map_while(|at| {
                    // In a cache of the other side, so that the store takes its time.
                    wait_for(2 * at + 1);
                    if turn.load(Relaxed) == OVER {
                        return None;
                    }
                    light_was_here[at].store(true, Relaxed);
                    light();
                    let missed = !heavy_was_here[at].load(Relaxed);
                    turn.store(2 * at + 2, Relaxed);
                    Some(missed)
                });
                turns.collect()
            });
            let turns = (0..TURNS).map_while(|at| {
                wait_for(2 * at);
                if at % 64 == 0 && Instant::now() > until {
                    turn.store(OVER, Relaxed);
                    return None;
                }
                assert!(!light_was_here[at].load(Relaxed));
                turn.store(2 * at + 1, Relaxed);
                // At about the time at which the other side finds that it may go on.
                for _ in 0..at % 64 {
                    std::hint::spin_loop();
                }
                heavy_was_here[at].store(true, Relaxed);
                assert!(heavy());
                Some(!light_was_here[at].load(Relaxed))
            });
            let by_heavy: Vec<bool> = turns.collect();
            (lights.join().unwrap(), by_heavy)
        });
        let both = by_light.iter().zip(&by_heavy).filter(|(a, b)| **a && **b);
        assert_eq!(both.count(), 0, "turns in which both sides missed");
    }
}
