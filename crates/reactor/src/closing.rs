//! Closing a run before its time, and the end of each run.
//!
//! A run is *closed* by its deadline, a stop, or a limit that it exceeds. Then the queue is dropped, each attempt in
//! flight is interrupted once, and results trigger nothing any more. The first reason to close a run stays its reason.
//! After that
//! - an attempt that succeeds leaves no trace;
//! - an attempt that its interruption ended, or that lost its worker, is listed with an error that says that it was
//!   still running;
//! - an attempt that failed by itself is listed with its own error.

use pushflow_graph::ActorId;
use pushflow_model::{ErrorKind, TaskError};

use super::ending::{Ending, EndingKind};
use super::in_flight::InFlight;
use super::message::Action;
use super::outputs::CollectedOutputs;
use super::phase::{Closing, Phase, SoftStop};
use super::rounds::too_many;
use super::{Reactor, Step};

impl Reactor {
    /// Closes the run, unless it is closing or over.
    pub(super) fn close(&mut self, kind: EndingKind, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Over) {
            return;
        }
        self.phase = Phase::Closing(Closing { kind, since: step.now });
        self.queue.clear();
        self.drop_arrivals();
        step.actions.extend(self.open.keys().map(|&attempt| Action::Interrupt { attempt }));
    }

    /// Closes a run that holds more than [`super::Limits::under_way`]; `actor` received the last trigger.
    pub(super) fn fail_too_many_triggers(&mut self, actor: ActorId, step: &mut Step<'_>) {
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

    /// The error of an attempt; in a run that is closing, one that says that the attempt was still running, if it was.
    pub(super) fn with_closing_reason(&self, error: TaskError, attempt: &InFlight) -> TaskError {
        match &self.phase {
            Phase::Closing(closing) if is_by_closing(error.kind) => closing.still_running(error, attempt.submitted),
            _ => error,
        }
    }

    /// Closes a run in which `actor` is triggered more often than its limit.
    pub(super) fn fail_too_many_rounds(&mut self, actor: ActorId, limit: u64, step: &mut Step<'_>) {
        let error = too_many(step.plan.graph(), actor, limit);
        self.note_failure(actor, None, error, false, step);
        self.close(EndingKind::Failed, step);
    }

    fn drop_arrivals(&mut self) {
        self.input_states.clear();
        self.counts.buffered = 0;
    }

    /// Ends the run: no trigger is queued, and no attempt is in flight.
    pub(super) fn finish(&mut self, step: &mut Step<'_>) {
        let mut stalled = Vec::new();
        let kind = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Closing(closing) => closing.kind,
            _ if self.soft_stop_took_effect() => {
                self.soft_stop.take().map_or(EndingKind::Finished, SoftStop::into_kind)
            }
            _ if !self.errors.is_empty() => EndingKind::Failed,
            _ => {
                stalled = self.stall_reasons(step.plan);
                if stalled.is_empty() { EndingKind::Finished } else { EndingKind::Stalled }
            }
        };
        self.drop_arrivals();
        let CollectedOutputs { outputs, executions, dropped: more_outputs } = self.outputs.take(step.plan);
        step.actions.push(Action::Finish(Box::new(Ending {
            kind,
            result: self.result.take(),
            outputs,
            executions,
            more_outputs,
            status: self.status.take(),
            stalled,
            handled_errors: self.errors.handled_count,
            handled: std::mem::take(&mut self.errors.handled),
            errors: std::mem::take(&mut self.errors.listed),
            more_errors: self.errors.more,
        })));
    }
}

/// Whether an attempt with an error of this kind, which came after its interruption, was ended by that interruption.
fn is_by_closing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Stopped | ErrorKind::TimedOut | ErrorKind::WorkerLost)
}
