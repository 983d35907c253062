//! [`Payload`]: one value in the form it arrived in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::codec::{self, CodecError};
use crate::{Data, Key, Map, Value};

/// One value on its way: decoded, encoded, or a map of further payloads; whichever form is asked for is made once.
///
/// Cloning shares. A value is encoded once, by its producer, and decoded only where somebody looks at it.
///
/// ```
/// use pushflow_value::{Payload, Value};
///
/// let sent = Payload::from(Value::from("hello"));
/// let received = Payload::from_encoded(sent.encoded().unwrap().clone());
/// assert_eq!(received.value().unwrap(), &Value::from("hello"));
/// ```
#[derive(Clone)]
pub struct Payload(Arc<Forms>);

/// At least one of the three is set.
#[derive(Default)]
struct Forms {
    value: OnceLock<Value>,
    encoded: OnceLock<Bytes>,
    fields: OnceLock<Data>,
}

impl Payload {
    /// A value in its encoded form, which is not looked at before somebody asks for it.
    pub fn from_encoded(encoded: Bytes) -> Self {
        Payload(Arc::new(Forms { encoded: OnceLock::from(encoded), ..Forms::default() }))
    }

    /// A map whose values stay in the form they are in.
    ///
    /// Positions become decimal names when the map is looked at as a value.
    pub fn from_fields(fields: Data) -> Self {
        Payload(Arc::new(Forms { fields: OnceLock::from(fields), ..Forms::default() }))
    }

    /// The decoded value.
    ///
    /// # Errors
    /// When the bytes are no encoded value, or nest too deep.
    pub fn value(&self) -> Result<&Value, CodecError> {
        if let Some(value) = self.0.value.get() {
            return Ok(value);
        }
        let value = match (self.0.encoded.get(), self.0.fields.get()) {
            (_, Some(fields)) => fold(fields)?,
            (Some(encoded), None) => codec::decode(encoded)?,
            (None, None) => unreachable!("a payload has at least one form"),
        };
        Ok(self.0.value.get_or_init(|| value))
    }

    /// The encoded value.
    ///
    /// # Errors
    /// When the value nests too deep to be encoded.
    pub fn encoded(&self) -> Result<&Bytes, CodecError> {
        if let Some(encoded) = self.0.encoded.get() {
            return Ok(encoded);
        }
        let encoded = codec::encode(self.value()?)?;
        Ok(self.0.encoded.get_or_init(|| encoded))
    }

    /// The entries of a map as data of their own; `None` if this is no map.
    ///
    /// # Errors
    /// When the bytes are no encoded value, or nest too deep.
    pub fn fields(&self) -> Result<Option<&Data>, CodecError> {
        if let Some(fields) = self.0.fields.get() {
            return Ok(Some(fields));
        }
        let Value::Map(map) = self.value()? else { return Ok(None) };
        let fields = map.iter().map(|(name, value)| (name.as_str(), Payload::from(value.clone()))).collect();
        Ok(Some(self.0.fields.get_or_init(|| fields)))
    }
}

fn fold(fields: &Data) -> Result<Value, CodecError> {
    let entries: Result<Map, CodecError> =
        fields.iter().map(|(key, payload)| Ok((key.to_string(), payload.value()?.clone()))).collect();
    Ok(Value::Map(entries?))
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Payload(Arc::new(Forms { value: OnceLock::from(value), ..Forms::default() }))
    }
}

/// The form and size only: a payload is never formatted into a log (`parity.md` P139).
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = &self.0;
        match (forms.encoded.get(), forms.value.get(), forms.fields.get()) {
            (Some(encoded), ..) => write!(f, "<{} bytes encoded>", encoded.len()),
            (None, Some(value), _) => write!(f, "<{}>", value.type_name()),
            (None, None, Some(fields)) => write!(f, "<a map of {}>", fields.len()),
            (None, None, None) => unreachable!("a payload has at least one form"),
        }
    }
}

impl Data {
    /// A value that is a map, as data; `None` if it is no map.
    pub fn from_map(value: Value) -> Option<Data> {
        match value {
            Value::Map(map) => Some(
                map.into_entries().into_iter().map(|(name, value)| (Key::from(name), Payload::from(value))).collect(),
            ),
            _ => None,
        }
    }
}
