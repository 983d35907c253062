//! [`GuardianError`]: why this process has no guardian.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use pushflow_os::limits::name_limit;

use crate::lookup::LookupError;

/// Why there is no guardian.
#[derive(Debug, thiserror::Error)]
pub enum GuardianError {
    /// There is no worker program.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The worker program is of another build than this program.
    #[error(
        "the worker program {path:?} is of another build than this program ({theirs}, not {ours}): rebuild it, or choose another with PUSHFLOW_WORKER"
    )]
    OtherBuild {
        /// The program.
        path: PathBuf,
        /// Its build.
        theirs: String,
        /// The build of this program.
        ours: String,
    },
    /// No guardian can be forked for the start method `fork`.
    #[error("the start method \"fork\" can't be used: {reason}")]
    NoFork {
        /// Why.
        reason: String,
    },
    /// This process is a worker, and another worker program was named than the program of its scheduler's guardian.
    #[error(
        "a pool inside a worker runs the worker's own program {program:?}, not {named:?}: leave out the option worker"
    )]
    InsideWorker {
        /// The worker's program.
        program: PathBuf,
        /// The program that was named.
        named: PathBuf,
    },
    /// The program could not be started because of a limit of this machine.
    #[error("the worker program {path:?} could not be started: {reason}")]
    NotStarted {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The program is a guardian that could not begin, or this process met a limit.
    #[error("the worker program {path:?} could not be used: {reason}")]
    Unable {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The program can't be executed, or did not behave like a guardian.
    #[error("the worker program {path:?} could not be used ({reason}): is it a pushflow worker?")]
    Unusable {
        /// The program.
        path: PathBuf,
        /// What happened instead.
        reason: String,
    },
}

impl GuardianError {
    pub(super) fn unable(path: &Path, error: io::Error) -> GuardianError {
        GuardianError::Unable { path: path.to_owned(), reason: name_limit(error).to_string() }
    }

    pub(super) fn unusable(path: &Path, reason: impl ToString) -> GuardianError {
        GuardianError::Unusable { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn not_started(path: &Path, error: io::Error) -> GuardianError {
        match error.raw_os_error().map(Errno::from_raw) {
            // Errors of the file itself, or of the interpreter that it names. All others are limits of this machine.
            Some(Errno::EACCES | Errno::ENOENT | Errno::ENOEXEC | Errno::ELIBBAD) => {
                GuardianError::unusable(path, error)
            }
            _ => GuardianError::NotStarted { path: path.to_owned(), reason: name_limit(error).to_string() },
        }
    }
}
