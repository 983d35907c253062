//! The position of a value in a YAML text. It is computed only for an error, by a second pass over the text.

use saphyr_parser::Event;

use super::super::error::Position;
use super::super::yaml_events::events;
use super::path::PathSegment;

/// The position of the value that this path leads to in a valid YAML text. A path that leads nowhere has the position
/// of the last value on it.
pub(super) fn position(text: &str, steps: &[PathSegment]) -> Position {
    let mut path: Vec<PathEntry> = Vec::new();
    let mut best = (0, Position { line: 1, column: 1 });
    for (event, at) in events(text).map_while(Result::ok) {
        let is_end = matches!(event, Event::SequenceEnd | Event::MappingEnd);
        if is_end {
            path.pop();
        }
        if !is_end && is_value(&event) {
            if let Some(PathEntry::Key(name @ None)) = path.last_mut() {
                // This is the key itself. No path leads through a key that is no text.
                *name = Some(if let Event::Scalar(text, ..) = &event { text.to_string() } else { String::new() });
                if !matches!(event, Event::SequenceStart(..) | Event::MappingStart(..)) {
                    continue;
                }
            } else if path.len() >= best.0 && matches_path(&path, steps) {
                best = (path.len() + 1, at);
            }
        }
        match event {
            Event::SequenceStart(..) => path.push(PathEntry::Index(0)),
            Event::MappingStart(..) => path.push(PathEntry::Key(None)),
            Event::Scalar(..) | Event::Alias(_) | Event::SequenceEnd | Event::MappingEnd => {
                path.last_mut().map(PathEntry::advance);
            }
            _ => {}
        }
    }
    best.1
}

/// The position of the parser in a list or map that it has entered.
enum PathEntry {
    Index(usize),
    /// The key whose value comes next; `None` before a key.
    Key(Option<String>),
}

impl PathEntry {
    fn advance(&mut self) {
        match self {
            PathEntry::Index(index) => *index += 1,
            PathEntry::Key(name) => *name = None,
        }
    }
}

fn matches_path(path: &[PathEntry], steps: &[PathSegment]) -> bool {
    path.len() <= steps.len()
        && path.iter().zip(steps).all(|pair| match pair {
            (PathEntry::Index(index), PathSegment::Index(wanted)) => index == wanted,
            (PathEntry::Key(Some(name)), PathSegment::Key(wanted)) => name == wanted,
            _ => false,
        })
}

fn is_value(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(..) | Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_to_the_value_they_name() {
        let text = "graph: {id: x}\nnodes:\n  - id: a\n    inputs: [1, {v: 2}]\n  - id: b\n";
        let found = |steps: &[PathSegment]| {
            let at = position(text, steps);
            (at.line, at.column)
        };
        assert_eq!(found(&[]), (1, 1));
        assert_eq!(found(&[PathSegment::Key("nodes"), PathSegment::Index(1)]), (5, 5));
        assert_eq!(
            found(&[
                PathSegment::Key("nodes"),
                PathSegment::Index(0),
                PathSegment::Key("inputs"),
                PathSegment::Index(1)
            ]),
            (4, 17)
        );
        assert_eq!(found(&[PathSegment::Key("nodes"), PathSegment::Index(0), PathSegment::Key("nothing")]), (3, 5));
        assert_eq!(found(&[PathSegment::Key("links"), PathSegment::Index(0)]), (1, 1));
    }
}
