//! [`Data`] and Rust types: single entries through serde, and [`Data`] as a serde type.

use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};

use super::error::ConvertError;
use super::{from_value, to_value};
use crate::{Data, Key, Value};

/// The error about a missing entry names at most this many of the entries that are there.
const MOST_NAMED: usize = 10;

impl Data {
    /// This data with one entry more, which [`to_value`] makes from a Rust value.
    ///
    /// If the key has an entry, the new value takes its place in the order.
    ///
    /// ```
    /// use pushflow_model::Data;
    ///
    /// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    /// struct Scan {
    ///     energy: f64,
    ///     counts: Vec<u16>,
    /// }
    /// let scan = Scan { energy: 12.5, counts: vec![3, 4] };
    /// let data = Data::new().with_serialized("scan", &scan)?;
    /// assert_eq!(data.get::<Scan>("scan")?, scan);
    ///
    /// let error = Data::new().with_serialized("sizes", &[1, u64::MAX]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the integer 18446744073709551615 does not fit 64 bits with sign: pass it as text, at sizes[1]"
    /// );
    /// # Ok::<(), pushflow_model::ConvertError>(())
    /// ```
    ///
    /// # Errors
    /// When `to_value` refuses the Rust value. The path in the error begins with the key.
    pub fn with_serialized<T: Serialize + ?Sized>(self, key: impl Into<Key>, value: &T) -> Result<Data, ConvertError> {
        let key = key.into();
        let value = to_value(value).map_err(|error| error.inside(&key.to_string()))?;
        Ok(self.with(key, value))
    }

    /// The entry of a key, which [`from_value`] makes a Rust value that may borrow from this data.
    ///
    /// A missing entry is treated as serde treats a missing field of a struct: an [`Option`] is `None`, any other type
    /// is an error that names the entries that are there. So the type says whether the entry may be missing, a caller
    /// that needs the entry does not unwrap twice, and a misspelt name is reported. An `Option` is `None` for a missing
    /// entry and for one that is null; [`Data::payload`] and [`Data::named`] tell them apart.
    ///
    /// ```
    /// use pushflow_model::Data;
    ///
    /// let data = Data::new().with("name", "scan").with("value", 1).with(0, 2.5);
    /// assert_eq!(data.get::<u8>("value")?, 1);
    /// assert_eq!(data.get::<&str>("name")?, "scan");
    /// assert_eq!(data.get::<f64>(0)?, 2.5);
    /// assert_eq!(data.get::<Option<u8>>("limit")?, None);
    ///
    /// let error = data.get::<u8>("limit").unwrap_err();
    /// assert_eq!(error.to_string(), r#"expected the entry "limit", found only "name", "value", 0"#);
    /// let error = data.get::<u8>("name").unwrap_err();
    /// assert_eq!(error.to_string(), r#"expected u8, found the text "scan", at name"#);
    /// # Ok::<(), pushflow_model::ConvertError>(())
    /// ```
    ///
    /// # Errors
    /// When the entry is missing, the bytes that arrived for it can't be decoded, or the value does not fit the type.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, key: impl Into<Key>) -> Result<T, ConvertError> {
        let key = key.into();
        let Some(payload) = self.payload(&key) else { return T::deserialize(MissingEntry { data: self, key: &key }) };
        let value = payload.value().map_err(serde::de::Error::custom);
        value.and_then(from_value).map_err(|error: ConvertError| error.inside(&key.to_string()))
    }
}

/// Deserializes a missing entry: an [`Option`] becomes `None`, every other type is refused.
struct MissingEntry<'a> {
    data: &'a Data,
    key: &'a Key,
}

impl<'de> Deserializer<'de> for MissingEntry<'_> {
    type Error = ConvertError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, ConvertError> {
        let key = quoted(self.key);
        let named: Vec<String> = self.data.iter().take(MOST_NAMED).map(|(key, _)| quoted(key)).collect();
        let found = match self.data.len() {
            0 => "no entry".to_owned(),
            count if count > MOST_NAMED => format!("only {} and {} more", named.join(", "), count - MOST_NAMED),
            _ => format!("only {}", named.join(", ")),
        };
        Err(serde::de::Error::custom(format_args!("expected the entry {key}, found {found}")))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A name in quotes, or a position as its digits.
fn quoted(key: &Key) -> String {
    key.as_name().map_or_else(|| key.to_string(), |name| format!("{name:?}"))
}

/// Serializes a map; positions become decimal names.
impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_names().map_err(S::Error::custom)?;
        let mut entries = serializer.serialize_map(Some(self.len()))?;
        for (key, payload) in self {
            entries.serialize_entry(&key.to_string(), payload.value().map_err(S::Error::custom)?)?;
        }
        entries.end()
    }
}

/// Deserializes a map; its keys become names.
impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let found = value.type_name();
        Data::from_map(value).ok_or_else(|| D::Error::invalid_type(Unexpected::Other(found), &"a map"))
    }
}
