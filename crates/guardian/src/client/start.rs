//! Starting a guardian: by executing a worker program, or as a copy of this program as it was at `init()`.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};
use pushflow_os::limits::name_limit;
use pushflow_os::{Image, PidFd, SeqPacket, spawn_session_leader};
use pushflow_protocol::courier;

use super::sending::{Sending, Unsent};
use super::{Guardian, Origin, SEND_TIMEOUT, reap, wait_readable};
use crate::build_id::BUILD;
use crate::client::zygote;
use crate::lookup::{self, Candidate, LookupError};
use crate::messages::{FromGuardian, ToGuardian};
use crate::role;

/// How long a guardian may take until it watches.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a guardian that can't be used may take to leave by itself.
const FAILED_START_TIMEOUT: Duration = Duration::from_secs(1);
/// What is known of a program that is no guardian.
const NO_WORD: &str = "it ended without a word";

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
    /// This process is a worker, and workers have the guardian of their scheduler.
    #[error(
        "a pool inside a worker runs the worker's own program {program:?}, not {named:?}: leave out the option worker"
    )]
    InsideWorker {
        /// The worker's program.
        program: PathBuf,
        /// The program that was asked for.
        named: PathBuf,
    },
    /// The program could not be started.
    #[error("the worker program {path:?} could not be started: {reason}")]
    NotStarted {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The program is a guardian and could not begin, or something else was missing.
    #[error("the worker program {path:?} could not be used: {reason}")]
    Unable {
        /// The program.
        path: PathBuf,
        /// What was missing.
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
    pub(super) fn unable(path: &Path, error: io::Error) -> GuardianError {
        GuardianError::Unable { path: path.to_owned(), reason: name_limit(error).to_string() }
    }

    fn unusable(path: &Path, reason: impl ToString) -> GuardianError {
        GuardianError::Unusable { path: path.to_owned(), reason: reason.to_string() }
    }

    fn not_started(path: &Path, error: io::Error) -> GuardianError {
        match error.raw_os_error().map(Errno::from_raw) {
            // What is said of the file itself, or of the interpreter that it names; all else is a limit of this machine.
            Some(Errno::EACCES | Errno::ENOENT | Errno::ENOEXEC | Errno::ELIBBAD) => {
                GuardianError::unusable(path, error)
            }
            _ => GuardianError::NotStarted { path: path.to_owned(), reason: name_limit(error).to_string() },
        }
    }
}

impl Guardian {
    /// A guardian that is a copy of this program as it was at `init()`.
    pub(super) fn fork(worker: Option<&Path>) -> Result<Guardian, GuardianError> {
        let no_fork = |reason| GuardianError::NoFork { reason };
        if let Some(named) = lookup::named_by(worker) {
            return Err(no_fork(format!(
                "its workers are copies of this program, but another worker program is named ({named})"
            )));
        }
        let program = env::current_exe().map_err(|error| no_fork(error.to_string()))?;
        Guardian::start(&program, true, |socket| zygote::fork_guardian(socket).map_err(no_fork))
    }

    /// The first candidate that is of this build; the error of the first one where none is.
    pub(super) fn start_best(candidates: &[Candidate]) -> Result<Guardian, GuardianError> {
        let mut first_error = None;
        for candidate in candidates {
            let program = &*candidate.path;
            let not_started = |error| GuardianError::not_started(program, error);
            match Guardian::start(program, false, |socket| spawn(program, socket).map_err(not_started)) {
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
        let io_error = |error: io::Error| GuardianError::unable(program, error);
        let (socket, theirs) = SeqPacket::pair().map_err(io_error)?;
        socket.set_send_timeout(SEND_TIMEOUT).map_err(io_error)?;
        let pid = begin(&theirs)?;
        drop(theirs);
        let (theirs, run_directory) = match introduce(program, &socket) {
            Ok(ready) => ready,
            Err(error) => {
                end_failed_start(pid, socket);
                return Err(error);
            }
        };
        if theirs != BUILD {
            end_failed_start(pid, socket);
            return Err(GuardianError::OtherBuild { path: program.to_owned(), theirs, ours: BUILD.to_owned() });
        }
        let process = PidFd::open(pid).map_err(io_error)?;
        let origin = Origin::Started { process, is_copy };
        Guardian::connect(program.to_owned(), run_directory, pid, socket, origin).map_err(io_error)
    }
}

/// Starts the program as guardian: its socket is its standard input, everything else of ours stays closed to it.
fn spawn(program: &Path, socket: &SeqPacket) -> io::Result<Pid> {
    let environment = env::vars_os().chain([(role::ROLE.into(), role::GUARDIAN.into())]);
    let image = Image::new(program, [program.as_os_str(), "pushflow-guardian".as_ref()], environment)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = null.as_raw_fd();
    spawn_session_leader(&image, &[(socket.as_fd().as_raw_fd(), 0), (null, 1), (null, 2)])
}

/// Says who is to be watched, and waits for the answer: the build and the run directory.
fn introduce(program: &Path, socket: &SeqPacket) -> Result<(String, OsString), GuardianError> {
    let unusable = |reason: &dyn ToString| GuardianError::unusable(program, reason.to_string());
    let this = PidFd::open(getpid()).map_err(|error| GuardianError::unable(program, error))?;
    let this = this.as_fd().try_clone_to_owned().map_err(|error| GuardianError::unable(program, error))?;
    let said = match Sending::default().send(socket, &ToGuardian::Watch, &[this]) {
        Err(Unsent::Limit(errno)) => return Err(GuardianError::unable(program, errno.into())),
        Err(Unsent::Broken(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    if said.is_ok() && !wait_readable(socket.as_fd(), START_TIMEOUT) {
        return Err(unusable(&format!("it said nothing for {} s", START_TIMEOUT.as_secs())));
    }
    match said.and_then(|()| courier::receive(socket, true)) {
        Ok(Some((FromGuardian::Ready { build, run_directory }, _))) => Ok((build, run_directory)),
        Ok(Some((FromGuardian::Unable { reason }, _))) => {
            Err(GuardianError::Unable { path: program.to_owned(), reason })
        }
        Ok(Some(_)) => Err(unusable(&"it said something else than that it is ready")),
        Ok(None) => Err(unusable(&NO_WORD)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => unusable(&NO_WORD),
            _ => unusable(&error),
        }),
    }
}

/// Ends what was started as guardian and is none, or of another build: one that is leaves when its socket ends, and
/// takes its run directory along.
fn end_failed_start(pid: Pid, socket: SeqPacket) {
    drop(socket);
    match PidFd::open(pid) {
        Ok(process) if wait_readable(process.as_fd(), FAILED_START_TIMEOUT) => {}
        Ok(process) => drop(process.signal(Signal::SIGKILL)),
        // It has left, and the kernel has reaped it, since this process ignores SIGCHLD.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => return,
        Err(_) => drop(nix::sys::signal::kill(pid, Signal::SIGKILL)),
    }
    reap(pid);
}
