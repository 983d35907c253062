//! The wire form of values and data: the only place that knows bincode.
//!
//! A value is one tag byte (`tag`) and what the tag calls for, in bincode's standard configuration: integers take 1 to 9
//! bytes, floats 8, texts and bytes their length and themselves, a list its length and its elements, a map its length
//! and per entry a text and a value. Data is its length and per entry a key, the length of the encoded value, and the
//! encoded value.
//!
//! What is read may come from a process gone wrong: no input makes reading panic, overflow the stack, or take more
//! memory than about 100 bytes for each byte that is really there.

mod read;
mod write;

use std::io;

use bytes::Bytes;

use crate::{Data, Payload, Value};

/// How many levels of lists and maps a value may nest: more is refused wherever a value is encoded, decoded, parsed or
/// converted, because the stack of a recursive decoder can overflow, which nothing can catch.
///
/// A list of numbers has one level, a list of lists of numbers two, a number none: 128 containers inside one another
/// are accepted, whatever the innermost one holds, and 129 are refused, even if the innermost one is empty. For that many
/// levels everything in this crate gets by with 1 MiB of stack, and with 256 KiB when optimised.
pub const MAX_DEPTH: usize = 128;

const FORMAT: bincode::config::Configuration = bincode::config::standard();

/// The first byte of each encoded value, and of each key of encoded data.
mod tag {
    pub const NULL: u8 = 0;
    pub const BOOL: u8 = 1;
    pub const INT: u8 = 2;
    pub const FLOAT: u8 = 3;
    pub const STR: u8 = 4;
    pub const BYTES: u8 = 5;
    pub const LIST: u8 = 6;
    pub const MAP: u8 = 7;

    pub const NAME: u8 = 0;
    pub const POSITION: u8 = 1;
}

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("the value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The bytes are not what the codec writes.
    #[error("the bytes are no encoded value: {0}")]
    Malformed(String),
    /// Data has an entry under a position and one under the same number as a name, so it can't become a map.
    #[error("the data has both the position {0} and the name {0:?}, which are one key of a map: rename one")]
    KeyTwice(String),
}

pub(crate) fn encode(value: &Value) -> Result<Bytes, CodecError> {
    let mut writer = write::Writer::default();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.finish())
}

/// How many bytes [`encode`] writes.
pub(crate) fn encoded_len(value: &Value) -> Result<usize, CodecError> {
    let mut writer = write::Writer::new(write::Count::default());
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.count())
}

/// Writes what [`encode`] gives to `into`, which must take all of it.
pub(crate) fn encode_to(value: &Value, into: impl io::Write) -> Result<(), CodecError> {
    write::Writer::new(into).value(value, MAX_DEPTH)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Value, CodecError> {
    let mut reader = read::Reader::new(bytes);
    let value = reader.value(MAX_DEPTH)?;
    reader.finish()?;
    Ok(value)
}

/// The entries of an encoded map, still encoded and in the memory of `bytes`; `None` if this is no map.
pub(crate) fn split_map(bytes: &Bytes) -> Result<Option<Data>, CodecError> {
    let mut reader = read::Reader::new(bytes);
    let entries = reader.map_entries(bytes, MAX_DEPTH)?;
    if entries.is_some() {
        reader.finish()?;
    }
    Ok(entries)
}

impl Data {
    /// The wire form: every entry's key and encoded value, each with its length, so that reading it copies no value.
    ///
    /// Values that are encoded already are copied as they are. Each value may nest [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded.
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        self.encode_apart(|_, _| Ok(false))
    }

    /// The wire form without the values that `apart` says will travel on a way of their own, given the place of the entry
    /// and its value: these are left empty, which no encoded value is. [`Data::decode_joined`] puts them back.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded, and those of `apart`.
    ///
    /// ```
    /// use pushflow_value::{Data, Value};
    ///
    /// let data = Data::new().with("short", 1).with("long", "x".repeat(1000));
    /// let mut long = Vec::new();
    /// let rest = data.encode_apart(|index, payload| {
    ///     let apart = payload.encoded_len()? > 100;
    ///     if apart {
    ///         long.push((index, payload.encoded()?.clone()));
    ///     }
    ///     Ok(apart)
    /// })?;
    /// assert!(rest.len() < 100);
    /// let joined = Data::decode_joined(&rest, long)?;
    /// assert_eq!(joined.value("long")?, data.value("long")?);
    /// # Ok::<(), pushflow_value::CodecError>(())
    /// ```
    pub fn encode_apart(
        &self,
        apart: impl FnMut(usize, &Payload) -> Result<bool, CodecError>,
    ) -> Result<Bytes, CodecError> {
        let mut writer = write::Writer::default();
        writer.data(self, apart)?;
        Ok(writer.finish())
    }

    /// Reads the wire form without some values, and the encoded values that were left out, by the place of their entry.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode_apart`] writes, or a value belongs to no empty entry.
    pub fn decode_joined(rest: &Bytes, apart: Vec<(usize, Bytes)>) -> Result<Data, CodecError> {
        let mut reader = read::Reader::new(rest);
        let data = reader.data(rest, apart)?;
        reader.finish()?;
        Ok(data)
    }

    /// Reads the wire form; the entries share the memory of `bytes` and stay encoded.
    ///
    /// The values are not looked at: what is wrong with one shows when it is asked for.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode`] writes.
    pub fn decode(bytes: &Bytes) -> Result<Data, CodecError> {
        Data::decode_joined(bytes, Vec::new())
    }
}
