//! [`RunError`]: why a run could not begin.

use pushflow_execute::FindTaskError;
use pushflow_graph::GraphError;
use pushflow_pool::OpenError;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The graph is not complete.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An actor's Rust task does not exist in this program.
    #[error("actor {actor:?}: {error}")]
    Task {
        /// The actor whose task it is.
        actor: String,
        /// Why there is no such task.
        error: FindTaskError,
    },
    /// The signals that stop the run can't be watched.
    #[error("signals can't be heard: {0}")]
    Signals(std::io::Error),
    /// A pool can't be opened, or the environment is wrong.
    #[error(transparent)]
    Pool(#[from] OpenError),
    /// [`crate::RunOptions::pool_options`] has Python options, which belong into [`crate::RunOptions::python`].
    #[error(
        "RunOptions::pool_options.python must be None: name the interpreter in RunOptions::python, which counts for all \
         pools of the run"
    )]
    PythonTwice,
    /// No Python interpreter was found.
    #[error("{0}")]
    Python(String),
}
