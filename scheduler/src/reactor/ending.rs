//! Errors, closing and the end of a run.
//!
//! A run ends in one of five ways ([`EndingKind`]). It is *closed* when it is to end before its time: what is queued is
//! dropped, each open attempt is interrupted once, and from then on results trigger nothing. The first reason to close
//! a run stays its reason. An attempt that finishes after that leaves no trace; one that its interruption ended, or
//! that lost its worker, is listed as an error that says it was still running; one that failed by itself is listed as
//! it failed.

use std::time::Duration;

use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, ErrorKind, TaskError};
use pushflow_value::Data;

use super::outputs::CollectedOutputs;
use super::rounds::too_many;
use super::soft_stop::SoftStop;
use super::{Action, Execution, InFlight, Output, Phase, Reactor, Step};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Why, and since when, a run does nothing more.
#[derive(Debug)]
pub(super) struct Closing {
    kind: EndingKind,
    since: Duration,
}

/// The failures of a run: the first ones, and the number of the others.
#[derive(Debug)]
pub(super) struct Errors {
    listed: Vec<ActorError>,
    /// The first of those that were handled, which count for nothing else.
    handled: Vec<ActorError>,
    more: u64,
    limit: usize,
}

impl Errors {
    pub(super) fn new(limit: usize) -> Self {
        Errors { listed: Vec::new(), handled: Vec::new(), more: 0, limit }
    }

    pub(super) fn add(&mut self, error: ActorError) {
        if self.listed.len() < self.limit {
            self.listed.push(error);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn add_handled(&mut self, error: ActorError) {
        if self.handled.len() < self.limit {
            self.handled.push(error);
        }
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.more == 0
    }
}

impl Reactor {
    /// Ends the run before its time, unless it is ending already.
    pub(super) fn close(&mut self, kind: EndingKind, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Over) {
            return;
        }
        self.phase = Phase::Closing(Closing { kind, since: step.now });
        self.queue.clear();
        self.forget_arrivals();
        step.actions.extend(self.open.keys().map(|&attempt| Action::Interrupt { attempt }));
    }

    /// Ends a run that holds more than it may.
    pub(super) fn outgrow(&mut self, actor: ActorId, step: &mut Step<'_>) {
        let limit = self.limits.under_way;
        let mut error = TaskError::new(
            ErrorKind::BadResult,
            format!(
                "the run has more than {limit} triggers and attempts under way, the last ones from here: a cycle must \
                 not trigger itself more than once a round"
            ),
        );
        error.type_name = "TooManyTriggers".to_owned();
        self.note_failure(actor, None, error, false, step);
        self.close(EndingKind::Failed, step);
    }

    /// The failure of an attempt, told as what it is when it ends because the run does.
    pub(super) fn told(&self, error: TaskError, attempt: &InFlight) -> TaskError {
        match &self.phase {
            Phase::Closing(closing) if is_by_closing(error.kind) => closing.still_running(error, attempt),
            _ => error,
        }
    }

    /// Ends a run in which an actor is to run more often than it may.
    pub(super) fn outrun(&mut self, actor: ActorId, limit: u64, step: &mut Step<'_>) {
        let error = too_many(step.plan.graph(), actor, limit);
        self.note_failure(actor, None, error, false, step);
        self.close(EndingKind::Failed, step);
    }

    fn forget_arrivals(&mut self) {
        self.input_states.clear();
        self.counts.buffered = 0;
    }

    /// Nothing is queued and nothing is open: the run is over.
    pub(super) fn finish(&mut self, step: &mut Step<'_>) {
        let mut stalled = Vec::new();
        let kind = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Closing(closing) => closing.kind,
            _ if self.soft_stop_took_effect() => {
                self.soft_stop.take().map_or(EndingKind::Finished, SoftStop::into_kind)
            }
            _ if !self.errors.is_empty() => EndingKind::Failed,
            _ => {
                stalled = self.unmet(step.plan);
                if stalled.is_empty() { EndingKind::Finished } else { EndingKind::Stalled }
            }
        };
        self.forget_arrivals();
        let CollectedOutputs { outputs, executions, dropped: more_outputs } = self.outputs.take(step.plan);
        step.actions.push(Action::Finish(Box::new(Ending {
            kind,
            result: self.result.take(),
            outputs,
            executions,
            more_outputs,
            status: self.status.take(),
            stalled,
            handled_errors: self.handled,
            handled: std::mem::take(&mut self.errors.handled),
            errors: std::mem::take(&mut self.errors.listed),
            more_errors: self.errors.more,
        })));
    }
}

/// Whether an attempt that failed so after its interruption failed by it.
fn is_by_closing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Stopped | ErrorKind::TimedOut | ErrorKind::WorkerLost)
}

impl Closing {
    /// The error of an attempt that was still running when the run was closed; it keeps what is known of the process.
    fn still_running(&self, error: TaskError, attempt: &InFlight) -> TaskError {
        let (kind, moment) = match self.kind {
            EndingKind::TimedOut => (ErrorKind::TimedOut, "at the run's deadline"),
            EndingKind::Failed => (ErrorKind::Stopped, "when the run outgrew its limits"),
            _ => (ErrorKind::Stopped, "when the run was stopped"),
        };
        let running = self.since.saturating_sub(attempt.submitted).as_secs_f64();
        let message = format!(
            "the attempt was still running {moment}, {running:.1} s after it was submitted ({})",
            error.message
        );
        let told = TaskError::new(kind, message);
        TaskError { kind: told.kind, type_name: told.type_name, message: told.message, ..error }
    }
}
