//! The error path: what hears of the failure of an actor, and with what data (`parity.md` P36-P38, P59, P66-P68, P78).
//!
//! A failure goes, in this order, along the error links of the actor that failed, and to the handlers of each scope it is
//! in, from the innermost to the workflow's. Each of them gets what had reached the actor, with the entry
//! `WorkflowException` (`errorMessage`, `traceBack`, and `notes` and `causes` where there are any) and the error itself,
//! `WorkflowExceptionInstance`, on top: a Python exception as it was raised, of any other error one with its text. The
//! failure is *handled* if at least one of them was triggered; only what is not handled makes the run fail.
//!
//! A run that is closing has no error path: nothing is triggered any more.

use bytes::Bytes;
use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, ERROR_CODEC, ErrorCause, TaskError};
use pushflow_value::{Data, Map, Opaque, Payload, Value};

use super::ending::ActorError;
use super::fan_out::fan_out;
use super::plan::{Delivery, Plan};
use super::{Action, Phase, Reactor, Step, Trigger};

/// The entry that says that data comes from a failure.
const EXCEPTION: &str = "WorkflowException";
/// The entry that has the error itself.
const INSTANCE: &str = "WorkflowExceptionInstance";

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
            self.handled += 1;
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
        let data = error_data(got, error, plan);
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

/// What travels on an error path.
fn error_data(got: Data, error: &TaskError, plan: &Plan) -> Data {
    let lines = error.traceback.iter().map(|line| Value::from(line.as_str())).collect::<Vec<_>>();
    let mut exception: Map =
        [("errorMessage", Value::from(error.message.as_str())), ("traceBack", lines.into())].into_iter().collect();
    if !error.notes().is_empty() {
        let notes: Vec<Value> = error.notes().iter().map(|note| Value::from(note.as_str())).collect();
        exception.insert("notes".into(), notes.into());
    }
    if !error.causes().is_empty() {
        let causes: Vec<Value> = error.causes().iter().map(cause).collect();
        exception.insert("causes".into(), causes.into());
    }
    let mut data = got;
    data.insert(plan.exception.clone(), Payload::from(Value::Map(exception)));
    data.insert(plan.instance.clone(), instance(error));
    data
}

fn cause(cause: &ErrorCause) -> Value {
    let parts = [("type", cause.type_name.as_str()), ("message", cause.message.as_str())];
    Value::Map(parts.into_iter().map(|(name, text)| (name, Value::from(text))).collect())
}

/// The error itself, where its language has it; else what stands for one.
fn instance(error: &TaskError) -> Payload {
    match error.instance() {
        Some(encoded) => Payload::from_encoded(Bytes::clone(encoded)),
        None => {
            let stand_in = Opaque::new(ERROR_CODEC, error.type_name.as_str()).with_text(error.to_string());
            Payload::from(Value::from(stand_in))
        }
    }
}

/// The key of [`INSTANCE`].
pub(super) fn instance_key() -> pushflow_value::Key {
    INSTANCE.into()
}

/// The key of [`EXCEPTION`].
pub(super) fn exception_key() -> pushflow_value::Key {
    EXCEPTION.into()
}

/// What the failure that data comes from said.
pub(super) fn message_of<'a>(data: &'a Data, plan: &Plan) -> Option<&'a str> {
    data.get(&plan.exception)?.value().ok()?.as_map()?.get("errorMessage")?.as_str()
}

/// Whether data comes from a failure: its entry `WorkflowException` is there and says something (`parity.md` P56).
pub(super) fn is_error(data: &Data, plan: &Plan) -> bool {
    let Some(exception) = data.get(&plan.exception) else { return false };
    match exception.value().map(Value::plain) {
        Ok(Value::Null | Value::Bool(false) | Value::Int(0)) => false,
        Ok(Value::Float(float)) => *float != 0.0,
        Ok(Value::Str(text)) => !text.is_empty(),
        Ok(Value::Bytes(bytes)) => !bytes.is_empty(),
        Ok(Value::List(items)) => !items.is_empty(),
        Ok(Value::Map(entries)) => !entries.is_empty(),
        Ok(_) | Err(_) => true,
    }
}
