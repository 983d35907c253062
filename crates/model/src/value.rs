//! [`Value`]: one plain thing, and its containers, which are dropped without recursion.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use indexmap::IndexMap;

use crate::Opaque;

/// One value: plain, which every kind of task can produce and consume, or [`Opaque`].
///
/// Integers have 64 bits. Text is Unicode; anything else is bytes. A map has text keys and keeps the order in which they
/// were inserted, as Python's `dict` does.
///
/// No value of more than [`MAX_DEPTH`](crate::MAX_DEPTH) levels comes out of decoding, parsing or conversion. One built
/// in code may be deeper: it is dropped without recursion and refused by everything that encodes or converts it, but
/// cloning, comparing and formatting it recurses, and overflows the stack of a thread from some thousand levels on.
///
/// ```
/// use pushflow_model::{List, Value};
///
/// let value = Value::from(vec![Value::from(1), Value::from("two")]);
/// assert_eq!(value, Value::List(List::from_iter([Value::Int(1), Value::Str("two".into())])));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Python's `None`, JSON's `null`, Rust's `()` and `Option::None`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A binary floating point number of 64 bits; not a number and the infinities included.
    Float(f64),
    /// Unicode text.
    Str(String),
    /// Bytes that are no text.
    Bytes(Blob),
    /// Values in a row.
    List(List),
    /// Values by name, in the order of insertion.
    Map(Map),
    /// What no other form can hold, to be handed on as it is.
    Opaque(Box<Opaque>),
}

impl Value {
    /// This value as everybody can read it: of an opaque value its view, if it has one.
    pub fn plain(&self) -> &Value {
        match self {
            Value::Opaque(opaque) => opaque.view().unwrap_or(self),
            plain => plain,
        }
    }

    /// The word for this value's type in a message to the user.
    pub fn type_name(&self) -> &'static str {
        match self.plain() {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Str(_) => "a text",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Opaque(_) => "an opaque value",
        }
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self.plain() {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if this is one (a boolean is not).
    pub fn as_int(&self) -> Option<i64> {
        match self.plain() {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The map, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self.plain() {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether this value has at most `levels` levels of containers; looks no deeper than that.
    pub(crate) fn fits(&self, levels: usize) -> bool {
        let fits_below = |value: &Value| levels.checked_sub(1).is_some_and(|below| value.fits(below));
        match self {
            Value::List(list) => levels > 0 && list.iter().all(fits_below),
            Value::Map(map) => levels > 0 && map.values().all(fits_below),
            Value::Opaque(opaque) => opaque.view().is_none_or(|view| view.fits(levels)),
            _ => true,
        }
    }
}

/// The content of a [`Value::Bytes`]; cloning shares it.
///
/// Boxed, because every value would take more room otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(Box<Bytes>);

/// The elements of a [`Value::List`].
///
/// A type of its own so that dropping a deep list needs no deep stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List(Vec<Value>);

/// The entries of a [`Value::Map`], in the order of insertion.
///
/// A type of its own so that dropping a deep map needs no deep stack. Two maps are equal when they have the same
/// entries, in whatever order.
///
/// Boxed, because it would more than double the size of every value otherwise, those in long lists of numbers included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Box<IndexMap<String, Value>>);

impl Blob {
    /// The bytes, taken out; copied only where they are shared.
    pub fn into_vec(self) -> Vec<u8> {
        Vec::from(*self.0)
    }
}

impl Deref for Blob {
    type Target = Bytes;
    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Blob(Box::new(bytes))
    }
}

impl FromIterator<u8> for Blob {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        bytes.into_iter().collect::<Bytes>().into()
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl List {
    /// The elements, taken out.
    pub fn into_vec(mut self) -> Vec<Value> {
        std::mem::take(&mut self.0)
    }
}

impl Map {
    /// The entries, taken out.
    pub fn into_entries(mut self) -> IndexMap<String, Value> {
        std::mem::take(&mut *self.0)
    }
}

impl Deref for List {
    type Target = Vec<Value>;
    fn deref(&self) -> &Vec<Value> {
        &self.0
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut Vec<Value> {
        &mut self.0
    }
}

impl Deref for Map {
    type Target = IndexMap<String, Value>;
    fn deref(&self) -> &IndexMap<String, Value> {
        &self.0
    }
}

impl DerefMut for Map {
    fn deref_mut(&mut self) -> &mut IndexMap<String, Value> {
        &mut self.0
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        List(values.into_iter().collect())
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Map(Box::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }
}

impl From<Vec<Value>> for List {
    fn from(values: Vec<Value>) -> Self {
        List(values)
    }
}

impl From<IndexMap<String, Value>> for Map {
    fn from(entries: IndexMap<String, Value>) -> Self {
        Map(Box::new(entries))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if self.0.iter().any(is_container) {
            drop_flat(self.0.drain(..).collect());
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.0.values().any(is_container) {
            drop_flat(self.0.drain(..).map(|(_, value)| value).collect());
        }
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_) | Value::Opaque(_))
}

/// Drops `pending` and all below it with one flat list of what is still to drop.
fn drop_flat(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(mut list) => pending.append(&mut list.0),
            Value::Map(mut map) => pending.extend(map.0.drain(..).map(|(_, value)| value)),
            Value::Opaque(opaque) => pending.extend(opaque.into_view()),
            _ => {}
        }
    }
}

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

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
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

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Value::List(List(values))
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
