//! Runs a [`ScriptTask`]: a script or program with the inputs as its arguments, by the rules of ewoks.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use pushflow_guardian::{Interrupter, Launch, Launcher};
use pushflow_model::{Data, ErrorKind, Exit, Key, ScriptTask, TaskError, Value};
use pushflow_python::{is_true, python_text};

use crate::pipes::text_or_bytes;
use crate::program::{FinishedProgram, OutputMode, run_program};

/// The inputs that are options of the task and no arguments.
const OPTIONS: [&str; 4] = ["_script", "_capture_output", "_merge_err", "_raise_on_error"];

/// Runs a script task; see [`ScriptTask`] for the rules. `python` is the interpreter of files whose name ends in `.py`.
///
/// # Errors
/// When the script can't be started or was interrupted, or when it ended with another exit code than 0 and the input
/// `_raise_on_error` is true.
pub(super) fn run_script(
    launcher: &dyn Launcher,
    task: &ScriptTask,
    python: &Path,
    inputs: &Data,
    interrupter: &Interrupter,
) -> Result<Data, TaskError> {
    let option = |name: &str| Ok::<_, TaskError>(value_of(inputs, name)?.is_some_and(is_true));
    let output = match (option("_capture_output")?, option("_merge_err")?) {
        (false, _) => OutputMode::Inherited,
        (true, false) => OutputMode::Captured,
        (true, true) => OutputMode::Merged,
    };
    let mut argv = program_of(task, python)?;
    argv.extend(arguments_of(inputs)?);
    let finished = run_program(launcher, Launch { argv, ..Launch::default() }, output, interrupter)?;
    match finished.exit {
        Exit::Unknown => Err(finished.failed()),
        exit if exit != Exit::Code(0) && option("_raise_on_error")? => Err(finished.failed()),
        Exit::Code(code) => Ok(result(finished, code)),
        // The return code of Python's `subprocess` for a signal.
        Exit::Signal(signal) => Ok(result(finished, -signal)),
    }
}

/// The result of a script. A stream that was not captured is null; a captured stream is a text, also an empty one.
fn result(finished: FinishedProgram, return_code: i32) -> Data {
    Data::new()
        .with("return_code", Value::Int(return_code.into()))
        .with("out", finished.stdout.map_or(Value::Null, text_or_bytes))
        .with("err", finished.stderr.map_or(Value::Null, text_or_bytes))
}

/// The program and its first arguments.
fn program_of(task: &ScriptTask, python: &Path) -> Result<Vec<OsString>, TaskError> {
    let file = match task {
        ScriptTask::Command(argv) if argv.is_empty() => {
            return Err(TaskError::new(ErrorKind::BadInput, "the script is empty: it needs at least a program"));
        }
        ScriptTask::Command(argv) => return Ok(argv.iter().map(OsString::from).collect()),
        ScriptTask::File(file) => file,
    };
    let file = std::path::absolute(file).map_err(|error| unreadable(file, &error))?;
    let interpreter = if starts_with_shebang(&file)? {
        None
    } else if file.as_os_str().as_bytes().ends_with(b".py") {
        Some(python.as_os_str())
    } else {
        Some(OsStr::new("bash"))
    };
    Ok(interpreter.map(OsStr::to_owned).into_iter().chain([file.into_os_string()]).collect())
}

fn starts_with_shebang(file: &Path) -> Result<bool, TaskError> {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|script| script.take(2).read_to_end(&mut start));
    read.map_err(|error| unreadable(file, &error))?;
    Ok(start == b"#!")
}

fn unreadable(file: &Path, error: &std::io::Error) -> TaskError {
    TaskError::new(ErrorKind::NotFound, format!("the script {} can't be read: {error}", file.display()))
}

/// The arguments: named inputs in their order, then positional inputs by position. As everywhere in ewoks, a name that
/// consists of digits is a position.
fn arguments_of(inputs: &Data) -> Result<Vec<OsString>, TaskError> {
    let mut named = Vec::new();
    let mut positional = Vec::new();
    for (key, payload) in inputs {
        let value = payload.value().map_err(|error| unreadable_input(key, &error))?;
        match key {
            Key::Name(name) if OPTIONS.contains(&name.as_ref()) => {}
            Key::Name(name) => match position_of(name) {
                Some(position) => positional.push((position, text_of(value))),
                None => named.extend(option(name, text_of(value))),
            },
            Key::Position(position) => positional.push((u64::from(*position), text_of(value))),
        }
    }
    positional.sort_by_key(|(position, _)| *position);
    named.extend(positional.into_iter().map(|(_, text)| text));
    Ok(named)
}

fn position_of(name: &str) -> Option<u64> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

fn option(name: &str, value: OsString) -> impl Iterator<Item = OsString> {
    let marker = if name.chars().count() == 1 { "-" } else { "--" };
    let value = if value.is_empty() { None } else { Some(value) };
    [OsString::from(format!("{marker}{name}"))].into_iter().chain(value)
}

fn text_of(value: &Value) -> OsString {
    OsString::from_vec(python_text(value).into_bytes())
}

fn value_of<'a>(inputs: &'a Data, name: &str) -> Result<Option<&'a Value>, TaskError> {
    inputs.value(name).map_err(|error| unreadable_input(&Key::from(name), &error))
}

fn unreadable_input(key: &Key, error: &pushflow_model::CodecError) -> TaskError {
    TaskError::new(ErrorKind::BadInput, format!("the input {:?} can't be read: {error}", key.to_string()))
}
