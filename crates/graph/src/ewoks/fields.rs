//! [`Fields`]: the attributes of one object of the file, read by name and type, with messages that say where.

use pushflow_value::{Map, Value};

use super::error::{Place, Problem};
use crate::nearest::nearest;

/// The attributes of one JSON object, and the place of the object.
pub(super) struct Fields<'a> {
    pub(super) place: Place,
    map: &'a Map,
}

impl<'a> Fields<'a> {
    /// The attributes of a value that must be an object.
    pub(super) fn of(value: &'a Value, place: Place) -> Result<Self, Problem> {
        match value {
            Value::Map(map) => Ok(Fields { place, map }),
            other => Err(place.invalid(format!("must be an object with attributes, not {}", other.type_name()))),
        }
    }

    /// An object without an attribute.
    pub(super) fn none(place: Place) -> Fields<'static> {
        static NOTHING: std::sync::LazyLock<Map> = std::sync::LazyLock::new(Map::default);
        Fields { place, map: &NOTHING }
    }

    /// The attribute as it is, null included.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    /// The attribute, where it is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.raw(name).filter(|value| **value != Value::Null)
    }

    /// A text, where there is one.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        self.typed(name, "a text", Value::as_str)
    }

    /// True or false, where it says so.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.typed(name, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    /// A list; empty where there is none.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], Problem> {
        let list = self.typed(name, "a list", |value| match value {
            Value::List(list) => Some(list.as_slice()),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    /// The objects of a list, each knowing its place as `place_of` its number, counted from 1.
    pub(super) fn objects(
        &self,
        name: &str,
        place_of: impl Fn(usize) -> Place,
    ) -> Result<impl Iterator<Item = Result<Fields<'a>, Problem>>, Problem> {
        let values = self.list(name)?;
        Ok(values.iter().enumerate().map(move |(index, value)| Fields::of(value, place_of(index + 1))))
    }

    /// The place of an item of one of this object's lists.
    pub(super) fn item_place(&self, list: &'static str, number: usize) -> Place {
        Place::Item { owner: Box::new(self.place.clone()), list, number }
    }

    /// A broken rule of this object.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Problem {
        self.place.invalid(message)
    }

    /// An attribute that must be there.
    pub(super) fn missing(&self, name: &str) -> Problem {
        self.invalid(format!("{name:?} is missing"))
    }

    /// Refuses attributes that ask for something this version does not have; null, false and empty ask for nothing.
    pub(super) fn refuse_unsupported(&self, names: &[&str]) -> Result<(), Problem> {
        let asks = |name: &&&str| self.get(name).is_some_and(|value| !is_empty(value));
        match names.iter().find(asks) {
            Some(name) => Err(self.place.unsupported(format!("{name:?}"))),
            None => Ok(()),
        }
    }

    /// Refuses an attribute that looks like a slip in a known name; any other unknown attribute is information.
    pub(super) fn refuse_misspelt(&self, known: &[&[&str]]) -> Result<(), Problem> {
        let known = || known.iter().copied().flatten().copied();
        for name in self.map.keys().filter(|name| !known().any(|right| right == name.as_str())) {
            if let Some(right) = nearest(name, known()) {
                return Err(self.invalid(format!("unknown attribute {name:?}; did you mean {right:?}?")));
            }
        }
        Ok(())
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match take(value) {
            Some(taken) => Ok(Some(taken)),
            None => Err(self.invalid(format!("{name:?} must be {expected}, not {}", value.type_name()))),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => !truth,
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}
