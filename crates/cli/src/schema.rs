//! `pushflow schema`: the JSON Schema of graph files.

use crate::output::line;
use crate::{exit, report};

/// The schema, as it is in the repository.
const SCHEMA: &str = include_str!("../../../docs/pushflow-graph.schema.json");

/// Prints it; the exit code.
pub(crate) fn print() -> u8 {
    match report::print(SCHEMA) {
        Ok(()) => exit::FINISHED,
        Err(error) => {
            line(&format!("error: the schema could not be printed: {error}"));
            exit::FAILED
        }
    }
}
