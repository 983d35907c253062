//! [`Key`]: the name or position of an entry.

use std::fmt;
use std::sync::Arc;

/// The name or position of one entry of [`Data`](crate::Data).
///
/// Names become keyword arguments of a task, positions become positional arguments. There is no third kind of argument,
/// so this enum is exhaustive (`docs/parity.md` P25).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A keyword argument.
    Name(Arc<str>),
    /// A positional argument, counted from 0.
    Position(u32),
}

impl Key {
    /// The name; `None` for a position.
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Key::Name(name) => Some(name),
            Key::Position(_) => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Name(name) => f.write_str(name),
            Key::Position(position) => write!(f, "{position}"),
        }
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Key::Name(name.into())
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Key::Name(name.into())
    }
}

impl From<u32> for Key {
    fn from(position: u32) -> Self {
        Key::Position(position)
    }
}
