//! [`Fields`]: reads the attributes of one object by name and type, and makes the errors about them.

use std::sync::LazyLock;

use pushflow_model::{Map, Value, nearest};

use super::error::{Element, LoadError, LoadResult};
use super::location::Location;

/// The attributes of one object, and the location of the object.
pub(super) struct Fields<'a> {
    pub(super) location: Location,
    map: &'a Map,
}

impl<'a> Fields<'a> {
    /// The attributes of a value that must be an object.
    pub(super) fn of(value: &'a Value, location: Location) -> LoadResult<Self> {
        match value {
            Value::Map(map) => Ok(Fields { location, map }),
            other => Err(location.invalid(format!("must be an object with attributes, not {}", other.type_name()))),
        }
    }

    /// The attributes of an object.
    pub(super) fn of_map(map: &'a Map, location: Location) -> Self {
        Fields { location, map }
    }

    /// The object that is an attribute of this one. A missing one counts as an object without attributes.
    pub(super) fn object(&self, name: &'static str) -> LoadResult<Fields<'a>> {
        static NOTHING: LazyLock<Map> = LazyLock::new(Map::default);
        let location = self.location.attribute(name);
        self.get(name).map_or_else(
            || Ok(Fields { location: location.clone(), map: &NOTHING }),
            |value| Fields::of(value, location.clone()),
        )
    }

    /// All attributes.
    pub(super) fn attributes(&self) -> &'a Map {
        self.map
    }

    /// The value of an attribute, which may be null.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    /// The value of an attribute; `None` if the attribute is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.raw(name).filter(|value| **value != Value::Null)
    }

    /// The text of an attribute; `None` if the attribute is missing or null.
    pub(super) fn text(&self, name: &'static str) -> LoadResult<Option<&'a str>> {
        self.typed(name, "a text", Value::as_str)
    }

    /// The boolean of an attribute; `None` if the attribute is missing or null.
    pub(super) fn boolean(&self, name: &'static str) -> LoadResult<Option<bool>> {
        self.typed(name, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    /// The list of an attribute; an empty one if the attribute is missing or null.
    pub(super) fn list(&self, name: &'static str) -> LoadResult<&'a [Value]> {
        let list = self.typed(name, "a list", |value| match value {
            Value::List(list) => Some(list.as_slice()),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    /// The objects of a list. `element_of` makes the element of an object from its number, counted from 1.
    pub(super) fn objects(
        &self,
        name: &'static str,
        element_of: impl Fn(usize) -> Element,
    ) -> LoadResult<impl Iterator<Item = LoadResult<Fields<'a>>>> {
        let values = self.list(name)?;
        let location = self.location.clone();
        let items = values.iter().enumerate();
        Ok(items.map(move |(index, value)| Fields::of(value, location.item(name, index, element_of(index + 1)))))
    }

    /// The objects of a list, each as an item of the attribute with this name.
    pub(super) fn items(&self, name: &'static str) -> LoadResult<impl Iterator<Item = LoadResult<Fields<'a>>>> {
        let owner = self.location.element.clone();
        self.objects(name, move |number| Element::Item { owner: Box::new(owner.clone()), list: name, number })
    }

    /// The error that this object breaks a rule.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Box<LoadError> {
        self.location.invalid(message)
    }

    /// The error that one attribute of this object breaks a rule.
    pub(super) fn wrong(&self, name: &'static str, message: impl Into<String>) -> Box<LoadError> {
        self.location.attribute(name).invalid(message)
    }

    /// The error that a required attribute is missing.
    pub(super) fn missing(&self, name: &str) -> Box<LoadError> {
        self.invalid(format!("{name:?} is missing"))
    }

    /// Refuses an attribute whose name looks like a misspelling of a known name. All other unknown attributes are
    /// ignored.
    pub(super) fn refuse_misspelt(&self, known: &[&[&str]]) -> LoadResult<()> {
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
        name: &'static str,
        expected: &str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> LoadResult<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match take(value) {
            Some(taken) => Ok(Some(taken)),
            None => Err(self.wrong(name, format!("{name:?} must be {expected}, not {}", value.type_name()))),
        }
    }
}
