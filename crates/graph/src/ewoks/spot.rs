//! [`Spot`]: where something stands, in words and in the text, so that whatever is wrong with it can say so.

use std::sync::Arc;

use super::error::{LoadError, Place, Position, Problem};
use super::file::Folders;
use super::{position, yaml};

/// The result of reading a part of a graph. The error is boxed, since it is much larger than most of what is read.
pub(super) type Reading<T> = Result<T, Box<LoadError>>;

/// A text that holds a graph.
#[derive(Debug)]
pub(super) struct Source {
    /// What messages call it.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) syntax: Syntax,
    /// Where the files that it names are looked up.
    pub(super) folders: Folders,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Yaml,
}

/// One step from a value to one inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The attribute of that name.
    Key(&'static str),
    /// The item at that index.
    Index(usize),
}

/// A place in the graph, and the way to it in the text.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) source: Arc<Source>,
    steps: Vec<Step>,
    pub(super) place: Place,
}

impl Spot {
    /// The whole text.
    pub(super) fn top(source: Arc<Source>) -> Self {
        Spot { source, steps: Vec::new(), place: Place::Graph }
    }

    /// The same spot under another name.
    pub(super) fn named(&self, place: Place) -> Self {
        Spot { place, ..self.clone() }
    }

    /// An attribute of what stands here.
    pub(super) fn attribute(&self, name: &'static str) -> Self {
        let mut spot = self.clone();
        spot.steps.push(Step::Key(name));
        spot
    }

    /// An item of a list that is an attribute of what stands here.
    pub(super) fn item(&self, list: &'static str, index: usize, place: Place) -> Self {
        self.attribute(list).index(index, place)
    }

    /// An item of the list that stands here.
    pub(super) fn index(&self, index: usize, place: Place) -> Self {
        let mut spot = self.named(place);
        spot.steps.push(Step::Index(index));
        spot
    }

    /// A broken rule here.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Box<LoadError> {
        let problem = Problem::Invalid { place: self.place.clone(), message: message.into() };
        let Source { name, text, syntax, .. } = &*self.source;
        let position = match syntax {
            Syntax::Json => position::in_json(text, &self.steps),
            Syntax::Yaml => yaml::position(text, &self.steps),
        };
        Box::new(LoadError { file: name.clone(), position: Some(position), problem: Box::new(problem) })
    }
}

/// An error in the text itself.
pub(super) fn broken_text(file: &str, position: Position, message: String) -> Box<LoadError> {
    Box::new(LoadError { file: file.to_owned(), position: Some(position), problem: Box::new(Problem::Text(message)) })
}

/// An error with a file as a whole.
pub(super) fn bad_file(file: &str, message: impl Into<String>) -> Box<LoadError> {
    Box::new(LoadError { file: file.to_owned(), position: None, problem: Box::new(Problem::File(message.into())) })
}
