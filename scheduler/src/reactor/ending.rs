//! [`Ending`]: how a run ended, with its result and its errors.

use std::error::Error;
use std::fmt;

use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, TaskError};
use pushflow_value::Data;

use super::outputs::{Execution, Output};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndingKind {
    /// Everything that was triggered ran, without an error that nothing handled.
    Finished,
    /// At least one actor failed and nothing handled it (the errors say which), or the run outgrew its limits.
    Failed,
    /// The deadline passed first.
    TimedOut,
    /// It was asked to stop.
    Stopped {
        /// Why, in the words of who asked.
        reason: String,
    },
    /// Nothing failed, and nothing is left to do, yet the stop actor was never reached, or a join waits for what will not
    /// come (after a failure that was handled that is no stall). Not for ewoks graphs, where an unmet merge is normal.
    Stalled,
}

/// How a run ended and what is left of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// How it ended.
    pub kind: EndingKind,
    /// What reached the stop actor, whatever the kind; none if nothing did. The last good result, or if there is none the
    /// first that came from a failure (`parity.md` P56).
    pub result: Option<Data>,
    /// What else was asked for ([`super::Outputs`]).
    pub outputs: Vec<Output>,
    /// Each execution, if that was asked for ([`super::Outputs::All`]).
    pub executions: Vec<Execution>,
    /// How many executions there were before those listed.
    pub more_outputs: u64,
    /// The last text that an error handler or status actor set the run's status to; none if none did.
    pub status: Option<String>,
    /// For a stalled run: what waits for what, one sentence each.
    pub stalled: Vec<String>,
    /// How many failures were handled.
    pub handled_errors: u64,
    /// The first of the failures that were handled, at most [`super::Limits::errors`].
    pub handled: Vec<ActorError>,
    /// The failures that nothing handled in the order in which they came in, at most [`super::Limits::errors`].
    pub errors: Vec<ActorError>,
    /// How many failures there were beyond those listed.
    pub more_errors: u64,
}

/// One failure of one actor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorError {
    /// The actor that failed.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// The attempt that failed or whose result failed; none for a failure without an attempt, such as a router's.
    pub attempt: Option<AttemptId>,
    /// How it failed.
    pub error: TaskError,
}

impl fmt::Display for ActorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {:?}", self.name)?;
        if let Some(attempt) = self.attempt {
            write!(f, " (attempt {attempt})")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Its text has that of the [`TaskError`], which is therefore no [`Error::source`] of it.
impl Error for ActorError {}
