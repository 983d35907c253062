//! Serving tasks: the worker's life from its start to the end of its channel.
//!
//! # Threads
//! The main thread runs attempts, one after another, and hears the scheduler while it has none; the control thread hears it
//! while it has one for long (`ear.rs`). Who hears adds jobs, gives back what has not begun, delivers interrupts, hands over
//! room for long results, and acknowledges what it received. A third thread sends answers that would wait too long, a
//! fourth hears signals (`signals.rs`). When the channel ends the scheduler is gone, or has no more use for this worker:
//! what waits is forgotten, an attempt that runs may finish (the guardian knows how long), and the worker leaves.
//!
//! # Output
//! Files 1 and 2 are pipes that the scheduler reads. Before the answer of an attempt of whose output something is still on
//! its way, the worker writes a marker into both, through copies of its own: a task may have closed theirs or put
//! something else there.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdout};
use pushflow_os::limits::name_limit;
use pushflow_os::{SeqPacket, SharedWords, environment, files};
use pushflow_pool::run::{Interrupter, Runner, execute};
use pushflow_pool::{BUILD, WorkerLauncher, become_worker, lookup};
use pushflow_protocol::slabs::{Borrower, Parcel, Place, Room, Rooms};
use pushflow_protocol::transport::{Incoming, ToWorkerReceiver, TransportError, WorkerServer};
use pushflow_protocol::{
    AttemptId, BEGUN, ErrorKind, FromWorker, Hello, TaskError, ToWorker, UNTOLD, WorkerSettings, courier, marker,
};
use pushflow_value::Data;

use crate::ear::Ear;
use crate::inbox::{Inbox, Job, Next};
use crate::outbox::{Closed, Outbox};
use crate::signals::Signals;

/// The files that a worker is started with.
pub(crate) struct Files {
    /// The control socket.
    pub(crate) control: OwnedFd,
    /// The memory of the shared words.
    pub(crate) shared: OwnedFd,
    /// The socket to the guardian.
    pub(crate) guardian: OwnedFd,
}

/// Serves until the channel ends.
///
/// # Errors
/// When the scheduler could not be met.
pub(crate) fn run(files: Files) -> io::Result<()> {
    let control = SeqPacket::from_fd(files.control);
    let shared = Arc::new(SharedWords::from_file(files.shared)?);
    let server = open_server()?;
    let (version, server_name) = (env!("CARGO_PKG_VERSION").to_owned(), server.name().to_owned());
    courier::send(&control, &Hello { version, build: BUILD.to_owned(), server: server_name }, &[])?;
    let (sender, receiver, settings) = server.accept().map_err(io::Error::other)?;
    become_worker(settings.identity.clone(), SeqPacket::from_fd(files.guardian), settings.guardian.clone());
    let slabs = Arc::new(Borrower::new(control));
    let outbox = Outbox::new(sender, slabs.clone(), shared.clone());
    let worker = Arc::new(Worker {
        inbox: Inbox::default(),
        outbox,
        slabs,
        ear: Ear::new(receiver),
        starting: Interrupter::new(),
    });
    let printed = Printed::new(&settings, shared)?;
    let (listening, sending) = (worker.clone(), worker.clone());
    let signals = Signals::watch()?;
    let signalled = worker.clone();
    thread("pushflow-control", move || listening.listen())?;
    thread("pushflow-signals", move || signals.hear(&signalled.inbox))?;
    thread("pushflow-answers", move || sending.outbox.send_late_answers())?;
    let rooms = Arc::new(OfWorker(worker.clone()));
    worker.work(settings, printed, rooms);
    Ok(())
}

fn thread(name: &str, life: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(life).map(drop).map_err(name_limit)
}

/// Opens the server in the run directory, which ipc-channel can only be told through `TMPDIR`.
fn open_server() -> io::Result<WorkerServer> {
    let directory = std::env::var_os(lookup::RUN_DIRECTORY)
        .ok_or_else(|| io::Error::other(format!("{} is not set", lookup::RUN_DIRECTORY)))?;
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
    inbox: Inbox,
    outbox: Outbox,
    slabs: Arc<Borrower>,
    ear: Ear,
    /// Interrupts the start of the interpreter, when nobody wants it any more.
    starting: Interrupter,
}

impl Worker {
    // ----- whoever listens -----

    /// The life of the control thread.
    fn listen(&self) {
        while let Some(mut receiver) = self.ear.lend_to_control() {
            loop {
                if let Err(ended) = self.hear(&mut receiver) {
                    return self.end(&ended);
                }
                if !self.ear.is_busy() {
                    break;
                }
            }
            drop(receiver);
            self.inbox.nudge();
        }
    }

    /// Nothing will be heard any more.
    fn end(&self, ended: &TransportError) {
        if !matches!(ended, TransportError::Closed) {
            // Among the last lines on standard error of the attempts that this worker loses.
            eprintln!("pushflow: this worker leaves, since it can't hear its scheduler: {ended}");
        }
        self.starting.interrupt();
        self.inbox.close();
        self.slabs.close();
        self.ear.close();
    }

    fn hear(&self, receiver: &mut ToWorkerReceiver) -> Result<(), TransportError> {
        let incoming = receiver.receive()?;
        if receiver.acknowledge_due() {
            self.or_close(self.outbox.acknowledge(receiver.acknowledge()));
        }
        let Incoming::Message(message) = incoming else { return Ok(()) };
        match message {
            ToWorker::Run(jobs) => {
                self.inbox.add(jobs.into_iter().map(|job| self.open(job)).collect::<Result<_, _>>()?)
            }
            ToWorker::AskBack { attempts } => {
                let attempts = self.inbox.give_back(&attempts);
                self.say(FromWorker::GivenBack { attempts });
            }
            ToWorker::Interrupt { attempt } => {
                if self.inbox.interrupt(attempt) {
                    self.say(FromWorker::GivenBack { attempts: vec![attempt] });
                }
            }
            ToWorker::Room { granted } => self.slabs.answer(granted),
            ToWorker::Forget { slabs } => self.slabs.forget(&slabs),
        }
        Ok(())
    }

    fn open(&self, job: pushflow_protocol::Job) -> Result<Job, TransportError> {
        let pushflow_protocol::Job { attempt, actor, task, inputs } = job;
        Ok(Job { attempt, actor, task, inputs: self.slabs.open(inputs)? })
    }

    // ----- the main thread -----

    fn work(&self, settings: WorkerSettings, mut printed: Printed, rooms: Arc<dyn Rooms>) {
        let mut runner = Runner::new(Arc::new(WorkerLauncher), settings.python).with_rooms(rooms);
        if settings.start_python
            && let Err(error) = runner.start_python(&self.starting)
        {
            return self.say(FromWorker::Unable { reason: error.message });
        }
        self.say(FromWorker::Ready { pid: std::process::id() });
        while let Some((job, interrupter)) = self.next_job() {
            let attempt = job.attempt;
            printed.begin(attempt);
            // Kept until the answer is on its way, which may name what is in it.
            let result = run_job(&mut runner, job, &interrupter);
            let answer = match result.as_ref().map_err(TaskError::clone).and_then(|result| self.pack(result)) {
                Ok(result) => FromWorker::Finished { attempt, result, marked: printed.end_if_on_its_way(attempt) },
                Err(error) => FromWorker::Failed { attempt, error, marked: printed.end(attempt) },
            };
            let more = self.inbox.done();
            self.or_close(self.outbox.answer(answer, more));
            drop(result);
            if !more {
                self.or_close(self.outbox.tell_released());
            }
        }
    }

    /// Waits for the next job, and listens meanwhile; `None` when there will be none.
    fn next_job(&self) -> Option<(Job, Interrupter)> {
        loop {
            match self.inbox.next() {
                Next::Closed => return None,
                Next::Job(job, interrupter) => {
                    self.ear.busy();
                    return Some((job, interrupter));
                }
                Next::Nothing => self.wait_for_news(),
            }
        }
    }

    /// Listens, or waits for who does.
    fn wait_for_news(&self) {
        match self.ear.lend_to_idle() {
            // Since the last look into the inbox the control thread may have heard of a job, and stopped to listen.
            Some(_) if self.inbox.has_news() => {}
            Some(mut receiver) => {
                if let Err(ended) = self.hear(&mut receiver) {
                    self.end(&ended);
                }
            }
            None => self.inbox.wait(),
        }
    }

    /// Writes a result down, if it is long where the scheduler reads it.
    fn pack(&self, result: &Data) -> Result<Parcel, TaskError> {
        let packed = self.slabs.pack(result, |bytes| self.ask_for_room(bytes));
        packed.map_err(|error| TaskError::new(ErrorKind::BadResult, format!("the result can't travel: {error}")))
    }

    /// The answer is heard at once, while this thread waits for it.
    fn ask_for_room(&self, bytes: u64) {
        self.say(FromWorker::NeedsRoom { bytes });
        self.ear.listen_for_me();
    }

    fn say(&self, message: FromWorker) {
        self.or_close(self.outbox.say(message));
    }

    /// A scheduler that can't be told is gone; the control thread sees that too.
    fn or_close(&self, said: Result<(), Closed>) {
        if said.is_err() {
            self.inbox.close();
        }
    }
}

/// The slabs of the scheduler, for the worker's interpreter.
struct OfWorker(Arc<Worker>);

impl Rooms for OfWorker {
    fn room(&self, length: usize) -> Option<Room> {
        self.0.slabs.room(length, |bytes| self.0.ask_for_room(bytes))
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

/// A task may have closed its standard output: what it could not print is its own loss.
fn flush() {
    io::stdout().flush().ok();
    files::flush_c_streams();
}

/// The worker's own ends of the pipes that its tasks print to.
struct Printed {
    pipes: [File; 2],
    word: String,
    shared: Arc<SharedWords>,
}

impl Printed {
    fn new(settings: &WorkerSettings, shared: Arc<SharedWords>) -> io::Result<Printed> {
        let pipes = [
            File::from(io::stdout().as_fd().try_clone_to_owned()?),
            File::from(io::stderr().as_fd().try_clone_to_owned()?),
        ];
        Ok(Printed { pipes, word: settings.marker.clone(), shared })
    }

    /// From here on what is printed belongs to this attempt.
    fn begin(&self, attempt: AttemptId) {
        self.shared.word(BEGUN).store(attempt.0, Ordering::Release);
    }

    /// Writes out what was printed, and undoes what a task did to the files that it prints to.
    fn flush(&self) {
        let [stdout, stderr] = &self.pipes;
        // Who prints to a full pipe waits: a program that a task ran may have had it otherwise, for all of us.
        self.pipes.iter().for_each(wait_for_room);
        flush();
        // Without them the next attempt prints to nowhere, as a program does whose output was closed.
        dup2_stdout(stdout).ok();
        dup2_stderr(stderr).ok();
    }

    /// Marks the end of what this attempt printed if some of it is on its way: whether it was so, and could be marked. See
    /// [`marker`], also for the order.
    fn end_if_on_its_way(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        let unread = self.pipes.iter().any(|pipe| files::bytes_readable(pipe).is_ok_and(|count| count > 0));
        let on_its_way = unread || UNTOLD.iter().any(|&word| self.shared.word(word).load(Ordering::Acquire) != 0);
        on_its_way && self.mark_end(attempt)
    }

    /// Marks the end of what this attempt printed: whether that was possible.
    fn end(&mut self, attempt: AttemptId) -> bool {
        self.flush();
        self.mark_end(attempt)
    }

    fn mark_end(&mut self, attempt: AttemptId) -> bool {
        let marker = marker::end_of_attempt(&self.word, attempt);
        // Into both, whatever becomes of the first.
        self.pipes.iter_mut().map(|pipe| write_marker(pipe, &marker)).fold(true, |all, marked| all & marked)
    }
}

/// What is written to this pipe waits for room in it, whatever a task has asked for.
fn wait_for_room(pipe: &File) {
    // A task may have closed it, too, which is seen by what is written next.
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).ok();
}

/// Whether it was written, which it is whole or not at all. Without a scheduler nobody reads it, and nobody needs it.
fn write_marker(pipe: &mut File, marker: &[u8]) -> bool {
    loop {
        match pipe.write_all(marker) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(pipe),
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use pushflow_protocol::TaskSpec;

    use super::*;
    use crate::ear::tests::channel;

    #[test]
    fn a_job_that_came_after_the_last_look_into_the_inbox_is_not_waited_for() {
        let (_scheduler, (sender, receiver)) = channel();
        let slabs = Arc::new(Borrower::new(SeqPacket::pair().expect("a pair of sockets").0));
        let (shared, _) = SharedWords::new().expect("memory");
        let outbox = Outbox::new(sender, slabs.clone(), Arc::new(shared));
        let (inbox, ear) = (Inbox::default(), Ear::new(receiver));
        let worker = Arc::new(Worker { inbox, outbox, slabs, ear, starting: Interrupter::new() });
        let task = TaskSpec::rust("task");
        worker.inbox.add(vec![Job { attempt: AttemptId(1), actor: "actor".into(), task, inputs: Default::default() }]);
        let (says, listens) = mpsc::channel();
        let waiting = worker.clone();
        // If it waits, it does so for ever, and is left behind.
        std::thread::spawn(move || {
            waiting.wait_for_news();
            says.send(()).ok();
        });
        assert!(listens.recv_timeout(Duration::from_secs(20)).is_ok(), "it listens, though there is a job");
    }
}
