//! Runs each request in a child process of its own, under a deadline.
//!
//! # How processes end
//! The child runs this program again. It leads a process group of its own, so that Ctrl-C at the terminal reaches the
//! probe only, and it dies with the thread that started it. The probe kills a child that misses its deadline, and every
//! child when the probe is interrupted. The guardian of a killed child then has no parent, and ends the processes below
//! it. The probe is a subreaper, so such guardians become its children, and it waits for them before it exits
//! ([`wait_for_guardians`]).

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use pushflow::green::Environment;
use pushflow_os::PidFd;

use crate::interruption::Interruption;
use crate::request::{COMMAND, ENVIRONMENT, Request, Response};
use crate::verdict::Verdict;

/// How long the guardians of killed children may take to end the processes that are left.
const GUARDIAN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a request in a child process in this environment; `None` when the probe was interrupted meanwhile.
pub(crate) fn run_isolated(
    request: &Request,
    environment: Environment,
    deadline: Duration,
    interruption: &Interruption,
) -> Option<Response> {
    match try_run_isolated(request, environment, deadline, interruption) {
        Ok(response) => response,
        Err(error) => Some(Verdict::Failed(format!("a process could not be started ({error})")).into()),
    }
}

fn try_run_isolated(
    request: &Request,
    environment: Environment,
    limit: Duration,
    interruption: &Interruption,
) -> io::Result<Option<Response>> {
    // Files, not pipes: a process that outlives the child may hold a pipe open, and its reader would wait.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::new(std::env::current_exe()?)
        .arg(COMMAND)
        .arg(format!("--parent={}", std::process::id()))
        .args(request.arguments())
        .env(ENVIRONMENT, environment.name())
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0)
        .spawn()?;
    let waited = wait(&child, limit, interruption);
    if !matches!(waited, Ok(WaitResult::Exited)) {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(match waited? {
        WaitResult::Interrupted => None,
        WaitResult::TimedOut => Some(Verdict::Hung(format!("it had not ended after {} s", limit.as_secs())).into()),
        WaitResult::Exited => {
            Some(read_response(&mut stdout).unwrap_or_else(|| no_response(status, &mut stderr).into()))
        }
    })
}

/// Which event came first.
enum WaitResult {
    Exited,
    TimedOut,
    Interrupted,
}

fn wait(child: &Child, limit: Duration, interruption: &Interruption) -> io::Result<WaitResult> {
    let process = PidFd::open(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))?;
    let deadline = Instant::now() + limit;
    loop {
        let mut files =
            [PollFd::new(process.as_fd(), PollFlags::POLLIN), PollFd::new(interruption.file(), PollFlags::POLLIN)];
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: with less than 1 ms left, a timeout of 0 ms would spin.
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut files, timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            result => result?,
        };
        let happened = files.map(|file| file.revents().is_some_and(|events| !events.is_empty()));
        match happened {
            [_, true] => return Ok(WaitResult::Interrupted),
            [true, _] => return Ok(WaitResult::Exited),
            _ if left.is_zero() => return Ok(WaitResult::TimedOut),
            _ => {}
        }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the response from the last line, since tasks may print lines before it.
fn read_response(stdout: &mut File) -> Option<Response> {
    serde_json::from_str(text(stdout).lines().last()?).ok()
}

/// The verdict on a child that ended without a response.
fn no_response(status: ExitStatus, stderr: &mut File) -> Verdict {
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    let stderr = text(stderr);
    let last_error = stderr.lines().last().map(|line| format!("; it said: {line}")).unwrap_or_default();
    Verdict::Failed(format!("its process {ended} without an answer{last_error}"))
}

/// Makes this process the parent of descendants that lose theirs (a subreaper).
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn adopt_guardians() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Waits until no process below killed children is left. Every child itself must have been waited for.
pub(crate) fn wait_for_guardians() {
    let deadline = Instant::now() + GUARDIAN_TIMEOUT;
    while Instant::now() < deadline {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
    eprintln!(
        "pushflow: processes of combinations that were ended are still there after {} s",
        GUARDIAN_TIMEOUT.as_secs()
    );
}
