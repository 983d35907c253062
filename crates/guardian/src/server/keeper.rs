//! The keeper: a fork of the guardian that starts one process, adopts and reaps everything below it, and leaves when
//! nothing is left.
//!
//! It says what happens to the process on its socket ([`KeeperReport`]) and hears nothing: it is never asked to do
//! anything, so that it can wait in `wait4` alone. Signals stay blocked as the guardian had them. Its death signal
//! follows the guardian; the process's own follows the keeper.

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
use pushflow_protocol::courier;

use super::copy::{ForkedWorkers, WorkerCopy};
use crate::messages::{KeeperReport, Launch, Source};

/// The highest of the numbers that every program expects a file at.
const STANDARD_ERROR: RawFd = 2;

/// Forks a keeper that starts the process: its pid, and the socket on which it reports.
///
pub(super) fn fork(launch: &Launch, files: &[OwnedFd], workers: &ForkedWorkers) -> io::Result<(Pid, SeqPacket)> {
    let (theirs, ours) = SeqPacket::pair()?;
    let guardian = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(keeper) => Ok((keeper, ours)),
        Fork::Child => run_and_exit(|| i32::from(keep(guardian, launch, files, workers, &theirs).is_err())),
    }
}

/// Starts a program that has no keeper, as a child of this process itself: its pid. That it can't be executed is seen
/// by its end.
pub(super) fn fork_child(launch: &Launch, files: &[OwnedFd]) -> io::Result<Pid> {
    let image = image(launch)?;
    let guardian = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(process) => Ok(process),
        Fork::Child => run_and_exit(|| {
            let Err(_) = become_program(guardian, &image, launch, files);
            127
        }),
    }
}

/// The life of a keeper that a warm interpreter has made, from where it has executed this program. Its file 0 is where it
/// reports; `process` is the process that it had forked before, or the negative error number of that fork.
pub(super) fn keep_adopted(guardian: Pid, process: i32) -> io::Result<()> {
    // What the interpreter has imported may have had them ignored.
    signals::set_default_sigchld();
    die_with(guardian)?;
    nix::sys::prctl::set_name(c"pushflow-keep")?;
    files::close_all_except(&[0, 1, 2])?;
    let reports = SeqPacket::from_fd(files::take_inherited(0)?);
    let report = |report| courier::send(&reports, &report, &[]);
    if process < 0 {
        return report(KeeperReport::NotStarted { errno: -process });
    }
    report(KeeperReport::Started { pid: process.unsigned_abs() })?;
    reap_all(Pid::from_raw(process), report)
}

/// The keeper's whole life.
fn keep(
    guardian: Pid,
    launch: &Launch,
    files: &[OwnedFd],
    workers: &ForkedWorkers,
    reports: &SeqPacket,
) -> io::Result<()> {
    die_with(guardian)?;
    nix::sys::prctl::set_name(c"pushflow-keep")?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let report = |report| courier::send(reports, &report, &[]);
    match start(launch, files, workers) {
        Ok(process) => {
            // What stays open here would hide the end of the process's pipes and sockets from everybody else.
            files::close_all_except(&[reports.as_fd().as_raw_fd()])?;
            report(KeeperReport::Started { pid: process.as_raw().unsigned_abs() })?;
            reap_all(process, report)
        }
        Err(error) => report(KeeperReport::NotStarted { errno: errno_of(&error) }),
    }
}

/// Asks to be killed when the process that started this one ends, and makes sure that it has not ended yet.
fn die_with(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == parent { Ok(()) } else { Err(io::Error::other("the parent has ended")) }
}

/// Forks the process and waits until it has become what it is to be: its pid.
fn start(launch: &Launch, files: &[OwnedFd], workers: &ForkedWorkers) -> io::Result<Pid> {
    let image = image(launch)?;
    let (mut failure, to_keeper) = io::pipe()?;
    // Out of the way of the numbers at which the program will find its files.
    let highest = launch.numbers.iter().copied().max().unwrap_or(0);
    let mut to_keeper = File::from(files::move_above(OwnedFd::from(to_keeper), highest)?);
    let keeper = getpid();
    match pushflow_os::fork()? {
        Fork::Parent(process) => {
            drop(to_keeper);
            let mut errno = [0; 4];
            match failure.read_exact(&mut errno) {
                // Closed without a word: by exec, or by a copy once it is a worker.
                Err(_) => Ok(process),
                Ok(()) => {
                    waitpid(process, None)?;
                    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
                }
            }
        }
        Fork::Child => run_and_exit(|| {
            let error = match launch.source {
                // The program, where there is no warm interpreter to make a copy of.
                Source::Program | Source::Warm(_) => {
                    let Err(error) = become_program(keeper, &image, launch, files);
                    error
                }
                Source::Guardian => match become_worker(keeper, launch, files, workers, &to_keeper) {
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

/// The error number to report, for what may be an error of our own.
pub(super) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO as i32)
}

fn image(launch: &Launch) -> io::Result<Image> {
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in &launch.environment {
        environment.retain(|(other, _)| other != name);
        if let Some(value) = value {
            environment.push((name.clone(), value.clone()));
        }
    }
    Image::new(Path::new(&launch.program), launch.arguments.iter().map(OsStr::new), environment)
}

fn become_program(keeper: Pid, image: &Image, launch: &Launch, files: &[OwnedFd]) -> io::Result<Infallible> {
    begin(keeper, launch)?;
    files::place(&numbered(launch, files).collect::<Vec<_>>())?;
    signals::reset_for_exec()?;
    // Not before the files are placed: the guardian may have more open.
    limits::restore_limit()?;
    image.exec()
}

/// Becomes a worker without `exec`, with no files of the guardian but the inherited ones and the way `to_keeper`.
fn become_worker(
    keeper: Pid,
    launch: &Launch,
    files: &[OwnedFd],
    workers: &ForkedWorkers,
    to_keeper: &File,
) -> io::Result<WorkerCopy> {
    begin(keeper, launch)?;
    files::place(&numbered(launch, files).filter(|&(_, number)| number <= STANDARD_ERROR).collect::<Vec<_>>())?;
    let worker = WorkerCopy::new(launch, files, workers.serve)?;
    let standard = 0..=STANDARD_ERROR;
    let kept = workers.inherited.iter().copied().chain(standard).chain(worker.files()).chain([to_keeper.as_raw_fd()]);
    files::close_all_except(&kept.collect::<Vec<_>>())?;
    limits::restore_limit()?;
    signals::reset_for_forked_worker()?;
    Ok(worker)
}

/// What every process begins with. The order matters: the death signal first, so that nothing that comes after can leave
/// an orphan.
fn begin(keeper: Pid, launch: &Launch) -> io::Result<()> {
    die_with(keeper)?;
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    match &launch.directory {
        Some(directory) => Ok(nix::unistd::chdir(directory.as_os_str())?),
        None => Ok(()),
    }
}

/// The files of a process, each with the number at which the process finds it.
fn numbered<'a>(launch: &Launch, files: &'a [OwnedFd]) -> impl Iterator<Item = (BorrowedFd<'a>, RawFd)> {
    files.iter().map(AsFd::as_fd).zip(launch.numbers.iter().copied())
}

/// Reaps everything that ends below the keeper until nothing is left, and reports what happens to the process.
fn reap_all(process: Pid, report: impl Fn(KeeperReport) -> io::Result<()>) -> io::Result<()> {
    loop {
        let told = match wait::wait_for_change() {
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
        report(told)?;
    }
}
