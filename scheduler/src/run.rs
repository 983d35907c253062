//! [`Run`]: drives one run. It hands events to the reactor and carries out the reactor's actions. It owns the
//! clock, the pools and the channels.
//!
//! # What a run waits for
//! - events of its pools, and requests of its stop handles;
//! - the run's deadline;
//! - the moment at which an attempt reaches its time limit (`deadlines.rs`);
//! - the moment at which the patience with an interrupted attempt ends. Such an attempt (on the thread pool nothing can
//!   end it) is reported as failed and abandoned, so that the run never waits for an attempt that may never end;
//! - the moment at which a failed task is retried.
//!
//! While the pools of the run are opened, a request to stop and the deadline cancel the opening. The run then ends
//! without having begun.
//!
//! When an attempt reaches its time limit, the run first handles all inputs that were sent by then: it sends
//! [`RunInput::TimeUp`] to itself, and every input before that one still counts. So no result counts as late because
//! the run was slow to handle it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use pushflow_graph::{ActorId, Graph};
use pushflow_model::{AttemptId, Data, TaskError, TaskSpec};
use pushflow_pool::{Attempt, EventSink, OpenError, PoolEvent};
use pushflow_reactor::{Action, Ending, Event, Reactor};

use crate::deadlines::{self, Deadlines, TimeLimits};
use crate::delayed::DelayedAttempts;
use crate::error::RunError;
use crate::event::{EventKind, RunId, WorkflowEvent};
use crate::explanation::{Explanation, OpenAttempt};
use crate::observer::Observer;
use crate::options::RunOptions;
use crate::outcome::Outcome;
use crate::pools::Pools;
use crate::run_input::RunInput;
use crate::stop_handle::StopHandle;
use crate::stop_signals::SignalSubscription;
use crate::tasks::task_names;
use crate::unobserved::UnobservedOutput;
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
    timeout: Option<Duration>,
    /// What [`Run::stop_handle`] gives.
    handle: StopHandle,
    observers: Vec<Arc<dyn Observer>>,
    unobserved: UnobservedOutput,
    inputs: Receiver<RunInput>,
    self_sender: Sender<RunInput>,
    /// The attempts that have not ended.
    open: HashMap<AttemptId, AttemptTimes>,
    limits: TimeLimits,
    /// When each running attempt reaches its time limit.
    running: Deadlines,
    /// When the patience with each interrupted attempt ends.
    interrupted: Deadlines,
    /// The attempts that wait for the delay of their retry.
    delayed: DelayedAttempts,
    /// Whether a [`RunInput::TimeUp`] was sent and has not been handled.
    time_up_sent: bool,
    /// Whether an attempt was abandoned while it still ran.
    abandoned: bool,
    signals: Option<SignalSubscription>,
    began: Instant,
    /// How long the preparation took, which counts towards the run's time.
    prepared_in: Duration,
}

/// When an attempt that has not ended was submitted and started.
#[derive(Clone, Copy, Debug)]
struct AttemptTimes {
    actor: ActorId,
    submitted: Instant,
    /// Since when the attempt runs, and in which process; `None` while it waits for a worker.
    started: Option<(Instant, u32)>,
    /// The time limit for which it was interrupted.
    exceeded_limit: Option<Duration>,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

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
        let handle = StopHandle::new(self_sender.clone());
        let signals = match &options.stop_signals[..] {
            [] => None,
            wanted => Some(SignalSubscription::start(wanted, handle.clone()).map_err(RunError::Signals)?),
        };
        let asked = graph.settings();
        let timeout = options.timeout.or(asked.timeout);
        let open = || preflight::open_pools(&graph, folder, options, &sink, handle.opening());
        let pools = match open_timeout::with_timeout(timeout, handle.opening(), open).map_err(OpenError::Io)? {
            Err(RunError::Pool(OpenError::GivenUp)) => Pools::none(),
            opened => opened?,
        };
        let tasks = graph.tasks().map(|(id, task)| (id, Arc::new(task.clone()))).collect();
        let names = task_names(&graph);
        let mut limits = options.limits;
        limits.max_rounds = limits.max_rounds.or(asked.max_rounds);
        let id = RunId { pid: std::process::id(), count: RUNS.fetch_add(1, Ordering::Relaxed) + 1 };
        Ok(Run {
            id,
            reactor: Reactor::new(graph.clone(), data, limits).with_outputs(options.outputs),
            limits: TimeLimits::new(&graph, options.attempt_timeout.or(asked.attempt_timeout)),
            graph,
            tasks,
            names,
            pools,
            timeout,
            handle,
            observers: options.observers.clone(),
            unobserved: UnobservedOutput::default(),
            inputs,
            self_sender,
            open: HashMap::new(),
            running: Deadlines::default(),
            interrupted: Deadlines::default(),
            delayed: DelayedAttempts::default(),
            time_up_sent: false,
            abandoned: false,
            signals,
            began,
            prepared_in: began.elapsed(),
        })
    }

    /// A handle that stops this run from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Drives the run to its end, on this thread.
    pub fn wait(mut self) -> Outcome {
        self.handle.note_driver();
        let span = tracing::info_span!("run", run = %self.id, workflow = self.graph.name);
        let _in_span = span.enter();
        // The time between the preparation and this call does not count.
        let now = Instant::now();
        self.began = now.checked_sub(self.prepared_in).unwrap_or(now);
        let deadline = self.timeout.and_then(|timeout| self.began.checked_add(timeout));
        self.notify(EventKind::RunStarted { workflow: self.graph.name.clone() });
        let first = if self.pools.is_none() { self.why_given_up() } else { Event::Begin };
        let mut ending = self.step(vec![first]);
        let mut deadline = deadline;
        while ending.is_none() {
            let events = self.next_events(&mut deadline);
            ending = self.step(events);
        }
        let ending = ending.expect("the loop ends with one");
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

    /// Hands events to the reactor and carries out its actions. Returns the ending, if the run is over.
    fn step(&mut self, events: Vec<Event>) -> Option<Box<Ending>> {
        let mut actions = Vec::new();
        let now = self.began.elapsed();
        for event in events {
            self.reactor.on(event, now, &mut actions);
        }
        let mut submitted = Vec::new();
        let mut ending = None;
        let mut go_on = false;
        for action in actions {
            match action {
                Action::Submit { attempt, actor, inputs, delay } => {
                    let attempt = (actor, self.attempt(attempt, actor, inputs));
                    match delay {
                        Duration::ZERO => submitted.push(attempt),
                        delay => self.delayed.add(attempt, delay),
                    }
                }
                Action::Interrupt { attempt } => self.interrupt(attempt),
                Action::Continue => go_on = true,
                Action::Passed { actor } => {
                    tracing::trace!(actor = self.graph.actor(actor).name, "an actor handed its data on");
                }
                Action::Failed { failure, handled } => {
                    tracing::debug!(actor = failure.name, error = %failure.error, handled, "an actor failed");
                }
                Action::Status(status) => self.notify(EventKind::Status { status }),
                Action::Finish(finished) => ending = Some(finished),
            }
        }
        if !submitted.is_empty() {
            self.pools.submit(submitted);
        }
        if go_on {
            // Behind the inputs that have arrived meanwhile.
            self.self_sender.send(RunInput::Continue).ok();
        }
        ending
    }

    fn attempt(&mut self, id: AttemptId, actor: ActorId, inputs: Data) -> Attempt {
        self.open.insert(id, AttemptTimes { actor, submitted: Instant::now(), started: None, exceeded_limit: None });
        self.notify(EventKind::AttemptSubmitted { actor, attempt: id });
        Attempt { id, actor: self.names[&actor].clone(), task: self.tasks[&actor].clone(), inputs }
    }

    /// Waits for inputs and due times, and returns the events that follow from them.
    fn next_events(&mut self, deadline: &mut Option<Instant>) -> Vec<Event> {
        let times = [*deadline, self.running.next(), self.interrupted.next(), self.delayed.next()];
        let received = match times.into_iter().flatten().min() {
            Some(at) => self.inputs.recv_deadline(at),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut events = Vec::new();
        // The run holds a sender itself, so that the channel never closes: an error means that a time is due.
        let mut next = received.ok();
        let mut left = BATCH;
        while let Some(input) = next {
            self.handle_input(input, &mut events);
            left -= 1;
            next = if left > 0 { self.inputs.try_recv().ok() } else { None };
        }
        let now = Instant::now();
        if deadline.is_some_and(|at| at <= now) {
            *deadline = None;
            events.push(Event::Deadline);
        }
        let due = self.delayed.take_due(now);
        if !due.is_empty() {
            self.pools.submit(due);
        }
        let due = |deadlines: &Deadlines| deadlines.next().is_some_and(|at| at <= now);
        if !self.time_up_sent && (due(&self.running) || due(&self.interrupted)) {
            self.time_up_sent = self.self_sender.send(RunInput::TimeUp(now)).is_ok();
        }
        events
    }

    fn handle_input(&mut self, input: RunInput, events: &mut Vec<Event>) {
        match input {
            RunInput::Pool(reported) => events.extend(reported.into_iter().filter_map(|event| self.pool_event(event))),
            RunInput::SoftStop { reason } => {
                self.notify(EventKind::Stopping { reason: reason.clone() });
                events.push(Event::SoftStopAsked { reason });
            }
            RunInput::Stop { reason } => {
                self.notify(EventKind::Stopping { reason: reason.clone() });
                events.push(Event::StopAsked { reason });
            }
            RunInput::Kill => events.push(self.kill()),
            // The receiver of the answer may have been dropped.
            RunInput::Explain(answer) => drop(answer.send(self.explain())),
            RunInput::Continue => events.push(Event::Continue),
            RunInput::TimeUp(now) => {
                self.time_up_sent = false;
                self.interrupt_over_limit(now);
                self.give_up_overdue(now, events);
            }
        }
    }

    /// Handles an event of a pool. Returns the reactor's event for it, if there is one.
    fn pool_event(&mut self, event: PoolEvent) -> Option<Event> {
        match event {
            PoolEvent::Started { attempt, pid } => self.started(attempt, pid),
            PoolEvent::Requeued { attempt } => {
                self.running.remove(attempt);
                self.open.get_mut(&attempt)?.started = None;
            }
            PoolEvent::Output { attempt, stream, bytes } => {
                let attempt = attempt.and_then(|attempt| Some((self.open.get(&attempt)?.actor, attempt)));
                self.notify(EventKind::Output { attempt, stream, bytes });
            }
            PoolEvent::Finished { attempt, result } => return self.ended(attempt, Ok(result)),
            PoolEvent::Failed { attempt, error } => return self.ended(attempt, Err(error)),
            PoolEvent::ProcessStopped { attempt, pid, signal } => {
                let actor = self.open.get(&attempt)?.actor;
                let signal = pushflow_model::signal_name(signal);
                self.notify(EventKind::ProcessStopped { actor, attempt, pid, signal });
            }
            PoolEvent::ProcessContinued { attempt, pid } => {
                let actor = self.open.get(&attempt)?.actor;
                self.notify(EventKind::ProcessContinued { actor, attempt, pid });
            }
            PoolEvent::WorkerStarted { pid } => self.notify(EventKind::WorkerStarted { pid }),
            PoolEvent::WorkerEnded { pid, exit } => self.notify(EventKind::WorkerEnded { pid, exit }),
            PoolEvent::Blocked { attempt, held } => {
                let actor = self.open.get(&attempt)?.actor;
                self.notify(EventKind::AttemptBlocked { actor, attempt, held });
            }
            PoolEvent::Broken { reason } => self.notify(EventKind::PoolBroken { reason }),
        }
        None
    }

    fn started(&mut self, attempt: AttemptId, pid: u32) {
        let Some(open) = self.open.get_mut(&attempt) else { return };
        let now = Instant::now();
        open.started = Some((now, pid));
        let actor = open.actor;
        if !self.interrupted.contains(attempt)
            && let Some(at) = self.limits.of(actor).and_then(|limit| now.checked_add(limit))
        {
            self.running.set(attempt, at);
        }
        self.notify(EventKind::AttemptStarted { actor, attempt, pid });
    }

    /// Handles the end of an attempt. Returns the reactor's event; `None` if the attempt was abandoned before.
    fn ended(&mut self, attempt: AttemptId, answer: Result<Data, TaskError>) -> Option<Event> {
        self.running.remove(attempt);
        self.interrupted.remove(attempt);
        let AttemptTimes { actor, started, exceeded_limit, .. } = self.open.remove(&attempt)?;
        let answer = match exceeded_limit {
            None => answer,
            Some(limit) => {
                let error = deadlines::limit_exceeded(limit, answer.err());
                Err(TaskError { pid: error.pid.or(started.map(|(_, pid)| pid)), ..error })
            }
        };
        Some(match answer {
            Ok(result) => {
                self.notify(EventKind::AttemptFinished { actor, attempt });
                Event::Finished { attempt, result }
            }
            Err(error) => {
                self.notify(EventKind::AttemptFailed { actor, attempt, error: error.clone() });
                Event::Failed { attempt, error }
            }
        })
    }

    /// Interrupts an attempt, once, and starts the time of its patience.
    fn interrupt(&mut self, attempt: AttemptId) {
        self.running.remove(attempt);
        let Some(&AttemptTimes { actor, .. }) = self.open.get(&attempt) else { return };
        if self.delayed.remove(attempt) {
            let error = TaskError::interrupted_before_start();
            self.self_sender.send(RunInput::Pool(vec![PoolEvent::Failed { attempt, error }])).ok();
        } else if !self.interrupted.contains(attempt) {
            self.interrupted.set(attempt, Instant::now() + self.pools.patience(actor));
            self.pools.interrupt(actor, attempt);
        }
    }

    /// Interrupts the attempts that have reached their time limit.
    fn interrupt_over_limit(&mut self, now: Instant) {
        for attempt in self.running.take_due(now) {
            if let Some(open) = self.open.get_mut(&attempt) {
                open.exceeded_limit = self.limits.of(open.actor);
                self.interrupt(attempt);
            }
        }
    }

    /// Closes the pools at once. Their events about it are among the inputs afterwards.
    fn kill(&mut self) -> Event {
        self.pools.close(Instant::now());
        // The patience with attempts that were interrupted before ends; the reactor interrupts the others now.
        self.interrupted.set_all(Instant::now());
        Event::StopAsked { reason: "killed".into() }
    }

    /// Abandons the interrupted attempts with which the patience has ended, and reports them as failed.
    fn give_up_overdue(&mut self, now: Instant, events: &mut Vec<Event>) {
        for attempt in self.interrupted.take_due(now) {
            let Some(&AttemptTimes { actor, .. }) = self.open.get(&attempt) else { continue };
            self.abandoned = true;
            self.pools.give_up(actor, attempt);
            events.extend(self.ended(attempt, Err(deadlines::abandoned())));
        }
    }

    fn end(mut self, ending: Ending) -> Outcome {
        // The run does not wait a second time for an attempt that it has abandoned.
        let patience = if self.abandoned { Duration::ZERO } else { CLOSE_TIMEOUT };
        self.pools.close(Instant::now() + patience);
        while let Ok(input) = self.inputs.try_recv() {
            self.handle_input(input, &mut Vec::new());
        }
        self.notify(EventKind::RunEnded { ending: ending.kind.clone() });
        Outcome {
            run: self.id,
            elapsed: self.began.elapsed(),
            signal: self.signals.as_ref().and_then(SignalSubscription::first),
            ending,
        }
    }

    /// The state of the run at this moment, for [`StopHandle::explain`].
    fn explain(&self) -> Explanation {
        let mut attempts: Vec<OpenAttempt> =
            self.open.iter().map(|(&attempt, open)| self.open_attempt(attempt, open)).collect();
        attempts.sort_by_key(|open| open.attempt);
        Explanation {
            elapsed: self.began.elapsed(),
            attempts,
            waiting: self.reactor.waiting(),
            queued: self.reactor.counts().queued,
        }
    }

    fn open_attempt(&self, attempt: AttemptId, open: &AttemptTimes) -> OpenAttempt {
        OpenAttempt {
            attempt,
            actor: self.names[&open.actor].to_string(),
            submitted: open.submitted.elapsed(),
            running: open.started.map(|(since, pid)| (since.elapsed(), pid)),
            interrupted: self.interrupted.contains(attempt),
        }
    }

    /// Tells the observers. One that panics hears nothing more: the run and its other observers go on.
    fn notify(&mut self, kind: EventKind) {
        if self.observers.is_empty() && !UnobservedOutput::wants(&kind) {
            return;
        }
        let event = WorkflowEvent { run: self.id, at: self.began.elapsed(), kind };
        if self.observers.is_empty() {
            return self.unobserved.tell(&event);
        }
        self.observers.retain(|observer| {
            // What an observer leaves half done by its panic is never seen again by the run.
            let observed = catch_unwind(AssertUnwindSafe(|| observer.observe(&event)));
            if observed.is_err() {
                tracing::warn!("an observer panicked, and hears nothing more of this run");
            }
            observed.is_ok()
        });
    }
}

#[cfg(test)]
mod tests;
