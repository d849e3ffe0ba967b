//! The key of the histories: its `Eq` gives the core away now and then.
//!
//! `Eq` of a key is the one piece of the user's code that runs in the middle of a read or a write:
//! between the marks and the put, between a number and its place in the overlay, inside the gate. On
//! a machine with few cores nearly all threads would else be switched between calls, and the moments
//! inside of them, which matter, be seen by nobody.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    thread,
};

/// One comparison in so many lets another thread in.
const ONE_IN: u64 = 32;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Id(pub(crate) u16);

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        thread_local! {
            static COIN: Cell<u64> = const { Cell::new(0x2545_f491_4f6c_dd1d) };
        }
        let mut coin = COIN.get();
        coin ^= coin << 13;
        coin ^= coin >> 7;
        coin ^= coin << 17;
        COIN.set(coin);
        if coin.is_multiple_of(ONE_IN) {
            thread::yield_now();
        }
        self.0 == other.0
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
