//! The result on standard output, and what went wrong on standard error.

use std::io::{self, Write};

use pushflow::{ActorError, CodecError, Data, EndingKind, Outcome, Payload, Value};

use crate::arguments::Format;
use crate::output::line;

/// The entry in which ppf nodes hand on their dictionary (`ewoks_format.md`).
const DICTIONARY: &str = "_ppfdict";

/// Prints the result; that standard output was closed is no error of the run.
///
/// # Errors
/// When the result can't be decoded, or the output can't be written (a full disk).
pub(crate) fn print_result(result: Option<&Data>, format: Format) -> io::Result<()> {
    let text = match (format, result) {
        (Format::Json, Some(result)) => as_json(result).map_err(io::Error::other)? + "\n",
        (Format::Json, None) => "{}\n".to_owned(),
        (Format::Text, Some(result)) => as_text(result).map_err(io::Error::other)?,
        (Format::Text, None) => String::new(),
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn as_json(result: &Data) -> Result<String, CodecError> {
    let json = result.to_json()?;
    Ok(serde_json::to_string(&json).expect("a JSON value is always written"))
}

/// One `name: value` a line; a text of several lines is indented below its name. Of ppf nodes the dictionary itself.
fn as_text(result: &Data) -> Result<String, CodecError> {
    let dictionary = match result.named(DICTIONARY) {
        Some(dictionary) if result.len() == 1 => dictionary.fields()?,
        _ => None,
    };
    let mut text = String::new();
    for (name, payload) in dictionary.unwrap_or(result) {
        text += &entry(&name.to_string(), payload)?;
    }
    Ok(text)
}

fn entry(name: &str, payload: &Payload) -> Result<String, CodecError> {
    Ok(match payload.value()? {
        Value::Str(text) if text.contains('\n') => {
            let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
            format!("{name}: |\n{lines}")
        }
        Value::Str(text) => format!("{name}: {text}\n"),
        value => format!("{name}: {}\n", value.to_json()?),
    })
}

/// Says how a run ended that did not finish, and why.
pub(crate) fn explain(outcome: &Outcome) {
    for error in &outcome.errors {
        explain_error(error);
    }
    if outcome.more_errors > 0 {
        line(&format!("pushflow: and {} more errors", outcome.more_errors));
    }
    let seconds = outcome.elapsed.as_secs_f64();
    match &outcome.ending {
        EndingKind::Finished => {}
        EndingKind::Failed => line(&format!("pushflow: the run failed after {seconds:.1} s")),
        EndingKind::TimedOut => line(&format!("pushflow: the run timed out after {seconds:.1} s")),
        EndingKind::Stopped { reason } => {
            line(&format!("pushflow: the run was stopped after {seconds:.1} s: {reason}"));
        }
        EndingKind::Stalled => {
            line(&format!("pushflow: the run stalled: nothing is left to do, and {}", outcome.stalled.join("; ")));
        }
    }
}

fn explain_error(failure: &ActorError) {
    let error = &failure.error;
    let mut place = Vec::new();
    place.extend(failure.attempt.map(|attempt| format!("attempt {attempt}")));
    place.extend(error.pid.map(|pid| format!("pid {pid}")));
    let place = if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) };
    line(&format!("error: {}{place}: {error}", failure.name));
    for text in error.traceback.iter().flat_map(|text| text.lines()) {
        line(&format!("    {text}"));
    }
    if !error.stderr.is_empty() {
        line("  the last lines on its standard error:");
        error.stderr.iter().for_each(|text| line(&format!("    {text}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushflow::{Map, parse_json};

    fn dictionary(json: &str) -> Data {
        Data::new().with(DICTIONARY, parse_json(json).unwrap())
    }

    #[test]
    fn the_dictionary_of_ppf_nodes_is_shown_by_its_entries_as_text_and_whole_as_json() {
        let result = dictionary(r#"{"reply": "Hello!", "value": 1.0}"#);
        assert_eq!(as_text(&result).unwrap(), "reply: Hello!\nvalue: 1.0\n");
        assert_eq!(as_json(&result).unwrap(), r#"{"_ppfdict":{"reply":"Hello!","value":1.0}}"#);
    }

    #[test]
    fn a_text_of_several_lines_is_indented_below_its_name() {
        let result = Data::new().with("manifest", "a  x\nb  y\n").with("map", Map::default());
        assert_eq!(as_text(&result).unwrap(), "manifest: |\n  a  x\n  b  y\nmap: {}\n");
    }
}
