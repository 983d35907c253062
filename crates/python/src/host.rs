//! [`PythonHost`]: one Python interpreter process that runs one task at a time.
//!
//! The process stays in the process group of the process that started it, and an interrupt is a signal to this process
//! alone. So Python decides what happens to processes that a task has started, as after a `KeyboardInterrupt` in any
//! program.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_guardian::{Child, Interrupter, Launcher};
use pushflow_model::{Data, ErrorKind, Exit, PythonOptions, TaskError};
use pushflow_protocol::slabs::GrantSource;

use crate::buffers::{Buffers, Lease, OutOfBand};
use crate::channel::{Channel, ChannelError, WaitCheck};
use crate::failures::{interrupted, interrupted_before_start, not_started};
use crate::message::{self, PythonCall, Reply};
use crate::shared_process::Server;
use crate::source::{ServingMode, launch, python_source};

/// How long an interpreter may take to start. Its own imports from a slow network file system can take long.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long each import before the first task may take; the import of a task itself may take as long as the attempt.
const IMPORT_LIMIT: Duration = Duration::from_secs(600);

/// The interval at which a wait for the interpreter checks whether to go on. The end of the channel shows at once that the
/// process has ended, unless a process that it forked keeps the channel open.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a process that closed its channel may take to end by itself before it is killed.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long the host waits for the end of a process that was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A Python interpreter process; see [`PythonCall`] for what it runs.
///
/// Every value that can be pickled keeps its type from one task to the next; see `docs/python.md` for its view outside of
/// Python. Dropping the host ends the process.
pub struct PythonHost {
    /// The receiver of interrupts.
    child: Arc<dyn Child>,
    /// The process of the interpreter, which the host kills if it must. The same as `child`, unless the interpreter is
    /// shared.
    process: Arc<dyn Child>,
    /// The server of a shared interpreter to which the channel leads.
    server: Option<Arc<Server>>,
    channel: Channel,
    buffers: Buffers,
    interpreter: PathBuf,
    state: HostState,
    /// How long each import before the first task may take.
    import_limit: Duration,
}

/// A request, and the leases of its buffers.
#[derive(Default)]
struct Request {
    message: Vec<u8>,
    lease: Lease,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostState {
    /// The interpreter has not reported yet that it is ready.
    Starting(Startup),
    /// The interpreter waits for a request.
    Idle,
    /// The interpreter has ended, or its channel is broken.
    Lost,
}

/// The progress of an interpreter's start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Startup {
    /// When the interpreter was started, or last reported progress.
    since: Instant,
    /// Whether the interpreter has reported that it runs.
    runs: bool,
    /// The module that the interpreter imports.
    imports: Option<String>,
}

impl Startup {
    fn now() -> HostState {
        HostState::Starting(Startup { since: Instant::now(), runs: false, imports: None })
    }

    /// Whether the present step takes too long.
    fn is_late(&self, import_limit: Duration) -> bool {
        self.since.elapsed() > if self.imports.is_some() { import_limit } else { START_LIMIT }
    }
}

impl PythonHost {
    /// Starts an interpreter, without waiting until it is ready.
    ///
    /// # Errors
    /// When the interpreter can't be started.
    pub fn start(
        options: &PythonOptions,
        launcher: &dyn Launcher,
        grants: Arc<dyn GrantSource>,
    ) -> Result<PythonHost, TaskError> {
        let failed = |error: io::Error| {
            TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be started: {error}"))
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut channel = Channel::new(Arc::new(ours), CHECK_INTERVAL).map_err(failed)?;
        let launch = launch(options, ServingMode::Own, theirs.into());
        let child = launcher.launch(launch).map_err(|error| not_started(&options.interpreter, error))?;
        let (state, import_limit) = (Startup::now(), IMPORT_LIMIT);
        let sent = channel.send(&python_source(&options.modules), &mut || Err(ChannelError::GivenUp));
        let (process, interpreter) = (child.clone(), PathBuf::from(&options.interpreter));
        let (server, buffers) = (None, Buffers::new(grants));
        let mut host = PythonHost { child, process, server, channel, buffers, interpreter, state, import_limit };
        sent.map_err(|error| host.lost(error))?;
        Ok(host)
    }

    /// A host over one server of a shared interpreter. `stream` is the channel to the server, which also receives
    /// interrupts; `process` is the interpreter.
    ///
    /// # Errors
    /// When the channel can't be made non-blocking.
    pub(super) fn of_server(
        stream: Arc<UnixStream>,
        server: Arc<Server>,
        process: Arc<dyn Child>,
        interpreter: &Path,
        buffers: Buffers,
    ) -> io::Result<PythonHost> {
        let channel = Channel::new(stream, CHECK_INTERVAL)?;
        let (state, interpreter, import_limit) = (Startup::now(), interpreter.to_owned(), IMPORT_LIMIT);
        let (child, server) = (server.clone(), Some(server));
        Ok(PythonHost { child, process, server, channel, buffers, interpreter, state, import_limit })
    }

    /// Runs one task and waits for its result.
    ///
    /// # Errors
    /// When the task is not found or fails, when the value that it returns can't be a result, when the attempt is
    /// interrupted, or when the process is lost.
    pub fn run(&mut self, call: &PythonCall<'_>, inputs: &Data, interrupter: &Interrupter) -> Result<Data, TaskError> {
        let first = self.request(call, inputs, true)?;
        if let Err(error) = self.make_ready(interrupter) {
            self.buffers.release_lease(&first.lease);
            return Err(error);
        }
        let child = Arc::clone(&self.child);
        self.begin_request();
        let guard = interrupter.register(child);
        let reply = self.ask_until_started(first, call, inputs, interrupter);
        drop(guard);
        match reply? {
            Ok(Reply::Ended(result)) => result.map_err(|error| self.with_pid(error)),
            Ok(Reply::Interrupted(error)) if interrupter.is_interrupted() => Err(self.with_pid(interrupted(error))),
            // A signal from outside raised this one: it is an exception like any other.
            Ok(Reply::Interrupted(error)) => Err(self.with_pid(error)),
            Ok(Reply::NotStarted) => Err(self.with_pid(interrupted_before_start(None))),
            Ok(unexpected) => Err(self.lost(ChannelError::Garbage(format!("{unexpected:?} after a task")))),
            Err(error) => Err(self.lost_in_attempt(error, interrupter)),
        }
    }

    /// Sets how long each import before the first task may take, 600 s by default.
    pub fn limit_imports(&mut self, limit: Duration) {
        self.import_limit = limit;
    }

    /// Whether the process starts or waits for a task, as far as the channel shows.
    pub fn is_usable(&mut self) -> bool {
        match self.state {
            HostState::Starting(_) => true,
            HostState::Idle => self.channel.is_quiet(),
            HostState::Lost => false,
        }
    }

    /// How many bytes the host has sent and received through the channel.
    pub fn carried(&self) -> u64 {
        self.channel.carried()
    }

    /// How many out-of-band buffers the interpreter has on lease.
    pub fn leased_buffers(&self) -> usize {
        self.buffers.leased_buffers()
    }

    /// Whether the interpreter has ended or its channel is broken, as far as the host knows.
    pub(super) fn is_lost(&self) -> bool {
        self.state == HostState::Lost
    }

    /// The process id of the interpreter.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until the interpreter is ready. The first attempt waits too. An interrupt while the interpreter starts gives
    /// the interpreter up.
    ///
    /// # Errors
    /// When the interpreter can't be used, or the wait was interrupted.
    pub fn make_ready(&mut self, interrupter: &Interrupter) -> Result<(), TaskError> {
        self.wait_until(|state| *state == HostState::Idle, interrupter)
    }

    /// Waits until the interpreter runs; it may still import modules then.
    ///
    /// # Errors
    /// As [`PythonHost::make_ready`].
    pub fn make_run(&mut self, interrupter: &Interrupter) -> Result<(), TaskError> {
        let runs = |state: &HostState| !matches!(state, HostState::Starting(Startup { runs: false, .. }));
        self.wait_until(runs, interrupter)
    }

    fn wait_until(
        &mut self,
        is_far_enough: fn(&HostState) -> bool,
        interrupter: &Interrupter,
    ) -> Result<(), TaskError> {
        loop {
            let start = match &self.state {
                HostState::Starting(start) if !is_far_enough(&self.state) => start.clone(),
                _ if interrupter.is_interrupted() => return Err(interrupted_before_start(None)),
                HostState::Lost => return Err(self.lost(ChannelError::Closed)),
                HostState::Starting(_) | HostState::Idle => return Ok(()),
            };
            if interrupter.is_interrupted() {
                self.leave();
                return Err(interrupted_before_start(start.imports.as_deref()));
            }
            let limit = self.import_limit;
            // A shared interpreter that was ready once may be held by the task of another attempt.
            let may_be_late = self.was_ready();
            let mut give_up = || match interrupter.is_interrupted() || !may_be_late && start.is_late(limit) {
                true => Err(ChannelError::GivenUp),
                false => Ok(()),
            };
            let reply = self.channel.receive_one_of_many(&mut give_up);
            // Reports about the start have no out-of-band buffers.
            match reply.and_then(|message| Reply::read(message, &OutOfBand::default()).map_err(ChannelError::Garbage)) {
                Ok(Reply::Started) => self.go_on_starting(start.imports),
                Ok(Reply::Importing(module)) => self.go_on_starting(Some(module)),
                Ok(Reply::Ready) => self.begin_to_serve(),
                Ok(Reply::Unusable(reason)) => {
                    self.end(END_LIMIT);
                    let message = format!("the Python interpreter {} {reason}", self.interpreter.display());
                    return Err(self.with_pid(TaskError::new(ErrorKind::NotFound, message)));
                }
                Err(ChannelError::GivenUp) if interrupter.is_interrupted() => {}
                Ok(unexpected) => return Err(self.lost(ChannelError::Garbage(format!("{unexpected:?} before a task")))),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn go_on_starting(&mut self, imports: Option<String>) {
        self.state = HostState::Starting(Startup { since: Instant::now(), runs: true, imports });
    }

    fn begin_to_serve(&mut self) {
        self.state = HostState::Idle;
        if let Some(server) = &self.server {
            server.note_ready();
            // Another thread shuts all channels down when the interpreter ends.
            self.channel.wait_without_asking();
        }
    }

    /// Sends the request until the task starts. A signal that arrives before the task may not be meant for it: it may come
    /// too late for the last task, or from another process. Then the request is sent again.
    fn ask_until_started(
        &mut self,
        first: Request,
        call: &PythonCall<'_>,
        inputs: &Data,
        interrupter: &Interrupter,
    ) -> Result<Result<Reply, ChannelError>, TaskError> {
        let child = Arc::clone(&self.process);
        let mut check = || match child.wait(Some(Duration::ZERO)) {
            Ok(None) => Ok(()),
            _ => Err(ChannelError::Closed),
        };
        let (mut request, mut out_of_band) = (first, true);
        loop {
            match self.ask(&request, &mut check) {
                Ok(Reply::NotStarted) if !interrupter.is_interrupted() => self.begin_request(),
                Ok(Reply::FilesLost) if out_of_band => {
                    self.buffers.release_lease(&request.lease);
                    out_of_band = false;
                }
                reply => return Ok(reply),
            }
            // The interpreter has released the leases of the last request.
            request = self.request(call, inputs, out_of_band)?;
        }
    }

    /// The request for an attempt. With `out_of_band`, its long buffers are leased to the interpreter where there is memory.
    fn request(&self, call: &PythonCall<'_>, inputs: &Data, out_of_band: bool) -> Result<Request, TaskError> {
        let (message, parts) = message::run(call, inputs, out_of_band)?;
        if parts.is_empty() {
            return Ok(Request { message, lease: Lease::default() });
        }
        match self.buffers.lease(parts) {
            Some(lease) => Ok(Request { message: message::with_table(&message, &lease.table), lease }),
            None => self.request(call, inputs, false),
        }
    }

    fn begin_request(&self) {
        if let Some(server) = &self.server {
            server.begin_request();
        }
    }

    /// Whether a shared interpreter has ever been ready, for this server or another one.
    fn was_ready(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.was_ready())
    }

    fn ask(&mut self, request: &Request, check: WaitCheck<'_>) -> Result<Reply, ChannelError> {
        self.channel.send(&request.message, check)?;
        let mut grants = Vec::new();
        loop {
            let message = self.channel.receive(check)?;
            match message.split_first() {
                Some((b'F', [])) => self.channel.send_files(&request.lease.files.borrow(), check)?,
                Some((b'W', lengths)) => {
                    let (made, files, places) = self.buffers.grant(lengths).map_err(ChannelError::Garbage)?;
                    grants = made;
                    self.channel.send_files(&files.borrow(), check)?;
                    self.channel.send(&message::granted(&places), check)?;
                }
                _ => {
                    let (parts, reply) = self.buffers.open(message, grants).map_err(ChannelError::Garbage)?;
                    return Reply::read(reply, &parts).map_err(ChannelError::Garbage);
                }
            }
        }
    }

    /// The error of an attempt whose interpreter was lost. If an interrupt has ended the interpreter, the attempt was stopped.
    fn lost_in_attempt(&mut self, error: ChannelError, interrupter: &Interrupter) -> TaskError {
        let error = self.lost(error);
        let ended_by_interrupt = matches!(self.process.wait(Some(Duration::ZERO)), Ok(Some(Exit::Signal(2))));
        let kind = if interrupter.is_interrupted() && ended_by_interrupt { ErrorKind::Stopped } else { error.kind };
        TaskError { kind, ..error }
    }

    /// Ends the process, and returns the error that describes how it was lost.
    fn lost(&mut self, error: ChannelError) -> TaskError {
        let start = if let HostState::Starting(start) = &self.state { Some(start.clone()) } else { None };
        let limit = if matches!(error, ChannelError::Closed) { END_LIMIT } else { Duration::ZERO };
        let is_late = matches!(error, ChannelError::GivenUp);
        let own_end = self.end(limit);
        let what = own_end.map_or_else(|| format!("{error}, and was killed"), |exit| exit.to_string());
        if let Some(refusal) = self.process.refusal() {
            return not_started(self.interpreter.as_os_str(), refusal);
        }
        let interpreter = self.interpreter.display();
        let message = match start {
            None => format!("the Python interpreter (pid {}) {what}", self.pid()),
            Some(Startup { imports: Some(module), .. }) if is_late => {
                let limit = self.import_limit.as_secs();
                format!(
                    "the Python interpreter {interpreter} had not imported the module {module:?} after {limit} s, and was killed"
                )
            }
            Some(Startup { imports: Some(module), .. }) => {
                format!("the Python interpreter {interpreter} {what} while it imported the module {module:?}")
            }
            // The channel is new, but the interpreter has been ready before.
            Some(_) if self.was_ready() => format!("the Python interpreter (pid {}) {what}", self.pid()),
            Some(_) => {
                format!(
                    "the Python interpreter {interpreter} {what} before it was ready; it must be Python 3.8 or newer"
                )
            }
        };
        self.with_pid(TaskError::new(ErrorKind::WorkerLost, message))
    }

    /// Waits for the end of the process, at most `limit`, then kills it. Returns the exit of a process that ended by itself.
    fn end(&mut self, limit: Duration) -> Option<Exit> {
        self.state = HostState::Lost;
        let own_end = self.wait_or_kill(limit);
        if self.server.is_none() {
            self.buffers.release_all();
        }
        own_end
    }

    fn wait_or_kill(&self, limit: Duration) -> Option<Exit> {
        if let Ok(Some(exit)) = self.process.wait(Some(limit)) {
            return Some(exit);
        }
        let killed = self.process.signal(Signal::SIGKILL).and_then(|()| self.process.wait(Some(KILL_LIMIT)));
        match killed {
            Ok(Some(_)) => {}
            Ok(None) => tracing::warn!(pid = self.pid(), "a killed Python interpreter does not end"),
            Err(error) => tracing::warn!(pid = self.pid(), %error, "could not end a Python interpreter"),
        }
        None
    }

    /// Ends the interpreter, or leaves the shared one, when the host is dropped.
    fn leave(&mut self) {
        // An idle interpreter ends at the end of its channel. The shutdown reaches it even if a process that was forked
        // meanwhile holds a copy of this end.
        let is_idle = self.state == HostState::Idle;
        self.state = HostState::Lost;
        let is_closed = self.channel.shut_down();
        // Only the server of a shared interpreter leaves.
        if self.server.is_none() {
            self.end(if is_closed && is_idle { END_LIMIT } else { Duration::ZERO });
        }
    }

    fn with_pid(&self, error: TaskError) -> TaskError {
        TaskError { pid: Some(self.pid()), ..error }
    }
}

impl Drop for PythonHost {
    fn drop(&mut self) {
        if self.state != HostState::Lost {
            self.leave();
        }
    }
}
