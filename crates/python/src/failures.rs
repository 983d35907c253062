//! The errors of attempts whose interpreter could not be started or reached, or was interrupted.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use pushflow_guardian::LaunchError;
use pushflow_model::{ErrorKind, TaskError};

pub(crate) fn unreachable(error: &io::Error) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be reached: {error}"))
}

pub(crate) fn not_started(interpreter: &OsStr, error: LaunchError) -> TaskError {
    let interpreter = Path::new(interpreter).display();
    let message = format!("the Python interpreter {interpreter} could not be started: {error}");
    TaskError::new(ErrorKind::NotFound, message)
}

/// The error of an attempt that was interrupted before its task began, maybe while the interpreter imported a module.
pub(crate) fn interrupted_before_start(imports: Option<&str>) -> TaskError {
    let import = imports
        .map(|module| format!(", while the Python interpreter imported the module {module:?}"))
        .unwrap_or_default();
    TaskError::new(ErrorKind::Stopped, format!("the attempt was interrupted before it began{import}"))
}

/// What an exception becomes that left a task after it was interrupted.
pub(crate) fn interrupted(error: TaskError) -> TaskError {
    let message = match error.type_name.as_str() {
        "KeyboardInterrupt" => "the task was interrupted".to_owned(),
        other => format!("the task was interrupted, and raised {other}: {}", error.message),
    };
    TaskError { kind: ErrorKind::Stopped, message, ..error }
}
