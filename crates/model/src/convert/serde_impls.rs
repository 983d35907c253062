//! [`Value`] as a serde type: any format can read and write it, and a typed argument or result can contain it.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::integer::too_large;
use crate::{CodecError, List, MAX_DEPTH, Map, Value, codec};

/// The name of the newtype struct as which a [`Value`] is deserialized and an opaque value is serialized.
///
/// Most formats ignore the name. The conversions of this crate recognise it, and pass an opaque value on whole.
pub const OPAQUE: &str = "$pushflow::Opaque";

/// Memory is reserved for at most this many elements before they are read, because an announced length may be wrong.
pub const MOST_RESERVED: usize = 4096;

/// Serializes at most [`MAX_DEPTH`] levels. Bytes become the bytes of the format, an opaque value becomes bytes: its
/// wire form. The format decides about floats that are not finite.
///
/// For JSON, prefer [`Value::to_json`]: through serde, JSON gets lists for bytes and null for the infinities.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Nested { value: self, levels: MAX_DEPTH }.serialize(serializer)
    }
}

/// A value that may have `levels` levels.
struct Nested<'a> {
    value: &'a Value,
    levels: usize,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let below = || self.levels.checked_sub(1).ok_or_else(|| S::Error::custom(CodecError::TooDeep));
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(list) => {
                let levels = below()?;
                let mut elements = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|value| elements.serialize_element(&Nested { value, levels }))?;
                elements.end()
            }
            Value::Map(map) => {
                let levels = below()?;
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                map.iter().try_for_each(|(name, value)| entries.serialize_entry(name, &Nested { value, levels }))?;
                entries.end()
            }
            opaque @ Value::Opaque(_) => {
                let encoded = codec::encode(opaque).map_err(S::Error::custom)?;
                serializer.serialize_newtype_struct(OPAQUE, &WireForm(&encoded))
            }
        }
    }
}

/// Bytes as the format's bytes.
struct WireForm<'a>(&'a [u8]);

impl Serialize for WireForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for FromWireForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Bytes(encoded) = deserializer.deserialize_bytes(ValueSeed { levels: 0, tagged: None })? else {
            return Err(D::Error::custom("an opaque value comes in its wire form"));
        };
        codec::decode(&encoded).map(FromWireForm).map_err(D::Error::custom)
    }
}

/// An opaque value that is deserialized from its wire form, as the newtype struct [`OPAQUE`].
struct FromWireForm(Value);

/// Deserializes at most [`MAX_DEPTH`] levels, from any format that describes itself.
///
/// An integer that does not fit 64 bits with sign is refused, and so is a key that comes twice in one map.
///
/// For JSON, prefer [`parse_json`](crate::parse_json): it reads the tagged forms, and refuses an integer of more than
/// 64 bits that would otherwise become a float.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueSeed { levels: MAX_DEPTH, tagged: None }.deserialize(deserializer)
    }
}

/// Makes the value for a map, in a format that writes some other values as maps. The error is the message for the user.
pub type ReadTagged = fn(Map) -> Result<Value, String>;

/// Reads a value that may have `levels` levels.
#[derive(Clone, Copy)]
pub struct ValueSeed {
    pub levels: usize,
    /// Reads maps that stand for another value. Such a map may be one level deeper than `levels`, if its value is no
    /// map.
    pub tagged: Option<ReadTagged>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Every format hands its content through a newtype struct. Only `ValueDeserializer` looks at the name.
        deserializer.deserialize_newtype_struct(OPAQUE, self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number, a text, bytes, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        match access.variant::<String>()? {
            (name, content) if name == OPAQUE => content.newtype_variant::<FromWireForm>().map(|opaque| opaque.0),
            _ => Err(A::Error::invalid_type(Unexpected::Enum, &self)),
        }
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        self.visit_i128(number.into())
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| E::custom(too_large(number)))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| E::custom(too_large(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Str(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_owned().into()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| A::Error::custom(CodecError::TooDeep))?;
        let mut elements = Vec::with_capacity(access.size_hint().unwrap_or(0).min(MOST_RESERVED));
        while let Some(element) = access.next_element_seed(ValueSeed { levels, ..self })? {
            elements.push(element);
        }
        Ok(Value::List(List::from(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let inside = match self.levels.checked_sub(1) {
            Some(levels) => ValueSeed { levels, ..self },
            None if self.tagged.is_some() => ValueSeed { levels: 0, tagged: None },
            None => return Err(A::Error::custom(CodecError::TooDeep)),
        };
        let map = entries(access, inside)?;
        let value = match self.tagged {
            Some(read) => read(map).map_err(A::Error::custom)?,
            None => Value::Map(map),
        };
        match value {
            Value::Map(_) if self.levels == 0 => Err(A::Error::custom(CodecError::TooDeep)),
            value => Ok(value),
        }
    }
}

fn entries<'de, A: MapAccess<'de>>(mut access: A, inside: ValueSeed) -> Result<Map, A::Error> {
    let mut entries = IndexMap::with_capacity(access.size_hint().unwrap_or(0).min(MOST_RESERVED));
    while let Some(name) = access.next_key::<String>()? {
        if entries.contains_key(&name) {
            return Err(A::Error::custom(format_args!("the key {name:?} comes twice in one map: remove one")));
        }
        entries.insert(name, access.next_value_seed(inside)?);
    }
    Ok(Map::from(entries))
}
