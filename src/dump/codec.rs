//! The codec of entries, postcard, and of blocks, LZ4: the one place that names them.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{DumpErrorKind, Flaw};

/// Appends an entry to a block.
///
/// # Errors
///
/// What the codec says; or that it has more than `most` bytes. What was appended till then is left there.
pub(crate) fn encode<K: Serialize, V: Serialize>(
    block: &mut Vec<u8>,
    most: usize,
    key: &K,
    value: &V,
    deadline: Option<u64>,
) -> Result<(), Flaw> {
    let most = block.len().saturating_add(most);
    let bounded = Bounded { bytes: block, most };
    match postcard::serialize_with_flavor(&(key, value, deadline), bounded) {
        Ok(()) => Ok(()),
        Err(postcard::Error::SerializeBufferFull) => {
            Err(Flaw::new(DumpErrorKind::TooLarge, "an entry is too large"))
        }
        Err(error) => Err(Flaw::because(
            DumpErrorKind::Encode,
            "cannot encode an entry",
            error,
        )),
    }
}

/// An entry, its deadline, and the bytes after it.
pub(crate) type Decoded<'a, K, V> = ((K, V, Option<u64>), &'a [u8]);

/// The first entry of what is left of a block.
///
/// Memory is had as the bytes are read: serde's own collections are given no more than 1 MiB on the word of a
/// length alone.
///
/// # Errors
///
/// That the bytes are no such entry.
pub(crate) fn decode<K: DeserializeOwned, V: DeserializeOwned>(
    bytes: &[u8],
) -> Result<Decoded<'_, K, V>, Flaw> {
    postcard::take_from_bytes(bytes)
        .map_err(|error| Flaw::because(DumpErrorKind::Decode, "cannot decode an entry", error))
}

/// A block that is to grow no larger than `most`.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    most: usize,
}

impl Bounded<'_> {
    fn room_for(&self, more: usize) -> postcard::Result<()> {
        match more <= self.most - self.bytes.len() {
            true => Ok(()),
            false => Err(postcard::Error::SerializeBufferFull),
        }
    }
}

impl Flavor for Bounded<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.room_for(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.room_for(1)?;
        self.bytes.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends `raw`, compressed, to `out`. Whether it is smaller; else nothing is appended.
#[cfg(feature = "dump-compression")]
pub(crate) fn pack(raw: &[u8], out: &mut Vec<u8>) -> bool {
    use lz4_flex::block::{compress_into, get_maximum_output_size};
    let start = out.len();
    out.resize(start + get_maximum_output_size(raw.len()), 0);
    match compress_into(raw, &mut out[start..]) {
        Ok(size) if size < raw.len() => {
            out.truncate(start + size);
            true
        }
        _ => {
            out.truncate(start);
            false
        }
    }
}

#[cfg(not(feature = "dump-compression"))]
pub(crate) fn pack(_raw: &[u8], _out: &mut Vec<u8>) -> bool {
    false
}

/// What `packed` stands for, which is to be `size` bytes, into `out`. Whether that is so.
#[cfg(feature = "dump-compression")]
pub(crate) fn unpack(packed: &[u8], size: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    out.resize(size, 0);
    lz4_flex::block::decompress_into(packed, out).is_ok_and(|got| got == size)
}

#[cfg(not(feature = "dump-compression"))]
pub(crate) fn unpack(_packed: &[u8], _size: usize, _out: &mut Vec<u8>) -> bool {
    false
}
