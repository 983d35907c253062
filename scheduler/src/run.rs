//! [`Run`]: drives one run: gives the reactor what happens, and does what it says. It owns the clock, the pool and the
//! channels.
//!
//! # What it waits for
//! The pool's events, a request to stop, the run's deadline, the moment at which an attempt has had its time
//! (`deadlines.rs`), the moment at which an interrupted one has had its, and the one at which a task is tried again. An
//! attempt that does not end by then (on the thread pool it can't be made to) is reported as failed and left behind: the
//! run never waits for what may never come.
//!
//! While its pools are opened, a request to stop and the deadline give them up; the run then ends without having begun.
//!
//! An attempt whose time is over is looked at behind everything that has been told by then: the run sends itself a word,
//! and what it hears before that word still counts. So an answer is never late because the run was.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use pushflow_graph::{ActorId, Graph};
use pushflow_green::Cancellation;
use pushflow_model::{AttemptId, Data, TaskError, TaskSpec};
use pushflow_pool::{Attempt, EventSink, OpenError, PoolEvent};

use crate::deadlines::{self, Deadlines, TimeLimits};
use crate::delayed::Delayed;
use crate::event::{EventKind, RunId, WorkflowEvent};
use crate::handle::{Explanation, OpenAttempt, StopHandle};
use crate::pools::Pools;
use crate::reactor::{Action, Ending, Event, Limits, Reactor};
use crate::stop_signals::Listening;
use crate::{Observer, Outcome, RunError, RunOptions, Workflow, opening, preflight};

/// How many inputs are taken in before their actions are carried out together, and the time is looked at.
const BATCH: usize = 1024;

/// How long workers with nothing to do may take to leave at the end of a run, before they are ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A run whose pool is open, about to begin.
pub struct Run {
    id: RunId,
    reactor: Reactor,
    graph: Arc<Graph>,
    /// The task of each actor that has one, shared by its attempts.
    tasks: HashMap<ActorId, Arc<TaskSpec>>,
    names: HashMap<ActorId, Arc<str>>,
    pools: Pools,
    timeout: Option<Duration>,
    /// Of stop handles: see there.
    opening: Cancellation,
    observers: Vec<Arc<dyn Observer>>,
    inputs: Receiver<Input>,
    to_self: Sender<Input>,
    /// The attempts that have not ended.
    open: HashMap<AttemptId, Open>,
    limits: TimeLimits,
    /// When running attempts have had their time.
    running: Deadlines,
    /// When the patience with interrupted attempts ends.
    interrupted: Deadlines,
    /// What is to be tried again later.
    delayed: Delayed,
    /// Whether [`Input::TimeUp`] is on its way.
    time_up_sent: bool,
    /// Whether an attempt was given up while it still ran.
    left_behind: bool,
    signals: Option<Listening>,
    began: Instant,
    /// How long that took, which is part of its time.
    prepared_in: Duration,
}

/// What reaches the run.
#[derive(Debug)]
pub(crate) enum Input {
    Pool(Vec<PoolEvent>),
    SoftStop {
        reason: String,
    },
    Stop {
        reason: String,
    },
    Kill,
    Explain(Sender<Explanation>),
    /// From the run itself: the reactor has more to do.
    Continue,
    /// From the run itself: what was due by then is due, since all that had been told by then has been heard.
    TimeUp(Instant),
}

/// An attempt that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    actor: ActorId,
    submitted: Instant,
    /// Since when it runs, and in which process.
    started: Option<(Instant, u32)>,
    /// The limit that it exceeded and was interrupted for.
    overran: Option<Duration>,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

impl Run {
    pub(crate) fn prepare(workflow: &Workflow, data: Data, options: &RunOptions) -> Result<Run, RunError> {
        let began = Instant::now();
        let graph = workflow.shared_graph();
        graph.validate()?;
        let (to_self, inputs) = unbounded();
        let from_pool = to_self.clone();
        // That nobody listens any more means that the run is over.
        let sink = Arc::new(move |events| drop(from_pool.send(Input::Pool(events))));
        let sink: EventSink = sink;
        let opening = Cancellation::new();
        let signals = match &options.stop_signals[..] {
            [] => None,
            wanted => {
                let run = StopHandle::new(to_self.clone(), opening.clone());
                Some(Listening::start(wanted, run).map_err(RunError::Signals)?)
            }
        };
        let asked = graph.settings();
        let timeout = options.timeout.or(asked.timeout);
        let open = || preflight::open_pools(&graph, workflow.folder(), options, &sink, &opening);
        let pools = match opening::within(timeout, &opening, open).map_err(OpenError::Io)? {
            Err(RunError::Pool(OpenError::GivenUp)) => Pools::none(),
            opened => opened?,
        };
        let tasks = graph.tasks().map(|(id, task)| (id, Arc::new(task.clone()))).collect();
        let names = tasks_names(&graph);
        let limits = Limits { max_rounds: options.limits.max_rounds.or(asked.max_rounds), ..options.limits };
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
            opening,
            observers: options.observers.clone(),
            inputs,
            to_self,
            open: HashMap::new(),
            running: Deadlines::default(),
            interrupted: Deadlines::default(),
            delayed: Delayed::default(),
            time_up_sent: false,
            left_behind: false,
            signals,
            began,
            prepared_in: began.elapsed(),
        })
    }

    /// What to stop this run with.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.to_self.clone(), self.opening.clone())
    }

    /// Runs to the end.
    pub fn wait(mut self) -> Outcome {
        let span = tracing::info_span!("run", run = %self.id, workflow = self.graph.name);
        let _in_span = span.enter();
        // As if it had been prepared just now.
        let now = Instant::now();
        self.began = now.checked_sub(self.prepared_in).unwrap_or(now);
        let deadline = self.timeout.and_then(|timeout| self.began.checked_add(timeout));
        self.tell(EventKind::RunStarted { workflow: self.graph.name.clone() });
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

    /// Why there are no pools: the run was stopped, or its time was over, while they were opened.
    fn why_given_up(&self) -> Event {
        let asked = self.inputs.try_iter().find_map(|input| match input {
            Input::SoftStop { reason } | Input::Stop { reason } => Some(reason),
            Input::Kill => Some("killed".into()),
            _ => None,
        });
        asked.map_or(Event::Deadline, |reason| Event::StopAsked { reason })
    }

    /// Gives the reactor some events and carries out all that follows; the ending, if that was it.
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
                Action::Passed { .. } => {}
                Action::Failed { failure, handled } => {
                    tracing::debug!(actor = failure.name, error = %failure.error, handled, "an actor failed");
                }
                Action::Status(status) => self.tell(EventKind::Status { status }),
                Action::Finish(finished) => ending = Some(finished),
            }
        }
        if !submitted.is_empty() {
            self.pools.submit(submitted);
        }
        if go_on {
            // Behind whatever else has happened meanwhile.
            self.to_self.send(Input::Continue).ok();
        }
        ending
    }

    fn attempt(&mut self, id: AttemptId, actor: ActorId, inputs: Data) -> Attempt {
        self.open.insert(id, Open { actor, submitted: Instant::now(), started: None, overran: None });
        self.tell(EventKind::AttemptSubmitted { actor, attempt: id });
        Attempt { id, actor: self.names[&actor].clone(), task: self.tasks[&actor].clone(), inputs }
    }

    /// Waits until something has happened.
    fn next_events(&mut self, deadline: &mut Option<Instant>) -> Vec<Event> {
        let times = [*deadline, self.running.next(), self.interrupted.next(), self.delayed.next()];
        let received = match times.into_iter().flatten().min() {
            Some(at) => self.inputs.recv_deadline(at),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut events = Vec::new();
        // This run holds a sender itself: no input means that the time has come.
        let mut next = received.ok();
        let mut left = BATCH;
        while let Some(input) = next {
            self.take_in(input, &mut events);
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
            self.time_up_sent = self.to_self.send(Input::TimeUp(now)).is_ok();
        }
        events
    }

    fn take_in(&mut self, input: Input, events: &mut Vec<Event>) {
        match input {
            Input::Pool(told) => events.extend(told.into_iter().filter_map(|event| self.pool_event(event))),
            Input::SoftStop { reason } => {
                self.tell(EventKind::Stopping { reason: reason.clone() });
                events.push(Event::SoftStopAsked { reason });
            }
            Input::Stop { reason } => {
                self.tell(EventKind::Stopping { reason: reason.clone() });
                events.push(Event::StopAsked { reason });
            }
            Input::Kill => events.push(self.kill()),
            // Whoever asked may have gone meanwhile.
            Input::Explain(answer) => drop(answer.send(self.explain())),
            Input::Continue => events.push(Event::Continue),
            Input::TimeUp(now) => {
                self.time_up_sent = false;
                self.interrupt_late(now);
                self.give_up_overdue(now, events);
            }
        }
    }

    /// An event of the pool as one of the reactor, if it is one.
    fn pool_event(&mut self, event: PoolEvent) -> Option<Event> {
        match event {
            PoolEvent::Started { attempt, pid } => self.started(attempt, pid),
            PoolEvent::Requeued { attempt } => {
                self.running.remove(attempt);
                self.open.get_mut(&attempt)?.started = None;
            }
            PoolEvent::Output { attempt, stream, bytes } => {
                let attempt = attempt.and_then(|attempt| Some((self.open.get(&attempt)?.actor, attempt)));
                self.tell(EventKind::Output { attempt, stream, bytes });
            }
            PoolEvent::Finished { attempt, result } => return self.ended(attempt, Ok(result)),
            PoolEvent::Failed { attempt, error } => return self.ended(attempt, Err(error)),
            PoolEvent::ProcessStopped { attempt, pid, signal } => {
                let actor = self.open.get(&attempt)?.actor;
                let signal = pushflow_model::signal_name(signal);
                self.tell(EventKind::ProcessStopped { actor, attempt, pid, signal });
            }
            PoolEvent::ProcessContinued { attempt, pid } => {
                let actor = self.open.get(&attempt)?.actor;
                self.tell(EventKind::ProcessContinued { actor, attempt, pid });
            }
            PoolEvent::WorkerStarted { pid } => self.tell(EventKind::WorkerStarted { pid }),
            PoolEvent::WorkerEnded { pid, exit } => self.tell(EventKind::WorkerEnded { pid, exit }),
            PoolEvent::Blocked { attempt, held } => {
                let actor = self.open.get(&attempt)?.actor;
                self.tell(EventKind::AttemptBlocked { actor, attempt, held });
            }
            PoolEvent::Broken { reason } => self.tell(EventKind::PoolBroken { reason }),
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
        self.tell(EventKind::AttemptStarted { actor, attempt, pid });
    }

    /// An attempt has ended, as the event for the reactor. `None` if it was given up before.
    fn ended(&mut self, attempt: AttemptId, answer: Result<Data, TaskError>) -> Option<Event> {
        self.running.remove(attempt);
        self.interrupted.remove(attempt);
        let Open { actor, started, overran, .. } = self.open.remove(&attempt)?;
        let answer = match overran {
            None => answer,
            Some(limit) => {
                let error = deadlines::overran(limit, answer.err());
                Err(TaskError { pid: error.pid.or(started.map(|(_, pid)| pid)), ..error })
            }
        };
        Some(match answer {
            Ok(result) => {
                self.tell(EventKind::AttemptFinished { actor, attempt });
                Event::Finished { attempt, result }
            }
            Err(error) => {
                self.tell(EventKind::AttemptFailed { actor, attempt, error: error.clone() });
                Event::Failed { attempt, error }
            }
        })
    }

    /// Asks an attempt to end, once, and begins to wait for that.
    fn interrupt(&mut self, attempt: AttemptId) {
        self.running.remove(attempt);
        let Some(&Open { actor, .. }) = self.open.get(&attempt) else { return };
        if self.delayed.remove(attempt) {
            let error = TaskError::interrupted_before_start();
            self.to_self.send(Input::Pool(vec![PoolEvent::Failed { attempt, error }])).ok();
        } else if !self.interrupted.contains(attempt) {
            self.interrupted.set(attempt, Instant::now() + self.pools.patience(actor));
            self.pools.interrupt(actor, attempt);
        }
    }

    /// Interrupts attempts that have taken longer than they may.
    fn interrupt_late(&mut self, now: Instant) {
        for attempt in self.running.take_due(now) {
            if let Some(open) = self.open.get_mut(&attempt) {
                open.overran = self.limits.of(open.actor);
                self.interrupt(attempt);
            }
        }
    }

    /// Ends everything at once: what the pool says about it is among the inputs then.
    fn kill(&mut self) -> Event {
        self.pools.close(Instant::now());
        // The patience with what was interrupted before is over; the rest is interrupted now.
        self.interrupted.set_all(Instant::now());
        Event::StopAsked { reason: "killed".into() }
    }

    /// Reports attempts that were interrupted and did not end in their time.
    fn give_up_overdue(&mut self, now: Instant, events: &mut Vec<Event>) {
        for attempt in self.interrupted.take_due(now) {
            let Some(&Open { actor, .. }) = self.open.get(&attempt) else { continue };
            self.left_behind = true;
            self.pools.give_up(actor, attempt);
            events.extend(self.ended(attempt, Err(deadlines::left_behind())));
        }
    }

    fn end(mut self, ending: Ending) -> Outcome {
        // What was left behind on a thread is not waited for a second time.
        let patience = if self.left_behind { Duration::ZERO } else { CLOSE_TIMEOUT };
        self.pools.close(Instant::now() + patience);
        while let Ok(input) = self.inputs.try_recv() {
            self.take_in(input, &mut Vec::new());
        }
        self.tell(EventKind::RunEnded { ending: ending.kind.clone() });
        Outcome {
            run: self.id,
            ending: ending.kind,
            result: ending.result,
            outputs: ending.outputs,
            executions: ending.executions,
            more_outputs: ending.more_outputs,
            status: ending.status,
            stalled: ending.stalled,
            handled_errors: ending.handled_errors,
            handled: ending.handled,
            errors: ending.errors,
            more_errors: ending.more_errors,
            signal: self.signals.as_ref().and_then(Listening::first),
            elapsed: self.began.elapsed(),
        }
    }

    /// What the run does at this moment.
    fn explain(&self) -> Explanation {
        let mut attempts: Vec<OpenAttempt> =
            self.open.iter().map(|(&attempt, open)| self.told(attempt, open)).collect();
        attempts.sort_by_key(|open| open.attempt);
        Explanation {
            elapsed: self.began.elapsed(),
            attempts,
            waiting: self.reactor.waiting(),
            queued: self.reactor.counts().queued,
        }
    }

    fn told(&self, attempt: AttemptId, open: &Open) -> OpenAttempt {
        OpenAttempt {
            attempt,
            actor: self.names[&open.actor].to_string(),
            submitted: open.submitted.elapsed(),
            running: open.started.map(|(since, pid)| (since.elapsed(), pid)),
            interrupted: self.interrupted.contains(attempt),
        }
    }

    fn tell(&self, kind: EventKind) {
        if !self.observers.is_empty() {
            let event = WorkflowEvent { run: self.id, at: self.began.elapsed(), kind };
            self.observers.iter().for_each(|observer| observer.observe(&event));
        }
    }
}

fn tasks_names(graph: &Graph) -> HashMap<ActorId, Arc<str>> {
    graph.tasks().map(|(id, _)| (id, Arc::from(graph.actor(id).name.as_str()))).collect()
}

#[cfg(test)]
mod tests;
