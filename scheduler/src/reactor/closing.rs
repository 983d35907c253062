//! Errors, closing and the end of a run.
//!
//! A run ends in one of five ways ([`EndingKind`]). It is *closed* when it is to end before its time: what is queued is
//! dropped, each open attempt is interrupted once, and from then on results trigger nothing. The first reason to close
//! a run stays its reason. An attempt that finishes after that leaves no trace; one that its interruption ended, or
//! that lost its worker, is listed as an error that says it was still running; one that failed by itself is listed as
//! it failed.

use pushflow_graph::ActorId;
use pushflow_protocol::{ErrorKind, TaskError};

use super::ending::{Ending, EndingKind};
use super::in_flight::InFlight;
use super::message::Action;
use super::outputs::CollectedOutputs;
use super::phase::{Closing, Phase, SoftStop};
use super::rounds::too_many;
use super::{Reactor, Step};

impl Reactor {
    /// Ends the run before its time, unless it is ending already.
    pub(super) fn close(&mut self, kind: EndingKind, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Over) {
            return;
        }
        self.phase = Phase::Closing(Closing { kind, since: step.now });
        self.queue.clear();
        self.drop_arrivals();
        step.actions.extend(self.open.keys().map(|&attempt| Action::Interrupt { attempt }));
    }

    /// Ends a run that holds more than it may.
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

    /// The failure of an attempt, told as what it is when it ends because the run does.
    pub(super) fn with_closing_reason(&self, error: TaskError, attempt: &InFlight) -> TaskError {
        match &self.phase {
            Phase::Closing(closing) if is_by_closing(error.kind) => closing.still_running(error, attempt.submitted),
            _ => error,
        }
    }

    /// Ends a run in which an actor is to run more often than it may.
    pub(super) fn fail_too_many_rounds(&mut self, actor: ActorId, limit: u64, step: &mut Step<'_>) {
        let error = too_many(step.plan.graph(), actor, limit);
        self.note_failure(actor, None, error, false, step);
        self.close(EndingKind::Failed, step);
    }

    fn drop_arrivals(&mut self) {
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

/// Whether an attempt that failed so after its interruption failed by it.
fn is_by_closing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Stopped | ErrorKind::TimedOut | ErrorKind::WorkerLost)
}
