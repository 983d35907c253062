//! `--format json`: one object about the whole run (`docs/command-line.md`, "The result as JSON"). A test pins the form of the
//! object. A change of an entry that is there needs a new number under `schema`.

use std::fmt::Write;

use pushflow::{
    ActorError, CodecError, Data, EndingKind, ErrorCause, ErrorKind, Execution, Outcome, TaskError, Value, Workflow,
};
use serde_json::{Map, Value as Json, json};

use crate::arguments::OutputSelection;

/// The version of the object's form.
const SCHEMA_VERSION: u32 = 1;
/// The entry that only data from a failed task has.
const EXCEPTION: &str = "WorkflowException";

/// The object about a run, on one line.
///
/// # Errors
/// When a value of the run can't be decoded.
pub(crate) fn of_run(workflow: &Workflow, outcome: &Outcome, output: OutputSelection) -> Result<String, CodecError> {
    let mut object = Map::new();
    object.insert("schema".to_owned(), json!(SCHEMA_VERSION));
    object.insert("run".to_owned(), json!(outcome.run.to_string()));
    object.insert("workflow".to_owned(), json!(workflow.name()));
    object.insert("outcome".to_owned(), json!(ending(&outcome.ending.kind)));
    object.insert("result".to_owned(), result(outcome, output)?);
    if output == OutputSelection::All {
        object.insert("nodes".to_owned(), nodes(&outcome.ending.executions)?);
    }
    object.insert("errors".to_owned(), errors(outcome));
    object.insert("seconds".to_owned(), json!(outcome.elapsed.as_secs_f64()));
    Ok(format!("{}\n", Json::Object(object)))
}

fn ending(kind: &EndingKind) -> &'static str {
    match kind {
        EndingKind::Finished => "finished",
        EndingKind::TimedOut => "timed_out",
        EndingKind::Stopped { .. } => "stopped",
        EndingKind::Stalled => "stalled",
        // `Failed`, and any kind that this program does not know yet.
        _ => "failed",
    }
}

/// The last good result, or the last good result of each end node. Of a failed run, data from a failed task is left out.
fn result(outcome: &Outcome, output: OutputSelection) -> Result<Json, CodecError> {
    let is_good = |data: &&Data| outcome.ending.kind != EndingKind::Failed || data.named(EXCEPTION).is_none();
    if output != OutputSelection::Ends {
        return outcome.ending.result.as_ref().filter(is_good).map_or(Ok(json!({})), object);
    }
    let ends = outcome.ending.outputs.iter().filter(|end| is_good(&&end.data));
    let ends: Map<String, Json> =
        ends.map(|end| Ok((end.name.clone(), object(&end.data)?))).collect::<Result<_, _>>()?;
    Ok(Json::Object(ends))
}

/// The executions of each node that ran.
fn nodes(executions: &[Execution]) -> Result<Json, CodecError> {
    let mut nodes: Map<String, Json> = Map::new();
    for execution in executions {
        let node = nodes.entry(execution.name.as_str()).or_insert_with(|| json!({"executions": []}));
        if let Some(list) = node["executions"].as_array_mut() {
            list.push(one(execution)?);
        }
    }
    Ok(Json::Object(nodes))
}

fn one(Execution { attempt, inputs, result, .. }: &Execution) -> Result<Json, CodecError> {
    let attempt = attempt.map(|attempt| attempt.0);
    let inputs = object(inputs)?;
    Ok(match result {
        Ok(outputs) => json!({"status": "finished", "attempt": attempt, "inputs": inputs, "outputs": object(outputs)?}),
        Err(error) => {
            let TaskError { type_name, message, traceback, .. } = error;
            let cause = |cause: &ErrorCause| json!({"type": cause.type_name, "message": cause.message});
            let causes: Vec<Json> = error.causes().iter().map(cause).collect();
            let described = json!({
                "type": type_name, "message": message, "traceback": traceback, "notes": error.notes(), "causes": causes,
            });
            json!({"status": status(error.kind), "attempt": attempt, "inputs": inputs, "error": described})
        }
    })
}

fn status(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::WorkerLost => "lost",
        ErrorKind::TimedOut => "timed_out",
        ErrorKind::Stopped => "stopped",
        _ => "failed",
    }
}

/// Every error that the outcome lists, handled or not, in the order of the attempts.
fn errors(outcome: &Outcome) -> Json {
    let unhandled = outcome.ending.errors.iter().map(|error| (error, false));
    let mut all: Vec<(&ActorError, bool)> =
        unhandled.chain(outcome.ending.handled.iter().map(|error| (error, true))).collect();
    all.sort_by_key(|(error, _)| error.attempt.map(|attempt| attempt.0));
    let described = |(error, handled): (&ActorError, bool)| {
        let TaskError { type_name, message, .. } = &error.error;
        json!({"node": error.name, "type": type_name, "message": message, "handled": handled})
    };
    Json::Array(all.into_iter().map(described).collect())
}

fn object(data: &Data) -> Result<Json, CodecError> {
    let entries = data.iter().map(|(key, payload)| Ok((key.to_string(), value(payload.value()?))));
    Ok(Json::Object(entries.collect::<Result<_, CodecError>>()?))
}

/// A value as JSON. A value that JSON can't hold becomes `{"$type", "$repr"}`, with the names and forms of Python.
fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => {
            let repr = if number.is_nan() {
                "nan"
            } else if *number > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            json!({"$type": "float", "$repr": repr})
        }
        Value::Str(text) => json!(text),
        Value::Bytes(bytes) => json!({"$type": "bytes", "$repr": bytes_repr(bytes)}),
        Value::Opaque(opaque) => match opaque.view() {
            Some(view) => self::value(view),
            None => json!({"$type": opaque.type_name, "$repr": opaque.text}),
        },
        Value::List(items) => Json::Array(items.iter().map(self::value).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(name, entry)| (name.clone(), self::value(entry))).collect())
        }
    }
}

/// Bytes as Python prints them: `b'a\x00'`.
fn bytes_repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            byte if char::from(byte) == quote => _ = write!(text, "\\{quote}"),
            b' '..=b'~' => text.push(char::from(byte)),
            byte => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cant_hold_is_shown_with_its_type() {
        assert_eq!(value(&f64::NAN.into()), json!({"$type": "float", "$repr": "nan"}));
        assert_eq!(value(&f64::NEG_INFINITY.into()), json!({"$type": "float", "$repr": "-inf"}));
        let bytes = Value::Bytes(b"a'\n\x00\\\xff".to_vec().into());
        assert_eq!(value(&bytes), json!({"$type": "bytes", "$repr": r#"b"a'\n\x00\\\xff""#}));
        assert_eq!(value(&Value::from(vec![Value::from(1), 1.5.into()])), json!([1, 1.5]));
    }

    #[test]
    fn bytes_are_shown_as_python_shows_them() {
        assert_eq!(bytes_repr(b"a"), "b'a'");
        assert_eq!(bytes_repr(b"'\""), r#"b'\'"'"#);
    }
}
