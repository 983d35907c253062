//! Parses a text in JSON or YAML into values.

use std::sync::Arc;

use pushflow_model::{Value, parse_json};

use super::error::{LoadError, LoadResult, Position};
use super::location::Location;
use super::source::{Source, Syntax};
use super::yaml;

/// The values of a text, and the location of the whole document.
pub(super) fn parse(source: Arc<Source>) -> LoadResult<(Value, Location)> {
    let at = |line, column| Position { line, column };
    let parsed = match source.syntax {
        Syntax::Json => parse_json(&source.text).map_err(|error| (at(error.line, error.column), error.message)),
        Syntax::Yaml => yaml::parse(&source.text),
    };
    let value = parsed.map_err(|(position, message)| LoadError::in_text(&source.name, position, message))?;
    Ok((value, Location::of_document(source)))
}
