//! [`LoadError`]: which file, where in it, what is wrong.

use std::fmt;

use pushflow_value::JsonError;

/// Why an ewoks graph can't be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct LoadError {
    /// The file, as it was asked for.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an ewoks graph file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file can't be read.
    #[error("{0}")]
    File(String),
    /// The text is no JSON; the line and column are in the error.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A rule of the format is broken.
    #[error("{place}: {message}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong there, and what to do.
        message: String,
    },
    /// The graph needs what this version does not have.
    #[error("{place}: {feature} is not supported by this version of pushflow yet")]
    Unsupported {
        /// Where.
        place: Place,
        /// The attribute, value or type that is not supported.
        feature: String,
    },
}

/// A place in an ewoks graph file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file's top level, or its `graph` attributes.
    Graph,
    /// The node of that id.
    Node(String),
    /// A node whose id is not known yet; counted from 1.
    NodeNumber(usize),
    /// The link between these nodes.
    Link {
        /// The id of the source.
        source: String,
        /// The id of the target.
        target: String,
    },
    /// A link whose ends are not known yet; counted from 1.
    LinkNumber(usize),
    /// One item of a list.
    Item {
        /// Where the list is.
        owner: Box<Place>,
        /// The attribute that is the list.
        list: &'static str,
        /// Counted from 1.
        number: usize,
    },
}

impl Place {
    /// A broken rule at this place.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Problem {
        Problem::Invalid { place: self.clone(), message: message.into() }
    }

    /// Something at this place that this version does not have.
    pub(super) fn unsupported(&self, feature: impl Into<String>) -> Problem {
        Problem::Unsupported { place: self.clone(), feature: feature.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Graph => f.write_str("graph"),
            Place::Node(id) => write!(f, "node {id:?}"),
            Place::NodeNumber(number) => write!(f, "node number {number}"),
            Place::Link { source, target } => write!(f, "link {:?}", format!("{source} -> {target}")),
            Place::LinkNumber(number) => write!(f, "link number {number}"),
            Place::Item { owner, list, number } => write!(f, "{owner}, item {number} of {list:?}"),
        }
    }
}
