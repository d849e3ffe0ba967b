//! Dumps that are not as they were written.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::dump::forge::reseal;
use crate::dump::format::{HEADER, SUM};

fn styles() -> Vec<Style> {
    match cfg!(feature = "dump-compression") {
        true => vec![small(false), small(true)],
        false => vec![small(false)],
    }
}

/// A small dump of several blocks, and what it holds.
fn sample(style: Style) -> (Vec<u8>, Loaded) {
    let entries = entries(12, "aaaaaaaaaaaaaaaaaaaaaa");
    (written(style, WHOSE, &entries), loaded(&entries))
}

fn rejected_or_equal(bytes: &[u8], whole: &Loaded, what: &str) {
    if let Ok(found) = read_back(bytes) {
        assert_eq!(&found, whole, "{what}");
    }
}

#[test]
fn no_truncated_dump_is_read() {
    for style in styles() {
        let (bytes, _) = sample(style);
        for len in 0..bytes.len() {
            let flaw = read_back(&bytes[..len]).unwrap_err();
            assert_eq!(flaw.kind(), DumpErrorKind::Truncated, "{len}");
        }
    }
}

#[test]
fn no_truncated_dump_is_read_that_seems_to_be_longer() {
    let (bytes, _) = sample(small(false));
    for len in 0..bytes.len() {
        let flaw = read::<u32, String>(
            &bytes[..len],
            bytes.len() as u64,
            WHOSE,
            0,
            &mut |_, _, _| {},
        );
        assert_eq!(flaw.unwrap_err().kind(), DumpErrorKind::Truncated, "{len}");
    }
}

#[test]
fn no_dump_is_read_with_a_bit_flipped() {
    for style in styles() {
        let (bytes, _) = sample(style);
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read_back(&bytes).is_err(), "{bit}");
        }
    }
}

#[test]
fn no_dump_is_read_with_a_byte_doubled_lost_or_zero() {
    for style in styles() {
        let (bytes, whole) = sample(style);
        for at in 0..bytes.len() {
            let mut doubled = bytes.clone();
            doubled.insert(at, bytes[at]);
            assert!(read_back(&doubled).is_err(), "{at} doubled");
            let mut lost = bytes.clone();
            lost.remove(at);
            assert!(read_back(&lost).is_err(), "{at} lost");
            let mut zeros = bytes.clone();
            zeros[at..].fill(0);
            rejected_or_equal(&zeros, &whole, "zeros from there");
        }
    }
}

/// Where the blocks are, sums included.
fn blocks(bytes: &mut [u8]) -> Vec<std::ops::Range<usize>> {
    let before = bytes.to_vec();
    let sums = reseal(bytes);
    assert_eq!(bytes, before, "a whole dump is resealed as it was");
    sums.windows(2)
        .map(|pair| pair[0] + SUM..pair[1] + SUM)
        .take(sums.len() - 2)
        .collect()
}

/// Each of these blocks is right by itself, and so is the count at the end.
#[test]
fn blocks_of_another_order_or_another_dump_are_found_out() {
    let mut one = written(small(false), WHOSE, &entries(30, "old"));
    let mut other = written(small(false), WHOSE, &entries(30, "new"));
    let (blocks, others) = (blocks(&mut one), blocks(&mut other));
    assert!(blocks.len() > 3 && blocks == others);
    for (at, block) in blocks.iter().enumerate() {
        let mut mixed = one.clone();
        mixed[block.clone()].copy_from_slice(&other[block.clone()]);
        assert!(read_back(&mixed).is_err(), "{at} is of another dump");
        for next in &blocks[at + 1..] {
            if next.len() == block.len() {
                let mut swapped = one.clone();
                swapped[block.clone()].copy_from_slice(&one[next.clone()]);
                swapped[next.clone()].copy_from_slice(&one[block.clone()]);
                assert!(read_back(&swapped).is_err(), "{at} is elsewhere");
            }
        }
        let mut twice = one.clone();
        twice.splice(block.end..block.end, one[block.clone()].iter().copied());
        assert!(read_back(&twice).is_err(), "{at} is there twice");
        let mut without = one.clone();
        without.drain(block.clone());
        assert!(read_back(&without).is_err(), "{at} is missing");
    }
}

/// The sums are right, as if a writer had been at fault: the counts are not.
#[test]
fn a_dump_that_lacks_a_block_or_has_one_twice_does_not_agree_with_its_end() {
    let mut bytes = written(small(false), WHOSE, &entries(12, "word"));
    for block in blocks(&mut bytes) {
        let mut without = bytes.clone();
        without.drain(block.clone());
        reseal(&mut without);
        let kind = read_back(&without).unwrap_err().kind();
        assert_eq!(kind, DumpErrorKind::Corrupt);
        let mut twice = bytes.clone();
        twice.splice(block.end..block.end, bytes[block.clone()].iter().copied());
        reseal(&mut twice);
        let kind = read_back(&twice).unwrap_err().kind();
        assert_eq!(kind, DumpErrorKind::Corrupt);
    }
}

/// Everything agrees, but in one block there is more than the entries that it says it has.
#[test]
fn a_block_has_its_entries_and_nothing_else() {
    let mut bytes = written(small(false), WHOSE, &entries(12, "word"));
    let first = blocks(&mut bytes).remove(0).start;
    let end = bytes.len();
    for count in [40, first + 8, end - 20] {
        assert!(bytes[count] > 1);
        bytes[count] -= 1;
    }
    reseal(&mut bytes);
    let kind = read_back(&bytes).unwrap_err().kind();
    assert_eq!(kind, DumpErrorKind::Decode);
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let (mut bytes, _) = sample(small(false));
    bytes.push(0);
    let kind = read_back(&bytes).unwrap_err().kind();
    assert_eq!(kind, DumpErrorKind::Corrupt);
}

#[test]
fn dumps_of_others_are_refused_by_name() {
    let entries = entries(3, "x");
    let kind_of = |bytes: &[u8]| read_back(bytes).unwrap_err().kind();
    for (bucket, schema, kind) in [
        ("word", 7, DumpErrorKind::Bucket),
        ("words2", 7, DumpErrorKind::Bucket),
        ("", 7, DumpErrorKind::Bucket),
        ("Words", 8, DumpErrorKind::Bucket),
        ("words", 8, DumpErrorKind::Schema),
        ("words", 0, DumpErrorKind::Schema),
    ] {
        let whose = Identity { bucket, schema };
        let bytes = written(small(false), whose, &entries);
        assert_eq!(kind_of(&bytes), kind);
        assert!(read_as(&bytes, whose, CREATED).is_ok());
    }
    let own = written(small(false), WHOSE, &entries);
    let with = |at: usize, byte: u8| {
        let mut bytes = own.clone();
        bytes[at] = byte;
        reseal(&mut bytes);
        bytes
    };
    assert_eq!(kind_of(&with(8, 0)), DumpErrorKind::Format, "older");
    assert_eq!(kind_of(&with(8, 2)), DumpErrorKind::Format, "newer");
    assert_eq!(kind_of(&with(9, 1)), DumpErrorKind::Format, "much newer");
    assert_eq!(kind_of(&with(10, 2)), DumpErrorKind::Format, "flag");
    assert_eq!(kind_of(&with(0, b'x')), DumpErrorKind::NotADump);
    assert_eq!(kind_of(&[b'x'; 500]), DumpErrorKind::NotADump);
    if !cfg!(feature = "dump-compression") {
        assert_eq!(kind_of(&with(10, 1)), DumpErrorKind::Format, "compressed");
    }
}

/// Gives zeros without end, and counts them.
struct Zeros(Vec<u8>, u64);

impl Read for &mut Zeros {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            into.fill(0);
            self.1 += into.len() as u64;
            return Ok(into.len());
        }
        let count = into.len().min(self.0.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

/// A header, and the head of a block that declares so much.
fn declares(stored: u32, raw: u32, entries: u32) -> Vec<u8> {
    let mut bytes = written(small(false), WHOSE, &[]);
    bytes.truncate(HEADER + WHOSE.bucket.len() + SUM);
    for number in [stored, raw, entries] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[test]
fn no_length_is_believed_beyond_the_bytes_that_are_left() {
    for declared in [1, 65_536, 1 << 30, u32::MAX] {
        let start = declares(declared, declared, 1);
        let mut endless = Zeros(start.clone(), 0);
        let len = start.len() as u64 + u64::from(declared.min(1000)) - 1;
        let read = read::<u32, String>(&mut endless, len, WHOSE, 0, &mut |_, _, _| {});
        assert!(read.is_err());
        assert_eq!(endless.1, 0, "{declared} were declared, less is left");
    }
    // The same of the name.
    let mut start = declares(0, 0, 0);
    start[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut endless = Zeros(start, 0);
    let read = read::<u32, String>(&mut endless, u64::MAX, WHOSE, 0, &mut |_, _, _| {});
    assert!(read.is_err());
    assert_eq!(endless.1, 0);
}

#[test]
fn no_block_is_larger_than_a_block_may_be() {
    for declared in [(1 << 30) + 65_537, u32::MAX] {
        let mut endless = Zeros(declares(declared, declared, 1), 0);
        let read = read::<u32, String>(&mut endless, u64::MAX, WHOSE, 0, &mut |_, _, _| {});
        assert_eq!(read.unwrap_err().kind(), DumpErrorKind::Corrupt);
        assert_eq!(endless.1, 0);
    }
}

#[test]
fn heads_that_cannot_be_are_refused_before_what_follows_is_read() {
    for (stored, raw, entries) in [
        (0, 1, 0),
        (0, 0, 1),
        (0, 1, 1),
        (10, 9, 1),
        (9, 10, 1),
        (10, 10, 0),
        (10, 10, 11),
        (10, 0, 1),
        (1, u32::MAX, 1),
    ] {
        let mut endless = Zeros(declares(stored, raw, entries), 0);
        let read = read::<u32, String>(&mut endless, u64::MAX, WHOSE, 0, &mut |_, _, _| {});
        let kind = read.unwrap_err().kind();
        assert_eq!(kind, DumpErrorKind::Corrupt, "{stored} {raw} {entries}");
        assert_eq!(endless.1, 0);
    }
}

/// A block may say that it unpacks to much, and its sum be right.
#[cfg(feature = "dump-compression")]
#[test]
fn what_a_packed_block_says_of_its_size_is_bounded_by_what_is_there() {
    let (bytes, _) = sample(small(true));
    let first = HEADER + WHOSE.bucket.len() + SUM;
    for raw in 0..2000_u32 {
        let mut bytes = bytes.clone();
        let before = bytes[first + 4..first + 8].to_vec();
        bytes[first + 4..first + 8].copy_from_slice(&raw.to_le_bytes());
        let same = before == bytes[first + 4..first + 8];
        reseal(&mut bytes);
        assert_eq!(read_back(&bytes).is_ok(), same, "{raw}");
    }
    let head = |raw: u32| {
        let mut head = [0; crate::dump::format::HEAD];
        head[..4].copy_from_slice(&4_u32.to_le_bytes());
        head[4..8].copy_from_slice(&raw.to_le_bytes());
        head[8..].copy_from_slice(&1_u32.to_le_bytes());
        crate::dump::format::Head::parse(&head, true)
    };
    assert!(head(4 * 256 + 255).is_ok());
    assert!(head(5 * 256).is_err());
}

/// The file system gives an error in the middle, and then another answer.
struct Interrupted<'a>(&'a [u8], usize, bool);

impl Read for Interrupted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.1 == 0 {
            return Err(io::Error::other("bad sector"));
        }
        // A byte at a time.
        let count = into.len().min(1);
        self.1 -= count;
        self.0.read(&mut into[..count])
    }
}

#[test]
fn reading_goes_on_after_interruptions_and_short_reads_and_not_after_errors() {
    for style in styles() {
        let (bytes, whole) = sample(style);
        let read_until = |bad| {
            let mut found = Loaded::new();
            let input = Interrupted(&bytes, bad, false);
            let len = bytes.len() as u64;
            read(input, len, WHOSE, CREATED, &mut |key, value, left| {
                found.push((key, value, left));
            })
            .map(|_| found)
        };
        assert_eq!(read_until(usize::MAX).unwrap(), whole);
        for bad in 0..bytes.len() {
            assert_eq!(read_until(bad).unwrap_err().kind(), DumpErrorKind::Io);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes are changed and the sums made right again: what is read then is read again as it is written.
    #[test]
    fn what_passes_the_sums_is_read_or_refused(
        packed: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let packed = packed && cfg!(feature = "dump-compression");
        let (mut bytes, _) = sample(small(packed));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        reseal(&mut bytes);
        // Zero, so that nothing has expired.
        if let Ok((found, report)) = read_as(&bytes, WHOSE, 0) {
            let count = report.entries + report.expired;
            prop_assert!(count <= report.facts.entries);
            prop_assert_eq!(report.entries, found.len() as u64);
        }
    }

    #[test]
    fn any_entries_come_back_in_any_blocks(
        entries in prop::collection::vec((any::<u32>(), ".{0,40}", prop::option::of(CREATED + 1..u64::MAX)), 0..60),
        block in 1..300_usize,
        packed: bool,
    ) {
        let packed = packed && cfg!(feature = "dump-compression");
        let style = Style { block, packed, ..Style::default() };
        let bytes = written(style, WHOSE, &entries);
        prop_assert_eq!(read_back(&bytes).unwrap(), loaded(&entries));
    }
}
