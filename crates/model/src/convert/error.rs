//! [`ConvertError`]: a message, and the path to the place in the value.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

use crate::MAX_DEPTH;

/// A path stops growing at this many bytes. It grows outwards, so its innermost part, which helps most, is kept.
const LONGEST_PATH: usize = 1000;

/// Messages quote a text of up to this many bytes, and give only the length of a longer one, since messages go into
/// logs.
const LONGEST_QUOTE: usize = 40;

/// Why a value can't become a Rust value, or the other way round. Its `Display` says all of it; it has no source.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvertError {
    message: String,
    /// The place, such as `.frames[3].name`; empty for the value as a whole.
    path: String,
}

impl ConvertError {
    pub(crate) fn too_deep() -> Self {
        serde::ser::Error::custom(format_args!("the value nests deeper than {MAX_DEPTH} levels"))
    }

    /// Adds to the path that the error is about the entry of that name.
    pub(crate) fn inside(mut self, name: &str) -> Self {
        if self.path.len() + name.len() < LONGEST_PATH {
            self.path = format!(".{name}{}", self.path);
        }
        self
    }

    /// Adds to the path that the error is about the element of that number.
    pub(crate) fn inside_element(mut self, index: usize) -> Self {
        if self.path.len() < LONGEST_PATH {
            self.path = format!("[{index}]{}", self.path);
        }
        self
    }
}

impl std::error::Error for ConvertError {}

impl Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.path.strip_prefix('.').unwrap_or(&self.path) {
            "" => Ok(()),
            path => write!(f, ", at {path}"),
        }
    }
}

impl serde::ser::Error for ConvertError {
    fn custom<T: Display>(message: T) -> Self {
        ConvertError { message: message.to_string(), path: String::new() }
    }
}

impl serde::de::Error for ConvertError {
    fn custom<T: Display>(message: T) -> Self {
        serde::ser::Error::custom(message)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        serde::ser::Error::custom(format_args!("expected {expected}, found {}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let found = Found(Unexpected::Str(found));
        serde::ser::Error::custom(format_args!("expected one of the variants {}, found {found}", expected.join(", ")))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        let found = Found(Unexpected::Str(found));
        serde::ser::Error::custom(format_args!("expected one of the fields {}, found {found}", expected.join(", ")))
    }
}

/// Displays the value found by its [`type_name`](crate::Value::type_name), and quotes it if it is short.
struct Found<'a>(Unexpected<'a>);

impl Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(flag) => write!(f, "the boolean {flag}"),
            Unexpected::Signed(number) => write!(f, "the integer {number}"),
            Unexpected::Unsigned(number) => write!(f, "the integer {number}"),
            Unexpected::Float(number) => write!(f, "the float {number:?}"),
            Unexpected::Str(text) if text.len() <= LONGEST_QUOTE => write!(f, "the text {text:?}"),
            Unexpected::Str(text) => write!(f, "a text of {} bytes", text.len()),
            Unexpected::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Unexpected::Unit | Unexpected::Option => f.write_str("null"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a map"),
            other => write!(f, "{other}"),
        }
    }
}
