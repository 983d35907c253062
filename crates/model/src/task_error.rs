//! [`TaskError`]: how an attempt failed, as it is sent from the worker to the scheduler.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The codec of the opaque value of an error that has no object of its own. The text of the value is the error's.
pub const ERROR_CODEC: &str = "error";

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The task failed by its own means: a Python exception, an `Err`, the exit code of a command.
    Raised,
    /// A Rust task panicked.
    Panicked,
    /// The process that was to run the task does not have it, or can't load it.
    NotFound,
    /// The inputs do not fit the task.
    BadInput,
    /// The value that the task returned can't be its result.
    BadResult,
    /// The process that ran the attempt ended before the attempt did.
    WorkerLost,
    /// The attempt or the run exceeded its time limit.
    TimedOut,
    /// The run was stopped.
    Stopped,
    /// The pool can't run this kind of task.
    Unsupported,
}

/// How one attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The name of the error's type in its own language, such as `ValueError`, `panic` or `WorkerLost`.
    pub type_name: String,
    /// The text of the error, one sentence if pushflow wrote it.
    pub message: String,
    /// The lines of the traceback, outermost frame first, as the task's language prints them; may be empty.
    pub traceback: Vec<String>,
    /// The id of the process in which the attempt ran, where there was one.
    pub pid: Option<u32>,
    /// The last lines that the attempt wrote to its standard error, oldest first; at most 20.
    pub stderr: Vec<String>,
    /// More that the task's language knows of the error.
    pub details: Option<Box<ErrorDetails>>,
}

/// What the language of a task knows of an error beside its type, text and traceback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetails {
    /// The notes that were added to the error, oldest first (Python's `add_note`).
    pub notes: Vec<String>,
    /// The other errors of the same failure; see [`TaskError::causes`].
    pub causes: Vec<ErrorCause>,
    /// The error itself, as an encoded value: a Python exception, if it could be pickled.
    pub instance: Option<Bytes>,
}

/// Another error of the same failure, beside the one that the task raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCause {
    /// The name of the error's type.
    pub type_name: String,
    /// The text of the error.
    pub message: String,
}

impl TaskError {
    /// An error without a traceback; its type is named after the kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let type_name = match kind {
            ErrorKind::Panicked => "panic".to_owned(),
            kind => format!("{kind:?}"),
        };
        TaskError {
            kind,
            type_name,
            message: message.into(),
            traceback: Vec::new(),
            pid: None,
            stderr: Vec::new(),
            details: None,
        }
    }

    /// What is known beside the message, in lines: the traceback and the causes, and the last lines on standard error.
    ///
    /// ```
    /// use pushflow_model::{ErrorKind, TaskError};
    ///
    /// let mut error = TaskError::new(ErrorKind::Raised, "sh exited with code 3");
    /// error.stderr = vec!["no such file".to_owned()];
    /// assert_eq!(error.details(), ["  the last lines on its standard error:", "    no such file"]);
    /// ```
    pub fn details(&self) -> Vec<String> {
        let indented = |line: &str| format!("    {line}");
        let mut lines: Vec<String> = self.traceback.iter().flat_map(|text| text.lines()).map(indented).collect();
        if !self.stderr.is_empty() {
            lines.push("  the last lines on its standard error:".to_owned());
            lines.extend(self.stderr.iter().map(|line| indented(line)));
        }
        lines
    }

    /// The error of an attempt that was interrupted before its task started.
    pub fn interrupted_before_start() -> Self {
        TaskError::new(ErrorKind::Stopped, "the attempt was interrupted before it started")
    }

    /// The notes that were added to the error, oldest first.
    pub fn notes(&self) -> &[String] {
        self.details.as_ref().map_or(&[], |details| &details.notes)
    }

    /// The other errors of this failure: the errors that wrap the task's own, outermost first, then the errors from which
    /// or during which it was raised, nearest first.
    pub fn causes(&self) -> &[ErrorCause] {
        self.details.as_ref().map_or(&[], |details| &details.causes)
    }

    /// The error as its own language has it, as an encoded value: a Python exception, if it could be pickled.
    pub fn instance(&self) -> Option<&Bytes> {
        self.details.as_ref()?.instance.as_ref()
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return f.write_str(&self.type_name);
        }
        write!(f, "{}: {}", self.type_name, self.message)
    }
}

impl std::error::Error for TaskError {}
