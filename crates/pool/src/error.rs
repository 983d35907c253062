//! [`OpenError`]: why a pool can't be opened.

use pushflow_green::EnvironmentError;
use pushflow_guardian::GuardianError;
use pushflow_model::{ErrorKind, NO_CHILDREN, TaskError};

/// Why a pool can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no guardian.
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    /// This process is a daemonic worker, and the pool is not of the billiard family.
    #[error("{NO_CHILDREN}")]
    Daemonic,
    /// A pool of this type has no worker processes.
    #[error("the pool {0:?} has no worker processes")]
    NoProcesses(&'static str),
    /// So many workers would need more open files than the limit.
    #[error(
        "{workers} workers do not fit: each takes {files} open files, and {limit} may be open: raise that with ulimit -n{}",
        if *fit > 0 { format!(", or ask for {fit} workers") } else { String::new() }
    )]
    Files {
        /// How many workers were asked for.
        workers: usize,
        /// How many files each takes.
        files: usize,
        /// How many files may be open.
        limit: usize,
        /// How many workers fit.
        fit: usize,
    },
    /// No worker could be started.
    #[error("{0}")]
    Worker(String),
    /// The Python interpreter can't be used.
    #[error("{0}")]
    Python(String),
    /// The pool `gevent` was asked for in the plain environment.
    #[error(
        "the pool \"gevent\" needs the green environment: choose it with --environment green, PUSHFLOW_ENVIRONMENT=green \
         or pushflow::green::enable(), before the first pool"
    )]
    NotGreen,
    /// The environment can't be known.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The opening was cancelled.
    #[error("the pool was given up while it was opened")]
    GivenUp,
    /// The machine has no threads or file descriptors left.
    #[error("the pool could not be opened: {0}")]
    Io(#[from] std::io::Error),
}

/// The error of an attempt that waited when its pool was closed.
pub(crate) fn closed_before_start() -> TaskError {
    TaskError::new(ErrorKind::Stopped, "the pool was closed before the attempt started")
}
