//! [`TaskError`]: how an attempt failed, as it travels from where it happened to who asked.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The codec of the opaque value that stands for an error which has no object of its own: its text is the error's.
pub const ERROR_CODEC: &str = "error";

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The task itself said so: a Python exception, an `Err`, a command's exit code.
    Raised,
    /// A Rust task panicked.
    Panicked,
    /// The task does not exist where it was to run, or can't be loaded.
    NotFound,
    /// The inputs do not fit the task.
    BadInput,
    /// What the task returned can't be its result.
    BadResult,
    /// The process that ran the attempt ended before the attempt did.
    WorkerLost,
    /// The attempt, or the run, took longer than it was allowed to.
    TimedOut,
    /// The run was stopped.
    Stopped,
    /// This kind of task does not run on this pool.
    Unsupported,
}

/// How one attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// Why.
    pub kind: ErrorKind,
    /// The name of the error's type where it was raised, such as `ValueError`, `panic` or `WorkerLost`.
    pub type_name: String,
    /// One sentence.
    pub message: String,
    /// Where it happened, outermost first, as the task's language prints it; may be empty.
    pub traceback: Vec<String>,
    /// The process in which the attempt ran, where there was one.
    pub pid: Option<u32>,
    /// The last lines that the attempt wrote to its standard error, oldest first; at most 20.
    pub stderr: Vec<String>,
    /// What else its own language knows of it.
    pub details: Option<Box<ErrorDetails>>,
}

/// What the language of a task knows of an error beside its type and text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetails {
    /// What was noted on it on its way, oldest first (Python's `add_note`).
    pub notes: Vec<String>,
    /// Errors of the same failure, as [`TaskError::causes`] has them.
    pub causes: Vec<ErrorCause>,
    /// The error itself, as an encoded value: a Python exception, if it could be pickled.
    pub instance: Option<Bytes>,
}

/// An error that belongs to the failure of a task, beside the one that the task raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCause {
    /// The name of its type.
    pub type_name: String,
    /// What it says.
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

    /// The error of an attempt that was interrupted before its task started.
    pub fn interrupted_before_start() -> Self {
        TaskError::new(ErrorKind::Stopped, "the attempt was interrupted before it started")
    }

    /// What was noted on the error on its way, oldest first.
    pub fn notes(&self) -> &[String] {
        self.details.as_ref().map_or(&[], |details| &details.notes)
    }

    /// The other errors of this failure: those that were raised around the task's own, outermost first, then those that
    /// it was raised from or during, nearest first.
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
