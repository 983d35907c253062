//! The result of a run as text, the summary of a graph for `--dry-run`, and the messages about errors.

use pushflow::{ActorError, CodecError, Data, Execution, Outcome, Payload, Value, Workflow};
use serde_json::json;

use crate::arguments::{OutputFormat, OutputSelection};
use crate::stderr::write_line;

/// The entry in which ppf nodes pass their dictionary on (`docs/ewoks.md`).
const DICTIONARY: &str = "_ppfdict";

/// How many warnings about a graph are printed.
const MAX_WARNINGS: usize = 20;

/// The result of a run, in lines.
///
/// # Errors
/// When a value of the result can't be decoded.
pub(crate) fn as_text(outcome: &Outcome, output: OutputSelection) -> Result<String, CodecError> {
    let below = |title: &str, data: &Data| -> Result<String, CodecError> {
        let entries: String = entries(data)?.lines().map(|line| format!("  {line}\n")).collect();
        Ok(format!("{title}:\n{entries}"))
    };
    match output {
        OutputSelection::Last => outcome.ending.result.as_ref().map_or(Ok(String::new()), entries),
        OutputSelection::Ends => outcome.ending.outputs.iter().map(|end| below(&end.name, &end.data)).collect(),
        OutputSelection::All => {
            let execution = |Execution { name, attempt, result, .. }: &Execution| {
                let attempt = attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
                match result {
                    Ok(data) => below(&format!("{name}{attempt}"), data),
                    Err(error) => Ok(format!("{name}{attempt}: {error}\n")),
                }
            };
            outcome.ending.executions.iter().map(execution).collect()
        }
    }
}

/// One `name: value` per line; a text of several lines is indented below its name. Of a ppf node's result, the entries of
/// the dictionary.
fn entries(result: &Data) -> Result<String, CodecError> {
    let dictionary = match result.named(DICTIONARY) {
        Some(dictionary) if result.len() == 1 => dictionary.fields()?,
        _ => None,
    };
    dictionary.unwrap_or(result).iter().map(|(name, payload)| entry(&name.to_string(), payload)).collect()
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

/// The summary of a graph that is checked and not run; warnings go to standard error.
pub(crate) fn describe(workflow: &Workflow, format: OutputFormat) -> Result<String, CodecError> {
    let graph = workflow.graph();
    let (start, stop) = (graph.start(), graph.stop());
    let names = |links: Vec<(_, pushflow::ActorId)>| -> Vec<String> {
        links.into_iter().map(|(_, actor)| graph.actor(actor).name.clone()).collect()
    };
    let starts = names(start.map(|start| graph.outgoing(start)).unwrap_or_default());
    let ends = names(stop.map(|stop| graph.incoming(stop)).unwrap_or_default());
    let own = |actor| Some(actor) != start && Some(actor) != stop;
    let nodes = graph.actors().filter(|(id, _)| own(*id)).count();
    let links = graph.links().filter(|(_, source, target, _)| own(*source) && own(*target)).count();
    let warnings: Vec<String> = workflow.check().iter().map(ToString::to_string).collect();
    for warning in warnings.iter().take(MAX_WARNINGS) {
        write_line(&format!("warning: {warning}"));
    }
    if warnings.len() > MAX_WARNINGS {
        write_line(&format!("and {} more warnings, which --format json lists", warnings.len() - MAX_WARNINGS));
    }
    Ok(match format {
        OutputFormat::Json => {
            let name = workflow.name();
            let described = json!({
                "schema": 1, "workflow": name, "nodes": nodes, "links": links, "start_nodes": starts, "end_nodes": ends,
                "warnings": warnings,
            });
            format!("{described}\n")
        }
        OutputFormat::Text => format!(
            "workflow: {}\nnodes: {nodes}\nlinks: {links}\nstart nodes: {}\nend nodes: {}\n",
            workflow.name(),
            starts.join(", "),
            ends.join(", ")
        ),
    })
}

/// Prints the errors of a run on standard error, and the ending of a run that did not finish.
pub(crate) fn explain(outcome: &Outcome) {
    if let Some(first) = outcome.ending.handled.first() {
        let more = match outcome.ending.handled_errors {
            1 => String::new(),
            2 => "; so was 1 more, which --format json lists".to_owned(),
            count => format!("; so were {} more, which --format json lists", count - 1),
        };
        let at = first.attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
        write_line(&format!("note: an error of {}{at} was handled: {}{more}", first.name, first.error));
    }
    for error in &outcome.ending.errors {
        explain_error(error);
    }
    if outcome.ending.more_errors > 0 {
        let more = outcome.ending.more_errors;
        write_line(&format!("pushflow: and {more} more error{}", if more == 1 { "" } else { "s" }));
    }
    if !outcome.is_finished() {
        write_line(&format!("pushflow: {outcome}"));
    }
}

fn explain_error(failure: &ActorError) {
    let error = &failure.error;
    write_line(&format!("error: {}{}: {error}", failure.name, failure.place()));
    error.details().iter().for_each(|line| write_line(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushflow::{Map, parse_json};

    fn dictionary(json: &str) -> Data {
        Data::new().with(DICTIONARY, parse_json(json).unwrap())
    }

    #[test]
    fn the_dictionary_of_ppf_nodes_is_shown_by_its_entries() {
        let result = dictionary(r#"{"reply": "Hello!", "value": 1.0}"#);
        assert_eq!(entries(&result).unwrap(), "reply: Hello!\nvalue: 1.0\n");
    }

    #[test]
    fn a_text_of_several_lines_is_indented_below_its_name() {
        let result = Data::new().with("manifest", "a  x\nb  y\n").with("map", Map::default());
        assert_eq!(entries(&result).unwrap(), "manifest: |\n  a  x\n  b  y\nmap: {}\n");
    }
}
