//! [`LoadError`]: which file, where in it, what is wrong.

use std::fmt;

/// The result of a step of loading. The error is boxed, because it is much larger than most results.
pub(super) type LoadResult<T> = Result<T, Box<LoadError>>;

/// Why an ewoks graph can't be loaded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadError {
    /// The path of the file as it was given. For a file that a graph node names, the path where it was found.
    pub file: String,
    /// The position in the file, if it is known.
    pub position: Option<Position>,
    /// What is wrong with the file.
    pub problem: Box<Problem>,
}

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1: in bytes for JSON, in characters for YAML.
    pub column: usize,
}

impl Position {
    /// The line and column of a byte of a text.
    pub(super) fn of_offset(text: &str, offset: usize) -> Position {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Position { line, column: 1 + before.len() - line_start }
    }
}

/// What is wrong with an ewoks graph file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file can't be read.
    #[error("{0}")]
    File(String),
    /// The text is not JSON or YAML, or holds a value that has no form as data.
    #[error("{0}")]
    Text(String),
    /// A rule of the format is broken.
    #[error("{element}: {message}")]
    Invalid {
        /// The part of the graph that breaks it.
        element: Element,
        /// What is wrong with that part, and what to do.
        message: String,
    },
}

/// The part of an ewoks graph that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Element {
    /// The top level of the file, or its `graph` attributes.
    Graph,
    /// The node with this id.
    Node(String),
    /// The node with this number, counted from 1, whose id is not known yet.
    NodeNumber(usize),
    /// The link between these nodes.
    Link {
        /// The id of the source.
        source: String,
        /// The id of the target.
        target: String,
    },
    /// The link with this number, counted from 1, whose ends are not known yet.
    LinkNumber(usize),
    /// One item of a list that is an attribute.
    Item {
        /// The element that has the list.
        owner: Box<Element>,
        /// The name of the attribute.
        list: &'static str,
        /// The number of the item, counted from 1.
        number: usize,
    },
    /// A list of inputs.
    Inputs,
    /// The input with this number in a list of inputs, counted from 1.
    InputNumber(usize),
}

impl LoadError {
    /// An error in the text itself.
    pub(super) fn in_text(file: &str, position: Position, message: String) -> Box<LoadError> {
        Box::new(LoadError {
            file: file.to_owned(),
            position: Some(position),
            problem: Box::new(Problem::Text(message)),
        })
    }

    /// An error with a file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Box<LoadError> {
        Box::new(LoadError { file: file.to_owned(), position: None, problem: Box::new(Problem::File(message.into())) })
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(f, "{}, line {line} column {column}: {}", self.file, self.problem)
            }
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Graph => f.write_str("graph"),
            Element::Node(id) => write!(f, "node {id:?}"),
            Element::NodeNumber(number) => write!(f, "node number {number}"),
            Element::Link { source, target } => write!(f, "link {:?}", format!("{source} -> {target}")),
            Element::LinkNumber(number) => write!(f, "link number {number}"),
            Element::Inputs => f.write_str("inputs"),
            Element::InputNumber(number) => write!(f, "input number {number}"),
            Element::Item { owner, list, number } => write!(f, "{owner}, item {number} of {list:?}"),
        }
    }
}
