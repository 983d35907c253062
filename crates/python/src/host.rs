//! [`PythonHost`]: one Python interpreter process that runs one task at a time.
//!
//! The process stays in the process group of whoever started it, and interrupts go to it alone: Python itself decides what
//! becomes of what a task has started, as it does when `KeyboardInterrupt` is raised in any program.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_guardian::{Child, Interrupter, LaunchError, Launcher};
use pushflow_model::{Data, ErrorKind, Exit, PythonOptions, TaskError};
use pushflow_protocol::slabs::GrantSource;

use super::buffers::{Buffers, Lent, Parts};
use super::channel::{Broken, Channel, StillWaiting};
use super::message::{self, PythonCall, Reply};
use super::shared::Server;
use super::source::{Mode, launch, source};

/// How long an interpreter may take to start; imports from a slow network file system can take long.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long each import before the first task may take; the import of a task itself may take as long as the attempt.
const IMPORT_LIMIT: Duration = Duration::from_secs(600);

/// How often a wait for the interpreter looks whether to go on. A process that ended is noticed at once by the end of its
/// channel, unless something that it forked keeps that open.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a process that closed its channel may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long a process may take to be gone after it was killed, before nobody waits for it any more.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A Python interpreter process; see [`PythonCall`] for what it runs.
///
/// Every value that can be pickled keeps its type from one task to the next; see `docs/python.md` for what others see of
/// it. Dropping the host ends the process.
pub struct PythonHost {
    /// What an interrupt goes to.
    child: Arc<dyn Child>,
    /// What ends if it has to: the same, unless the interpreter is shared.
    process: Arc<dyn Child>,
    /// The server of a shared interpreter that this is a host over.
    server: Option<Arc<Server>>,
    channel: Channel,
    buffers: Buffers,
    interpreter: PathBuf,
    state: State,
    /// How long each import before the first task may take.
    import_limit: Duration,
}

/// A request, and what was lent with it.
#[derive(Default)]
struct Request {
    message: Vec<u8>,
    lent: Lent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It has not yet said that it is ready.
    Starting(Start),
    /// It waits for a request.
    Idle,
    /// It is of no use any more.
    Lost,
}

/// How far the start of an interpreter has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    /// When it was started, or last said something.
    since: Instant,
    /// It has said that it runs.
    runs: bool,
    /// The module that it imports.
    imports: Option<String>,
}

impl Start {
    fn now() -> State {
        State::Starting(Start { since: Instant::now(), runs: false, imports: None })
    }

    /// Whether it takes too long.
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
        rooms: Arc<dyn GrantSource>,
    ) -> Result<PythonHost, TaskError> {
        let failed = |error: io::Error| {
            TaskError::new(ErrorKind::WorkerLost, format!("the Python interpreter could not be started: {error}"))
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut channel = Channel::new(Arc::new(ours), PATIENCE).map_err(failed)?;
        let launch = launch(options, Mode::Own, theirs.into());
        let child = launcher.launch(launch).map_err(|error| not_started(&options.interpreter, error))?;
        let (state, import_limit) = (Start::now(), IMPORT_LIMIT);
        let sent = channel.send(&source(&options.modules), &mut || Err(Broken::GivenUp));
        let (process, interpreter) = (child.clone(), PathBuf::from(&options.interpreter));
        let (server, buffers) = (None, Buffers::new(rooms));
        let mut host = PythonHost { child, process, server, channel, buffers, interpreter, state, import_limit };
        sent.map_err(|broken| host.lost(broken))?;
        Ok(host)
    }

    /// A host over one server of an interpreter that others share: the channel to it, what interrupts it, and the process.
    pub(super) fn of_server(
        stream: Arc<UnixStream>,
        server: Arc<Server>,
        process: Arc<dyn Child>,
        interpreter: &Path,
        buffers: Buffers,
    ) -> io::Result<PythonHost> {
        let channel = Channel::new(stream, PATIENCE)?;
        let (state, interpreter, import_limit) = (Start::now(), interpreter.to_owned(), IMPORT_LIMIT);
        let (child, server) = (server.clone(), Some(server));
        Ok(PythonHost { child, process, server, channel, buffers, interpreter, state, import_limit })
    }

    /// Runs one task and waits for its result.
    ///
    /// # Errors
    /// When the task is not found, fails, returns what can't be a result, is interrupted, or its process is lost.
    pub fn run(&mut self, call: &PythonCall<'_>, inputs: &Data, interrupter: &Interrupter) -> Result<Data, TaskError> {
        let first = self.request(call, inputs, true)?;
        if let Err(error) = self.make_ready(interrupter) {
            self.buffers.take_back(&first.lent);
            return Err(error);
        }
        let child = Arc::clone(&self.child);
        self.begin_request();
        let guard = interrupter.register(child);
        let reply = self.ask_until_started(first, call, inputs, interrupter);
        drop(guard);
        match reply? {
            Ok(Reply::Ended(result)) => result.map_err(|error| self.told(error)),
            Ok(Reply::Interrupted(error)) if interrupter.is_interrupted() => Err(self.told(interrupted(error))),
            // By somebody else's signal: an exception like any other.
            Ok(Reply::Interrupted(error)) => Err(self.told(error)),
            Ok(Reply::NotStarted) => Err(self.told(not_begun(None))),
            Ok(unexpected) => Err(self.lost(Broken::Garbage(format!("{unexpected:?} after a task")))),
            Err(broken) => Err(self.lost_in_attempt(broken, interrupter)),
        }
    }

    pub fn limit_imports(&mut self, limit: Duration) {
        self.import_limit = limit;
    }

    /// Whether the process is there and waits for a task, as far as can be told.
    pub fn is_usable(&mut self) -> bool {
        match self.state {
            State::Starting(_) => true,
            State::Idle => self.channel.is_quiet(),
            State::Lost => false,
        }
    }

    /// How many bytes went through the channel so far.
    pub fn carried(&self) -> u64 {
        self.channel.carried()
    }

    /// How many parts of values the interpreter has mapped, as far as is known.
    pub fn lent(&self) -> usize {
        self.buffers.lent()
    }

    /// Whether it is known to be of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// The id of the interpreter's process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until the interpreter is ready, if it is not; the first attempt does so too.
    ///
    /// # Errors
    /// When it is no interpreter that can be used, or the wait was interrupted.
    pub fn make_ready(&mut self, interrupter: &Interrupter) -> Result<(), TaskError> {
        self.wait_until(|state| *state == State::Idle, interrupter)
    }

    /// Waits until the interpreter runs, whatever it still has to import.
    ///
    /// # Errors
    /// As [`PythonHost::make_ready`].
    pub fn make_run(&mut self, interrupter: &Interrupter) -> Result<(), TaskError> {
        let runs = |state: &State| !matches!(state, State::Starting(Start { runs: false, .. }));
        self.wait_until(runs, interrupter)
    }

    fn wait_until(&mut self, is_far_enough: fn(&State) -> bool, interrupter: &Interrupter) -> Result<(), TaskError> {
        if interrupter.is_interrupted() {
            return Err(not_begun(None));
        }
        loop {
            let start = match &self.state {
                State::Lost => return Err(self.lost(Broken::Closed)),
                state if is_far_enough(state) => return Ok(()),
                State::Idle => return Ok(()),
                State::Starting(start) => start.clone(),
            };
            let limit = self.import_limit;
            // One that was ready and is held by a neighbour will be again.
            let may_be_late = self.was_ready();
            let mut give_up = || match interrupter.is_interrupted() || !may_be_late && start.is_late(limit) {
                true => Err(Broken::GivenUp),
                false => Ok(()),
            };
            let reply = self.channel.receive_one_of_many(&mut give_up);
            // No long parts come with what an interpreter says of its start.
            match reply.and_then(|message| Reply::read(message, &Parts::default()).map_err(Broken::Garbage)) {
                Ok(Reply::Started) => self.go_on_starting(start.imports),
                Ok(Reply::Importing(module)) => self.go_on_starting(Some(module)),
                Ok(Reply::Ready) => self.begin_to_serve(),
                Ok(Reply::Unusable(reason)) => {
                    self.end(END_LIMIT);
                    let message = format!("the Python interpreter {} {reason}", self.interpreter.display());
                    return Err(self.told(TaskError::new(ErrorKind::NotFound, message)));
                }
                Err(Broken::GivenUp) if interrupter.is_interrupted() => {
                    self.leave();
                    return Err(not_begun(start.imports.as_deref()));
                }
                Ok(unexpected) => return Err(self.lost(Broken::Garbage(format!("{unexpected:?} before a task")))),
                Err(broken) => return Err(self.lost(broken)),
            }
        }
    }

    fn go_on_starting(&mut self, imports: Option<String>) {
        self.state = State::Starting(Start { since: Instant::now(), runs: true, imports });
    }

    fn begin_to_serve(&mut self) {
        self.state = State::Idle;
        if let Some(server) = &self.server {
            server.note_ready();
            // All channels are shut down when the interpreter ends.
            self.channel.wait_without_asking();
        }
    }

    /// Asks again where a signal came before the task that was not meant for it: it came too late for the last task, or from
    /// elsewhere.
    fn ask_until_started(
        &mut self,
        first: Request,
        call: &PythonCall<'_>,
        inputs: &Data,
        interrupter: &Interrupter,
    ) -> Result<Result<Reply, Broken>, TaskError> {
        let child = Arc::clone(&self.process);
        let mut still_waiting = || match child.wait(Some(Duration::ZERO)) {
            Ok(None) => Ok(()),
            _ => Err(Broken::Closed),
        };
        let (mut request, mut apart) = (first, true);
        loop {
            match self.ask(&request, &mut still_waiting) {
                Ok(Reply::NotStarted) if !interrupter.is_interrupted() => self.begin_request(),
                Ok(Reply::FilesLost) if apart => {
                    self.buffers.take_back(&request.lent);
                    apart = false;
                }
                reply => return Ok(reply),
            }
            // What was lent with the last one is released.
            request = self.request(call, inputs, apart)?;
        }
    }

    /// The request for an attempt, its long parts where the interpreter can read them if they may be `apart`.
    fn request(&self, call: &PythonCall<'_>, inputs: &Data, apart: bool) -> Result<Request, TaskError> {
        let (message, parts) = message::run(call, inputs, apart)?;
        if parts.is_empty() {
            return Ok(Request { message, lent: Lent::default() });
        }
        match self.buffers.lend(parts) {
            Some(lent) => Ok(Request { message: message::with_table(&message, &lent.table), lent }),
            None => self.request(call, inputs, false),
        }
    }

    fn begin_request(&self) {
        if let Some(server) = &self.server {
            server.begin_request();
        }
    }

    /// Whether the interpreter has ever been ready, for whomever.
    fn was_ready(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.was_ready())
    }

    fn ask(&mut self, request: &Request, still_waiting: StillWaiting<'_>) -> Result<Reply, Broken> {
        self.channel.send(&request.message, still_waiting)?;
        let mut rooms = Vec::new();
        loop {
            let message = self.channel.receive(still_waiting)?;
            match message.split_first() {
                Some((b'F', [])) => self.channel.send_files(&request.lent.files.borrow(), still_waiting)?,
                Some((b'W', lengths)) => {
                    let (made, files, places) = self.buffers.room(lengths).map_err(Broken::Garbage)?;
                    rooms = made;
                    self.channel.send_files(&files.borrow(), still_waiting)?;
                    self.channel.send(&message::granted(&places), still_waiting)?;
                }
                _ => {
                    let (parts, reply) = self.buffers.open(message, rooms).map_err(Broken::Garbage)?;
                    return Reply::read(reply, &parts).map_err(Broken::Garbage);
                }
            }
        }
    }

    /// The error of an attempt whose interpreter was lost; one that an interrupt has ended was stopped.
    fn lost_in_attempt(&mut self, broken: Broken, interrupter: &Interrupter) -> TaskError {
        let error = self.lost(broken);
        let ended_by_interrupt = matches!(self.process.wait(Some(Duration::ZERO)), Ok(Some(Exit::Signal(2))));
        let kind = if interrupter.is_interrupted() && ended_by_interrupt { ErrorKind::Stopped } else { error.kind };
        TaskError { kind, ..error }
    }

    /// Ends the process, whatever is wrong with it, and says what that was.
    fn lost(&mut self, broken: Broken) -> TaskError {
        let start = if let State::Starting(start) = &self.state { Some(start.clone()) } else { None };
        let patience = if matches!(broken, Broken::Closed) { END_LIMIT } else { Duration::ZERO };
        let is_late = matches!(broken, Broken::GivenUp);
        let own_end = self.end(patience);
        let what = own_end.map_or_else(|| format!("{broken}, and was killed"), |exit| exit.to_string());
        if let Some(refusal) = self.process.refusal() {
            return not_started(self.interpreter.as_os_str(), refusal);
        }
        let interpreter = self.interpreter.display();
        let message = match start {
            None => format!("the Python interpreter (pid {}) {what}", self.pid()),
            Some(Start { imports: Some(module), .. }) if is_late => {
                let limit = self.import_limit.as_secs();
                format!(
                    "the Python interpreter {interpreter} had not imported the module {module:?} after {limit} s, and was killed"
                )
            }
            Some(Start { imports: Some(module), .. }) => {
                format!("the Python interpreter {interpreter} {what} while it imported the module {module:?}")
            }
            // It may be young to this host only.
            Some(_) if self.was_ready() => format!("the Python interpreter (pid {}) {what}", self.pid()),
            Some(_) => {
                format!(
                    "the Python interpreter {interpreter} {what} before it was ready; it must be Python 3.8 or newer"
                )
            }
        };
        self.told(TaskError::new(ErrorKind::WorkerLost, message))
    }

    /// Waits for the end of the process, at most `patience`, then kills it; returns how it ended by itself, if it did.
    fn end(&mut self, patience: Duration) -> Option<Exit> {
        self.state = State::Lost;
        let own_end = self.wait_or_kill(patience);
        if self.server.is_none() {
            self.buffers.take_all_back();
        }
        own_end
    }

    fn wait_or_kill(&self, patience: Duration) -> Option<Exit> {
        if let Ok(Some(exit)) = self.process.wait(Some(patience)) {
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

    /// Nobody needs it any more.
    fn leave(&mut self) {
        // At the end of its channel the interpreter leaves by itself, if it is idle. A shutdown reaches it even if something
        // that was forked meanwhile holds a copy of this end.
        let is_idle = self.state == State::Idle;
        self.state = State::Lost;
        let is_closed = self.channel.shut_down();
        // Of an interpreter that others share, only the server leaves.
        if self.server.is_none() {
            self.end(if is_closed && is_idle { END_LIMIT } else { Duration::ZERO });
        }
    }

    fn told(&self, error: TaskError) -> TaskError {
        TaskError { pid: Some(self.pid()), ..error }
    }
}

impl Drop for PythonHost {
    fn drop(&mut self) {
        if self.state != State::Lost {
            self.leave();
        }
    }
}

pub(super) fn not_started(interpreter: &OsStr, error: LaunchError) -> TaskError {
    let interpreter = Path::new(interpreter).display();
    let message = format!("the Python interpreter {interpreter} could not be started: {error}");
    TaskError::new(ErrorKind::NotFound, message)
}

/// The error of an attempt that was interrupted before its task began, maybe while the interpreter imported a module.
pub(super) fn not_begun(imports: Option<&str>) -> TaskError {
    let mut error = TaskError::interrupted_before_start();
    if let Some(module) = imports {
        error.message += &format!(", while the Python interpreter imported the module {module:?}");
    }
    error
}

/// What an exception becomes that left a task after it was interrupted.
fn interrupted(error: TaskError) -> TaskError {
    let message = match error.type_name.as_str() {
        "KeyboardInterrupt" => "the task was interrupted".to_owned(),
        other => format!("the task was interrupted, and raised {other}: {}", error.message),
    };
    TaskError { kind: ErrorKind::Stopped, message, ..error }
}
