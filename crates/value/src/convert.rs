//! Between [`Value`] and Rust types, through serde: how typed arguments and results of `#[task]` functions travel.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Value;

/// Why a value does not fit a Rust type, or a Rust value can't travel.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(String);

/// A Rust value as a [`Value`]: structs become maps, sequences and tuples lists, enums as `serde_json` writes them.
///
/// # Errors
/// An integer of more than 64 bits with sign, a map key that is no text, more than [`crate::MAX_DEPTH`] levels.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ConvertError> {
    let _ = value;
    todo!()
}

/// A [`Value`] as a Rust value.
///
/// # Errors
/// When the value does not fit the type; the message says what was expected and what was found.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, ConvertError> {
    let _ = value;
    todo!()
}
