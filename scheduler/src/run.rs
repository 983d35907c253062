//! [`Run`]: drives one run. It hands events to the reactor and carries out the reactor's actions. It owns the
//! clock, the pools and the channels.
//!
//! # What a run waits for
//! - events of its pools, and requests of its stop handles;
//! - the moment at which the reactor has something to do ([`Reactor::next_tick`]): the run's deadline, time limits,
//!   the delays of retries, and the patience with interrupted attempts.
//!
//! While the pools of the run are opened, a request to stop and the deadline cancel the opening. The run then ends
//! without having begun.
//!
//! When a tick is due, the run first handles all inputs that were sent by then: it sends [`RunInput::Tick`] to itself,
//! and every input before that one still counts. So no result counts as late because the run was slow to handle it.
//!
//! Several inputs are handled together: each goes to the reactor by itself, at its own time, so that observers hear
//! everything in its order, and the attempts that follow are submitted together. The run's deadline alone does not wait
//! for the inputs that are left.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use pushflow_graph::{ActorId, Graph};
use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, TaskSpec};
use pushflow_pool::{Attempt, EventSink, OpenError, PoolEvent};
use pushflow_reactor::{Action, AttemptStatus, Ending, Event, Reactor, Times};

use crate::error::RunError;
use crate::event::{EventKind, RunId};
use crate::explanation::{Explanation, OpenAttempt};
use crate::observers::Observers;
use crate::options::RunOptions;
use crate::outcome::Outcome;
use crate::pools::Pools;
use crate::run_input::RunInput;
use crate::stop_handle::StopHandle;
use crate::stop_signals::SignalSubscription;
use crate::tasks::task_names;
use crate::{open_timeout, preflight};

/// How many inputs the run handles before it carries out their actions together and looks at the clock.
const BATCH: usize = 1024;

/// How long idle workers may take to leave at the end of a run, before the pool ends them.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A run whose pools are open and which has not begun; see [`crate::Workflow::prepare`].
pub struct Run {
    id: RunId,
    reactor: Reactor,
    graph: Arc<Graph>,
    /// The task of each task actor, shared by its attempts.
    tasks: HashMap<ActorId, Arc<TaskSpec>>,
    names: HashMap<ActorId, Arc<str>>,
    pools: Pools,
    /// Cancelled by stop handles, also while the pools are opened.
    opening: Cancellation,
    /// The thread that drives the run, once it does.
    driver: Arc<OnceLock<ThreadId>>,
    observers: Observers,
    inputs: Receiver<RunInput>,
    self_sender: Sender<RunInput>,
    /// Whether a [`RunInput::Tick`] was sent and has not been handled.
    tick_sent: bool,
    /// Whether an attempt was given up while it still ran.
    gave_up: bool,
    signals: Option<SignalSubscription>,
    began: Instant,
    /// How long the preparation took, which counts towards the run's time.
    prepared_in: Duration,
}

/// What is still to be done for the inputs that the run handles together.
#[derive(Default)]
struct Todo {
    /// The attempts to submit, in their order.
    submitted: Vec<(ActorId, Attempt)>,
    /// Whether the reactor asks to be continued.
    go_on: bool,
    /// How the run ended, if it is over.
    ending: Option<Box<Ending>>,
    /// The memory for the actions of one event.
    actions: Vec<Action>,
}

impl Run {
    /// Opens the pools of a run. Modules and scripts are looked for in `folder` first.
    pub(crate) fn prepare(
        graph: Arc<Graph>,
        folder: Option<&Path>,
        data: Data,
        options: &RunOptions,
    ) -> Result<Run, RunError> {
        let began = Instant::now();
        graph.validate()?;
        preflight::check_options(options)?;
        let (self_sender, inputs) = unbounded();
        let from_pool = self_sender.clone();
        // Sending fails when the run is over; then nobody needs the events.
        let sink = Arc::new(move |events| drop(from_pool.send(RunInput::Pool(events))));
        let sink: EventSink = sink;
        let (opening, driver) = (Cancellation::new(), Arc::<OnceLock<ThreadId>>::default());
        let signals = match &options.stop_signals[..] {
            [] => None,
            wanted => {
                let run = StopHandle::new(self_sender.clone(), opening.clone(), driver.clone());
                Some(SignalSubscription::start(wanted, run).map_err(RunError::Signals)?)
            }
        };
        let asked = graph.settings();
        let timeout = options.timeout.or(asked.timeout);
        let attempt_timeout = options.attempt_timeout.or(asked.attempt_timeout);
        let open = || preflight::open_pools(&graph, folder, options, &sink, &opening);
        let pools = match open_timeout::with_timeout(timeout, &opening, open).map_err(OpenError::Io)? {
            Err(RunError::Pool(OpenError::GivenUp)) => Pools::none(),
            opened => opened?,
        };
        let tasks = graph.tasks().map(|(id, task)| (id, Arc::new(task.clone()))).collect();
        let names = task_names(&graph);
        let mut limits = options.limits;
        limits.max_rounds = limits.max_rounds.or(asked.max_rounds);
        let id = RunId::unique();
        let times = pools.patience(Times { deadline: timeout, attempt_timeout, ..Times::default() });
        // Each `RandomState` has random keys.
        let seed = options.seed.unwrap_or_else(|| RandomState::new().hash_one(()));
        let reactor = Reactor::new(graph.clone(), data, limits).with_outputs(options.outputs);
        let reactor = reactor.with_times(times).with_seed(seed);
        Ok(Run {
            id,
            reactor,
            graph,
            tasks,
            names,
            pools,
            opening,
            driver,
            observers: Observers::new(id, began, options.observers.clone()),
            inputs,
            self_sender,
            tick_sent: false,
            gave_up: false,
            signals,
            began,
            prepared_in: began.elapsed(),
        })
    }

    /// A handle that stops this run from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.self_sender.clone(), self.opening.clone(), self.driver.clone())
    }

    /// Drives the run to its end, on this thread.
    pub fn wait(mut self) -> Outcome {
        self.driver.set(std::thread::current().id()).ok();
        let span = tracing::info_span!("run", run = %self.id, workflow = self.graph.name);
        let _in_span = span.enter();
        // The time between the preparation and this call does not count.
        let now = Instant::now();
        self.began = now.checked_sub(self.prepared_in).unwrap_or(now);
        self.observers.began = self.began;
        self.observers.tell(EventKind::RunStarted { workflow: self.graph.name.clone() });
        let first = if self.pools.is_none() { self.why_given_up() } else { Event::Begin };
        let mut todo = Todo::default();
        self.hand_over(first, &mut todo);
        self.act(&mut todo);
        while todo.ending.is_none() {
            self.handle_next(&mut todo);
        }
        let ending = todo.ending.expect("the loop ends with one");
        self.end(*ending)
    }

    /// Why the opening of the pools was cancelled: by a stop, or by the run's deadline.
    fn why_given_up(&self) -> Event {
        let asked = self.inputs.try_iter().find_map(|input| match input {
            RunInput::SoftStop { reason } | RunInput::Stop { reason } => Some(reason),
            RunInput::Kill => Some("killed".into()),
            _ => None,
        });
        asked.map_or(Event::Deadline, |reason| Event::StopAsked { reason })
    }

    /// Waits for inputs until a tick is due, and handles what has arrived.
    fn handle_next(&mut self, todo: &mut Todo) {
        let tick = if self.tick_sent { None } else { self.reactor.next_tick() };
        let received = match tick.and_then(|at| self.began.checked_add(at)) {
            Some(at) => self.inputs.recv_deadline(at),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        // The run holds a sender itself, so that the channel never closes: an error means that a tick is due.
        let mut next = received.ok();
        let mut left = BATCH;
        while let Some(input) = next {
            self.handle_input(input, todo);
            left -= 1;
            next = if left > 0 { self.inputs.try_recv().ok() } else { None };
        }
        // The deadline does not wait behind the inputs that have arrived meanwhile, however many they are.
        if self.reactor.deadline().is_some_and(|at| at <= self.began.elapsed()) {
            self.hand_over(Event::Deadline, todo);
        }
        self.act(todo);
        if !self.tick_sent && self.reactor.next_tick().is_some_and(|at| at <= self.began.elapsed()) {
            self.tick_sent = self.self_sender.send(RunInput::Tick).is_ok();
        }
    }

    fn handle_input(&mut self, input: RunInput, todo: &mut Todo) {
        match input {
            RunInput::Pool(reported) => reported.into_iter().for_each(|event| self.pool_event(event, todo)),
            RunInput::SoftStop { reason } => {
                self.observers.tell(EventKind::Stopping { reason: reason.clone() });
                self.hand_over(Event::SoftStopAsked { reason }, todo);
            }
            RunInput::Stop { reason } => {
                self.observers.tell(EventKind::Stopping { reason: reason.clone() });
                self.hand_over(Event::StopAsked { reason }, todo);
            }
            RunInput::Kill => {
                self.submit(todo);
                // Their events about it are among the inputs afterwards.
                self.pools.close(Instant::now());
                self.hand_over(Event::KillAsked, todo);
            }
            // The receiver of the answer may have been dropped.
            RunInput::Explain(answer) => drop(answer.send(self.explain())),
            RunInput::Continue => self.hand_over(Event::Continue, todo),
            RunInput::Tick => {
                self.tick_sent = false;
                self.hand_over(Event::Tick, todo);
            }
        }
    }

    /// Tells observers and the reactor of an event of a pool. What a pool still reports of an attempt that was given up
    /// is told to nobody.
    fn pool_event(&mut self, event: PoolEvent, todo: &mut Todo) {
        let actor_of = |attempt: AttemptId| self.reactor.attempt(attempt).map(|status| status.actor);
        match event {
            PoolEvent::Started { attempt, pid } => {
                let Some(AttemptStatus { actor, tried, .. }) = self.reactor.attempt(attempt) else { return };
                self.observers.tell(EventKind::AttemptStarted { actor, attempt, tried, pid });
                self.hand_over(Event::Started { attempt, pid }, todo);
            }
            PoolEvent::Requeued { attempt } => self.hand_over(Event::Requeued { attempt }, todo),
            PoolEvent::Output { attempt, stream, bytes } => {
                let attempt = attempt.and_then(|attempt| Some((actor_of(attempt)?, attempt)));
                self.observers.tell(EventKind::Output { attempt, stream, bytes });
            }
            PoolEvent::Finished { attempt, result } => self.hand_over(Event::Finished { attempt, result }, todo),
            PoolEvent::Failed { attempt, error } => self.hand_over(Event::Failed { attempt, error }, todo),
            PoolEvent::ProcessStopped { attempt, pid, signal } => {
                let Some(actor) = actor_of(attempt) else { return };
                let signal = pushflow_model::signal_name(signal);
                self.observers.tell(EventKind::ProcessStopped { actor, attempt, pid, signal });
            }
            PoolEvent::ProcessContinued { attempt, pid } => {
                let Some(actor) = actor_of(attempt) else { return };
                self.observers.tell(EventKind::ProcessContinued { actor, attempt, pid });
            }
            PoolEvent::WorkerStarted { pid } => self.observers.tell(EventKind::WorkerStarted { pid }),
            PoolEvent::WorkerEnded { pid, exit } => self.observers.tell(EventKind::WorkerEnded { pid, exit }),
            PoolEvent::Blocked { attempt, held } => {
                let Some(AttemptStatus { actor, tried, .. }) = self.reactor.attempt(attempt) else { return };
                self.observers.tell(EventKind::AttemptBlocked { actor, attempt, tried, held });
            }
            PoolEvent::Broken { reason } => self.observers.tell(EventKind::PoolBroken { reason }),
        }
    }

    /// Hands one event to the reactor and carries out its actions. Attempts to submit are kept in `todo`.
    fn hand_over(&mut self, event: Event, todo: &mut Todo) {
        let mut actions = std::mem::take(&mut todo.actions);
        self.reactor.on(event, self.began.elapsed(), &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Submit { attempt: id, actor, tried, inputs } => {
                    self.observers.tell(EventKind::AttemptSubmitted { actor, attempt: id, tried });
                    let (name, task) = (self.names[&actor].clone(), self.tasks[&actor].clone());
                    todo.submitted.push((actor, Attempt { id, actor: name, tried, task, inputs }));
                }
                Action::Interrupt { attempt, actor } => {
                    // It may be among those that are not submitted yet.
                    self.submit(todo);
                    self.pools.interrupt(actor, attempt);
                }
                Action::GiveUp { attempt, actor } => {
                    self.gave_up = true;
                    self.pools.give_up(actor, attempt);
                }
                Action::Continue => todo.go_on = true,
                Action::Finish(finished) => todo.ending = Some(finished),
                information => self.tell(information),
            }
        }
        todo.actions = actions;
    }

    /// Submits what is to be submitted, and continues the reactor, if it asks for that, in the next turn: behind the inputs
    /// that have arrived meanwhile.
    fn act(&mut self, todo: &mut Todo) {
        self.submit(todo);
        if std::mem::take(&mut todo.go_on) {
            self.self_sender.send(RunInput::Continue).ok();
        }
    }

    /// Tells observers and the log what the reactor says for information.
    fn tell(&mut self, information: Action) {
        match information {
            Action::Ended { attempt, actor, tried, error: None } => {
                self.observers.tell(EventKind::AttemptFinished { actor, attempt, tried });
            }
            Action::Ended { attempt, actor, tried, error: Some(error) } => {
                self.observers.tell(EventKind::AttemptFailed { actor, attempt, tried, error: *error });
            }
            Action::Retried { failed, attempt, actor, tried, delay } => {
                self.observers.tell(EventKind::AttemptRetried { actor, failed, attempt, tried, delay });
            }
            Action::Passed { actor } => {
                tracing::trace!(actor = self.graph.actor(actor).name, "an actor handed its data on");
            }
            Action::Failed { failure, handled } => {
                tracing::debug!(actor = failure.name, error = %failure.error, handled, "an actor failed");
            }
            Action::Status(status) => self.observers.tell(EventKind::Status { status }),
            Action::Submit { .. }
            | Action::Interrupt { .. }
            | Action::GiveUp { .. }
            | Action::Continue
            | Action::Finish(_) => {}
        }
    }

    fn submit(&self, todo: &mut Todo) {
        if !todo.submitted.is_empty() {
            self.pools.submit(std::mem::take(&mut todo.submitted));
        }
    }

    fn end(mut self, ending: Ending) -> Outcome {
        // The run does not wait a second time for an attempt that it has given up.
        let patience = if self.gave_up { Duration::ZERO } else { CLOSE_TIMEOUT };
        self.pools.close(Instant::now() + patience);
        while let Ok(input) = self.inputs.try_recv() {
            self.handle_input(input, &mut Todo::default());
        }
        self.observers.tell(EventKind::RunEnded { ending: ending.kind.clone() });
        Outcome {
            run: self.id,
            elapsed: self.began.elapsed(),
            signal: self.signals.as_ref().and_then(SignalSubscription::first),
            ending,
        }
    }

    /// The state of the run at this moment, for [`StopHandle::explain`].
    fn explain(&self) -> Explanation {
        let elapsed = self.began.elapsed();
        Explanation {
            elapsed,
            attempts: self.reactor.attempts().map(|status| self.open_attempt(status, elapsed)).collect(),
            waiting: self.reactor.waiting(),
            queued: self.reactor.counts().queued,
        }
    }

    fn open_attempt(&self, status: AttemptStatus, now: Duration) -> OpenAttempt {
        OpenAttempt {
            attempt: status.attempt,
            tried: status.tried,
            actor: self.names[&status.actor].to_string(),
            submitted: now.saturating_sub(status.opened),
            running: status.running.map(|running| (now.saturating_sub(running.since), running.pid)),
            delayed: status.delayed,
            interrupted: status.interrupted,
        }
    }
}

#[cfg(test)]
mod tests;
