//! The runner: gives the dispatcher what happens, and does what it says. It owns the clock, the channels and the threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use pushflow_protocol::transport::ToWorkerSender;
use pushflow_protocol::{ErrorKind, Job, ProcessId, TaskError, ToWorker};

use super::Progress;
use super::dispatcher::{Action, Dispatcher, Event, WorkerId};
use super::link::WorkerKind;
use super::output::OutputReader;
use crate::attempt::{Attempt, EventSink, PoolEvent};

/// How many inputs are handled before the time is looked at again.
const BATCH: usize = 256;

/// How long the report that an attempt has started may wait for company.
const START_REPORT_DELAY: Duration = Duration::from_millis(1);

/// What reaches the runner.
pub(super) enum Input {
    /// Something happened.
    Event(Event),
    /// A worker said something, and how many frames it has received; it needs room for results of so many bytes.
    Heard { worker: WorkerId, events: Vec<Event>, rooms: Vec<u64>, frames: u64 },
    /// A worker can be talked to.
    Connected { worker: WorkerId, sender: ToWorkerSender },
}

pub(super) struct Runner {
    pub(super) dispatcher: Dispatcher,
    pub(super) kind: WorkerKind,
    pub(super) output: OutputReader,
    pub(super) inputs: Receiver<Input>,
    /// Handed to the threads that receive from workers.
    pub(super) to_self: Sender<Input>,
    pub(super) events: EventSink,
    /// What is still to be told, in this order.
    pub(super) reports: Vec<PoolEvent>,
    /// Told when the pool can be used, or why it can't.
    pub(super) progress: Arc<Progress>,
    pub(super) opening: bool,
    pub(super) worker_count: Arc<AtomicUsize>,
    pub(super) links: HashMap<WorkerId, Link>,
}

/// How a worker is reached.
pub(super) struct Link {
    process: ProcessId,
    sender: Option<ToWorkerSender>,
}

impl Runner {
    /// Runs until the pool was closed and nothing of it is left.
    pub(super) fn run(mut self) {
        let mut actions = Vec::new();
        self.dispatcher.open(Instant::now(), &mut actions);
        loop {
            self.perform(&mut actions);
            self.worker_count.store(self.dispatcher.workers(), Ordering::Relaxed);
            self.say_whether_open();
            if self.dispatcher.is_over() {
                self.tell();
                self.links.clear();
                return self.kind.receivers.wait();
            }
            let received = self.receive();
            let now = Instant::now();
            match received {
                Ok(input) => {
                    self.handle(input, now, &mut actions);
                    for _ in 1..BATCH {
                        let Ok(input) = self.inputs.try_recv() else { break };
                        self.handle(input, now, &mut actions);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.dispatcher.on(Event::Tick, now, &mut actions),
                // This thread holds a sender itself, so that the channel can't be closed.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Tells what there is to tell, then waits for the next input.
    ///
    /// That attempts have started may wait for what comes next: often that is the end of one, and each telling wakes a
    /// thread.
    fn receive(&mut self) -> Result<Input, RecvTimeoutError> {
        if self.reports.iter().all(|event| matches!(event, PoolEvent::Started { .. })) && !self.reports.is_empty() {
            match self.inputs.recv_timeout(START_REPORT_DELAY) {
                Err(RecvTimeoutError::Timeout) => self.tell(),
                received => return received,
            }
        }
        self.tell();
        match self.dispatcher.next_tick() {
            Some(at) => self.inputs.recv_deadline(at),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn tell(&mut self) {
        if !self.reports.is_empty() {
            (self.events)(std::mem::take(&mut self.reports));
        }
    }

    fn say_whether_open(&mut self) {
        if !self.opening {
            return;
        }
        let opened = match self.dispatcher.broken() {
            Some(reason) => Err(reason.to_owned()),
            None if self.dispatcher.is_ready() => Ok(()),
            None => return,
        };
        self.opening = false;
        self.progress.change(|stage| stage.opened = Some(opened));
    }

    fn handle(&mut self, input: Input, now: Instant, actions: &mut Vec<Action>) {
        match input {
            Input::Event(event) => {
                if let Event::Gone { worker } = event {
                    self.links.remove(&worker);
                }
                self.dispatcher.on(event, now, actions);
            }
            Input::Heard { worker, events, rooms, frames } => {
                if let Some(sender) = self.sender(worker) {
                    // If it is gone, its channel and its exit say so.
                    sender.acknowledged(frames).ok();
                    rooms.into_iter().for_each(|bytes| drop(sender.grant(bytes)));
                }
                for event in events {
                    self.dispatcher.on(event, now, actions);
                }
            }
            Input::Connected { worker, sender } => {
                if let Some(link) = self.links.get_mut(&worker) {
                    link.sender = Some(sender);
                }
            }
        }
    }

    fn perform(&mut self, actions: &mut Vec<Action>) {
        while !actions.is_empty() {
            for action in std::mem::take(actions) {
                match action {
                    Action::Start(worker) => self.start(worker, actions),
                    Action::Run { worker, attempts } => self.run_attempts(worker, attempts, actions),
                    Action::AskBack { worker, attempts } => self.send(worker, &ToWorker::AskBack { attempts }),
                    Action::Interrupt { worker, attempt } => self.send(worker, &ToWorker::Interrupt { attempt }),
                    Action::Dismiss(worker) => {
                        if let Some(link) = self.links.get_mut(&worker) {
                            link.sender = None;
                        }
                    }
                    Action::Signal(worker, signal) => {
                        if let Some(link) = self.links.get(&worker) {
                            self.kind.guardian.signal(link.process, signal);
                        }
                    }
                    Action::End(worker) => {
                        if let Some(link) = self.links.get(&worker) {
                            self.kind.guardian.end(link.process);
                        }
                    }
                    Action::DrainOutput(worker) => self.output.drain(worker),
                    Action::Report(event) => self.reports.push(event),
                }
            }
        }
    }

    fn start(&mut self, worker: WorkerId, actions: &mut Vec<Action>) {
        // Until a worker has been ready it is not known whether the interpreter can be started.
        match self.kind.start(worker, !self.dispatcher.is_ready(), &self.to_self) {
            Ok(started) => {
                self.links.insert(worker, Link { process: started.process, sender: None });
                self.output.add(worker, started);
            }
            Err(error) => {
                let now = Instant::now();
                let reason = format!("it could not be asked for ({error})");
                self.dispatcher.on(Event::Refused { worker, reason, fatal: false }, now, actions);
                self.dispatcher.on(Event::Gone { worker }, now, actions);
            }
        }
    }

    fn run_attempts(&mut self, worker: WorkerId, attempts: Vec<Attempt>, actions: &mut Vec<Action>) {
        // A worker that can't be sent to is gone: its channel and its exit say so.
        let Some(sender) = self.links.get_mut(&worker).and_then(|link| link.sender.as_mut()) else { return };
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
        if !jobs.is_empty() {
            self.send(worker, &ToWorker::Run(jobs));
        }
    }

    /// A worker that can't be sent to is gone: its channel and its exit say so.
    fn send(&mut self, worker: WorkerId, message: &ToWorker) {
        if let Some(sender) = self.sender(worker) {
            sender.send(message).ok();
        }
    }

    fn sender(&mut self, worker: WorkerId) -> Option<&mut ToWorkerSender> {
        self.links.get_mut(&worker)?.sender.as_mut()
    }
}
