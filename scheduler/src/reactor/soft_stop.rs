//! The soft stop (`parity.md` P87): what runs ends as it would, and what would run takes its error path.
//!
//! A task that is refused fails with the reason of the stop, so that its handlers can bring the run to its end. A task on
//! such an error path is refused without an error path of its own: a handler that leads back to a task would otherwise
//! go round for ever. Actors that run no task work as ever.

use pushflow_graph::ActorId;
use pushflow_protocol::{ErrorKind, TaskError};
use pushflow_value::Data;

use super::failure::message_of;
use super::{EndingKind, Phase, Reactor, Step};

/// A soft stop that was asked for.
#[derive(Debug)]
pub(super) struct SoftStop {
    reason: String,
    /// Whether a task was refused.
    took_effect: bool,
}

impl SoftStop {
    pub(super) fn into_kind(self) -> EndingKind {
        EndingKind::Stopped { reason: self.reason }
    }

    /// What a task that is refused fails with.
    fn message(&self) -> String {
        format!("the run was stopped before the task could run: {}", self.reason)
    }
}

impl Reactor {
    pub(super) fn stop_softly(&mut self, reason: String) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Running) && self.soft_stop.is_none() {
            self.soft_stop = Some(SoftStop { reason, took_effect: false });
        }
    }

    /// Whether a stop kept a task from running; one that came too late for that changes nothing.
    pub(super) fn soft_stop_took_effect(&self) -> bool {
        self.soft_stop.as_ref().is_some_and(|stop| stop.took_effect)
    }

    /// A task that does not run, since the run is stopping.
    pub(super) fn refuse(&mut self, actor: ActorId, got: Data, step: &mut Step<'_>) {
        let Some(stop) = &mut self.soft_stop else { return };
        stop.took_effect = true;
        let message = stop.message();
        let told_before = message_of(&got, step.plan).is_some_and(|earlier| earlier == message);
        let error = TaskError::new(ErrorKind::Stopped, message);
        if told_before {
            self.note_failure(actor, None, error, false, step);
        } else {
            self.fail(actor, None, error, got, step);
        }
    }
}
