//! How a scheduler starts a guardian: by executing a worker program, or as a fork of the zygote.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;
use std::{env, io};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};
use pushflow_os::{Image, PidFd, SeqPacket, spawn_session_leader};
use pushflow_protocol::fd_message;

use super::error::GuardianError;
use super::sending::{RequestSender, SendError};
use super::wait::{reap, wait_readable};
use super::{GuardianClient, Origin, SEND_TIMEOUT, zygote_handle};
use crate::build_id::BUILD;
use crate::lookup::{self, Candidate, LookupError};
use crate::messages::{FromGuardian, ToGuardian};
use crate::role;

/// How long a guardian may take to answer `Watch`.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a guardian that can't be used may take to exit after the end of its socket, before it is killed.
const FAILED_START_TIMEOUT: Duration = Duration::from_secs(1);
/// The reason in the error about a program that closes the socket without an answer.
const NO_ANSWER: &str = "it ended without a word";

impl GuardianClient {
    /// Has the zygote fork a guardian.
    pub(super) fn fork(worker: Option<&Path>) -> Result<GuardianClient, GuardianError> {
        let no_fork = |reason| GuardianError::NoFork { reason };
        if let Some(named) = lookup::named_by(worker) {
            return Err(no_fork(format!(
                "its workers are copies of this program, but another worker program is named ({named})"
            )));
        }
        let program = env::current_exe().map_err(|error| no_fork(error.to_string()))?;
        GuardianClient::start(&program, true, |socket| zygote_handle::fork_guardian(socket).map_err(no_fork))
    }

    /// Starts the first candidate that can be used and is of this build.
    ///
    /// # Errors
    /// The error of the first candidate, when none can be used.
    pub(super) fn start_best(candidates: &[Candidate]) -> Result<GuardianClient, GuardianError> {
        let mut first_error = None;
        for candidate in candidates {
            let program = &*candidate.path;
            let not_started = |error| GuardianError::not_started(program, error);
            match GuardianClient::start(program, false, |socket| spawn(program, socket).map_err(not_started)) {
                Ok(guardian) => return Ok(guardian),
                Err(error) => {
                    tracing::debug!(%error, named = candidate.named, "a worker program was passed over");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(GuardianError::Lookup(LookupError::None)))
    }

    /// Starts a guardian and waits for its `Ready`. `begin` starts the process and gives it the socket that `begin`
    /// gets.
    fn start(
        program: &Path,
        is_fork: bool,
        begin: impl FnOnce(&SeqPacket) -> Result<Pid, GuardianError>,
    ) -> Result<GuardianClient, GuardianError> {
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
        // The wire form has no version. A named program of another build is refused; other candidates are passed over.
        if theirs != BUILD {
            end_failed_start(pid, socket);
            return Err(GuardianError::OtherBuild { path: program.to_owned(), theirs, ours: BUILD.to_owned() });
        }
        let process = PidFd::open(pid).map_err(io_error)?;
        let origin = Origin::Started { process, is_fork };
        GuardianClient::connect(program.to_owned(), run_directory, pid, socket, origin).map_err(io_error)
    }
}

/// Executes the program as guardian. Its standard input is the socket. It gets no other file of this process.
fn spawn(program: &Path, socket: &SeqPacket) -> io::Result<Pid> {
    let environment = env::vars_os().chain([(role::ROLE.into(), role::GUARDIAN.into())]);
    let image = Image::new(program, [program.as_os_str(), "pushflow-guardian".as_ref()], environment)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = null.as_raw_fd();
    spawn_session_leader(&image, &[(socket.as_fd().as_raw_fd(), 0), (null, 1), (null, 2)])
}

/// Sends `Watch` with a pidfd of this process, and waits for the answer: the build and the run directory.
fn introduce(program: &Path, socket: &SeqPacket) -> Result<(String, OsString), GuardianError> {
    let unusable = |reason: &dyn ToString| GuardianError::unusable(program, reason.to_string());
    let this = PidFd::open(getpid()).map_err(|error| GuardianError::unable(program, error))?;
    let this = this.as_fd().try_clone_to_owned().map_err(|error| GuardianError::unable(program, error))?;
    let said = match RequestSender::default().send(socket, &ToGuardian::Watch, &[this]) {
        Err(SendError::Limit(errno)) => return Err(GuardianError::unable(program, errno.into())),
        Err(SendError::Broken(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    if said.is_ok() && !wait_readable(socket.as_fd(), START_TIMEOUT) {
        return Err(unusable(&format!("it said nothing for {} s", START_TIMEOUT.as_secs())));
    }
    match said.and_then(|()| fd_message::receive(socket, true)) {
        Ok(Some((FromGuardian::Ready { build, run_directory }, _))) => Ok((build, run_directory)),
        Ok(Some((FromGuardian::Unable { reason }, _))) => {
            Err(GuardianError::Unable { path: program.to_owned(), reason })
        }
        Ok(Some(_)) => Err(unusable(&"it said something else than that it is ready")),
        Ok(None) => Err(unusable(&NO_ANSWER)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => unusable(&NO_ANSWER),
            _ => unusable(&error),
        }),
    }
}

/// Ends and reaps a process that was started as guardian and can't be used. A guardian of another build exits at the
/// end of its socket and removes its run directory; a program that is no guardian is killed.
fn end_failed_start(pid: Pid, socket: SeqPacket) {
    drop(socket);
    match PidFd::open(pid) {
        Ok(process) if wait_readable(process.as_fd(), FAILED_START_TIMEOUT) => {}
        Ok(process) => drop(process.signal(Signal::SIGKILL)),
        // The process has ended, and the kernel has reaped it because this process ignores SIGCHLD.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => return,
        Err(_) => drop(nix::sys::signal::kill(pid, Signal::SIGKILL)),
    }
    reap(pid);
}
