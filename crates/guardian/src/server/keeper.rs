//! The keeper: a fork of the guardian that starts one process, adopts and reaps all of its descendants, and exits when
//! none is left. containerd calls such a process a shim.
//!
//! The keeper reports over its socket what happens to the process ([`KeeperReport`]). It gets no messages, so it can
//! wait in `wait4` alone. All signals stay blocked, as in the guardian. The kernel kills the keeper at the death of the
//! guardian, and the process at the death of the keeper (`PR_SET_PDEATHSIG`).

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, getppid};
use pushflow_model::Exit;
use pushflow_os::fork::run_and_exit;
use pushflow_os::wait::{self, Change, Reaped, Status};
use pushflow_os::{Fork, Image, SeqPacket, files, limits, signals};
use pushflow_protocol::fd_message;

use super::forked_worker::{ForkedWorker, ForkedWorkerSetup};
use crate::messages::{KeeperReport, ProcessSource, StartRequest};

/// The highest of the numbers at which every program expects a file.
const STANDARD_ERROR: RawFd = 2;

/// Forks a keeper that starts the process. Returns the pid of the keeper, and the socket on which it reports.
pub(super) fn fork(
    request: &StartRequest,
    files: &[OwnedFd],
    setup: &ForkedWorkerSetup,
) -> io::Result<(Pid, SeqPacket)> {
    let (theirs, ours) = SeqPacket::pair()?;
    let guardian = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(keeper) => Ok((keeper, ours)),
        Fork::Child => run_and_exit(|| i32::from(keep(guardian, request, files, setup, &theirs).is_err())),
    }
}

/// Starts a program without a keeper, as a child of the guardian. Returns its pid. A program that can't be executed
/// exits with 127.
pub(super) fn fork_child(request: &StartRequest, files: &[OwnedFd]) -> io::Result<Pid> {
    let image = image(request)?;
    let guardian = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(process) => Ok(process),
        Fork::Child => run_and_exit(|| {
            let Err(_) = become_program(guardian, &image, request, files);
            127
        }),
    }
}

/// The whole life of a keeper that a warm interpreter has forked, from its `exec` of this program on.
///
/// `arguments` are the name of the program, the pid of the guardian, and the pid of the process that the keeper had
/// forked before the `exec`, or the negative error number of that fork. The keeper reports on its file 0.
///
/// # Errors
/// When this program was not started in this way, the guardian has ended, or a report can't be sent.
pub fn keep_adopted(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let numbers: Vec<i32> =
        arguments.skip(1).filter_map(|number| number.to_str().and_then(|number| number.parse().ok())).collect();
    match numbers[..] {
        [guardian, process] => adopt(Pid::from_raw(guardian), process),
        _ => Err(io::Error::other("it was not told what to keep")),
    }
}

/// [`keep_adopted`] with its arguments.
fn adopt(guardian: Pid, process: i32) -> io::Result<()> {
    // An imported module may have had SIGCHLD ignored. Then the kernel would reap the children.
    signals::set_default_sigchld();
    die_with(guardian)?;
    nix::sys::prctl::set_name(c"pushflow-keep")?;
    files::close_all_except(&[0, 1, 2])?;
    let reports = SeqPacket::from_fd(files::take_inherited(0)?);
    let report = |report| fd_message::send(&reports, &report, &[]);
    if process < 0 {
        return report(KeeperReport::NotStarted { errno: -process });
    }
    report(KeeperReport::Started { pid: process.unsigned_abs() })?;
    reap_all(Pid::from_raw(process), report)
}

/// The whole life of a keeper that the guardian has forked.
fn keep(
    guardian: Pid,
    request: &StartRequest,
    files: &[OwnedFd],
    setup: &ForkedWorkerSetup,
    reports: &SeqPacket,
) -> io::Result<()> {
    die_with(guardian)?;
    nix::sys::prctl::set_name(c"pushflow-keep")?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let report = |report| fd_message::send(reports, &report, &[]);
    match start(request, files, setup) {
        Ok(process) => {
            // A file that stays open here would keep the other ends of the process's pipes and sockets from seeing its
            // end.
            files::close_all_except(&[reports.as_fd().as_raw_fd()])?;
            report(KeeperReport::Started { pid: process.as_raw().unsigned_abs() })?;
            reap_all(process, report)
        }
        Err(error) => report(KeeperReport::NotStarted { errno: errno_of(&error) }),
    }
}

/// Sets the death signal of this process, and checks that its parent has not ended before that.
fn die_with(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == parent { Ok(()) } else { Err(io::Error::other("the parent has ended")) }
}

/// Forks the process and waits until it has executed its program, or is ready to serve as a worker. Returns its pid.
fn start(request: &StartRequest, files: &[OwnedFd], setup: &ForkedWorkerSetup) -> io::Result<Pid> {
    let image = image(request)?;
    let (mut failure, to_keeper) = io::pipe()?;
    // Above the numbers at which the program finds its files.
    let highest = request.numbers.iter().copied().max().unwrap_or(0);
    let mut to_keeper = File::from(files::move_above(OwnedFd::from(to_keeper), highest)?);
    let keeper = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(process) => {
            drop(to_keeper);
            let mut errno = [0; 4];
            match failure.read_exact(&mut errno) {
                // Closed without an error number: by `exec`, or by a forked worker that is ready.
                Err(_) => Ok(process),
                Ok(()) => {
                    waitpid(process, None)?;
                    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
                }
            }
        }
        Fork::Child => run_and_exit(|| {
            let error = match request.source {
                // `Warm` comes here where there is no warm interpreter.
                ProcessSource::Program | ProcessSource::Warm(_) => {
                    let Err(error) = become_program(keeper, &image, request, files);
                    error
                }
                ProcessSource::Guardian => match become_worker(keeper, request, files, setup, &to_keeper) {
                    Ok(worker) => {
                        drop(to_keeper);
                        return worker.serve();
                    }
                    Err(error) => error,
                },
            };
            let errno = errno_of(&error);
            to_keeper.write_all(&errno.to_ne_bytes()).ok();
            127
        }),
    }
}

/// The number of an error; `EIO` for an error without one.
pub(super) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO as i32)
}

/// The program of a request with its arguments and environment, ready for `exec`.
fn image(request: &StartRequest) -> io::Result<Image> {
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in &request.environment {
        environment.retain(|(other, _)| other != name);
        if let Some(value) = value {
            environment.push((name.clone(), value.clone()));
        }
    }
    Image::new(Path::new(&request.program), request.arguments.iter().map(OsStr::new), environment)
}

/// Executes the program of a request.
fn become_program(keeper: Pid, image: &Image, request: &StartRequest, files: &[OwnedFd]) -> io::Result<Infallible> {
    begin(keeper, request)?;
    files::place(&numbered(request, files).collect::<Vec<_>>())?;
    signals::reset_for_exec()?;
    // After the files are placed: the guardian may have more files open than the limit allows.
    limits::restore_limit()?;
    image.exec()
}

/// Makes this process a worker without `exec`. Of the files of the guardian only the inherited ones and `to_keeper`
/// stay open.
fn become_worker(
    keeper: Pid,
    request: &StartRequest,
    files: &[OwnedFd],
    setup: &ForkedWorkerSetup,
    to_keeper: &File,
) -> io::Result<ForkedWorker> {
    begin(keeper, request)?;
    files::place(&numbered(request, files).filter(|&(_, number)| number <= STANDARD_ERROR).collect::<Vec<_>>())?;
    let worker = ForkedWorker::new(request, files, setup.serve)?;
    let standard = 0..=STANDARD_ERROR;
    let kept = setup.inherited.iter().copied().chain(standard).chain(worker.files()).chain([to_keeper.as_raw_fd()]);
    files::close_all_except(&kept.collect::<Vec<_>>())?;
    limits::restore_limit()?;
    signals::reset_for_forked_worker()?;
    Ok(worker)
}

/// The first steps of every process. The death signal comes first: from then on the process dies with its keeper,
/// whatever happens next.
fn begin(keeper: Pid, request: &StartRequest) -> io::Result<()> {
    die_with(keeper)?;
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    match &request.directory {
        Some(directory) => Ok(nix::unistd::chdir(directory.as_os_str())?),
        None => Ok(()),
    }
}

/// The files of a process with the numbers at which the process finds them.
fn numbered<'a>(request: &StartRequest, files: &'a [OwnedFd]) -> impl Iterator<Item = (BorrowedFd<'a>, RawFd)> {
    files.iter().map(AsFd::as_fd).zip(request.numbers.iter().copied())
}

/// Reaps all descendants until the keeper has no child left, and reports what happens to the process.
fn reap_all(process: Pid, report: impl Fn(KeeperReport) -> io::Result<()>) -> io::Result<()> {
    loop {
        let change = match wait::wait_for_change() {
            Ok(Change::Ended(Reaped { pid, status, peak_memory_kib })) if pid == process => {
                let exit = match status {
                    Status::Exited(code) => Exit::Code(code),
                    Status::Killed(signal) => Exit::Signal(signal),
                };
                KeeperReport::Exited { exit, peak_memory_kib }
            }
            Ok(Change::Stopped { pid, signal }) if pid == process => KeeperReport::Stopped { signal },
            Ok(Change::Continued { pid }) if pid == process => KeeperReport::Continued,
            Ok(_) => continue,
            Err(error) if error.raw_os_error() == Some(Errno::ECHILD as i32) => return Ok(()),
            Err(error) => return Err(error),
        };
        report(change)?;
    }
}
