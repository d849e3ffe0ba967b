//! A mutex whose poison is dealt with once.

use std::sync::TryLockError;

use super::world;

/// A mutual-exclusion lock without poisoning.
///
/// No code of a user runs while one of our locks is held, so a panic inside a critical section could
/// only be our own bug, and the data under our locks is valid between any two statements.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(world::Mutex<T>);

type MutexGuard<'a, T> = world::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(world::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The lock, if nobody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
