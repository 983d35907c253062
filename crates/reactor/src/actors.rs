//! What each kind of actor does when it runs, and what the end of an attempt triggers.
//!
//! - *start*, *fork*, *port*: hand on the data that they receive. So does a *join*, which receives the data of a round.
//! - *error handler*, *status*: set the status of the run, then hand on the data that they receive.
//! - *router*: hands its data on along the links of one port; without such a port and without "other" it fails.
//! - *stop*: keeps its data as the result of the run: the last good one, else the first that comes from a failure
//!   (`docs/parity.md` P56).
//! - *custom*: hands on what its [`Behaviour`] returns.
//! - *task*: its inputs are its defaults with the received data on top. The actor submits an attempt; for an identity,
//!   the inputs are the result, and the actor is done at once. Its [`Passing`] says which data goes on:
//!   - *merged*: the inputs with the result on top.
//!   - *result*: the result.
//!   - *dict*: the one entry `_ppfdict`, a travelling dictionary. Before the task runs, the entries of an incoming
//!     `_ppfdict` are merged over the other inputs. The outgoing dictionary holds these inputs with the result on top.
//!     Conditions look at its entries.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pushflow_graph::{Actor, ActorId, ActorKind, Behaviour, Passing, Task, Work};
use pushflow_model::{AttemptId, Data, ErrorKind, Key, Payload, TaskError, Value};

use super::fan_out::{FanOutError, Outgoing, fan_out};
use super::in_flight::{InFlight, MergeBase, RetryState};
use super::links::OutLink;
use super::message::Action;
use super::outputs::Execution;
use super::phase::Phase;
use super::plan::Plan;
use super::{Reactor, Step, missing_data};

/// The status that an error handler gives a run.
const ERROR_STATUS: &str = "error";

impl Reactor {
    /// Executes an actor once with the data that it received (`got`).
    pub(super) fn run(&mut self, actor: ActorId, got: Data, step: &mut Step<'_>) {
        let plan = step.plan;
        if let Some(limit) = self.rounds.count(actor) {
            return self.fail_too_many_rounds(actor, limit, step);
        }
        let done = match &plan.actor(actor).kind {
            ActorKind::Start | ActorKind::Fork | ActorKind::Port | ActorKind::Join => {
                self.hand_on(plan, plan.out_links(actor), got.into())
            }
            ActorKind::Router(router) => match plan.links_of_port(actor, router, &got) {
                Ok(out_links) => self.hand_on(plan, out_links, got.into()),
                Err(error) => Err(Box::new(FanOutError { error, data: got })),
            },
            ActorKind::Stop => return self.reach_stop(actor, actor, got, step),
            ActorKind::ErrorHandler => self.set_status(ERROR_STATUS, actor, got, step),
            ActorKind::Status(Some(status)) => self.set_status(status, actor, got, step),
            ActorKind::Status(None) => self.hand_on(plan, plan.out_links(actor), got.into()),
            ActorKind::Custom(behaviour) => self.run_custom(actor, behaviour.as_ref(), got, step),
            ActorKind::Task(task) => match inputs(task, got.clone(), plan) {
                Ok(inputs) if task.work != Work::Identity => return self.submit(actor, task, got, inputs, step),
                Ok(inputs) => {
                    let outgoing = outgoing(task.passing, inputs, &plan.travelling);
                    self.note_execution(actor, None, &got, Ok(&outgoing.data), step);
                    let done = self.hand_on(plan, plan.out_links(actor), outgoing);
                    done.map_err(|failure| Box::new(FanOutError { data: got, ..*failure }))
                }
                Err(error) => {
                    self.note_execution(actor, None, &got, Err(&error), step);
                    Err(Box::new(FanOutError { error, data: got }))
                }
            },
        };
        match done {
            Ok(()) => step.actions.push(Action::Passed { actor }),
            Err(failure) => self.fail(actor, None, failure.error, failure.data, step),
        }
    }

    /// Runs a custom actor and hands on all the data that it returns; none of it, if one of them can't be handed on.
    fn run_custom(
        &mut self,
        actor: ActorId,
        behaviour: &dyn Behaviour,
        got: Data,
        step: &mut Step<'_>,
    ) -> Result<(), Box<FanOutError>> {
        let seen = got.clone();
        let before = self.queue.len();
        let done = catch_unwind(AssertUnwindSafe(|| behaviour.triggered(seen)));
        let sent = done.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))).and_then(|sent| {
            let out_links = step.plan.out_links(actor);
            sent.into_iter()
                .try_for_each(|data| self.hand_on(step.plan, out_links, data.into()))
                .map_err(|failure| failure.error)
        });
        sent.map_err(|error| {
            self.queue.truncate(before);
            Box::new(FanOutError { error, data: got })
        })
    }

    fn hand_on(&mut self, plan: &Plan, out_links: &[OutLink], outgoing: Outgoing) -> Result<(), Box<FanOutError>> {
        fan_out(plan, out_links, outgoing, &mut self.queue)
    }

    /// Keeps data that reached the stop actor from the actor `from`.
    pub(super) fn reach_stop(&mut self, from: ActorId, stop: ActorId, got: Data, step: &mut Step<'_>) {
        self.outputs.reached_end(from, &got, step.plan);
        if self.result.is_none() || !step.plan.error_keys.is_error(&got) {
            self.result = Some(got);
        }
        step.actions.push(Action::Passed { actor: stop });
    }

    fn set_status(
        &mut self,
        status: &str,
        actor: ActorId,
        got: Data,
        step: &mut Step<'_>,
    ) -> Result<(), Box<FanOutError>> {
        self.status = Some(status.to_owned());
        step.actions.push(Action::Status(status.to_owned()));
        self.hand_on(step.plan, step.plan.out_links(actor), got.into())
    }

    fn submit(&mut self, actor: ActorId, task: &Task, got: Data, inputs: Data, step: &mut Step<'_>) {
        if self.soft_stop.is_some() {
            return self.refuse(actor, got, step);
        }
        let base = match task.passing {
            Passing::Result => MergeBase::Nothing,
            Passing::Merged if task.defaults.is_empty() => MergeBase::Got,
            Passing::Merged | Passing::Dict => MergeBase::Other(inputs.clone()),
        };
        let retry = self.retries.get(&actor).map(|&left| Box::new(RetryState { left, inputs: inputs.clone() }));
        let attempt = InFlight { actor, submitted: step.now, got, base, retry };
        self.open_attempt(attempt, inputs, Duration::ZERO, step);
    }

    /// Asks the caller to submit an attempt when `delay` has passed.
    pub(super) fn open_attempt(&mut self, open: InFlight, inputs: Data, delay: Duration, step: &mut Step<'_>) {
        self.counts.submitted += 1;
        let attempt = AttemptId(self.counts.submitted);
        let actor = open.actor;
        self.open.insert(attempt, open);
        step.actions.push(Action::Submit { attempt, actor, inputs, delay });
    }

    /// Hands on the result of an attempt that succeeded, unless the run is closing.
    pub(super) fn attempt_finished(&mut self, attempt: AttemptId, result: Data, step: &mut Step<'_>) {
        let Some(InFlight { actor, got, base, .. }) = self.end_attempt(attempt) else { return };
        let plan = step.plan;
        let ActorKind::Task(task) = &plan.actor(actor).kind else { return };
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        let out_links = plan.out_links(actor);
        let noted = self.outputs.wants_executions().then(|| got.clone());
        let (outputs, kept) = match base {
            MergeBase::Nothing => (result, Some(got)),
            MergeBase::Other(inputs) => (inputs.merged(&result), Some(got)),
            // Plain links can't fail, so no error path needs the received data, and the merge need not copy it.
            MergeBase::Got if out_links.iter().all(|link_out| link_out.plain) => (got.merged(&result), None),
            MergeBase::Got => (got.clone().merged(&result), Some(got)),
        };
        let outgoing = outgoing(task.passing, outputs, &plan.travelling);
        if let Some(got) = noted {
            self.note_execution(actor, Some(attempt), &got, Ok(&outgoing.data), step);
        }
        if let Err(failure) = self.hand_on(plan, out_links, outgoing) {
            self.fail(actor, Some(attempt), failure.error, kept.unwrap_or(failure.data), step);
        }
    }

    /// Retries a failed attempt, or lets its actor fail.
    pub(super) fn attempt_failed(&mut self, attempt: AttemptId, error: TaskError, step: &mut Step<'_>) {
        let Some(open) = self.end_attempt(attempt) else { return };
        let error = self.with_closing_reason(error, &open);
        self.note_execution(open.actor, Some(attempt), &open.got, Err(&error), step);
        if let Some((open, error)) = self.retry(open, attempt, error, step) {
            self.fail(open.actor, Some(attempt), error, open.got, step);
        }
    }

    /// Keeps an execution for the outcome, if the run is to list executions.
    fn note_execution(
        &mut self,
        actor: ActorId,
        attempt: Option<AttemptId>,
        got: &Data,
        result: Result<&Data, &TaskError>,
        step: &Step<'_>,
    ) {
        if !self.outputs.wants_executions() {
            return;
        }
        let Actor { name, kind, .. } = step.plan.actor(actor);
        let inputs = match kind {
            ActorKind::Task(task) => inputs(task, got.clone(), step.plan).unwrap_or_else(|_| got.clone()),
            _ => got.clone(),
        };
        let result = result.cloned().map_err(TaskError::clone);
        self.outputs.executed(Execution { actor, name: name.clone(), attempt, inputs, result });
    }

    fn end_attempt(&mut self, attempt: AttemptId) -> Option<InFlight> {
        let ended = self.open.remove(&attempt);
        match ended {
            Some(_) => self.counts.ended += 1,
            None => self.counts.ignored += 1,
        }
        ended
    }
}

/// The panic of a custom actor, as its failure.
fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    TaskError::new(ErrorKind::Panicked, text.unwrap_or("the actor panicked"))
}

/// The inputs of a task whose actor received `got`.
fn inputs(task: &Task, got: Data, plan: &Plan) -> Result<Data, TaskError> {
    let mut inputs = if task.defaults.is_empty() { got } else { defaults_below(task, &got).merged(&got) };
    if task.passing == Passing::Dict {
        inputs = unpacked(inputs, &plan.travelling)?;
    }
    let may_miss = plan.may_miss && !missing_data::is_of_ewoks(&task.work);
    Ok(if may_miss { missing_data::without(inputs) } else { inputs })
}

/// The defaults of a task, without those of positions below the highest position that arrived: such a position stays
/// empty, as an argument before a given one does (`docs/ewoks.md`, `data_mapping`).
fn defaults_below(task: &Task, got: &Data) -> Data {
    let position = |key: &Key| match key {
        Key::Position(position) => Some(*position),
        Key::Name(_) => None,
    };
    let mut defaults = task.defaults.clone();
    if let Some(last) = got.iter().filter_map(|(key, _)| position(key)).max() {
        let is_hidden = |key: &&Key| position(key).is_some_and(|position| position < last);
        task.defaults.iter().map(|(key, _)| key).filter(is_hidden).for_each(|key| _ = defaults.remove(key));
    }
    defaults
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

/// The data that goes on from a task; `outputs` is its result, already merged over the [`MergeBase`].
fn outgoing(passing: Passing, outputs: Data, travelling: &Key) -> Outgoing {
    match passing {
        Passing::Merged | Passing::Result => outputs.into(),
        Passing::Dict => {
            let dictionary = Payload::from_fields(outputs.clone());
            Outgoing { data: [(travelling.clone(), dictionary)].into_iter().collect(), seen: Some(outputs) }
        }
    }
}
