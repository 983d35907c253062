//! [`FakeWorker`]: a worker process that exists only in the test, with the events that are on their way from it.
//!
//! The messages of a worker, the guardian's reports about it and the output that was read arrive over three routes.
//! Each route keeps its order, and any of them may be late: an answer may still be on its way when the worker's death
//! is known. Commands to a worker are on their way, too, until it performs them.

use std::collections::{BTreeSet, VecDeque};

use super::*;

/// A command that a worker has not performed yet.
enum Command {
    Run(Vec<AttemptId>),
    AskBack(Vec<AttemptId>),
    Interrupt(AttemptId),
    Leave,
}

/// A route over which events arrive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    Worker,
    Guardian,
    Reader,
}

pub(super) const ROUTES: [Route; 3] = [Route::Worker, Route::Guardian, Route::Reader];

/// Whether the task of this attempt ignores an interrupt.
pub(super) fn is_stubborn(attempt: AttemptId) -> bool {
    attempt.0.is_multiple_of(3)
}

/// A fake worker, from the action `Start` on.
pub(super) struct FakeWorker {
    id: WorkerId,
    events: [VecDeque<Event>; 3],
    commands: VecDeque<Command>,
    started: StartState,
    ready: bool,
    inbox: VecDeque<AttemptId>,
    running: Option<AttemptId>,
    interrupted: bool,
    /// The attempt that it has noted in shared memory.
    begun: Option<AttemptId>,
    /// Answers that are sent with the next ones; they are in memory that is read when its channel is closed.
    unsent: Vec<Event>,
    /// It sends garbage, so its messages do not arrive any more.
    mute: bool,
    dead: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StartState {
    No,
    Sent,
    Received,
}

impl FakeWorker {
    pub(super) fn new(id: WorkerId) -> FakeWorker {
        FakeWorker {
            id,
            events: [const { VecDeque::new() }; 3],
            commands: VecDeque::new(),
            started: StartState::No,
            ready: false,
            inbox: VecDeque::new(),
            running: None,
            interrupted: false,
            begun: None,
            unsent: Vec::new(),
            mute: false,
            dead: false,
        }
    }

    fn emit(&mut self, route: Route, event: Event) {
        if !(self.mute && matches!(route, Route::Worker)) {
            self.events[route as usize].push_back(event);
        }
    }

    /// Takes the next event that arrives over this route.
    pub(super) fn deliver(&mut self, route: Route) -> Option<Event> {
        let event = self.events[route as usize].pop_front()?;
        if matches!(event, Event::Started { .. }) {
            self.started = StartState::Received;
        }
        Some(event)
    }

    /// Whether no event of it will arrive any more.
    pub(super) fn is_over(&self) -> bool {
        self.dead && self.events.iter().all(VecDeque::is_empty)
    }

    /// Whether an answer for this attempt is on its way.
    pub(super) fn has_answered(&self, attempt: AttemptId) -> bool {
        self.events[Route::Worker as usize].iter().any(|event| answer_of(event) == Some(attempt))
    }

    // ----- actions of the dispatcher -----

    pub(super) fn run(&mut self, attempts: Vec<AttemptId>) {
        self.commands.push_back(Command::Run(attempts));
    }

    pub(super) fn ask_back(&mut self, attempts: Vec<AttemptId>) {
        self.commands.push_back(Command::AskBack(attempts));
    }

    pub(super) fn interrupt(&mut self, attempt: AttemptId) {
        self.commands.push_back(Command::Interrupt(attempt));
    }

    pub(super) fn leave(&mut self) {
        self.commands.push_back(Command::Leave);
    }

    /// SIGTERM: every second worker ends by it; the others catch the signal, or are stopped.
    pub(super) fn terminate(&mut self) {
        if self.id.0.is_multiple_of(2) {
            self.die(true);
        }
    }

    pub(super) fn drain_output(&mut self) {
        self.emit(Route::Reader, Event::OutputDrained { worker: self.id });
    }

    /// Its process exits. A process that it left behind may hold its channel open.
    pub(super) fn die(&mut self, closes: bool) {
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        let (worker, begun) = (self.id, self.begun);
        self.start();
        self.emit(Route::Guardian, Event::Exited { worker, exit: Exit::Signal(9), peak_memory_kib: 0, begun });
        self.emit(Route::Guardian, Event::Reaped { worker });
        if closes {
            self.send();
            self.emit(Route::Worker, Event::ChannelClosed { worker, garbage: None });
        }
    }

    /// Its start fails: no process is started, or the process that runs is refused.
    pub(super) fn fail_to_start(&mut self, exists: bool) {
        if self.ready || self.dead {
            return;
        }
        let (worker, reason) = (self.id, "it is of another build".to_owned());
        self.mute = true;
        if exists || self.started != StartState::No {
            self.start();
            self.emit(Route::Guardian, Event::Refused { worker, reason, fatal: false });
        } else {
            self.dead = true;
            self.emit(Route::Guardian, Event::Refused { worker, reason, fatal: false });
            self.emit(Route::Guardian, Event::Reaped { worker });
        }
    }

    /// A signal stops it, or it goes on. Its messages from before are still on their way, and it does not matter to
    /// these tests that a stopped worker sends more.
    pub(super) fn stop(&mut self, stops: bool) {
        if self.started == StartState::No || self.dead {
            return;
        }
        let (worker, pid) = (self.id, self.id.0 as u32);
        let stopped = Event::Stopped { worker, pid, signal: 19 };
        self.emit(Route::Guardian, if stops { stopped } else { Event::Continued { worker, pid } });
    }

    /// It sends garbage from now on.
    pub(super) fn send_garbage(&mut self) {
        if self.ready && !self.dead {
            let garbage = Some("garbage".to_owned());
            self.send();
            self.emit(Route::Worker, Event::ChannelClosed { worker: self.id, garbage });
            self.mute = true;
        }
    }

    // ----- its own steps -----

    fn start(&mut self) {
        if self.started == StartState::No {
            self.started = StartState::Sent;
            self.emit(Route::Guardian, Event::Started { worker: self.id, pid: self.id.0 as u32 });
        }
    }

    /// Takes its next step. An attempt that it starts is added to `begun`.
    pub(super) fn act(&mut self, choice: u8, begun: &mut BTreeSet<AttemptId>) {
        if self.dead {
            return;
        }
        self.start();
        if self.started == StartState::Received && !self.ready {
            self.ready = true;
            return self.emit(Route::Worker, Event::Ready { worker: self.id, pid: self.id.0 as u32 });
        }
        match choice % 4 {
            0 => self.perform(),
            1 => self.send(),
            _ if self.running.is_some() => self.end_attempt(choice),
            _ => self.begin_attempt(begun),
        }
    }

    fn perform(&mut self) {
        let worker = self.id;
        match self.commands.pop_front() {
            Some(Command::Run(attempts)) => self.inbox.extend(attempts),
            Some(Command::AskBack(asked)) => {
                let attempts = self.inbox.iter().copied().filter(|id| asked.contains(id)).collect();
                self.inbox.retain(|id| !asked.contains(id));
                self.send();
                self.emit(Route::Worker, Event::GivenBack { worker, attempts });
            }
            Some(Command::Interrupt(attempt)) if self.running == Some(attempt) => self.interrupted = true,
            Some(Command::Interrupt(attempt)) if self.inbox.contains(&attempt) => {
                self.inbox.retain(|&id| id != attempt);
                self.send();
                self.emit(Route::Worker, Event::GivenBack { worker, attempts: vec![attempt] });
            }
            Some(Command::Leave) => self.die(true),
            Some(Command::Interrupt(_)) | None => {}
        }
    }

    fn begin_attempt(&mut self, begun: &mut BTreeSet<AttemptId>) {
        let Some(attempt) = self.inbox.pop_front() else { return };
        (self.running, self.interrupted, self.begun) = (Some(attempt), false, Some(attempt));
        assert!(begun.insert(attempt), "{attempt} is begun twice");
    }

    fn end_attempt(&mut self, choice: u8) {
        let Some(attempt) = self.running.filter(|&id| !(self.interrupted && is_stubborn(id))) else { return };
        self.running = None;
        let (worker, marked) = (self.id, choice.is_multiple_of(3));
        if marked {
            let bytes = b"printed\n".to_vec();
            self.emit(Route::Reader, Event::Output { worker, stream: Stream::Stderr, attempt: Some(attempt), bytes });
            self.emit(Route::Reader, Event::OutputEnd { worker, stream: Stream::Stderr, attempt });
            // The output of every second attempt is never read to its end on both streams.
            if choice.is_multiple_of(2) {
                self.emit(Route::Reader, Event::OutputEnd { worker, stream: Stream::Stdout, attempt });
            }
        }
        let error = || TaskError::new(ErrorKind::Raised, "no");
        self.unsent.push(match choice % 5 {
            0 => Event::Failed { worker, attempt, error: error(), marked },
            _ => Event::Finished { worker, attempt, result: Data::new(), marked },
        });
        if self.inbox.is_empty() {
            self.send();
        }
    }

    fn send(&mut self) {
        std::mem::take(&mut self.unsent).into_iter().for_each(|event| self.emit(Route::Worker, event));
    }
}

/// The attempt whose answer the event is.
pub(super) fn answer_of(event: &Event) -> Option<AttemptId> {
    match event {
        Event::Finished { attempt, .. } | Event::Failed { attempt, .. } | Event::NotSent { attempt, .. } => {
            Some(*attempt)
        }
        _ => None,
    }
}
