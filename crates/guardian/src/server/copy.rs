//! A worker that is a copy of the guardian: the start methods `forkserver` and `fork`.
//!
//! # Why a copy of the guardian
//! The guardian has one thread, its files are few and known, and it runs the same program as the workers: with
//! `forkserver` it is a fresh image of the worker program, with `fork` it is itself a copy of the calling program. So its
//! keepers fork workers from what they already are, and there is no second process to be started, watched and replaced.
//!
//! # What a copy must not keep
//! It has the guardian's memory, so it must never go on with the guardian's work, nor with that of the program that the
//! guardian is a copy of: no value of the guardian is dropped here (one would remove the run directory), a panic ends the
//! copy alone, exit handlers that were there before are skipped. Of the files it keeps only its own and those that stand
//! for the calling program's. Signals are as in a fresh program. Its environment and folder are those of the scheduler
//! when the worker was asked for, with every start method.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pushflow_os::{environment, fork};
use pushflow_protocol::{CONTROL_SOCKET, GUARDIAN_SOCKET, SHARED_WORDS};

use crate::messages::Launch;
use crate::role::{self, report_failure};
use crate::worker_program::WorkerFiles;

/// The kernel keeps this much of a process's name.
const NAME_LENGTH: usize = 15;

/// What all forked workers of a guardian have in common.
pub(super) struct ForkedWorkers {
    /// Numbers of files that a forked worker keeps.
    pub(super) inherited: Vec<RawFd>,
    pub(super) serve: Serve,
}

type Serve = fn(WorkerFiles) -> io::Result<()>;

/// A copy that is ready to serve.
pub(super) struct WorkerCopy {
    files: WorkerFiles,
    serve: Serve,
}

impl WorkerCopy {
    /// Takes the name, the environment and the worker's own files.
    ///
    /// Not at the numbers at which an executed worker finds these: the calling program may have had files there.
    pub(super) fn new(launch: &Launch, files: &[OwnedFd], serve: Serve) -> io::Result<WorkerCopy> {
        nix::sys::prctl::set_name(&name(Path::new(&launch.program)))?;
        let changes = launch.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()));
        environment::change(changes.chain([(OsStr::new(role::ROLE), None)]))?;
        fork::skip_inherited_exit_handlers()?;
        let file = |number| {
            let index = launch.numbers.iter().position(|&other| other == number);
            let file = index.and_then(|index| files.get(index));
            file.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.as_fd().try_clone_to_owned()
        };
        let (control, shared) = (file(CONTROL_SOCKET)?, file(SHARED_WORDS)?);
        Ok(WorkerCopy { files: WorkerFiles { control, shared, guardian: file(GUARDIAN_SOCKET)? }, serve })
    }

    /// The numbers of the worker's own files.
    pub(super) fn files(&self) -> [RawFd; 3] {
        let WorkerFiles { control, shared, guardian } = &self.files;
        [control, shared, guardian].map(AsRawFd::as_raw_fd)
    }

    /// Serves until the channel ends: the exit code. What a task asked to be done at the exit is done.
    pub(super) fn serve(self) -> i32 {
        let served = (self.serve)(self.files);
        report_failure(role::WORKER, &served);
        std::process::exit(i32::from(served.is_err()))
    }
}

/// The name that the kernel gives a process that runs this program.
fn name(program: &Path) -> CString {
    let name = program.file_name().unwrap_or(program.as_os_str()).as_bytes();
    CString::new(&name[..name.len().min(NAME_LENGTH)]).unwrap_or_default()
}
