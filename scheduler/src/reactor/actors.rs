//! What each kind of actor does when it runs, and what becomes of an attempt that ended.
//!
//! - *start*, *fork*: hand on what they got.
//! - *router*: hands on what it got along the links of one port; without such a port and without "other" it fails.
//! - *stop*: keeps what it got as the result of the run; the last one wins (`parity.md` P56).
//! - *task*: its inputs are its defaults with what arrived on top. An attempt is submitted, or, for an identity, the
//!   inputs are the result and the actor is done at once. What goes on depends on its [`Passing`]:
//!   - *merged*: the inputs with the result on top.
//!   - *result*: the result.
//!   - *dict*: the one entry `_ppfdict`, a travelling dictionary. An incoming `_ppfdict` is spread over the other
//!     inputs before the task runs; what goes on is these with the result on top. Conditions look inside it.

use pushflow_graph::{ActorId, ActorKind, Passing, Task, Work};
use pushflow_protocol::{AttemptId, ErrorKind, TaskError};
use pushflow_value::{Data, Key, Payload, Value};

use super::plan::{Exit, Plan};
use super::spread::{Handed, spread};
use super::{Action, OpenAttempt, Phase, Reactor, Step};

impl Reactor {
    /// One execution of an actor with what it got.
    pub(super) fn run(&mut self, actor: ActorId, got: Data, step: &mut Step<'_>) {
        let plan = step.plan;
        let done = match &plan.actor(actor).kind {
            ActorKind::Start | ActorKind::Fork => self.hand_on(plan, plan.exits(actor), got.into()),
            ActorKind::Router(router) => {
                plan.chosen_exits(actor, router, &got).and_then(|exits| self.hand_on(plan, exits, got.into()))
            }
            ActorKind::Stop => {
                self.result = Some(got);
                Ok(())
            }
            ActorKind::Task(task) => match inputs(task, got, &plan.travelling) {
                Ok(inputs) if task.work != Work::Identity => return self.submit(actor, task.passing, inputs, step),
                Ok(inputs) => self.hand_on(plan, plan.exits(actor), handed(task.passing, inputs, &plan.travelling)),
                Err(error) => Err(error),
            },
        };
        match done {
            Ok(()) => step.actions.push(Action::Passed { actor }),
            Err(error) => self.fail(actor, None, error, step),
        }
    }

    fn hand_on(&mut self, plan: &Plan, exits: &[Exit], handed: Handed) -> Result<(), TaskError> {
        spread(plan, exits, handed, &mut self.queue)
    }

    fn submit(&mut self, actor: ActorId, passing: Passing, inputs: Data, step: &mut Step<'_>) {
        self.counts.submitted += 1;
        let attempt = AttemptId(self.counts.submitted);
        let base = match passing {
            Passing::Result => None,
            Passing::Merged | Passing::Dict => Some(inputs.clone()),
        };
        self.open.insert(attempt, OpenAttempt { actor, submitted: step.now, base });
        step.actions.push(Action::Submit { attempt, actor, inputs });
    }

    /// An attempt ended well: its result goes on, unless the run is closing.
    pub(super) fn attempt_finished(&mut self, attempt: AttemptId, result: Data, step: &mut Step<'_>) {
        let Some(OpenAttempt { actor, base, .. }) = self.end_attempt(attempt) else { return };
        let ActorKind::Task(task) = &step.plan.actor(actor).kind else { return };
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        let outputs = match base {
            Some(inputs) => inputs.merged(&result),
            None => result,
        };
        let plan = step.plan;
        if let Err(error) = self.hand_on(plan, plan.exits(actor), handed(task.passing, outputs, &plan.travelling)) {
            self.fail(actor, Some(attempt), error, step);
        }
    }

    /// An attempt failed, for whatever reason.
    pub(super) fn attempt_failed(&mut self, attempt: AttemptId, error: TaskError, step: &mut Step<'_>) {
        let Some(open) = self.end_attempt(attempt) else { return };
        let error = self.told(error, &open);
        self.fail(open.actor, Some(attempt), error, step);
    }

    fn end_attempt(&mut self, attempt: AttemptId) -> Option<OpenAttempt> {
        let ended = self.open.remove(&attempt);
        match ended {
            Some(_) => self.counts.ended += 1,
            None => self.counts.ignored += 1,
        }
        ended
    }
}

/// What a task gets of what its actor got.
fn inputs(task: &Task, got: Data, travelling: &Key) -> Result<Data, TaskError> {
    let inputs = if task.defaults.is_empty() { got } else { task.defaults.clone().merged(&got) };
    match task.passing {
        Passing::Merged | Passing::Result => Ok(inputs),
        Passing::Dict => unpacked(inputs, travelling),
    }
}

/// The inputs with the entries of the travelling dictionary on top, and without the dictionary itself.
fn unpacked(mut inputs: Data, travelling: &Key) -> Result<Data, TaskError> {
    let Some(dictionary) = inputs.remove(travelling) else { return Ok(inputs) };
    let bad = |what: String| Err(TaskError::new(ErrorKind::BadInput, format!("the input \"{travelling}\" {what}")));
    match dictionary.fields() {
        Ok(Some(entries)) => Ok(inputs.merged(entries)),
        Ok(None) => match dictionary.value() {
            Ok(Value::Null) => Ok(inputs),
            Ok(other) => bad(format!("must be a map or null, not {}", other.type_name())),
            Err(error) => bad(format!("can't be decoded: {error}")),
        },
        Err(error) => bad(format!("can't be decoded: {error}")),
    }
}

/// What goes on from a task whose outputs, on top of what they are to be laid on, are these.
fn handed(passing: Passing, outputs: Data, travelling: &Key) -> Handed {
    match passing {
        Passing::Merged | Passing::Result => outputs.into(),
        Passing::Dict => {
            let dictionary = Payload::from_fields(outputs.clone());
            Handed { data: [(travelling.clone(), dictionary)].into_iter().collect(), seen: Some(outputs) }
        }
    }
}
