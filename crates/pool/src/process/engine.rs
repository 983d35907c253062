//! The engine: the dispatcher behind a lock, and how it is driven by whatever thread something happens on.
//!
//! # Who does what
//! What makes a task start or end is done at once, on the thread that hears of it: whoever submits hands the attempt to a
//! worker, the thread that hears a worker's answer gives that worker the next attempt and tells the owner. Waking a thread
//! costs more than a small task. Whatever may take a while is a [`RunnerCommand`] of the runner (`runner.rs`), a thread of its
//! own: all that is asked of the guardian and of the output's reader, and what time alone brings.
//!
//! # Rules
//! - With the lock held nothing waits: a worker is sent no more than surely fits (`window.rs` of the protocol), and
//!   nothing is asked of the guardian, whose listeners take this lock.
//! - The owner is told without the lock, by one thread at a time, in the order of what happened: who finds that another
//!   one tells leaves its part to that one. An owner may be slow (it prints), so only threads of the pool tell, never the
//!   one that submits.
//! - That attempts have started may wait a moment for what comes next: often that is the end of one, and each telling
//!   wakes a thread.
//! - The runner sleeps until [`EngineState::runner_wakes`]; who needs it earlier sends it [`RunnerInput::Wake`], once. What is told
//!   at once by the thread that heard of it needs no runner.

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

/// How long the report that an attempt has started may wait for company.
const START_REPORT_DELAY: Duration = Duration::from_millis(1);

/// What reaches the runner.
pub(super) enum RunnerInput {
    /// Something happened.
    Event(Event),
    /// There are chores.
    Wake,
}

/// What the runner is to do.
#[derive(Debug)]
pub(super) enum RunnerCommand {
    /// Start a worker; `first` if none has been ready yet.
    Start { worker: WorkerId, first: bool },
    /// Send a signal to its process group.
    Signal(WorkerId, Signal),
    /// End its tree.
    End(WorkerId),
    /// Read what it has printed, without waiting for more.
    DrainOutput(WorkerId),
}

/// What a worker has said.
pub(super) struct WorkerMessages {
    pub(super) worker: WorkerId,
    pub(super) events: Vec<Event>,
    /// It needs room for results of so many bytes.
    pub(super) grant_requests: Vec<u64>,
    /// How many frames it has received.
    pub(super) frames: u64,
}

/// What the runner is to look at next.
pub(super) struct RunnerWork {
    pub(super) commands: Vec<RunnerCommand>,
    /// When time alone will bring something.
    pub(super) due: Option<Instant>,
    /// The pool was closed and nothing of it is left.
    pub(super) finished: bool,
}

pub(super) struct Engine {
    state: Mutex<EngineState>,
    /// Held by who tells; empty when the pool is over: that the owner's end is dropped tells it so.
    owner: Mutex<Option<EventSink>>,
    to_runner: Sender<RunnerInput>,
    /// Told when the pool can be used, or why it can't.
    lifecycle: Arc<Lifecycle>,
    worker_count: Arc<AtomicUsize>,
}

struct EngineState {
    dispatcher: Dispatcher,
    /// How the workers are reached that can be.
    senders: HashMap<WorkerId, ToWorkerSender>,
    /// What is still to be told, in this order.
    reports: Vec<PoolEvent>,
    /// When it is to be told at the latest.
    deliver_by: Option<Instant>,
    /// A thread tells, and looks once more when it has: nobody else needs to come for that.
    delivering: bool,
    commands: Vec<RunnerCommand>,
    /// Until when the runner sleeps if nobody wakes it; `None`: for ever.
    runner_wakes: Option<Instant>,
    /// The runner is awake, or was sent a word.
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

    /// Starts the workers that are there from the beginning.
    pub(super) fn open(&self) {
        drop(self.drive(|state, now, actions| state.dispatcher.open(now, actions)));
    }

    /// Something happened, on a thread that must not wait for the owner to be told.
    pub(super) fn on(&self, event: Event) {
        let mut state = self.drive(|state, now, actions| state.dispatcher.on(event, now, actions));
        self.schedule_delivery(&mut state);
    }

    /// These things happened, on a thread of the pool.
    pub(super) fn on_all(&self, events: impl IntoIterator<Item = Event>) {
        let all = |state: &mut EngineState, now, actions: &mut _| {
            events.into_iter().for_each(|event| state.handle(event, now, actions));
        };
        self.deliver(self.drive(all));
    }

    /// A worker can be talked to.
    pub(super) fn connected(&self, worker: WorkerId, sender: ToWorkerSender) {
        let mut state = self.lock();
        if state.dispatcher.accepts_messages(worker) {
            state.senders.insert(worker, sender);
        }
    }

    /// A worker said something.
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

    /// What the runner has to do and until when it may sleep; asked again when that is done.
    pub(super) fn next_work(&self) -> RunnerWork {
        let mut state = self.lock();
        let commands = std::mem::take(&mut state.commands);
        let finished = state.dispatcher.is_over();
        state.runner_wakes = state.due();
        // With chores it comes back before it sleeps.
        state.runner_woken = !commands.is_empty();
        if finished {
            state.senders.clear();
        }
        RunnerWork { commands, due: state.runner_wakes, finished }
    }

    /// Something happens, and all that follows from it but the telling.
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
            // That the runner has ended means that nothing is left to do.
            self.to_runner.send(RunnerInput::Wake).ok();
        }
    }

    /// What this thread does not tell the runner will, in time.
    fn schedule_delivery(&self, state: &mut EngineState) {
        if state.runner_sleeps_past(state.deliver_by) {
            self.wake_runner(state);
        }
    }

    /// Tells the owner what there is to tell, unless another thread does so, or it may wait.
    fn deliver<'a>(&'a self, mut state: MutexGuard<'a, EngineState>) {
        while state.must_deliver() {
            drop(state);
            let owner = match self.owner.try_lock() {
                Ok(owner) => owner,
                Err(TryLockError::Poisoned(owner)) => owner.into_inner(),
                // That one looks again when it has told its part.
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

    /// Nobody drives the workers any more: what has no answer is lost, and they leave.
    pub(super) fn lose_everything(&self, reason: &str) {
        drop(self.drive(|state, _, actions| {
            state.dispatcher.lose_everything(reason.to_owned(), actions);
            state.senders.clear();
        }));
    }

    /// The pool is over: what is left is told, and nothing after that.
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
                        // Until a worker has been ready it is not known whether the interpreter can be started.
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
        // A worker that can't be sent to is gone: its channel and its exit say so.
        let Some(sender) = self.senders.get_mut(&worker) else { return };
        let mut jobs = Vec::with_capacity(attempts.len());
        for Attempt { id, actor, task, inputs } in attempts {
            match sender.pack(&inputs) {
                Ok(inputs) => {
                    jobs.push(Job { attempt: id, actor: actor.to_string(), task: (*task).clone(), inputs });
                }
                // The attempt fails; the worker has not heard of it.
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
            // The worker has not heard of them.
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

    /// That a worker is gone its channel and its exit say. One that can't be sent to for another reason is of no use: what
    /// it was given might never reach it.
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

    // ----- telling -----

    /// Whether what is to be told says no more than that attempts have started.
    fn only_starts(&self) -> bool {
        self.reports.iter().all(|event| matches!(event, PoolEvent::Started { .. }))
    }

    /// Something was added to what is to be told.
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

    /// Whether the runner would sleep through this moment.
    fn runner_sleeps_past(&self, due: Option<Instant>) -> bool {
        due.is_some_and(|due| self.runner_wakes.is_none_or(|wakes| due < wakes))
    }

    /// When time alone will bring something.
    fn due(&self) -> Option<Instant> {
        let deliver_by = self.deliver_by.filter(|_| !self.delivering);
        self.dispatcher.next_tick().into_iter().chain(deliver_by).min()
    }
}

#[cfg(test)]
mod tests;
