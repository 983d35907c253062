//! One worker from its start to its end: the process, the handshake, and the thread that receives what it says.
//!
//! The thread does nothing but receive, so that a worker that is stopped, slow or says garbage holds up itself alone. It
//! ends with the worker: every file it waits on has its other end in that process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crossbeam_channel::Sender;
use pushflow_os::{SeqPacket, SharedWords};
use pushflow_protocol::transport::{self, FromWorkerReceiver, ToWorkerSender, TransportError};
use pushflow_protocol::{
    CONTROL_SOCKET, FromWorker, Hello, Launch, OnOrphan, ProcessId, SHARED_WORDS, Source, WorkerSettings, courier,
};
use pushflow_value::Data;

use super::dispatcher::{Event, WorkerId};
use super::runner::Input;
use crate::guardian::{Guardian, ProcessEvent};
use crate::lookup;

/// What every worker of a pool is started with.
pub(super) struct WorkerKind {
    pub(super) guardian: Arc<Guardian>,
    pub(super) build: String,
    pub(super) settings: WorkerSettings,
    pub(super) on_orphan: OnOrphan,
    pub(super) source: Source,
}

/// A worker that was asked for.
pub(super) struct StartedWorker {
    pub(super) process: ProcessId,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
    pub(super) shared: SharedWords,
}

impl WorkerKind {
    /// Asks the guardian for a worker, and starts the thread that receives what it says.
    ///
    /// # Errors
    /// When there are no file descriptors or threads left.
    pub(super) fn start(&self, worker: WorkerId, inputs: &Sender<Input>) -> io::Result<StartedWorker> {
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
        let receiver = {
            let (settings, build, inputs) = (self.settings.clone(), self.build.clone(), inputs.clone());
            move || receive(worker, &control, settings, &build, &inputs)
        };
        std::thread::Builder::new().name(format!("pushflow-worker-{}", worker.0)).spawn(receiver)?;
        let listener = {
            let (inputs, guardian) = (inputs.clone(), self.guardian.pid());
            move |event| drop(inputs.send(Input::Event(process_event(worker, guardian, event))))
        };
        let process = self.guardian.launch(self.launch(worker)?, &files, Box::new(listener));
        Ok(StartedWorker { process, stdout, stderr, shared })
    }

    fn launch(&self, worker: WorkerId) -> io::Result<Launch> {
        let program = self.guardian.program.as_os_str();
        let variable = |name: &str, value: OsString| (OsString::from(name), Some(value));
        let environment = std::env::vars_os().map(|(name, value)| (name, Some(value))).chain([
            variable(lookup::ROLE, lookup::WORKER.into()),
            variable(lookup::RUN_DIRECTORY, self.guardian.run_directory.clone()),
        ]);
        Ok(Launch {
            source: self.source,
            program: program.to_owned(),
            arguments: vec![program.to_owned(), format!("pushflow-worker-{}", worker.0).into()],
            environment: environment.collect(),
            directory: Some(std::env::current_dir()?.into()),
            numbers: vec![0, 1, 2, CONTROL_SOCKET, SHARED_WORDS],
            drains: 2,
            on_orphan: self.on_orphan,
        })
    }
}

fn process_event(worker: WorkerId, guardian: u32, event: ProcessEvent) -> Event {
    match event {
        ProcessEvent::Started { pid } => Event::Started { worker, pid },
        ProcessEvent::NotStarted { errno } => {
            let reason = io::Error::from_raw_os_error(errno).to_string();
            Event::Refused { worker, reason, fatal: false }
        }
        ProcessEvent::Exited { exit, peak_memory_kib } => Event::Exited { worker, exit, peak_memory_kib },
        ProcessEvent::Unkillable { pids } => Event::Unkillable { pids },
        ProcessEvent::Gone => Event::Gone { worker },
        ProcessEvent::GuardianLost => Event::GuardianLost { pid: guardian },
    }
}

/// The receiving thread's whole life. That nobody listens any more ends it too.
fn receive(worker: WorkerId, control: &SeqPacket, settings: WorkerSettings, build: &str, inputs: &Sender<Input>) {
    let tell = |event| inputs.send(Input::Event(event)).is_ok();
    let mut receiver = match shake_hands(control, settings, build) {
        Ok((sender, receiver)) => {
            if inputs.send(Input::Connected { worker, sender }).is_err() {
                return;
            }
            receiver
        }
        Err(Refusal::Ended) => {
            tell(Event::ChannelClosed { worker, garbage: None });
            return;
        }
        Err(Refusal::Wrong { reason, fatal }) => {
            tell(Event::Refused { worker, reason, fatal });
            return;
        }
    };
    loop {
        let input = match hear(worker, &mut receiver) {
            Ok((event, frames)) => Input::Heard { worker, event, frames },
            Err(error) => {
                let garbage = match error {
                    TransportError::Closed => None,
                    error => Some(error.to_string()),
                };
                tell(Event::ChannelClosed { worker, garbage });
                return;
            }
        };
        if inputs.send(input).is_err() {
            return;
        }
    }
}

/// Why there will be no talk with a worker.
enum Refusal {
    /// It has ended; its exit report says more.
    Ended,
    /// It is not what it should be.
    Wrong { reason: String, fatal: bool },
}

fn shake_hands(
    control: &SeqPacket,
    settings: WorkerSettings,
    build: &str,
) -> Result<(ToWorkerSender, FromWorkerReceiver), Refusal> {
    let hello: Hello = match courier::receive(control, true) {
        Ok(Some((hello, _))) => hello,
        Ok(None) => return Err(Refusal::Ended),
        Err(error) => return Err(Refusal::Wrong { reason: format!("it did not say hello ({error})"), fatal: true }),
    };
    if hello.build != build {
        let reason = format!("it is of another build ({}, not {build}): rebuild the worker program", hello.build);
        return Err(Refusal::Wrong { reason, fatal: true });
    }
    transport::connect(hello.server, settings).map_err(|_| Refusal::Ended)
}

/// The next thing a worker says, as an event if it is one.
fn hear(worker: WorkerId, receiver: &mut FromWorkerReceiver) -> Result<(Option<Event>, u64), TransportError> {
    let (message, frames) = receiver.receive()?;
    let event = match message {
        FromWorker::Ready => Some(Event::Ready { worker }),
        FromWorker::Acknowledge => None,
        FromWorker::Finished { attempt, result, marked } => {
            let result = Data::decode(&result).map_err(|error| TransportError::Garbage(error.to_string()))?;
            Some(Event::Finished { worker, attempt, result, marked })
        }
        FromWorker::Failed { attempt, error } => Some(Event::Failed { worker, attempt, error }),
    };
    Ok((event, frames))
}
