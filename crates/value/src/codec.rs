//! The wire form of values: the only place that knows bincode.

use bytes::Bytes;

use crate::{Data, Value};

/// How many levels of lists and maps a value may nest: more is refused wherever a value is decoded, parsed or converted,
/// because the stack of a recursive decoder can overflow, which nothing can catch.
pub const MAX_DEPTH: usize = 128;

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("the value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The bytes are not what the codec writes.
    #[error("the bytes are no encoded value: {0}")]
    Malformed(String),
}

pub(crate) fn encode(value: &Value) -> Result<Bytes, CodecError> {
    let _ = value;
    todo!()
}

pub(crate) fn decode(bytes: &Bytes) -> Result<Value, CodecError> {
    let _ = bytes;
    todo!()
}

impl Data {
    /// The wire form: every entry's key and encoded value, each with its length, so that reading it copies no value.
    ///
    /// # Errors
    /// When a value nests too deep to be encoded.
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        todo!()
    }

    /// Reads the wire form; the entries share the memory of `bytes` and stay encoded.
    ///
    /// # Errors
    /// When the bytes are not what [`Data::encode`] writes.
    pub fn decode(bytes: &Bytes) -> Result<Data, CodecError> {
        let _ = bytes;
        todo!()
    }
}
