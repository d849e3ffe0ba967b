//! Chunks of seven pairs beside their seven fingerprints, as in F14 (Bronson and Shi, "Open-sourcing F14 for
//! faster, more memory-efficient hash tables", 2019), in safe Rust.

use super::{Change, Design};
use crate::workload::{Hasher, Key, hasher};

const SLOTS: usize = 7;
/// Where a chunk counts the keys that wanted in and are further on.
const OVERFLOW: usize = SLOTS;
/// The count stands still at this: it is not known any more.
const MANY: u8 = u8::MAX;

/// Two cache lines for pairs of 16 bytes.
#[derive(Clone)]
#[repr(align(64))]
struct Chunk<K> {
    /// For each slot 0, or 128 and seven bits of the hash; and a count.
    tags: [u8; SLOTS + 1],
    pairs: [(K, u64); SLOTS],
}

/// `PERCENT` of the slots are taken when it is built.
pub struct Chunked<K, const PERCENT: usize> {
    chunks: Vec<Chunk<K>>,
    len: usize,
    hasher: Hasher,
}

impl<K: Key + Default, const PERCENT: usize> Chunked<K, PERCENT> {
    fn with_room(entries: usize) -> Self {
        let chunks = (entries * 100).div_ceil(SLOTS * PERCENT).max(1);
        let empty = || Chunk {
            tags: [0; SLOTS + 1],
            pairs: Default::default(),
        };
        Self {
            chunks: std::iter::repeat_with(empty).take(chunks).collect(),
            len: 0,
            hasher: hasher(),
        }
    }

    /// The chunk where a key is looked for first: by the high bits of its hash. Its tag is of the low ones.
    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.chunks.len() as u128) >> 64) as usize
    }

    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.chunks.len() {
            at + 1
        } else {
            0
        }
    }

    /// Returns the chunk and the slot of a key that is here.
    #[inline(always)]
    fn find(&self, hash: u64, key: &K::Query) -> Option<(usize, usize)> {
        let mut at = self.home(hash);
        for _ in 0..self.chunks.len() {
            let chunk = &self.chunks[at];
            let mut same = chunk.with_tag(tag(hash));
            while same != 0 {
                let slot = same.trailing_zeros() as usize / 8;
                if chunk.pairs.get(slot)?.0.borrow() == key {
                    return Some((at, slot));
                }
                same &= same - 1;
            }
            if chunk.tags[OVERFLOW] == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Puts a key that is not here. There must be room.
    fn add(&mut self, hash: u64, key: K, value: u64) {
        let mut at = self.home(hash);
        loop {
            let next = self.after(at);
            let chunk = &mut self.chunks[at];
            if let Some(slot) = chunk.tags[..SLOTS].iter().position(|&tag| tag == 0) {
                chunk.tags[slot] = tag(hash);
                chunk.pairs[slot] = (key, value);
                self.len += 1;
                return;
            }
            chunk.tags[OVERFLOW] = chunk.tags[OVERFLOW].saturating_add(1);
            at = next;
        }
    }

    fn remove(&mut self, hash: u64, (found, slot): (usize, usize)) {
        let mut at = self.home(hash);
        while at != found {
            let count = &mut self.chunks[at].tags[OVERFLOW];
            *count -= u8::from(*count < MANY);
            at = self.after(at);
        }
        self.chunks[found].tags[slot] = 0;
        self.chunks[found].pairs[slot] = Default::default();
        self.len -= 1;
    }
}

impl<K> Chunk<K> {
    /// Returns a word with the top bit of each byte set whose slot has this tag. A byte above such a one may be
    /// set wrongly: the keys tell.
    #[inline(always)]
    fn with_tag(&self, tag: u8) -> u64 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const TOPS: u64 = 0x0080_8080_8080_8080;
        let zeros = u64::from_le_bytes(self.tags) ^ (ONES * u64::from(tag));
        zeros.wrapping_sub(ONES) & !zeros & TOPS
    }
}

#[inline(always)]
fn tag(hash: u64) -> u8 {
    hash as u8 | 0x80
}

impl<K: Key + Default, const PERCENT: usize> Design<K> for Chunked<K, PERCENT> {
    const NAME: &'static str = match PERCENT {
        75 => "chunks of 7 with tags, load 0.75",
        85 => "chunks of 7 with tags, load 0.85",
        _ => "chunks of 7 with tags",
    };

    fn build(pairs: impl ExactSizeIterator<Item = (K, u64)>) -> Self {
        let mut table = Self::with_room(pairs.len());
        for (key, value) in pairs {
            table.add(table.hasher.hash_one(&key), key, value);
        }
        table
    }

    fn patched(&self, changes: Vec<Change<K>>) -> Self {
        let mut table = Self {
            chunks: self.chunks.clone(),
            len: self.len,
            hasher: self.hasher.clone(),
        };
        let room = table.chunks.len() * SLOTS * 15 / 16;
        for Change { hash, key, value } in changes {
            match (table.find(hash, key.borrow()), value) {
                (Some((at, slot)), Some(value)) => table.chunks[at].pairs[slot].1 = value,
                (Some(found), None) => table.remove(hash, found),
                (None, Some(value)) => {
                    assert!(
                        table.len < room,
                        "changes that outgrow a table are not compared"
                    );
                    table.add(hash, key, value);
                }
                (None, None) => {}
            }
        }
        table
    }

    #[inline(always)]
    fn get(&self, key: &K::Query) -> Option<u64> {
        let (at, slot) = self.find(self.hasher.hash_one(key), key)?;
        Some(self.chunks[at].pairs[slot].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_table_is_a_map() {
        const COUNT: u64 = 20_000;
        let pairs = (0..COUNT as usize).map(|index| (u64::nth(index as u64), index as u64));
        let table = Chunked::<u64, 85>::build(pairs);
        let changes = (0..COUNT + 500).filter(|index| index % 3 == 0);
        let changed = |index: u64| (index % 2 == 0).then_some(index + 1);
        let changes = changes.map(|index| Change::new(u64::nth(index), changed(index)));
        let patched = table.patched(changes.collect());
        for index in 0..COUNT + 1_000 {
            let old = (index < COUNT).then_some(index);
            assert_eq!(table.get(&u64::nth(index)), old);
            let is_changed = index % 3 == 0 && index < COUNT + 500;
            let new = if is_changed { changed(index) } else { old };
            assert_eq!(patched.get(&u64::nth(index)), new);
        }
        assert_eq!(table.len as u64, COUNT);
    }
}
