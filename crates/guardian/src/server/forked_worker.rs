//! [`ForkedWorker`]: a worker that is a fork of the guardian, for the start methods `forkserver` and `fork`.
//!
//! # Why a fork of the guardian
//! The guardian has one thread, its files are few and known, and it runs the program of the workers: with `forkserver`
//! it is a fresh image of the worker program, with `fork` it is a fork of the calling program. So the keepers, which
//! are forks of the guardian, fork workers from themselves. No second process must be started, watched and replaced.
//!
//! # What a forked worker must not keep
//! A forked worker has the memory of the guardian. It must never continue the work of the guardian, or of the program
//! that the guardian is a fork of:
//! - It drops no value of the guardian. One of them would remove the run directory.
//! - A panic ends this process only, and does not unwind into the code of the guardian.
//! - It skips the exit handlers that were registered before the fork.
//! - It keeps no file of the guardian except those that stand for files of the calling program.
//! - Its signals are as in a fresh program.
//! - Its environment and working directory are those of the scheduler at the time of the request, as with all start
//!   methods.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pushflow_os::{environment, fork};
use pushflow_protocol::{CONTROL_SOCKET, GUARDIAN_SOCKET, SHARED_WORDS};

use crate::messages::StartRequest;
use crate::role::{self, report_failure};
use crate::worker_program::WorkerFiles;

/// The longest name of a process in the kernel, in bytes.
const NAME_LENGTH: usize = 15;

/// The setup that all forked workers of a guardian have in common.
pub(super) struct ForkedWorkerSetup {
    /// The numbers of the files that stand for files of the calling program.
    pub(super) inherited: Vec<RawFd>,
    /// Serves as a worker.
    pub(super) serve: Serve,
}

type Serve = fn(WorkerFiles) -> io::Result<()>;

/// A forked process that is ready to serve as a worker.
pub(super) struct ForkedWorker {
    files: WorkerFiles,
    serve: Serve,
}

impl ForkedWorker {
    /// Takes on the name and the environment of the worker, and duplicates its files.
    ///
    /// The files do not get the numbers at which an executed worker finds them: the calling program may have had files
    /// there.
    pub(super) fn new(request: &StartRequest, files: &[OwnedFd], serve: Serve) -> io::Result<ForkedWorker> {
        nix::sys::prctl::set_name(&name(Path::new(&request.program)))?;
        let changes = request.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()));
        environment::change(changes.chain([(OsStr::new(role::ROLE), None)]))?;
        fork::skip_inherited_exit_handlers()?;
        let file = |number| {
            let index = request.numbers.iter().position(|&other| other == number);
            let file = index.and_then(|index| files.get(index));
            file.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.as_fd().try_clone_to_owned()
        };
        let (control, shared) = (file(CONTROL_SOCKET)?, file(SHARED_WORDS)?);
        Ok(ForkedWorker { files: WorkerFiles { control, shared, guardian: file(GUARDIAN_SOCKET)? }, serve })
    }

    /// The numbers of the worker's own files.
    pub(super) fn files(&self) -> [RawFd; 3] {
        let WorkerFiles { control, shared, guardian } = &self.files;
        [control, shared, guardian].map(AsRawFd::as_raw_fd)
    }

    /// Serves until the scheduler closes the channel. The process exits here, with the exit handlers of its tasks.
    pub(super) fn serve(self) -> i32 {
        let served = (self.serve)(self.files);
        report_failure(role::WORKER, &served);
        std::process::exit(i32::from(served.is_err()))
    }
}

/// The name that the kernel gives a process that executes this program.
fn name(program: &Path) -> CString {
    let name = program.file_name().unwrap_or(program.as_os_str()).as_bytes();
    CString::new(&name[..name.len().min(NAME_LENGTH)]).unwrap_or_default()
}
