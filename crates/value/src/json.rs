//! JSON in and out: exact floats, 64-bit integers, bytes.

use crate::{Data, Value};

/// Why a text is no JSON value that can travel.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub message: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

/// Parses a JSON text.
///
/// # Errors
/// When the text is no JSON, has an integer beyond 64 bits or a key twice in one object, or nests deeper than
/// [`crate::MAX_DEPTH`].
pub fn parse_json(text: &str) -> Result<Value, JsonError> {
    let _ = text;
    todo!()
}

impl Value {
    /// This value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        todo!()
    }
}

impl Data {
    /// The entries as a JSON object.
    ///
    /// # Errors
    /// When the bytes of an entry can't be decoded.
    pub fn to_json(&self) -> Result<serde_json::Value, crate::CodecError> {
        todo!()
    }
}
