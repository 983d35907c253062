//! What a task function returned, as the entries of [`Data`], and those entries as a Rust type again.

use serde::de::DeserializeOwned;

use super::error::ConvertError;
use super::{from_value, to_value};
use crate::{Data, Value};

/// The name of the one entry that holds the value which a task function returned, where that value is no map.
pub const RETURN_VALUE: &str = "return_value";

impl Data {
    /// The result of a task function that returned this value: the entries of a map, or of an opaque value whose view is
    /// a map; else the one entry [`RETURN_VALUE`].
    ///
    /// ```
    /// use pushflow_model::{Data, Value};
    ///
    /// let result = Data::from_returned(Value::Int(42));
    /// assert_eq!(result.get::<i64>("return_value")?, 42);
    /// # Ok::<(), pushflow_model::ConvertError>(())
    /// ```
    pub fn from_returned(value: Value) -> Data {
        let is_map = match &value {
            Value::Map(_) => true,
            Value::Opaque(opaque) => matches!(opaque.view(), Some(Value::Map(_))),
            _ => false,
        };
        if is_map { Data::from_map(value).unwrap_or_default() } else { Data::new().with(RETURN_VALUE, value) }
    }

    /// The result of a task function as the Rust type that the function returned: the inverse of [`Data::from_returned`].
    ///
    /// If the only entry is [`RETURN_VALUE`], its value becomes a `T`; if that does not fit, or there are other entries,
    /// all entries become the fields of a `T`. Data without an entry becomes `()` or `None` as well. A map whose only key
    /// is [`RETURN_VALUE`] can't be told from a single value: as a [`Value`] it is read as the value under that key.
    ///
    /// ```
    /// use pushflow_model::Data;
    ///
    /// #[derive(Debug, PartialEq, serde::Deserialize)]
    /// struct Point {
    ///     x: i64,
    ///     y: i64,
    /// }
    /// let point = Data::new().with("x", 1).with("y", 2);
    /// assert_eq!(point.returned::<Point>()?, Point { x: 1, y: 2 });
    /// assert_eq!(Data::new().with("return_value", "text").returned::<String>()?, "text");
    /// # Ok::<(), pushflow_model::ConvertError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes that arrived for an entry can't be decoded, or the value does not fit the type.
    pub fn returned<T: DeserializeOwned>(&self) -> Result<T, ConvertError> {
        let from_entries = || to_value(self).and_then(|value| from_value(&value));
        if self.len() == 1 && self.named(RETURN_VALUE).is_some() {
            self.get(RETURN_VALUE).or_else(|error| from_entries().map_err(|_| error))
        } else if self.is_empty() {
            from_entries().or_else(|error| from_value(&Value::Null).map_err(|_| error))
        } else {
            from_entries()
        }
    }
}
