//! The wire form of values and data: the only place that knows bincode.
//!
//! A value is one tag byte (`tag`) and what the tag calls for, in bincode's standard configuration: integers take 1 to 9
//! bytes, floats 8, texts and bytes their length and themselves, a list its length and its elements, a map its length
//! and per entry a text and a value, an opaque value its three texts, its content, and one byte for whether its view
//! follows; one with buffers has a tag of its own, and their number and themselves behind the content. Data is its length
//! and per entry a key, the length of the encoded value, and the encoded value.
//!
//! In an *outline* long bytes are not there but *apart*: a number says which of a list they are. So they can go their own
//! way, where they lie in memory that is shared already, and nobody copies them.
//!
//! What is read may come from a process gone wrong: no input makes reading panic, overflow the stack, or take more
//! memory than about 100 bytes for each byte that is really there.

mod error;
mod format;
mod read;
mod write;

use std::io;

use bytes::Bytes;

use crate::{Data, Payload, Value};

pub use error::{CodecError, MAX_DEPTH};
pub use format::APART_ABOVE;
use format::tag;

pub(crate) fn encode(value: &Value) -> Result<Bytes, CodecError> {
    let mut writer = write::Writer::default();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.finish())
}

/// How many bytes the outline of a value has, and what is apart from it.
pub(crate) fn outline(value: &Value) -> Result<(usize, Vec<Bytes>), CodecError> {
    let mut writer = write::Writer::new(write::Count::default()).with_apart();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.count())
}

/// Writes the outline of a value to `into`, which must take all of it.
pub(crate) fn write_outline(value: &Value, into: impl io::Write) -> Result<(), CodecError> {
    write::Writer::new(into).with_apart().value(value, MAX_DEPTH)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Value, CodecError> {
    decode_outline(bytes, &[])
}

/// The value of an outline and what is apart from it.
pub(crate) fn decode_outline(bytes: &[u8], apart: &[Bytes]) -> Result<Value, CodecError> {
    let mut reader = read::Reader::new(bytes).with_apart(apart);
    let value = reader.value(MAX_DEPTH)?;
    reader.finish()?;
    Ok(value)
}

/// Whether this is the wire form of an opaque value, if it is one at all.
pub(crate) fn is_opaque(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(tag::OPAQUE | tag::OPAQUE_IN_PARTS)))
}

/// The entries of the outline of a map; `None` if this is no map. They are still encoded and in the memory of `bytes`, but
/// for those of which something is apart.
pub(crate) fn split_map(bytes: &Bytes, apart: &[Bytes]) -> Result<Option<Data>, CodecError> {
    let mut reader = read::Reader::new(bytes).with_apart(apart);
    let entries = reader.map_entries(bytes, MAX_DEPTH)?;
    if entries.is_some() {
        reader.finish()?;
    }
    Ok(entries)
}

/// The form in which a value is in the wire form of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// Its outline; the long bytes are apart.
    Outline,
    /// Nothing: all of it is apart.
    Apart,
}

/// What is apart of one entry.
#[derive(Debug)]
pub struct Apart {
    /// The place of the entry.
    pub index: usize,
    /// The encoded value, or its outline, if the entry is empty.
    pub encoded: Option<Bytes>,
    /// The bytes that are apart from the outline.
    pub bytes: Vec<Bytes>,
}

impl Data {
    /// The wire form: every entry's key and encoded value, each with its length, so that reading it copies no value.
    ///
    /// Values that are encoded already are copied as they are. Each value may nest [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded.
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        self.encode_apart(|_, _| Ok(Form::Whole))
    }

    /// The wire form, each value in the form that `form` says, given the place of the entry and its value: one that is to
    /// travel on a way of its own is left empty, which no encoded value is, and of one whose long bytes are, the outline is
    /// written. [`Data::decode_joined`] puts them back.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded, and those of `form`.
    ///
    /// ```
    /// use pushflow_value::{Apart, Data, Form};
    ///
    /// let data = Data::new().with("short", 1).with("long", "x".repeat(1000));
    /// let mut long = Vec::new();
    /// let rest = data.encode_apart(|index, payload| {
    ///     if payload.outline()?.length <= 100 {
    ///         return Ok(Form::Whole);
    ///     }
    ///     long.push(Apart { index, encoded: Some(payload.encoded()?.clone()), bytes: Vec::new() });
    ///     Ok(Form::Apart)
    /// })?;
    /// assert!(rest.len() < 100);
    /// let joined = Data::decode_joined(&rest, long)?;
    /// assert_eq!(joined.value("long")?, data.value("long")?);
    /// # Ok::<(), pushflow_value::CodecError>(())
    /// ```
    pub fn encode_apart(
        &self,
        form: impl FnMut(usize, &Payload) -> Result<Form, CodecError>,
    ) -> Result<Bytes, CodecError> {
        let mut writer = write::Writer::default();
        writer.data(self, form)?;
        Ok(writer.finish())
    }

    /// Reads the wire form without what was left out, and that, in the order of the entries.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode_apart`] writes, or what is apart does not fit them.
    pub fn decode_joined(rest: &Bytes, apart: Vec<Apart>) -> Result<Data, CodecError> {
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
