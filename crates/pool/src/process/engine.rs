//! The engine: the dispatcher behind a lock. Any thread on which an event arrives passes it to the dispatcher, and
//! performs the actions that follow.
//!
//! # Threads
//! Attempts are started and ended on the thread on which the event arrives, because to wake another thread costs more
//! than a small task. The thread that submits an attempt sends it to a worker. The reader thread that receives a
//! worker's answer sends the next attempt to that worker, and delivers the report to the pool's owner. Actions that may
//! take a while go to the runner (`runner.rs`), which has a thread of its own, as [`RunnerCommand`]s: all requests to
//! the guardian and to the output thread. The runner also sends the dispatcher its ticks.
//!
//! # Rules
//! - No thread waits while it holds the lock. The engine sends a worker no more bytes than surely fit into the channel
//!   (`window.rs` of the protocol), and sends the guardian no request, since the guardian's listeners take this lock.
//! - Reports are delivered without the lock, by one thread at a time, in the order of their events. A thread that finds
//!   another one delivering leaves its reports to that thread. The owner may be slow (it prints), so only threads of
//!   the pool deliver, never the thread that submits.
//! - Reports of started attempts may wait a moment for the next report, since each delivery wakes a thread. Often the
//!   next report is the end of the attempt.
//! - The runner sleeps until [`EngineState::runner_wakes`]. A thread that needs it earlier sends [`RunnerInput::Wake`],
//!   once. Reports that a thread of the pool delivers itself need no runner.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use nix::sys::signal::Signal;
use pushflow_model::{AttemptId, ErrorKind, TaskError};
use pushflow_protocol::transport::{ToWorkerSender, TransportError};
use pushflow_protocol::{Job, ToWorker};

use super::dispatcher::{Action, Dispatcher, Event, WorkerId};
use super::lifecycle::Lifecycle;
use crate::attempt::{Attempt, EventSink, PoolEvent};

/// How long the report of a started attempt may wait for another report.
const START_REPORT_DELAY: Duration = Duration::from_millis(1);

/// A message to the runner.
pub(super) enum RunnerInput {
    /// An event about a worker's process, for the dispatcher.
    Event(Event),
    /// The runner has work, or must wake earlier than it planned.
    Wake,
}

/// A command to the runner.
#[derive(Debug)]
pub(super) enum RunnerCommand {
    /// Start a worker; `first` if none has been ready yet.
    Start { worker: WorkerId, first: bool },
    /// Send a signal to the worker's process group.
    Signal(WorkerId, Signal),
    /// End the worker's process tree.
    End(WorkerId),
    /// Read the output that the worker left in its pipes, without waiting for more.
    DrainOutput(WorkerId),
}

/// Messages of a worker that arrived together.
pub(super) struct WorkerMessages {
    pub(super) worker: WorkerId,
    pub(super) events: Vec<Event>,
    /// The worker asks for grants of memory, for results of so many bytes.
    pub(super) grant_requests: Vec<u64>,
    /// How many frames the worker has received.
    pub(super) frames: u64,
}

/// The next work of the runner.
pub(super) struct RunnerWork {
    pub(super) commands: Vec<RunnerCommand>,
    /// When the runner is to send a tick, if nothing reaches it before.
    pub(super) due: Option<Instant>,
    /// The pool was closed, and no worker and no attempt is left.
    pub(super) finished: bool,
}

pub(super) struct Engine {
    state: Mutex<EngineState>,
    /// Where reports go; locked by the thread that delivers. Dropped when the pool has ended: a channel in the sink
    /// shows the owner by its end that no more reports will come.
    owner: Mutex<Option<EventSink>>,
    to_runner: Sender<RunnerInput>,
    /// Is changed when the pool can be used, or when it is known why it can't.
    lifecycle: Arc<Lifecycle>,
    worker_count: Arc<AtomicUsize>,
}

struct EngineState {
    dispatcher: Dispatcher,
    /// The channels of the workers that can be reached.
    senders: HashMap<WorkerId, ToWorkerSender>,
    /// The reports that are still to be delivered, in this order.
    reports: Vec<PoolEvent>,
    /// When the reports are to be delivered at the latest.
    deliver_by: Option<Instant>,
    /// A thread delivers reports, and looks for more afterwards: the runner need not wake for them.
    delivering: bool,
    commands: Vec<RunnerCommand>,
    /// Until when the runner sleeps if no thread wakes it; `None` if for ever.
    runner_wakes: Option<Instant>,
    /// The runner is awake, or was sent a [`RunnerInput::Wake`].
    runner_woken: bool,
    opening: bool,
}

impl Engine {
    pub(super) fn new(
        dispatcher: Dispatcher,
        events: EventSink,
        to_runner: Sender<RunnerInput>,
        lifecycle: Arc<Lifecycle>,
        worker_count: Arc<AtomicUsize>,
    ) -> Engine {
        let state = EngineState {
            dispatcher,
            senders: HashMap::new(),
            reports: Vec::new(),
            deliver_by: None,
            delivering: false,
            commands: Vec::new(),
            runner_wakes: None,
            runner_woken: true,
            opening: true,
        };
        Engine { state: Mutex::new(state), owner: Mutex::new(Some(events)), to_runner, lifecycle, worker_count }
    }

    /// Starts the first workers.
    pub(super) fn open(&self) {
        drop(self.drive(|state, now, actions| state.dispatcher.open(now, actions)));
    }

    /// Handles an event on a thread that must not wait for the owner: another thread delivers the reports.
    pub(super) fn on(&self, event: Event) {
        let mut state = self.drive(|state, now, actions| state.dispatcher.on(event, now, actions));
        self.schedule_delivery(&mut state);
    }

    /// Handles events on a thread of the pool, which delivers the reports.
    pub(super) fn on_all(&self, events: impl IntoIterator<Item = Event>) {
        let all = |state: &mut EngineState, now, actions: &mut _| {
            events.into_iter().for_each(|event| state.handle(event, now, actions));
        };
        self.deliver(self.drive(all));
    }

    /// Adds the channel to a worker that has connected.
    pub(super) fn connected(&self, worker: WorkerId, sender: ToWorkerSender) {
        let mut state = self.lock();
        if state.dispatcher.accepts_messages(worker) {
            state.senders.insert(worker, sender);
        }
    }

    /// Handles messages of a worker, on its reader thread.
    pub(super) fn received(&self, received: WorkerMessages) {
        let state = self.drive(|state, now, actions| {
            received.events.into_iter().for_each(|event| state.handle(event, now, actions));
            if let Some(sender) = state.senders.get_mut(&received.worker) {
                let granted = received.grant_requests.iter().try_for_each(|&bytes| sender.grant(bytes));
                let sent = granted.and(sender.acknowledged(received.frames));
                state.check_sent(received.worker, sent, actions);
            }
        });
        self.deliver(state);
    }

    /// The next work of the runner, and until when it may sleep. The runner asks again when the work is done.
    pub(super) fn next_work(&self) -> RunnerWork {
        let mut state = self.lock();
        let commands = std::mem::take(&mut state.commands);
        let finished = state.dispatcher.is_over();
        state.runner_wakes = state.due();
        // With commands the runner asks again before it sleeps.
        state.runner_woken = !commands.is_empty();
        if finished {
            state.senders.clear();
        }
        RunnerWork { commands, due: state.runner_wakes, finished }
    }

    /// Changes the state, and performs all that follows but the delivery of reports.
    fn drive(&self, happen: impl FnOnce(&mut EngineState, Instant, &mut Vec<Action>)) -> MutexGuard<'_, EngineState> {
        let now = Instant::now();
        let mut state = self.lock();
        let mut actions = Vec::new();
        happen(&mut state, now, &mut actions);
        state.perform(&mut actions);
        state.note_reports(now);
        self.worker_count.store(state.dispatcher.workers(), Ordering::Relaxed);
        if state.opening {
            self.report_opened(&mut state);
        }
        if state.has_runner_work() || state.runner_sleeps_past(state.dispatcher.next_tick()) {
            self.wake_runner(&mut state);
        }
        state
    }

    fn wake_runner(&self, state: &mut EngineState) {
        if !state.runner_woken {
            state.runner_woken = true;
            // If the runner has ended, no work is left.
            self.to_runner.send(RunnerInput::Wake).ok();
        }
    }

    /// Has the runner deliver, in time, the reports that this thread does not deliver.
    fn schedule_delivery(&self, state: &mut EngineState) {
        if state.runner_sleeps_past(state.deliver_by) {
            self.wake_runner(state);
        }
    }

    /// Delivers the reports, unless another thread does so, or they may wait.
    fn deliver<'a>(&'a self, mut state: MutexGuard<'a, EngineState>) {
        while state.must_deliver() {
            drop(state);
            let owner = match self.owner.try_lock() {
                Ok(owner) => owner,
                Err(TryLockError::Poisoned(owner)) => owner.into_inner(),
                // The thread that delivers looks again when it has delivered its reports.
                Err(TryLockError::WouldBlock) => return,
            };
            self.deliver_all(owner.as_ref());
            drop(owner);
            state = self.lock();
        }
        self.schedule_delivery(&mut state);
    }

    fn deliver_all(&self, owner: Option<&EventSink>) {
        loop {
            let reports = self.lock().take_reports();
            match owner {
                Some(sink) if !reports.is_empty() => sink(reports),
                _ => return,
            }
        }
    }

    /// Fails every attempt without an answer, and closes the workers' channels so that they leave: the runner has
    /// ended.
    pub(super) fn lose_everything(&self, reason: &str) {
        drop(self.drive(|state, _, actions| {
            state.dispatcher.lose_everything(reason.to_owned(), actions);
            state.senders.clear();
        }));
    }

    /// Delivers the last reports, and drops the sink.
    pub(super) fn close(&self) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        self.deliver_all(owner.as_ref());
        *owner = None;
    }

    fn report_opened(&self, state: &mut EngineState) {
        let opened = match state.dispatcher.broken() {
            Some(reason) => Err(reason.to_owned()),
            None if state.dispatcher.is_ready() => Ok(()),
            None => return,
        };
        state.opening = false;
        self.lifecycle.change(|state| state.opened = Some(opened));
    }

    fn lock(&self) -> MutexGuard<'_, EngineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineState {
    fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        if let Event::Reaped { worker } = event {
            self.senders.remove(&worker);
        }
        self.dispatcher.on(event, now, actions);
    }

    fn perform(&mut self, actions: &mut Vec<Action>) {
        while !actions.is_empty() {
            for action in std::mem::take(actions) {
                match action {
                    Action::Start(worker) => {
                        // Until a worker has been ready, it is not known whether the interpreter can be started.
                        let first = !self.dispatcher.is_ready();
                        self.commands.push(RunnerCommand::Start { worker, first });
                    }
                    Action::Run { worker, attempts } => self.run_attempts(worker, attempts, actions),
                    Action::AskBack { worker, attempts } => {
                        self.send(worker, &ToWorker::AskBack { attempts }, actions);
                    }
                    Action::Interrupt { worker, attempt } => {
                        self.send(worker, &ToWorker::Interrupt { attempt }, actions);
                    }
                    Action::Dismiss(worker) => drop(self.senders.remove(&worker)),
                    Action::Signal(worker, signal) => self.commands.push(RunnerCommand::Signal(worker, signal)),
                    Action::End(worker) => self.commands.push(RunnerCommand::End(worker)),
                    Action::DrainOutput(worker) => self.commands.push(RunnerCommand::DrainOutput(worker)),
                    Action::Report(event) => self.reports.push(event),
                }
            }
        }
    }

    fn run_attempts(&mut self, worker: WorkerId, attempts: Vec<Attempt>, actions: &mut Vec<Action>) {
        // Without a channel the worker has ended, or is being ended: another event says so.
        let Some(sender) = self.senders.get_mut(&worker) else { return };
        let mut jobs = Vec::with_capacity(attempts.len());
        for Attempt { id, actor, task, inputs } in attempts {
            match sender.pack(&inputs) {
                Ok(inputs) => {
                    jobs.push(Job { attempt: id, actor: actor.to_string(), task: (*task).clone(), inputs });
                }
                // The attempt fails; it was not sent.
                Err(error) => {
                    let message = format!("the inputs can't be sent to a worker: {error}");
                    let error = TaskError::new(ErrorKind::BadInput, message);
                    self.dispatcher.on(Event::NotSent { worker, attempt: id, error }, Instant::now(), actions);
                }
            }
        }
        if jobs.is_empty() {
            return;
        }
        let attempts: Vec<AttemptId> = jobs.iter().map(|job| job.attempt).collect();
        match sender.send(&ToWorker::Run(jobs)) {
            // None of the attempts was sent.
            Err(error @ TransportError::Unwritable(_)) => {
                for attempt in attempts {
                    let message = format!("the task can't be sent to a worker: {error}");
                    let error = TaskError::new(ErrorKind::BadInput, message);
                    self.dispatcher.on(Event::NotSent { worker, attempt, error }, Instant::now(), actions);
                }
            }
            sent => self.check_sent(worker, sent, actions),
        }
    }

    fn send(&mut self, worker: WorkerId, message: &ToWorker, actions: &mut Vec<Action>) {
        if let Some(sender) = self.senders.get_mut(&worker) {
            let sent = sender.send(message);
            self.check_sent(worker, sent, actions);
        }
    }

    /// Ends a worker to which nothing can be sent: its attempts might never reach it. For a closed channel nothing is
    /// done, since the reader thread and the exit report say that the worker has ended.
    fn check_sent(&mut self, worker: WorkerId, sent: Result<(), TransportError>, actions: &mut Vec<Action>) {
        match sent {
            Ok(()) | Err(TransportError::Closed) => {}
            Err(error) => {
                self.senders.remove(&worker);
                let reason = format!("nothing can be sent to it ({error})");
                self.dispatcher.on(Event::Unreachable { worker, reason }, Instant::now(), actions);
            }
        }
    }

    // ----- reports -----

    /// Whether all reports are of started attempts.
    fn only_starts(&self) -> bool {
        self.reports.iter().all(|event| matches!(event, PoolEvent::Started { .. }))
    }

    /// Sets when the reports are to be delivered, after reports were added.
    fn note_reports(&mut self, now: Instant) {
        if self.reports.is_empty() {
            return;
        }
        let by = if self.only_starts() { now + START_REPORT_DELAY } else { now };
        self.deliver_by = Some(self.deliver_by.map_or(by, |before| before.min(by)));
    }

    fn must_deliver(&self) -> bool {
        let is_due = || self.deliver_by.is_some_and(|by| by <= Instant::now());
        !self.reports.is_empty() && (!self.only_starts() || is_due())
    }

    fn take_reports(&mut self) -> Vec<PoolEvent> {
        self.delivering = !self.reports.is_empty();
        self.deliver_by = None;
        std::mem::take(&mut self.reports)
    }

    // ----- the runner -----

    fn has_runner_work(&self) -> bool {
        !self.commands.is_empty() || self.dispatcher.is_over()
    }

    /// Whether the runner sleeps longer than until this moment.
    fn runner_sleeps_past(&self, due: Option<Instant>) -> bool {
        due.is_some_and(|due| self.runner_wakes.is_none_or(|wakes| due < wakes))
    }

    /// When the runner is to wake by itself.
    fn due(&self) -> Option<Instant> {
        let deliver_by = self.deliver_by.filter(|_| !self.delivering);
        self.dispatcher.next_tick().into_iter().chain(deliver_by).min()
    }
}

#[cfg(test)]
mod tests;
