//! Conversion between [`Value`] and Rust types through serde, as for the typed arguments and results of `#[task]`
//! functions.

mod data;
mod de;
mod error;
mod integer;
mod key;
mod returned;
mod ser;
mod serde_impls;

use serde::{Deserialize, Serialize};

pub use error::ConvertError;
pub(crate) use integer::too_large;
pub use returned::RETURN_VALUE;
pub(crate) use serde_impls::ValueSeed;

use crate::{MAX_DEPTH, Value};

/// Converts a Rust value to a [`Value`].
///
/// Structs become maps; sequences and tuples become lists; enums get the form that `serde_json` gives them. `()` and
/// `None` become null, `Some` and newtypes become their content, a `char` becomes a text, an `f32` stays the same
/// number. As keys of maps, integers, booleans and `char`s become texts. A `Vec<u8>` is a sequence for serde, so it
/// becomes a list of integers; `serde_bytes` makes it bytes.
///
/// ```
/// use pushflow_model::{Value, from_value, to_value};
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Scan {
///     energy: f32,
///     counts: Vec<u16>,
/// }
/// let scan = Scan { energy: 12.5, counts: vec![3, 4] };
/// let value = to_value(&scan)?;
/// assert_eq!(value.as_map().unwrap()["energy"], Value::Float(12.5));
/// assert_eq!(from_value::<Scan>(&value)?, scan);
/// # Ok::<(), pushflow_model::ConvertError>(())
/// ```
///
/// # Errors
/// When an integer does not fit 64 bits with sign, a map has a key of another type or one key twice, or the value nests
/// deeper than [`MAX_DEPTH`] levels.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ConvertError> {
    value.serialize(ser::ValueSerializer::new(MAX_DEPTH))
}

/// Converts a [`Value`] to a Rust value, which may borrow from it.
///
/// This is the counterpart of [`to_value`]. Where the type asks for a float, an integer is accepted and becomes the
/// nearest float. Where the type asks for an integer, no float is accepted, whatever its value. Bytes and a list of
/// integers from 0 to 255 are accepted for each other; bytes and text are not.
///
/// ```
/// use pushflow_model::{Value, from_value};
///
/// let error = from_value::<Vec<u8>>(&Value::from(vec![Value::from(1), Value::from(300)])).unwrap_err();
/// assert_eq!(error.to_string(), "expected u8, found the integer 300, at [1]");
/// ```
///
/// # Errors
/// When the value does not fit the type, or nests deeper than [`MAX_DEPTH`] levels. The message names the expected
/// type, the value found, and its place.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, ConvertError> {
    T::deserialize(de::ValueDeserializer::new(value, MAX_DEPTH))
}
