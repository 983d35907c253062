//! `From` for [`Value`]: from every Rust type that fits without loss.
//!
//! Options, lists and maps convert if their elements do. Integers that may not fit convert with `TryFrom`, which
//! `convert/integer.rs` implements, because its error is defined there.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use indexmap::IndexMap;

use super::{Blob, List, Map, Opaque, Value};

impl From<()> for Value {
    fn from((): ()) -> Self {
        Value::Null
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Value::Int(value.into())
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 u8 u16 u32 }

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        const { assert!(size_of::<isize>() <= size_of::<i64>()) };
        Value::Int(value as i64)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Value::Float(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Value::Bytes(value.into())
    }
}

impl From<Blob> for Value {
    fn from(value: Blob) -> Self {
        Value::Bytes(value)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Value::List(list)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(map)
    }
}

impl From<Opaque> for Value {
    fn from(opaque: Opaque) -> Self {
        Value::Opaque(Box::new(opaque))
    }
}

/// `None` becomes [`Value::Null`], so `Some(())` and `None` become the same value.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// Makes a list, whatever the type of the elements.
///
/// A `Vec<u8>` becomes a list of integers, as with [`to_value`](crate::to_value); [`Blob`] and [`Bytes`] become bytes:
///
/// ```
/// use pushflow_model::{Blob, Value};
///
/// let raw: Vec<u8> = vec![1, 2];
/// assert_eq!(Value::from(raw.clone()), Value::from([1, 2]));
/// assert_eq!(Value::from(Blob::from(raw)).type_name(), "bytes");
/// ```
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::List(List(values.into_iter().map(Into::into).collect()))
    }
}

/// Makes a list, whatever the type of the elements: a `[u8; N]` becomes a list of integers.
impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(values: [T; N]) -> Self {
        Value::List(List(values.into_iter().map(Into::into).collect()))
    }
}

/// Makes a map in the order of the keys.
impl<K: Into<String>, T: Into<Value>> From<BTreeMap<K, T>> for Value {
    fn from(entries: BTreeMap<K, T>) -> Self {
        map(entries)
    }
}

/// Makes a map in the order in which the hash map yields its entries. This order differs from run to run.
impl<K: Into<String>, T: Into<Value>, S> From<HashMap<K, T, S>> for Value {
    fn from(entries: HashMap<K, T, S>) -> Self {
        map(entries)
    }
}

/// Makes a map in the order of insertion.
impl<K: Into<String>, T: Into<Value>, S> From<IndexMap<K, T, S>> for Value {
    fn from(entries: IndexMap<K, T, S>) -> Self {
        map(entries)
    }
}

fn map<K: Into<String>, T: Into<Value>>(entries: impl IntoIterator<Item = (K, T)>) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (name, value.into())).collect())
}
