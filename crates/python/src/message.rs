//! The requests and replies between a worker and its Python interpreter.

use bytes::Bytes;
use pushflow_model::{
    Data, ErrorCause, ErrorDetails, ErrorKind, EwoksClass, EwoksTask, EwoksWork, Key, Opaque, Payload, PythonTask,
    Returns, TaskError, Value,
};

use crate::buffers::OutOfBand;
use crate::channel::{HEADER, MAGIC};
use crate::pickle::EXCEPTION;
use crate::pickle::{PickleWriter, Pickled};

/// The highest position of an argument: all below it are passed too.
const MAX_POSITION: u32 = 65_535;

/// A task that an interpreter can run.
pub enum PythonCall<'a> {
    /// A function.
    Function(&'a PythonTask),
    /// A task of `ewokscore`.
    Ewoks(&'a EwoksTask),
}

impl PythonCall<'_> {
    /// The origin of the task: the module, the name in it, and whether only a mapping can be the result.
    fn origin(&self) -> (&str, &str, bool) {
        match self {
            PythonCall::Function(task) => (&task.module, &task.function, task.returns == Returns::Mapping),
            PythonCall::Ewoks(task) => match &task.work {
                EwoksWork::Class(EwoksClass { module, name }) | EwoksWork::InputNames(EwoksClass { module, name }) => {
                    (module, name, true)
                }
                EwoksWork::Generated { module, generator, .. } => (module, generator, true),
                EwoksWork::Notebook { .. } => ("", "", true),
            },
        }
    }
}

/// The request to run a task, and its out-of-band buffers, if it may have any. Inputs with names become keyword arguments,
/// inputs with positions positional ones; gaps between positions are filled with `None` (`docs/parity.md` P25, P26).
///
/// # Errors
/// When an input can't be pickled.
pub(super) fn run(
    call: &PythonCall<'_>,
    inputs: &Data,
    allow_out_of_band: bool,
) -> Result<(Vec<u8>, Vec<Bytes>), TaskError> {
    let mut pickle = PickleWriter::new(started());
    if allow_out_of_band {
        pickle.allow_out_of_band();
    }
    let (module, function, wants_mapping) = call.origin();
    pickle.begin_tuple();
    pickle.text(module);
    pickle.text(function);
    pickle.boolean(wants_mapping);
    positional(&mut pickle, inputs)?;
    pickle.begin_dict();
    for (key, payload) in inputs {
        if let Key::Name(name) = key {
            pickle.text(name);
            input(&mut pickle, key, payload)?;
        }
    }
    pickle.end_dict();
    if let PythonCall::Ewoks(task) = call {
        ewoks(&mut pickle, task);
    }
    pickle.end_tuple();
    let kind = if pickle.has_objects() { b'O' } else { b'T' };
    let out_of_band = pickle.take_out_of_band();
    Ok((finished(pickle.finish(), kind), out_of_band))
}

/// The same request with the table of its out-of-band buffers.
pub(super) fn with_table(request: &[u8], table: &[u8]) -> Vec<u8> {
    framed(b'S', &[table, &request[HEADER + 1..]])
}

/// The answer to a request for memory: the places of the grants.
pub(super) fn granted(places: &[u8]) -> Vec<u8> {
    framed(b'G', &[places])
}

fn framed(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = started();
    parts.iter().for_each(|part| message.extend_from_slice(part));
    finished(message, kind)
}

/// Writes what `host_source/ewoks.py` needs beside the origin: the task type, the identifier, and the node.
fn ewoks(pickle: &mut PickleWriter, task: &EwoksTask) {
    let (kind, identifier) = match &task.work {
        EwoksWork::Class(_) => ("class", ""),
        EwoksWork::Generated { identifier, .. } => ("generated", identifier.as_str()),
        EwoksWork::Notebook { path } => ("notebook", path.as_str()),
        EwoksWork::InputNames(_) => ("input names", ""),
    };
    pickle.begin_tuple();
    [kind, identifier, &task.node].into_iter().for_each(|text| pickle.text(text));
    match &task.label {
        Some(label) => pickle.text(label),
        None => pickle.none(),
    }
    pickle.end_tuple();
}

fn positional(pickle: &mut PickleWriter, inputs: &Data) -> Result<(), TaskError> {
    let positions = inputs.iter().filter_map(|(key, _)| match key {
        Key::Position(position) => Some(*position),
        Key::Name(_) => None,
    });
    let last = positions.max();
    if last.is_some_and(|last| last > MAX_POSITION) {
        let message =
            format!("an input is at position {}, beyond the last possible one, {MAX_POSITION}", last.unwrap_or(0));
        return Err(TaskError::new(ErrorKind::BadInput, message));
    }
    pickle.begin_tuple();
    for key in (0..last.map_or(0, |last| last + 1)).map(Key::Position) {
        match inputs.payload(&key) {
            Some(payload) => input(pickle, &key, payload)?,
            None => pickle.none(),
        }
    }
    pickle.end_tuple();
    Ok(())
}

fn input(pickle: &mut PickleWriter, key: &Key, payload: &Payload) -> Result<(), TaskError> {
    let bad = |reason: String| TaskError::new(ErrorKind::BadInput, format!("the input {:?} {reason}", key.to_string()));
    let value = payload.value().map_err(|error| bad(format!("can't be read: {error}")))?;
    pickle.begin_input(key);
    pickle.value(value).map_err(|unwritable| bad(unwritable.to_string()))
}

fn started() -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    message.extend(MAGIC);
    message.extend([0; 8]);
    message.push(0);
    message
}

fn finished(mut message: Vec<u8>, kind: u8) -> Vec<u8> {
    message[HEADER] = kind;
    let length = (message.len() - HEADER) as u64;
    message[MAGIC.len()..HEADER].copy_from_slice(&length.to_le_bytes());
    message
}

/// A message of the interpreter.
#[derive(Debug)]
pub(super) enum Reply {
    /// The interpreter runs.
    Started,
    /// The interpreter begins to import this module.
    Importing(String),
    /// The interpreter has imported all modules, and waits for a task.
    Ready,
    /// The interpreter can't run tasks, for this reason.
    Unusable(String),
    /// The attempt has ended with this result or error.
    Ended(Result<Data, TaskError>),
    /// The task raised an exception after it was interrupted.
    Interrupted(TaskError),
    /// An interrupt came before the task began.
    NotStarted,
    /// The interpreter could not take the files of the request's buffers.
    FilesLost,
}

impl Reply {
    /// Reads a message.
    ///
    /// # Errors
    /// Why the message is malformed.
    pub(super) fn read(message: &[u8], parts: &OutOfBand) -> Result<Reply, String> {
        let (kind, pickle) = message.split_first().ok_or("it is empty")?;
        let pickle = PickledReply { pickle, parts };
        Ok(match kind {
            b'S' => Reply::Started,
            b'J' => Reply::Importing(text(pickle)?),
            b'H' => Reply::Ready,
            b'N' => Reply::NotStarted,
            b'U' => Reply::FilesLost,
            b'V' => Reply::Unusable(text(pickle)?),
            b'R' => Reply::Ended(result(pickle)?),
            b'P' => Reply::Ended(Err(TaskError::new(ErrorKind::BadResult, text(pickle)?))),
            b'B' => Reply::Ended(Err(TaskError::new(ErrorKind::BadInput, text(pickle)?))),
            b'D' => Reply::Ended(Err(too_deep())),
            b'M' => Reply::Ended(Err(TaskError::new(ErrorKind::NotFound, text(pickle)?))),
            b'E' => Reply::Ended(Err(exception(pickle)?)),
            b'I' => Reply::Interrupted(exception(pickle)?),
            unknown => return Err(format!("it is of kind {unknown:#04x}")),
        })
    }
}

/// The pickle of a reply, and its out-of-band buffers.
#[derive(Clone, Copy)]
struct PickledReply<'a> {
    pickle: &'a [u8],
    parts: &'a OutOfBand,
}

fn result(written: PickledReply<'_>) -> Result<Result<Data, TaskError>, String> {
    let pickled = Pickled::read(written.pickle, written.parts).map_err(|error| error.to_string())?;
    Ok(pickled.into_data().map_err(|refused| TaskError::new(ErrorKind::BadResult, refused.to_string())))
}

fn too_deep() -> TaskError {
    let message = format!("the result nests deeper than {} levels, or contains itself", pushflow_model::MAX_DEPTH);
    TaskError::new(ErrorKind::BadResult, message)
}

/// Reads an exception: the name of its type, its message, the lines of its traceback, the text and the pickle of the
/// exception as a value (the pickle where it can be pickled), its notes, and the type names and messages of its causes.
fn exception(pickle: PickledReply<'_>) -> Result<TaskError, String> {
    let Value::List(parts) = value(pickle)? else { return Err("an exception is a list".to_owned()) };
    let Ok([Value::Str(type_name), Value::Str(message), lines, Value::Str(text), content, notes, Value::List(causes)]) =
        <[Value; 7]>::try_from(parts.into_vec())
    else {
        return Err("an exception has a type, a text, lines, itself, notes and causes".to_owned());
    };
    let instance = match content {
        Value::Bytes(content) => {
            let object = Opaque::new(EXCEPTION, type_name.as_str()).with_text(text).with_content((*content).clone());
            let payload = Payload::from(Value::from(object));
            Some(payload.encoded().map_err(|error| error.to_string())?.clone())
        }
        _ => None,
    };
    let details =
        ErrorDetails { notes: texts(&notes)?, causes: causes.iter().map(cause).collect::<Result<_, _>>()?, instance };
    let details = (details != ErrorDetails::default()).then(|| Box::new(details));
    Ok(TaskError { type_name, traceback: texts(&lines)?, details, ..TaskError::new(ErrorKind::Raised, message) })
}

fn cause(pair: &Value) -> Result<ErrorCause, String> {
    match <[String; 2]>::try_from(texts(pair)?) {
        Ok([type_name, message]) => Ok(ErrorCause { type_name, message }),
        Err(_) => Err("a cause has a type and a text".to_owned()),
    }
}

fn texts(list: &Value) -> Result<Vec<String>, String> {
    let Value::List(list) = list else { return Err(format!("it has {} where a list is expected", list.type_name())) };
    Ok(list.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect())
}

fn text(pickle: PickledReply<'_>) -> Result<String, String> {
    match value(pickle)? {
        Value::Str(text) => Ok(text),
        other => Err(format!("it has {} where a text is expected", other.type_name())),
    }
}

fn value(written: PickledReply<'_>) -> Result<Value, String> {
    let pickled = Pickled::read(written.pickle, written.parts).map_err(|error| error.to_string())?;
    pickled.into_value().map_err(|error| error.to_string())
}
