//! [`RunError`]: why a run could not begin.

use pushflow_graph::GraphError;
use pushflow_pool::{FindTaskError, OpenError};

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The graph is not complete.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A task does not exist in this program.
    #[error("actor {actor:?}: {error}")]
    Task {
        /// The actor whose task it is.
        actor: String,
        /// Why there is no such task.
        error: FindTaskError,
    },
    /// The signals on which the run is to be stopped can't be heard.
    #[error("signals can't be heard: {0}")]
    Signals(std::io::Error),
    /// The pool can't be opened.
    #[error(transparent)]
    Pool(#[from] OpenError),
    /// [`crate::RunOptions::pool_options`] has Python options, which belong into [`crate::RunOptions::python`].
    #[error(
        "RunOptions::pool_options.python must be None: name the interpreter in RunOptions::python, which counts for all \
         pools of the run"
    )]
    PythonTwice,
    /// There is no Python interpreter.
    #[error("{0}")]
    Python(String),
}
