//! A shared value as a plain pointer, of which loom checks that nobody looks at it when it is taken.

#![allow(unsafe_code, reason = "as the real one, for which it stands")]

use std::ops::Deref;
use std::sync::Arc;

use loom::cell::{ConstPtr, UnsafeCell};

/// What such a pointer points to.
pub(crate) struct Handed<T> {
    value: Arc<T>,
    used: UnsafeCell<()>,
}

impl<T> Handed<T> {
    pub(crate) fn give(value: Arc<T>) -> *mut Self {
        let used = UnsafeCell::new(());
        Box::into_raw(Box::new(Self { value, used }))
    }

    /// # Safety
    ///
    /// It was given, and is not taken for as long as what is returned is used.
    pub(crate) unsafe fn look<'a>(given: *mut Self) -> impl Deref<Target = T> + 'a
    where
        T: 'a,
    {
        // SAFETY: the caller's; loom checks it.
        let handed = unsafe { &*given };
        Looked {
            value: Arc::clone(&handed.value),
            _used: handed.used.get(),
        }
    }

    /// # Safety
    ///
    /// It was given, is taken once, and is not looked at any more.
    pub(crate) unsafe fn take(given: *mut Self) -> Arc<T> {
        // SAFETY: the caller's; loom checks the last part of it.
        let handed = unsafe { Box::from_raw(given) };
        drop(handed.used.get_mut());
        handed.value
    }
}

/// A look, until it is over.
struct Looked<T> {
    value: Arc<T>,
    _used: ConstPtr<()>,
}

impl<T> Deref for Looked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
