//! Users' code is run in here: its panics end it and go no further.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

/// Runs users' code. A panic becomes an error.
pub(crate) fn contained<T>(act: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let error = Error::panicked(&*payload);
        dispose(payload);
        error
    })
}

/// Drops what is a user's, where nothing must unwind.
pub(crate) fn drop_contained<T>(item: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(item))) {
        dispose(payload);
    }
}

/// Drops what a panic left, which is a user's as well and may panic again.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It could go on like this for ever. A leak is the smaller evil.
        std::mem::forget(again);
    }
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    /// Panics in its drop, with another one of its kind.
    struct Chain(u8);

    impl Drop for Chain {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Chain(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_payload_that_panics_in_its_drop_goes_no_further() {
        for links in 0..4 {
            drop_contained(Chain(links));
            let error = contained(|| std::panic::panic_any(Chain(links))).unwrap_err();
            assert!(error.to_string().contains("no message"), "{error}");
        }
        assert_eq!(contained(|| 7).unwrap(), 7);
    }
}
