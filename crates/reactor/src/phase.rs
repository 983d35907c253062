//! [`Phase`]: how far a run has come, and how it ends before its time ([`Closing`], [`SoftStop`]).

use std::time::Duration;

use pushflow_model::{Data, ErrorKind, TaskError};

use super::ending::EndingKind;

/// How far a run has come; see the reactor's module.
#[derive(Debug)]
pub(super) enum Phase {
    Waiting { inputs: Data },
    Running,
    Closing(Closing),
    Over,
}

/// Why a run is closing, and since when.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) kind: EndingKind,
    pub(super) since: Duration,
}

impl Closing {
    /// The error of an attempt that was still running when the run was closed. It keeps what `error` knows of the
    /// process.
    pub(super) fn still_running(&self, error: TaskError, submitted: Duration) -> TaskError {
        let (kind, moment) = match self.kind {
            EndingKind::TimedOut => (ErrorKind::TimedOut, "at the run's deadline"),
            EndingKind::Failed => (ErrorKind::Stopped, "when the run outgrew its limits"),
            _ => (ErrorKind::Stopped, "when the run was stopped"),
        };
        let running = self.since.saturating_sub(submitted).as_secs_f64();
        let message = format!(
            "the attempt was still running {moment}, {running:.1} s after it was submitted ({})",
            error.message
        );
        let closed = TaskError::new(kind, message);
        TaskError { kind: closed.kind, type_name: closed.type_name, message: closed.message, ..error }
    }
}

/// A soft stop that a user asked for.
#[derive(Debug)]
pub(super) struct SoftStop {
    pub(super) reason: String,
    /// Whether a task was refused because of it.
    pub(super) took_effect: bool,
}

impl SoftStop {
    pub(super) fn into_kind(self) -> EndingKind {
        EndingKind::Stopped { reason: self.reason }
    }

    /// The message of the failure of a refused task.
    pub(super) fn message(&self) -> String {
        format!("the run was stopped before the task could run: {}", self.reason)
    }
}
