//! [`Ending`]: how a run ended, with its result and its errors.

use std::error::Error;
use std::fmt;

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Data, TaskError};

use super::outputs::{Execution, Output};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndingKind {
    /// Everything that was triggered ran, without an error that no handler took.
    Finished,
    /// At least one actor failed and no handler took its error ([`Ending::errors`]), or the run exceeded its limits.
    Failed,
    /// The run reached its deadline before its end.
    TimedOut,
    /// A user or a signal stopped the run.
    Stopped {
        /// The reason that was given with the request.
        reason: String,
    },
    /// No actor failed and nothing is left to do, yet the stop actor was never reached, or a join waits for an arrival
    /// that will not come. Such a join is no stall after a handled failure, nor in an ewoks graph, where a merge that
    /// never has all its inputs is normal.
    Stalled,
}

/// How a run ended, with its result and its errors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// How it ended.
    pub kind: EndingKind,
    /// The data that reached the stop actor, however the run ended; `None` if nothing did. The last good result; if
    /// there is none, the first that came from a failure, which has an entry `WorkflowException` (`docs/parity.md`
    /// P56).
    pub result: Option<Data>,
    /// What each actor delivered to the stop actor, with [`super::Outputs::Ends`].
    pub outputs: Vec<Output>,
    /// Each execution of a task, with [`super::Outputs::All`].
    pub executions: Vec<Execution>,
    /// How many executions there were before those listed.
    pub more_outputs: u64,
    /// The last status that an error handler or status actor set; `None` if none did.
    pub status: Option<String>,
    /// For a stalled run: which join waits for which actor, one sentence each.
    pub stalled: Vec<String>,
    /// How many errors were handled: each triggered a handler, or its task was tried again.
    pub handled_errors: u64,
    /// The first of the handled errors, at most [`super::Limits::errors`].
    pub handled: Vec<ActorError>,
    /// The errors that no handler took, in the order in which they came, at most [`super::Limits::errors`].
    pub errors: Vec<ActorError>,
    /// How many errors that no handler took are not in `errors`.
    pub more_errors: u64,
}

/// One failure of one actor. It displays itself as `actor "NAME" (attempt N, pid P): TYPE: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorError {
    /// The actor that failed.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// The attempt that failed, or whose result could not be handed on; `None` for a failure without an attempt, such
    /// as a router's.
    pub attempt: Option<AttemptId>,
    /// How it failed.
    pub error: TaskError,
}

impl ActorError {
    /// The attempt and its process in parentheses behind a space, as far as they are known, for the place behind the name:
    /// ` (attempt 3, pid 4711)`.
    pub fn place(&self) -> String {
        let attempt = self.attempt.map(|attempt| format!("attempt {attempt}"));
        let known: Vec<String> = attempt.into_iter().chain(self.error.pid.map(|pid| format!("pid {pid}"))).collect();
        if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
    }
}

impl fmt::Display for ActorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {:?}{}: {}", self.name, self.place(), self.error)
    }
}

/// Its text has that of the [`TaskError`], which is therefore no [`Error::source`] of it.
impl Error for ActorError {}
