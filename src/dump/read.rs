//! Reading a dump: blocks in, entries out.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::codec;
use super::error::{DumpErrorKind, Flaw};
use super::format::{
    Facts, HEAD, HEADER, Head, Header, Identity, MOST_NAME, SUM, TRAILER, long, word,
};
use super::sum::Sum;
use crate::contain::drop_contained;
use crate::expiry;

/// Takes an entry: key, value, and how long it has left, if it is to expire.
pub(crate) type Sink<'a, K, V> = dyn FnMut(K, V, Option<Duration>) + 'a;

/// What has been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) facts: Facts,
    /// Given to the sink.
    pub(crate) entries: u64,
    /// Not given to the sink, since they have expired by now.
    pub(crate) expired: u64,
}

/// How many entries the header of a dump of `len` bytes declares; 0 if it cannot be told, and no more than bytes.
pub(crate) fn expected(input: impl Read, len: u64, whose: Identity<'_>) -> u64 {
    let mut source = Source {
        input,
        left: len,
        sum: Sum::default(),
    };
    let header = source.header(whose);
    header.map_or(0, |header| header.facts.entries.min(len))
}

/// Reads a dump of `len` bytes to its end.
///
/// What the sink was given is part of a whole dump only if this returns `Ok`: that cannot be known before the
/// last byte was read. Needs the memory of one block, twice that if it is compressed; no length that the file
/// declares is believed beyond the bytes that are there.
pub(crate) fn read<K: DeserializeOwned, V: DeserializeOwned>(
    input: impl Read,
    len: u64,
    whose: Identity<'_>,
    now_ms: u64,
    sink: &mut Sink<'_, K, V>,
) -> Result<Found, Flaw> {
    let mut source = Source {
        input,
        left: len,
        sum: Sum::default(),
    };
    let header = source.header(whose)?;
    let facts = header.facts;
    let mut found = Found {
        facts,
        entries: 0,
        expired: 0,
    };
    let (mut stored, mut unpacked) = (Vec::new(), Vec::new());
    while let Some(head) = Head::parse(&source.array::<HEAD>()?, header.packed)? {
        source.bytes(head.stored, &mut stored)?;
        source.check("a block")?;
        let mut rest = if head.stored == head.raw {
            &stored[..]
        } else if codec::unpack(&stored, head.raw, &mut unpacked) {
            &unpacked[..]
        } else {
            return Err(Flaw::corrupt("a block cannot be unpacked"));
        };
        for _ in 0..head.entries {
            let ((key, value, deadline), after) = codec::decode::<K, V>(rest)?;
            rest = after;
            let left = deadline.map(|at| expiry::left(at, facts.created_ms, now_ms));
            match left {
                None => sink(key, value, None),
                Some(Some(left)) => sink(key, value, Some(left)),
                Some(None) => {
                    drop_contained((key, value));
                    found.expired += 1;
                    continue;
                }
            }
            found.entries += 1;
        }
        if !rest.is_empty() {
            return Err(Flaw::new(
                DumpErrorKind::Decode,
                "a block has bytes after its entries",
            ));
        }
    }
    let trailer = source.array::<TRAILER>()?;
    source.check("the end")?;
    let (written, left_out) = (long(&trailer, 0), long(&trailer, 8));
    if written != found.entries + found.expired
        || written.checked_add(left_out) != Some(facts.entries)
    {
        return Err(Flaw::corrupt("the number of entries is not right"));
    }
    if source.left != 0 {
        return Err(Flaw::corrupt("there are bytes after the end"));
    }
    Ok(found)
}

/// The bytes of a dump that have not been read.
struct Source<R> {
    input: R,
    left: u64,
    sum: Sum,
}

impl<R: Read> Source<R> {
    fn header(&mut self, whose: Identity<'_>) -> Result<Header, Flaw> {
        let header = Header::parse(&self.array::<HEADER>()?)?;
        if header.name > MOST_NAME {
            return Err(Flaw::corrupt("the bucket's name is too long"));
        }
        let mut name = Vec::new();
        self.bytes(header.name, &mut name)?;
        self.check("the header")?;
        if name != whose.bucket.as_bytes() {
            let name = String::from_utf8_lossy(&name);
            return Err(Flaw::new(
                DumpErrorKind::Bucket,
                format!("it is of bucket {name:?}, and this is {:?}", whose.bucket),
            ));
        }
        if header.schema != whose.schema {
            return Err(Flaw::new(
                DumpErrorKind::Schema,
                format!(
                    "it has schema {}, and this is {}",
                    header.schema, whose.schema
                ),
            ));
        }
        Ok(header)
    }

    /// The next `count` bytes, in place of what is in `into`, which grows as they come.
    fn bytes(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), Flaw> {
        let count = count as u64;
        if count > self.left {
            return Err(truncated());
        }
        into.clear();
        let got = (&mut self.input)
            .take(count)
            .read_to_end(into)
            .map_err(|error| Flaw::io("read", error))?;
        if (got as u64) < count {
            return Err(truncated());
        }
        self.left -= count;
        self.sum.add(into);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let bytes = self.exactly()?;
        self.sum.add(&bytes);
        Ok(bytes)
    }

    /// Compares what was read with the checksum that comes next, which is not counted itself.
    fn check(&mut self, what: &str) -> Result<(), Flaw> {
        let said = word(&self.exactly::<SUM>()?, 0);
        match said == self.sum.value() {
            true => Ok(()),
            false => Err(Flaw::corrupt(format!("the checksum of {what} is wrong"))),
        }
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0; N];
        if (N as u64) > self.left {
            return Err(truncated());
        }
        match self.input.read_exact(&mut bytes) {
            Ok(()) => {
                self.left -= N as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(truncated()),
            Err(error) => Err(Flaw::io("read", error)),
        }
    }
}

#[cold]
fn truncated() -> Flaw {
    Flaw::new(DumpErrorKind::Truncated, "the file ends too early")
}
