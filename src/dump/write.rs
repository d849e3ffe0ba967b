//! Writing a dump: entries in, blocks out.

use std::io::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use super::error::{DumpErrorKind, Flaw};
use super::format::{BLOCK, Facts, HEAD, Head, Header, Identity, MOST_ENTRY, SUM, TRAILER};
use super::sum::Sum;
use crate::contain::drop_contained;
use crate::expiry;

/// How a dump is written. What may be read does not depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// A block is written when it has so many bytes, [`BLOCK`] at most.
    pub(crate) block: usize,
    /// No entry has more, [`MOST_ENTRY`] at most.
    pub(crate) most_entry: usize,
    /// Whether blocks are compressed.
    pub(crate) packed: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            block: BLOCK,
            most_entry: MOST_ENTRY,
            packed: false,
        }
    }
}

/// A dump that is being written. Each block, the header and the trailer go out in one call.
pub(crate) struct Writer<W> {
    out: W,
    style: Style,
    facts: Facts,
    sum: Sum,
    /// Room for the head, and the entries since the last block.
    block: Vec<u8>,
    in_block: u32,
    /// The compressed block.
    packed: Vec<u8>,
    written: Written,
}

/// What has been written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) entries: u64,
    /// Left out, since they had expired when the dump was made.
    pub(crate) expired: u64,
    pub(crate) bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn begin(
        out: W,
        style: Style,
        whose: Identity<'_>,
        facts: Facts,
    ) -> Result<Self, Flaw> {
        let mut header = Header::bytes(whose, style.packed, facts)?;
        let mut this = Self {
            out,
            style,
            facts,
            sum: Sum::default(),
            block: vec![0; HEAD],
            in_block: 0,
            packed: Vec::new(),
            written: Written::default(),
        };
        this.seal(&mut header)?;
        Ok(this)
    }

    /// Takes one entry more. One that has expired by the time of the dump is counted and left out.
    ///
    /// The first entry of each block is read back: so types that the codec can write and not read, as those
    /// that ask what comes next, are found now, and not when the dump is needed.
    pub(crate) fn entry<K, V>(
        &mut self,
        key: &K,
        value: &V,
        deadline: Option<u64>,
    ) -> Result<(), Flaw>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        let created = self.facts.created_ms;
        if deadline.is_some_and(|deadline| expiry::left(deadline, created, created).is_none()) {
            self.written.expired += 1;
            return Ok(());
        }
        codec::encode(&mut self.block, self.style.most_entry, key, value, deadline)?;
        if self.in_block == 0 {
            let back = codec::decode::<K, V>(&self.block[HEAD..]);
            let whole = back.map(|(entry, rest)| {
                drop_contained(entry);
                rest.is_empty()
            });
            if !matches!(whole, Ok(true)) {
                let message = "an entry cannot be read back as it was encoded";
                return Err(match whole {
                    Err(flaw) => flaw.blamed_on(DumpErrorKind::Encode, message),
                    Ok(_) => Flaw::new(DumpErrorKind::Encode, message),
                });
            }
        }
        self.in_block += 1;
        self.written.entries += 1;
        if self.block.len() - HEAD >= self.style.block {
            self.end_block()?;
        }
        Ok(())
    }

    /// Writes the rest. What is left is to have it on the disk.
    ///
    /// # Errors
    ///
    /// Also if there were not as many entries as was said, so that half an iterator makes no dump.
    pub(crate) fn end(mut self) -> Result<(W, Written), Flaw> {
        let Written {
            entries, expired, ..
        } = self.written;
        if entries + expired != self.facts.entries {
            return Err(Flaw::new(
                DumpErrorKind::Incomplete,
                format!(
                    "there were {} entries, and {} were to be written",
                    entries + expired,
                    self.facts.entries
                ),
            ));
        }
        if self.in_block > 0 {
            self.end_block()?;
        }
        let mark = Head {
            stored: 0,
            raw: 0,
            entries: 0,
        };
        let mut last = Vec::with_capacity(HEAD + TRAILER + SUM);
        last.extend_from_slice(&mark.bytes());
        last.extend_from_slice(&entries.to_le_bytes());
        last.extend_from_slice(&expired.to_le_bytes());
        self.seal(&mut last)?;
        Ok((self.out, self.written))
    }

    fn end_block(&mut self) -> Result<(), Flaw> {
        let mut block = std::mem::take(&mut self.block);
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        packed.resize(HEAD, 0);
        let raw = block.len() - HEAD;
        let smaller = self.style.packed && codec::pack(&block[HEAD..], &mut packed);
        let out = if smaller { &mut packed } else { &mut block };
        let head = Head {
            stored: out.len() - HEAD,
            raw,
            entries: self.in_block,
        };
        out[..HEAD].copy_from_slice(&head.bytes());
        self.seal(out)?;
        block.clear();
        block.resize(HEAD, 0);
        (self.block, self.packed) = (block, packed);
        self.in_block = 0;
        Ok(())
    }

    /// Writes `bytes`, and the checksum of everything up to here.
    ///
    /// Of everything but checksums: what a CRC is added to after itself always has the same one, whatever was
    /// before, and a block of another dump would pass.
    fn seal(&mut self, bytes: &mut Vec<u8>) -> Result<(), Flaw> {
        self.sum.add(bytes);
        bytes.extend_from_slice(&self.sum.value().to_le_bytes());
        self.written.bytes += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|error| Flaw::io("write", error))
    }
}
