//! The errors of attempts whose interpreter could not be started or reached, or that were interrupted.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use pushflow_guardian::LaunchError;
use pushflow_model::{ErrorKind, TaskError};

/// The error of an attempt for which no channel to the interpreter can be made.
pub(crate) fn unreachable(error: &io::Error) -> TaskError {
    TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be reached: {error}"))
}

/// The error of an attempt whose interpreter could not be started.
pub(crate) fn not_started(interpreter: &OsStr, error: LaunchError) -> TaskError {
    let interpreter = Path::new(interpreter).display();
    let message = format!("the Python interpreter {interpreter} could not be started: {error}");
    TaskError::new(ErrorKind::NotFound, message)
}

/// The error of an attempt that was interrupted before its task started. `imports` is the module that the interpreter
/// imported at that moment.
pub(crate) fn interrupted_before_start(imports: Option<&str>) -> TaskError {
    let mut error = TaskError::interrupted_before_start();
    if let Some(module) = imports {
        error.message += &format!(", while the Python interpreter imported the module {module:?}");
    }
    error
}

/// The error of an attempt whose task raised this exception after the attempt was interrupted.
pub(crate) fn interrupted(error: TaskError) -> TaskError {
    let message = match error.type_name.as_str() {
        "KeyboardInterrupt" => "the task was interrupted".to_owned(),
        other => format!("the task was interrupted, and raised {other}: {}", error.message),
    };
    TaskError { kind: ErrorKind::Stopped, message, ..error }
}
