//! The error path: what hears of the failure of an actor, and with what data (`parity.md` P36-P38, P59, P66-P68, P78).
//!
//! A failure goes, in this order, along the error links of the actor that failed, and to the handlers of each scope it is
//! in, from the innermost to the workflow's. Each of them gets what had reached the actor, with the entry
//! `WorkflowException` (`errorMessage`, `traceBack`, and `notes` and `causes` where there are any) and the error itself,
//! `WorkflowExceptionInstance`, on top: a Python exception as it was raised, of any other error one with its text. The
//! failure is *handled* if at least one of them was triggered; only what is not handled makes the run fail.
//!
//! A run that is closing has no error path: nothing is triggered any more.

use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, TaskError};
use pushflow_value::Data;

use super::ending::ActorError;
use super::fan_out::fan_out;
use super::links::Delivery;
use super::message::Action;
use super::phase::Phase;
use super::{Reactor, Step, Trigger};

impl Reactor {
    /// The failure of an actor that had got this.
    pub(super) fn fail(
        &mut self,
        actor: ActorId,
        attempt: Option<AttemptId>,
        error: TaskError,
        got: Data,
        step: &mut Step<'_>,
    ) {
        let handled = matches!(self.phase, Phase::Running) && self.take_error_path(actor, &error, got, step);
        self.note_failure(actor, attempt, error, handled, step);
    }

    /// Tells the caller of a failure, and keeps it if nothing handled it.
    pub(super) fn note_failure(
        &mut self,
        actor: ActorId,
        attempt: Option<AttemptId>,
        error: TaskError,
        handled: bool,
        step: &mut Step<'_>,
    ) {
        let name = step.plan.actor(actor).name.clone();
        let failure = ActorError { actor, name, attempt, error };
        if handled {
            self.errors.add_handled(failure.clone());
        } else {
            self.errors.add(failure.clone());
        }
        step.actions.push(Action::Failed { failure: Box::new(failure), handled });
    }

    /// Triggers whatever handles the failure; whether anything did.
    fn take_error_path(&mut self, actor: ActorId, error: &TaskError, got: Data, step: &mut Step<'_>) -> bool {
        let plan = step.plan;
        if !plan.has_error_path(actor) {
            return false;
        }
        let data = plan.error_keys.error_data(got, error);
        let before = self.queue.len();
        if let Err(failure) = fan_out(plan, plan.error_links(actor), data.clone().into(), &mut self.queue) {
            self.note_failure(actor, None, failure.error, false, step);
        }
        let stop = plan.graph().stop();
        let delivery = |target| if Some(target) == stop { Delivery::End(target) } else { Delivery::Direct };
        let handlers =
            plan.scope_handlers(actor).map(|target| Trigger { target, delivery: delivery(target), data: data.clone() });
        self.queue.extend(handlers);
        self.queue.len() > before
    }
}
