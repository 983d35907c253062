//! Between [`Value`] and Rust types, through serde: how typed arguments and results of `#[task]` functions travel.

mod data;
mod de;
mod error;
mod integer;
mod key;
mod ser;
mod serde_impls;

use serde::{Deserialize, Serialize};

pub use error::ConvertError;
pub(crate) use integer::too_large;
pub(crate) use serde_impls::ValueSeed;

use crate::{MAX_DEPTH, Value};

/// A Rust value as a [`Value`]: structs become maps, sequences and tuples lists, enums as `serde_json` writes them.
///
/// `()` and `None` become null, `Some` and newtypes what they hold, a `char` a text, an `f32` the same number. Keys of
/// maps are texts; integers, booleans and `char`s become texts. A `Vec<u8>` is a sequence, so it becomes a list of
/// integers, as everywhere with serde; `serde_bytes` makes it bytes.
///
/// ```
/// use pushflow_value::{Value, from_value, to_value};
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
/// # Ok::<(), pushflow_value::ConvertError>(())
/// ```
///
/// # Errors
/// An integer that does not fit 64 bits with sign, another kind of map key, one key twice, more than [`MAX_DEPTH`]
/// levels.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ConvertError> {
    value.serialize(ser::ValueSerializer::new(MAX_DEPTH))
}

/// A [`Value`] as a Rust value, which may borrow from it.
///
/// The counterpart of [`to_value`]. A whole number is accepted where a float is wanted, and becomes the nearest one; a
/// float is not accepted where an integer is wanted, whatever its value. Bytes and a list of integers from 0 to 255 are
/// accepted for each other, bytes and text are not.
///
/// ```
/// use pushflow_value::{Value, from_value};
///
/// let error = from_value::<Vec<u8>>(&Value::from(vec![Value::from(1), Value::from(300)])).unwrap_err();
/// assert_eq!(error.to_string(), "expected u8, found the integer 300, at [1]");
/// ```
///
/// # Errors
/// When the value does not fit the type, or has more than [`MAX_DEPTH`] levels; the message says what was expected, what
/// was found, and where.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, ConvertError> {
    T::deserialize(de::ValueDeserializer::new(value, MAX_DEPTH))
}
