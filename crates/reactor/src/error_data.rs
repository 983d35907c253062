//! [`ErrorKeys`]: the entries of data that comes from a failure (`docs/parity.md` P36, P37, P56).

use bytes::Bytes;
use pushflow_model::{Data, ERROR_CODEC, ErrorCause, Key, Map, Opaque, Payload, TaskError, Value};

/// The entry that marks data that comes from a failure.
const EXCEPTION: &str = "WorkflowException";
/// The entry that holds the error itself.
const INSTANCE: &str = "WorkflowExceptionInstance";

/// The keys of these entries, made once.
#[derive(Debug)]
pub(super) struct ErrorKeys {
    exception: Key,
    instance: Key,
}

impl ErrorKeys {
    pub(super) fn new() -> Self {
        ErrorKeys { exception: EXCEPTION.into(), instance: INSTANCE.into() }
    }

    /// The data that travels on the error path of an actor that had received `got`.
    pub(super) fn error_data(&self, got: Data, error: &TaskError) -> Data {
        let lines = error.traceback.iter().map(|line| Value::from(line.as_str())).collect::<Vec<_>>();
        let mut exception: Map =
            [("errorMessage", Value::from(error.message.as_str())), ("traceBack", lines.into())].into_iter().collect();
        if !error.notes().is_empty() {
            let notes: Vec<Value> = error.notes().iter().map(|note| Value::from(note.as_str())).collect();
            exception.insert("notes".into(), notes.into());
        }
        if !error.causes().is_empty() {
            let causes: Vec<Value> = error.causes().iter().map(cause).collect();
            exception.insert("causes".into(), causes.into());
        }
        let mut data = got;
        data.insert(self.exception.clone(), Payload::from(Value::Map(exception)));
        data.insert(self.instance.clone(), instance(error));
        data
    }

    /// The message of the failure that the data comes from.
    pub(super) fn message_of<'a>(&self, data: &'a Data) -> Option<&'a str> {
        data.payload(&self.exception)?.value().ok()?.as_map()?.get("errorMessage")?.as_str()
    }

    /// Whether data comes from a failure: its entry `WorkflowException` is there and is truthy (`docs/parity.md` P56).
    pub(super) fn is_error(&self, data: &Data) -> bool {
        let Some(exception) = data.payload(&self.exception) else { return false };
        match exception.value().map(Value::plain) {
            Ok(Value::Null | Value::Bool(false) | Value::Int(0)) => false,
            Ok(Value::Float(float)) => *float != 0.0,
            Ok(Value::Str(text)) => !text.is_empty(),
            Ok(Value::Bytes(bytes)) => !bytes.is_empty(),
            Ok(Value::List(items)) => !items.is_empty(),
            Ok(Value::Map(entries)) => !entries.is_empty(),
            Ok(_) | Err(_) => true,
        }
    }
}

fn cause(cause: &ErrorCause) -> Value {
    let parts = [("type", cause.type_name.as_str()), ("message", cause.message.as_str())];
    Value::Map(parts.into_iter().map(|(name, text)| (name, Value::from(text))).collect())
}

/// The error itself, if its language could encode it; else an opaque value with its text.
fn instance(error: &TaskError) -> Payload {
    match error.instance() {
        Some(encoded) => Payload::from_encoded(Bytes::clone(encoded)),
        None => {
            let stand_in = Opaque::new(ERROR_CODEC, error.type_name.as_str()).with_text(error.to_string());
            Payload::from(Value::from(stand_in))
        }
    }
}
