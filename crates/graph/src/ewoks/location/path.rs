//! [`PathSegment`]: a part of the path from a document to a value in it.

/// One step of a path, from a value to a value inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// To the attribute with this name.
    Key(&'static str),
    /// To the item at this index.
    Index(usize),
}
