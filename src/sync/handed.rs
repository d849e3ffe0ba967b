//! A shared value as a plain pointer, which counts as one of its owners.

#![allow(unsafe_code, reason = "who has such a pointer says how long it is one")]

use std::ops::Deref;
use std::sync::Arc;

/// What such a pointer points to: the value.
#[repr(transparent)]
pub(crate) struct Handed<T>(T);

impl<T> Handed<T> {
    pub(crate) fn give(value: Arc<T>) -> *mut Self {
        Arc::into_raw(value).cast_mut().cast()
    }

    /// # Safety
    ///
    /// It was given, and is not taken for as long as what is returned is used.
    #[inline(always)]
    pub(crate) unsafe fn look<'a>(given: *mut Self) -> impl Deref<Target = T> + 'a
    where
        T: 'a,
    {
        // SAFETY: the caller's: an owner, and so the value, is there.
        unsafe { &(*given).0 }
    }

    /// # Safety
    ///
    /// It was given, is taken once, and is not looked at any more.
    pub(crate) unsafe fn take(given: *mut Self) -> Arc<T> {
        // SAFETY: the caller's: `give` made it of an `Arc`, whose type has the same layout.
        unsafe { Arc::from_raw(given.cast::<T>()) }
    }
}
