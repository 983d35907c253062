//! The connection to one worker: its launch, the handshake, and the reader thread that receives its messages.
//!
//! A reader thread does nothing but receive, so that a worker that is stopped, slow or sends garbage holds up itself
//! alone. The thread ends with its worker: every file on which it waits has its other end in the worker's process. At
//! last it reads the replies that the worker had not sent. The pool waits for its reader threads when it ends, so that
//! no file and no lent memory is left.
//!
//! A worker program of another build is refused: messages are no format that two builds share.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use pushflow_guardian::{
    BUILD, GuardianClient, OnSchedulerExit, ProcessEvent, ProcessId, ProcessSource, StartFailure, StartRequest, role,
};
use pushflow_model::{AttemptId, NO_CHILDREN, PythonOptions};
use pushflow_os::limits::name_limit;
use pushflow_os::{SeqPacket, SharedWords};
use pushflow_protocol::fd_message;
use pushflow_protocol::slabs::{SchedulerSide, SlabStore};
use pushflow_protocol::transport::{self, FromWorkerReceiver, ToWorkerSender, TransportError};
use pushflow_protocol::{
    CONTROL_SOCKET, CURRENT_ATTEMPT, FromWorker, GuardianAddress, Hello, Identity, SHARED_WORDS, WorkerSettings,
};

use super::dispatcher::{Event, WorkerId};
use super::engine::{Engine, RunnerInput, WorkerMessages};
use crate::policy::Policy;

/// Starts the workers of a pool, all with the same settings.
pub(super) struct WorkerFactory {
    pub(super) guardian: Arc<GuardianClient>,
    pub(super) policy: Policy,
    pub(super) marker: String,
    pub(super) python: Option<PythonOptions>,
    /// The memory in which long values are sent.
    pub(super) slabs: SlabStore,
    pub(super) reader_threads: ReaderThreads,
    pub(super) on_scheduler_exit: OnSchedulerExit,
    pub(super) source: ProcessSource,
}

/// How long the pool waits at its end for reader threads whose workers have ended.
const READER_THREADS_TIMEOUT: Duration = Duration::from_secs(1);

/// The reader threads of a pool. Each holds a clone of the sender, through which nothing is sent: when all threads have
/// ended, the channel is closed.
pub(super) struct ReaderThreads(Sender<()>, Receiver<()>);

impl ReaderThreads {
    pub(super) fn new() -> ReaderThreads {
        let (alive, ended) = crossbeam_channel::bounded(0);
        ReaderThreads(alive, ended)
    }

    /// Waits for the end of all threads. The threads of workers that could not be ended are left behind.
    pub(super) fn wait(self) {
        drop(self.0);
        self.1.recv_timeout(READER_THREADS_TIMEOUT).ok();
    }
}

/// A worker whose launch the guardian was asked for.
pub(super) struct StartedWorker {
    pub(super) process: ProcessId,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
    pub(super) shared: Arc<SharedWords>,
}

impl WorkerFactory {
    /// Asks the guardian to launch a worker, and starts the worker's reader thread.
    ///
    /// # Errors
    /// When there are no file descriptors or threads left.
    pub(super) fn start(
        &self,
        worker: WorkerId,
        start_python: bool,
        engine: &Arc<Engine>,
        inputs: &Sender<RunnerInput>,
    ) -> io::Result<StartedWorker> {
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let (control, their_control) = SeqPacket::pair()?;
        let (shared, their_shared) = SharedWords::new()?;
        let files: [OwnedFd; 7] = [
            File::open("/dev/null")?.into(),
            their_stdout.into(),
            their_stderr.into(),
            their_control.into_fd(),
            their_shared,
            stdout.try_clone()?.into(),
            stderr.try_clone()?.into(),
        ];
        let shared = Arc::new(shared);
        let receiver = {
            let words = shared.clone();
            let (settings, slabs, engine) = (self.settings(worker, start_python), self.slabs.clone(), engine.clone());
            let alive = self.reader_threads.0.clone();
            move || {
                run_reader(worker, handshake(control, settings, slabs), &words, &engine);
                drop(alive);
            }
        };
        std::thread::Builder::new()
            .name(format!("pushflow-worker-{}", worker.0))
            .spawn(receiver)
            .map_err(name_limit)?;
        let listener = {
            let (inputs, guardian, shared) = (inputs.clone(), self.guardian.pid(), shared.clone());
            move |event| drop(inputs.send(RunnerInput::Event(process_event(worker, guardian, &shared, event))))
        };
        let process = self.guardian.launch(self.launch(worker)?, &files, Box::new(listener));
        Ok(StartedWorker { process, stdout, stderr, shared })
    }

    fn settings(&self, worker: WorkerId, start_python: bool) -> WorkerSettings {
        let name = format!("{}-{}", self.policy.name, worker.0);
        WorkerSettings {
            identity: Identity { name, parent: std::process::id(), class: self.policy.class },
            guardian: GuardianAddress {
                pid: self.guardian.pid(),
                program: self.guardian.program.clone().into(),
                run_directory: self.guardian.run_directory.clone(),
            },
            marker: self.marker.clone(),
            python: self.python.clone(),
            start_python,
        }
    }

    fn launch(&self, worker: WorkerId) -> io::Result<StartRequest> {
        let program = self.guardian.program.as_os_str();
        let variable = |name: &str, value: OsString| (OsString::from(name), Some(value));
        let environment = std::env::vars_os().map(|(name, value)| (name, Some(value))).chain([
            variable(role::ROLE, role::WORKER.into()),
            variable(role::RUN_DIRECTORY, self.guardian.run_directory.clone()),
        ]);
        Ok(StartRequest {
            source: self.source.clone(),
            program: program.to_owned(),
            arguments: vec![program.to_owned(), format!("pushflow-worker-{}", worker.0).into()],
            environment: environment.collect(),
            directory: Some(std::env::current_dir()?.into()),
            numbers: vec![0, 1, 2, CONTROL_SOCKET, SHARED_WORDS],
            drains: 2,
            on_scheduler_exit: self.on_scheduler_exit,
            class: Some(self.policy.class),
        })
    }
}

fn process_event(worker: WorkerId, guardian: u32, shared: &SharedWords, event: ProcessEvent) -> Event {
    match event {
        ProcessEvent::Started { pid } => Event::Started { worker, pid },
        ProcessEvent::NotStarted { reason: StartFailure::Errno(errno) } => {
            let reason = name_limit(io::Error::from_raw_os_error(errno)).to_string();
            Event::Refused { worker, reason, fatal: false }
        }
        ProcessEvent::NotStarted { reason: StartFailure::Daemonic } => {
            Event::Refused { worker, reason: NO_CHILDREN.to_owned(), fatal: true }
        }
        ProcessEvent::Stopped { pid, signal } => Event::Stopped { worker, pid, signal },
        ProcessEvent::Continued { pid } => Event::Continued { worker, pid },
        ProcessEvent::Exited { exit, peak_memory_kib } => {
            let begun = last_begun(shared);
            Event::Exited { worker, exit, peak_memory_kib, begun }
        }
        ProcessEvent::Garbled => {
            let reason = "it sent the guardian what is no message".to_owned();
            Event::Refused { worker, reason, fatal: false }
        }
        ProcessEvent::Unkillable { pids } => Event::Unkillable { pids },
        ProcessEvent::Gone => Event::Reaped { worker },
        ProcessEvent::GuardianLost => Event::GuardianLost { pid: guardian },
    }
}

/// The last attempt that the worker has started. If a task overwrites the shared memory by accident, the number is that
/// of no assigned attempt.
pub(super) fn last_begun(shared: &SharedWords) -> Option<AttemptId> {
    Some(AttemptId(shared.word(CURRENT_ATTEMPT).load(Ordering::Acquire))).filter(|begun| begun.0 > 0)
}

/// Runs a reader thread.
fn run_reader(worker: WorkerId, handshake: Result<Connection, HandshakeError>, shared: &SharedWords, engine: &Engine) {
    let end = match handshake {
        Ok((sender, mut receiver)) => {
            engine.connected(worker, sender);
            let garbage = match read_until_end(worker, &mut receiver, engine) {
                TransportError::Closed => None,
                error => Some(error.to_string()),
            };
            engine.on_all(read_unsent(worker, &receiver, shared));
            Event::ChannelClosed { worker, garbage }
        }
        Err(HandshakeError::Ended) => Event::ChannelClosed { worker, garbage: None },
        Err(HandshakeError::Wrong { reason, fatal }) => Event::Refused { worker, reason, fatal },
    };
    engine.on_all([end]);
}

/// Receives messages of a worker until none can come any more, and returns the reason.
fn read_until_end(worker: WorkerId, receiver: &mut FromWorkerReceiver, engine: &Engine) -> TransportError {
    loop {
        match read_messages(worker, receiver) {
            Ok(received) => engine.received(received),
            Err(end) => return end,
        }
    }
}

/// Why there is no connection to a worker.
enum HandshakeError {
    /// The worker has ended; its exit report says how.
    Ended,
    /// The process is no worker of this build.
    Wrong { reason: String, fatal: bool },
}

/// Both directions of the channel to a worker.
type Connection = (ToWorkerSender, FromWorkerReceiver);

fn handshake(control: SeqPacket, settings: WorkerSettings, slabs: SlabStore) -> Result<Connection, HandshakeError> {
    let hello: Hello = match fd_message::receive(&control, true) {
        Ok(Some((hello, _))) => hello,
        Ok(None) => return Err(HandshakeError::Ended),
        Err(error) => {
            return Err(HandshakeError::Wrong { reason: format!("it did not say hello ({error})"), fatal: true });
        }
    };
    if hello.build != BUILD {
        let reason = format!("it is of another build ({}, not {BUILD}): rebuild the worker program", hello.build);
        return Err(HandshakeError::Wrong { reason, fatal: true });
    }
    transport::connect(hello.server, settings, SchedulerSide::new(slabs, control)).map_err(|_| HandshakeError::Ended)
}

/// Waits for the next messages of a worker.
fn read_messages(worker: WorkerId, receiver: &mut FromWorkerReceiver) -> Result<WorkerMessages, TransportError> {
    let mut received = receiver.receive()?;
    let (mut events, mut grant_requests) = (Vec::with_capacity(received.messages.len()), Vec::new());
    for message in received.messages.drain(..) {
        match message {
            FromWorker::RequestGrant { bytes } => grant_requests.push(bytes),
            message => events.extend(event(worker, receiver, message)?),
        }
    }
    let frames = received.frames;
    receiver.settle(received)?;
    Ok(WorkerMessages { worker, events, grant_requests, frames })
}

/// The replies that the worker had not sent when its channel ended, as far as they can be read.
fn read_unsent(worker: WorkerId, receiver: &FromWorkerReceiver, shared: &SharedWords) -> Vec<Event> {
    let events = receiver.unsent_replies(shared).into_iter().map_while(|message| event(worker, receiver, message).ok());
    events.flatten().collect()
}

/// The event that a message of a worker is for the dispatcher; `None` for a request for a grant.
fn event(
    worker: WorkerId,
    receiver: &FromWorkerReceiver,
    message: FromWorker,
) -> Result<Option<Event>, TransportError> {
    Ok(Some(match message {
        FromWorker::Ready { pid } => Event::Ready { worker, pid },
        // The worker leaves by itself; the error quotes what it printed.
        FromWorker::Unable { reason } => Event::Refused { worker, reason, fatal: false },
        FromWorker::Finished { attempt, result, marked } => {
            Event::Finished { worker, attempt, result: receiver.open(result)?, marked }
        }
        FromWorker::Failed { attempt, error, marked } => Event::Failed { worker, attempt, error, marked },
        FromWorker::GivenBack { attempts } => Event::GivenBack { worker, attempts },
        FromWorker::RequestGrant { .. } => return Ok(None),
    }))
}
