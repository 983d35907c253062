//! [`Location`]: where a value stands, in words and in the text. A location makes the errors about its value.

mod json;
mod path;
mod yaml;

use std::sync::Arc;

use path::PathSegment;

use super::error::{Element, LoadError, Problem};
use super::source::{Source, Syntax};

/// The location of a value: the part of the graph that it belongs to, and the path to it in the text.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) source: Arc<Source>,
    path: Vec<PathSegment>,
    pub(super) element: Element,
}

impl Location {
    /// The location of the whole document.
    pub(super) fn of_document(source: Arc<Source>) -> Self {
        Location { source, path: Vec::new(), element: Element::Graph }
    }

    /// The same location, as a part of another element.
    pub(super) fn named(&self, element: Element) -> Self {
        Location { element, ..self.clone() }
    }

    /// The location of an attribute of the object here.
    pub(super) fn attribute(&self, name: &'static str) -> Self {
        let mut location = self.clone();
        location.path.push(PathSegment::Key(name));
        location
    }

    /// The location of an item of a list that is an attribute of the object here.
    pub(super) fn item(&self, list: &'static str, index: usize, element: Element) -> Self {
        self.attribute(list).index(index, element)
    }

    /// The location of an item of the list here.
    pub(super) fn index(&self, index: usize, element: Element) -> Self {
        let mut location = self.named(element);
        location.path.push(PathSegment::Index(index));
        location
    }

    /// The error that the value here breaks a rule.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Box<LoadError> {
        let problem = Problem::Invalid { element: self.element.clone(), message: message.into() };
        let Source { name, text, syntax, .. } = &*self.source;
        let position = match syntax {
            Syntax::Json => json::position(text, &self.path),
            Syntax::Yaml => yaml::position(text, &self.path),
        };
        Box::new(LoadError { file: name.clone(), position: Some(position), problem: Box::new(problem) })
    }
}
