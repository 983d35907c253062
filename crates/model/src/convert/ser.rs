//! [`ValueSerializer`]: makes a [`Value`] from Rust values.

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::ser::{Error, Serialize, Serializer};

use super::error::ConvertError;
use super::integer::integer;
use super::serde_impls::{MOST_RESERVED, OPAQUE};
use crate::{List, Map, Value};

/// Serializes a Rust value that may have `levels` levels.
#[derive(Clone, Copy)]
pub struct ValueSerializer {
    levels: usize,
}

impl ValueSerializer {
    pub fn new(levels: usize) -> Self {
        ValueSerializer { levels }
    }

    /// The serializer for the content of a container.
    fn below(self) -> Result<ValueSerializer, ConvertError> {
        self.levels.checked_sub(1).map(ValueSerializer::new).ok_or_else(ConvertError::too_deep)
    }

    fn list(self, len: Option<usize>, variant: Option<&'static str>) -> Result<ListSerializer, ConvertError> {
        let outer = if variant.is_some() { self.below()? } else { self };
        let elements = Vec::with_capacity(len.unwrap_or(0).min(MOST_RESERVED));
        Ok(ListSerializer { below: outer.below()?, elements, variant })
    }

    fn map(self, len: Option<usize>, variant: Option<&'static str>) -> Result<MapSerializer, ConvertError> {
        let outer = if variant.is_some() { self.below()? } else { self };
        let entries = IndexMap::with_capacity(len.unwrap_or(0).min(MOST_RESERVED));
        Ok(MapSerializer { below: outer.below()?, entries, key: None, variant })
    }
}

/// Puts the content of an enum's variant under the variant's name.
fn tagged(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(name) => Value::Map(Map::from_iter([(name, content)])),
        None => content,
    }
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = ConvertError;
    type SerializeSeq = ListSerializer;
    type SerializeTuple = ListSerializer;
    type SerializeTupleStruct = ListSerializer;
    type SerializeTupleVariant = ListSerializer;
    type SerializeMap = MapSerializer;
    type SerializeStruct = MapSerializer;
    type SerializeStructVariant = MapSerializer;

    fn serialize_bool(self, value: bool) -> Result<Value, ConvertError> {
        Ok(Value::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_i128(self, value: i128) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_u128(self, value: u128) -> Result<Value, ConvertError> {
        integer(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Value, ConvertError> {
        Ok(Value::Float(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Value, ConvertError> {
        Ok(Value::Float(value))
    }

    fn serialize_char(self, value: char) -> Result<Value, ConvertError> {
        Ok(Value::Str(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Value, ConvertError> {
        Ok(Value::Str(value.to_owned()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, ConvertError> {
        Ok(Value::Bytes(value.to_owned().into()))
    }

    fn serialize_none(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, ConvertError> {
        Ok(Value::Str(variant.to_owned()))
    }

    /// Under the name [`OPAQUE`] comes the wire form of an opaque value.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        match value.serialize(self)? {
            Value::Bytes(encoded) if name == OPAQUE => match crate::codec::decode(&encoded) {
                Ok(opaque) if opaque.fits(self.levels) => Ok(opaque),
                Ok(_) => Err(ConvertError::too_deep()),
                Err(error) => Err(Error::custom(error)),
            },
            value => Ok(value),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        let content = value.serialize(self.below()?).map_err(|error| error.inside(variant))?;
        Ok(tagged(Some(variant), content))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<ListSerializer, ConvertError> {
        self.list(len, None)
    }

    fn serialize_tuple(self, len: usize) -> Result<ListSerializer, ConvertError> {
        self.list(Some(len), None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<ListSerializer, ConvertError> {
        self.list(Some(len), None)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<ListSerializer, ConvertError> {
        self.list(Some(len), Some(variant))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<MapSerializer, ConvertError> {
        self.map(len, None)
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<MapSerializer, ConvertError> {
        self.map(Some(len), None)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<MapSerializer, ConvertError> {
        self.map(Some(len), Some(variant))
    }
}

/// A list so far, and the variant of an enum whose content it is, if any.
pub struct ListSerializer {
    below: ValueSerializer,
    elements: Vec<Value>,
    variant: Option<&'static str>,
}

impl ListSerializer {
    fn push<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), ConvertError> {
        let element = element.serialize(self.below).map_err(|error| error.inside_element(self.elements.len()))?;
        self.elements.push(element);
        Ok(())
    }

    fn finish(self) -> Value {
        tagged(self.variant, Value::List(List::from(self.elements)))
    }
}

/// A map so far, and the variant of an enum whose content it is, if any.
pub struct MapSerializer {
    below: ValueSerializer,
    entries: IndexMap<String, Value>,
    key: Option<String>,
    variant: Option<&'static str>,
}

impl MapSerializer {
    fn insert<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), ConvertError> {
        match self.entries.entry(name) {
            Entry::Vacant(entry) => {
                let value = value.serialize(self.below).map_err(|error| error.inside(entry.key()))?;
                entry.insert(value);
                Ok(())
            }
            Entry::Occupied(entry) => Err(Error::custom(format_args!("the key {:?} comes twice", entry.key()))),
        }
    }

    fn finish(self) -> Value {
        tagged(self.variant, Value::Map(Map::from(self.entries)))
    }
}

macro_rules! lists {
    ($($of:ident $add:ident)*) => {$(
        impl serde::ser::$of for ListSerializer {
            type Ok = Value;
            type Error = ConvertError;

            fn $add<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), ConvertError> {
                self.push(element)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.finish())
            }
        }
    )*};
}

lists! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! structs {
    ($($of:ident)*) => {$(
        impl serde::ser::$of for MapSerializer {
            type Ok = Value;
            type Error = ConvertError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ConvertError> {
                self.insert(name.to_owned(), value)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.finish())
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }

impl serde::ser::SerializeMap for MapSerializer {
    type Ok = Value;
    type Error = ConvertError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ConvertError> {
        self.key = Some(key.serialize(super::key::KeySerializer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let key = self.key.take().ok_or_else(|| Error::custom("a map wrote a value without its key"))?;
        self.insert(key, value)
    }

    fn end(self) -> Result<Value, ConvertError> {
        Ok(self.finish())
    }
}
