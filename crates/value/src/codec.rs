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

use crate::Value;

pub use error::{CodecError, MAX_DEPTH};
pub use format::APART_ABOVE;
use format::tag;
pub(crate) use read::Reader;
pub(crate) use write::Writer;

pub(crate) fn encode(value: &Value) -> Result<Bytes, CodecError> {
    let mut writer = Writer::default();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.finish())
}

/// How many bytes the outline of a value has, and what is apart from it.
pub(crate) fn outline(value: &Value) -> Result<(usize, Vec<Bytes>), CodecError> {
    let mut writer = Writer::new(write::Count::default()).with_apart();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.count())
}

/// Writes the outline of a value to `into`, which must take all of it.
pub(crate) fn write_outline(value: &Value, into: impl io::Write) -> Result<(), CodecError> {
    Writer::new(into).with_apart().value(value, MAX_DEPTH)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Value, CodecError> {
    decode_outline(bytes, &[])
}

/// The value of an outline and what is apart from it.
pub(crate) fn decode_outline(bytes: &[u8], apart: &[Bytes]) -> Result<Value, CodecError> {
    let mut reader = Reader::new(bytes).with_apart(apart);
    let value = reader.value(MAX_DEPTH)?;
    reader.finish()?;
    Ok(value)
}

/// Whether this is the wire form of an opaque value, if it is one at all.
pub(crate) fn is_opaque(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(tag::OPAQUE | tag::OPAQUE_IN_PARTS)))
}
