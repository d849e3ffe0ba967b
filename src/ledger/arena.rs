//! Things that are added one by one, by anybody, and stay where they are.

use crossbeam_utils::CachePadded;

use crate::sync::{Lazy, Slot, order, pace, plain};

/// Slots of the first segment, if as many fit.
const LEAST: usize = if cfg!(larder_loom) { 4 } else { 16 };

/// A segment is no larger: so it is made in some microseconds, and little is lost where two threads make one
/// at once.
const MOST_BYTES: usize = 64 << 10;

/// Chunks of the directory. Each is as large as all before it, so these are never used up.
const CHUNKS: usize = if cfg!(larder_loom) { 2 } else { 40 };

/// The slots of a segment. Whoever drops all of them has a checkpoint at each, as they hold things of the user's.
struct Segment<T>(Box<[Slot<T>]>);

impl<T> Drop for Segment<T> {
    fn drop(&mut self) {
        pace::checkpoint();
    }
}

/// Segments, and room for more.
type Chunk<T> = Box<[Lazy<Segment<T>>]>;

/// Segments of slots, made when they are reached: each twice as large as the one before, up to a limit.
pub(super) struct Arena<T> {
    directory: [Lazy<Chunk<T>>; CHUNKS],
    /// How many slots have an owner. No model switches threads here: that all are different is enough. Apart
    /// from what readers look at: each write changes it.
    claimed: CachePadded<plain::Word>,
}

/// Where a slot is.
struct Place {
    segment: usize,
    /// Slots of that segment.
    len: usize,
    slot: usize,
}

impl<T> Arena<T> {
    /// Slots of a segment at the most.
    const MOST: usize = match MOST_BYTES / size_of::<Slot<T>>() {
        // One is as good as it gets.
        0 => 1,
        fit => 1 << fit.ilog2(),
    };

    const FIRST: usize = if Self::MOST < LEAST {
        Self::MOST
    } else {
        LEAST
    };

    pub(super) fn new() -> Self {
        #[cfg_attr(not(larder_loom), expect(unused_mut, reason = "for loom"))]
        let mut directory = std::array::from_fn(|_| Lazy::new());
        // A model has enough steps without a look for the first segment at each access.
        #[cfg(larder_loom)]
        {
            let first = Lazy::full(Segment(made(Self::FIRST, Slot::new)));
            directory[0] = Lazy::full(Box::new([first]) as Box<[_]>);
        }
        Self {
            directory,
            claimed: CachePadded::new(plain::Word::new(0)),
        }
    }

    pub(super) fn append(&self, item: T) -> (usize, &T) {
        let index = self.claimed.fetch_add(1, order::COUNT) as usize;
        let place = Self::place(index);
        let (chunk, at) = chunk_of(place.segment);
        let chunk = self.directory[chunk].get_or_make(|| made(1 << chunk, Lazy::new));
        let segment = chunk[at].get_or_make(|| Segment(made(place.len, Slot::new)));
        (index, segment.0[place.slot].set(item))
    }

    /// What was appended with this index. Whoever has the index has it from there, by way of an Acquire.
    #[inline]
    pub(super) fn get(&self, index: usize) -> &T {
        let place = Self::place(index);
        let (chunk, at) = chunk_of(place.segment);
        let segment = self.directory[chunk]
            .get()
            .and_then(|chunk| chunk[at].get());
        match segment.and_then(|segment| segment.0[place.slot].get()) {
            Some(item) => item,
            None => unreachable!("an index is known only after its slot is set"),
        }
    }

    /// The slots that have an owner, in their order. Those of whoever is still at it may be empty, or missing.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot<T>> {
        let len = self.len();
        let mut reached = 0;
        let segments = std::iter::from_fn(move || {
            let left = len.checked_sub(reached).filter(|&left| left > 0)?;
            let place = Self::place(reached);
            reached += place.len;
            let (chunk, at) = chunk_of(place.segment);
            let segment = self.directory[chunk]
                .get()
                .and_then(|chunk| chunk[at].get());
            Some(segment.map_or(&[][..], |segment| &segment.0[..left.min(place.len)]))
        });
        segments.flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.claimed.load(order::COUNT) as usize
    }

    /// Bytes of what it has allocated.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.directory.iter().filter_map(Lazy::get);
        chunks
            .map(|chunk| {
                let segments = chunk.iter().filter_map(Lazy::get);
                let slots = segments.map(|segment| size_of_val(&*segment.0));
                size_of_val(&**chunk) + slots.sum::<usize>()
            })
            .sum()
    }

    #[inline]
    fn place(index: usize) -> Place {
        // Counted from as far in front of the first slot as the first segment is long, the segments that grow
        // begin at the powers of two.
        let from = index + Self::FIRST;
        let growing = (Self::MOST / Self::FIRST).ilog2();
        let doubled = from.ilog2() - Self::FIRST.ilog2();
        if doubled < growing {
            let len = Self::FIRST << doubled;
            return Place {
                segment: doubled as usize,
                len,
                slot: from - len,
            };
        }
        let behind = from - Self::MOST;
        Place {
            segment: growing as usize + behind / Self::MOST,
            len: Self::MOST,
            slot: behind % Self::MOST,
        }
    }
}

/// The chunk of the directory that has a segment, and where in it.
#[inline]
fn chunk_of(segment: usize) -> (usize, usize) {
    let chunk = (segment + 1).ilog2();
    (chunk as usize, segment + 1 - (1 << chunk))
}

fn made<T>(count: usize, make: fn() -> T) -> Box<[T]> {
    std::iter::repeat_with(make).take(count).collect()
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use super::*;

    /// All slots in a row are of the same segment until it is full, and then the first of the next.
    fn slots_follow_each_other<T>() {
        let mut last = Arena::<T>::place(0);
        assert_eq!((last.segment, last.slot), (0, 0));
        assert!(last.len * size_of::<Slot<T>>() <= MOST_BYTES.max(size_of::<Slot<T>>()));
        for index in 1..300_000 {
            let next = Arena::<T>::place(index);
            if last.slot + 1 < last.len {
                assert_eq!((next.segment, next.slot), (last.segment, last.slot + 1));
                assert_eq!(next.len, last.len);
            } else {
                assert_eq!((next.segment, next.slot), (last.segment + 1, 0));
                let doubled = next.len == 2 * last.len;
                assert!(doubled || next.len == last.len && next.len == Arena::<T>::MOST);
                assert!(next.len * size_of::<Slot<T>>() <= MOST_BYTES.max(size_of::<Slot<T>>()));
            }
            last = next;
        }
    }

    #[test]
    fn slots_of_all_sizes_follow_each_other() {
        slots_follow_each_other::<()>();
        slots_follow_each_other::<u64>();
        slots_follow_each_other::<[u64; 5]>();
        slots_follow_each_other::<[u8; 1000]>();
        slots_follow_each_other::<[u8; 4096]>();
        slots_follow_each_other::<[u8; 5000]>();
        slots_follow_each_other::<[u8; 40_000]>();
        slots_follow_each_other::<[u8; 100_000]>();
    }

    #[test]
    fn segments_follow_each_other() {
        let mut last = chunk_of(0);
        assert_eq!(last, (0, 0));
        for segment in 1..100_000 {
            let next = chunk_of(segment);
            if last.1 + 1 < 1 << last.0 {
                assert_eq!(next, (last.0, last.1 + 1));
            } else {
                assert_eq!(next, (last.0 + 1, 0));
            }
            last = next;
        }
    }

    #[test]
    fn what_is_appended_is_there() {
        let arena = Arena::new();
        for item in 0..50_000_u64 {
            let (index, there) = arena.append(item);
            assert_eq!((index as u64, *there), (item, item));
        }
        assert!((0..50_000).all(|index| *arena.get(index) == index as u64));
        assert_eq!(arena.len(), 50_000);
    }
}
