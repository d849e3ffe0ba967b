//! A barrier between two threads of which one pays for both.

#![allow(unsafe_code, reason = "a system call")]

use std::sync::atomic::{Ordering::SeqCst, compiler_fence, fence};

/// Orders one thread's stores before its loads, seen by another thread that does the same: not both miss
/// what the other has stored before its barrier.
///
/// Where the system allows, the light side is free, and the heavy one makes it up: it has every running
/// thread of the process pass a full fence (Linux, `membarrier(2)`).
pub(crate) struct Barrier {
    /// The light side is only a word to the compiler. The same for all barriers of the process.
    asymmetric: bool,
}

impl Barrier {
    pub(crate) fn new() -> Self {
        Self {
            asymmetric: asymmetric::register(),
        }
    }

    /// The side that is passed often.
    #[inline(always)]
    pub(crate) fn light(&self) {
        if self.asymmetric {
            compiler_fence(SeqCst);
        } else {
            fence(SeqCst);
        }
    }

    /// The side that is passed seldom. Returns whether it was passed; the caller must not rely on it if
    /// not.
    #[must_use]
    pub(crate) fn heavy(&self) -> bool {
        fence(SeqCst);
        !self.asymmetric || asymmetric::pass()
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod asymmetric {
    use std::sync::OnceLock;

    /// Makes the process one whose threads can be made to pass a fence. False where the kernel, or what
    /// guards it, does not know the call.
    pub(super) fn register() -> bool {
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
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn pass() -> bool {
        false
    }
}
