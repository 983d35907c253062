//! [`Spot`]: where something stands, in words and in the text, so that whatever is wrong with it can say so.

use std::sync::Arc;

use super::error::{LoadError, Place, Problem};
use super::source::{Source, Syntax};
use super::step::Step;
use super::{position, yaml_position};

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
            Syntax::Yaml => yaml_position::in_yaml(text, &self.steps),
        };
        Box::new(LoadError { file: name.clone(), position: Some(position), problem: Box::new(problem) })
    }
}
