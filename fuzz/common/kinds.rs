//! Kinds of keys and values for a table to hold. A key is known by a number, and so is a value.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::resume_unwind;

/// What the keys and values of a table are.
pub(crate) trait Kind {
    type Key: Clone + Eq;
    type Value: Clone;

    /// How many keys there are at the most.
    const KEYS: u16 = u16::MAX;

    fn key(number: u16) -> Self::Key;

    fn number(key: &Self::Key) -> u16;

    fn value(number: u32) -> Self::Value;

    /// Whether this is what [`value`](Self::value) makes of this number, as far as can be seen.
    fn is(value: &Self::Value, number: u32) -> bool;
}

/// Of few bytes.
pub(crate) struct Small;

impl Kind for Small {
    type Key = u8;
    type Value = u32;

    const KEYS: u16 = 256;

    fn key(number: u16) -> u8 {
        number as u8
    }

    fn number(key: &u8) -> u16 {
        u16::from(*key)
    }

    fn value(number: u32) -> u32 {
        number
    }

    fn is(value: &u32, number: u32) -> bool {
        *value == number
    }
}

/// With nothing to drop, and more of them than one block has.
pub(crate) struct Words;

impl Kind for Words {
    type Key = u64;
    type Value = u64;

    fn key(number: u16) -> u64 {
        u64::from(number)
    }

    fn number(key: &u64) -> u16 {
        *key as u16
    }

    fn value(number: u32) -> u64 {
        u64::from(number)
    }

    fn is(value: &u64, number: u32) -> bool {
        *value == u64::from(number)
    }
}

/// With memory of their own.
pub(crate) struct Texts;

impl Kind for Texts {
    type Key = String;
    type Value = String;

    fn key(number: u16) -> String {
        format!("key {number}")
    }

    fn number(key: &String) -> u16 {
        let number = key.strip_prefix("key ").and_then(|key| key.parse().ok());
        number.expect("keys are as they were made")
    }

    fn value(number: u32) -> String {
        number.to_string()
    }

    fn is(value: &String, number: u32) -> bool {
        *value == number.to_string()
    }
}

/// Of no size: one key.
pub(crate) struct Nothing;

impl Kind for Nothing {
    type Key = ();
    type Value = ();

    const KEYS: u16 = 1;

    fn key(_: u16) {}

    fn number((): &()) -> u16 {
        0
    }

    fn value(_: u32) {}

    fn is((): &(), _: u32) -> bool {
        true
    }
}

/// Aligned to a cache line.
pub(crate) struct Wide;

#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Line(u32);

impl Kind for Wide {
    type Key = u16;
    type Value = Line;

    fn key(number: u16) -> u16 {
        number
    }

    fn number(key: &u16) -> u16 {
        *key
    }

    fn value(number: u32) -> Line {
        Line(number)
    }

    fn is(value: &Line, number: u32) -> bool {
        assert_eq!(std::ptr::from_ref(value).addr() % 64, 0);
        value.0 == number
    }
}

/// Both counted, and both with code that may panic: see [`arm`].
pub(crate) struct Touchy;

pub(crate) struct Named<T>(T, #[allow(dead_code, reason = "is dropped")] Counted);

impl<T: Copy> Clone for Named<T> {
    fn clone(&self) -> Self {
        burn(Fuse::Clone);
        Named(self.0, Counted::new())
    }
}

impl<T: PartialEq> PartialEq for Named<T> {
    fn eq(&self, other: &Self) -> bool {
        burn(Fuse::Eq);
        self.0 == other.0
    }
}

impl<T: Eq> Eq for Named<T> {}

impl Kind for Touchy {
    type Key = Named<u16>;
    type Value = Named<u32>;

    fn key(number: u16) -> Named<u16> {
        Named(number, Counted::new())
    }

    fn number(key: &Named<u16>) -> u16 {
        key.0
    }

    fn value(number: u32) -> Named<u32> {
        Named(number, Counted::new())
    }

    fn is(value: &Named<u32>, number: u32) -> bool {
        value.0 == number
    }
}

thread_local! {
    static ALIVE: RefCell<HashSet<u64>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static DROPPED_TWICE: Cell<bool> = const { Cell::new(false) };
    static FUSE: Cell<Option<(Fuse, u16)>> = const { Cell::new(None) };
}

/// Is to be dropped once.
struct Counted(u64);

impl Counted {
    fn new() -> Self {
        let id = NEXT.get();
        NEXT.set(id + 1);
        ALIVE.with_borrow_mut(|alive| alive.insert(id));
        Counted(id)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !ALIVE.with_borrow_mut(|alive| alive.remove(&self.0)) {
            DROPPED_TWICE.set(true);
        }
    }
}

/// Checks that as many counted keys and values are alive as there should be, and none was dropped twice.
pub(crate) fn check_alive(count: usize) {
    assert!(!DROPPED_TWICE.get(), "dropped twice");
    assert_eq!(ALIVE.with_borrow(HashSet::len), count, "alive");
}

/// The user's code that may panic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fuse {
    Hash,
    Eq,
    Clone,
}

/// Has the code of this kind panic, once, after so many calls; or none.
pub(crate) fn arm(fuse: Option<(Fuse, u16)>) {
    FUSE.set(fuse);
}

/// Is called by code that may panic.
pub(crate) fn burn(kind: Fuse) {
    match FUSE.get() {
        Some((armed, 0)) if armed == kind => {
            FUSE.set(None);
            // Without the hook, which under libFuzzer ends the process.
            resume_unwind(Box::new("scripted"));
        }
        Some((armed, left)) if armed == kind => FUSE.set(Some((kind, left - 1))),
        _ => {}
    }
}
