//! What stands where in a dump: numbers, header, the head of a block. Pure.

use super::error::{DumpErrorKind, Flaw};

/// The first bytes of every dump, in all formats. Its first byte and its line end show what was sent through
/// something that takes files for text, as those of PNG do.
pub(crate) const MAGIC: [u8; 8] = *b"\x89larder\n";

/// The format that is written, and the only one that is read.
pub(crate) const FORMAT: u16 = 1;

/// In the header's flags: blocks may be compressed.
pub(crate) const PACKED: u16 = 1;

/// A block is written as soon as it is no smaller. Large enough that its head and its system call are
/// nothing, small enough to stay in a second-level cache.
pub(crate) const BLOCK: usize = 64 * 1024;

/// The most bytes of an entry.
pub(crate) const MOST_ENTRY: usize = 1 << 30;

/// The most bytes of a block, as they are before compression: an entry may be put into one that is all but
/// full.
pub(crate) const MOST_BLOCK: usize = BLOCK + MOST_ENTRY;

/// The most bytes of a bucket's name.
pub(crate) const MOST_NAME: usize = 64 * 1024;

/// The size of a checksum.
pub(crate) const SUM: usize = 4;

/// The size of what is before the bucket's name.
pub(crate) const HEADER: usize = 48;

/// The size of what is before a block's entries.
pub(crate) const HEAD: usize = 12;

/// The size of what is between the end mark and the last checksum.
pub(crate) const TRAILER: usize = 16;

/// Whose dump it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) schema: u64,
}

/// What is known of a dump before its first entry is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// By the wall clock, in milliseconds since the epoch.
    pub(crate) created_ms: u64,
    /// The bucket's version.
    pub(crate) version: u64,
    /// How many entries there are, those included that have expired.
    pub(crate) entries: u64,
}

/// The header, without the bucket's name and the checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) packed: bool,
    pub(crate) name: usize,
    pub(crate) schema: u64,
    pub(crate) facts: Facts,
}

impl Header {
    /// The fixed part and the name; a checksum is to follow.
    pub(crate) fn bytes(whose: Identity<'_>, packed: bool, facts: Facts) -> Result<Vec<u8>, Flaw> {
        let name = whose.bucket.as_bytes();
        let long = u32::try_from(name.len()).ok();
        let Some(long) = long.filter(|_| name.len() <= MOST_NAME) else {
            return Err(Flaw::new(
                DumpErrorKind::TooLarge,
                "the bucket's name is longer than 64 KiB",
            ));
        };
        let flags = if packed { PACKED } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER + name.len() + SUM);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&long.to_le_bytes());
        for number in [whose.schema, facts.created_ms, facts.version, facts.entries] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(name);
        Ok(bytes)
    }

    /// # Errors
    ///
    /// What can be said before the checksum is known: that it is no dump, or one in another format. These
    /// bytes mean the same in all formats, so this comes first.
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Result<Self, Flaw> {
        if bytes[..8] != MAGIC {
            return Err(Flaw::new(
                DumpErrorKind::NotADump,
                "the file does not begin as a dump",
            ));
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format != FORMAT {
            return Err(Flaw::new(
                DumpErrorKind::Format,
                format!("the file has format {format}, and this is {FORMAT}"),
            ));
        }
        let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
        let known = if cfg!(feature = "dump-compression") {
            PACKED
        } else {
            0
        };
        if flags & !known != 0 {
            return Err(Flaw::new(
                DumpErrorKind::Format,
                format!("the file has the flags {flags:#x}, and known are {known:#x}"),
            ));
        }
        Ok(Self {
            packed: flags & PACKED != 0,
            name: word(bytes, 12) as usize,
            schema: long(bytes, 16),
            facts: Facts {
                created_ms: long(bytes, 24),
                version: long(bytes, 32),
                entries: long(bytes, 40),
            },
        })
    }
}

/// The head of a block. One without bytes is the end mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The bytes that follow.
    pub(crate) stored: usize,
    /// The bytes that they stand for; as many, if they are not compressed.
    pub(crate) raw: usize,
    /// The entries in them.
    pub(crate) entries: u32,
}

impl Head {
    /// Their number is bounded by [`MOST_BLOCK`], so the casts cut nothing.
    pub(crate) fn bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&(self.stored as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.raw as u32).to_le_bytes());
        bytes[8..].copy_from_slice(&self.entries.to_le_bytes());
        bytes
    }

    /// # Errors
    ///
    /// What no writer writes, whatever the bytes that follow. They are looked at before memory is had for
    /// them, and before their checksum can be known.
    pub(crate) fn parse(bytes: &[u8; HEAD], packed: bool) -> Result<Option<Self>, Flaw> {
        let head = Self {
            stored: word(bytes, 0) as usize,
            raw: word(bytes, 4) as usize,
            entries: word(bytes, 8),
        };
        if head.stored == 0 {
            return match (head.raw, head.entries) {
                (0, 0) => Ok(None),
                _ => Err(Flaw::corrupt("a block without bytes")),
            };
        }
        let sizes = head.raw <= MOST_BLOCK
            && match packed {
                // What does not become smaller is stored as it is. A byte of LZ4 stands for 255 at most,
                // so what a block unpacks to is bounded by the file as well.
                true => head.stored <= head.raw && head.raw / 256 <= head.stored,
                false => head.stored == head.raw,
            };
        // The smallest entry has one byte: that it never expires.
        if !sizes || head.entries == 0 || head.entries as usize > head.raw {
            return Err(Flaw::corrupt("a block whose numbers cannot be"));
        }
        Ok(Some(head))
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

pub(crate) fn long(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
