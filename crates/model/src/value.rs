//! [`Value`], the containers [`List`] and [`Map`], and [`Opaque`].
//!
//! These types contain each other, so this file defines all of them and how they are dropped: without recursion,
//! because a deep value would overflow the stack.

mod blob;
mod containers;
mod from;
mod opaque;

use bytes::Bytes;
use indexmap::IndexMap;

pub use blob::Blob;

/// One value: a plain one, which every kind of task can produce and consume, or an [`Opaque`] one.
///
/// Integers have 64 bits. Text is Unicode; anything else is bytes. A map has text keys and keeps the order in which
/// they were inserted, as Python's `dict` does.
///
/// Decoding, parsing and conversion never make a value of more than [`MAX_DEPTH`](crate::MAX_DEPTH) levels. Code can
/// build a deeper value. Such a value is dropped without recursion, and encoding and conversion refuse it. But cloning,
/// comparing and formatting recurse, so from some thousand levels on they overflow the stack of a thread.
///
/// ```
/// use pushflow_model::{List, Value};
///
/// let value = Value::from(vec![Value::from(1), Value::from("two")]);
/// assert_eq!(value, Value::List(List::from_iter([Value::Int(1), Value::Str("two".into())])));
/// assert_eq!(Value::from([Some(0.5), None]), Value::from(vec![Value::Float(0.5), Value::Null]));
/// assert!(Value::try_from(u64::MAX).is_err());
/// ```
///
/// `From` takes whatever fits without loss: numbers, texts, [`Bytes`], options, and lists and maps of them. `TryFrom`
/// takes the integers that may not fit: `u64`, `usize`, `i128` and `u128`. [`to_value`](crate::to_value) takes all
/// else. A `Vec<u8>` becomes a list of integers in either case; [`Blob`] and [`Bytes`] become bytes.
///
/// This enum is exhaustive on purpose: encoders, comparisons and conversions match on it, and a variant that one of
/// them forgets must not compile.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Python's `None`, JSON's `null`, Rust's `()` and `Option::None`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A binary floating point number of 64 bits; may be "not a number" or infinite.
    Float(f64),
    /// Unicode text.
    Str(String),
    /// Bytes.
    Bytes(Blob),
    /// A sequence of values.
    List(List),
    /// Values by name, in the order of insertion.
    Map(Map),
    /// A value that no other variant can hold. It is passed on unchanged.
    Opaque(Box<Opaque>),
}

impl Value {
    /// The view of an opaque value that has one; this value itself otherwise.
    pub fn plain(&self) -> &Value {
        match self {
            Value::Opaque(opaque) => opaque.view().unwrap_or(self),
            plain => plain,
        }
    }

    /// The name of this value's type for messages to the user; an opaque value has the type of its view.
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

    /// Whether this value has at most `levels` levels of containers. The check recurses no deeper than `levels`.
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

/// The elements of a [`Value::List`].
///
/// A type of its own, because its `Drop` avoids recursion: dropping a deep list needs no deep stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List(Vec<Value>);

/// The entries of a [`Value::Map`], in the order of insertion.
///
/// A type of its own, because its `Drop` avoids recursion: dropping a deep map needs no deep stack. Two maps are equal
/// when they have the same entries, in whatever order.
///
/// The map is boxed. Unboxed, it would more than double the size of every value, also of each number in a long list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Box<IndexMap<String, Value>>);

/// An object of another language that no plain value can hold, such as a Python object.
///
/// The object is passed on unchanged, and only its codec reads its content. If the object has a plain counterpart (a
/// list for a Python tuple), this counterpart is its *view*. JSON, conditions, routers and the typed arguments of Rust
/// tasks see the view; the next task of the object's language receives the whole object. See [`Value::plain`].
///
/// ```
/// use pushflow_model::{Opaque, Value, from_value};
///
/// let pair = Opaque::new("python", "tuple").with_view(Value::from(vec![Value::from(1), Value::from(2)]));
/// assert_eq!(from_value::<(i32, i32)>(&Value::from(pair))?, (1, 2));
///
/// let date = Value::from(Opaque::new("pickle", "datetime.date").with_text("datetime.date(2000, 1, 1)"));
/// let json = date.to_json().unwrap().to_string();
/// assert_eq!(json, r#"{"$type":"datetime.date","$repr":"datetime.date(2000, 1, 1)"}"#);
/// # Ok::<(), pushflow_model::ConvertError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opaque {
    /// The name of the codec that can read the content.
    pub codec: String,
    /// The object's type in its own language.
    pub type_name: String,
    /// The object as its own language prints it, shortened; may be empty.
    pub text: String,
    /// The object itself, without the parts that the view and the buffers hold.
    pub content: Bytes,
    /// Long parts of the object that its content leaves out, such as the elements of an array. They are passed on
    /// without a copy.
    pub buffers: Vec<Bytes>,
    /// The view, which is never opaque itself.
    view: Option<Value>,
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

/// Drops `pending` and all values inside them. A flat list of the values still to drop replaces the recursion.
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
