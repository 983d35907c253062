//! [`List`] and [`Map`]: access to the content, and conversions from it.

use std::ops::{Deref, DerefMut};

use indexmap::IndexMap;

use super::{List, Map, Value};

impl List {
    /// Takes the elements out.
    pub fn into_vec(mut self) -> Vec<Value> {
        std::mem::take(&mut self.0)
    }
}

impl Map {
    /// Takes the entries out.
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
