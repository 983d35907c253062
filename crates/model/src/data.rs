//! [`Data`] and [`Payload`]: the values that one trigger carries.
//!
//! The two types contain each other, so this file defines both. The methods of a payload are in `payload.rs`, the wire
//! form of data in `wire.rs`.

mod key;
mod payload;
mod wire;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use indexmap::IndexMap;

use crate::{CodecError, Value};

pub use key::Key;
pub use payload::Outline;
pub use wire::{Apart, Form, decode_joined, encode_apart};

/// The inputs or outputs of one execution of a task: a map from names and positions to values, in the order of
/// insertion.
///
/// Clones share one map. Changing a shared map copies the map, but never the values in it.
///
/// ```
/// use pushflow_model::{Data, Value};
///
/// let inputs = Data::new().with("value", 1).with("limit", 10);
/// let result = Data::new().with("value", 2);
/// let merged = inputs.merged(&result);
/// assert_eq!(merged.value("value").unwrap(), Some(&Value::Int(2)));
/// assert_eq!(merged.value("limit").unwrap(), Some(&Value::Int(10)));
/// ```
#[derive(Clone, Default)]
pub struct Data(Arc<IndexMap<Key, Payload>>);

/// One value, in one or more forms: decoded, encoded, encoded as an outline, or a map of further payloads.
///
/// A payload makes a form when a caller first asks for it, and keeps it. Clones share the forms. So a value is encoded
/// once, by its producer, and decoded only where a task or a condition reads it.
///
/// ```
/// use pushflow_model::{Payload, Value};
///
/// let sent = Payload::from(Value::from("hello"));
/// let received = Payload::from_encoded(sent.encoded().unwrap().clone());
/// assert_eq!(received.value().unwrap(), &Value::from("hello"));
/// ```
#[derive(Clone)]
pub struct Payload(Arc<Forms>);

/// The forms of one value. At least one of them is set; none changes once it is set.
#[derive(Default)]
struct Forms {
    value: OnceLock<Value>,
    encoded: OnceLock<Bytes>,
    outlined: OnceLock<Outlined>,
    fields: OnceLock<Fields>,
}

/// An encoded value without its long bytes, and the long bytes.
struct Outlined {
    outline: Bytes,
    apart: Vec<Bytes>,
}

/// The entries of a payload that is a map. Their payloads may hold fields in turn, so fields are dropped without
/// recursion.
struct Fields(Data);

impl Data {
    /// Data without an entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries of a map, or of an opaque value whose view is a map; `None` for any other value.
    pub fn from_map(value: Value) -> Option<Data> {
        match value {
            Value::Map(map) => Some(
                map.into_entries().into_iter().map(|(name, value)| (Key::from(name), Payload::from(value))).collect(),
            ),
            Value::Opaque(opaque) => opaque.into_view().and_then(Data::from_map),
            _ => None,
        }
    }

    /// This data with one entry more. If the key has an entry, the new value takes its place in the order.
    #[must_use]
    pub fn with(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.insert(key.into(), Payload::from(value.into()));
        self
    }

    /// Sets one entry. If the key has an entry, the new payload takes its place in the order.
    pub fn insert(&mut self, key: Key, payload: Payload) {
        Arc::make_mut(&mut self.0).insert(key, payload);
    }

    /// Takes one entry out; the others keep their order.
    pub fn remove(&mut self, key: &Key) -> Option<Payload> {
        if !self.0.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).shift_remove(key)
    }

    /// The payload under a key.
    pub fn payload(&self, key: &Key) -> Option<&Payload> {
        self.0.get(key)
    }

    /// The payload under a name.
    pub fn named(&self, name: &str) -> Option<&Payload> {
        self.0.get(&Key::from(name))
    }

    /// The decoded value under a name, `None` where there is none.
    ///
    /// # Errors
    /// When the bytes that arrived under this name can't be decoded.
    pub fn value(&self, name: &str) -> Result<Option<&Value>, CodecError> {
        self.named(name).map(Payload::value).transpose()
    }

    /// The entries of both; where both have a key, the entry of `over` wins (`docs/parity.md` P32). No value is copied.
    #[must_use]
    pub fn merged(mut self, over: &Data) -> Data {
        if self.is_empty() {
            return over.clone();
        }
        if over.is_empty() {
            return self;
        }
        let entries = Arc::make_mut(&mut self.0);
        for (key, payload) in over {
            entries.insert(key.clone(), payload.clone());
        }
        self
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in the order of insertion.
    pub fn iter(&self) -> indexmap::map::Iter<'_, Key, Payload> {
        self.0.iter()
    }

    /// Checks that the entries can become a map, where a position becomes a decimal name: no two keys may coincide.
    pub(crate) fn check_names(&self) -> Result<(), CodecError> {
        let as_name = |key: &Key| matches!(key, Key::Position(_)).then(|| key.to_string());
        match self.0.keys().filter_map(as_name).find(|name| self.named(name).is_some()) {
            Some(name) => Err(CodecError::KeyTwice(name)),
            None => Ok(()),
        }
    }

    /// Takes the entries out, unless a clone shares them.
    pub(crate) fn into_unshared(self) -> Option<IndexMap<Key, Payload>> {
        Arc::into_inner(self.0)
    }
}

impl From<IndexMap<Key, Payload>> for Data {
    fn from(entries: IndexMap<Key, Payload>) -> Self {
        Data(Arc::new(entries))
    }
}

impl<'a> IntoIterator for &'a Data {
    type Item = (&'a Key, &'a Payload);
    type IntoIter = indexmap::map::Iter<'a, Key, Payload>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Into<Key>> FromIterator<(K, Payload)> for Data {
    fn from_iter<I: IntoIterator<Item = (K, Payload)>>(entries: I) -> Self {
        Data(Arc::new(entries.into_iter().map(|(key, payload)| (key.into(), payload)).collect()))
    }
}

/// Names and sizes only, so that no payload gets into a log (`docs/parity.md` P139).
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, payload)| (key.to_string(), payload))).finish()
    }
}
