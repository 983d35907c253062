//! Serving tasks: a worker from its start to the end of its channel.
//!
//! # Threads
//! - The *main thread* runs attempts, one after another. While it has none, it receives the scheduler's messages.
//! - The *control thread* receives them while an attempt runs for long (`receive_turn.rs`).
//! - A third thread sends replies that have waited long enough (`replies.rs`).
//! - A fourth thread acts on signals (`signals.rs`).
//!
//! The thread that receives adds jobs to the queue, gives back attempts that have not begun, delivers interrupts and
//! grants of memory for long results, and acknowledges the frames that it received.
//!
//! The channel ends when the scheduler has ended, or when the scheduler has no more use for this worker. Then the jobs
//! that wait are removed, the attempt that runs may finish (the guardian limits how long), and the worker leaves.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pushflow_execute::{Runner, execute};
use pushflow_guardian::{BUILD, Interrupter, WorkerFiles, WorkerLauncher, become_worker, role};
use pushflow_model::{Data, ErrorKind, TaskError};
use pushflow_os::limits::name_limit;
use pushflow_os::{SeqPacket, SharedWords, environment};
use pushflow_protocol::slabs::{Grant, GrantSource, PackedData, Place, WorkerSide};
use pushflow_protocol::transport::{Incoming, ToWorkerReceiver, TransportError, WorkerServer};
use pushflow_protocol::{FromWorker, Hello, ToWorker, WorkerSettings, fd_message};

use crate::attempt_output::AttemptOutput;
use crate::job_queue::{Job, JobQueue, Next};
use crate::receive_turn::ReceiveTurn;
use crate::replies::{Closed, Replies};
use crate::signals::Signals;

/// Serves until the channel ends.
///
/// # Errors
/// When the worker has not got its channel to the scheduler, or lacks file descriptors or threads.
pub(crate) fn run(files: WorkerFiles) -> io::Result<()> {
    let control_socket = SeqPacket::from_fd(files.control);
    let shared = Arc::new(SharedWords::from_file(files.shared)?);
    let server = open_server()?;
    let (version, server_name) = (env!("CARGO_PKG_VERSION").to_owned(), server.name().to_owned());
    fd_message::send(&control_socket, &Hello { version, build: BUILD.to_owned(), server: server_name }, &[])?;
    let (sender, receiver, settings) = server.accept().map_err(io::Error::other)?;
    become_worker(settings.identity.clone(), SeqPacket::from_fd(files.guardian), settings.guardian.clone());
    let slabs = Arc::new(WorkerSide::new(control_socket));
    let replies = Replies::new(sender, slabs.clone(), shared.clone());
    let worker = Arc::new(Worker {
        jobs: JobQueue::default(),
        replies,
        slabs,
        turn: ReceiveTurn::new(receiver),
        starting: Interrupter::new(),
    });
    let output = AttemptOutput::new(settings.marker.clone(), shared)?;
    let (control, sending) = (worker.clone(), worker.clone());
    let signals = Signals::watch()?;
    let signalled = worker.clone();
    thread("pushflow-control", move || control.run_control_thread())?;
    thread("pushflow-signals", move || signals.run(&signalled.jobs))?;
    thread("pushflow-replies", move || sending.replies.send_delayed())?;
    let grants = Arc::new(WorkerGrants(worker.clone()));
    worker.run_jobs(settings, output, grants);
    Ok(())
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(body).map(drop).map_err(name_limit)
}

/// Opens the server in the run directory. ipc-channel has no parameter for that folder, but reads `TMPDIR`.
fn open_server() -> io::Result<WorkerServer> {
    let directory = std::env::var_os(role::RUN_DIRECTORY)
        .ok_or_else(|| io::Error::other(format!("{} is not set", role::RUN_DIRECTORY)))?;
    let users = std::env::var_os("TMPDIR");
    environment::set("TMPDIR", directory)?;
    let server = WorkerServer::open();
    match users {
        Some(users) => environment::set("TMPDIR", users)?,
        None => environment::remove("TMPDIR")?,
    }
    server
}

struct Worker {
    jobs: JobQueue,
    replies: Replies,
    slabs: Arc<WorkerSide>,
    turn: ReceiveTurn,
    /// Interrupts the start of the interpreter when the channel ends.
    starting: Interrupter,
}

impl Worker {
    // ----- the thread that receives -----

    /// Runs the control thread.
    fn run_control_thread(&self) {
        while let Some(mut receiver) = self.turn.wait_for_turn() {
            loop {
                if let Err(ended) = self.receive(&mut receiver) {
                    return self.close(&ended);
                }
                if !self.turn.main_is_busy() {
                    break;
                }
            }
            drop(receiver);
            self.jobs.wake();
        }
    }

    /// The channel has ended.
    fn close(&self, ended: &TransportError) {
        if !matches!(ended, TransportError::Closed) {
            // The scheduler reports the last lines on standard error with each attempt that this worker loses.
            eprintln!("pushflow: this worker leaves, since it can't receive from its scheduler: {ended}");
        }
        self.starting.interrupt();
        self.jobs.close();
        self.slabs.close();
        self.turn.close();
    }

    /// Receives one message, or a part of one, and acts on it.
    fn receive(&self, receiver: &mut ToWorkerReceiver) -> Result<(), TransportError> {
        let incoming = receiver.receive()?;
        if receiver.acknowledge_due() {
            self.or_close(self.replies.acknowledge(receiver.acknowledge()));
        }
        let Incoming::Message(message) = incoming else { return Ok(()) };
        match message {
            ToWorker::Run(jobs) => self.jobs.add(jobs.into_iter().map(|job| self.open(job)).collect::<Result<_, _>>()?),
            ToWorker::AskBack { attempts } => {
                let attempts = self.jobs.give_back(&attempts);
                self.send(FromWorker::GivenBack { attempts });
            }
            ToWorker::Interrupt { attempt } => {
                if self.jobs.interrupt(attempt) {
                    self.send(FromWorker::GivenBack { attempts: vec![attempt] });
                }
            }
            ToWorker::Granted { region } => self.slabs.granted(region),
            ToWorker::UnmapSlabs { slabs } => self.slabs.unmap(&slabs),
        }
        Ok(())
    }

    /// Maps the inputs of a job.
    fn open(&self, job: pushflow_protocol::Job) -> Result<Job, TransportError> {
        let pushflow_protocol::Job { attempt, actor, task, inputs } = job;
        Ok(Job { attempt, actor, task, inputs: self.slabs.open(inputs)? })
    }

    // ----- the main thread -----

    /// Runs jobs until the channel ends.
    fn run_jobs(&self, settings: WorkerSettings, mut output: AttemptOutput, grants: Arc<dyn GrantSource>) {
        let mut runner = Runner::new(Arc::new(WorkerLauncher), settings.python).with_grants(grants);
        if settings.start_python
            && let Err(error) = runner.start_python(&self.starting)
        {
            return self.send(FromWorker::Unable { reason: error.message });
        }
        self.send(FromWorker::Ready { pid: std::process::id() });
        while let Some((job, interrupter)) = self.next_job() {
            let attempt = job.attempt;
            output.begin(attempt);
            // Dropped after the reply was sent, since the reply may name memory that this result holds.
            let result = run_job(&mut runner, job, &interrupter);
            let reply = match result.as_ref().map_err(TaskError::clone).and_then(|result| self.pack(result)) {
                Ok(result) => FromWorker::Finished { attempt, result, marked: output.end_if_in_transit(attempt) },
                Err(error) => FromWorker::Failed { attempt, error, marked: output.end(attempt) },
            };
            let more = self.jobs.done();
            self.or_close(self.replies.reply(reply, more));
            drop(result);
            if !more {
                self.or_close(self.replies.send_released());
            }
        }
    }

    /// Waits for the next job, and receives meanwhile; `None` when the channel has ended.
    fn next_job(&self) -> Option<(Job, Interrupter)> {
        loop {
            match self.jobs.next() {
                Next::Closed => return None,
                Next::Job(job, interrupter) => {
                    self.turn.main_begins();
                    return Some((job, interrupter));
                }
                Next::Empty => self.receive_or_wait(),
            }
        }
    }

    /// Receives, or waits while the control thread receives.
    fn receive_or_wait(&self) {
        match self.turn.take_for_main() {
            // Since the last look at the queue the control thread may have added a job and unlocked the receiver.
            Some(_) if self.jobs.is_ready() => {}
            Some(mut receiver) => {
                if let Err(ended) = self.receive(&mut receiver) {
                    self.close(&ended);
                }
            }
            None => self.jobs.wait(),
        }
    }

    /// Encodes a result, its long values into memory that the scheduler reads.
    fn pack(&self, result: &Data) -> Result<PackedData, TaskError> {
        let packed = self.slabs.pack(result, |bytes| self.request_grant(bytes));
        packed.map_err(|error| TaskError::new(ErrorKind::BadResult, format!("the result can't travel: {error}")))
    }

    /// Requests memory, and has the control thread receive the answer while the main thread waits for it.
    fn request_grant(&self, bytes: u64) {
        self.send(FromWorker::RequestGrant { bytes });
        self.turn.request_receive();
    }

    fn send(&self, message: FromWorker) {
        self.or_close(self.replies.send_now(message));
    }

    /// Closes the queue if a message could not be sent: the scheduler has ended. The thread that receives sees that,
    /// too.
    fn or_close(&self, sent: Result<(), Closed>) {
        if sent.is_err() {
            self.jobs.close();
        }
    }
}

/// The worker's memory in the scheduler's slabs, for its Python interpreter.
struct WorkerGrants(Arc<Worker>);

impl GrantSource for WorkerGrants {
    fn grant(&self, length: usize) -> Option<Grant> {
        self.0.slabs.grant(length, |bytes| self.0.request_grant(bytes))
    }

    fn place(&self, bytes: &Bytes) -> Option<Place> {
        self.0.slabs.place(bytes)
    }
}

/// Runs one attempt.
fn run_job(runner: &mut Runner, job: Job, interrupter: &Interrupter) -> Result<Data, TaskError> {
    let inputs = job.inputs.into_data();
    let inputs =
        inputs.map_err(|error| TaskError::new(ErrorKind::BadInput, format!("the inputs can't be read: {error}")))?;
    execute(Some(runner), &job.task, &inputs, (job.actor.into(), job.attempt), interrupter)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use pushflow_model::{AttemptId, TaskSpec};

    use super::*;
    use crate::receive_turn::tests::channel;

    #[test]
    fn a_job_that_came_after_the_last_look_into_the_queue_is_not_waited_for() {
        let (_scheduler, (sender, receiver)) = channel();
        let slabs = Arc::new(WorkerSide::new(SeqPacket::pair().expect("a pair of sockets").0));
        let (shared, _) = SharedWords::new().expect("memory");
        let replies = Replies::new(sender, slabs.clone(), Arc::new(shared));
        let (jobs, turn) = (JobQueue::default(), ReceiveTurn::new(receiver));
        let worker = Arc::new(Worker { jobs, replies, slabs, turn, starting: Interrupter::new() });
        let task = TaskSpec::rust("task");
        worker.jobs.add(vec![Job { attempt: AttemptId(1), actor: "actor".into(), task, inputs: Default::default() }]);
        let (returned, has_returned) = mpsc::channel();
        let waiting = worker.clone();
        // If it waits, it does so for ever, and the thread is left behind.
        std::thread::spawn(move || {
            waiting.receive_or_wait();
            returned.send(()).ok();
        });
        assert!(has_returned.recv_timeout(Duration::from_secs(20)).is_ok(), "it receives, though there is a job");
    }
}
