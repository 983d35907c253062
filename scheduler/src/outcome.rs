//! [`Outcome`]: how a run ended.

use std::time::Duration;

use pushflow_value::Data;

use crate::{ActorError, EndingKind, Execution, Output, RunId, StopSignal};

/// How a run ended, with its result and every error that nothing handled.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which run.
    pub run: RunId,
    /// How it ended.
    pub ending: EndingKind,
    /// What reached the stop actor, however the run ended; `None` if nothing did. The last good result, or if there is
    /// none the first that came from a failure, which has an entry `WorkflowException`.
    pub result: Option<Data>,
    /// What else was asked for ([`crate::Outputs`]).
    pub outputs: Vec<Output>,
    /// Each execution, if that was asked for ([`crate::Outputs::All`]).
    pub executions: Vec<Execution>,
    /// How many executions there were before those listed.
    pub more_outputs: u64,
    /// The last text that an error handler or status actor set the run's status to.
    pub status: Option<String>,
    /// For a stalled run: what waits for what, one sentence each.
    pub stalled: Vec<String>,
    /// How many errors were handled: something was triggered by them.
    pub handled_errors: u64,
    /// The first of the errors that were handled, at most [`crate::Limits::errors`].
    pub handled: Vec<ActorError>,
    /// The errors that nothing handled, in the order in which they came.
    pub errors: Vec<ActorError>,
    /// How many errors there were beyond those listed.
    pub more_errors: u64,
    /// The signal that came first, of those on which the run was to be stopped ([`crate::RunOptions::stop_signals`]).
    pub signal: Option<StopSignal>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// Whether everything that was triggered ran, without an error that nothing handled.
    pub fn is_finished(&self) -> bool {
        self.ending == EndingKind::Finished
    }
}
