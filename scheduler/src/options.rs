//! [`RunOptions`]: how a run is to be done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pushflow_model::PoolType;
use pushflow_pool::{PoolOptions, default_pool};

use crate::reactor::{Limits, Outputs};
use crate::{Observer, StopSignal};

/// How a run is to be done.
///
/// ```
/// use std::time::Duration;
/// use pushflow::{PoolType, RunOptions};
///
/// let options = RunOptions {
///     pool: PoolType::Process,
///     timeout: Some(Duration::from_secs(60)),
///     ..RunOptions::default()
/// };
/// ```
#[derive(Clone)]
pub struct RunOptions {
    /// Where attempts run; by default as [`crate::default_pool`] says, which looks at the environment.
    pub pool: PoolType,
    /// How many workers, and how long they may take to end.
    pub pool_options: PoolOptions,
    /// How long the whole run may take, with the opening of its pools (`parity.md` P19); as long as it likes by default.
    /// Running attempts are then interrupted, and ended after their grace.
    pub timeout: Option<Duration>,
    /// How long each attempt of a task may take from its start, where its actor has no limit of its own
    /// ([`crate::Workflow::limit_time`]); as long as it likes by default. An attempt that takes longer is interrupted, its
    /// worker is ended after the grace, and it has failed as [`crate::ErrorKind::TimedOut`], whatever it still returns. On
    /// threads one that does not look at its cancellation keeps its thread; another one takes that one's place.
    pub attempt_timeout: Option<Duration>,
    /// Where Python is, and where its modules are.
    pub python: PythonSettings,
    /// On which signals the run is stopped; the second one kills what still runs. None by default (`parity.md` P91): then a
    /// signal does what it did before, which for most ends the program.
    pub stop_signals: Vec<StopSignal>,
    /// Who hears of what happens.
    pub observers: Vec<Arc<dyn Observer>>,
    /// What the outcome holds beside the result.
    pub outputs: Outputs,
    /// How much the run may hold at once, and how often an actor may run.
    pub limits: Limits,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            pool: default_pool().unwrap_or(PoolType::Process),
            pool_options: PoolOptions::default(),
            timeout: None,
            attempt_timeout: None,
            python: PythonSettings::default(),
            stop_signals: Vec::new(),
            observers: Vec::new(),
            outputs: Outputs::default(),
            limits: Limits::default(),
        }
    }
}

/// Where Python is, and where the modules of its tasks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonSettings {
    /// The interpreter: a path, or a name that is looked for in `PATH`. By default `PUSHFLOW_PYTHON`, the active virtual
    /// environment, or `python3`.
    pub interpreter: Option<String>,
    /// Folders in which modules are looked for, after the folder of the graph file and before `PYTHONPATH`.
    pub path: Vec<PathBuf>,
}
