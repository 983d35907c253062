//! The soft stop (`docs/parity.md` P87): attempts in flight end as they would, and a task that would run takes its
//! error path.
//!
//! Such a task is *refused*: it fails with the reason of the stop, so that its handlers can bring the run to its end. A
//! task that is refused on the error path of another refused task has no error path of its own; otherwise a handler
//! that leads back to a task would go round for ever. Actors that run no task work as ever.

use pushflow_graph::ActorId;
use pushflow_model::{Data, ErrorKind, TaskError};

use super::phase::{Phase, SoftStop};
use super::{Reactor, Step};

impl Reactor {
    pub(super) fn stop_softly(&mut self, reason: String) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Running) && self.soft_stop.is_none() {
            self.soft_stop = Some(SoftStop { reason, took_effect: false });
        }
    }

    /// Whether a soft stop refused a task. A soft stop that refused none changes nothing.
    pub(super) fn soft_stop_took_effect(&self) -> bool {
        self.soft_stop.as_ref().is_some_and(|stop| stop.took_effect)
    }

    /// Refuses a task, since the run is stopping.
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
