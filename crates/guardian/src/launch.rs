//! [`Launcher`]: the interface by which attempts start processes, so that the guardian starts them and tests can do
//! without it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use pushflow_model::{ErrorKind, Exit, TaskError};

use crate::messages::WarmStart;

/// Starts processes.
pub trait Launcher: Send + Sync {
    /// Starts one process. The files of `launch` are closed in this process, whether the launch succeeds or not.
    ///
    /// # Errors
    /// When the program can't be started.
    fn launch(&self, launch: Launch) -> Result<Arc<dyn Child>, LaunchError>;
}

/// A process that was started.
///
/// The drop neither ends nor reaps the process: its owner calls [`Child::wait`] until the process has ended.
pub trait Child: Send + Sync {
    /// The pid of the process; 0 if it turned out that the process was not started.
    fn pid(&self) -> u32;

    /// Sends a signal to the process group that the process leads. Does nothing once the process has been reaped.
    ///
    /// # Errors
    /// When the process may not be signalled.
    fn signal(&self, signal: Signal) -> io::Result<()>;

    /// Waits for the end of the process, at most for `limit`. Returns `None` if it still runs. Once the process has
    /// ended, each call returns how.
    ///
    /// # Errors
    /// When the process can't be waited for.
    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>>;

    /// Why the process was not started, if that turned out after the launch.
    fn refusal(&self) -> Option<LaunchError> {
        None
    }
}

/// The description of a process that an attempt needs. The process leads a process group of its own.
#[derive(Debug, Default)]
pub struct Launch {
    /// The program, then its arguments. A program without `/` is looked up in the `PATH` of the new process.
    pub argv: Vec<OsString>,
    /// Variables beside those of the caller.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory; the caller's by default.
    pub directory: Option<PathBuf>,
    /// Its standard input; `/dev/null` by default.
    pub stdin: Option<OwnedFd>,
    /// Its standard output; the caller's by default.
    pub stdout: Option<OwnedFd>,
    /// Its standard error; the caller's by default.
    pub stderr: Option<OwnedFd>,
    /// How the process can be a fork of a warm interpreter. A launcher may execute the program instead. With it, the
    /// launch does not wait until the process has started.
    pub warm: Option<WarmStart>,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program.
    #[error("there is no such program")]
    ProgramNotFound,
    /// The program is a script, and the program that its first line names does not exist.
    #[error("its first line names a program that does not exist")]
    ScriptWithoutProgram,
    /// The folder to run in does not exist.
    #[error("the folder {} to run in does not exist", .0.display())]
    DirectoryNotFound(PathBuf),
    /// The program is not executable, or is in a folder that the caller may not read.
    #[error("permission denied; is it executable?")]
    PermissionDenied,
    /// The keeper was killed before it reported. The process may have run for a moment.
    #[error("its keeper, the process that was to watch it, was killed: from outside, or out of memory")]
    KeeperKilled,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] io::Error),
}

impl LaunchError {
    /// This error as the error of the task that needed `program`.
    pub fn into_task_error(self, program: &OsStr) -> TaskError {
        let name = program.to_string_lossy();
        let message = match &self {
            LaunchError::ProgramNotFound if name.contains('/') => format!("the program {name:?} does not exist"),
            LaunchError::ProgramNotFound => format!("the program {name:?} was not found in PATH"),
            cause => format!("the program {name:?} could not be started: {cause}"),
        };
        match self {
            LaunchError::KeeperKilled => TaskError::new(ErrorKind::WorkerLost, message),
            // The program exists, and could be started at another time.
            LaunchError::Other(error) if is_passing(&error) => {
                TaskError { type_name: "OSError".to_owned(), ..TaskError::new(ErrorKind::Raised, message) }
            }
            _ => TaskError::new(ErrorKind::NotFound, message),
        }
    }
}

/// Whether the cause is not the program but a limit of processes, files or memory. An error without a number is a limit
/// that was replaced by its name, or a guardian that does not answer.
fn is_passing(error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => matches!(
            errno,
            Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::ETOOMANYREFS
        ),
        None => true,
    }
}

/// The file of the program of a launch: its path, or the file of its name in the `PATH` of the new process.
///
/// # Errors
/// When `PATH` has no such program. A path is not checked.
pub fn resolve_program(launch: &Launch) -> Result<PathBuf, LaunchError> {
    let name = launch.argv.first().ok_or(LaunchError::ProgramNotFound)?;
    if name.as_encoded_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let own_path = launch.environment.iter().rev().find(|(variable, _)| variable == "PATH");
    let path = own_path.map(|(_, folders)| folders.clone()).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    find_program(name, &path).ok_or(LaunchError::ProgramNotFound)
}

/// The [`LaunchError`] for an error of `exec`. "No such file" can mean the working directory, the program, or the
/// program that the first line of a script names.
pub fn classify_launch_error(error: io::Error, program: &Path, directory: Option<&Path>) -> LaunchError {
    let missing = directory.filter(|directory| !directory.is_dir());
    let is_there = || directory.unwrap_or(Path::new("")).join(program).is_file();
    match (error.kind(), missing) {
        (_, Some(directory)) => LaunchError::DirectoryNotFound(directory.to_owned()),
        (io::ErrorKind::NotFound, None) if is_there() => LaunchError::ScriptWithoutProgram,
        (io::ErrorKind::NotFound, None) => LaunchError::ProgramNotFound,
        (io::ErrorKind::PermissionDenied, None) => LaunchError::PermissionDenied,
        (_, None) => LaunchError::Other(error),
    }
}

/// The first executable file of this name in the folders of `path`, which has the form of `PATH`.
pub fn find_program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether this is a regular file that at least one user may execute.
pub fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
