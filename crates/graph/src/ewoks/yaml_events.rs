//! The events that the YAML parser finds in a text, one after the other, each with its position.

use pushflow_model::MAX_DEPTH;
use saphyr_parser::{Event, Marker, Parser, ScanError, StrInput};

use super::error::Position;

/// The position and the message of an error in a text.
pub(super) type YamlError = (Position, String);

/// The events of a text with their positions, up to the first error.
pub(super) fn events(text: &str) -> impl Iterator<Item = Result<(Event<'_>, Position), YamlError>> {
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    let mut ended = false;
    std::iter::from_fn(move || {
        let event = parser.next_event().filter(|_| !ended)?;
        ended = event.is_err();
        Some(event.map(|(event, span)| (event, position_of(&span.start))).map_err(|error| scan_error(&error)))
    })
}

fn position_of(mark: &Marker) -> Position {
    Position { line: mark.line().max(1), column: mark.col() + 1 }
}

/// The error for a text that the parser refuses. The parser limits how deep brackets may nest; its limit lies above
/// ours.
fn scan_error(error: &ScanError) -> YamlError {
    let message = match error.info() {
        "recursion limit exceeded" => too_deep(),
        info => format!("the text is no YAML: {info}"),
    };
    (position_of(error.marker()), message)
}

pub(super) fn too_deep() -> String {
    format!("the value nests deeper than {MAX_DEPTH} levels")
}
