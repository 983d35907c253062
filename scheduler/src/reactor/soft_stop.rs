//! The soft stop (`parity.md` P87): what runs ends as it would, and what would run takes its error path.
//!
//! A task that is refused fails with the reason of the stop, so that its handlers can bring the run to its end. A task on
//! such an error path is refused without an error path of its own: a handler that leads back to a task would otherwise
//! go round for ever. Actors that run no task work as ever.

use pushflow_graph::ActorId;
use pushflow_protocol::{ErrorKind, TaskError};
use pushflow_value::Data;

use super::phase::{Phase, SoftStop};
use super::{Reactor, Step};

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
        let told_before = step.plan.error_keys.message_of(&got).is_some_and(|earlier| earlier == message);
        let error = TaskError::new(ErrorKind::Stopped, message);
        if told_before {
            self.note_failure(actor, None, error, false, step);
        } else {
            self.fail(actor, None, error, got, step);
        }
    }
}
