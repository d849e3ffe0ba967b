//! Telling the processor what will be read soon, so that it fetches that while it does something else.
//!
//! A hint, and no part of any protocol: nothing is read by it.

#![allow(unsafe_code, reason = "an instruction; figures are where it is used")]

/// Has the processor fetch what is there, and does not wait for it.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
pub(crate) fn fetch<T>(at: *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads nothing and does not fail, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// What other processors have for this is not in stable Rust.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn fetch<T>(_: *const T) {}
