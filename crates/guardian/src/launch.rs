//! [`Launcher`]: the one way in which attempts start processes, so that a guardian can start them instead.

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
    /// Starts one process; the files of `launch` are closed here, whether it succeeds or not.
    ///
    /// # Errors
    /// When the program can't be started.
    fn launch(&self, launch: Launch) -> Result<Arc<dyn Child>, LaunchError>;
}

/// A process that was started.
///
/// Dropping it neither ends the process nor reaps it: whoever started it calls [`Child::wait`] to the end.
pub trait Child: Send + Sync {
    /// Its process id; 0 if it was not started after all.
    fn pid(&self) -> u32;

    /// Sends a signal to the process group that it leads; does nothing once it was reaped.
    ///
    /// # Errors
    /// When the process may not be signalled.
    fn signal(&self, signal: Signal) -> io::Result<()>;

    /// Waits for its end, at most `limit`, and reaps it; `None` if it still runs. Once it ended, every call says how.
    ///
    /// # Errors
    /// When the process can't be waited for.
    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<Exit>>;

    /// Why it was not started after all, where that was not known yet when it was launched.
    fn refusal(&self) -> Option<LaunchError> {
        None
    }
}

/// What to start: a process that leads a process group of its own, which gets its signals.
#[derive(Debug, Default)]
pub struct Launch {
    /// The program, then its arguments. A program without `/` is looked up in the `PATH` that it will see.
    pub argv: Vec<OsString>,
    /// Variables beside those of the caller.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder to run in; the caller's by default.
    pub directory: Option<PathBuf>,
    /// Its standard input; `/dev/null` by default.
    pub stdin: Option<OwnedFd>,
    /// Its standard output; the caller's by default.
    pub stdout: Option<OwnedFd>,
    /// Its standard error; the caller's by default.
    pub stderr: Option<OwnedFd>,
    /// How it can be a copy of a program that runs already, if that is wanted. A launcher may do without. With it, the
    /// launch does not wait for the start.
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
    /// The program is not executable, or lies where the caller may not look.
    #[error("permission denied; is it executable?")]
    PermissionDenied,
    /// It may have run for a moment.
    #[error("its keeper, the process that was to watch it, was killed: from outside, or out of memory")]
    KeeperKilled,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] io::Error),
}

impl LaunchError {
    /// This error as the outcome of the attempt that wanted to start `program`.
    pub fn into_task_error(self, program: &OsStr) -> TaskError {
        let name = program.to_string_lossy();
        let message = match &self {
            LaunchError::ProgramNotFound if name.contains('/') => format!("the program {name:?} does not exist"),
            LaunchError::ProgramNotFound => format!("the program {name:?} was not found in PATH"),
            cause => format!("the program {name:?} could not be started: {cause}"),
        };
        match self {
            LaunchError::KeeperKilled => TaskError::new(ErrorKind::WorkerLost, message),
            // The program is there, and could be started at another time.
            LaunchError::Other(error) if is_passing(&error) => {
                TaskError { type_name: "OSError".to_owned(), ..TaskError::new(ErrorKind::Raised, message) }
            }
            _ => TaskError::new(ErrorKind::NotFound, message),
        }
    }
}

/// Whether this says nothing of the program: a limit of processes, files or memory that was reached. One without a number
/// is a limit that was named, or a guardian that does not answer.
fn is_passing(error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => matches!(
            errno,
            Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::ETOOMANYREFS
        ),
        None => true,
    }
}

/// Finds the program of a launch: by its path, or by its name in the `PATH` that it will see.
///
/// # Errors
/// When `PATH` has no such program. Whether a program named by its path exists is left to the operating system.
pub fn resolve_program(launch: &Launch) -> Result<PathBuf, LaunchError> {
    let name = launch.argv.first().ok_or(LaunchError::ProgramNotFound)?;
    if name.as_encoded_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let own_path = launch.environment.iter().rev().find(|(variable, _)| variable == "PATH");
    let path = own_path.map(|(_, folders)| folders.clone()).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    find_program(name, &path).ok_or(LaunchError::ProgramNotFound)
}

/// Tells what a refusal to start a program means: "no such file" may be the folder to run in, the program, or the program
/// that a script's first line names.
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

/// The first executable file of that name in the folders of a `PATH`.
pub fn find_program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether this is a file that somebody may execute.
pub fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
