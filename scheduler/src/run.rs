//! [`Run`]: drives one run: gives the reactor what happens, and does what it says. It owns the clock, the pool and the
//! channels.
//!
//! # What it waits for
//! The pool's events, a request to stop, the run's deadline, and the moment at which an interrupted attempt has had its
//! time. An attempt that does not end by then (on the thread pool it can't be made to) is reported as failed and left
//! behind: the run never waits for what may never come.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use pushflow_graph::{ActorId, ActorKind, Graph, Work};
use pushflow_pool::{Attempt, Pool, PoolEvent};
use pushflow_protocol::{AttemptId, ErrorKind, TaskError, TaskSpec};
use pushflow_value::Data;

use crate::event::{EventKind, RunId, WorkflowEvent};
use crate::handle::{Explanation, OpenAttempt, StopHandle};
use crate::preflight;
use crate::reactor::{Action, Ending, Event, Reactor};
use crate::stop_signals::Listening;
use crate::{Observer, Outcome, RunError, RunOptions, Workflow};

/// How many events of the pool are taken in before their actions are carried out together.
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
    pool: Box<dyn Pool>,
    timeout: Option<Duration>,
    observers: Vec<Arc<dyn Observer>>,
    inputs: Receiver<Input>,
    to_self: Sender<Input>,
    /// The attempts that have not ended.
    open: HashMap<AttemptId, Open>,
    /// When the patience with an interrupted attempt ends.
    interrupted: HashMap<AttemptId, Instant>,
    /// Whether an attempt was given up while it still ran.
    left_behind: bool,
    signals: Option<Listening>,
    began: Instant,
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
}

/// An attempt that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    actor: ActorId,
    submitted: Instant,
    /// Since when it runs, and in which process.
    started: Option<(Instant, u32)>,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

impl Run {
    pub(crate) fn prepare(workflow: &Workflow, data: Data, options: &RunOptions) -> Result<Run, RunError> {
        let graph = workflow.shared_graph();
        graph.validate()?;
        let (to_self, inputs) = unbounded();
        let from_pool = to_self.clone();
        // That nobody listens any more means that the run is over.
        let sink = Arc::new(move |events| drop(from_pool.send(Input::Pool(events))));
        let pool = preflight::open_pool(&graph, workflow.folder(), options, sink)?;
        let tasks = tasks(&graph).map(|(id, task)| (id, Arc::new(task.clone()))).collect();
        let names = tasks_names(&graph);
        let signals = match &options.stop_signals[..] {
            [] => None,
            wanted => {
                let run = StopHandle::new(to_self.clone());
                Some(Listening::start(wanted, run).map_err(RunError::Signals)?)
            }
        };
        let id = RunId { pid: std::process::id(), count: RUNS.fetch_add(1, Ordering::Relaxed) + 1 };
        Ok(Run {
            id,
            reactor: Reactor::new(graph.clone(), data, options.limits).with_outputs(options.outputs),
            graph,
            tasks,
            names,
            pool,
            timeout: options.timeout,
            observers: options.observers.clone(),
            inputs,
            to_self,
            open: HashMap::new(),
            interrupted: HashMap::new(),
            left_behind: false,
            signals,
            began: Instant::now(),
        })
    }

    /// What to stop this run with.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.to_self.clone())
    }

    /// Runs to the end.
    pub fn wait(mut self) -> Outcome {
        let span = tracing::info_span!("run", run = %self.id, workflow = self.graph.name);
        let _in_span = span.enter();
        self.began = Instant::now();
        let deadline = self.timeout.and_then(|timeout| self.began.checked_add(timeout));
        self.tell(EventKind::RunStarted { workflow: self.graph.name.clone() });
        let mut ending = self.step(vec![Event::Begin]);
        let mut deadline = deadline;
        while ending.is_none() {
            let events = self.next_events(&mut deadline);
            ending = self.step(events);
        }
        let ending = ending.expect("the loop ends with one");
        self.end(*ending)
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
                Action::Submit { attempt, actor, inputs } => submitted.push(self.attempt(attempt, actor, inputs)),
                Action::Interrupt { attempt } => {
                    self.interrupted.insert(attempt, Instant::now() + self.pool.patience());
                    self.pool.interrupt(attempt);
                }
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
            self.pool.submit(submitted);
        }
        if go_on {
            // Behind whatever else has happened meanwhile.
            self.to_self.send(Input::Continue).ok();
        }
        ending
    }

    fn attempt(&mut self, id: AttemptId, actor: ActorId, inputs: Data) -> Attempt {
        self.open.insert(id, Open { actor, submitted: Instant::now(), started: None });
        self.tell(EventKind::AttemptSubmitted { actor, attempt: id });
        Attempt { id, actor: self.names[&actor].clone(), task: self.tasks[&actor].clone(), inputs }
    }

    /// Waits until something has happened.
    fn next_events(&mut self, deadline: &mut Option<Instant>) -> Vec<Event> {
        let patience = self.interrupted.values().min().copied();
        let received = match [*deadline, patience].into_iter().flatten().min() {
            Some(at) => self.inputs.recv_deadline(at),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut events = Vec::new();
        // This run holds a sender itself: no input means that the time has come.
        let mut next = received.ok();
        while let Some(input) = next {
            self.take_in(input, &mut events);
            next = if events.len() < BATCH { self.inputs.try_recv().ok() } else { None };
        }
        if deadline.is_some_and(|at| at <= Instant::now()) {
            *deadline = None;
            events.push(Event::Deadline);
        }
        self.give_up_overdue(&mut events);
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
        }
    }

    /// An event of the pool as one of the reactor, if it is one.
    fn pool_event(&mut self, event: PoolEvent) -> Option<Event> {
        match event {
            PoolEvent::Started { attempt, pid } => {
                let open = self.open.get_mut(&attempt)?;
                open.started = Some((Instant::now(), pid));
                let actor = open.actor;
                self.tell(EventKind::AttemptStarted { actor, attempt, pid });
            }
            PoolEvent::Output { attempt, stream, bytes } => {
                let attempt = attempt.and_then(|attempt| Some((self.open.get(&attempt)?.actor, attempt)));
                self.tell(EventKind::Output { attempt, stream, bytes });
            }
            PoolEvent::Finished { attempt, result } => {
                let actor = self.close(attempt)?;
                self.tell(EventKind::AttemptFinished { actor, attempt });
                return Some(Event::Finished { attempt, result });
            }
            PoolEvent::Failed { attempt, error } => {
                let actor = self.close(attempt)?;
                self.tell(EventKind::AttemptFailed { actor, attempt, error: error.clone() });
                return Some(Event::Failed { attempt, error });
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

    /// An attempt has ended: its actor. `None` if it was given up before.
    fn close(&mut self, attempt: AttemptId) -> Option<ActorId> {
        self.interrupted.remove(&attempt);
        self.open.remove(&attempt).map(|open| open.actor)
    }

    /// Ends everything at once: what the pool says about it is among the inputs then.
    fn kill(&mut self) -> Event {
        self.pool.close(Some(Instant::now()));
        let now = Instant::now();
        self.interrupted = self.open.keys().map(|&attempt| (attempt, now)).collect();
        Event::StopAsked { reason: "killed".into() }
    }

    /// Reports attempts that were interrupted and did not end in their time.
    fn give_up_overdue(&mut self, events: &mut Vec<Event>) {
        if self.interrupted.is_empty() || !self.inputs.is_empty() {
            return;
        }
        let now = Instant::now();
        let overdue: Vec<AttemptId> =
            self.interrupted.iter().filter(|(_, at)| **at <= now).map(|(&attempt, _)| attempt).collect();
        for attempt in overdue {
            let Some(actor) = self.close(attempt) else { continue };
            self.left_behind = true;
            let error = TaskError::new(
                ErrorKind::Stopped,
                "the attempt was interrupted and still runs: a task in the scheduler's own process must look at its \
                 cancellation to be stopped; it is left behind",
            );
            self.tell(EventKind::AttemptFailed { actor, attempt, error: error.clone() });
            events.push(Event::Failed { attempt, error });
        }
    }

    fn end(mut self, ending: Ending) -> Outcome {
        // What was left behind on a thread is not waited for a second time.
        let patience = if self.left_behind { Duration::ZERO } else { CLOSE_TIMEOUT };
        self.pool.close(Some(Instant::now() + patience));
        while let Ok(input) = self.inputs.try_recv() {
            self.take_in(input, &mut Vec::new());
        }
        self.tell(EventKind::RunEnded { ending: ending.kind.clone() });
        Outcome {
            run: self.id,
            ending: ending.kind,
            result: ending.result,
            outputs: ending.outputs,
            more_outputs: ending.more_outputs,
            status: ending.status,
            stalled: ending.stalled,
            handled_errors: ending.handled_errors,
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
            interrupted: self.interrupted.contains_key(&attempt),
        }
    }

    fn tell(&self, kind: EventKind) {
        if !self.observers.is_empty() {
            let event = WorkflowEvent { run: self.id, at: self.began.elapsed(), kind };
            self.observers.iter().for_each(|observer| observer.observe(&event));
        }
    }
}

/// The actors that run a task, with it.
pub(crate) fn tasks(graph: &Graph) -> impl Iterator<Item = (ActorId, &TaskSpec)> {
    graph.actors().filter_map(|(id, actor)| match &actor.kind {
        ActorKind::Task(task) => match &task.work {
            Work::Attempt(spec) => Some((id, spec)),
            Work::Identity => None,
        },
        _ => None,
    })
}

fn tasks_names(graph: &Graph) -> HashMap<ActorId, Arc<str>> {
    tasks(graph).map(|(id, _)| (id, Arc::from(graph.actor(id).name.as_str()))).collect()
}
