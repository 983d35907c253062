//! [`ValueDeserializer`]: makes Rust values from a [`Value`].

use serde::de::value::{BorrowedStrDeserializer, BytesDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::ConvertError;
use super::key::KeyDeserializer;
use super::serde_impls::OPAQUE;
use crate::{List, Map, Value};

/// Deserializes a value that may have `levels` levels.
#[derive(Clone, Copy)]
pub struct ValueDeserializer<'de> {
    value: &'de Value,
    levels: usize,
}

impl<'de> ValueDeserializer<'de> {
    pub fn new(value: &'de Value, levels: usize) -> Self {
        ValueDeserializer { value, levels }
    }

    /// The number of levels that the content of this container may have.
    fn below(self) -> Result<usize, ConvertError> {
        self.levels.checked_sub(1).ok_or_else(ConvertError::too_deep)
    }

    fn list<V: Visitor<'de>>(self, list: &'de List, visitor: V) -> Result<V::Value, ConvertError> {
        let mut elements = ListAccess { list, next: 0, levels: self.below()? };
        let out = visitor.visit_seq(&mut elements)?;
        match elements.next {
            taken if taken == list.len() => Ok(out),
            taken => Err(Error::custom(format_args!("expected {taken} elements, found a list of {}", list.len()))),
        }
    }

    fn map<V: Visitor<'de>>(self, map: &'de Map, visitor: V) -> Result<V::Value, ConvertError> {
        let mut entries = MapEntries { map, next: 0, levels: self.below()? };
        let out = visitor.visit_map(&mut entries)?;
        match entries.next {
            taken if taken == map.len() => Ok(out),
            taken => Err(Error::custom(format_args!("expected {taken} entries, found a map of {}", map.len()))),
        }
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = ConvertError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.value.plain() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Str(text) => visitor.visit_borrowed_str(text),
            Value::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::List(list) => self.list(list, visitor),
            Value::Map(map) => self.map(map, visitor),
            Value::Opaque(opaque) => {
                let found = format!("an opaque value of type {}", opaque.type_name);
                Err(Error::invalid_type(Unexpected::Other(&found), &visitor))
            }
        }
    }

    /// Refuses bytes: serde's implementation for `String` would accept bytes as text if they happen to be UTF-8.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.value.plain() {
            Value::Bytes(bytes) => Err(Error::invalid_type(Unexpected::Bytes(bytes), &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_str(visitor)
    }

    /// Accepts bytes or a list of integers, but no text.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.value.plain() {
            Value::Str(text) => Err(Error::invalid_type(Unexpected::Str(text), &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.value.plain() {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Under the name [`OPAQUE`] a [`Value`] is asked for: an opaque value is handed over whole, not as its view.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match self.value {
            Value::Opaque(_) if name == OPAQUE && self.value.fits(self.levels) => {
                visitor.visit_enum(OpaqueAccess(self.value))
            }
            Value::Opaque(_) if name == OPAQUE => Err(ConvertError::too_deep()),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        let Value::Bytes(bytes) = self.value.plain() else { return self.deserialize_any(visitor) };
        let mut elements = SeqDeserializer::new(bytes.iter().copied());
        let out = visitor.visit_seq(&mut elements)?;
        elements.end()?;
        Ok(out)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match self.value.plain() {
            Value::Str(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Value::Map(map) if map.len() == 1 => visitor.visit_enum(VariantMap { map, levels: self.below()? }),
            Value::Map(map) => Err(Error::custom(format_args!(
                "expected a variant's name, or a map with the name as its one key, found a map of {}",
                map.len()
            ))),
            other => Err(Error::custom(format_args!(
                "expected a variant's name, or a map with the name as its one key, found {}",
                other.type_name()
            ))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char unit unit_struct map struct identifier
    }
}

/// The rest of a list, from the element `next` on.
struct ListAccess<'de> {
    list: &'de List,
    next: usize,
    levels: usize,
}

impl<'de> SeqAccess<'de> for ListAccess<'de> {
    type Error = ConvertError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ConvertError> {
        let Some(element) = self.list.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        let element = seed.deserialize(ValueDeserializer::new(element, self.levels));
        element.map(Some).map_err(|error| error.inside_element(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len() - self.next)
    }
}

/// The rest of a map, from the entry `next` on.
struct MapEntries<'de> {
    map: &'de Map,
    next: usize,
    levels: usize,
}

impl<'de> MapAccess<'de> for MapEntries<'de> {
    type Error = ConvertError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ConvertError> {
        let Some((name, _)) = self.map.get_index(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(KeyDeserializer(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ConvertError> {
        let entry = self.next.checked_sub(1).and_then(|current| self.map.get_index(current));
        let (name, value) = entry.ok_or_else(|| ConvertError::custom("a map's value was asked for before its key"))?;
        seed.deserialize(ValueDeserializer::new(value, self.levels)).map_err(|error| error.inside(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.map.len() - self.next)
    }
}

/// An opaque value that is handed over to a [`Value`]: as an enum whose variant [`OPAQUE`] holds the wire form.
struct OpaqueAccess<'de>(&'de Value);

impl<'de> EnumAccess<'de> for OpaqueAccess<'de> {
    type Error = ConvertError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ConvertError> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<ConvertError>::new(OPAQUE))?, self))
    }
}

impl<'de> VariantAccess<'de> for OpaqueAccess<'de> {
    type Error = ConvertError;

    fn unit_variant(self) -> Result<(), ConvertError> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &"nothing"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ConvertError> {
        let encoded = crate::codec::encode(self.0).map_err(Error::custom)?;
        seed.deserialize(BytesDeserializer::<ConvertError>::new(&encoded))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ConvertError> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &visitor))
    }
}

/// A variant with content: a map of one entry, whose key is the name of the variant.
struct VariantMap<'de> {
    map: &'de Map,
    levels: usize,
}

impl<'de> EnumAccess<'de> for VariantMap<'de> {
    type Error = ConvertError;
    type Variant = VariantContent<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, VariantContent<'de>), ConvertError> {
        let (name, value) = self.map.first().ok_or_else(|| ConvertError::custom("expected a variant's name"))?;
        let variant = seed.deserialize(BorrowedStrDeserializer::<ConvertError>::new(name))?;
        Ok((variant, VariantContent { name, content: ValueDeserializer::new(value, self.levels) }))
    }
}

/// The content of a variant.
struct VariantContent<'de> {
    name: &'de str,
    content: ValueDeserializer<'de>,
}

impl<'de> VariantAccess<'de> for VariantContent<'de> {
    type Error = ConvertError;

    fn unit_variant(self) -> Result<(), ConvertError> {
        match self.content.value.plain() {
            Value::Null => Ok(()),
            other => Err(Error::custom(format_args!(
                "expected nothing in the variant {:?}, found {}",
                self.name,
                other.type_name()
            ))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ConvertError> {
        seed.deserialize(self.content).map_err(|error| error.inside(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ConvertError> {
        match self.content.value.plain() {
            Value::List(list) => self.content.list(list, visitor),
            other => Err(Error::custom(format_args!("expected a list, found {}", other.type_name()))),
        }
        .map_err(|error| error.inside(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match self.content.value.plain() {
            Value::Map(map) => self.content.map(map, visitor),
            Value::List(list) => self.content.list(list, visitor),
            other => Err(Error::custom(format_args!("expected a map, found {}", other.type_name()))),
        }
        .map_err(|error| error.inside(self.name))
    }
}
