//! [`PathSegment`]: a part of the way from a document to a value in it.

/// One step from a value to one inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// The attribute of that name.
    Key(&'static str),
    /// The item at that index.
    Index(usize),
}
