//! [`Guardian`]: the scheduler's side of the guardian that starts and buries every process.
//!
//! There is one per scheduler process and worker program, started when the first pool needs it and shared by all; with the
//! start method `fork` it is itself a copy of this program. A thread receives what it
//! says and hands it to whoever asked for the process. The guardian leaves when its socket ends: when the last user here
//! drops it, or with the scheduler, however that ends.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use pushflow_os::{Image, PidFd, SeqPacket, spawn_session_leader};
use pushflow_protocol::{Exit, FromGuardian, Launch, ProcessId, ToGuardian, courier};

use crate::lookup::{self, Candidate, LookupError};
use crate::options::StartMethod;
use crate::{BUILD, snapshot};

/// How long a guardian may take until it watches.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a send may wait for a guardian that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the guardian's end when it is no longer needed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a guardian that can't be used may take to leave by itself.
const FAILED_START_TIMEOUT: Duration = Duration::from_secs(1);
/// What is known of a program that is no guardian.
const NO_WORD: &str = "it ended without a word";

/// What happened to a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProcessEvent {
    /// It runs.
    Started { pid: u32 },
    /// It could not be started.
    NotStarted { errno: i32 },
    /// It has ended.
    Exited { exit: Exit, peak_memory_kib: u64 },
    /// Processes of another user are left below it.
    Unkillable { pids: Vec<u32> },
    /// Nothing of it is left: the last event.
    Gone,
    /// The guardian has ended, so nothing more will be heard: the last event.
    GuardianLost,
}

/// Why there is no guardian.
#[derive(Debug, thiserror::Error)]
pub enum GuardianError {
    /// There is no program to be the guardian.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The program is of another build.
    #[error(
        "the worker program {path:?} is of another build than this program ({theirs}, not {ours}): rebuild it, or choose another with PUSHFLOW_WORKER"
    )]
    OtherBuild {
        /// The program.
        path: PathBuf,
        /// Its build.
        theirs: String,
        /// The scheduler's.
        ours: String,
    },
    /// No guardian can be forked from this program.
    #[error("the start method \"fork\" can't be used: {reason}")]
    NoFork {
        /// Why.
        reason: String,
    },
    /// The program did not do what a guardian does.
    #[error("the worker program {path:?} could not be used ({reason}): is it a pushflow worker?")]
    Unusable {
        /// The program.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl GuardianError {
    fn unusable(path: &Path, error: &io::Error) -> GuardianError {
        GuardianError::Unusable { path: path.to_owned(), reason: error.to_string() }
    }
}

type Listener = Box<dyn FnMut(ProcessEvent) + Send>;

/// The connection to the guardian.
pub(crate) struct Guardian {
    /// The program that it runs and that workers are to run.
    pub(crate) program: PathBuf,
    /// The folder for this scheduler's sockets.
    pub(crate) run_directory: OsString,
    /// Whether it is a copy of this program as it was at `init()`.
    is_copy: bool,
    pid: Pid,
    process: PidFd,
    socket: Arc<SeqPacket>,
    sending: Mutex<()>,
    shared: Arc<Shared>,
    next: AtomicU64,
    receiver: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lost: AtomicBool,
    listeners: Mutex<HashMap<ProcessId, Listener>>,
}

/// One for each worker program that pools of this process use, and one for the start method `fork`.
static SHARED: Mutex<Vec<Weak<Guardian>>> = Mutex::new(Vec::new());

impl Guardian {
    /// The guardian of this process for this worker program and start method; started if there is none.
    pub(crate) fn shared(worker: Option<&Path>, method: StartMethod) -> Result<Arc<Guardian>, GuardianError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_copy = method == StartMethod::Fork;
        let is_right = |guardian: &Guardian| {
            let named = |worker| std::path::absolute(worker).is_ok_and(|path| path == guardian.program);
            guardian.is_copy == is_copy && worker.is_none_or(named) && !guardian.is_lost()
        };
        if let Some(guardian) = shared.iter().filter_map(Weak::upgrade).find(|guardian| is_right(guardian)) {
            return Ok(guardian);
        }
        let guardian = match is_copy {
            true => Guardian::fork(worker)?,
            false => Guardian::start_best(&lookup::candidates(worker)?)?,
        };
        let guardian = Arc::new(guardian);
        shared.retain(|guardian| guardian.strong_count() > 0);
        shared.push(Arc::downgrade(&guardian));
        Ok(guardian)
    }

    /// A guardian that is a copy of this program as it was at `init()`.
    fn fork(worker: Option<&Path>) -> Result<Guardian, GuardianError> {
        let no_fork = |reason| GuardianError::NoFork { reason };
        if let Some(named) = lookup::named_by(worker) {
            return Err(no_fork(format!(
                "its workers are copies of this program, but another worker program is named ({named})"
            )));
        }
        let program = env::current_exe().map_err(|error| no_fork(error.to_string()))?;
        Guardian::start(&program, true, |socket| snapshot::fork_guardian(socket).map_err(no_fork))
    }

    /// The first candidate that is of this build; the error of the first one where none is.
    fn start_best(candidates: &[Candidate]) -> Result<Guardian, GuardianError> {
        let mut first_error = None;
        for candidate in candidates {
            let program = &*candidate.path;
            let unusable = |error: io::Error| GuardianError::unusable(program, &error);
            match Guardian::start(program, false, |socket| spawn(program, socket).map_err(unusable)) {
                Ok(guardian) => return Ok(guardian),
                Err(error) => {
                    tracing::debug!(%error, named = candidate.named, "a worker program was passed over");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(GuardianError::Lookup(LookupError::None)))
    }

    /// `begin` starts the process at the other end of the socket that it is given.
    fn start(
        program: &Path,
        is_copy: bool,
        begin: impl FnOnce(&SeqPacket) -> Result<Pid, GuardianError>,
    ) -> Result<Guardian, GuardianError> {
        let io_error = |error: io::Error| GuardianError::unusable(program, &error);
        let (socket, theirs) = SeqPacket::pair().map_err(io_error)?;
        socket.set_send_timeout(SEND_TIMEOUT).map_err(io_error)?;
        let pid = begin(&theirs)?;
        drop(theirs);
        let (theirs, run_directory) = match introduce(&socket) {
            Ok(ready) => ready,
            Err(error) => {
                end_failed_start(pid, socket);
                return Err(match error.kind() {
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        GuardianError::unusable(program, &io::Error::other(NO_WORD))
                    }
                    _ => io_error(error),
                });
            }
        };
        if theirs != BUILD {
            end_failed_start(pid, socket);
            return Err(GuardianError::OtherBuild { path: program.to_owned(), theirs, ours: BUILD.to_owned() });
        }
        let process = PidFd::open(pid).map_err(io_error)?;
        let (socket, shared) = (Arc::new(socket), Arc::<Shared>::default());
        let receiver = std::thread::Builder::new()
            .name("pushflow-guardian".into())
            .spawn({
                let (socket, shared) = (socket.clone(), shared.clone());
                move || receive(&socket, &shared)
            })
            .map_err(io_error)?;
        Ok(Guardian {
            program: program.to_owned(),
            run_directory,
            is_copy,
            pid,
            process,
            socket,
            sending: Mutex::new(()),
            shared,
            next: AtomicU64::new(1),
            receiver: Some(receiver),
        })
    }

    /// The guardian's pid.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Whether the guardian has ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Starts a process; what happens to it is told to the listener, on the guardian's thread.
    ///
    /// `files` are those of the launch's numbers, then its drains.
    pub(crate) fn launch(&self, launch: Launch, files: &[OwnedFd], listener: Listener) -> ProcessId {
        let process = ProcessId(self.next.fetch_add(1, Ordering::Relaxed));
        self.shared.lock().insert(process, listener);
        self.send(&ToGuardian::Start { process, launch }, files);
        if self.is_lost() {
            self.shared.lose();
        }
        process
    }

    /// Sends a signal to the group of a process, if it is still there.
    pub(crate) fn signal(&self, process: ProcessId, signal: Signal) {
        self.send(&ToGuardian::Signal { process, signal: signal as i32 }, &[]);
    }

    /// Kills a process and everything below it.
    pub(crate) fn end(&self, process: ProcessId) {
        self.send(&ToGuardian::End { process }, &[]);
    }

    /// A message that can't be sent is the loss of the guardian: it always reads.
    fn send(&self, message: &ToGuardian, files: &[OwnedFd]) {
        let files: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = courier::send(&self.socket, message, &files);
        drop(sending);
        if let Err(error) = sent {
            tracing::error!(%error, guardian = self.pid(), "the guardian can't be reached");
            nix::sys::socket::shutdown(self.socket.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Both).ok();
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Both its poll and our receiving thread see the end.
        nix::sys::socket::shutdown(self.socket.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Both).ok();
        if let Some(receiver) = self.receiver.take() {
            // Dropped on that very thread when a listener held the last reference.
            if receiver.thread().id() != std::thread::current().id() {
                receiver.join().ok();
            }
        }
        if wait_readable(self.process.as_fd(), END_TIMEOUT) {
            reap(self.pid);
        } else {
            tracing::error!(guardian = self.pid(), "the guardian is still burying processes");
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProcessId, Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the listener of a process, and forgets it with its last event.
    fn tell(&self, process: ProcessId, event: ProcessEvent) {
        let last = event == ProcessEvent::Gone;
        let mut listeners = self.lock();
        if let Some(listener) = listeners.get_mut(&process) {
            listener(event);
        }
        if last {
            let forgotten = listeners.remove(&process);
            drop(listeners);
            drop(forgotten);
        }
    }

    /// The guardian has ended: tells everybody.
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        let listeners = std::mem::take(&mut *self.lock());
        for mut listener in listeners.into_values() {
            listener(ProcessEvent::GuardianLost);
        }
    }
}

/// Starts the program as guardian: its socket is its standard input, everything else of ours stays closed to it.
fn spawn(program: &Path, socket: &SeqPacket) -> io::Result<Pid> {
    let environment = env::vars_os().chain([(lookup::ROLE.into(), lookup::GUARDIAN.into())]);
    let image = Image::new(program, [program.as_os_str(), "pushflow-guardian".as_ref()], environment)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = null.as_raw_fd();
    spawn_session_leader(&image, &[(socket.as_fd().as_raw_fd(), 0), (null, 1), (null, 2)])
}

/// Says who is to be watched, and waits for the answer: the build and the run directory.
fn introduce(socket: &SeqPacket) -> io::Result<(String, OsString)> {
    let this = PidFd::open(getpid())?;
    courier::send(socket, &ToGuardian::Watch, &[this.as_fd().as_raw_fd()])?;
    if !wait_readable(socket.as_fd(), START_TIMEOUT) {
        return Err(io::Error::other(format!("it said nothing for {} s", START_TIMEOUT.as_secs())));
    }
    match courier::receive(socket, true)? {
        Some((FromGuardian::Ready { build, run_directory }, _)) => Ok((build, run_directory)),
        Some((FromGuardian::Unable { reason }, _)) => Err(io::Error::other(reason)),
        Some(_) => Err(io::Error::other("it said something else than that it is ready")),
        None => Err(io::Error::other(NO_WORD)),
    }
}

/// Ends what was started as guardian and is none, or of another build: one that is leaves when its socket ends, and
/// takes its run directory along.
fn end_failed_start(pid: Pid, socket: SeqPacket) {
    drop(socket);
    let left = PidFd::open(pid).is_ok_and(|process| wait_readable(process.as_fd(), FAILED_START_TIMEOUT));
    if !left {
        nix::sys::signal::kill(pid, Signal::SIGKILL).ok();
    }
    reap(pid);
}

/// Waits for the end of a guardian, which is a child that a plain wait does not see if it is a copy of the snapshot.
fn reap(pid: Pid) {
    waitpid(pid, Some(WaitPidFlag::__WALL)).ok();
}

fn receive(socket: &SeqPacket, shared: &Shared) {
    while let Ok(Some((message, _))) = courier::receive(socket, true) {
        match message {
            FromGuardian::Ready { .. } | FromGuardian::Unable { .. } => {}
            FromGuardian::Started { process, pid } => shared.tell(process, ProcessEvent::Started { pid }),
            FromGuardian::NotStarted { process, errno } => shared.tell(process, ProcessEvent::NotStarted { errno }),
            FromGuardian::Exited { process, exit, peak_memory_kib } => {
                shared.tell(process, ProcessEvent::Exited { exit, peak_memory_kib });
            }
            FromGuardian::Unkillable { process, pids } => shared.tell(process, ProcessEvent::Unkillable { pids }),
            FromGuardian::Gone { process } => shared.tell(process, ProcessEvent::Gone),
        }
    }
    shared.lose();
}

/// Waits until a file is readable or at its end; `false` when the time is over.
pub(crate) fn wait_readable(file: std::os::fd::BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(_) if left.is_zero() => return false,
            Ok(ready) if ready > 0 => return true,
            _ => {}
        }
    }
}
