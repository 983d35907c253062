//! The error path: which actors a failure triggers, and with what data (`docs/parity.md` P36-P38, P59, P66-P68, P78).
//!
//! A failure goes, in this order, along the error links of the actor that failed, and to the handlers of each scope
//! around that actor, from the innermost scope to the workflow's. Each handler receives the data that had reached the
//! actor, with two entries on top: `WorkflowException` (`errorMessage`, `traceBack`, and `notes` and `causes` where
//! there are any), and the error itself, `WorkflowExceptionInstance`: a Python exception as it was raised, any other
//! error as an opaque value with its text. The failure is *handled* if it triggered at least one handler; only
//! unhandled failures make the run fail.
//!
//! In the original an actor names its parent handler. Here the errors of each actor reach the handlers of its submodel
//! and workflow, unless the actor contains its errors.
//!
//! A run that is closing has no error path: a failure then triggers nothing.

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Data, TaskError};

use super::ending::ActorError;
use super::fan_out::fan_out;
use super::links::Delivery;
use super::message::Action;
use super::phase::Phase;
use super::{Reactor, Step, Trigger};

impl Reactor {
    /// Takes the error path of an actor that had received `got`, and records its failure.
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

    /// Reports a failure to the caller, and keeps it for the ending.
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

    /// Triggers the handlers of a failure. Returns whether there was any.
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
