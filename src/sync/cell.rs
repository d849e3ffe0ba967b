//! `std`'s unsafe cell, with the face of loom's.

#![allow(
    unsafe_code,
    reason = "loom's has an unsafe method, which this one has to have too"
)]

pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }
}

/// The right to one access. loom checks that no two are held at a time.
pub(crate) struct MutPtr<T>(*mut T);

impl<T> MutPtr<T> {
    /// # Safety
    ///
    /// The cell is alive, and nobody else has access to it, for as long as the reference is used.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "as loom has it")]
    pub(crate) unsafe fn deref(&self) -> &mut T {
        // SAFETY: the caller's.
        unsafe { &mut *self.0 }
    }
}
