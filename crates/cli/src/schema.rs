//! `pushflow schema`: the JSON Schema of graph files.

use crate::stderr::write_line;
use crate::{exit, stdout};

/// The schema, a copy of `docs/pushflow-graph.schema.json`.
const SCHEMA: &str = include_str!("../../../docs/pushflow-graph.schema.json");

/// Prints the schema, and returns the exit code.
pub(crate) fn print() -> u8 {
    match stdout::print(SCHEMA) {
        Ok(()) => exit::FINISHED,
        Err(error) => {
            write_line(&format!("error: the schema could not be printed: {error}"));
            exit::FAILED
        }
    }
}
