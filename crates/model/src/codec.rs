//! The wire form of values. No other module uses bincode directly.
//!
//! A value is one tag byte (`format.rs`) and its content, in bincode's standard configuration:
//!
//! - An integer takes 1 to 9 bytes, a float 8.
//! - A text and bytes are their length and themselves.
//! - A list is its length and its elements.
//! - A map is its length, and per entry a text and a value.
//! - An opaque value is its three texts, its content, one byte that says whether a view follows, and the view.
//! - An opaque value with buffers has a tag of its own: the number of the buffers and the buffers follow its content.
//!
//! An *outline* is a wire form that leaves out long bytes and has their numbers in a list instead. These bytes are
//! *apart* (pickle calls them out of band). They can be transferred in another way, and are not copied if they are in
//! shared memory already.
//!
//! A faulty process may have written the bytes that are read. No input makes the reader panic, overflow the stack, or
//! take more memory than about 100 bytes for each byte of the input.

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

/// The length of the outline of a value in bytes, and the long bytes that it leaves out.
pub(crate) fn outline(value: &Value) -> Result<(usize, Vec<Bytes>), CodecError> {
    let mut writer = Writer::new(write::Count::default()).with_apart();
    writer.value(value, MAX_DEPTH)?;
    Ok(writer.count())
}

/// Writes the outline of a value to `into`, which must not fail.
pub(crate) fn write_outline(value: &Value, into: impl io::Write) -> Result<(), CodecError> {
    Writer::new(into).with_apart().value(value, MAX_DEPTH)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Value, CodecError> {
    decode_outline(bytes, &[])
}

/// Decodes a value from its outline and the long bytes that the outline leaves out.
pub(crate) fn decode_outline(bytes: &[u8], apart: &[Bytes]) -> Result<Value, CodecError> {
    let mut reader = Reader::new(bytes).with_apart(apart);
    let value = reader.value(MAX_DEPTH)?;
    reader.finish()?;
    Ok(value)
}

/// Whether these bytes begin as the wire form of an opaque value does.
pub(crate) fn is_opaque(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(tag::OPAQUE | tag::OPAQUE_IN_PARTS)))
}
