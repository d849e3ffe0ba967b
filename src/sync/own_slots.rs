//! Whose slot is which, in the real world: found in two loads, without a lock.
//!
//! Each cell has an *index*, which no other cell has as long as it lives, and each thread a *block* with a slot for
//! each index. So there is nothing to compare and nothing to search. Blocks stay for good and go from a thread that
//! ends to one that begins; there are as many as threads have read at one time.

use std::cell::Cell;

use super::GlobalLock;
use super::atomic::{AtomicPtr, AtomicUsize};
use super::slots::{OUTSIDE, ThreadSlot, UNKNOWN};

/// As many cells at a time have slots, one fewer for the index that is no cell's. A power of two. A block takes 16
/// bytes for each.
const INDICES: usize = 256;

/// The index of all cells that have none of their own. Its slots are never used.
const NONE: usize = 0;

/// On cache lines of its own, since each read writes to it.
#[repr(align(64))]
pub(crate) struct Block([ThreadSlot; INDICES]);

impl Block {
    const fn new() -> Self {
        Block(
            [const {
                ThreadSlot {
                    inside: AtomicUsize::new(OUTSIDE),
                    word: AtomicPtr::new(UNKNOWN),
                }
            }; INDICES],
        )
    }
}

/// The block of threads that have none yet, or none any more. Nothing is ever kept in it.
static NOBODYS: Block = Block::new();

/// Blocks whose threads have ended. What one thread did in a block happens before what the next one does there: both
/// pass this lock.
static FREE_BLOCKS: GlobalLock<Vec<&'static Block>> = GlobalLock::new(Vec::new());

/// Indices in use, as bits.
static USED: GlobalLock<[u64; INDICES / 64]> = GlobalLock::new([1 << NONE; INDICES / 64]);

std::thread_local! {
    /// Without a destructor, so a look at it is a look at memory.
    static MINE: Cell<&'static Block> = const { Cell::new(&NOBODYS) };

    static LEASE: Lease = Lease::new();
}

/// A thread's block, until it ends.
struct Lease(&'static Block);

impl Lease {
    fn new() -> Self {
        let free = FREE_BLOCKS.lock().pop();
        let block = free.unwrap_or_else(|| Box::leak(Box::new(Block::new())));
        MINE.set(block);
        Self(block)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // First: a block that was given back may be another thread's at once, and the destructors of the user's
        // thread-locals, which may read a bucket, may still be to come.
        MINE.set(&NOBODYS);
        FREE_BLOCKS.lock().push(self.0);
    }
}

/// Where each thread has its slot of a cell in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index(usize);

/// A block in which a cell has a slot.
pub(crate) type Member = &'static Block;

/// A cell's slots: its index, as long as it lives.
pub(crate) struct Slots(Index);

impl Slots {
    pub(crate) fn new() -> Self {
        let mut used = USED.lock();
        for (at, word) in used.iter_mut().enumerate() {
            let bit = word.trailing_ones();
            if bit < u64::BITS {
                *word |= 1 << bit;
                return Self(Index(at * 64 + bit as usize));
            }
        }
        Self(Index(NONE))
    }

    pub(crate) fn index(&self) -> Index {
        self.0
    }

    /// This thread's slot, or nobody's.
    #[inline(always)]
    pub(crate) fn mine(&self, index: Index) -> Option<&'static ThreadSlot> {
        Some(&MINE.get().0[index.0 % INDICES])
    }

    /// This thread's block, from now on if it has none. `None` for a thread that is about to end, and for a cell
    /// without an index of its own.
    pub(crate) fn claim(&self) -> Option<Member> {
        if self.0.0 == NONE {
            return None;
        }
        LEASE.try_with(|lease| lease.0).ok()
    }

    pub(crate) fn of(&self, member: &Member) -> &'static ThreadSlot {
        &member.0[self.0.0]
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let Index(index) = self.0;
        if index != NONE {
            USED.lock()[index / 64] &= !(1 << (index % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;
    use std::ptr;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn address(slot: Option<&ThreadSlot>) -> usize {
        ptr::from_ref(slot.unwrap()).addr()
    }

    fn mine(slots: &Slots) -> Option<usize> {
        slots.claim()?;
        Some(address(slots.mine(slots.index())))
    }

    #[test]
    fn a_thread_has_a_slot_in_each_set_and_finds_it_again() {
        let sets: Vec<_> = (0..20).map(|_| Slots::new()).collect();
        let first: Vec<_> = sets.iter().map(mine).collect();
        let again: Vec<_> = sets.iter().map(mine).collect();
        assert_eq!(first, again);
        let distinct: HashSet<_> = first.into_iter().map(Option::unwrap).collect();
        assert_eq!(distinct.len(), sets.len());
    }

    #[test]
    fn threads_at_one_time_have_slots_of_their_own() {
        let slots = Slots::new();
        let barrier = std::sync::Barrier::new(4);
        let distinct: HashSet<_> = thread::scope(|scope| {
            let ask = || {
                let mine = mine(&slots).unwrap();
                barrier.wait();
                mine
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn blocks_of_threads_that_have_ended_are_used_again() {
        const THREADS: usize = if cfg!(miri) { 60 } else { 1000 };
        let slots = Slots::new();
        let blocks: HashSet<_> = (0..THREADS)
            .map(|_| thread::scope(|scope| scope.spawn(|| mine(&slots)).join().unwrap()))
            .collect();
        // Of other tests' threads there are a few at a time.
        assert!(blocks.len() < 40, "{} blocks", blocks.len());
    }

    #[test]
    fn indices_are_used_again_and_where_none_is_left_there_are_no_slots() {
        let mut sets: Vec<_> = (0..3 * INDICES).map(|_| Slots::new()).collect();
        assert!(sets.pop().unwrap().claim().is_none());
        drop(sets);
        assert!(Slots::new().claim().is_some());
    }

    /// A user's thread-local may read a bucket in its destructor, before or after ours.
    #[test]
    fn nobody_has_a_slot_that_was_given_back() {
        struct Reads(Arc<Slots>, Arc<Mutex<usize>>);
        impl Drop for Reads {
            fn drop(&mut self) {
                let Some(mine) = mine(&self.0) else {
                    assert_eq!(
                        address(self.0.mine(self.0.index())),
                        address(NOBODYS.0.get(self.0.index().0))
                    );
                    return;
                };
                // Given back by now, it would be given to this one.
                let other = || self::mine(&self.0).unwrap();
                let other = thread::scope(|scope| scope.spawn(other).join().unwrap());
                *self.1.lock() += usize::from(other == mine);
            }
        }
        std::thread_local! {
            static FIRST: RefCell<Option<Reads>> = const { RefCell::new(None) };
            static LAST: RefCell<Option<Reads>> = const { RefCell::new(None) };
        }
        use crate::sync::Mutex;
        let slots = Arc::new(Slots::new());
        let shared = Arc::new(Mutex::new(0));
        for _ in 0..10 {
            let work = || {
                let reads = || Some(Reads(Arc::clone(&slots), Arc::clone(&shared)));
                FIRST.set(reads());
                mine(&slots).unwrap();
                LAST.set(reads());
            };
            thread::scope(|scope| scope.spawn(work).join().unwrap());
        }
        assert_eq!(*shared.lock(), 0);
    }
}
